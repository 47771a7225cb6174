/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "census/mount-register.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOURCE makedev(0, 21)
#define OTHER_SOURCE makedev(0, 22)
#define OTHERS 3

static char *directory, *path;
static struct mount_register *mounts;

static void set_up(void)
{
	directory = g_dir_make_tmp(NULL, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
	path = g_build_filename(directory, "made", "mounts", NULL);
	CU_ASSERT_FATAL(mount_register_open(path, SOURCE, &mounts) == 0);
}

static void tear_down(void)
{
	g_autofree char *made = g_path_get_dirname(path);

	mount_register_close(mounts);
	ASSERT_INT(g_unlink(path), 0);
	ASSERT_INT(g_rmdir(made), 0);
	ASSERT_INT(g_rmdir(directory), 0);
	g_free(path);
	g_free(directory);
}

/* A process that has entered a mount, and stays until it is killed. */
static pid_t serve(uint64_t source, uint64_t mount)
{
	int ready[2];
	struct mount_register *own;
	char entered = 0;
	pid_t pid;

	CU_ASSERT_FATAL(pipe(ready) == 0);
	pid = fork();
	if (pid == 0) {
		entered = mount_register_open(path, source, &own) == 0 &&
			mount_register_add(own, mount) == 0;
		if (write(ready[1], &entered, 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	ASSERT_INT(read(ready[0], &entered, 1), 1);
	CU_ASSERT(entered);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	ASSERT_INT(waitpid(pid, NULL, 0), pid);
}

struct seen {
	unsigned count;
	uint64_t source; /* of the last */
	pid_t servers[32];
};

static void note(uint64_t mount_dev, uint64_t source_dev, pid_t server, void *data)
{
	struct seen *seen = data;

	ASSERT_INT(major(mount_dev), 0);
	seen->source = source_dev;
	CU_ASSERT_FATAL(minor(mount_dev) < G_N_ELEMENTS(seen->servers));
	seen->count++;
	seen->servers[minor(mount_dev)] = server;
}

static struct seen look(void)
{
	struct seen seen = { 0 };

	ASSERT_INT(mount_register_each(mounts, note, &seen), 0);
	return seen;
}

static void the_mounts_of_others_are_told_with_who_serves_them(void)
{
	/* Side by side, so that they are one range of the file; and at its ends. */
	const uint64_t devs[OTHERS] = { makedev(0, 7), makedev(0, 0), makedev(0, 8) };
	pid_t pids[OTHERS];
	struct seen seen;

	ASSERT_INT(look().count, 0);
	for (int i = 0; i < OTHERS; i++)
		pids[i] = serve(SOURCE, devs[i]);
	seen = look();
	ASSERT_INT(seen.count, OTHERS);
	for (int i = 0; i < OTHERS; i++)
		ASSERT_INT(seen.servers[minor(devs[i])], pids[i]);
	ASSERT_INT(seen.source, SOURCE);
	for (int i = 0; i < OTHERS; i++)
		end(pids[i]);
}

static void a_mount_goes_with_its_daemon(void)
{
	pid_t pid = serve(SOURCE, makedev(0, 5));

	ASSERT_INT(look().count, 1);
	end(pid);
	ASSERT_INT(look().count, 0);
}

static void the_own_mount_is_not_told(void)
{
	ASSERT_INT(mount_register_add(mounts, makedev(0, 6)), 0);
	ASSERT_INT(look().count, 0);
}

static void mounts_of_other_sources_are_told_with_these(void)
{
	pid_t pid = serve(OTHER_SOURCE, makedev(0, 5));
	struct seen seen = look();

	ASSERT_INT(seen.count, 1);
	ASSERT_INT(seen.source, OTHER_SOURCE);
	ASSERT_INT(seen.servers[5], pid);
	end(pid);
}

static void what_is_no_mount_is_not_entered(void)
{
	ASSERT_INT(mount_register_add(mounts, makedev(8, 1)), -EINVAL);
}

static CU_TestInfo tests[] = {
	{ "the mounts of others are told, with who serves them",
		the_mounts_of_others_are_told_with_who_serves_them },
	{ "a mount goes with its daemon", a_mount_goes_with_its_daemon },
	{ "the own mount is not told", the_own_mount_is_not_told },
	{ "mounts of other sources are told with these",
		mounts_of_other_sources_are_told_with_these },
	{ "what is no mount is not entered", what_is_no_mount_is_not_entered },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo mount_register_suite = { "mount register", NULL, NULL, set_up, tear_down,
	tests };
