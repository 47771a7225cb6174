/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The census against this process itself and its children, by each back end that works here: address
 * spaces that several processes share, and processes and threads that follow one another.
 */
#include "every-backend.h"
#include "base/util.h"
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>

static int pause_forever(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (pause() < 0)
		;
	return 0;
}

static void processes_that_share_all_count_once(void)
{
	static char stack[64 * 1024] __attribute__((aligned(16)));
	void *at;
	pid_t child;

	make_memfd();
	open_all(0, 0);
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memfd, 0);
	ASSERT_ALL(&key, 1, 1, 1);
	child = clone(pause_forever, stack + sizeof(stack), CLONE_VM | CLONE_FILES | SIGCHLD, NULL);
	CU_ASSERT(child > 0);
	ASSERT_ALL(&key, 1, 1, 1);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ASSERT_ALL(&key, 1, 1, 1);
	munmap(at, PAGE);
	close_all();
	close_memfd();
}

struct loner {
	GMutex lock;
	GCond changed;
	bool ready, done;
	int error; /* why it has no descriptors of its own, an errno, or 0 */
};

/* A thread that opens the memfd where its process does not see it. */
static void *open_alone(void *data)
{
	struct loner *loner = data;
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", memfd);

	loner->error = unshare(CLONE_FILES) < 0 ? errno : 0;
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	g_mutex_lock(&loner->lock);
	loner->ready = true;
	g_cond_signal(&loner->changed);
	while (!loner->done)
		g_cond_wait(&loner->changed, &loner->lock);
	g_mutex_unlock(&loner->lock);
	return NULL;
}

static void a_thread_may_have_descriptors_of_its_own(void)
{
	struct loner loner = { 0 };
	GThread *thread;

	make_memfd();
	open_all(0, 0);
	thread = g_thread_new("loner", open_alone, &loner);
	g_mutex_lock(&loner.lock);
	while (!loner.ready)
		g_cond_wait(&loner.changed, &loner.lock);
	g_mutex_unlock(&loner.lock);
	/* Ours, its copy of ours, and its own. */
	ASSERT_ALL(&key, 0, 0, 3);
	g_mutex_lock(&loner.lock);
	loner.done = true;
	g_cond_signal(&loner.changed);
	g_mutex_unlock(&loner.lock);
	g_thread_join(thread);
	ASSERT_INT(loner.error, 0);
	ASSERT_ALL(&key, 0, 0, 1);
	close_all();
	close_memfd();
}

static void system_v_segments_are_known_by_number(void)
{
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	void *first = shmat(id, NULL, 0), *second = shmat(id, NULL, SHM_RDONLY);
	struct segment_key segment;

	CU_ASSERT_FATAL(id >= 0 && first != (void *)-1 && second != (void *)-1);
	shmctl(id, IPC_RMID, NULL);
	open_all(0, 0);
	EACH_CENSUS(census)
	{
		segment = (struct segment_key){
			.dev = census_internal_device(census),
			.ino = id,
			.class = SEGMENT_SYSV,
		};
		ASSERT_INT(ask(census, &segment).mappings, 2);
	}
	shmdt(first);
	shmdt(second);
	ASSERT_ALL(&segment, 0, 0, 0);
	close_all();
}

/*
 * Each of a row of processes forks the next and exits: the segment is never unused. No pass may
 * miss it and yet say that it has read everything.
 */
static void relay(volatile bool *stop)
{
	while (!*stop) {
		pid_t child = fork();

		if (child > 0)
			_exit(0);
		if (child < 0)
			return;
	}
}

static void nobody_slips_through_by_forking(void)
{
	bool *stop = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t first;

	make_memfd();
	open_all(0, getpid());
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	first = fork();
	if (first == 0) {
		mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memfd, 0);
		*stop = false;
		relay(stop);
		_exit(0);
	}
	waitpid(first, NULL, 0);
	for (int i = 0; i < 20; i++) {
		EACH_CENSUS(census)
		{
			ASSERT_INT(census_hold(census, BOTH), 0);
			struct usage usage = census_usage(census, &key);

			CU_ASSERT(usage.mappings > 0 || census_report(census).unreadable > 0);
			census_release(census);
			/* Those who have run their leg come to us. */
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
		}
	}
	*stop = true;
	while (wait(NULL) > 0)
		;
	munmap(stop, PAGE);
	close_all();
	close_memfd();
}

/* Each of a row of threads makes the next and ends, and the first is dead. */
static pthread_attr_t detached;

static void *next_thread(void *unused)
{
	pthread_t thread;

	while (pthread_create(&thread, &detached, next_thread, unused) != 0)
		;
	return NULL;
}

static void begin_row_of_threads(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	next_thread(NULL);
	pthread_exit(NULL);
}

static void nobody_slips_through_by_threads(void)
{
	pid_t child;
	void *at;

	make_memfd();
	open_all(0, getpid());
	/* The child inherits it, and ours does not count. */
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memfd, 0);
	child = fork();
	if (child == 0)
		begin_row_of_threads();
	for (int i = 0; i < 50; i++) {
		EACH_CENSUS(census)
		{
			ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
			struct usage usage = census_usage(census, &key);

			CU_ASSERT(usage.mappings == 1 || census_report(census).unreadable > 0);
			census_release(census);
		}
	}
	kill(child, SIGKILL);
	ASSERT_INT(waitpid(child, NULL, 0), child);
	munmap(at, PAGE);
	close_all();
	close_memfd();
}

/* As somebody who may not look at the processes of others. */
static bool others_are_unreadable(void)
{
	struct census_config config = { "/proc", CENSUS_AUTO, 0, getpid() };
	struct census *census;

	if (setgid(65534) || setuid(65534) || census_new(&config, &census) ||
		census_hold(census, BOTH))
		return false;
	bool unreadable = census_report(census).unreadable > 0;
	census_release(census);
	census_free(census);
	return unreadable;
}

static void who_may_not_read_all_says_so(void)
{
	int status;
	pid_t child;

	/* Only root can become somebody else; whoever else runs this may not read all anyway. */
	if (geteuid() != 0) {
		open_all(0, getpid());
		ASSERT_INT(census_hold(censuses[0], BOTH), 0);
		CU_ASSERT(census_report(censuses[0]).unreadable > 0);
		census_release(censuses[0]);
		close_all();
		return;
	}
	child = fork();
	if (child == 0)
		_exit(others_are_unreadable() ? 0 : 1);
	waitpid(child, &status, 0);
	ASSERT_INT(status, 0);
}

/* Closes what a test that failed half-way left open. */
static void clean_up(void)
{
	close_all();
	if (memfd >= 0)
		close_memfd();
}

static CU_TestInfo tests[] = {
	{ "processes that share all count once", processes_that_share_all_count_once },
	{ "a thread may have descriptors of its own", a_thread_may_have_descriptors_of_its_own },
	{ "System V segments are known by number", system_v_segments_are_known_by_number },
	{ "nobody slips through by forking", nobody_slips_through_by_forking },
	{ "nobody slips through by threads", nobody_slips_through_by_threads },
	{ "who may not read all says so", who_may_not_read_all_says_so },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo live_self_suite = { "live_self", NULL, NULL, NULL, clean_up, tests };
