/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/stall.h"

#include "base/util.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define STUCK_LOOKS 3
#define LEFT_BEHIND_MAX 8

struct patience {
	gatomicrefcount references;
	GMutex lock;
	GPtrArray *stuck; /* struct asker, left behind and still without an answer */
};

struct asker {
	struct patience *patience;
	/* Under the lock. */
	pid_t pids[2];  /* asked about; 0: nobody */
	unsigned depth; /* of questions within questions */
	bool left_behind;
	unsigned long seen; /* `steps` at the last look */
	unsigned looks;     /* that saw no other */
	pid_t thread;       /* who it is; 0: not begun */
	/* Of the thread itself, for others to look at. */
	gulong steps;
};

static __thread struct asker *self;

struct patience *patience_new(void)
{
	struct patience *patience = g_new0(struct patience, 1);

	g_atomic_ref_count_init(&patience->references);
	g_mutex_init(&patience->lock);
	patience->stuck = g_ptr_array_new();
	return patience;
}

struct patience *patience_ref(struct patience *patience)
{
	g_atomic_ref_count_inc(&patience->references);
	return patience;
}

void patience_unref(struct patience *patience)
{
	if (!g_atomic_ref_count_dec(&patience->references))
		return;
	g_assert(patience->stuck->len == 0);
	g_ptr_array_unref(patience->stuck);
	g_mutex_clear(&patience->lock);
	g_free(patience);
}

struct asker *asker_new(struct patience *patience)
{
	struct asker *asker = g_new0(struct asker, 1);

	asker->patience = patience_ref(patience);
	return asker;
}

void asker_free(struct asker *asker)
{
	patience_unref(asker->patience);
	g_free(asker);
}

void asker_become(struct asker *asker)
{
	g_mutex_lock(&asker->patience->lock);
	asker->thread = syscall(SYS_gettid);
	g_mutex_unlock(&asker->patience->lock);
	self = asker;
}

/* Whether the thread waits for nothing but a processor. */
static bool is_running(pid_t thread)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%d/stat", (int)thread);
	g_autofree char *text = NULL;
	const char *state;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return false;
	state = strrchr(text, ')');
	return state && g_str_has_prefix(state, ") R");
}

bool asker_is_stuck(struct asker *asker)
{
	struct patience *patience = asker->patience;
	unsigned long steps;
	bool stuck;

	g_mutex_lock(&patience->lock);
	steps = __atomic_load_n(&asker->steps, __ATOMIC_RELAXED);
	asker->looks = asker->pids[0] && steps == asker->seen ? asker->looks + 1 : 1;
	asker->seen = steps;
	stuck = asker->pids[0] && asker->looks >= STUCK_LOOKS && !is_running(asker->thread);
	if (stuck) {
		asker->left_behind = true;
		g_ptr_array_add(patience->stuck, asker);
	}
	g_mutex_unlock(&patience->lock);
	return stuck;
}

static bool is_about(const struct asker *asker, pid_t pid)
{
	return pid && (asker->pids[0] == pid || asker->pids[1] == pid);
}

static bool may_ask(const struct asker *asker, pid_t pid, pid_t other)
{
	const GPtrArray *stuck = asker->patience->stuck;

	if (asker->left_behind || stuck->len >= LEFT_BEHIND_MAX)
		return false;
	for (guint i = 0; i < stuck->len; i++)
		if (is_about(stuck->pdata[i], pid) || is_about(stuck->pdata[i], other))
			return false;
	return true;
}

bool patience_begin(pid_t pid, pid_t other)
{
	bool may;

	if (!self)
		return true;
	g_mutex_lock(&self->patience->lock);
	may = may_ask(self, pid, other);
	if (may && self->depth++ == 0) {
		self->pids[0] = pid;
		self->pids[1] = other;
	}
	g_mutex_unlock(&self->patience->lock);
	patience_go_on();
	return may;
}

void patience_end(void)
{
	if (!self)
		return;
	g_mutex_lock(&self->patience->lock);
	if (--self->depth == 0) {
		self->pids[0] = self->pids[1] = 0;
		if (self->left_behind)
			g_ptr_array_remove(self->patience->stuck, self);
	}
	g_mutex_unlock(&self->patience->lock);
}

void patience_go_on(void)
{
	if (self)
		__atomic_fetch_add(&self->steps, 1, __ATOMIC_RELAXED);
}
