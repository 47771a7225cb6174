/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "recorded.h"

#include "unit.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PF_KTHREAD 0x00200000

void recorded_init(struct recorded *recorded)
{
	struct stat st;

	recorded->path = g_dir_make_tmp("shmtree-proc-XXXXXX", NULL);
	CU_ASSERT_FATAL(recorded->path && stat(recorded->path, &st) == 0);
	recorded->dev = st.st_dev;
	recorded_task(recorded, "2", "kthreadd", 'S', PF_KTHREAD, 1, 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_all(const char *path)
{
	CU_ASSERT(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

void recorded_remove(struct recorded *recorded)
{
	remove_all(recorded->path);
	g_clear_pointer(&recorded->path, g_free);
}

void recorded_drop(const struct recorded *recorded, const char *path)
{
	g_autofree char *full = g_build_filename(recorded->path, path, NULL);

	remove_all(full);
}

static char *prepare(const struct recorded *recorded, const char *path)
{
	char *full = g_build_filename(recorded->path, path, NULL);
	g_autofree char *directory = g_path_get_dirname(full);

	CU_ASSERT_FATAL(g_mkdir_with_parents(directory, 0700) == 0);
	return full;
}

void recorded_file(const struct recorded *recorded, const char *path, const char *text)
{
	g_autofree char *full = prepare(recorded, path);

	CU_ASSERT_FATAL(g_file_set_contents(full, text, -1, NULL));
}

void recorded_link(const struct recorded *recorded, const char *path, const char *target)
{
	g_autofree char *full = prepare(recorded, path);

	CU_ASSERT_FATAL(symlink(target, full) == 0);
}

void recorded_task(const struct recorded *recorded, const char *path, const char *command,
	char state, unsigned flags, uint64_t start_time, uid_t uid)
{
	g_autofree char *number = g_path_get_basename(path);
	g_autofree char *stat_path = g_build_filename(path, "stat", NULL);
	g_autofree char *status_path = g_build_filename(path, "status", NULL);
	g_autofree char *stat = g_strdup_printf(
		"%s (%s) %c 1 1 1 0 -1 %u 0 0 0 0 0 0 0 0 20 0 1 0 "
		"%" PRIu64 " 0 0 0 1 1 1 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 1 1 1 1 1 1 1 0\n",
		number, command, state, flags, start_time);
	g_autofree char *status = g_strdup_printf("Name:\t%s\nUmask:\t0022\nState:\t%c\n"
						  "Tgid:\t%s\nPid:\t%s\nPPid:\t1\n"
						  "Uid:\t%u\t%u\t%u\t%u\n"
						  "Gid:\t4000\t0\t0\t0\nGroups:\t \n"
						  "CapPrm:\t0000000000000000\n"
						  "CapEff:\t0000000000000000\n",
		command, state, number, number, 4000, uid, uid, uid);

	recorded_file(recorded, stat_path, stat);
	recorded_file(recorded, status_path, status);
}

void recorded_process(const struct recorded *recorded, pid_t pid, const char *maps)
{
	g_autofree char *path = g_strdup_printf("%d", pid);
	g_autofree char *maps_path = g_build_filename(path, "maps", NULL);
	g_autofree char *fd_path = g_build_filename(path, "fd", "3", NULL);
	g_autofree char *command = g_strdup_printf("program %d", pid);
	/* No such descriptor, but the directory of them. */
	g_autofree char *unused = prepare(recorded, fd_path);

	(void)unused;
	recorded_task(recorded, path, command, 'S', 0, 1000 + pid, 5000 + pid);
	recorded_file(recorded, maps_path, maps);
}

char *recorded_map(uint64_t start, const char *perms, uint64_t dev, uint64_t ino, const char *name)
{
	return g_strdup_printf("%08" PRIx64 "-%08" PRIx64 " %s 00003000 %02x:%02x %" PRIu64
			       "    %s\n",
		start, start + 0x1000, perms, major(dev), minor(dev), ino, name);
}

void recorded_descriptor(const struct recorded *recorded, pid_t pid, int fd, const char *target,
	const char *flags)
{
	g_autofree char *link = g_strdup_printf("%d/fd/%d", pid, fd);
	g_autofree char *info = g_strdup_printf("%d/fdinfo/%d", pid, fd);
	g_autofree char *text = g_strdup_printf("pos:\t0\nflags:\t%s\nmnt_id:\t7\n", flags);

	recorded_link(recorded, link, target);
	recorded_file(recorded, info, text);
}
