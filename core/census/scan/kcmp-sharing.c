/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/scan/kcmp-sharing.h"

#include "census/stall.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>

/* At finding an order among processes that change their programs meanwhile. */
#define ATTEMPTS_MAX 8

/* kcmp(2) orders what it compares: -1, 0, 1; or 2 when it cannot tell. */
static int compare(pid_t a, pid_t b, int type)
{
	long order = -1;
	int error = EBUSY;

	if (stall_enter(a, b)) {
		order = syscall(SYS_kcmp, a, b, type, 0, 0);
		error = errno;
		stall_leave();
	}
	errno = error;
	switch (order) {
	case 0:
		return 0;
	case 1:
		return -1;
	case 2:
		return 1;
	default:
		return 2;
	}
}

int kcmp_order_files(pid_t a, pid_t b)
{
	return compare(a, b, KCMP_FILES);
}

bool kcmp_works(const struct proc *proc)
{
	return !proc_is_own(proc) || compare(getpid(), getpid(), KCMP_VM) == 0;
}

struct resolve {
	const struct proc *proc;
	struct spaces *spaces;
	int type;           /* KCMP_VM or KCMP_FILES */
	GPtrArray *members; /* spaces that have rows of this type */
	GArray *stale;
	bool lost; /* a thread that stood for a process has gone, maybe not the process */
};

static uint64_t bit(const struct resolve *resolve)
{
	return UINT64_C(1) << resolve->type;
}

static void collect(struct space *space, void *data)
{
	struct resolve *resolve = data;

	if (resolve->type == KCMP_VM ? space->n_mappings : space->n_descriptors)
		g_ptr_array_add(resolve->members, space);
	else /* from those only that have rows now */
		space->backend_data[SCAN_DATA_DISTINCT] &= ~bit(resolve);
}

/* Families together, and in each the eldest first, which is to be the one that counts. */
static int by_family(gconstpointer a, gconstpointer b)
{
	const struct space *x = *(const struct space *const *)a;
	const struct space *y = *(const struct space *const *)b;
	uint64_t of_x = x->backend_data[SCAN_DATA_LAYOUT], of_y = y->backend_data[SCAN_DATA_LAYOUT];

	if (of_x != of_y)
		return of_x < of_y ? -1 : 1;
	if (x->start_time != y->start_time)
		return x->start_time < y->start_time ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static void set_shares(struct resolve *resolve, struct space *space, bool shares)
{
	if (shares)
		space->backend_data[SCAN_DATA_DISTINCT] &= ~bit(resolve);
	if (resolve->type == KCMP_VM)
		space_share_mappings(resolve->spaces, space, shares);
	else
		space_share_descriptors(resolve->spaces, space, shares);
}

static bool read_stat(const struct resolve *resolve, const struct space *space,
	struct proc_stat *stat)
{
	auto_fd dir = proc_open_pid(resolve->proc, space->task);
	bool read;

	if (dir < 0 || !stall_enter(space->task, 0))
		return false;
	read = proc_read_stat(dir, stat) == 0;
	stall_leave();
	return read;
}

/*
 * The rows were read, then found to be nobody else's. If the program is the same as before the
 * reading, this was so at that time too; else the process may have shared the rows until it called
 * execve(2).
 */
static void confirm(struct resolve *resolve, struct space *space)
{
	struct proc_stat stat;

	if (space->backend_data[SCAN_DATA_DISTINCT] & bit(resolve))
		return;
	space->backend_data[SCAN_DATA_DISTINCT] |= bit(resolve);
	if (!read_stat(resolve, space, &stat) ||
		stat.layout != space->backend_data[SCAN_DATA_LAYOUT])
		g_array_append_val(resolve->stale, space->pid);
}

/* Where kcmp() orders the space among the distinct ones. True if it is found to be one of them. */
static bool find(struct resolve *resolve, GPtrArray *distinct, const struct space *space, guint *at,
	bool *known)
{
	guint low = 0, high = distinct->len;

	*known = true;
	while (low < high) {
		guint middle = low + (high - low) / 2;
		const struct space *other = distinct->pdata[middle];
		int order = compare(space->task, other->task, resolve->type);

		if (order == 0)
			return true;
		if (order < 0) {
			high = middle;
		} else if (order == 1) {
			low = middle + 1;
		} else if (compare(other->task, other->task, resolve->type) == 0) {
			/* It cannot be told; if it died, what was read was maybe not its own. */
			if (compare(space->task, space->task, resolve->type) != 0)
				g_array_append_val(resolve->stale, space->pid);
			*known = false;
			return false;
		} else {
			/* It died, and may have left its address space to others. */
			g_array_append_val(resolve->stale, other->pid);
			g_ptr_array_remove_index(distinct, middle);
			resolve->lost = true;
			high--;
		}
	}
	*at = low;
	return false;
}

static void place(struct resolve *resolve, GPtrArray *distinct, struct space *space)
{
	guint at;
	bool known, found = find(resolve, distinct, space, &at, &known);

	set_shares(resolve, space, found);
	if (found || !known)
		return;
	confirm(resolve, space);
	g_ptr_array_insert(distinct, (int)at, space);
}

/*
 * Whether the distinct ones are in order still. Who calls execve(2) meanwhile gets another place,
 * and those that were searched for past the old one may have been missed.
 */
static bool in_order(const struct resolve *resolve, const GPtrArray *distinct)
{
	for (guint i = 0; i + 1 < distinct->len; i++) {
		const struct space *space = distinct->pdata[i], *next = distinct->pdata[i + 1];

		if (compare(space->task, next->task, resolve->type) != -1)
			return false;
	}
	return true;
}

/*
 * A thread that has left its process has no address space and no descriptors, and so seems distinct
 * from those with which the rest of its process shares.
 */
static bool all_live(const struct resolve *resolve, const GPtrArray *distinct)
{
	bool live = true;

	for (guint i = 0; i < distinct->len; i++) {
		const struct space *space = distinct->pdata[i];
		struct proc_stat stat;

		if (read_stat(resolve, space, &stat) && !proc_has_no_mm(&stat))
			continue;
		g_array_append_val(resolve->stale, space->pid);
		live = false;
	}
	return live;
}

/* Nobody in the family is known to be distinct: all are to be placed anew. */
static void forget_distinct(struct resolve *resolve, guint begin, guint end)
{
	for (guint i = begin; i < end; i++) {
		struct space *space = resolve->members->pdata[i];

		space->backend_data[SCAN_DATA_DISTINCT] &= ~bit(resolve);
	}
}

static bool are_all_distinct(const struct resolve *resolve, guint begin, guint end)
{
	for (guint i = begin; i < end; i++) {
		const struct space *space = resolve->members->pdata[i];

		if (!(space->backend_data[SCAN_DATA_DISTINCT] & bit(resolve)))
			return false;
	}
	return true;
}

static void resolve_family(struct resolve *resolve, guint begin, guint end)
{
	bool ordered = false;

	if (are_all_distinct(resolve, begin, end))
		return;
	for (unsigned attempt = 0; attempt < ATTEMPTS_MAX && !ordered; attempt++) {
		g_autoptr(GPtrArray) distinct = g_ptr_array_sized_new(end - begin);

		resolve->lost = false;
		for (guint i = begin; i < end; i++)
			place(resolve, distinct, resolve->members->pdata[i]);
		ordered = in_order(resolve, distinct);
		if (!ordered || resolve->lost || !all_live(resolve, distinct))
			forget_distinct(resolve, begin, end);
	}
}

static void resolve_type(const struct proc *proc, struct spaces *spaces, int type, GArray *stale)
{
	struct resolve resolve = {
		.proc = proc,
		.spaces = spaces,
		.type = type,
		.stale = stale,
		.members = g_ptr_array_new(),
	};
	GPtrArray *members = resolve.members;

	spaces_each(spaces, collect, &resolve);
	g_ptr_array_sort(members, by_family);
	for (guint begin = 0, end; begin < members->len; begin = end) {
		const struct space *first = members->pdata[begin];

		end = begin + 1;
		while (end < members->len &&
			((struct space *)members->pdata[end])->backend_data[SCAN_DATA_LAYOUT] ==
				first->backend_data[SCAN_DATA_LAYOUT])
			end++;
		if (end - begin > 1)
			resolve_family(&resolve, begin, end);
		else
			set_shares(&resolve, members->pdata[begin], false);
	}
	g_ptr_array_unref(members);
}

void kcmp_sharing_resolve(const struct proc *proc, struct spaces *spaces, unsigned facets,
	GArray *stale)
{
	if (!proc_is_own(proc))
		return;
	if (facets & CENSUS_MAPPINGS)
		resolve_type(proc, spaces, KCMP_VM, stale);
	if (facets & CENSUS_DESCRIPTORS)
		resolve_type(proc, spaces, KCMP_FILES, stale);
}
