/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/faults.h"

#include "base/util.h"
#include "census/counts/devices.h"
#include "faults/programs.h"
#include "faults/self-test.h"
#include "procfs/cgroup-path.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysmacros.h>

/*
 * So many seconds after a bus error it may still become known who truncated the segment: the thread of
 * the events has that much time to read the kernel's record on a busy machine. And so often, at most,
 * the thread looks while truncations become known.
 */
#define LEARNT_AFTER_S 60
#define LEARNT_EVERY_MS 50

struct faults {
	struct faults_config config;
	GThread *thread; /* NULL: it could not be started, or was not needed */
	int end;         /* an eventfd: readable when the thread is to end */
	GMutex lock;
	GCond tried_changed;
	/* Protected by `lock`. */
	bool tried; /* whether the programs work is known: `programs` and `why_not` are constant */
	struct fault_programs *programs;
	const char *why_not;
	uint64_t mount_dev;
	GPtrArray *kept; /* of struct fault, the oldest first */
};

const char *fault_cause_name(enum fault_cause cause)
{
	static const char *const names[FAULT_CAUSES] = {
		[FAULT_TRUNCATED] = "truncated",
		[FAULT_NO_SPACE] = "no space",
		[FAULT_NO_HUGE_PAGE] = "no huge page",
		[FAULT_CGROUP] = "memory cgroup",
		[FAULT_OTHER] = "other",
	};

	return names[cause];
}

/* What is kept */

/*
 * Returns the index of the oldest one of the user, or the process, that has most of them: by the
 * number `offset` bytes into each. `user`: only that one's; or NULL.
 */
static guint oldest_of_most(const GPtrArray *kept, const struct fault *user, size_t offset)
{
	g_autoptr(GHashTable) counts = g_hash_table_new(g_int64_hash, g_int64_equal);
	g_autoptr(GHashTable) oldest = g_hash_table_new(g_int64_hash, g_int64_equal);
	guint at = 0, most = 0;

	for (guint i = 0; i < kept->len; i++) {
		struct fault *fault = kept->pdata[i];
		gint64 *whose = (gint64 *)(void *)((char *)fault + offset);
		guint n;

		if (user && fault->seen.account != user->seen.account)
			continue;
		n = GPOINTER_TO_UINT(g_hash_table_lookup(counts, whose)) + 1;
		if (n == 1)
			g_hash_table_insert(oldest, whose, GUINT_TO_POINTER(i));
		g_hash_table_insert(counts, whose, GUINT_TO_POINTER(n));
		if (n > most) {
			most = n;
			at = GPOINTER_TO_UINT(g_hash_table_lookup(oldest, whose));
		}
	}
	return at;
}

/* Returns which one goes: the oldest of the process with most of them, of the user with most. */
static guint next_to_go(const GPtrArray *kept)
{
	guint at = oldest_of_most(kept, NULL, offsetof(struct fault, seen.account));

	return oldest_of_most(kept, kept->pdata[at], offsetof(struct fault, seen.start_time));
}

/* Called with the lock. */
static void keep(struct faults *faults, struct fault *fault)
{
	if (faults->kept->len == FAULTS_KEPT)
		g_ptr_array_remove_index(faults->kept, next_to_go(faults->kept));
	g_ptr_array_add(faults->kept, fault);
}

/* What is found out about one */

static struct timespec wall_time(uint64_t boot_ns)
{
	struct timespec boot, now;
	int64_t ns;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &now);
	ns = (now.tv_sec - boot.tv_sec) * INT64_C(1000000000) + now.tv_nsec - boot.tv_nsec +
		(int64_t)boot_ns;
	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

static void find_unit(struct fault *fault)
{
	g_autofree char *path = NULL;

	g_strlcpy(fault->unit, "-", sizeof fault->unit);
	if (fault->seen.group && cgroup_path_of(fault->seen.group, &path) == 0 && path)
		cgroup_parse_unit(path, fault->unit);
}

static bool find_truncation(const struct faults *faults, struct fault *fault)
{
	const struct beyond_end at = {
		.time = fault->time.tv_sec * INT64_C(1000000000) + fault->time.tv_nsec,
		.offset = fault->seen.offset,
		.size = fault->seen.size,
	};

	fault->cut = fault->is_object && fault->seen.cause == FAULT_TRUNCATED &&
		truncations_last(faults->config.truncations, &fault->key, &at, &fault->by);
	return fault->cut;
}

/* Whether it is not known who truncated the segment, and may still become known. */
static bool may_be_learnt(const struct fault *fault, const struct timespec *now)
{
	return fault->is_object && !fault->cut && fault->seen.cause == FAULT_TRUNCATED &&
		fault->time.tv_sec + LEARNT_AFTER_S >= now->tv_sec;
}

/*
 * Looks again who truncated the segments of which that was not known: of what happens outside of the
 * mount the daemon learns a moment later. Called with the lock; returns whether that may still be.
 */
static bool find_truncations_again(struct faults *faults)
{
	struct timespec now;
	bool any = false;

	clock_gettime(CLOCK_REALTIME, &now);
	for (guint i = faults->kept->len; i-- > 0;) {
		struct fault *fault = faults->kept->pdata[i], *again;

		if (!may_be_learnt(fault, &now))
			continue;
		any = true;
		again = g_atomic_rc_box_dup(sizeof *fault, fault);
		if (find_truncation(faults, again)) {
			g_atomic_rc_box_release(fault);
			faults->kept->pdata[i] = again;
		} else {
			g_atomic_rc_box_release(again);
		}
	}
	return any;
}

/* Called with the lock. */
static void add(const struct seen_fault *seen, void *data)
{
	struct faults *faults = data;
	struct fault *fault = g_atomic_rc_box_new0(struct fault);
	const struct file_seen file = {
		.dev = makedev(seen->dev >> 20, seen->dev & 0xfffff),
		.ino = seen->ino,
		.name = fault->seen.name,
		.private = seen->flags & FAULT_PRIVATE,
		.ipc_ns = seen->ipc_ns == faults->config.ipc_ns ? 0 : seen->ipc_ns,
	};

	fault->seen = *seen;
	fault->dev = file.dev;
	fault->time = wall_time(seen->time);
	fault->is_object = census_identify(faults->config.census, &file, &fault->key);
	find_unit(fault);
	find_truncation(faults, fault);
	keep(faults, fault);
	faults->config.tell(fault, faults->config.data);
}

/* The thread */

static int load_programs(struct fault_programs **out, const char **why)
{
	struct fault_programs *programs = NULL;
	int r = fault_programs_load(&programs, why);

	if (r < 0)
		return r;
	r = fault_self_test(programs, FAULT_CASE_NONE, why);
	if (r == 0)
		r = fault_programs_start(programs, why);
	if (r < 0)
		fault_programs_free(programs);
	else
		*out = programs;
	return r;
}

static void load(struct faults *faults)
{
	struct fault_programs *programs = NULL;
	const char *why = NULL;

	if (load_programs(&programs, &why) < 0)
		programs = NULL;
	g_mutex_lock(&faults->lock);
	faults->programs = programs;
	faults->why_not = why;
	if (programs && faults->mount_dev)
		fault_programs_set_mount(programs, faults->mount_dev);
	faults->tried = true;
	g_cond_broadcast(&faults->tried_changed);
	g_mutex_unlock(&faults->lock);
}

static gpointer watch(gpointer data)
{
	struct faults *faults = data;
	struct pollfd fds[3] = { { .fd = faults->end, .events = POLLIN } };
	bool learning = false, pauses = false;

	load(faults);
	if (!faults->programs)
		return NULL;
	fds[1] = (struct pollfd){ .fd = fault_programs_fd(faults->programs), .events = POLLIN };
	/* Only while it may be learnt who truncated a segment; and after a look not for a moment. */
	fds[2].events = POLLIN;
	while (!fds[0].revents) {
		fds[2].fd = learning && !pauses ? truncations_fd(faults->config.truncations) : -1;
		if (poll(fds, G_N_ELEMENTS(fds), pauses ? LEARNT_EVERY_MS : -1) < 0)
			continue;
		pauses = fds[2].revents;
		if (pauses)
			truncations_seen(faults->config.truncations);
		g_mutex_lock(&faults->lock);
		fault_programs_take(faults->programs, add, faults);
		learning = find_truncations_again(faults);
		g_mutex_unlock(&faults->lock);
	}
	return NULL;
}

/* Called with the lock. */
static void wait_until_tried(struct faults *faults)
{
	while (!faults->tried)
		g_cond_wait(&faults->tried_changed, &faults->lock);
}

/* The interface */

struct faults *faults_new(const struct faults_config *config)
{
	struct faults *faults = g_new0(struct faults, 1);

	faults->config = *config;
	g_mutex_init(&faults->lock);
	g_cond_init(&faults->tried_changed);
	faults->kept = g_ptr_array_new_with_free_func(g_atomic_rc_box_release);
	faults->why_not = config->why_not;
	faults->end = config->why_not ? -1 : eventfd(0, EFD_CLOEXEC);
	if (faults->end >= 0)
		faults->thread = g_thread_try_new("faults", watch, faults, NULL);
	if (!faults->thread) {
		faults->tried = true;
		if (!faults->why_not)
			faults->why_not = "no thread could be started for it";
	}
	return faults;
}

void faults_free(struct faults *faults)
{
	if (!faults)
		return;
	if (faults->thread) {
		eventfd_write(faults->end, 1);
		g_thread_join(faults->thread);
	}
	closep(&faults->end);
	fault_programs_free(faults->programs);
	g_ptr_array_unref(faults->kept);
	g_cond_clear(&faults->tried_changed);
	g_mutex_clear(&faults->lock);
	g_free(faults);
}

const char *faults_why_not(struct faults *faults)
{
	const char *why;

	g_mutex_lock(&faults->lock);
	wait_until_tried(faults);
	why = faults->why_not;
	g_mutex_unlock(&faults->lock);
	return why;
}

void faults_set_mount(struct faults *faults, uint64_t dev)
{
	g_mutex_lock(&faults->lock);
	faults->mount_dev = dev;
	if (faults->programs)
		fault_programs_set_mount(faults->programs, dev);
	g_mutex_unlock(&faults->lock);
}

static gint by_time(gconstpointer a, gconstpointer b)
{
	const struct timespec *one = &(*(const struct fault *const *)a)->time;
	const struct timespec *other = &(*(const struct fault *const *)b)->time;

	if (one->tv_sec != other->tv_sec)
		return one->tv_sec < other->tv_sec ? -1 : 1;
	return (one->tv_nsec > other->tv_nsec) - (one->tv_nsec < other->tv_nsec);
}

/* Of two processors the one that was later may have made its record first. */
GPtrArray *faults_take(struct faults *faults)
{
	GPtrArray *taken = g_ptr_array_new_with_free_func(g_atomic_rc_box_release);

	g_mutex_lock(&faults->lock);
	wait_until_tried(faults);
	if (faults->programs)
		fault_programs_take(faults->programs, add, faults);
	find_truncations_again(faults);
	for (guint i = 0; i < faults->kept->len; i++)
		g_ptr_array_add(taken, g_atomic_rc_box_acquire(faults->kept->pdata[i]));
	g_mutex_unlock(&faults->lock);
	g_ptr_array_sort(taken, by_time);
	return taken;
}

struct fault_counts faults_counts(struct faults *faults)
{
	struct fault_counts counts = { 0 };

	g_mutex_lock(&faults->lock);
	wait_until_tried(faults);
	if (faults->programs)
		counts = fault_programs_counts(faults->programs);
	g_mutex_unlock(&faults->lock);
	return counts;
}
