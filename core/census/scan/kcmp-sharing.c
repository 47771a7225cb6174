/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/scan/kcmp-sharing.h"

#include "census/pass/stall.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* How often to sort processes that change their programs meanwhile. */
#define ATTEMPTS_MAX 8

/* The order that kcmp(2) gives what two threads have: -1, 0 (the same), 1; or 2: it cannot tell. */
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

bool kcmp_can_compare(pid_t task, int type)
{
	return compare(task, task, type) == 0;
}

enum kcmp_result kcmp_search(const GPtrArray *sorted, pid_t (*task_of)(gconstpointer element),
	pid_t task, int type, guint *at)
{
	guint low = 0, high = sorted->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		int order = compare(task, task_of(sorted->pdata[middle]), type);

		*at = middle;
		if (order == 0)
			return KCMP_FOUND;
		if (order == 2)
			return KCMP_UNKNOWN;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	*at = low;
	return KCMP_ABSENT;
}

bool kcmp_works(const struct proc *proc)
{
	return !proc_is_own(proc) || kcmp_can_compare(getpid(), KCMP_VM);
}

struct resolve {
	const struct proc *proc;
	struct spaces *spaces;
	int type;           /* KCMP_VM or KCMP_FILES */
	GPtrArray *members; /* spaces that have rows of this type */
	GArray *stale;
	bool lost; /* the thread of a distinct space has gone; its process may live */
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
	else /* a space without rows is compared anew once it has some */
		space->backend_data[SCAN_DATA_DISTINCT] &= ~bit(resolve);
}

/* Families together; in each the eldest first, whose rows are to count. */
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
 * Marks the space as distinct. Its rows were read first, and then found to be shared with no other
 * process. If the process still runs the program that it ran before the reading, it did not share
 * them at that time either; otherwise it may have shared them until it called execve(2).
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

static pid_t task_of_space(gconstpointer element)
{
	return ((const struct space *)element)->task;
}

/*
 * Searches the distinct spaces for this one. A distinct space whose thread has gone is taken out of
 * them: it may have left its address space to others.
 */
static enum kcmp_result find(struct resolve *resolve, GPtrArray *distinct,
	const struct space *space, guint *at)
{
	enum kcmp_result result;

	while ((result = kcmp_search(distinct, task_of_space, space->task, resolve->type, at)) ==
		KCMP_UNKNOWN) {
		const struct space *other = distinct->pdata[*at];

		if (kcmp_can_compare(other->task, resolve->type)) {
			/* If this one has gone, what was read may not have been its own. */
			if (!kcmp_can_compare(space->task, resolve->type))
				g_array_append_val(resolve->stale, space->pid);
			break;
		}
		g_array_append_val(resolve->stale, other->pid);
		g_ptr_array_remove_index(distinct, *at);
		resolve->lost = true;
	}
	return result;
}

static void place(struct resolve *resolve, GPtrArray *distinct, struct space *space)
{
	guint at;
	enum kcmp_result result = find(resolve, distinct, space, &at);

	set_shares(resolve, space, result == KCMP_FOUND);
	if (result != KCMP_ABSENT)
		return;
	confirm(resolve, space);
	g_ptr_array_insert(distinct, (int)at, space);
}

/*
 * Whether the distinct spaces are still in order. A process that calls execve(2) meanwhile gets
 * another place in it, and a search that went by its old place may have missed what it looked for.
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
 * Whether the threads of all distinct spaces live. A thread that has exited has no address space
 * and no descriptors, and so seems distinct from processes with which the rest of its process
 * shares.
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

/* Forgets which spaces of the family are distinct: all are to be placed anew. */
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

/* What kcmp_each_table() was asked, and a thread of each table that it has been at. */
struct tables {
	int dir;
	GPtrArray *sorted;
	int (*visit)(int thread, void *data);
	void *data;
};

static pid_t task_of_table(gconstpointer element)
{
	return GPOINTER_TO_INT(element);
}

static int visit_table(const struct tables *tables, pid_t tid)
{
	struct proc_stat stat;
	guint at;
	int error;

	switch (kcmp_search(tables->sorted, task_of_table, tid, KCMP_FILES, &at)) {
	case KCMP_FOUND:
		return 0;
	case KCMP_UNKNOWN:
		/* A thread that has gone itself has no table. */
		return kcmp_can_compare(tid, KCMP_FILES) ? -ESRCH : 0;
	case KCMP_ABSENT:
		break;
	}
	auto_fd thread = proc_open_thread(tables->dir, tid);
	error = thread < 0 ? thread : proc_read_stat(thread, &stat);
	if (error)
		return error == -ENOENT || error == -ESRCH ? 0 : error;
	/* A thread that ends has no table, and its /proc entries are closed to all but root. */
	if (proc_has_no_mm(&stat))
		return 0;
	error = tables->visit(thread, tables->data);
	g_ptr_array_insert(tables->sorted, (int)at, GINT_TO_POINTER(tid));
	return error == -ENOENT || error == -ESRCH ? 0 : error;
}

int kcmp_each_table(int dir, pid_t task, int (*visit)(int thread, void *data), void *data)
{
	g_autoptr(GArray) tids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	g_autoptr(GPtrArray) sorted = g_ptr_array_new();
	const struct tables tables = { dir, sorted, visit, data };
	struct stat st;
	int error;

	if (fstatat(dir, "task", &st, 0) < 0)
		return -errno;
	/* A directory for each thread, "." and "..". */
	if (task && st.st_nlink <= 3)
		return 0;
	error = proc_list_threads(dir, tids);
	if (task)
		g_ptr_array_add(sorted, GINT_TO_POINTER(task));
	for (guint i = 0; i < tids->len && !error; i++)
		error = visit_table(&tables, g_array_index(tids, pid_t, i));
	return error;
}
