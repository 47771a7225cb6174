/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a pass misses no process that uses a segment:
 *
 * A process made after the pids were listed may have inherited a mapping that its parent has given
 * up before the parent was read. So the pids are listed again until no new one appears.
 *
 * Of each process the descriptors are read before the mappings: the usual way to use a segment is
 * to open it, map it and close it, and a process at any point of this is seen with one or the
 * other. What a process neither maps nor holds, such as a descriptor on its way through a socket,
 * procfs does not show.
 *
 * The kernel gives /proc/PID/maps piece by piece: a mapping that is moved meanwhile may be in no
 * piece, or in two. So a process must have stood still while it was read (quiescence.h). Of one
 * that does not, two readings that agree are taken, and it is counted as inconsistent; if there are
 * none, it is also one that could not be read.
 *
 * Of a process whose mappings can be read, but not its descriptors, the mappings count; it is one that
 * could not be read all the same.
 *
 * A process without mappings is a kernel thread, is exiting, or is just changing its program, which
 * is why it is read again; if only its first thread has exited, another thread is read.
 */
#include "census/scan/scan.h"

#include "census/pass/stall.h"
#include "census/scan/process-rows.h"
#include "census/scan/kcmp-sharing.h"
#include "census/scan/quiescence.h"
#include "procfs/status.h"

#include <string.h>
#include <sys/stat.h>

/* Only a fork bomb needs more rounds, only execve() in a loop more attempts. */
#define ROUNDS_MAX 32
#define ATTEMPTS_MAX 32
/* Of a process that does not stand still. */
#define READINGS_MAX 6

struct scan {
	struct census_source source;
	maps_reader read_maps;
};

enum outcome {
	READ,
	NONE, /* it has no address space, and will never have one */
	GONE, /* a process that has this pid later is another one */
	UNREADABLE,
};

/* What was read of one process. */
struct reading {
	GArray *mappings, *descriptors;
};

/* How far a reading can be relied upon. */
enum consistency {
	CONSISTENT, /* all of it was true at one instant */
	REPEATED,   /* it ran meanwhile, but a second reading found the same */
	UNSTABLE,   /* no two readings agreed */
};

/* A pass under way. */
struct pass {
	struct scan *scan;
	struct spaces *spaces;
	struct process_rows rows;
	struct reading before; /* the reading before, of a process that ran meanwhile */
	unsigned facets;
	struct census_tally *tally;
	GHashTable *inconsistent; /* set of pids: what came of each when it was last read */
	GHashTable *unreadable;   /* likewise, pid: why */
	int closed;               /* why the last process's descriptors could not be read, or 0 */
	GArray *known;            /* pids listed in the last round, ascending */
};

struct scan *scan_new(const struct census_source *source, maps_reader read_maps)
{
	struct scan *scan = g_new0(struct scan, 1);

	scan->source = *source;
	scan->read_maps = read_maps;
	return scan;
}

/* Without kcmp(2) a pass counts too much, and only this line tells the user. */
const char *scan_caveat(void *scan)
{
	return kcmp_works(((struct scan *)scan)->source.proc) ?
		NULL :
		"kcmp(2) does not work here: what processes share counts for each";
}

const char *scan_incomplete_view(void *scan)
{
	return proc_incomplete_view(((struct scan *)scan)->source.proc);
}

void scan_free(void *scan)
{
	g_free(scan);
}

/* Not so if we lack descriptors or memory to look: then nothing is known of it. */
static bool is_gone(int error)
{
	return error == -ENOENT || error == -ESRCH;
}

/*
 * Finds a thread of the process that still has its address space. Returns the thread's directory,
 * which the caller closes, and its `stat`. -ENOENT if there is no such thread, -ESRCH if none was
 * met.
 */
static int open_live_thread(int dir, pid_t *task, struct proc_stat *stat)
{
	g_autoptr(GArray) tids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	int error = proc_list_threads(dir, tids);

	for (guint i = 0; i < tids->len && !error; i++) {
		pid_t tid = g_array_index(tids, pid_t, i);
		auto_fd thread = proc_open_thread(dir, tid);

		error = thread < 0 ? thread : proc_read_stat(thread, stat);
		if (is_gone(error))
			error = 0;
		else if (!error && !proc_has_no_mm(stat)) {
			*task = tid;
			return steal_fd(&thread);
		}
	}
	if (error)
		return error;
	return proc_is_alone(dir) ? -ENOENT : -ESRCH;
}

static int read_once(struct pass *pass, int dir, int thread, pid_t task)
{
	int error = 0;

	pass->closed = 0;
	if (pass->facets & CENSUS_DESCRIPTORS)
		error = process_rows_read_descriptors(&pass->rows, thread);
	if (!error && pass->facets & CENSUS_DESCRIPTORS)
		error = process_rows_read_unshared_descriptors(&pass->rows, dir, task);
	if (error == -EACCES || error == -EPERM) {
		pass->closed = error;
		g_array_set_size(pass->rows.descriptors, 0);
		error = 0;
	}
	if (!error)
		error = process_rows_read_mappings(&pass->rows, thread, pass->scan->read_maps);
	return error;
}

static bool array_equal(const GArray *a, const GArray *b)
{
	return a->len == b->len &&
		(!a->len ||
			!memcmp(a->data, b->data, a->len * g_array_get_element_size((GArray *)a)));
}

static void swap(GArray **a, GArray **b)
{
	GArray *c = *a;

	*a = *b;
	*b = c;
}

static bool agree(const struct pass *pass)
{
	return array_equal(pass->rows.mappings, pass->before.mappings) &&
		array_equal(pass->rows.descriptors, pass->before.descriptors);
}

static int read_rows(struct pass *pass, int dir, int thread, pid_t task,
	enum consistency *consistency)
{
	bool live = proc_is_live(pass->scan->source.proc);
	int error = 0;

	for (int readings = 1; !error; readings++) {
		struct quiescence since = live ? quiescence_observe(dir) : (struct quiescence){ 0 };

		g_array_set_size(pass->rows.descriptors, 0);
		error = read_once(pass, dir, thread, task);
		*consistency = CONSISTENT;
		if (error || !live || quiescence_held(dir, &since))
			break;
		*consistency = REPEATED;
		if (readings > 1 && agree(pass))
			break;
		*consistency = UNSTABLE;
		if (readings == READINGS_MAX)
			break;
		swap(&pass->rows.mappings, &pass->before.mappings);
		swap(&pass->rows.descriptors, &pass->before.descriptors);
	}
	return error;
}

/* Drops what an earlier pass or round stored for this pid. */
static void forget(struct pass *pass, pid_t pid)
{
	struct space *space = spaces_lookup(pass->spaces, pid);

	if (!space)
		return;
	space_set_mappings(pass->spaces, space, NULL, 0);
	space_set_descriptors(pass->spaces, space, NULL, 0);
}

/* Puts what was read into the table. */
static int store(struct pass *pass, int dir, pid_t pid, pid_t task, const struct proc_stat *stat,
	uint64_t layout)
{
	const struct process_rows *rows = &pass->rows;
	struct space *space;
	struct proc_status status;
	int error;

	/* Most processes use no segment: they are not in the table. */
	if (!rows->mappings->len && !rows->descriptors->len) {
		forget(pass, pid);
		return 0;
	}
	error = proc_read_status(dir, &status, NULL);
	if (error)
		return error;
	space = spaces_see(pass->spaces, pid, stat->start_time);
	space_describe(space, status.uids[ID_EFFECTIVE], stat->command);
	space->task = task;
	space->backend_data[SCAN_DATA_LAYOUT] = layout;
	space_set_mappings(pass->spaces, space, (struct mapping *)rows->mappings->data,
		rows->mappings->len);
	space_set_descriptors(pass->spaces, space, (struct descriptor *)rows->descriptors->data,
		rows->descriptors->len);
	return 0;
}

/*
 * -ESRCH: it had no address space just now; -ENOENT: it has none, nor has any other thread of it.
 */
static int read_process(struct pass *pass, pid_t pid, int dir, const struct proc_stat *stat,
	enum consistency *consistency)
{
	struct proc_stat of_thread = *stat;
	pid_t task = pid;
	auto_fd other = -1;
	int error;

	if (proc_has_no_mm(stat)) {
		other = open_live_thread(dir, &task, &of_thread);
		if (other < 0)
			return other;
	}
	error = read_rows(pass, dir, other < 0 ? dir : other, task, consistency);
	if (error)
		return error;
	return store(pass, dir, pid, task, stat, of_thread.layout);
}

static void note_unreadable(struct pass *pass, pid_t pid, const char *why)
{
	g_hash_table_insert(pass->unreadable, GINT_TO_POINTER(pid), (gpointer)why);
}

static enum outcome unreadable(struct pass *pass, pid_t pid, int error)
{
	if (is_shortage(error))
		pass->tally->shortage = error;
	note_unreadable(pass, pid, g_intern_string(g_strerror(-error)));
	return UNREADABLE;
}

static void note_reading(struct pass *pass, pid_t pid, enum consistency consistency)
{
	if (consistency != CONSISTENT)
		g_hash_table_add(pass->inconsistent, GINT_TO_POINTER(pid));
	if (consistency == UNSTABLE)
		note_unreadable(pass, pid, "it changes all the while");
	else if (pass->closed)
		note_unreadable(pass, pid, "its mappings count; its descriptors cannot be read");
}

static enum outcome try_process(struct pass *pass, pid_t pid, int dir)
{
	struct proc_stat stat;
	enum consistency consistency = CONSISTENT;

	for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
		int error = proc_read_stat(dir, &stat);

		if (error)
			return error == -ESRCH ? GONE : unreadable(pass, pid, error);
		if (proc_is_kernel_thread(&stat))
			return NONE;
		error = read_process(pass, pid, dir, &stat, &consistency);
		if (!error) {
			note_reading(pass, pid, consistency);
			return READ;
		}
		if (error == -ENOENT)
			return NONE;
		if (error != -ESRCH)
			return unreadable(pass, pid, error);
	}
	note_unreadable(pass, pid, "it changes its program all the while");
	return UNREADABLE;
}

static int by_number(gconstpointer a, gconstpointer b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* Forgets that the pid was listed: if it is listed again, it is a new process's. */
static void strike_out(struct pass *pass, pid_t pid)
{
	guint at;

	if (g_array_binary_search(pass->known, &pid, by_number, &at))
		g_array_remove_index(pass->known, at);
}

static enum outcome scan_process(struct pass *pass, pid_t pid)
{
	auto_fd dir = proc_open_pid(pass->scan->source.proc, pid);
	enum outcome outcome;

	g_hash_table_remove(pass->inconsistent, GINT_TO_POINTER(pid));
	g_hash_table_remove(pass->unreadable, GINT_TO_POINTER(pid));
	if (dir < 0) {
		outcome = is_gone(dir) ? GONE : unreadable(pass, pid, dir);
	} else if (!stall_enter(pid, 0)) {
		note_unreadable(pass, pid, "it does not answer");
		outcome = UNREADABLE;
	} else {
		outcome = try_process(pass, pid, dir);
		stall_leave();
	}
	if (outcome == GONE)
		strike_out(pass, pid);
	return outcome;
}

/* Reads a process again because what this pass stored for it has turned out not to be true. */
static void rescan(struct pass *pass, pid_t pid)
{
	if (scan_process(pass, pid) != READ)
		forget(pass, pid);
}

static void scan_new_process(struct pass *pass, pid_t pid)
{
	enum outcome outcome = scan_process(pass, pid);

	pass->tally->spaces += outcome == READ;
	pass->tally->reread += outcome == READ;
}

/* Lists the pids that have appeared since the last call. */
static int list_new(struct pass *pass, GArray *appeared)
{
	GArray *listed = g_array_new(FALSE, FALSE, sizeof(pid_t));
	int error = proc_list(pass->scan->source.proc, listed);
	guint at = 0;

	g_array_set_size(appeared, 0);
	g_array_sort(listed, by_number);
	for (guint i = 0; i < listed->len; i++) {
		pid_t pid = g_array_index(listed, pid_t, i);

		while (at < pass->known->len && g_array_index(pass->known, pid_t, at) < pid)
			at++;
		if (at < pass->known->len && g_array_index(pass->known, pid_t, at) == pid)
			continue;
		if (pid != pass->scan->source.self)
			g_array_append_val(appeared, pid);
	}
	g_array_unref(pass->known);
	pass->known = listed;
	return error;
}

static int scan_rounds(struct pass *pass)
{
	g_autoptr(GArray) appeared = g_array_new(FALSE, FALSE, sizeof(pid_t));
	g_autoptr(GArray) stale = g_array_new(FALSE, FALSE, sizeof(pid_t));
	int error = 0;

	for (int round = 0; round < ROUNDS_MAX; round++) {
		error = list_new(pass, appeared);
		if (error || (!appeared->len && !stale->len))
			return error;
		for (guint i = 0; i < stale->len; i++)
			rescan(pass, g_array_index(stale, pid_t, i));
		for (guint i = 0; i < appeared->len; i++)
			scan_new_process(pass, g_array_index(appeared, pid_t, i));
		g_array_set_size(stale, 0);
		kcmp_sharing_resolve(pass->scan->source.proc, pass->spaces, pass->facets, stale);
	}
	/* Processes appeared faster than they could be read: count those that were not. */
	error = list_new(pass, appeared);
	pass->tally->unreadable += appeared->len;
	return error;
}

static void discount_shared(struct space *space, void *data)
{
	struct pass *pass = data;

	pass->tally->spaces -= space->shares_mappings;
	/* Whether the processes that share it ran was not observed: quiescence.h. */
	if (space->shares_mappings)
		g_hash_table_add(pass->inconsistent, GINT_TO_POINTER(space->pid));
}

static void hand_on(gpointer pid, gpointer why, gpointer data)
{
	struct pass *pass = data;

	spaces_note_unreadable(pass->spaces, GPOINTER_TO_INT(pid), why);
}

static void tally_up(struct pass *pass)
{
	spaces_each(pass->spaces, discount_shared, pass);
	pass->tally->inconsistent = MIN(g_hash_table_size(pass->inconsistent), pass->tally->spaces);
	pass->tally->unreadable += g_hash_table_size(pass->unreadable);
	g_hash_table_foreach(pass->unreadable, hand_on, pass);
}

int scan_pass(struct scan *scan, struct spaces *spaces, unsigned facets, struct census_tally *tally)
{
	struct pass pass = {
		.scan = scan,
		.spaces = spaces,
		.facets = facets,
		.tally = tally,
		.known = g_array_new(FALSE, FALSE, sizeof(pid_t)),
		.inconsistent = g_hash_table_new(NULL, NULL),
		.unreadable = g_hash_table_new(NULL, NULL),
		.before = {
			.mappings = g_array_new(FALSE, FALSE, sizeof(struct mapping)),
			.descriptors = g_array_new(FALSE, FALSE, sizeof(struct descriptor)),
		},
	};
	int error;

	process_rows_init(&pass.rows, scan->source.proc, scan->source.devices, spaces);
	error = scan_rounds(&pass);
	tally_up(&pass);
	process_rows_deinit(&pass.rows);
	g_array_unref(pass.before.mappings);
	g_array_unref(pass.before.descriptors);
	g_array_unref(pass.known);
	g_hash_table_unref(pass.inconsistent);
	g_hash_table_unref(pass.unreadable);
	return error;
}
