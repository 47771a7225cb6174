/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Applies the versions of one walk to the table: reads what has changed, drops what is gone. */
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

/* Marks the space as one to be read again: its version and the walk's equal no later one. */
static void invalidate(const struct reading *reading)
{
	reading->version->mm = 0;
	set_version(reading->space, reading->version);
}

static void empty(struct bpf_census *census, const struct reading *reading, struct round *round)
{
	round->changed |= space_set_mappings(census->spaces, reading->space, NULL, 0);
	invalidate(reading);
}

/*
 * Whether to wait for the lock of an address space that other threads hold. Only for
 * BUSY_WAIT_MAX_NS from the first failure on; after that it is tried once a round, without waiting,
 * until it has been read.
 */
static bool worth_waiting(struct space *space)
{
	uint64_t now = bpf_now_ns();

	if (space->backend_data[BPF_DATA_BUSY] == 0)
		space->backend_data[BPF_DATA_BUSY] = now;
	return now - space->backend_data[BPF_DATA_BUSY] < BUSY_WAIT_MAX_NS;
}

static const char *why_unreadable(int status)
{
	return status < 0 ? g_intern_string(g_strerror(-status)) :
			    "its address space is locked all the while";
}

/*
 * Applies the result of a reading: the space gets the version that was read, or none. One that was
 * changed all the time keeps what was found last, which has every mapping that stayed; but it counts
 * as one that could not be read.
 */
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
		empty(census, reading, round);
		break;
	case READ_TORN:
		round->busy |= worth_waiting(reading->space);
		round->unreadable++;
		spaces_note_unreadable(census->spaces, reading->space->pid,
			"it changes all the while");
		round->changed |= reading->changed;
		invalidate(reading);
		break;
	case READ_BUSY:
		round->busy |= worth_waiting(reading->space);
		/* fall through */
	default:
		if (is_shortage(reading->status))
			round->shortage = reading->status;
		round->unreadable++;
		spaces_note_unreadable(census->spaces, reading->space->pid,
			why_unreadable(reading->status));
		empty(census, reading, round);
	}
}

/* Marks the space as one whose mappings are in the rows of another process. */
static void apply_sharer(struct bpf_census *census, struct space *space, struct mm_version *version,
	const struct mm_version *other, struct round *round)
{
	round->changed |= space_set_mappings(census->spaces, space, NULL, 0);
	space_share_mappings(census->spaces, space, true);
	space->backend_data[BPF_DATA_MM] = 0;
	version->seq = other->seq;
}

/* Whether `a`, not `b`, represents the processes that share an address space. */
static bool is_elder(const struct mm_version *a, const struct mm_version *b)
{
	return a->start_time != b->start_time ? a->start_time < b->start_time : a->pid < b->pid;
}

/* Maps each address space to the index, plus one, of the version that represents it. */
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
	/* A process that is exiting may still have descriptors. */
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

	spaces_forget_unreadable(census->spaces); /* of the round before: they are read again */
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
