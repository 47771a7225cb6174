/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that gives no answer: nobody waits for it, and whoever asked is not lost. */
#include "census/census.h"
#include "census/pass/pass-thread.h"

#include "recorded.h"
#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define STUCK 42
#define WELL 43

/* A back end that asks about both; STUCK answers when it is told to. */
static GMutex lock;
static GCond changed;
static bool answers;
static int open_states, asked;

static int open_state(const struct census_source *source, void **out, const char **why)
{
	(void)source;
	(void)why;
	*out = &open_states;
	g_mutex_lock(&lock);
	open_states++;
	g_mutex_unlock(&lock);
	return 0;
}

static void free_state(void *state)
{
	(void)state;
	g_mutex_lock(&lock);
	open_states--;
	g_cond_broadcast(&changed);
	g_mutex_unlock(&lock);
}

static void await_answer(void)
{
	g_mutex_lock(&lock);
	asked++;
	while (!answers)
		g_cond_wait(&changed, &lock);
	g_mutex_unlock(&lock);
}

static int ask_both(void *state, struct spaces *spaces, unsigned facets, struct census_tally *tally)
{
	(void)state;
	(void)spaces;
	(void)facets;
	for (pid_t pid = STUCK; pid <= WELL; pid++) {
		if (!stall_enter(pid, 0)) {
			tally->unreadable++;
			continue;
		}
		if (pid == STUCK)
			await_answer();
		tally->spaces++;
		stall_leave();
	}
	return 0;
}

static const char *complete_view(void *state)
{
	(void)state;
	return NULL;
}

static const struct census_backend backend = {
	.name = "test",
	.open = open_state,
	.pass = ask_both,
	.incomplete_view = complete_view,
	.free = free_state,
};

static struct devices devices;
static struct stall_detector *stall_detector;

static struct pass_thread *new_pass_thread(void)
{
	struct pass_thread *pass_thread = NULL;
	const char *why;

	CU_ASSERT_FATAL(pass_thread_new("/proc", 0, &devices, &backend, stall_detector,
				&pass_thread, &why) == 0);
	return pass_thread;
}

static void assert_pass(struct pass_thread *pass_thread, uint64_t read, uint64_t unreadable)
{
	struct pass_result result;

	ASSERT_INT(pass_thread_run(pass_thread, &devices, CENSUS_MAPPINGS, &result), 0);
	ASSERT_INT(result.tally.spaces, read);
	ASSERT_INT(result.tally.unreadable, unreadable);
}

static void who_gives_no_answer_is_not_waited_for(void)
{
	struct pass_result result;
	struct pass_thread *pass_thread;

	stall_detector = stall_detector_new();
	ASSERT_INT(pass_thread_run(new_pass_thread(), &devices, CENSUS_MAPPINGS, &result), -EBUSY);
	pass_thread = new_pass_thread();
	assert_pass(pass_thread, 1, 1);
	assert_pass(pass_thread, 1, 1);
	ASSERT_INT(asked, 1);

	g_mutex_lock(&lock);
	answers = true;
	g_cond_broadcast(&changed);
	/* The one that was left behind frees what it has. */
	while (open_states > 1)
		g_cond_wait(&changed, &lock);
	g_mutex_unlock(&lock);
	assert_pass(pass_thread, 2, 0);
	pass_thread_free(pass_thread);
	stall_detector_unref(stall_detector);
	ASSERT_INT(open_states, 0);
}

/* A pass that gets no answer ends, and the same question is answered by another, without that process. */
static void others_count_where_one_gives_no_answer(void)
{
	const struct segment_key key = { .dev = makedev(0, 0x19), .ino = 5, .class = SEGMENT_FILE };
	struct census_config config = { .backend = CENSUS_TEXT, .shm_dev = key.dev };
	g_autofree char *map = recorded_map(0x10000, "rw-s", key.dev, key.ino, "/dev/shm/x");
	g_autofree char *pipe = NULL;
	struct recorded tree;
	struct census *census;

	recorded_init(&tree);
	recorded_process(&tree, 10, map);
	recorded_process(&tree, 11, map);
	pipe = g_build_filename(tree.path, "11/maps", NULL);
	CU_ASSERT_FATAL(unlink(pipe) == 0 && mkfifo(pipe, 0600) == 0);
	config.proc = tree.path;
	CU_ASSERT_FATAL(census_new(&config, &census) == 0);
	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
	ASSERT_INT(census_usage(census, &key).mappings, 1);
	ASSERT_INT(census_report(census).unreadable, 1);
	census_release(census);
	/* The thread that has been left behind waits for somebody to write. */
	auto_fd writer = open(pipe, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	CU_ASSERT(writer >= 0);
	census_free(census);
	recorded_remove(&tree);
}

enum nap { BEGINS, NAPS, TO_SLEEP, SLEEPS, TO_END };

static enum nap nap; /* protected by `lock` */

static void set_nap(enum nap value)
{
	g_mutex_lock(&lock);
	nap = value;
	g_cond_broadcast(&changed);
	g_mutex_unlock(&lock);
}

static void await_nap(enum nap value)
{
	g_mutex_lock(&lock);
	while (nap != value)
		g_cond_wait(&changed, &lock);
	g_mutex_unlock(&lock);
}

/* Asks about STUCK, and sleeps again and again meanwhile, as if it waited for locks; then for good. */
static void *ask_with_naps(void *thread)
{
	watched_thread_bind(thread);
	(void)stall_enter(STUCK, 0);
	set_nap(NAPS);
	g_mutex_lock(&lock);
	while (nap == NAPS) {
		g_mutex_unlock(&lock);
		g_usleep(100);
		g_mutex_lock(&lock);
	}
	g_mutex_unlock(&lock);
	set_nap(SLEEPS);
	await_nap(TO_END);
	stall_leave();
	return NULL;
}

/* Only a thread that sleeps all the time from one look to the next waits for the kernel. */
static void one_that_goes_on_is_not_stalled(void)
{
	struct watched_thread *thread;
	GThread *gthread;
	bool stalled = false;

	stall_detector = stall_detector_new();
	thread = watched_thread_new(stall_detector);
	nap = BEGINS;
	gthread = g_thread_new("naps", ask_with_naps, thread);
	await_nap(NAPS);
	for (int looks = 0; looks < 10; looks++) {
		g_usleep(20 * 1000);
		stalled |= watched_thread_is_stalled(thread);
	}
	CU_ASSERT(!stalled);
	set_nap(TO_SLEEP);
	await_nap(SLEEPS);
	while (!stalled)
		stalled = watched_thread_is_stalled(thread);
	set_nap(TO_END);
	g_thread_join(gthread);
	watched_thread_free(thread);
	stall_detector_unref(stall_detector);
}

static CU_TestInfo tests[] = {
	{ "others count where one gives no answer", others_count_where_one_gives_no_answer },
	{ "who gives no answer is not waited for", who_gives_no_answer_is_not_waited_for },
	{ "one that goes on is not stalled", one_that_goes_on_is_not_stalled },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo pass_thread_suite = { "pass_thread", NULL, NULL, NULL, NULL, tests };
