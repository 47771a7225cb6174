/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "../fuzz/fanotify.h"
#include "corpus.h"
#include "events/acts.h"
#include "events/changes.h"
#include "events/events.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The ring */

static void append(struct event_ring *ring, uint64_t inode, const char *name)
{
	const struct event event = {
		.type = EVENT_CREATED,
		.kind = "posix",
		.id = name,
		.name = name,
		.inode = inode,
		.process = { .pid = 7, .born = 8, .uid = 9, .command = "me", .unit = "x.service" }
	};

	event_ring_append(ring, &event);
}

static void a_reader_gets_each_event_once_and_whole(void)
{
	struct event_ring *ring = event_ring_new(0);
	struct event_cursor cursor = event_ring_end(ring);
	struct event_copy copy;

	CU_ASSERT(!event_ring_next(ring, &cursor, &copy));
	append(ring, 1, "one");
	append(ring, 2, "");
	CU_ASSERT_FATAL(event_ring_next(ring, &cursor, &copy));
	ASSERT_INT(copy.event.inode, 1);
	ASSERT_STRING(copy.event.id, "one");
	ASSERT_STRING(copy.event.name, "one");
	CU_ASSERT_PTR_NULL(copy.event.from);
	ASSERT_STRING(copy.event.process.command, "me");
	ASSERT_STRING(copy.event.process.unit, "x.service");
	ASSERT_INT(copy.event.process.uid, 9);
	CU_ASSERT(copy.event.time > 0);
	CU_ASSERT(event_ring_has_next(ring, &cursor));
	CU_ASSERT_FATAL(event_ring_next(ring, &cursor, &copy));
	ASSERT_STRING(copy.event.name, "");
	CU_ASSERT(!event_ring_next(ring, &cursor, &copy));
	CU_ASSERT(!event_ring_has_next(ring, &cursor));
	event_ring_free(ring);
}

/* However the records lie around the end of the memory: names of all lengths. */
static void a_slow_reader_is_told_how_many_it_has_missed(void)
{
	struct event_ring *ring = event_ring_new(8192);
	struct event_cursor slow = event_ring_end(ring), quick = slow;
	char name[NAME_MAX + 1];
	struct event_copy copy;
	uint64_t next = 1;

	for (uint64_t i = 1; i <= 5000; i++) {
		memset(name, 'n', sizeof name);
		name[i % NAME_MAX] = 0;
		append(ring, i, name);
		CU_ASSERT_FATAL(event_ring_next(ring, &quick, &copy));
		CU_ASSERT(copy.event.inode == i && strlen(copy.event.name) == i % NAME_MAX);
		if (i % 777 != 0)
			continue;
		CU_ASSERT_FATAL(event_ring_next(ring, &slow, &copy));
		ASSERT_INT(copy.event.type, EVENT_LOST);
		next += copy.event.lost;
		while (event_ring_next(ring, &slow, &copy)) {
			ASSERT_INT(copy.event.inode, next);
			next++;
		}
		ASSERT_INT(next, i + 1);
	}
	event_ring_free(ring);
}

static void the_last_events_are_found_again(void)
{
	struct event_ring *ring = event_ring_new(8192);
	struct event_cursor cursor;
	struct event_copy copy;

	for (uint64_t i = 1; i <= 1000; i++)
		append(ring, i, i == 999 ? "this" : "other");
	cursor = event_ring_back(ring, 2);
	CU_ASSERT_FATAL(event_ring_next(ring, &cursor, &copy));
	ASSERT_INT(copy.event.inode, 999);
	cursor = event_ring_back(ring, 1000000);
	CU_ASSERT_FATAL(event_ring_next(ring, &cursor, &copy));
	CU_ASSERT(copy.event.type == EVENT_CREATED && copy.event.inode > 1);
	CU_ASSERT(event_ring_find(ring, "posix", 999, EVENT_CREATED, &copy));
	ASSERT_STRING(copy.event.name, "this");
	CU_ASSERT(!event_ring_find(ring, "posix", 999, EVENT_REMOVED, &copy));
	CU_ASSERT(!event_ring_find(ring, "memfd", 999, EVENT_CREATED, &copy));
	CU_ASSERT(!event_ring_find(ring, "posix", 1, EVENT_CREATED, &copy));
	event_ring_free(ring);
}

static void an_event_is_a_line_of_json(void)
{
	struct event event = { .time = 1500000000,
		.type = EVENT_RENAMED,
		.kind = "posix",
		.id = "a\"\n",
		.name = "a\"\n",
		.from = "\xff",
		.inode = 5,
		.size = EVENT_UNKNOWN,
		.process = { .pid = 7, .born = 8, .uid = 0, .command = "c", .unit = "-" } };
	g_autoptr(GString) text = g_string_new(NULL);

	event_format(text, &event, true);
	ASSERT_STRING(text->str,
		"{\"time\":1.500000000,\"event\":\"renamed\",\"kind\":\"posix\",\"id\":"
		"\"a\\\"\\n\","
		"\"name\":\"a\\\"\\n\",\"from\":\"\xef\xbf\xbd\",\"from_base64\":\"/"
		"w==\",\"inode\":5,"
		"\"size\":null,\"pid\":7,\"born\":8,\"uid\":0,\"command\":\"c\",\"unit\":\"-\"}\n");
	g_string_truncate(text, 0);
	event_format(text, &event, false);
	CU_ASSERT(g_str_has_suffix(text->str,
		"\"pid\":null,\"born\":null,\"uid\":null,\"command\":null,\"unit\":null}\n"));
	g_string_truncate(text, 0);
	event.process.born = 0;
	event_format(text, &event, true);
	CU_ASSERT(g_str_has_suffix(text->str,
		"\"pid\":7,\"born\":null,\"uid\":null,\"command\":null,\"unit\":null}\n"));
	g_string_truncate(text, 0);
	event_format(text, &(struct event){ .time = 1, .type = EVENT_LOST, .lost = 3 }, true);
	ASSERT_STRING(text->str, "{\"time\":0.000000001,\"event\":\"lost\",\"lost\":3}\n");
}

/* Acts */

static unsigned visits;
static pid_t visited;

static void count_visit(const struct process_identity *process, void *data)
{
	(void)data;
	visits++;
	visited = process->pid;
}

static unsigned take(struct event_acts *acts, enum event_type type, const char *name,
	uint64_t inode)
{
	return event_acts_take(acts, type, name, inode, count_visit, NULL);
}

static struct event_act *begin(struct event_acts *acts, unsigned types, const char *name, pid_t pid)
{
	const struct process_identity process = { .pid = pid };

	return event_act_begin(acts, types, name, 0, false, &process);
}

static void an_act_is_found_once_for_each_type(void)
{
	struct event_acts *acts = event_acts_new();
	unsigned both = 1u << EVENT_CREATED | 1u << EVENT_OPENED;
	struct event_act *failed = begin(acts, both, "x", 1);

	event_act_end(acts, begin(acts, both, "x", 10), true, 5);
	event_act_end(acts, begin(acts, both, "x", 11), true, 6);
	event_act_end(acts, failed, false, 0);
	ASSERT_INT(take(acts, EVENT_REMOVED, "x", 5), 0);
	ASSERT_INT(take(acts, EVENT_CREATED, "y", 5), 0);
	ASSERT_INT(take(acts, EVENT_CREATED, "x", 5), 1);
	ASSERT_INT(visited, 10);
	ASSERT_INT(take(acts, EVENT_CREATED, "x", 5), 0);
	ASSERT_INT(take(acts, EVENT_OPENED, "x", 5), 1);
	ASSERT_INT(take(acts, EVENT_OPENED, NULL, 6), 1);
	ASSERT_INT(visited, 11);
	/* What has one inode number is found together, and the rest stays. */
	event_act_end(acts, begin(acts, 1u << EVENT_OPENED, "a", 12), true, 7);
	event_act_end(acts, begin(acts, 1u << EVENT_RESIZED, "a", 13), true, 7);
	event_act_end(acts, begin(acts, 1u << EVENT_OPENED, "a", 14), true, 7);
	ASSERT_INT(take(acts, EVENT_OPENED, "a", 7), 2);
	ASSERT_INT(take(acts, EVENT_RESIZED, "a", 7), 1);
	event_acts_free(acts);
}

static gpointer end_soon(gpointer data)
{
	struct event_acts *acts = data;

	g_usleep(2000);
	event_act_end(acts, begin(acts, 1u << EVENT_REMOVED, "other", 20), true, 8);
	return NULL;
}

static void an_act_that_has_not_ended_is_waited_for(void)
{
	struct event_acts *acts = event_acts_new();
	struct event_act *act = begin(acts, 1u << EVENT_REMOVED, "x", 21);
	GThread *thread = g_thread_new("end", end_soon, acts);

	/* Another one, which is not waited for, and one that never ends, which is not for ever. */
	ASSERT_INT(take(acts, EVENT_REMOVED, "x", 9), 0);
	g_thread_join(thread);
	event_act_end(acts, act, true, 9);
	ASSERT_INT(take(acts, EVENT_REMOVED, "x", 9), 1);
	ASSERT_INT(visited, 21);
	event_acts_free(acts);
}

/* Records */

static void count_record(const struct fanotify_record *record, void *data)
{
	(void)record;
	++*(unsigned *)data;
}

static void hostile_records_are_refused(void)
{
	CU_ASSERT(corpus_replay("corpus-fanotify", "\x01\x08\x0c\x24\xff", fuzz_fanotify) >= 3);
}

static void records_that_do_not_end_are_refused(void)
{
	uint8_t bytes[64] = { 24, 0, 0, 0, 3, 0, 24, 0 };
	unsigned n = 0;

	ASSERT_INT(fanotify_records_parse(bytes, 24, count_record, &n), 0);
	ASSERT_INT(n, 1);
	ASSERT_INT(fanotify_records_parse(bytes, 23, count_record, &n), -EPROTO);
	bytes[0] = 25;
	ASSERT_INT(fanotify_records_parse(bytes, 24, count_record, &n), -EPROTO);
	bytes[0] = 0;
	ASSERT_INT(fanotify_records_parse(bytes, 24, count_record, &n), -EPROTO);
	ASSERT_INT(n, 1);
}

/* All of it, on a real directory */

static struct {
	struct events *events;
	struct event_cursor cursor;
	int directory;
	char path[64];
	GMutex lock;
	GCond woken;
	gint wakes; /* atomic */
} live;

static void woken(void *data)
{
	(void)data;
	g_atomic_int_inc(&live.wakes);
	g_mutex_lock(&live.lock);
	g_cond_broadcast(&live.woken);
	g_mutex_unlock(&live.lock);
}

static void set_up_live(void)
{
	const struct events_config config = { .kind = "posix",
		.reserved = ".shmtree",
		.hidden_prefix = ".hidden.",
		.wake = woken };
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
}

/* Who made an object smaller */

static struct shrink shrinks[4];
static unsigned shrunk, unknown;

static void keep_shrink(const struct shrink *shrink, void *data)
{
	(void)data;
	if (shrink->process.pid == 0)
		unknown++;
	else
		shrinks[shrunk++ % G_N_ELEMENTS(shrinks)] = *shrink;
}

static const struct process_identity one = { .pid = 1, .born = 5 }, other = { .pid = 2, .born = 6 };

/* As if all records had been read, `ms` milliseconds from now. */
static unsigned shrunk_after(struct sizes *sizes, int ms)
{
	shrunk = 0;
	sizes_settle(sizes, g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND);
	return shrunk;
}

static void who_alone_changed_an_object_made_it_smaller(void)
{
	struct sizes *sizes = sizes_new(keep_shrink, NULL);

	CU_ASSERT_TRUE(sizes_note(sizes, 1, 100));
	CU_ASSERT_FALSE(sizes_note(sizes, 1, 100));
	CU_ASSERT_FALSE(sizes_note_change(sizes, 1, 100, &one));
	CU_ASSERT_FALSE(sizes_unsettled(sizes));
	CU_ASSERT_TRUE(sizes_note_change(sizes, 1, 50, &one));
	CU_ASSERT_TRUE(sizes_note_change(sizes, 1, 20, &one));
	CU_ASSERT_TRUE(sizes_unsettled(sizes));
	/* Another process's record may still come. */
	ASSERT_INT(shrunk_after(sizes, 100), 0);
	ASSERT_INT(shrunk_after(sizes, 400), 1);
	CU_ASSERT_FALSE(sizes_unsettled(sizes));
	ASSERT_INT(shrinks[0].inode, 1);
	ASSERT_INT(shrinks[0].from, 100);
	ASSERT_INT(shrinks[0].to, 20);
	ASSERT_INT(shrinks[0].process.pid, 1);
	CU_ASSERT(shrinks[0].after > 0 && shrinks[0].after <= shrinks[0].until);
	/* What has grown has not become smaller; nor has what is seen for the first time. */
	CU_ASSERT_TRUE(sizes_note_change(sizes, 1, 80, &one));
	CU_ASSERT_TRUE(sizes_note_change(sizes, 2, 0, &one));
	ASSERT_INT(shrunk_after(sizes, 400), 0);
	sizes_free(sizes);
}

static void of_several_who_changed_an_object_none_made_it_smaller(void)
{
	struct sizes *sizes = sizes_new(keep_shrink, NULL);

	sizes_note(sizes, 1, 100);
	sizes_note_change(sizes, 1, 50, &one);
	sizes_note_change(sizes, 1, 50, &other);
	ASSERT_INT(shrunk_after(sizes, 400), 0);
	/* The daemon may have done it as well. */
	sizes_note_change(sizes, 1, 40, &one);
	sizes_note_change(sizes, 1, 40, NULL);
	ASSERT_INT(shrunk_after(sizes, 400), 0);
	sizes_note_change(sizes, 1, 30, NULL);
	ASSERT_INT(shrunk_after(sizes, 400), 0);
	/* Each its own. */
	sizes_note(sizes, 2, 100);
	sizes_note_change(sizes, 1, 20, &one);
	sizes_note_change(sizes, 2, 20, &other);
	ASSERT_INT(shrunk_after(sizes, 400), 2);
	ASSERT_INT(shrinks[0].process.pid, 1);
	ASSERT_INT(shrinks[1].process.pid, 2);
	/* Records that are lost may have been another process's. */
	sizes_note_change(sizes, 1, 10, &one);
	sizes_forget(sizes);
	ASSERT_INT(shrunk_after(sizes, 400), 0);
	CU_ASSERT_TRUE(sizes_note_change(sizes, 1, 5, &one));
	ASSERT_INT(shrunk_after(sizes, 400), 0);
	sizes_free(sizes);
}

/* What was told of an object stands until it may have been made smaller again. */
static void what_is_not_known_any_more_is_told(void)
{
	struct sizes *sizes = sizes_new(keep_shrink, NULL);

	sizes_note(sizes, 1, 100);
	unknown = 0;
	sizes_note(sizes, 1, 200);
	sizes_note_change(sizes, 1, 300, &one);
	ASSERT_INT(unknown, 0);
	sizes_note(sizes, 1, 100);
	ASSERT_INT(unknown, 1);
	sizes_note_change(sizes, 1, 50, NULL);
	ASSERT_INT(unknown, 2);
	/* By another name: whoever comes next has not done it. */
	sizes_blur(sizes, 1);
	ASSERT_INT(unknown, 3);
	sizes_note_change(sizes, 1, 10, &one);
	ASSERT_INT(unknown, 4);
	ASSERT_INT(shrunk_after(sizes, 400), 0);
	sizes_note_change(sizes, 1, 5, &one);
	sizes_blur(sizes, 1);
	ASSERT_INT(shrunk_after(sizes, 400), 0);
	unknown = 0;
	sizes_forget(sizes);
	sizes_free(sizes);
	ASSERT_INT(unknown, 2);
}

static CU_TestInfo ring_tests[] = {
	{ "a reader gets each event once and whole", a_reader_gets_each_event_once_and_whole },
	{ "a slow reader is told how many it has missed",
		a_slow_reader_is_told_how_many_it_has_missed },
	{ "the last events are found again", the_last_events_are_found_again },
	{ "an event is a line of JSON", an_event_is_a_line_of_json },
	{ "an act is found once for each type", an_act_is_found_once_for_each_type },
	{ "an act that has not ended is waited for", an_act_that_has_not_ended_is_waited_for },
	{ "who alone changed an object made it smaller",
		who_alone_changed_an_object_made_it_smaller },
	{ "of several who changed an object none made it smaller",
		of_several_who_changed_an_object_none_made_it_smaller },
	{ "what is not known any more is told", what_is_not_known_any_more_is_told },
	{ "hostile records are refused", hostile_records_are_refused },
	{ "records that do not end are refused", records_that_do_not_end_are_refused },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo events_suite = { .pName = "events", .pTests = ring_tests };

static CU_TestInfo live_tests[] = {
	{ "what others do is told in order", what_others_do_is_told_in_order },
	{ "events add up to what is there", events_add_up_to_what_is_there },
	{ "what is done for others is told as theirs", what_is_done_for_others_is_told_as_theirs },
	{ "what is told later is bounded", what_is_told_later_is_bounded },
	{ "nothing is watched while nobody reads", nothing_is_watched_while_nobody_reads },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo events_live_suite = {
	.pName = "events_live",
	.pTests = live_tests,
	.pSetUpFunc = set_up_live,
	.pTearDownFunc = tear_down_live,
};
