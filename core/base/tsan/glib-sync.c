/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GLib's locks as ThreadSanitizer can see them.
 *
 * GLib makes its own out of futexes, in a library that is not instrumented: to the sanitizer every
 * access that they guard looks like a race. Linked into the program of a thread-sanitized build,
 * these take their place, with the C library's, which the sanitizer knows.
 */
#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void __tsan_acquire(void *at);
void __tsan_release(void *at);

/* A GMutex is one pointer, zero until it is used for the first time. */
static void *made(gpointer *slot, size_t size)
{
	void *old = __atomic_load_n(slot, __ATOMIC_ACQUIRE), *fresh;

	if (old)
		return old;
	fresh = calloc(1, size); /* zero is a valid initial state, in the C library of Linux */
	if (__atomic_compare_exchange_n(slot, &old, fresh, FALSE, __ATOMIC_ACQ_REL,
		    __ATOMIC_ACQUIRE))
		return fresh;
	free(fresh);
	return old;
}

static pthread_mutex_t *mutex_of(GMutex *mutex)
{
	return made(&mutex->p, sizeof(pthread_mutex_t));
}

void g_mutex_init(GMutex *mutex)
{
	mutex->p = NULL;
}

void g_mutex_clear(GMutex *mutex)
{
	if (mutex->p)
		pthread_mutex_destroy(mutex->p);
	free(mutex->p);
	mutex->p = NULL;
}

void g_mutex_lock(GMutex *mutex)
{
	pthread_mutex_lock(mutex_of(mutex));
}

void g_mutex_unlock(GMutex *mutex)
{
	pthread_mutex_unlock(mutex_of(mutex));
}

/*
 * A counter, as GLib has it: that of the C library may lose a wake-up (glibc's bug 25847, until 2.41), and a daemon
 * then waits for ever. What it guards the sanitizer sees by the mutex.
 */
static long futex(GCond *cond, int operation, guint value, const struct timespec *until)
{
	return syscall(SYS_futex, &cond->i[0], operation | FUTEX_PRIVATE_FLAG, value, until, NULL,
		FUTEX_BITSET_MATCH_ANY);
}

void g_cond_init(GCond *cond)
{
	cond->i[0] = 0;
}

void g_cond_clear(GCond *cond)
{
	(void)cond;
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
	guint seen = __atomic_load_n(&cond->i[0], __ATOMIC_ACQUIRE);

	g_mutex_unlock(mutex);
	futex(cond, FUTEX_WAIT, seen, NULL);
	g_mutex_lock(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
	struct timespec end = { .tv_sec = end_time / G_TIME_SPAN_SECOND,
		.tv_nsec = end_time % G_TIME_SPAN_SECOND * 1000 };
	guint seen = __atomic_load_n(&cond->i[0], __ATOMIC_ACQUIRE);
	bool in_time;

	g_mutex_unlock(mutex);
	in_time = futex(cond, FUTEX_WAIT_BITSET, seen, &end) == 0 || errno != ETIMEDOUT;
	g_mutex_lock(mutex);
	return in_time;
}

void g_cond_signal(GCond *cond)
{
	__atomic_fetch_add(&cond->i[0], 1, __ATOMIC_ACQ_REL);
	futex(cond, FUTEX_WAKE, 1, NULL);
}

void g_cond_broadcast(GCond *cond)
{
	__atomic_fetch_add(&cond->i[0], 1, __ATOMIC_ACQ_REL);
	futex(cond, FUTEX_WAKE, INT_MAX, NULL);
}

/* Likewise one pointer, with more behind it. */
static pthread_rwlock_t *rw_lock_of(GRWLock *lock)
{
	return made(&lock->p, sizeof(pthread_rwlock_t));
}

void g_rw_lock_init(GRWLock *lock)
{
	lock->p = NULL;
}

void g_rw_lock_clear(GRWLock *lock)
{
	if (lock->p)
		pthread_rwlock_destroy(lock->p);
	free(lock->p);
	lock->p = NULL;
}

void g_rw_lock_writer_lock(GRWLock *lock)
{
	pthread_rwlock_wrlock(rw_lock_of(lock));
}

void g_rw_lock_writer_unlock(GRWLock *lock)
{
	pthread_rwlock_unlock(rw_lock_of(lock));
}

void g_rw_lock_reader_lock(GRWLock *lock)
{
	pthread_rwlock_rdlock(rw_lock_of(lock));
}

gboolean g_rw_lock_reader_trylock(GRWLock *lock)
{
	return pthread_rwlock_tryrdlock(rw_lock_of(lock)) == 0;
}

void g_rw_lock_reader_unlock(GRWLock *lock)
{
	pthread_rwlock_unlock(rw_lock_of(lock));
}

/* A pool hands its data over by a queue of GLib's own. */
struct pool_call {
	GFunc function;
	gpointer user;
};

static void call(gpointer data, gpointer user)
{
	struct pool_call *wrapped = user;

	__tsan_acquire(data);
	wrapped->function(data, wrapped->user);
	__tsan_release(wrapped);
}

GThreadPool *g_thread_pool_new(GFunc function, gpointer user, gint max_threads, gboolean exclusive,
	GError **error)
{
	GThreadPool *(*next)(GFunc, gpointer, gint, gboolean, GError **) =
		dlsym(RTLD_NEXT, "g_thread_pool_new");
	struct pool_call *wrapped = g_new(struct pool_call, 1);

	*wrapped = (struct pool_call){ function, user };
	return next(call, wrapped, max_threads, exclusive, error);
}

void g_thread_pool_free(GThreadPool *pool, gboolean immediate, gboolean wait)
{
	void (*next)(GThreadPool *, gboolean, gboolean) = dlsym(RTLD_NEXT, "g_thread_pool_free");
	struct pool_call *wrapped = pool->user_data;

	next(pool, immediate, wait);
	/* Else its calls may go on. */
	if (wait) {
		__tsan_acquire(wrapped);
		g_free(wrapped);
	}
}

gboolean g_thread_pool_push(GThreadPool *pool, gpointer data, GError **error)
{
	gboolean (*next)(GThreadPool *, gpointer, GError **) =
		dlsym(RTLD_NEXT, "g_thread_pool_push");

	__tsan_release(data);
	return next(pool, data, error);
}

/* What is handed over by a queue: as above. */
void g_async_queue_push(GAsyncQueue *queue, gpointer data)
{
	void (*next)(GAsyncQueue *, gpointer) = dlsym(RTLD_NEXT, "g_async_queue_push");

	__tsan_release(data);
	next(queue, data);
}

gpointer g_async_queue_try_pop(GAsyncQueue *queue)
{
	gpointer (*next)(GAsyncQueue *) = dlsym(RTLD_NEXT, "g_async_queue_try_pop");
	gpointer data = next(queue);

	if (data)
		__tsan_acquire(data);
	return data;
}
