/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel counts on objects: without BPF there is nothing to test, which each test says by
 * ending early.
 */
#include "base/util.h"
#include "census/object/charged.h"
#include "census/object/objects.h"

#include "unit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct devices devices;
static struct objects *objects;

static bool open_objects(void)
{
	const char *why;
	struct stat st;

	CU_ASSERT_FATAL(stat("/dev/shm", &st) == 0);
	CU_ASSERT_FATAL(devices_init(&devices, st.st_dev) == 0);
	if (objects_open(false, &objects, &why) == 0)
		return true;
	unit_skip("%s", why);
	devices_clear(&devices);
	return false;
}

static void look(void)
{
	ASSERT_INT(objects_begin(objects, &devices), 0);
	ASSERT_INT(objects_end(objects, &devices, false), 0);
}

static const struct object *find(int fd, enum segment_class class)
{
	static struct object object;
	struct segment_key key = { .class = class };
	struct stat st;

	CU_ASSERT_FATAL(fstat(fd, &st) == 0);
	key.dev = st.st_dev;
	key.ino = st.st_ino;
	look();
	return objects_find(objects, &key, &object) ? &object : NULL;
}

#define ASSERT_REFERENCES(fd, class, expected)                                                     \
	do {                                                                                       \
		const struct object *object = find(fd, class);                                     \
		CU_ASSERT_PTR_NOT_NULL_FATAL(object);                                              \
		ASSERT_INT(object->references, expected);                                          \
	} while (0)

static void a_memfd_has_its_open_files(void)
{
	char path[64];
	void *at;

	if (!open_objects())
		return;
	auto_fd fd = memfd_create("shmtree-unit", MFD_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, 8192) == 0);
	ASSERT_REFERENCES(fd, SEGMENT_MEMFD, 1);
	auto_fd copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	ASSERT_REFERENCES(fd, SEGMENT_MEMFD, 1);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	auto_fd second = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_REFERENCES(fd, SEGMENT_MEMFD, 2);
	at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, second, 0);
	close(steal_fd(&second));
	ASSERT_REFERENCES(fd, SEGMENT_MEMFD, 2);
	CU_ASSERT(find(fd, SEGMENT_MEMFD)->mapped);
	munmap(at, 8192);
	ASSERT_REFERENCES(fd, SEGMENT_MEMFD, 1);
	CU_ASSERT_FALSE(find(fd, SEGMENT_MEMFD)->mapped);
	ASSERT_STRING(objects_detail(objects, find(fd, SEGMENT_MEMFD))->name, "memfd:shmtree-unit");
	ASSERT_INT(objects_detail(objects, find(fd, SEGMENT_MEMFD))->size, 8192);
	objects_free(objects);
	devices_clear(&devices);
}

static void a_named_object_has_its_open_files(void)
{
	char name[64];

	if (!open_objects())
		return;
	snprintf(name, sizeof name, "/dev/shm/shmtree-unit-%d", getpid());
	auto_fd fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	auto_fd path = open(name, O_PATH | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0 && path >= 0);
	ASSERT_REFERENCES(path, SEGMENT_FILE, 2);
	CU_ASSERT(find(path, SEGMENT_FILE)->in_root);
	close(steal_fd(&fd));
	ASSERT_REFERENCES(path, SEGMENT_FILE, 1);
	unlink(name);
	ASSERT_REFERENCES(path, SEGMENT_FILE, 1);
	CU_ASSERT_FALSE(find(path, SEGMENT_FILE)->in_root);
	ASSERT_INT(find(path, SEGMENT_FILE)->nlink, 0);
	objects_free(objects);
	devices_clear(&devices);
}

/* Looks twice: with the file open at the first look alone, or at the second. */
static bool find_after(const char *name, const struct segment_key *key, bool open_first,
	struct object *out)
{
	auto_fd fd = open_first ? open(name, O_RDONLY | O_CLOEXEC) : -1;

	ASSERT_INT(objects_begin(objects, &devices), 0);
	if (open_first)
		close(steal_fd(&fd));
	else
		fd = open(name, O_RDONLY | O_CLOEXEC);
	ASSERT_INT(objects_end(objects, &devices, false), 0);
	return objects_find(objects, key, out);
}

static size_t quiet_ones(void)
{
	return objects_quiet(objects)->objects->len;
}

static void an_object_has_any_number_of_names(void)
{
	enum { NAMES = 3000 };
	char directory[] = "/dev/shm/shmtree-unit-XXXXXX", first[64], name[64];

	if (!open_objects())
		return;
	CU_ASSERT_FATAL(mkdtemp(directory) != NULL);
	/* Of its names only the first, which the kernel lists last, is in the root. */
	snprintf(first, sizeof first, "%s-first", directory);
	auto_fd fd = open(first, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof name, "%s/%d", directory, i);
		CU_ASSERT_FATAL(link(first, name) == 0);
	}
	ASSERT_REFERENCES(fd, SEGMENT_FILE, 1);
	ASSERT_INT(find(fd, SEGMENT_FILE)->nlink, NAMES + 1);
	CU_ASSERT(find(fd, SEGMENT_FILE)->in_root);
	CU_ASSERT_FALSE(find(fd, SEGMENT_FILE)->moved);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof name, "%s/%d", directory, i);
		unlink(name);
	}
	unlink(first);
	rmdir(directory);
	objects_free(objects);
	devices_clear(&devices);
}

static void what_nothing_uses_is_found(void)
{
	struct segment_key key = { .class = SEGMENT_FILE };
	struct object object;
	struct stat st;
	char name[64];

	if (!open_objects())
		return;
	snprintf(name, sizeof name, "/dev/shm/shmtree-unit-%d", getpid());
	auto_fd fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &st) == 0);
	key.dev = st.st_dev;
	key.ino = st.st_ino;
	close(steal_fd(&fd));
	look();
	CU_ASSERT_FATAL(objects_find(objects, &key, &object));
	ASSERT_INT(object.references, 0);
	ASSERT_INT(object.nlink, 1);
	CU_ASSERT(object.in_root && !object.moved && !object.mapped);
	CU_ASSERT(quiet_ones() > 0);
	CU_ASSERT_FATAL(find_after(name, &key, true, &object));
	CU_ASSERT(object.references == 0 && object.moved);
	CU_ASSERT_FATAL(find_after(name, &key, false, &object));
	CU_ASSERT(object.references == 0 && object.moved);
	CU_ASSERT_FATAL(unlink(name) == 0);
	look();
	CU_ASSERT_FALSE(objects_find(objects, &key, &object));
	objects_forget(objects);
	ASSERT_INT(quiet_ones() + objects_count(objects), 0);
	objects_free(objects);
	devices_clear(&devices);
}

static void a_system_v_segment_has_its_attachments(void)
{
	struct seen_object now;
	const struct object *object;
	void *at;
	int id;

	if (!open_objects())
		return;
	id = shmget(IPC_PRIVATE, 8192, 0600);
	CU_ASSERT_FATAL(id >= 0);
	ASSERT_INT(objects_look_sysv(objects, id, &now), 0);
	look();
	object = objects_find_inode(objects, now.inode);
	CU_ASSERT_PTR_NOT_NULL_FATAL(object);
	ASSERT_INT(object->references, 0);
	ASSERT_INT(object->key.class, SEGMENT_SYSV);
	at = shmat(id, NULL, 0);
	look();
	object = objects_find_inode(objects, now.inode);
	CU_ASSERT_PTR_NOT_NULL_FATAL(object);
	ASSERT_INT(object->references, 1);
	CU_ASSERT(object->mapped);
	shmdt(at);
	shmctl(id, IPC_RMID, NULL);
	ASSERT_INT(objects_look_sysv(objects, id, &now), -ENOENT);
	ASSERT_INT(objects_look_sysv(objects, 0x7ffffff0, &now), -ENOENT);
	objects_free(objects);
	devices_clear(&devices);
}

/* A login's limit on descriptors is 1024, but it may be raised. */
static bool may_open(unsigned number)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= number)
		return true;
	unit_skip("%u descriptors at most", (unsigned)limit.rlim_cur);
	return false;
}

static void limit_descriptors(rlim_t number)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = number;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* More than there is room for at first; for a while there are no descriptors to make more. */
static void many_objects_are_all_found(void)
{
	enum { MANY = 6000, OTHERS = 100 };
	g_autofree int *fds = g_new(int, MANY);
	/*
	 * For the memfds of a look, and to ask what memory there is; too few to load the programs
	 * again.
	 */
	int kept[] = { dup(STDERR_FILENO), dup(STDERR_FILENO), dup(STDERR_FILENO) };
	bool opened = may_open(MANY + OTHERS) && open_objects();
	guint found = 0;

	for (int i = 0; opened && i < MANY; i++)
		fds[i] = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
		close(kept[i]);
	if (!opened)
		return;
	CU_ASSERT(fds[MANY - 1] >= 0);
	for (int limit = kept[0]; limit <= kept[2] + 1; limit++) {
		limit_descriptors(limit);
		CU_ASSERT(is_shortage(objects_begin(objects, &devices)));
		CU_ASSERT(is_shortage(objects_end(objects, &devices, false)));
		limit_descriptors(MANY + OTHERS);
	}
	look();
	for (int i = 0; i < MANY; i++) {
		struct segment_key key = { .class = SEGMENT_FILE, .dev = devices.shm };
		struct object object;
		struct stat st;

		fstat(fds[i], &st);
		key.ino = st.st_ino;
		found += objects_find(objects, &key, &object);
		close(fds[i]);
	}
	ASSERT_INT(found, MANY);
	objects_free(objects);
	devices_clear(&devices);
}

/* As many leaves of the page cache as one run of the program does not visit. */
#define FAR_PAGES 1100
#define PAGES_OF_A_LEAF 64

/* Here the program that finds who pays is loaded, if there are descriptors for it. */
static int read_without_descriptors(struct charged *charged, const struct seen_object *seen)
{
	struct rlimit before, none;
	struct charge_sums sums;
	int r;

	CU_ASSERT_FATAL(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	r = charged_read(charged, seen->inode, seen->ino, seen->generation, 0, &sums);
	setrlimit(RLIMIT_NOFILE, &before);
	return r;
}

/* It is tried again after a while. */
static int read_with_descriptors(struct charged *charged, const struct seen_object *seen,
	struct charge_sums *out)
{
	int r = -EMFILE;

	for (int i = 0; i < 500 && r == -EMFILE; i++) {
		g_usleep(10000);
		r = charged_read(charged, seen->inode, seen->ino, seen->generation,
			G_USEC_PER_SEC * 60, out);
	}
	return r;
}

static void who_pays_is_told_within_a_time(void)
{
	long page = sysconf(_SC_PAGESIZE);
	auto_fd fd = memfd_create("far", 0);
	struct charged *charged = charged_new();
	struct seen_object seen;
	struct charge_sums sums;
	uint64_t bytes = 0;
	int r;

	if (!open_objects()) {
		charged_free(charged);
		return;
	}
	for (int i = 0; i < FAR_PAGES; i++)
		CU_ASSERT(pwrite(fd, "x", 1, (off_t)i * PAGES_OF_A_LEAF * page) == 1);
	CU_ASSERT_FATAL(objects_look(objects, fd, &seen) == 0);
	ASSERT_INT(read_without_descriptors(charged, &seen), -EMFILE);
	r = read_with_descriptors(charged, &seen, &sums);
	if (r == 0) {
		CU_ASSERT_FALSE(sums.stopped);
		ASSERT_INT(sums.bytes, FAR_PAGES * page);
		for (unsigned i = 0; i < sums.n; i++)
			bytes += sums.groups[i].bytes;
		ASSERT_INT(bytes, sums.bytes);
		g_free(sums.groups);
		r = charged_read(charged, seen.inode, seen.ino, seen.generation, 0, &sums);
		CU_ASSERT_FATAL(r == 0);
		CU_ASSERT(sums.stopped);
		CU_ASSERT(sums.bytes > 0 && sums.bytes < FAR_PAGES * (uint64_t)page);
		CU_ASSERT(sums.stopped_at < FAR_PAGES * PAGES_OF_A_LEAF * (uint64_t)page);
		g_free(sums.groups);
		ASSERT_INT(
			charged_read(charged, seen.inode, seen.ino, seen.generation + 1, 0, &sums),
			-ESTALE);
	} else {
		ASSERT_INT(r, -ENOTSUP);
		unit_skip("the kernel does not tell who pays");
	}
	charged_free(charged);
	objects_free(objects);
	devices_clear(&devices);
}

static CU_TestInfo tests[] = {
	{ "a memfd has its open files", a_memfd_has_its_open_files },
	{ "a named object has its open files", a_named_object_has_its_open_files },
	{ "an object has any number of names", an_object_has_any_number_of_names },
	{ "what nothing uses is found", what_nothing_uses_is_found },
	{ "a System V segment has its attachments", a_system_v_segment_has_its_attachments },
	{ "many objects are all found", many_objects_are_all_found },
	{ "who pays is told within a time", who_pays_is_told_within_a_time },
	CU_TEST_INFO_NULL,
};
const CU_SuiteInfo objects_suite = { "objects", .pTests = tests };
