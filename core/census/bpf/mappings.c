/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The BPF back end's way with one walk's stamps: reads what moved, drops what vanished. */
#include "census/bpf/context.h"

static void set_stamp(struct space *space, const struct stamp *stamp)
{
	space->stamp[STAMP_MM] = stamp->mm;
	space->stamp[STAMP_SEQ] = stamp->exec_id << 32 | stamp->seq;
}

static bool has_stamp(const struct space *space, const struct stamp *stamp)
{
	return space->stamp[STAMP_MM] == stamp->mm &&
		space->stamp[STAMP_SEQ] == (stamp->exec_id << 32 | stamp->seq);
}

/* The table has no truth about this space: neither stamp will agree with any. */
static void spoil(struct bpf_census *census, struct space *space, struct stamp *stamp,
	struct round *round)
{
	round->changed |= space_set_mappings(census->spaces, space, NULL, 0);
	stamp->mm = 0;
	set_stamp(space, stamp);
}

/*
 * Whether to wait for the lock of a space that others have: once, for a moment, from the first time
 * on. Then it is tried in each round, and not waited for until it has been read.
 */
static bool worth_waiting(struct space *space)
{
	uint64_t now = bpf_now_ns();

	if (space->stamp[STAMP_BUSY] == 0)
		space->stamp[STAMP_BUSY] = now;
	return now - space->stamp[STAMP_BUSY] < BUSY_WAIT_MAX_NS;
}

/* What came of a reading: the space has its stamp, or none. */
static void settle(struct bpf_census *census, const struct reading *reading, struct round *round)
{
	switch (reading->status) {
	case READ_DONE:
		set_stamp(reading->space, reading->stamp);
		reading->space->stamp[STAMP_BUSY] = 0;
		round->reread++;
		round->changed |= reading->changed;
		break;
	case READ_GONE: /* the next walk has another stamp, or none */
		round->gone++;
		spoil(census, reading->space, reading->stamp, round);
		break;
	case READ_BUSY:
	case READ_TORN:
		round->busy |= worth_waiting(reading->space);
		/* fall through */
	default:
		round->unreadable++;
		spoil(census, reading->space, reading->stamp, round);
	}
}

/* Its mappings stand in the rows of another process. */
static void settle_sharer(struct bpf_census *census, struct space *space, struct stamp *stamp,
	const struct stamp *other, struct round *round)
{
	round->changed |= space_set_mappings(census->spaces, space, NULL, 0);
	space_share_mappings(census->spaces, space, true);
	space->stamp[STAMP_MM] = 0;
	stamp->seq = other->seq;
}

/* Who stands for those that share. */
static bool is_elder(const struct stamp *a, const struct stamp *b)
{
	return a->start_time != b->start_time ? a->start_time < b->start_time : a->pid < b->pid;
}

/* For each address space the index of the stamp that stands for it, plus one. */
static GHashTable *find_sharers(const GArray *stamps)
{
	GHashTable *by_mm = g_hash_table_new(NULL, NULL);

	for (guint i = 0; i < stamps->len; i++) {
		const struct stamp *stamp = &g_array_index(stamps, struct stamp, i), *other;
		gpointer mm = (gpointer)(uintptr_t)stamp->mm;
		guint at = GPOINTER_TO_UINT(g_hash_table_lookup(by_mm, mm));

		other = at ? &g_array_index(stamps, struct stamp, at - 1) : NULL;
		if (other == NULL || is_elder(stamp, other))
			g_hash_table_insert(by_mm, mm, GUINT_TO_POINTER(i + 1));
	}
	return by_mm;
}

static struct space *see(struct bpf_census *census, const struct stamp *stamp)
{
	struct space *space = spaces_see(census->spaces, stamp->pid, stamp->start_time);

	space_describe(space, stamp->uid, stamp->command);
	space->task = stamp->thread;
	space->stamp[STAMP_ROUND] = census->round;
	return space;
}

static void drop_vanished(struct space *space, void *data)
{
	const struct vanishing *vanishing = data;
	struct bpf_census *census = vanishing->census;

	if (space->stamp[STAMP_ROUND] == census->round)
		return;
	vanishing->round->changed |= space_set_mappings(census->spaces, space, NULL, 0);
	space->stamp[STAMP_MM] = 0;
	space->stamp[STAMP_ROUND] = 0;
	/* One that is exiting may still have descriptors. */
	if (space->stamp[STAMP_FILES_ROUND] != census->round)
		space_unsee(space);
}

void bpf_settle_mappings(struct bpf_census *census, struct round *round)
{
	g_autoptr(GHashTable) by_mm = find_sharers(census->known);
	struct vanishing vanishing = { census, round };
	struct stamp *stamps = (void *)census->known->data;
	guint n = census->known->len;
	g_autofree guint *of = g_new(guint, n);
	g_autofree struct reading *moved = g_new(struct reading, n);
	size_t count = 0;

	for (guint i = 0; i < n; i++) {
		struct space *space = see(census, &stamps[i]);
		gpointer mm = (gpointer)(uintptr_t)stamps[i].mm;

		of[i] = GPOINTER_TO_UINT(g_hash_table_lookup(by_mm, mm)) - 1;
		if (of[i] != i)
			continue;
		space_share_mappings(census->spaces, space, false);
		if (!has_stamp(space, &stamps[i]))
			moved[count++] = (struct reading){ .space = space, .stamp = &stamps[i] };
	}
	bpf_read(census, moved, count);
	for (size_t i = 0; i < count; i++)
		settle(census, &moved[i], round);
	census->spaces_found = g_hash_table_size(by_mm);
	for (guint i = 0; i < n && census->spaces_found < n; i++)
		if (of[i] != i)
			settle_sharer(census, see(census, &stamps[i]), &stamps[i], &stamps[of[i]],
				round);
	spaces_each(census->spaces, drop_vanished, &vanishing);
}
