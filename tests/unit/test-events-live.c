/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events of what happens in a real directory. */
#include "unit.h"

#include "events/events.h"
#include "events/fanotify.h"
#include "failing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	struct events *events;
	struct event_cursor cursor;
	int directory;
	char path[64];
	GMutex lock;
	GCond woken;
	gint wakes;           /* atomic */
	struct shrink shrink; /* the last one, of a process that is known; protected by `lock` */
} live;

static void woken(void *data)
{
	(void)data;
	g_atomic_int_inc(&live.wakes);
	g_mutex_lock(&live.lock);
	g_cond_broadcast(&live.woken);
	g_mutex_unlock(&live.lock);
}

static void shrunk(const struct shrink *shrink, void *data)
{
	(void)data;
	if (shrink->process.pid == 0)
		return;
	g_mutex_lock(&live.lock);
	live.shrink = *shrink;
	g_cond_broadcast(&live.woken);
	g_mutex_unlock(&live.lock);
}

static void set_up_live(void)
{
	const struct events_config config = { .kind = "posix",
		.reserved = ".shmtree",
		.hidden_prefix = ".hidden.",
		.wake = woken,
		.shrunk = shrunk };
	struct events_config here = config;

	strcpy(live.path, "/dev/shm/unit-events-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(live.path) != NULL);
	live.directory = open(live.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	here.directory = live.directory;
	CU_ASSERT_FATAL(events_new(&here, &live.events) == 0);
	CU_ASSERT_FATAL(events_use(live.events) == 0);
	live.cursor = event_ring_end(events_ring(live.events));
}

static void tear_down_live(void)
{
	events_unuse(live.events);
	events_free(live.events);
	close(live.directory);
	CU_ASSERT(rmdir(live.path) == 0);
}

/* The next event that is neither opened nor closed, in a moment. */
static bool next(struct event_copy *out)
{
	gint64 until = g_get_monotonic_time() + 10 * G_TIME_SPAN_SECOND;

	g_mutex_lock(&live.lock);
	for (;;) {
		bool any = event_ring_next(events_ring(live.events), &live.cursor, out);

		if (any && out->event.type != EVENT_OPENED && out->event.type != EVENT_CLOSED)
			break;
		if (any)
			continue;
		if (!g_cond_wait_until(&live.woken, &live.lock,
			    MIN(until, g_get_monotonic_time() + 10000)) &&
			g_get_monotonic_time() > until) {
			g_mutex_unlock(&live.lock);
			return false;
		}
	}
	g_mutex_unlock(&live.lock);
	return true;
}

/* Another process does it: what this one does is the daemon's. */
static pid_t elsewhere(const char *script)
{
	g_autofree char *command = g_strdup_printf("cd %s && %s", live.path, script);
	const char *argv[] = { "/bin/sh", "-ec", command, NULL };
	GPid pid;

	CU_ASSERT_FATAL(g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL,
		NULL, &pid, NULL));
	return pid;
}

static void expect(enum event_type type, const char *name)
{
	struct event_copy copy;

	CU_ASSERT_FATAL(next(&copy));
	ASSERT_STRING(event_type_name(copy.event.type), event_type_name(type));
	ASSERT_STRING(copy.event.name, name);
}

static void what_others_do_is_told_in_order(void)
{
	struct event_copy copy;
	pid_t pid;

	if (events_missing(live.events))
		SKIP("%s", events_missing(live.events));
	pid = elsewhere("echo x >a; exec sleep 1000");
	CU_ASSERT_FATAL(next(&copy));
	ASSERT_INT(copy.event.type, EVENT_CREATED);
	ASSERT_STRING(copy.event.name, "a");
	ASSERT_INT(copy.event.process.pid, pid);
	CU_ASSERT(copy.event.process.born > 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	waitpid(elsewhere("mv a b; echo more >>b; rm b; mkdir d; echo x >d/x; rm -r d; echo "
			  ">.shmtree;"
			  " rm .shmtree; : >c; mv c .hidden.c; rm .hidden.c; : >end; rm end"),
		NULL, 0);
	while (next(&copy) && copy.event.type != EVENT_RENAMED)
		ASSERT_INT(copy.event.type, EVENT_RESIZED);
	ASSERT_STRING(copy.event.from, "a");
	ASSERT_STRING(copy.event.name, "b");
	while (next(&copy) && copy.event.type == EVENT_RESIZED)
		;
	ASSERT_INT(copy.event.type, EVENT_REMOVED);
	expect(EVENT_CREATED, "c");
	expect(EVENT_REMOVED, "c");
	expect(EVENT_CREATED, "end");
	expect(EVENT_REMOVED, "end");
}

/* Over and over, so that the kernel merges records, by two processes: in the end the events are right. */
/* It is certain a moment later, in which nothing else may happen. */
static void who_made_an_object_smaller_is_told_by_and_by(void)
{
	gint64 until = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
	struct event_copy copy;
	struct shrink seen;
	pid_t pid;

	if (events_missing(live.events))
		SKIP("%s", events_missing(live.events));
	waitpid(elsewhere("head -c 100 /dev/zero >a"), NULL, 0);
	while (next(&copy) && !(copy.event.type == EVENT_RESIZED && copy.event.size == 100))
		;
	live.shrink = (struct shrink){ 0 };
	pid = elsewhere(": >a; exec sleep 1000");
	g_mutex_lock(&live.lock);
	while (live.shrink.inode == 0 && g_cond_wait_until(&live.woken, &live.lock, until))
		;
	seen = live.shrink;
	g_mutex_unlock(&live.lock);
	ASSERT_INT(seen.process.pid, pid);
	ASSERT_INT(seen.from, 100);
	ASSERT_INT(seen.to, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	waitpid(elsewhere("rm a"), NULL, 0);
}

static void events_add_up_to_what_is_there(void)
{
	static const char script[] = "for i in 1 2 3 4 5 6 7 8 9; do : >a; mv a b; : >a; ln -f b "
				     "c; rm a; mv c a; rm -f b;"
				     " done";
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct event_copy copy;
	pid_t one, two;

	if (events_missing(live.events))
		SKIP("%s", events_missing(live.events));
	one = elsewhere(script);
	two = elsewhere(
		"for i in 1 2 3 4 5 6 7 8 9; do : >a; rm -f b; ln a b || true; done 2>/dev/null");
	waitpid(one, NULL, 0);
	waitpid(two, NULL, 0);
	/* What is left unsettled is told before this. */
	g_usleep(100 * 1000);
	waitpid(elsewhere(": >end"), NULL, 0);
	while (next(&copy) && strcmp(copy.event.name, "end") != 0) {
		if (copy.event.type == EVENT_RENAMED)
			g_hash_table_remove(names, copy.event.from);
		if (copy.event.type == EVENT_REMOVED)
			g_hash_table_remove(names, copy.event.name);
		else
			g_hash_table_add(names, g_strdup(copy.event.name));
	}
	ASSERT_INT(g_hash_table_contains(names, "a"), faccessat(live.directory, "a", F_OK, 0) == 0);
	ASSERT_INT(g_hash_table_contains(names, "b"), faccessat(live.directory, "b", F_OK, 0) == 0);
	ASSERT_INT(g_hash_table_contains(names, "c"), faccessat(live.directory, "c", F_OK, 0) == 0);
	waitpid(elsewhere("rm -f a b c end"), NULL, 0);
}

/* Of what this process does, the events name who it is done for. */
static void what_is_done_for_others_is_told_as_theirs(void)
{
	struct caller caller = { .pid = getppid() };
	struct event_copy copy;
	struct event_act *act;
	int fd;

	if (events_missing(live.events))
		SKIP("%s", events_missing(live.events));
	act = events_begin(live.events, 1u << EVENT_CREATED, "x", 0, false, &caller);
	CU_ASSERT_FATAL(act != NULL);
	fd = openat(live.directory, "x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct stat st;
	CU_ASSERT_FATAL(fstat(fd, &st) == 0);
	close(fd);
	events_end(live.events, act, true, st.st_ino);
	CU_ASSERT_FATAL(next(&copy));
	ASSERT_INT(copy.event.type, EVENT_CREATED);
	ASSERT_INT(copy.event.process.pid, getppid());
	unlinkat(live.directory, "x", 0);
	CU_ASSERT_FATAL(next(&copy));
	ASSERT_INT(copy.event.type, EVENT_REMOVED);
	ASSERT_INT(copy.event.process.pid, 0);
}

static void nothing_is_watched_while_nobody_reads(void)
{
	struct caller caller = { .pid = getpid() };

	CU_ASSERT(events_on(live.events));
	events_unuse(live.events);
	CU_ASSERT(!events_on(live.events));
	CU_ASSERT_PTR_NULL(events_begin(live.events, 1, "x", 0, false, &caller));
	events_tell(live.events, &(struct event){ .type = EVENT_IDLE });
	CU_ASSERT(!event_ring_has_next(events_ring(live.events), &live.cursor));
	CU_ASSERT(events_use(live.events) == 0);
}

/* The state and all counts of turns that the thread has had; NULL: there is none. */
static char *turns_of_thread(void)
{
	g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);

	for (const char *name; tasks && (name = g_dir_read_name(tasks));) {
		g_autofree char *path = g_build_filename("/proc/self/task", name, "status", NULL);
		g_autofree char *text = NULL;
		const char *state, *turns;

		if (!g_file_get_contents(path, &text, NULL, NULL) ||
			!g_str_has_prefix(text, "Name:\tevents\n"))
			continue;
		state = strstr(text, "\nState:\t");
		turns = strstr(text, "\nvoluntary_ctxt_switches:");
		CU_ASSERT_FATAL(state && turns);
		return g_strdup_printf("%c%s", state[strlen("\nState:\t")], turns);
	}
	return NULL;
}

/* It wakes up neither by itself nor because readers were told some time ago. */
static void the_thread_sleeps_while_nothing_happens(void)
{
	gint64 until = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
	struct event_copy copy;
	bool slept = false;

	waitpid(elsewhere(": >a; rm a"), NULL, 0);
	while (next(&copy) && copy.event.type != EVENT_REMOVED)
		;
	while (!slept && g_get_monotonic_time() < until) {
		g_autofree char *before = turns_of_thread(), *after = NULL;

		g_usleep(100 * 1000);
		after = turns_of_thread();
		slept = after && after[0] == 'S' && g_strcmp0(before, after) == 0;
	}
	CU_ASSERT(slept);
}

/* Several tries: somebody else may have the processors at the end of one. */
static void who_waits_for_the_end_of_the_thread_is_woken(void)
{
	gint64 shortest = G_MAXINT64;

	for (int i = 0; i < 20 && shortest > G_USEC_PER_SEC; i++) {
		const struct events_config config = { .kind = "posix",
			.directory = live.directory,
			.wake = woken,
			.shrunk = shrunk };
		struct events *events;
		gint64 began;

		CU_ASSERT_FATAL(events_new(&config, &events) == 0);
		ASSERT_INT(events_use(events), 0);
		began = g_get_monotonic_time();
		CU_ASSERT(events_stop(events));
		shortest = MIN(shortest, g_get_monotonic_time() - began);
		events_free(events);
	}
	CU_ASSERT(shortest <= G_USEC_PER_SEC);
}

/* The thread is held up meanwhile. */
static void what_is_told_later_is_bounded(void)
{
	const unsigned n = 10000;
	struct event_copy copy;
	unsigned told = 0, lost = 0;
	gint before;

	g_mutex_lock(&live.lock);
	before = g_atomic_int_get(&live.wakes);
	events_tell(live.events, &(struct event){ .type = EVENT_MAPPED });
	while (g_atomic_int_get(&live.wakes) == before)
		g_usleep(1000);
	for (unsigned i = 0; i < n; i++)
		events_tell_later(live.events, &(struct event){ .type = EVENT_IDLE });
	g_mutex_unlock(&live.lock);
	while (told + lost < n && next(&copy)) {
		told += copy.event.type == EVENT_IDLE;
		if (copy.event.type == EVENT_LOST)
			lost += copy.event.lost;
	}
	CU_ASSERT(told > 0);
	CU_ASSERT(lost > 0);
	ASSERT_INT(told + lost, n);
	/* They are told as lost once. */
	events_tell_later(live.events, &(struct event){ .type = EVENT_MAPPED });
	CU_ASSERT_FATAL(next(&copy));
	ASSERT_INT(copy.event.type, EVENT_MAPPED);
	events_tell_later(live.events, &(struct event){ .type = EVENT_IDLE });
	CU_ASSERT_FATAL(next(&copy));
	ASSERT_INT(copy.event.type, EVENT_IDLE);
}

static void open_group(void *expected)
{
	struct fanotify_group group;
	const char *why = NULL;

	ASSERT_INT(fanotify_open(&group, live.directory, &why), *(const int *)expected);
	ASSERT_INT(group.fd, -1);
	CU_ASSERT_PTR_NOT_NULL(why);
}

static void without_fanotify_it_says_why(void)
{
	int refused = -EPERM, too_many = -EMFILE, unknown = -ENODEV;

	failing_returns(FAILING({ SYS_fanotify_init, .result = -EPERM }), open_group, &refused);
	failing_returns(FAILING({ SYS_fanotify_init, .result = -EMFILE }), open_group, &too_many);
	failing_returns(FAILING({ SYS_fanotify_mark, .result = -ENODEV }), open_group, &unknown);
}

static CU_TestInfo live_tests[] = {
	{ "without fanotify it says why", without_fanotify_it_says_why },
	{ "who made an object smaller is told by and by",
		who_made_an_object_smaller_is_told_by_and_by },
	{ "what others do is told in order", what_others_do_is_told_in_order },
	{ "events add up to what is there", events_add_up_to_what_is_there },
	{ "what is done for others is told as theirs", what_is_done_for_others_is_told_as_theirs },
	{ "what is told later is bounded", what_is_told_later_is_bounded },
	{ "the thread sleeps while nothing happens", the_thread_sleeps_while_nothing_happens },
	{ "who waits for the end of the thread is woken",
		who_waits_for_the_end_of_the_thread_is_woken },
	{ "nothing is watched while nobody reads", nothing_is_watched_while_nobody_reads },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo events_live_suite = {
	.pName = "events_live",
	.pTests = live_tests,
	.pSetUpFunc = set_up_live,
	.pTearDownFunc = tear_down_live,
};
