/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose control group pays for memory that is allocated for a caller. */
#include "caller/fsuid.h"
#include "caller/memory-cgroup.h"
#include "procfs/mountinfo.h"

#include "failing.h"
#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void note_cgroup2(const char *point, const struct mount *mount, void *data)
{
	if (strcmp(mount->fstype, "cgroup2") == 0)
		g_string_assign(data, point);
}

/* A group of version 2, or NULL where none can be made. */
static char *new_group(void)
{
	g_autofree char *mounts = NULL;
	g_autoptr(GString) root = g_string_new(NULL);
	g_autofree char *path = NULL;

	if (g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL))
		mountinfo_each(mounts, note_cgroup2, root);
	path = g_strdup_printf("%s/shmtree-unit-%d", root->str, getpid());
	return root->len && mkdir(path, 0755) == 0 ? g_steal_pointer(&path) : NULL;
}

static void freeze(const char *group)
{
	g_autofree char *path = g_build_filename(group, "cgroup.freeze", NULL);
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);

	ASSERT_INT(write(fd, "1", 1), 1);
}

static void memory_is_allocated_by_a_child_in_the_group(void)
{
	g_autofree char *group = new_group();
	struct stat st;

	if (!group)
		SKIP("no control group of version 2 can be made: %s", g_strerror(errno));
	auto_fd fd = memfd_create("x", MFD_CLOEXEC);
	ASSERT_INT(memory_cgroup_fallocate_in(group, fd, 0, 0, 1 << 20), 0);
	ASSERT_INT(fstat(fd, &st), 0);
	ASSERT_INT(st.st_blocks, (1 << 20) / 512);
	ASSERT_INT(memory_cgroup_fallocate_in(group, fd, 0, -1, 1), -EINVAL);
	freeze(group);
	ASSERT_INT(memory_cgroup_fallocate_in(group, fd, 0, 0, 2 << 20), -EINTR);
	ASSERT_INT(memory_cgroup_fallocate_in("/", fd, 0, 0, 1), -EOPNOTSUPP);
	/* The last process may be in it for a moment after it has been waited for. */
	while (rmdir(group) < 0 && errno == EBUSY)
		g_usleep(1000);
	CU_ASSERT_FALSE(g_file_test(group, G_FILE_TEST_EXISTS));
}

static int *open_in_child; /* shared with it */

static void count_open(void)
{
	*open_in_child = 0;
	for (int fd = 0; fd < 256; fd++)
		*open_in_child += fcntl(fd, F_GETFD) >= 0;
}

/* Beside the file and the group others are open: with lower numbers, between the two, and with higher ones. */
static void allocate_among_others(void *group)
{
	auto_fd fd = memfd_create("x", MFD_CLOEXEC);
	auto_fd between = dup(fd), of_the_group = dup(fd), higher = dup(fd);

	CU_ASSERT_FATAL(fd > 0 && between > fd && of_the_group > between && higher >= 0);
	close(steal_fd(&of_the_group));
	ASSERT_INT(memory_cgroup_fallocate_in(group, fd, 0, 0, 1), 0);
}

/* It may be frozen with its group, when the daemon ends. */
static void the_child_has_nothing_else_open(void)
{
	g_autofree char *group = new_group();

	if (!group)
		SKIP("no control group of version 2 can be made: %s", g_strerror(errno));
	open_in_child =
		mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(open_in_child != MAP_FAILED);
	*open_in_child = -1;
	failing_returns(FAILING({ SYS_fallocate, .meanwhile = count_open, .if_made = true }),
		allocate_among_others, group);
	ASSERT_INT(*open_in_child, 2);
	munmap(open_in_child, sizeof(int));
	while (rmdir(group) < 0 && errno == EBUSY)
		g_usleep(1000);
}

/* In a process of its own, which has had no child: whether fallocate(2) was called without one. */
static int allocate_alone(void)
{
	struct rusage children;

	auto_fd fd = memfd_create("x", MFD_CLOEXEC);
	fsuid_init();
	if (!fsuid_privileged())
		return 2;
	if (memory_cgroup_fallocate(getpid(), fd, 0, 0, 1) < 0 ||
		getrusage(RUSAGE_CHILDREN, &children) < 0)
		return 1;
	return children.ru_minflt > 0;
}

static void in_the_daemons_own_group_memory_is_allocated_without_a_child(void)
{
	pid_t child = fork();
	int status = 1;

	if (child == 0)
		_exit(allocate_alone());
	CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		SKIP("only root allocates for others");
	ASSERT_INT(WEXITSTATUS(status), 0);
}

static CU_TestInfo tests[] = {
	{ "memory is allocated by a child in the group",
		memory_is_allocated_by_a_child_in_the_group },
	{ "the child has nothing else open", the_child_has_nothing_else_open },
	{ "in the daemon's own group memory is allocated without a child",
		in_the_daemons_own_group_memory_is_allocated_without_a_child },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo memory_cgroup_suite = { "memory_cgroup", NULL, NULL, NULL, NULL, tests };
