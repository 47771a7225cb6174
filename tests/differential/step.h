/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A step is one call by one actor, written so that it can be made twice: on a directory of a native
 * tmpfs and on a mount. It names descriptors, mappings and files by small numbers ("slots"), never
 * by what the kernel answered, so that a sequence stays meaningful when steps are taken out of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define MAX_ARGS 6
#define FD_SLOTS 5
#define MAP_SLOTS 3
#define MAX_IO (256 * 1024) /* bytes that one step reads or writes at most */

/* A process that makes calls. One outside works on the directory behind the mount. */
struct actor {
	const char *label;
	uid_t uid;
	gid_t gid;
	gid_t group; /* supplementary group; 0: none */
	bool outside;
	bool powerless; /* uid 0 without a capability, as in a container */
};

#define ACTORS 9
extern const struct actor actors[ACTORS];

/* What an argument means: how it is generated and printed. */
enum arg_kind {
	ARG_NONE,
	ARG_FD,        /* slot of a descriptor, an open one if possible */
	ARG_FD_NEW,    /* slot that the step fills */
	ARG_FD_CLOSED, /* slot that the step empties */
	ARG_MAP,
	ARG_MAP_NEW,
	ARG_NAME,     /* index into the names */
	ARG_OFFSET,   /* in bytes, sometimes absurd */
	ARG_POSITION, /* an offset, or -1: the descriptor's own position */
	ARG_SIZE,     /* length of a file, sometimes beyond what the file system holds */
	ARG_COUNT,    /* bytes to transfer, at least 1, at most MAX_IO */
	ARG_COUNT_OR_0,
	ARG_PAGES,  /* offset in whole pages, printed in bytes */
	ARG_WITHIN, /* byte offset inside a mapping */
	ARG_MODE,   /* permission bits, set-ID and sticky bits */
	ARG_SEED,   /* of the pattern of bytes to write */
	ARG_PICK,   /* one of the choices */
	ARG_BITS,   /* any of the choices or-ed together; the first ones more often */
};

struct choice {
	const char *name; /* NULL ends the list */
	int64_t value;
};

struct arg_spec {
	const char *label;
	enum arg_kind kind;
	const struct choice *choices; /* for ARG_PICK and ARG_BITS */
};

struct step {
	uint16_t op; /* index by op_at() */
	uint16_t actor;
	int64_t arg[MAX_ARGS];
};

/* What a call answered. Lives in memory shared by the executor and the driver. */
struct outcome {
	int64_t ret;
	int err; /* errno when ret is -1, else 0 */
	int sig; /* signal caught during the call, else 0 */
	bool has_stat;
	struct statx st;
	bool has_holder; /* of a lock in the way */
	pid_t holder;
	uint32_t len; /* of data */
	unsigned char data[MAX_IO + 4096];
};

struct context; /* an executor's own state: see executor.h */

/* One kind of call. execute() leaves its answer in the outcome, which comes zeroed. */
struct op {
	const char *name;
	unsigned weight; /* how often it is generated, relative to the others */
	struct arg_spec args[MAX_ARGS];
	void (*execute)(struct context *, const int64_t *arg, struct outcome *);
};

/* All the operations; NULL beyond the last. */
const struct op *op_at(unsigned index);
unsigned op_count(void);

/*
 * Whether a call reads by way of the kernel's page cache of the mount when there is no passthrough:
 * up to the size that the kernel knows, and maybe without a request that would tell the daemon.
 */
bool op_reads_cache(const char *name);

/* The names that steps use; NULL beyond the last. The first PLAIN_NAMES are ordinary. */
#define PLAIN_NAMES 6
#define NAME_DOT PLAIN_NAMES
const char *name_at(unsigned index);
unsigned name_count(void);

/* Writes the step as a line of C-like text, without a newline. */
void step_describe(const struct step *, char *buf, size_t size);

/* Tables of operations, one per theme, each ended by an entry without a name. */
extern const struct op ops_open[], ops_data[], ops_move[], ops_map[], ops_name[], ops_attr[],
	ops_xattr[], ops_lock[];
