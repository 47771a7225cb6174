/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/pass/stall.h"

#include "base/util.h"

#include <glib.h>
#include <string.h>
#include <sys/syscall.h>

#define STALLED_LOOKS 3
#define LEFT_BEHIND_MAX 8

struct stall_detector {
	gatomicrefcount references;
	GMutex lock;
	GPtrArray *stalled; /* struct watched_thread, left behind and still without an answer */
};

struct watched_thread {
	struct stall_detector *detector;
	/* Under the lock. */
	pid_t pids[2];  /* the processes asked about; 0: none */
	unsigned depth; /* of nested questions */
	bool left_behind;
	uint64_t turns; /* at the last check; 0: it was not asleep */
	unsigned looks; /* checks since `turns` last changed */
	pid_t tid;      /* of the thread bound; 0: none yet */
};

static __thread struct watched_thread *self;

struct stall_detector *stall_detector_new(void)
{
	struct stall_detector *detector = g_new0(struct stall_detector, 1);

	g_atomic_ref_count_init(&detector->references);
	g_mutex_init(&detector->lock);
	detector->stalled = g_ptr_array_new();
	return detector;
}

static struct stall_detector *ref(struct stall_detector *detector)
{
	g_atomic_ref_count_inc(&detector->references);
	return detector;
}

void stall_detector_unref(struct stall_detector *detector)
{
	if (!g_atomic_ref_count_dec(&detector->references))
		return;
	g_assert(detector->stalled->len == 0);
	g_ptr_array_unref(detector->stalled);
	g_mutex_clear(&detector->lock);
	g_free(detector);
}

struct watched_thread *watched_thread_new(struct stall_detector *detector)
{
	struct watched_thread *thread = g_new0(struct watched_thread, 1);

	thread->detector = ref(detector);
	return thread;
}

void watched_thread_free(struct watched_thread *thread)
{
	stall_detector_unref(thread->detector);
	g_free(thread);
}

void watched_thread_bind(struct watched_thread *thread)
{
	g_mutex_lock(&thread->detector->lock);
	thread->tid = syscall(SYS_gettid);
	g_mutex_unlock(&thread->detector->lock);
	self = thread;
}

static uint64_t number_of(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? g_ascii_strtoull(line + strlen(name), NULL, 10) : 0;
}

/*
 * How often the thread has left the processor, if it is asleep; 0 if it runs or waits for a processor.
 * At two checks with the same number, it slept all the time between them.
 */
static uint64_t turns_of_sleeper(pid_t tid)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%d/status", (int)tid);
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL) || strstr(text, "\nState:\tR"))
		return 0;
	return number_of(text, "\nvoluntary_ctxt_switches:") +
		number_of(text, "\nnonvoluntary_ctxt_switches:");
}

static pid_t tid_of(struct watched_thread *thread)
{
	pid_t tid;

	g_mutex_lock(&thread->detector->lock);
	tid = thread->tid;
	g_mutex_unlock(&thread->detector->lock);
	return tid;
}

bool watched_thread_is_stalled(struct watched_thread *thread)
{
	struct stall_detector *detector = thread->detector;
	/* Without the lock: if we lose the processor meanwhile, the thread must not wait for us. */
	uint64_t turns = turns_of_sleeper(tid_of(thread));
	bool same, stalled;

	g_mutex_lock(&detector->lock);
	same = turns && turns == thread->turns;
	thread->looks = thread->pids[0] && same ? thread->looks + 1 : 1;
	thread->turns = turns;
	stalled = thread->pids[0] && thread->looks >= STALLED_LOOKS;
	if (stalled) {
		thread->left_behind = true;
		g_ptr_array_add(detector->stalled, thread);
	}
	g_mutex_unlock(&detector->lock);
	return stalled;
}

static bool is_about(const struct watched_thread *thread, pid_t pid)
{
	return pid && (thread->pids[0] == pid || thread->pids[1] == pid);
}

static bool may_ask(const struct watched_thread *thread, pid_t pid, pid_t other)
{
	const GPtrArray *stalled = thread->detector->stalled;

	if (thread->left_behind || stalled->len >= LEFT_BEHIND_MAX)
		return false;
	for (guint i = 0; i < stalled->len; i++)
		if (is_about(stalled->pdata[i], pid) || is_about(stalled->pdata[i], other))
			return false;
	return true;
}

bool stall_enter(pid_t pid, pid_t other)
{
	bool may;

	if (!self)
		return true;
	g_mutex_lock(&self->detector->lock);
	may = may_ask(self, pid, other);
	if (may && self->depth++ == 0) {
		self->pids[0] = pid;
		self->pids[1] = other;
	}
	g_mutex_unlock(&self->detector->lock);
	return may;
}

void stall_leave(void)
{
	if (!self)
		return;
	g_mutex_lock(&self->detector->lock);
	if (--self->depth == 0) {
		self->pids[0] = self->pids[1] = 0;
		if (self->left_behind)
			g_ptr_array_remove(self->detector->stalled, self);
	}
	g_mutex_unlock(&self->detector->lock);
}
