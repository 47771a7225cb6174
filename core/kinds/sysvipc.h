/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the three System V kinds (shared memory, message queues, semaphore sets) have in common: the
 * tables of /proc/sysvipc, and who may do what to an object.
 */
#pragma once

#include "kinds/kind.h"

/* The first part of an item of each of the three. */
struct sysvipc_item {
	struct item item; /* `name` is the key */
	uint32_t key;
	uid_t cuid;
	gid_t cgid;
};

/* Fills in ID, name and creator, and what follows from these for all three. */
void sysvipc_complete(struct sysvipc_item *s, int id);

/*
 * The `permit` of kinds whose items are an IPC namespace's: for callers that are in the namespace,
 * and those that could enter it (CAP_SYS_ADMIN about the daemon's user namespace, and a look at its
 * processes).
 */
int sysvipc_permit(const struct realm *realm, const struct item *item, const struct caller *caller,
	int want);

/* Attributes that the three have: key, perms, uid, user … ctime. */
extern const struct attribute sysvipc_attributes[];

/* A column of a table, found by its name in the header: not all kernels have the same columns. */
struct sysvipc_column {
	const char *name;
	unsigned base; /* 10 or 8 */
	bool optional; /* UINT64_MAX where the table lacks it */
};

/* `values` has one for each column asked for; negative numbers in two's complement. */
typedef void (*sysvipc_visitor)(const uint64_t *values, void *data);

#define SYSVIPC_COLUMNS_MAX 24

/*
 * Calls `visit` for each row. -EPROTO, with the rows before visited, for a text that is no such
 * table: a column missing that is not optional, a row with too few values or with other than
 * numbers. Pure; `text` ends in a zero byte. At most SYSVIPC_COLUMNS_MAX columns.
 */
int sysvipc_parse(const char *text, const struct sysvipc_column *columns, size_t n,
	sysvipc_visitor visit, void *data);

/* The same for a table ("shm", "msg", "sem") as it is now in the realm. */
int sysvipc_each(const struct realm *realm, const char *table, const struct sysvipc_column *columns,
	size_t n, sysvipc_visitor visit, void *data);

/*
 * Runs `work` on a thread that is in the realm's IPC namespace: this thread, or one made for it
 * (-EAGAIN if none can be made).
 */
int sysvipc_enter(const struct realm *realm, int (*work)(void *data), void *data);

/*
 * kind->remove of all three. If the caller may remove the item, and `check_idle` (called as the
 * daemon) returns 0 for what kind->stat() gives, calls `end` with the caller's effective ids in the
 * realm's namespace. `end` is *ctl(IPC_RMID): 0, or -1 with errno set. `check_unused` (NULL: none), called
 * as the daemon directly before that, returns 0 or -EBUSY if the item was used since `seen`: where
 * `check_idle` takes long.
 */
struct sysvipc_removal {
	int (*check_idle)(const struct realm *realm, const struct item *item);
	int (*check_unused)(int id, const struct item *seen);
	int (*end)(int id);
};
int sysvipc_remove(const struct realm *realm, const struct kind *kind, const char *id,
	const struct caller *caller, const struct sysvipc_removal *removal);

/*
 * 0, or -EPERM as *ctl(IPC_RMID) and *ctl(IPC_SET) give it to a caller that is neither the owner
 * nor the creator. It only chooses between two errors: the system call itself decides.
 */
int sysvipc_check_owner(const struct caller *caller, const struct item *item);

/* kind->present of all three. */
bool sysvipc_present(const struct realm *realm);

/* An ID: digits without leading zeros that fit an int. False otherwise. */
bool sysvipc_parse_id(const char *text, int *id);

/* Converts errno of shmctl() and its like: EINVAL and EIDRM, for an ID that is gone, to -ENOENT. */
int sysvipc_error(int error);
