/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The BPF back end's way with one walk's stamps: reads what moved, drops what vanished. */
#include "census-bpf.h"

#include "patience.h"
#include "util.h"

#include <fcntl.h>
#include <sched.h>

#define BUSY_TRIES 16

/* As linux/mm.h has them. */
enum { VM_READ = 1, VM_WRITE = 2, VM_EXEC = 4, VM_MAYSHARE = 0x80 };

static void add_mapping(const struct seen_mapping *seen, void *data)
{
	struct bpf_census *census = data;
	struct mapping row = {
		.start = seen->start,
		.end = seen->end,
		.offset = seen->pgoff * sysconf(_SC_PAGESIZE),
		.perms = {
			seen->flags & VM_READ ? 'r' : '-',
			seen->flags & VM_WRITE ? 'w' : '-',
			seen->flags & VM_EXEC ? 'x' : '-',
			seen->flags & VM_MAYSHARE ? 's' : 'p',
		},
	};

	if (!seen->same_file)
		census->segment = bpf_segment_of(census, &seen->file, row.perms[3] == 'p');
	row.segment = census->segment;
	if (row.segment != NULL)
		g_array_append_val(census->rows, row);
}

/*
 * What keeps the address space of a thread allocated. -ENOENT, -ESRCH: there is none; -EBUSY: it must
 * not be asked for (patience.h). The directory of a thread is not listed beside those of processes, but it is there.
 */
static int open_pin(const struct bpf_census *census, pid_t thread)
{
	g_autofree char *path =
		g_strdup_printf("%s/%d/maps", proc_prefix(census->source->proc), (int)thread);
	int fd;

	if (!patience_begin(thread, 0))
		return -EBUSY;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	patience_end();
	return fd;
}

/* READ_DONE with the rows in the table and the stamp as of the reading, or what is in the way. */
static int read_space(struct bpf_census *census, struct space *space, struct stamp *stamp,
	bool *changed)
{
	auto_fd pin = open_pin(census, space->task);
	int status;

	if (pin == -ENOENT || pin == -ESRCH)
		return READ_GONE;
	if (pin < 0)
		return pin;
	for (int tries = 0; tries < BUSY_TRIES; tries++) {
		g_array_set_size(census->rows, 0);
		status = programs_read(census->programs, stamp, add_mapping, census);
		if (status != READ_BUSY && status != READ_TORN)
			break;
		sched_yield();
	}
	if (status != READ_DONE)
		return status;
	*changed = space_set_mappings(census->spaces, space, (void *)census->rows->data,
		census->rows->len);
	return READ_DONE;
}

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

/* Brings the rows of one space up to the stamp, or the stamp to what was found. */
static void settle(struct bpf_census *census, struct space *space, struct stamp *stamp,
	struct round *round)
{
	bool changed = false;
	int status;

	space_share_mappings(census->spaces, space, false);
	if (has_stamp(space, stamp))
		return;
	status = read_space(census, space, stamp, &changed);
	switch (status) {
	case READ_DONE:
		set_stamp(space, stamp);
		round->reread++;
		round->changed |= changed;
		break;
	case READ_GONE: /* the next walk has another stamp, or none */
		round->gone++;
		spoil(census, space, stamp, round);
		break;
	case READ_BUSY:
	case READ_TORN:
		round->busy = true;
		/* fall through */
	default:
		round->unreadable++;
		spoil(census, space, stamp, round);
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
	struct vanishing vanishing = {census, round};
	struct stamp *stamps = (void *)census->known->data;
	guint n = census->known->len;
	g_autofree guint *of = g_new(guint, n);

	for (guint i = 0; i < n; i++) {
		struct space *space = see(census, &stamps[i]);
		gpointer mm = (gpointer)(uintptr_t)stamps[i].mm;

		of[i] = GPOINTER_TO_UINT(g_hash_table_lookup(by_mm, mm)) - 1;
		if (of[i] == i)
			settle(census, space, &stamps[i], round);
	}
	census->spaces_found = g_hash_table_size(by_mm);
	for (guint i = 0; i < n && census->spaces_found < n; i++)
		if (of[i] != i)
			settle_sharer(census, see(census, &stamps[i]), &stamps[i], &stamps[of[i]],
				round);
	spaces_each(census->spaces, drop_vanished, &vanishing);
}
