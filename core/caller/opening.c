/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/opening.h"

#include "base/privilege.h"
#include "base/util.h"
#include "procfs/proc.h"
#include "procfs/setting.h"

#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SWITCH "/proc/sys/fs/protected_regular"
#define YAMA_FOR_NOBODY 3

/*
 * How long a caller that has made its request may take to go to sleep: where there is much to do, it may have lost its
 * processor. The worker that waits is one of those of the caller's user.
 */
#define TRIES 600
#define PAUSE_NS 1000000
#define LONG_PAUSE_NS 100000000
#define SHORT_PAUSES 100

/* System calls that open a file by name, with the place of their flags among the arguments. */
enum { ALWAYS_CREATES = -1, IN_MEMORY = -2 };

static const struct {
	long number;
	int flags;
} openings[] = {
#ifdef SYS_open
	{ SYS_open, 1 },
	{ SYS_creat, ALWAYS_CREATES },
#endif
	{ SYS_openat, 2 },
	{ SYS_openat2, IN_MEMORY }, /* which the caller might have made to hang whoever reads it */
	{ SYS_io_uring_enter, IN_MEMORY },
/* Of a 32-bit program; under these numbers a 64-bit one opens nothing. */
#if defined __x86_64__
	{ 5, 1 },
	{ 8, ALWAYS_CREATES },
	{ 295, 2 },
#elif defined __aarch64__
	{ 5, 1 },
	{ 8, ALWAYS_CREATES },
	{ 322, 2 },
#endif
};

#if defined __x86_64__
#define NUMBERS_ARE_KNOWN true
#define SAME_NUMBERS_BIT 0x40000000L /* of a program for x32 */
#elif defined __aarch64__
#define NUMBERS_ARE_KNOWN true
#define SAME_NUMBERS_BIT 0L
#else
#define NUMBERS_ARE_KNOWN false
#define SAME_NUMBERS_BIT 0L
#endif

static enum opening by_flags(uint64_t flags)
{
	return flags & O_CREAT ? OPENING_WITH_CREAT : OPENING_WITHOUT_CREAT;
}

enum opening opening_parse(const char *text, const char *command)
{
	uint64_t arguments[3];
	long number;

	if (g_str_has_prefix(command, "iou-"))
		return OPENING_UNKNOWN;
	if (sscanf(text, "%ld 0x%" SCNx64 " 0x%" SCNx64 " 0x%" SCNx64, &number, &arguments[0],
		    &arguments[1], &arguments[2]) != 4)
		return g_str_has_prefix(text, "-1 ") ? OPENING_WITHOUT_CREAT : OPENING_UNKNOWN;
	if (number > 0)
		number &= ~SAME_NUMBERS_BIT;
	for (size_t i = 0; i < G_N_ELEMENTS(openings); i++) {
		if (openings[i].number != number)
			continue;
		if (openings[i].flags >= 0)
			return by_flags(arguments[openings[i].flags]);
		return openings[i].flags == ALWAYS_CREATES ? OPENING_WITH_CREAT : OPENING_UNKNOWN;
	}
	return OPENING_WITHOUT_CREAT; /* ioctl(2) and others, on whose behalf the kernel opens */
}

bool opening_is_known(void)
{
	return NUMBERS_ARE_KNOWN && access("/proc/self/syscall", F_OK) == 0 &&
		privilege_capable(CAP_SYS_PTRACE) && setting_read(SETTING_YAMA) < YAMA_FOR_NOBODY;
}

bool opening_is_protected(const struct caller *caller, int directory, int file)
{
	struct stat dir, st;

	if (fstat(directory, &dir) < 0 || fstat(file, &st) < 0)
		return true;
	if (!(dir.st_mode & S_ISVTX) || st.st_uid == dir.st_uid || st.st_uid == caller->uid)
		return false;
	/* A kernel before Linux 4.19 has no such setting. */
	if (dir.st_mode & S_IWOTH)
		return setting_read(SWITCH) >= 1;
	return dir.st_mode & S_IWGRP && setting_read(SWITCH) >= 2;
}

int opening_refused(const struct caller *caller)
{
	g_autofree char *path = g_strdup_printf("/proc/%d", caller->pid);
	auto_fd dir = caller->pid == 0 ? -1 : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char text[256] = "", command[64];
	enum opening opening;

	if (dir < 0 || proc_read_file(dir, "comm", command, sizeof command) < 0)
		return -EACCES;
	for (int i = 0; i < TRIES; i++) {
		if (proc_read_file(dir, "syscall", text, sizeof text) < 0)
			return -EACCES;
		if (text[0] != 'r') /* "running" */
			break;
		nanosleep(&(struct timespec){ .tv_nsec =
						      i < SHORT_PAUSES ? PAUSE_NS : LONG_PAUSE_NS },
			NULL);
	}
	opening = opening_parse(text, command);
	return opening == OPENING_WITHOUT_CREAT ? 0 : -EACCES;
}
