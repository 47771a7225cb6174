/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An item is what an ID of a kind stood for at one instant. It is not kept up to date: a function
 * that acts on one later hands it back, and the kind compares it with what the ID stands for by
 * then (-ESTALE).
 */
#pragma once

#include "census/census.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

struct kind;
struct realm;

/* A number of bytes that the kernel does not tell. */
#define BYTES_UNKNOWN UINT64_MAX

/*
 * The common part of an item. A kind's own structure has it as first member and owns nothing
 * else, so that g_free() (g_autofree) ends any item.
 */
struct item {
	const struct kind *kind;
	char id[NAME_MAX + 1];   /* its directory's name: no slash, unique in its kind and realm */
	char name[NAME_MAX + 1]; /* what its users call it, raw bytes; may be empty */
	const char *label;       /* the KIND column: "posix", "sysv", "memfd", "anon" …; static */
	bool segment;            /* is memory: `key` and the sizes count */
	bool in_use;             /* the kernel counts a mapping, whatever the census saw */
	bool fixed_size;         /* truncation, and a write beyond the end, are -EPERM */
	struct segment_key key;
	uint64_t identity; /* differs for another item under the same ID, as far as one can tell */
	mode_t mode;       /* permission bits */
	uid_t uid;
	gid_t gid;
	unsigned links;                        /* names of its file, where that is known */
	uint64_t size;                         /* bytes */
	uint64_t allocated, resident, swapped; /* bytes; BYTES_UNKNOWN until kind->residency() */
	struct timespec atime, mtime, ctime;   /* zero: never, or there is none */
	bool closed; /* name, mode, uid, gid and times are not its own, which not everyone may know */
	uid_t owner; /* of one that is closed: whom sums of users count it for */
};

/* Whether two items of one kind and ID are the same thing, with the same permissions. */
static inline bool item_same(const struct item *a, const struct item *b)
{
	return a->identity == b->identity && segment_key_equal(&a->key, &b->key);
}
static inline bool item_same_access(const struct item *a, const struct item *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

/* The bytes of an item, opened. */
struct item_file {
	int fd; /* O_PATH: opened anew through /proc/self/fd with the mode that is wanted */
	uint64_t generation; /* of the inode: two files of one key are one segment only if equal */
	bool passthrough;    /* false: the kernel must not map it on the mount's behalf */
};

/*
 * Fills in permission bits, owner and times from a stat of the item's file; of an item that is
 * memory (`segment` is set) the sizes too, with `resident` and `swapped` unknown.
 */
void item_set_stat(struct item *item, const struct stat *st);

typedef void (*item_visitor)(const struct item *item, void *data);

/* What to change, as in setattr. */
enum item_change_mask { CHANGE_MODE = 1 << 0, CHANGE_UID = 1 << 1, CHANGE_GID = 1 << 2 };
struct item_change {
	unsigned mask;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};
