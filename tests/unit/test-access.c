/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * access(2) and what is done in directories of the mount, as the kernel asks for it where the daemon checks
 * permissions; also as no kernel would, which must let nobody in either.
 */
#include "../fuzz/stand-in.h"

#include "base/util.h"
#include "daemon/fs.h"
#include "failing.h"
#include "somebody.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define STRANGER SOMEBODY
#define UNKNOWN (SOMEBODY + 1) /* a user of whose process nothing is known */
#define TREE ".shmtree"

static pid_t stranger;

static struct request request_of(uint32_t opcode, uint64_t node, uid_t uid)
{
	pid_t pid = uid == STRANGER ? stranger : uid == 0 ? getpid() : 0;

	return (struct request){
		.header = { .opcode = opcode,
			.nodeid = node,
			.uid = uid,
			.gid = uid,
			.pid = (uint32_t)pid },
	};
}

static void add(struct request *request, const void *data, size_t n)
{
	CU_ASSERT_FATAL(request->size + n <= sizeof request->bytes);
	memcpy(request->bytes + request->size, data, n);
	request->size += n;
}

static void add_name(struct request *request, const char *name)
{
	add(request, name, strlen(name) + 1);
}

/* The node of a path below the root, found by root. */
static uint64_t find(const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	uint64_t node = FUSE_ROOT_ID;

	for (char **name = names; *name; name++) {
		struct request request = request_of(FUSE_LOOKUP, node, 0);
		const struct answer *answer;

		add_name(&request, *name);
		answer = stand_in_ask(&request);
		ASSERT_INT(answer->error, 0);
		CU_ASSERT_FATAL(answer->error == 0);
		node = ((const struct fuse_entry_out *)answer->bytes)->nodeid;
	}
	return node;
}

static int may(uid_t uid, uint64_t node, uint32_t mask)
{
	struct request request = request_of(FUSE_ACCESS, node, uid);
	const struct fuse_access_in in = { .mask = mask };

	add(&request, &in, sizeof in);
	return stand_in_ask(&request)->error;
}

static int make(uid_t uid, uint64_t parent, const char *name)
{
	struct request request = request_of(FUSE_MKNOD, parent, uid);
	const struct fuse_mknod_in in = { .mode = S_IFREG | 0666 };

	add(&request, &in, sizeof in);
	add_name(&request, name);
	return stand_in_ask(&request)->error;
}

static int remove_name(uid_t uid, uint64_t parent, const char *name)
{
	struct request request = request_of(FUSE_UNLINK, parent, uid);

	add_name(&request, name);
	return stand_in_ask(&request)->error;
}

static void new_file(const char *name, uid_t uid, mode_t mode)
{
	int fd = openat(stand_in_fs()->shm_fd, name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && fchown(fd, uid, uid) == 0 && fchmod(fd, mode) == 0);
	close(fd);
}

static void of_objects(void)
{
	uint64_t own, others;

	new_file("own", STRANGER, 0640);
	new_file("others", 0, 0604);
	own = find("own");
	others = find("others");
	ASSERT_INT(may(STRANGER, own, R_OK | W_OK), 0);
	ASSERT_INT(may(STRANGER, own, X_OK), -EACCES);
	ASSERT_INT(may(UNKNOWN, own, R_OK), -EACCES);
	ASSERT_INT(may(STRANGER, others, R_OK), 0);
	ASSERT_INT(may(STRANGER, others, W_OK), -EACCES);
	/* Of whom nothing is known may be in the group, which may not. */
	ASSERT_INT(may(UNKNOWN, others, R_OK), -EACCES);
	ASSERT_INT(may(UNKNOWN, FUSE_ROOT_ID, X_OK), -EACCES);
	ASSERT_INT(may(STRANGER, FUSE_ROOT_ID, R_OK | W_OK | X_OK), 0);
	/* What has gone meanwhile the kernel has to look up again. */
	CU_ASSERT(unlinkat(stand_in_fs()->shm_fd, "own", 0) == 0);
	ASSERT_INT(may(STRANGER, own, R_OK), -ESTALE);
	/* Another's of that name is another one. */
	new_file("own", STRANGER, 0666);
	ASSERT_INT(may(STRANGER, own, R_OK), -ESTALE);
}

static void of_metadata(void)
{
	uint64_t tree = find(TREE), posix = find(TREE "/posix"),
		 state = find(TREE "/posix/own/state");

	ASSERT_INT(may(STRANGER, tree, R_OK | X_OK), 0);
	ASSERT_INT(may(STRANGER, tree, W_OK), -EACCES);
	ASSERT_INT(may(STRANGER, posix, R_OK | X_OK), 0);
	ASSERT_INT(may(STRANGER, state, R_OK), 0);
	ASSERT_INT(may(STRANGER, state, W_OK), -EACCES);
	ASSERT_INT(may(STRANGER, state, X_OK), -EACCES);
}

/* A file in a directory below the tmpfs, which has a node of its own. */
static void of_a_nested_file(void)
{
	g_autofree char *path = NULL;
	struct stat st;
	uint64_t data;

	CU_ASSERT_FATAL(mkdirat(stand_in_fs()->shm_fd, "d", 0755) == 0);
	new_file("d/file", STRANGER, 0640);
	CU_ASSERT(fchmodat(stand_in_fs()->shm_fd, "d", 0755, 0) == 0);
	CU_ASSERT_FATAL(fstatat(stand_in_fs()->shm_fd, "d/file", &st, 0) == 0);
	path = g_strdup_printf(TREE "/nested/%lu/data", (unsigned long)st.st_ino);
	data = find(path);
	ASSERT_INT(may(STRANGER, data, R_OK | W_OK), 0);
	ASSERT_INT(may(UNKNOWN, data, R_OK), -EACCES);
	CU_ASSERT(unlinkat(stand_in_fs()->shm_fd, "d/file", 0) == 0);
	CU_ASSERT(may(STRANGER, data, R_OK) < 0);
	CU_ASSERT(unlinkat(stand_in_fs()->shm_fd, "d", AT_REMOVEDIR) == 0);
}

/* Its kind tells who owns it. */
static void of_a_segment(void)
{
	int id = shmget(IPC_PRIVATE, 1, IPC_CREAT | 0604);
	g_autofree char *path = g_strdup_printf(TREE "/sysv/%d/data", id);
	uint64_t data;

	CU_ASSERT_FATAL(id >= 0);
	data = find(path);
	ASSERT_INT(may(0, data, R_OK), 0);
	ASSERT_INT(may(STRANGER, data, R_OK), 0);
	ASSERT_INT(may(STRANGER, data, W_OK), -EACCES);
	ASSERT_INT(may(UNKNOWN, data, R_OK), -EACCES);
	CU_ASSERT(shmctl(id, IPC_RMID, NULL) == 0);
	ASSERT_INT(may(0, data, R_OK), -ESTALE);
	ASSERT_INT(may(STRANGER, data, W_OK), -ESTALE);
}

/* Only directories have names in them; the kernel asks for none in anything else. */
static void of_names(void)
{
	uint64_t own = find("own");

	ASSERT_INT(make(0, own, "x"), -ENOTDIR);
	ASSERT_INT(make(STRANGER, own, "x"), -ENOTDIR);
	ASSERT_INT(remove_name(0, own, "x"), -ENOTDIR);
	ASSERT_INT(make(0, FUSE_ROOT_ID, TREE), -EPERM);
	ASSERT_INT(make(0, find(TREE), "x"), -EPERM);
	ASSERT_INT(make(STRANGER, find(TREE), "x"), -EACCES);
	ASSERT_INT(make(STRANGER, find(TREE "/posix"), "x"), -EPERM);
	ASSERT_INT(make(STRANGER, FUSE_ROOT_ID, "x"), 0);
	ASSERT_INT(make(UNKNOWN, FUSE_ROOT_ID, "y"), -EACCES);
	ASSERT_INT(remove_name(UNKNOWN, FUSE_ROOT_ID, "x"), -EACCES);
	ASSERT_INT(remove_name(STRANGER, FUSE_ROOT_ID, "x"), 0);
	/* Where the directory is not theirs to write to. */
	CU_ASSERT(fchmod(stand_in_fs()->shm_fd, 0755) == 0);
	ASSERT_INT(make(STRANGER, FUSE_ROOT_ID, "x"), -EACCES);
	ASSERT_INT(make(STRANGER, FUSE_ROOT_ID, TREE), -EACCES);
	ASSERT_INT(may(STRANGER, FUSE_ROOT_ID, W_OK), -EACCES);
	ASSERT_INT(may(STRANGER, FUSE_ROOT_ID, R_OK | X_OK), 0);
}

/* CAP_NET_RAW, as setcap(8) writes it. */
static const uint8_t capabilities[20] = { 1, 0, 0, 2, 0, 0x20 };
#define CAPABILITIES "security.capability"

static void new_program(const char *name, mode_t mode)
{
	auto_fd fd = -1;

	new_file(name, 0, mode);
	fd = openat(stand_in_fs()->shm_fd, name, O_RDWR | O_CLOEXEC);
	CU_ASSERT_FATAL(fsetxattr(fd, CAPABILITIES, capabilities, sizeof capabilities, 0) == 0);
}

static bool has_capabilities(const char *name)
{
	auto_fd fd = openat(stand_in_fs()->shm_fd, name, O_RDONLY | O_CLOEXEC);

	return fgetxattr(fd, CAPABILITIES, NULL, 0) > 0;
}

static int strip(uid_t uid, uint64_t node)
{
	struct request request = request_of(FUSE_REMOVEXATTR, node, uid);

	add_name(&request, CAPABILITIES);
	return stand_in_ask(&request)->error;
}

/* A program loses its capabilities by a write, and only by who may write, or could when it was opened. */
static void of_a_programs_capabilities(void)
{
	struct fs *fs = stand_in_fs();
	const char *const proc = fs->realm.proc;
	pid_t before = stranger;
	int fd, keep;

	new_program("closed", 0755);
	new_program("open", 0666);
	ASSERT_INT(strip(UNKNOWN, find("closed")), -EPERM);
	ASSERT_INT(strip(STRANGER, find("closed")), -EPERM);
	CU_ASSERT(has_capabilities("closed"));
	ASSERT_INT(strip(STRANGER, find("open")), 0);
	CU_ASSERT(!has_capabilities("open"));
	/* What a process has open for reading alone does not help. */
	fs->realm.proc = "/proc";
	fs->realm.mount_dev = fs->shm_dev;
	for (int writes = 0; writes < 2; writes++) {
		fd = openat(fs->shm_fd, "closed", writes ? O_RDWR : O_RDONLY);
		stranger = start_somebody(12, true, &keep);
		close(fd);
		ASSERT_INT(strip(STRANGER, find("closed")), writes ? 0 : -EPERM);
		ASSERT_INT(has_capabilities("closed"), !writes);
		end_somebody(stranger, keep);
	}
	stranger = before;
	fs->realm.proc = proc;
}

/* What the kernel has permitted the daemon does, without a question. */
static void where_the_kernel_checks(void)
{
	stand_in_fs()->kernel_permits = true;
	ASSERT_INT(make(0, FUSE_ROOT_ID, "z"), 0);
	ASSERT_INT(make(0, FUSE_ROOT_ID, TREE), -EPERM);
	ASSERT_INT(remove_name(0, FUSE_ROOT_ID, "z"), 0);
	stand_in_fs()->kernel_permits = false;
	ASSERT_INT(make(UNKNOWN, FUSE_ROOT_ID, "z"), -EACCES);
}

/* Shared with the process in which the daemon is: also after an assertion that ends it there is what to remove. */
struct begun {
	bool done;
	char source[64], proc[64];
};

static void ask(void *data)
{
	struct begun *begun = data;
	const struct options *options = &stand_in_fs()->options;

	begun->done = stand_in_begin();
	if (!begun->done)
		return;
	g_strlcpy(begun->source, options->source, sizeof begun->source);
	g_strlcpy(begun->proc, options->proc, sizeof begun->proc);
	of_objects();
	of_metadata();
	of_a_nested_file();
	of_a_segment();
	of_names();
	of_a_programs_capabilities();
	where_the_kernel_checks();
}

/* The mount is gone with its namespace. */
static void remove_directories(const struct begun *begun)
{
	g_autofree char *command = g_strdup_printf("rm -r %s %s", begun->source, begun->proc);

	CU_ASSERT(system(command) == 0);
}

static void each_is_let_at_what_is_theirs_and_at_nothing_else(void)
{
	struct begun *begun = mmap(NULL, sizeof *begun, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int keep;

	NEED_SOMEBODY();
	CU_ASSERT_FATAL(begun != MAP_FAILED);
	stranger = start_somebody(12, true, &keep);
	failing_returns(NOTHING_FAILS, ask, begun);
	end_somebody(stranger, keep);
	if (begun->done)
		remove_directories(begun);
	else
		unit_skip("no daemon can be had here");
	munmap(begun, sizeof *begun);
}

static CU_TestInfo tests[] = {
	{ "each is let at what is theirs, and at nothing else",
		each_is_let_at_what_is_theirs_and_at_nothing_else },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo access_suite = { "access", NULL, NULL, NULL, NULL, tests };
