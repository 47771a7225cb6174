/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/maps.h"

#include "../fuzz/maps-text.h"
#include "corpus.h"
#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

static enum vma_interest want_all(const struct vma *vma, void *data)
{
	(void)data;
	return vma->ino ? VMA_NAMED : VMA_PLAIN;
}

static void keep(struct vma *vma, void *data)
{
	struct vma copy = *vma;

	copy.name = g_strdup(vma->name);
	g_array_append_val(data, copy);
}

static void drop(void *data)
{
	g_free(((struct vma *)data)->name);
}

static GArray *rows_new(void)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct vma));

	g_array_set_clear_func(rows, drop);
	return rows;
}

struct packets {
	int fd;
	const char *text;
	size_t size, packet;
};

static void *send_packets(void *data)
{
	const struct packets *p = data;

	for (size_t at = 0; at < p->size; at += p->packet)
		if (send(p->fd, p->text + at, MIN(p->packet, p->size - at), MSG_NOSIGNAL) < 0)
			break;
	close(p->fd);
	return NULL;
}

/* Through a socket that gives what each write gave, as a maps file gives a page at most. */
static int read_in_packets(const char *text, size_t size, size_t packet, GArray *rows)
{
	struct maps_sink sink = { want_all, keep, rows };
	struct packets packets = { .text = text, .size = size, .packet = packet };
	GThread *sender;
	int ends[2], result;

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	packets.fd = ends[1];
	sender = g_thread_new("sender", send_packets, &packets);
	result = maps_text_read(ends[0], &sink);
	close(ends[0]);
	g_thread_join(sender);
	return result;
}

static int read_text(const char *text, GArray *rows)
{
	return read_in_packets(text, strlen(text), 4096, rows);
}

#define ROW(rows, i) g_array_index(rows, struct vma, i)

static const char recorded[] =
	"5565df0b2000-5565df0e1000 r--p 00000000 fe:00 262437                     /usr/bin/bash\n"
	"5565df200000-5565df221000 rw-p 00000000 00:00 0                          [heap]\n"
	"7f6c64a00000-7f6c64a21000 rw-s 00002000 00:19 5                          /dev/shm/x\n"
	"7f6c64d00000-7f6c64d01000 ---p 00000000 00:00 0 \n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void reads_what_the_kernel_wrote(void)
{
	g_autoptr(GArray) rows = rows_new();

	ASSERT_INT(read_text(recorded, rows), 0);
	ASSERT_INT(rows->len, 5);
	if (rows->len != 5)
		return;
	ASSERT_INT(ROW(rows, 2).start, 0x7f6c64a00000);
	ASSERT_INT(ROW(rows, 2).end, 0x7f6c64a21000);
	ASSERT_INT(ROW(rows, 2).offset, 0x2000);
	ASSERT_INT(ROW(rows, 2).dev, makedev(0, 0x19));
	ASSERT_INT(ROW(rows, 2).ino, 5);
	ASSERT_STRING(ROW(rows, 2).perms, "rw-s");
	ASSERT_STRING(ROW(rows, 2).name, "/dev/shm/x");
	ASSERT_INT(ROW(rows, 0).dev, makedev(0xfe, 0));
	CU_ASSERT_PTR_NULL(ROW(rows, 1).name);
	CU_ASSERT(ROW(rows, 4).start == 0xffffffffff600000);
}

static void reads_lines_that_straddle_reads(void)
{
	for (size_t packet = 1; packet < sizeof(recorded); packet++) {
		g_autoptr(GArray) rows = rows_new();

		ASSERT_INT(read_in_packets(recorded, strlen(recorded), packet, rows), 0);
		ASSERT_INT(rows->len, 5);
	}
}

static void assert_name(const char *written, const char *expected)
{
	g_autofree char *text =
		g_strconcat("1000-2000 rw-s 00000000 00:19 5 ", written, "\n", NULL);
	g_autoptr(GArray) rows = rows_new();

	ASSERT_INT(read_text(text, rows), 0);
	ASSERT_INT(rows->len, 1);
	if (rows->len == 1)
		ASSERT_STRING(ROW(rows, 0).name, expected);
}

static void names_are_any_bytes(void)
{
	assert_name("        /dev/shm/with space", "/dev/shm/with space");
	assert_name("/dev/shm/x (deleted)", "/dev/shm/x (deleted)");
	assert_name("/dev/shm/x (deleted) (deleted)", "/dev/shm/x (deleted) (deleted)");
	assert_name("/dev/shm/new\\012line\\012", "/dev/shm/new\nline\n");
	assert_name("/dev/shm/tab\there", "/dev/shm/tab\there");
	assert_name("/dev/shm/\xff\xfe\x80", "/dev/shm/\xff\xfe\x80");
	/* The kernel does not escape backslashes: these are the name's own. */
	assert_name("/dev/shm/a\\134b\\01", "/dev/shm/a\\134b\\01");
	assert_name("/dev/shm/ends in space ", "/dev/shm/ends in space ");
}

static void a_name_may_be_longer_than_a_read(void)
{
	g_autofree char *name = g_strnfill(200000, 'n');
	g_autofree char *path = g_strconcat("/", name, NULL);
	g_autofree char *text = g_strconcat("1-2 rw-s 0 00:19 5 ", path, "\n", recorded, NULL);
	g_autoptr(GArray) rows = rows_new();

	ASSERT_INT(read_text(text, rows), 0);
	ASSERT_INT(rows->len, 6);
	if (rows->len == 6)
		ASSERT_STRING(ROW(rows, 0).name, path);
}

static void says_what_is_malformed(void)
{
	static const char *const bad[] = {
		"\n",
		"nonsense\n",
		"1000-2000 rw-s 00000000 00:19 5 /x", /* no newline: cut short */
		"1000-2000 rw-s 00000000 00:19 \n",
		"1000-2000 rw-s 00000000 00:19 5x /x\n",
		"1000-2000 rw-s 00000000 0019 5 /x\n",
		"1000-2000 rw-s 0000000g 00:19 5 /x\n",
		"1000-2000 rwzs 00000000 00:19 5 /x\n",
		"1000-2000 rw-s00000000 00:19 5 /x\n",
		"1000-2000 rw\n",
		"2000-1000 rw-s 00000000 00:19 5 /x\n",
		"1000-1000 rw-s 00000000 00:19 5 /x\n",
		"-1000 rw-s 00000000 00:19 5 /x\n",
		"0-10000000000000000 rw-s 0 00:19 5 /x\n",
		"0-1000 rw-s 0 00:19 18446744073709551616 /x\n",
		"0-1000 rw-s 0 00:19 5 /x\nrest\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GArray) rows = rows_new();

		ASSERT_INT(read_text(bad[i], rows), -EPROTO);
	}
}

static void a_line_without_end_is_refused(void)
{
	g_autoptr(GArray) rows = rows_new();
	g_autofree char *endless = g_strnfill(3 << 20, 'x');

	ASSERT_INT(read_text(endless, rows), -EPROTO);
}

static void nothing_means_no_address_space(void)
{
	g_autoptr(GArray) rows = rows_new();

	ASSERT_INT(read_text("", rows), -ESRCH);
}

static enum vma_interest skip_unless_5(const struct vma *vma, void *data)
{
	(void)data;
	return vma->ino == 5 ? VMA_PLAIN : VMA_SKIP;
}

static void hands_over_what_is_wanted(void)
{
	g_autoptr(GArray) rows = rows_new();
	struct maps_sink sink = { skip_unless_5, keep, rows };
	char text[sizeof(recorded)];

	memcpy(text, recorded, sizeof(recorded));
	ASSERT_INT(maps_text_lines(text, strlen(recorded), &sink), strlen(recorded));
	ASSERT_INT(rows->len, 1);
	CU_ASSERT_PTR_NULL(ROW(rows, 0).name);
}

static GArray *read_self(int (*read_maps)(int fd, const struct maps_sink *sink))
{
	GArray *rows = rows_new();
	struct maps_sink sink = { want_all, keep, rows };
	auto_fd fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	ASSERT_INT(read_maps(fd, &sink), 0);
	return rows;
}

static const struct vma *find(const GArray *rows, const void *address)
{
	for (guint i = 0; i < rows->len; i++)
		if (ROW(rows, i).start == (uintptr_t)address)
			return &ROW(rows, i);
	return NULL;
}

static void both_ways_see_the_same(void)
{
	auto_fd memfd = memfd_create("a\nb", MFD_CLOEXEC);
	auto_fd self = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char *at;

	ASSERT_INT(ftruncate(memfd, 3 * 4096), 0);
	at = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, memfd, 4096);
	CU_ASSERT(at != MAP_FAILED);
	for (int way = 0; way < 2; way++) {
		/* Where the kernel answers no queries, the text has been tested once. */
		bool by_text = way == 0 || maps_query_probe(self) != 0;
		g_autoptr(GArray) rows = read_self(by_text ? maps_text_read : maps_query_read);
		const struct vma *vma = find(rows, at);

		CU_ASSERT_PTR_NOT_NULL(vma);
		if (!vma)
			continue;
		ASSERT_INT(vma->end - vma->start, 8192);
		ASSERT_INT(vma->offset, 4096);
		ASSERT_STRING(vma->perms, "r--p");
		ASSERT_STRING(vma->name, "/memfd:a\nb (deleted)");
	}
	munmap(at, 8192);
}

static void the_query_is_refused_by_a_recorded_tree(void)
{
	auto_fd fd = memfd_create("maps", MFD_CLOEXEC);

	ASSERT_INT(maps_query_probe(fd), -ENOTTY);
}

static void the_corpus_of_the_fuzzer_finds_nothing(void)
{
	CU_ASSERT(corpus_replay("corpus-maps-text", " \n\\-:0fgs", LLVMFuzzerTestOneInput) >= 10);
}

static CU_TestInfo tests[] = {
	{ "reads what the kernel wrote", reads_what_the_kernel_wrote },
	{ "reads lines that straddle reads", reads_lines_that_straddle_reads },
	{ "names are any bytes", names_are_any_bytes },
	{ "a name may be longer than a read", a_name_may_be_longer_than_a_read },
	{ "says what is malformed", says_what_is_malformed },
	{ "a line without end is refused", a_line_without_end_is_refused },
	{ "nothing means no address space", nothing_means_no_address_space },
	{ "hands over what is wanted", hands_over_what_is_wanted },
	{ "both ways see the same", both_ways_see_the_same },
	{ "the query is refused by a recorded tree", the_query_is_refused_by_a_recorded_tree },
	{ "the corpus of the fuzzer finds nothing", the_corpus_of_the_fuzzer_finds_nothing },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo maps_suite = { "maps", NULL, NULL, NULL, NULL, tests };
