/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "../fuzz/fanotify.h"
#include "corpus.h"
#include "events/acts.h"
#include "events/fanotify-records.h"
#include "events/ring.h"
#include "events/sizes.h"
#include "views/event-rows.h"

#include <errno.h>
#include <string.h>
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
	event_ring_free(ring);
}

/* What `log` shows is so many events, also if others come while it is made. */
static void rows_end_before_what_came_later(void)
{
	const struct caller self = { .uid = geteuid(), .gid = getegid(), .pid = getpid() };
	struct event_ring *ring = event_ring_new(0);
	g_autoptr(GString) text = g_string_new(NULL);
	struct event_cursor cursor;

	for (int i = 0; i < 5; i++)
		append(ring, i, "x");
	cursor = event_ring_back(ring, 3);
	append(ring, 5, "later");
	CU_ASSERT(event_rows_append(ring, &cursor, cursor.number + 3, &self, 1 << 20, text));
	CU_ASSERT_PTR_NULL(strstr(text->str, "later"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text->str, "\"inode\":4"));
	CU_ASSERT(event_rows_append(ring, &cursor, UINT64_MAX, &self, 1 << 20, text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text->str, "later"));
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

/* A record of 24 bytes, and what follows it. */
static int parse_with(const void *info, size_t n)
{
	uint8_t bytes[64] = { 24 + n, 0, 0, 0, 3, 0, 24, 0 };
	unsigned count = 0;
	int r;

	memcpy(bytes + 24, info, n);
	r = fanotify_records_parse(bytes, 24 + n, count_record, &count);
	ASSERT_INT(count, r == 0);
	return r;
}

static void what_a_record_has_besides_is_whole_or_refused(void)
{
	enum { PIDFD = 4, OTHER = 99 };
	const uint8_t head[] = { PIDFD, 0, 3 }, pidfd[] = { PIDFD, 0, 8, 0, 1, 0, 0, 0 },
		      cut[] = { PIDFD, 0, 7, 0, 1, 0, 0 }, more[] = { OTHER, 0, 4, 0 };

	ASSERT_INT(parse_with(head, sizeof head), -EPROTO);
	ASSERT_INT(parse_with(pidfd, sizeof pidfd), 0);
	ASSERT_INT(parse_with(cut, sizeof cut), -EPROTO);
	ASSERT_INT(parse_with(more, sizeof more), 0);
}

static void a_file_is_another_one_by_each_part_of_its_handle(void)
{
	const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	const uint8_t changed[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13 };
	const struct file_id same = { bytes, sizeof bytes, TMPFS_HANDLE_TYPE };
	const struct file_id others[] = {
		{ NULL, 0, 0 },
		{ bytes, sizeof bytes, TMPFS_HANDLE_TYPE + 1 },
		{ bytes, sizeof bytes - 1, TMPFS_HANDLE_TYPE },
		{ changed, sizeof changed, TMPFS_HANDLE_TYPE },
	};
	uint64_t inode = 0;

	CU_ASSERT_TRUE(file_id_equal(&same, &same));
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		CU_ASSERT_FALSE(file_id_equal(&same, &others[i]));
		CU_ASSERT_FALSE(file_id_equal(&others[i], &same));
	}
	CU_ASSERT_TRUE(file_id_inode(&same, &inode));
	CU_ASSERT(inode == UINT64_C(0x0c0b0a0908070605));
	for (size_t i = 0; i < 3; i++)
		CU_ASSERT_FALSE(file_id_inode(&others[i], &inode));
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
	{ "rows end before what came later", rows_end_before_what_came_later },
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
	{ "what a record has besides is whole or refused",
		what_a_record_has_besides_is_whole_or_refused },
	{ "a file is another one by each part of its handle",
		a_file_is_another_one_by_each_part_of_its_handle },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo events_suite = { .pName = "events", .pTests = ring_tests };
