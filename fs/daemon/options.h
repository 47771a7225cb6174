/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: `shmtree [SOURCE] MOUNTPOINT [options]`, and the same as mount(8) calls it. */
#pragma once

#include "census/census.h"

#include <stdbool.h>

#include <fuse_lowlevel.h>

struct options {
	char *source;     /* the tmpfs directory that holds the objects; owned */
	char *mountpoint; /* absolute; owned */
	bool dead;        /* a mount is there whose daemon was killed, for ours to replace */
	char *label;      /* what the list of mounts shows as the source; owned */
	char *proc;       /* the procfs to read; owned */
	enum census_backend_choice census;
	bool object_census;                 /* wanted */
	bool passthrough;                   /* likewise */
	double attr_timeout, entry_timeout; /* seconds */
	double census_interval;             /* seconds between two; 0: none unasked */
	bool daemon_permissions;            /* the daemon is to check them (permit.h) */
	unsigned log;                       /* events to keep for `log`; 0: none */
	unsigned max_threads;               /* 0: not given, for the daemon to choose */
	unsigned metrics_segments;          /* how many have samples of their own in `metrics` */
	struct fuse_cmdline_opts cmdline;   /* -f -d -s */
	struct fuse_args fuse;              /* what is left for libfuse and the kernel */
};

enum options_result {
	OPTIONS_MOUNT, /* go on */
	OPTIONS_DONE,  /* help or version was printed: exit with success */
	OPTIONS_WRONG, /* one line was printed on stderr: exit with failure */
};

/*
 * The same for a look without a mount, of which `source` (NULL: the default) is the directory and `given` (NULL:
 * none) are the arguments of -o, a NULL-terminated array: those that say how to count. 0, or -EINVAL when a line
 * was printed. options_free() afterwards.
 */
int options_for_look(const char *source, char *const *given, struct options *out);

/* Fills `out`; options_free() afterwards, whatever was returned. */
enum options_result options_parse(int argc, char **argv, struct options *out);
void options_free(struct options *options);
