/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/limits.h"
#include "base/below.h"
#include "base/tmpfs.h"
#include "base/util.h"
#include "kinds/posix-semaphore.h"
#include "kinds/held-namespaces.h"
#include "kinds/nested.h"
#include "kinds/idle.h"
#include "kinds/realms.h"
#include "kinds/posix-mqueue.h"
#include "kinds/past-process.h"
#include "kinds/unlinked.h"

#include "failing.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void ids_say_what_a_segment_is(void)
{
	struct segment_key key = { .ino = 1047, .class = SEGMENT_MEMFD };
	char id[NAME_MAX + 1];

	unlinked_format_id(&key, false, "wayland-shm", id);
	ASSERT_STRING(id, "memfd-wayland-shm-1047");
	unlinked_format_id(&key, true, "x", id);
	ASSERT_STRING(id, "hugememfd-x-1047");
	unlinked_format_id(&key, false, "a b/c\td\xff\\", id);
	ASSERT_STRING(id, "memfd-a_b_c_d__-1047");
	key.class = SEGMENT_FILE;
	unlinked_format_id(&key, false, "psm_4f2a", id);
	ASSERT_STRING(id, "posix-psm_4f2a-1047");
	key.class = SEGMENT_ANON;
	key.ino = UINT64_MAX;
	unlinked_format_id(&key, false, "", id);
	ASSERT_STRING(id, "anon-18446744073709551615");
}

static void the_longest_name_leaves_room_for_the_inode(void)
{
	struct segment_key key = { .ino = UINT64_MAX, .class = SEGMENT_MEMFD };
	char name[NAME_MAX + 1], id[NAME_MAX + 1];
	enum segment_class class;
	uint64_t ino;
	bool huge;

	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = 0;
	unlinked_format_id(&key, true, name, id);
	ASSERT_INT(strlen(id), NAME_MAX);
	CU_ASSERT(unlinked_parse_id(id, &class, &huge, &ino));
	CU_ASSERT(class == SEGMENT_MEMFD && huge && ino == UINT64_MAX);
}

static void ids_are_understood_or_refused(void)
{
	static const char *const wrong[] = { "", "-", "memfd", "memfd-", "memfd-x", "memfd-01",
		"-1", "sysv-1", "hugesysv-1", "memfdx-1", "memfd-1x", "memfd-18446744073709551616",
		"memfd-99999999999999999999", "memfd--", "memfd-x- 1", "huge-1" };
	enum segment_class class;
	uint64_t ino;
	bool huge;

	CU_ASSERT(unlinked_parse_id("anon-12", &class, &huge, &ino));
	CU_ASSERT(class == SEGMENT_ANON && !huge && ino == 12);
	CU_ASSERT(unlinked_parse_id("posix-a-7-12", &class, &huge, &ino));
	CU_ASSERT(class == SEGMENT_FILE && ino == 12);
	CU_ASSERT(unlinked_parse_id("other-0", &class, &huge, &ino));
	CU_ASSERT(class == SEGMENT_OTHER && ino == 0);
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		CU_ASSERT(!unlinked_parse_id(wrong[i], &class, &huge, &ino));
}

static const char *name_of(enum segment_class class, const char *shown)
{
	static char name[NAME_MAX + 1];

	unlinked_name(class, shown, name);
	return name;
}

static void names_are_what_the_maker_chose(void)
{
	ASSERT_STRING(name_of(SEGMENT_FILE, "/dev/shm/x (deleted)"), "x");
	ASSERT_STRING(name_of(SEGMENT_FILE, "/dev/shm/a b"), "a b");
	ASSERT_STRING(name_of(SEGMENT_FILE, ""), "");
	ASSERT_STRING(name_of(SEGMENT_FILE, "/x (deleted) (deleted)"), "x (deleted)");
	ASSERT_STRING(name_of(SEGMENT_MEMFD, "/memfd:x (deleted)"), "x");
	ASSERT_STRING(name_of(SEGMENT_MEMFD, "/memfd:a/b (deleted) (deleted)"), "a/b (deleted)");
	ASSERT_STRING(name_of(SEGMENT_MEMFD, "/memfd: (deleted)"), "");
	ASSERT_STRING(name_of(SEGMENT_ANON, "/dev/zero (deleted)"), "");
	ASSERT_STRING(name_of(SEGMENT_OTHER, "/i915 (deleted)"), "i915");
}

static bool is_semaphore(const char *bytes, size_t size, uint32_t value, uint32_t waiters)
{
	struct semaphore s;

	return semaphore_parse(bytes, size, &s) && s.value == value && s.waiters == waiters;
}

static void semaphores_of_each_library_are_read(void)
{
	static const char glibc[32] = { 6, 0, 0, 0, 2, 0, 0, 0, (char)128 };
	static const char musl[32] = { 5, 0, 0, (char)0x80, 1 };
	static const char glibc32[16] = { 13, 0, 0, 0, (char)128, 0, 0, 0, 0, 0, 0, 0, 3 };
	static const char larger[4096] = { 1 };
	static const char zero[32];

	CU_ASSERT(is_semaphore(glibc, sizeof glibc, 6, 2));
	CU_ASSERT(is_semaphore(musl, sizeof musl, 5, 1));
	CU_ASSERT(is_semaphore(glibc32, sizeof glibc32, 6, 3));
	CU_ASSERT(is_semaphore(larger, SEMAPHORE_SIZE, 1, 0));
	CU_ASSERT(is_semaphore(zero, sizeof zero, 0, 0));
}

static void other_bytes_are_no_semaphore(void)
{
	char bytes[32] = { 6 };
	struct semaphore s;

	for (size_t size = 0; size < sizeof bytes; size++)
		if (size != 16)
			CU_ASSERT(!semaphore_parse(bytes, size, &s));
	bytes[3] = (char)0x80; /* a value beyond SEM_VALUE_MAX, with nobody waiting */
	CU_ASSERT(!semaphore_parse(bytes, sizeof bytes, &s));
	bytes[3] = 0;
	bytes[8] = 1; /* neither shared nor private */
	CU_ASSERT(!semaphore_parse(bytes, sizeof bytes, &s));
	bytes[8] = 0;
	bytes[7] = 1; /* more waiters than threads can be */
	CU_ASSERT(!semaphore_parse(bytes, sizeof bytes, &s));
	memset(bytes, 'x', sizeof bytes);
	CU_ASSERT(!semaphore_parse(bytes, sizeof bytes, &s));
	CU_ASSERT(!semaphore_parse(bytes, 16, &s));
}

static void a_queue_tells_its_bytes_and_who_waits(void)
{
	static const char *const wrong[] = { "", "QSIZE:", "QSIZE:1 NOTIFY:0 SIGNO:0",
		"QSIZE:x NOTIFY:0 SIGNO:0 NOTIFY_PID:0", "QSIZE:1 NOTIFY:0 SIGNO:0 NOTIFY_PID:-4" };
	struct mqueue_text text;

	CU_ASSERT(mqueue_parse("QSIZE:129       NOTIFY:2     SIGNO:0     NOTIFY_PID:8260  \n",
		&text));
	ASSERT_INT(text.bytes, 129);
	ASSERT_INT(text.notify_pid, 8260);
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		CU_ASSERT(!mqueue_parse(wrong[i], &text));
}

static void a_mqueue_mount_is_found_by_its_type(void)
{
	g_autofree char *with = mqueue_find_mount(
		"22 27 0:21 / /proc rw,relatime - proc proc rw\n"
		"23 27 0:22 / /mqueue rw,relatime shared:3 - tmpfs mqueue rw\n"
		"24 27 0:23 / /dev/m\\040q rw,relatime shared:3 master:1 - mqueue none rw\n");

	ASSERT_STRING(with, "/dev/m q");
	CU_ASSERT_PTR_NULL(mqueue_find_mount(""));
	CU_ASSERT_PTR_NULL(mqueue_find_mount("22 27 0:21 / /dev/mqueue rw"));
	CU_ASSERT_PTR_NULL(mqueue_find_mount("22 27 0:21 / /dev/mqueue rw - \n\n- mqueue\n"));
}

static void limits_say_how_near_they_are(void)
{
	static const struct limit limits[] = {
		{ "SHMMNI", 4096, 1024 },
		{ "SHMMAX", 18446744073692774399u, LIMIT_NONE },
		{ "TMPFS_BYTES", LIMIT_NONE, LIMIT_NONE },
		{ "MQ_QUEUES_MAX", 0, 3 },
	};
	g_autoptr(GString) out = g_string_new(NULL);

	limits_format(limits, G_N_ELEMENTS(limits), 0, out);
	ASSERT_STRING(out->str,
		"RESOURCE\tLIMIT\tUSED\tUSE%\n"
		"SHMMNI\t4096\t1024\t25.00\n"
		"SHMMAX\t18446744073692774399\t-\t-\n"
		"TMPFS_BYTES\tunlimited\t-\t-\n"
		"MQ_QUEUES_MAX\t0\t3\t-\n");
	g_string_truncate(out, 0);
	limits_format(limits, 0, 2, out);
	ASSERT_STRING(out->str, "RESOURCE\tLIMIT\tUSED\tUSE%\n# not read: 2 or more limits\n");
}

/* A realm whose limits are asked for, and how many are to be said to be missing. */
struct asked_limits {
	struct realm realm;
	unsigned unread;
};

static void ask_limits(void *data)
{
	const struct asked_limits *asked = data;
	struct limit limits[LIMITS_MAX];
	unsigned unread;

	limits_read(&asked->realm, limits, &unread);
	ASSERT_INT(unread, asked->unread);
}

/* Without sysctls, which are counted for themselves. */
static void ask_limits_where(int call, int error, unsigned unread)
{
	auto_fd namespace = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	auto_fd directory = open("/dev/shm", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct asked_limits asked = { { .proc = "/nonexistent",
					      .shm_fd = directory,
					      .ipc_ns = 1,
					      .ipc_ns_fd = call == SYS_setns ? namespace : -1 },
		unread };

	CU_ASSERT_FATAL(namespace >= 0 && directory >= 0);
	failing_returns(FAILING({ call, .result = error }), ask_limits, &asked);
}

static const int calls_for_limits[] = { SYS_shmctl, SYS_msgctl, SYS_semctl, SYS_setns,
	SYS_fstatfs };

/* For want of rights or of memory: both leave limits out. */
static void limits_that_are_refused_are_noted(void)
{
	static const int errors[] = { -EPERM, -EACCES, -ENOMEM };

	for (size_t i = 0; i < G_N_ELEMENTS(calls_for_limits); i++)
		for (size_t j = 0; j < G_N_ELEMENTS(errors); j++)
			ask_limits_where(calls_for_limits[i], errors[j], 1);
}

static void limits_that_there_are_none_of_are_not_noted(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(calls_for_limits); i++) {
		ask_limits_where(calls_for_limits[i], -ENOSYS, 0);
		ask_limits_where(calls_for_limits[i], -ENOENT, 0);
	}
}

static bool is_namespace(const char *name, enum realm_type type, uint64_t id)
{
	struct foreign_realm ns;

	return realms_parse_name(name, &ns) && ns.type == type && ns.id == id;
}

static void a_namespace_has_one_name(void)
{
	static const char *const wrong[] = { "", "ipc", "ipc-", "ipc-x", "ipc-01", "ipc-1 ",
		"ipc-+1", "ipc-4294967296", "ipc--1", "shm-1", "shm-0:", "shm-0:01", "shm-0:1/",
		"mnt-1", ".." };
	struct foreign_realm ns;

	CU_ASSERT(is_namespace("ipc-4026532177", REALM_IPC, 4026532177u));
	CU_ASSERT(is_namespace("shm-0:27", REALM_SHM, makedev(0, 27)));
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		CU_ASSERT(!realms_parse_name(wrong[i], &ns));
}

static void the_topmost_mount_on_dev_shm_counts(void)
{
	static const char under[] =
		"24 27 0:6 / /dev rw - devtmpfs devtmpfs rw\n"
		"25 24 0:23 / /dev/shm rw,relatime shared:4 - tmpfs tmpfs rw,size=24684096k\n"
		"26 24 0:24 / /dev/shm2 rw - tmpfs tmpfs rw\n";
	g_autofree char *over = g_strconcat(under, "30 25 0:27 / /dev/shm rw - tmpfs x rw", NULL);
	g_autofree char *hidden =
		g_strconcat(under, "30 25 0:40 / /dev/shm rw - fuse.x - tmpfs rw\n", NULL);
	uint64_t dev;

	CU_ASSERT(realms_parse_mountinfo(under, &dev) && dev == makedev(0, 23));
	CU_ASSERT(realms_parse_mountinfo(over, &dev) && dev == makedev(0, 27));
	CU_ASSERT(!realms_parse_mountinfo(hidden, &dev));
	CU_ASSERT(!realms_parse_mountinfo("", &dev));
	CU_ASSERT(!realms_parse_mountinfo("25 24 0:23 / /dev/shm rw\n\nx - tmpfs \n", &dev));
}

static void add_number(uint32_t id, void *data)
{
	g_array_append_val((GArray *)data, id);
}

static void ipc_namespaces_are_found_where_they_are_mounted(void)
{
	static const char text[] =
		"24 27 0:6 / /dev rw - devtmpfs devtmpfs rw\n"
		"25 24 0:4 ipc:[4026532177] /run/a\\040b rw shared:4 - nsfs nsfs rw\n"
		"26 24 0:4 mnt:[4026532178] /run/b rw - nsfs nsfs rw\n"
		"27 24 0:4 ipc:[4026532179]x /run/c rw - nsfs nsfs rw\n"
		"28 24 0:30 /ipc:[4026532180] /run/d rw - tmpfs ipc:[4026532181] rw\n"
		"29 24 0:30 ipc:[4026532182] /run/e rw - fuse nsfs rw\n"
		"31 24 0:4 ipc:[4026532184] /run/no-escape\\ rw - nsfs nsfs rw\n"
		"32 24 0:4 ipc:[4026532185] /run/nothing-follows rw -\n"
		"33 24 04 ipc:[4026532186] /run/no-device rw - nsfs nsfs rw\n"
		"30 24 0:4 ipc:[4026532183] /run/f rw - nsfs nsfs rw";
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	held_each_mounted(text, add_number, found);
	ASSERT_INT(found->len, 2);
	ASSERT_INT(g_array_index(found, uint32_t, 0), 4026532177);
	ASSERT_INT(g_array_index(found, uint32_t, 1), 4026532183);
}

static void another_file_system_is_not_below(void)
{
	auto_fd root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat top, proc, found;

	CU_ASSERT_FATAL(fstat(root, &top) == 0 && stat("/proc", &proc) == 0);
	ASSERT_INT(stat_below(root, ".", top.st_dev, &found), 0);
	CU_ASSERT(found.st_ino == top.st_ino && found.st_mode == top.st_mode);
	ASSERT_INT(stat_below(root, "proc", top.st_dev, &found), -EXDEV);
	ASSERT_INT(stat_below(root, "proc", proc.st_dev, &found), 0);
	ASSERT_INT(stat_below(root, "nonesuch", top.st_dev, &found), -ENOENT);
	ASSERT_INT(open_below(root, "proc", O_PATH), -EXDEV);
}

static void a_pid_used_anew_is_not_the_process_that_was_meant(void)
{
	static const struct realm realm = { .proc = "/proc" };
	struct past_process us = past_process_find(&realm, getpid(), time(NULL));
	struct past_process earlier = past_process_find(&realm, getpid(), time(NULL) - 100000);
	struct past_process nobody = past_process_find(&realm, 0, time(NULL));
	g_autoptr(GString) text = g_string_new(NULL);

	CU_ASSERT(us.alive && *us.command);
	CU_ASSERT(!earlier.alive);
	ASSERT_STRING(earlier.command, "");
	past_process_show(&nobody, text);
	ASSERT_STRING(text->str, "pid\t0\ncommand\t\nstate\tnone\n");
}

static void every_attribute_of_a_kind_has_a_name_of_its_own(void)
{
	for (const struct kind *const *kind = kinds; *kind; kind++) {
		g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

		CU_ASSERT((*kind)->directory && (*kind)->each && (*kind)->stat && (*kind)->present);
		g_hash_table_add(names, (gpointer) "data");
		for (const struct attribute *const *table = (*kind)->attributes; *table; table++)
			for (const struct attribute *a = *table; a->name; a++) {
				CU_ASSERT(g_hash_table_add(names, (gpointer)a->name));
				CU_ASSERT(!a->show != !a->take);
			}
		CU_ASSERT(g_hash_table_contains(names, "info.json"));
	}
}

static int each_fails(const struct realm *realm, item_visitor visit, void *data)
{
	(void)realm, (void)visit, (void)data;
	return -EIO;
}

/* A kind that cannot be listed has not told that nothing is idle. */
static void what_cannot_be_listed_says_so(void)
{
	static const struct realm realm = { .proc = "/proc" };
	static const struct realm nowhere = { .proc = "/proc/none" };
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct foreign_realm));
	unsigned unreadable;
	const struct kind broken[] = {
		{ .data = DATA_NONE, .each = each_fails },
		{ .data = DATA_NONE, .each_free = each_fails },
		{ .data = DATA_NONE + 1, .each = each_fails },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(broken); i++)
		ASSERT_INT(idle_each(&realm, &broken[i], NULL, NULL), -EIO);
	ASSERT_INT(realms_find(&nowhere, found, &unreadable), -ENOENT);
}

static void count_item(const struct item *item, void *data)
{
	(void)item;
	++*(unsigned *)data;
}

/* Whether the tmpfs has directories, which takes no listing, or not. */
static void listing_directories_leaves_no_descriptor(void)
{
	auto_fd dir = tmpfs_new(NULL);
	if (dir < 0)
		SKIP("no tmpfs can be made here: %s", g_strerror(-dir));
	auto_fd lowest = dup(dir);
	const struct realm realm = { .proc = "/proc", .shm_fd = dir };
	unsigned n = 0;

	CU_ASSERT_FATAL(lowest >= 0);
	close(lowest);
	ASSERT_INT(kind_nested.each(&realm, count_item, &n), 0);
	ASSERT_INT(dup(dir), lowest);
	close(lowest);
	CU_ASSERT_FATAL(
		mkdirat(dir, "a", 0700) == 0 && mknodat(dir, "a/b", S_IFREG | 0600, 0) == 0);
	ASSERT_INT(kind_nested.each(&realm, count_item, &n), 0);
	ASSERT_INT(n, 1);
	ASSERT_INT(dup(dir), lowest);
}

static CU_TestInfo tests[] = {
	{ "listing directories leaves no descriptor", listing_directories_leaves_no_descriptor },
	{ "IDs say what a segment is", ids_say_what_a_segment_is },
	{ "the longest name leaves room for the inode",
		the_longest_name_leaves_room_for_the_inode },
	{ "IDs are understood or refused", ids_are_understood_or_refused },
	{ "names are what the maker chose", names_are_what_the_maker_chose },
	{ "semaphores of each library are read", semaphores_of_each_library_are_read },
	{ "other bytes are no semaphore", other_bytes_are_no_semaphore },
	{ "a queue tells its bytes and who waits", a_queue_tells_its_bytes_and_who_waits },
	{ "a mqueue mount is found by its type", a_mqueue_mount_is_found_by_its_type },
	{ "limits say how near they are", limits_say_how_near_they_are },
	{ "limits that are refused are noted", limits_that_are_refused_are_noted },
	{ "limits that there are none of are not noted",
		limits_that_there_are_none_of_are_not_noted },
	{ "a namespace has one name", a_namespace_has_one_name },
	{ "the topmost mount on /dev/shm counts", the_topmost_mount_on_dev_shm_counts },
	{ "IPC namespaces are found where they are mounted",
		ipc_namespaces_are_found_where_they_are_mounted },
	{ "a pid used anew is not the process that was meant",
		a_pid_used_anew_is_not_the_process_that_was_meant },
	{ "another file system is not below", another_file_system_is_not_below },
	{ "every attribute of a kind has a name of its own",
		every_attribute_of_a_kind_has_a_name_of_its_own },
	{ "what cannot be listed says so", what_cannot_be_listed_says_so },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo kinds_suite = { "kinds", NULL, NULL, NULL, NULL, tests };
