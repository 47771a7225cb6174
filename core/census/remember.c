/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/remember.h"

#include "procfs/process-facts.h"

#include <string.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000u

/*
 * Whether procfs told of the process that the rows are of: its pid may be another one's by now. What
 * a start is in ns, as some back ends have it, no process has in clock ticks.
 */
static bool is_same(const struct space *space, const struct process_origin *origin)
{
	uint64_t ns_per_tick = NS_PER_SECOND / sysconf(_SC_CLK_TCK);

	return origin->born == space->start_time || origin->born == space->start_time / ns_per_tick;
}

static void take_origin(struct space *space, const struct process_origin *origin)
{
	space->born = origin->born;
	space->readable = origin->readable;
	if (space->unit)
		g_ref_string_release(space->unit);
	space->unit = strcmp(origin->unit, "-") == 0 ? NULL : g_ref_string_new_intern(origin->unit);
}

/*
 * Once for each process with rows and each user that it runs as, while it lives: afterwards nobody
 * could tell. It may change its control group later, which is not followed.
 */
static void ask_procfs(struct space *space, void *data)
{
	const struct memory *memory = data;
	struct process_origin origin;

	if ((space->asked && space->asked_uid == space->uid) ||
		(space->n_mappings == 0 && space->n_descriptors == 0))
		return;
	space->asked = true;
	space->asked_uid = space->uid;
	process_origin_read(memory->proc, space->pid, &origin);
	if (is_same(space, &origin))
		take_origin(space, &origin);
	else
		space->readable = false;
}

/* The kernel itself notes when a System V segment was detached. */
static void note_gone(const struct segment_key *key, const struct past_user *user, bool mapped,
	void *data)
{
	const struct memory *memory = data;
	past_time seen = memory->seen[mapped ? SEEN_MAPPINGS : SEEN_DESCRIPTORS];

	past_note_user(memory->past, key, user, seen, !mapped || key->class != SEGMENT_SYSV);
}

struct noting {
	struct past *past;
	past_time now;
};

static void note_held(const struct segment_key *key, void *data)
{
	const struct noting *noting = data;

	past_note_use(noting->past, key, noting->now);
}

static void note_time(struct memory *memory, unsigned facets, past_time now)
{
	if (facets & CENSUS_MAPPINGS)
		memory->seen[SEEN_MAPPINGS] = now;
	if (facets & CENSUS_DESCRIPTORS)
		memory->seen[SEEN_DESCRIPTORS] = now;
}

void remember_pass(struct memory *memory, struct spaces *spaces, const struct object_side *side,
	unsigned facets)
{
	struct noting noting = { memory->past, past_now() };

	spaces_each(spaces, ask_procfs, memory);
	spaces_take_gone(spaces, note_gone, memory);
	note_time(memory, facets, noting.now);
	if ((facets & CENSUS_ALL) != CENSUS_ALL)
		return;
	object_side_each_held(side, note_held, &noting);
	past_note_pass(memory->past, noting.now);
}

void remember_unchanged(struct memory *memory, unsigned facets)
{
	note_time(memory, facets, past_now());
}
