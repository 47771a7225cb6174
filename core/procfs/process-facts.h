/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a table says of a process beside what the census knows. */
#pragma once

#include "procfs/cgroup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* As many bytes of a command line and of a cgroup's path are shown. */
#define CMDLINE_SHOWN 256
#define CGROUP_SHOWN 512

/* All of it is empty or "-" of a process that is gone. */
struct process_facts {
	pid_t pid;     /* whose these are; 0: nobody's */
	uint64_t born; /* start, in clock ticks after boot: /proc/PID/stat, field 22; 0: unknown */
	char unit[CGROUP_UNIT_MAX];
	char cgroup[CGROUP_SHOWN];
	char cmdline[CMDLINE_SHOWN + 1]; /* arguments with a space between them */
};

/*
 * Reads them anew, unless they are this process's already. `proc` is the procfs's path. 0, or a
 * negative errno: when the process was born is not known; -ENOENT, -ESRCH if it is gone.
 */
int process_facts_read(const char *proc, pid_t pid, struct process_facts *facts);

/* What the census keeps of a process that uses segments. */
struct process_origin {
	uint64_t born; /* as above */
	char unit[CGROUP_UNIT_MAX];
	bool readable; /* its user may read its memory; false where that depends on who asks */
};

/* Of a process that is gone: 0, "-", false. */
void process_origin_read(const char *proc, pid_t pid, struct process_origin *out);

/* Which process it is, and whose. */
struct process_identity {
	pid_t pid;                  /* of the process, not of a thread of it */
	uint64_t born;              /* as above */
	uid_t uid;                  /* effective */
	bool readable;              /* as above */
	char command[16];           /* /proc/PID/comm */
	char unit[CGROUP_UNIT_MAX]; /* empty: not known, because the process had ended */
};

/*
 * Reads it of a process, or of the process that a thread is of. `proc` is a procfs that numbers
 * processes as the daemon's system calls do. 0, or a negative errno where there is no such process,
 * or it ended meanwhile.
 */
int process_identity_read(const char *proc, pid_t pid, struct process_identity *out);
