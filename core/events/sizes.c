/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/sizes.h"

#include "base/util.h"
#include "events/event.h"

#include <string.h>

/* Sizes that are noted; a power of two. Of others it is said without a need that they are new. */
#define SIZES 8192

/* Shrinks that are not certain yet; of more nobody will know who made them. */
#define UNCERTAIN_MAX 256

/*
 * A process that has changed a size has made its record after so long: longer than the usual period of
 * a limit of processor time (cpu.max), in which it may get none.
 */
#define CERTAIN_US (300 * 1000)

struct size {
	uint64_t inode, size;
	int64_t seen; /* when, of CLOCK_REALTIME, ns */
};

struct uncertain {
	struct shrink shrink;
	gint64 since; /* monotonic, us */
};

struct sizes {
	void (*tell)(const struct shrink *shrink, void *data);
	void *data;
	struct size *known; /* by inode number */
	GArray *uncertain;  /* of struct uncertain, the oldest first */
};

struct sizes *sizes_new(void (*tell)(const struct shrink *shrink, void *data), void *data)
{
	struct sizes *sizes = g_new0(struct sizes, 1);

	sizes->tell = tell;
	sizes->data = data;
	sizes->known = g_new0(struct size, SIZES);
	sizes->uncertain = g_array_new(FALSE, FALSE, sizeof(struct uncertain));
	return sizes;
}

/* From now on it is not known who made the object smaller last; 0: any object. */
static void tell_unknown(const struct sizes *sizes, uint64_t inode)
{
	sizes->tell(&(struct shrink){ .inode = inode }, sizes->data);
}

void sizes_free(struct sizes *sizes)
{
	tell_unknown(sizes, 0);
	g_array_unref(sizes->uncertain);
	g_free(sizes->known);
	g_free(sizes);
}

/* Notes the size. Returns what was known of the object before; of inode 0 if nothing was. */
static struct size note(struct sizes *sizes, uint64_t inode, uint64_t size)
{
	struct size *known = &sizes->known[inode % SIZES], before = *known;

	*known = (struct size){ inode, size, event_now() };
	return before.inode == inode ? before : (struct size){ 0 };
}

bool sizes_note(struct sizes *sizes, uint64_t inode, uint64_t size)
{
	struct size before = note(sizes, inode, size);

	if (before.inode != inode || size < before.size)
		tell_unknown(sizes, inode);
	return before.inode != inode || before.size != size;
}

static bool is_same_process(const struct process_identity *a, const struct process_identity *b)
{
	return a->pid == b->pid && a->born == b->born;
}

/*
 * What another process than `by` was thought to have done, `by` may have done; what the same one did
 * begins when that began: its index, or the number of all.
 */
static guint drop_others(struct sizes *sizes, uint64_t inode, const struct process_identity *by)
{
	for (guint i = 0; i < sizes->uncertain->len; i++) {
		const struct uncertain *one = &g_array_index(sizes->uncertain, struct uncertain, i);

		if (one->shrink.inode != inode)
			continue;
		if (by && is_same_process(&one->shrink.process, by))
			return i;
		g_array_remove_index(sizes->uncertain, i);
		break;
	}
	return sizes->uncertain->len;
}

bool sizes_note_change(struct sizes *sizes, uint64_t inode, uint64_t size,
	const struct process_identity *by)
{
	struct size before = note(sizes, inode, size);
	guint at = drop_others(sizes, inode, by);
	struct uncertain one = {
		.shrink = {
			.inode = inode,
			.from = before.size,
			.to = size,
			.after = before.seen,
			.until = sizes->known[inode % SIZES].seen,
		},
		.since = g_get_monotonic_time(),
	};

	if (before.inode == inode && before.size == size)
		return false;
	if (before.inode == inode && size > before.size)
		return true;
	/* What is known of an earlier one is not about the last one any more. */
	tell_unknown(sizes, inode);
	if (before.inode != inode || !by || by->pid == 0)
		return true;
	one.shrink.process = *by;
	if (at < sizes->uncertain->len) {
		struct uncertain *first = &g_array_index(sizes->uncertain, struct uncertain, at);

		one.shrink.after = first->shrink.after;
		one.shrink.from = MAX(first->shrink.from, one.shrink.from);
		g_array_remove_index(sizes->uncertain, at);
	}
	if (sizes->uncertain->len < UNCERTAIN_MAX)
		g_array_append_val(sizes->uncertain, one);
	return true;
}

void sizes_blur(struct sizes *sizes, uint64_t inode)
{
	struct size *known = &sizes->known[inode % SIZES];

	if (known->inode == inode)
		*known = (struct size){ 0 };
	drop_others(sizes, inode, NULL);
	tell_unknown(sizes, inode);
}

void sizes_forget(struct sizes *sizes)
{
	tell_unknown(sizes, 0);
	memset(sizes->known, 0, SIZES * sizeof *sizes->known);
	g_array_set_size(sizes->uncertain, 0);
}

bool sizes_unsettled(const struct sizes *sizes)
{
	return sizes->uncertain->len > 0;
}

void sizes_settle(struct sizes *sizes, gint64 drained)
{
	guint n = 0;

	while (n < sizes->uncertain->len &&
		g_array_index(sizes->uncertain, struct uncertain, n).since + CERTAIN_US < drained)
		sizes->tell(&g_array_index(sizes->uncertain, struct uncertain, n++).shrink,
			sizes->data);
	if (n > 0)
		g_array_remove_range(sizes->uncertain, 0, n);
}
