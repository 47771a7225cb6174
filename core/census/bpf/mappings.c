/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The BPF back end's way with one walk's versions: reads what moved, drops what vanished. */
#include "census/bpf/context.h"

static void set_version(struct space *space, const struct mm_version *version)
{
	space->backend_data[BPF_DATA_MM] = version->mm;
	space->backend_data[BPF_DATA_VERSION] = version->exec_id << 32 | version->seq;
}

static bool has_version(const struct space *space, const struct mm_version *version)
{
	return space->backend_data[BPF_DATA_MM] == version->mm &&
		space->backend_data[BPF_DATA_VERSION] == (version->exec_id << 32 | version->seq);
}

/* The table has no truth about this space: neither version will agree with any. */
static void invalidate(struct bpf_census *census, struct space *space, struct mm_version *version,
	struct round *round)
{
	round->changed |= space_set_mappings(census->spaces, space, NULL, 0);
	version->mm = 0;
	set_version(space, version);
}

/*
 * Whether to wait for the lock of a space that others have: once, for a moment, from the first time
 * on. Then it is tried in each round, and not waited for until it has been read.
 */
static bool worth_waiting(struct space *space)
{
	uint64_t now = bpf_now_ns();

	if (space->backend_data[BPF_DATA_BUSY] == 0)
		space->backend_data[BPF_DATA_BUSY] = now;
	return now - space->backend_data[BPF_DATA_BUSY] < BUSY_WAIT_MAX_NS;
}

/* What came of a reading: the space has its version, or none. */
static void apply_reading(struct bpf_census *census, const struct reading *reading,
	struct round *round)
{
	switch (reading->status) {
	case READ_DONE:
		set_version(reading->space, reading->version);
		reading->space->backend_data[BPF_DATA_BUSY] = 0;
		round->reread++;
		round->changed |= reading->changed;
		break;
	case READ_GONE: /* the next walk has another version, or none */
		round->gone++;
		invalidate(census, reading->space, reading->version, round);
		break;
	case READ_BUSY:
	case READ_TORN:
		round->busy |= worth_waiting(reading->space);
		/* fall through */
	default:
		if (is_shortage(reading->status))
			round->shortage = reading->status;
		round->unreadable++;
		invalidate(census, reading->space, reading->version, round);
	}
}

/* Its mappings stand in the rows of another process. */
static void apply_sharer(struct bpf_census *census, struct space *space, struct mm_version *version,
	const struct mm_version *other, struct round *round)
{
	round->changed |= space_set_mappings(census->spaces, space, NULL, 0);
	space_share_mappings(census->spaces, space, true);
	space->backend_data[BPF_DATA_MM] = 0;
	version->seq = other->seq;
}

/* Who stands for those that share. */
static bool is_elder(const struct mm_version *a, const struct mm_version *b)
{
	return a->start_time != b->start_time ? a->start_time < b->start_time : a->pid < b->pid;
}

/* For each address space the index of the version that stands for it, plus one. */
static GHashTable *find_sharers(const GArray *versions)
{
	GHashTable *by_mm = g_hash_table_new(NULL, NULL);

	for (guint i = 0; i < versions->len; i++) {
		const struct mm_version *version = &g_array_index(versions, struct mm_version, i),
					*other;
		gpointer mm = (gpointer)(uintptr_t)version->mm;
		guint at = GPOINTER_TO_UINT(g_hash_table_lookup(by_mm, mm));

		other = at ? &g_array_index(versions, struct mm_version, at - 1) : NULL;
		if (other == NULL || is_elder(version, other))
			g_hash_table_insert(by_mm, mm, GUINT_TO_POINTER(i + 1));
	}
	return by_mm;
}

static struct space *see(struct bpf_census *census, const struct mm_version *version)
{
	struct space *space = spaces_see(census->spaces, version->pid, version->start_time);

	space_describe(space, version->uid, version->command);
	space->task = version->thread;
	space->backend_data[BPF_DATA_ROUND] = census->round;
	return space;
}

static void drop_vanished(struct space *space, void *data)
{
	const struct vanishing *vanishing = data;
	struct bpf_census *census = vanishing->census;

	if (space->backend_data[BPF_DATA_ROUND] == census->round)
		return;
	vanishing->round->changed |= space_set_mappings(census->spaces, space, NULL, 0);
	space->backend_data[BPF_DATA_MM] = 0;
	space->backend_data[BPF_DATA_ROUND] = 0;
	/* One that is exiting may still have descriptors. */
	if (space->backend_data[BPF_DATA_FILES_ROUND] != census->round)
		space_unsee(space);
}

void bpf_update_mappings(struct bpf_census *census, struct round *round)
{
	g_autoptr(GHashTable) by_mm = find_sharers(census->known);
	struct vanishing vanishing = { census, round };
	struct mm_version *versions = (void *)census->known->data;
	guint n = census->known->len;
	g_autofree guint *of = g_new(guint, n);
	g_autofree struct reading *moved = g_new(struct reading, n);
	size_t count = 0;

	for (guint i = 0; i < n; i++) {
		struct space *space = see(census, &versions[i]);
		gpointer mm = (gpointer)(uintptr_t)versions[i].mm;

		of[i] = GPOINTER_TO_UINT(g_hash_table_lookup(by_mm, mm)) - 1;
		if (of[i] != i)
			continue;
		space_share_mappings(census->spaces, space, false);
		if (!has_version(space, &versions[i]))
			moved[count++] =
				(struct reading){ .space = space, .version = &versions[i] };
	}
	bpf_read(census, moved, count);
	for (size_t i = 0; i < count; i++)
		apply_reading(census, &moved[i], round);
	census->spaces_found = g_hash_table_size(by_mm);
	for (guint i = 0; i < n && census->spaces_found < n; i++)
		if (of[i] != i)
			apply_sharer(census, see(census, &versions[i]), &versions[i],
				&versions[of[i]], round);
	spaces_each(census->spaces, drop_vanished, &vanishing);
}
