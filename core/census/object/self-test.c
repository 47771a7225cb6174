/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/self-test.h"

#include "base/memfd.h"
#include "base/tmpfs.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>

#define FILE_NAME "a"
#define LINK_NAME "b"

/* After each pause, the next of which is twice as long. */
#define TRIES_MORE 5
#define PAUSE_US 1000

static const char *const failures[] = {
	[CASE_NAMED] = "self-test: a file that nobody has open is not counted as expected",
	[CASE_OPEN] = "self-test: an open file is not counted as expected",
	[CASE_MAPPED] = "self-test: a mapping is not counted as expected",
	[CASE_IN_FLIGHT] = "self-test: a descriptor in a socket is not counted as expected",
	[CASE_UNLINKED] = "self-test: an unlinked file is not counted as expected",
	[CASE_HARD_LINK] = "self-test: a file with two names is not counted as expected",
	[CASE_OWN] = "self-test: the daemon's own descriptors are not listed as expected",
	[CASE_MEMFD] = "self-test: a memfd is not counted as expected",
	[CASE_SYSV] = "self-test: a System V segment is not counted as expected",
	[CASE_ATTACHED] = "self-test: an attached segment is not counted as expected",
};

struct test {
	struct object_programs *programs;
	enum object_case at, fault;
	int dir; /* the root of the tmpfs */
	bool sysv;
};

/*
 * Returns 0 if the object is as expected, else -ENOTSUP. `asker`: references that the question
 * adds.
 */
static int expect_object(const struct test *test, const struct seen_object *object, uint32_t asker,
	uint32_t references, uint32_t nlink)
{
	if (test->at == test->fault)
		references++;
	return object->references == references + asker && object->nlink == nlink &&
			!(object->flags & (OBJECT_UNCERTAIN | OBJECT_OTHER)) ?
		0 :
		-ENOTSUP;
}

static int expect_name(const struct test *test, const char *name, uint32_t references,
	uint32_t nlink)
{
	auto_fd fd = openat(test->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct seen_object object;
	int r = fd < 0 ? -errno : object_programs_look(test->programs, fd, &object);

	if (r == 0)
		r = expect_object(test, &object, 1, references, nlink);
	return r == 0 && !(object.flags & OBJECT_IN_ROOT) ? -ENOTSUP : r;
}

/* Checks the only file of the tmpfs, as a walk finds it. */
static int expect_walk(const struct test *test, uint32_t references, uint32_t nlink, bool mapped)
{
	struct object_list list;
	int r = object_programs_walk(test->programs, test->dir, 0, WALK_WHOLE, &list), found = 0;

	for (size_t i = 0; r == 0 && i < list.count; i++) {
		const struct seen_object *object = &list.at[i];

		if (object->flags & OBJECT_OTHER)
			continue;
		found++;
		r = expect_object(test, object, 0, references, nlink);
		if (r == 0 && !(object->flags & OBJECT_MAPPED) == mapped)
			r = -ENOTSUP;
	}
	return r == 0 && found != 1 ? -ENOTSUP : r;
}

static int test_named(struct test *test)
{
	auto_fd fd = openat(test->dir, FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, 1) < 0)
		return -errno;
	close(steal_fd(&fd));
	return expect_name(test, FILE_NAME, 0, 1);
}

static int test_open(struct test *test)
{
	auto_fd fd = openat(test->dir, FILE_NAME, O_RDWR | O_CLOEXEC);
	auto_fd copy = -1, second = -1;
	int r = fd < 0 ? -errno : expect_name(test, FILE_NAME, 1, 1);

	if (r == 0) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		r = copy < 0 ? -errno : expect_name(test, FILE_NAME, 1, 1);
	}
	if (r == 0) {
		second = openat(test->dir, FILE_NAME, O_RDONLY | O_CLOEXEC);
		r = second < 0 ? -errno : expect_name(test, FILE_NAME, 2, 1);
	}
	return r;
}

static int test_mapped(struct test *test)
{
	auto_fd fd = openat(test->dir, FILE_NAME, O_RDONLY | O_CLOEXEC);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
	int r;

	if (at == MAP_FAILED)
		return -errno;
	close(steal_fd(&fd));
	r = expect_walk(test, 1, 1, true);
	munmap(at, 1);
	return r == 0 ? expect_walk(test, 0, 1, false) : r;
}

static int send_descriptor(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof fd)] = { 0 };
	char byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	return sendmsg(socket, &message, 0) < 0 ? -errno : 0;
}

/* Tests CASE_IN_FLIGHT and CASE_UNLINKED, since the descriptor stays in the socket. */
static int test_in_flight(struct test *test)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	auto_fd from = pair[0], to = pair[1];
	auto_fd fd = openat(test->dir, FILE_NAME, O_RDWR | O_CLOEXEC);
	r = fd < 0 ? -errno : send_descriptor(from, fd);
	if (r < 0)
		return r;
	close(steal_fd(&fd));
	r = expect_name(test, FILE_NAME, 1, 1);
	if (r < 0)
		return r;
	test->at = CASE_UNLINKED;
	if (unlinkat(test->dir, FILE_NAME, 0) < 0)
		return -errno;
	(void)to;
	return expect_walk(test, 1, 0, false);
}

static int test_hard_link(struct test *test)
{
	auto_fd fd = openat(test->dir, FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r;

	if (fd < 0 || linkat(test->dir, FILE_NAME, test->dir, LINK_NAME, 0) < 0)
		return -errno;
	close(steal_fd(&fd));
	fd = openat(test->dir, LINK_NAME, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : expect_name(test, FILE_NAME, 1, 2);
	if (r == 0 && unlinkat(test->dir, LINK_NAME, 0) < 0)
		r = -errno;
	return r == 0 ? expect_name(test, FILE_NAME, 1, 1) : r;
}

static int test_own(struct test *test)
{
	auto_fd fd = openat(test->dir, FILE_NAME, O_RDONLY | O_CLOEXEC);
	const struct own_file *own = NULL;
	struct seen_object object;
	size_t count = 0, found = 0;
	int r = fd < 0 ? -errno : object_programs_look(test->programs, fd, &object);

	if (r == 0)
		r = object_programs_own_files(test->programs, &own, &count);
	for (size_t i = 0; r == 0 && i < count; i++)
		found += own[i].inode == object.inode;
	return r == 0 && found != (test->at == test->fault ? 2 : 1) ? -ENOTSUP : r;
}

static int test_memfd(struct test *test)
{
	struct seen_object object;
	int r;

	auto_fd fd = memfd_new(0);
	if (fd < 0)
		return fd;
	r = object_programs_look(test->programs, fd, &object);
	return r == 0 ? expect_object(test, &object, 0, 1, 0) : r;
}

/* Tests CASE_SYSV and CASE_ATTACHED. */
static int test_segment(struct test *test, int id)
{
	struct seen_object object;
	int r = object_programs_look_sysv(test->programs, id, &object);
	void *at;

	/* One reference is the segment's own. */
	if (r == 0)
		r = expect_object(test, &object, 1, 0, 0);
	if (r < 0)
		return r == -ENOENT ? -ENOTSUP : r;
	test->at = CASE_ATTACHED;
	at = shmat(id, NULL, SHM_RDONLY);
	if (at == (void *)-1)
		return -errno;
	r = object_programs_look_sysv(test->programs, id, &object);
	if (r == 0)
		r = expect_object(test, &object, 1, 1, 0);
	shmdt(at);
	return r;
}

/*
 * Runs in a thread that enters an IPC namespace of its own, where no other process sees the
 * segment.
 */
static gpointer test_in_namespace(gpointer data)
{
	struct test *test = data;
	int id, r;

	/* Where no segment can be made, it is not tested. */
	if (unshare(CLONE_NEWIPC) < 0 || (id = shmget(IPC_PRIVATE, 1, 0600)) < 0)
		return GINT_TO_POINTER(is_shortage(-errno) ? -errno : 0);
	r = test_segment(test, id);
	shmctl(id, IPC_RMID, NULL);
	test->sysv = r == 0;
	return GINT_TO_POINTER(r);
}

static int test_sysv(struct test *test)
{
	GThread *thread = g_thread_try_new("self-test", test_in_namespace, test, NULL);

	return thread ? GPOINTER_TO_INT(g_thread_join(thread)) : -EAGAIN;
}

static int run_all(struct test *test)
{
	static int (*const tests[CASES])(struct test * test) = {
		[CASE_NAMED] = test_named,
		[CASE_OPEN] = test_open,
		[CASE_MAPPED] = test_mapped,
		[CASE_IN_FLIGHT] = test_in_flight,
		[CASE_HARD_LINK] = test_hard_link,
		[CASE_OWN] = test_own,
		[CASE_MEMFD] = test_memfd,
		[CASE_SYSV] = test_sysv,
	};
	int r = 0;

	for (unsigned i = CASE_NONE + 1; i < CASES && r == 0; i++) {
		if (!tests[i])
			continue;
		test->at = i;
		r = tests[i](test);
	}
	return r;
}

/* On a tmpfs of its own, which is gone afterwards. */
static int test_once(struct test *test, const char **why)
{
	int r;

	auto_fd dir = tmpfs_new(NULL);
	if (dir < 0) {
		*why = "self-test: a tmpfs of its own could not be made (needs CAP_SYS_ADMIN)";
		return dir;
	}
	test->dir = dir;
	r = run_all(test);
	if (r < 0)
		*why = failures[test->at];
	return r;
}

/*
 * A kernel that counts otherwise does so each time. Others, such as another daemon that walks through the kernel's
 * lists, may have a reference for a moment, and change a list while it is read.
 */
int object_self_test(struct object_programs *programs, enum object_case fault, bool *sysv,
	const char **why)
{
	struct test test = { .programs = programs, .fault = fault };
	const char *failed = NULL;
	int r = test_once(&test, &failed);

	for (unsigned i = 0; i < TRIES_MORE && r < 0 && r != -EPERM; i++) {
		g_usleep(PAUSE_US << i);
		r = test_once(&test, &failed);
	}
	if (r < 0)
		*why = failed;
	*sysv = test.sysv;
	return r;
}
