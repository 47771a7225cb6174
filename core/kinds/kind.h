/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kind is what a directory below .shmtree holds, as one small table of operations.
 *
 * The tree knows no kind by name. It asks each one for its items, shows an item's attributes as
 * files, and hands opening, removal, creation and changes on to it. Message queues and semaphore
 * sets, which are no memory, are kinds as well: their items are no segments, and lack what goes
 * with that.
 *
 * Every operation may block, and must not run on a thread that serves requests of the mount where
 * it needs the census (`needs`, here and in an attribute): the census is held over the call then.
 */
#pragma once

#include "kinds/attribute.h"

/* How the bytes show in an item's directory. */
enum item_data { DATA_NONE, DATA_FILE, DATA_LINK /* to the object of that name in the root */ };

/*
 * The operations. A NULL one is not permitted (-EPERM). `create` and `change` are called while the
 * thread acts with the caller's fsuid and fsgid, `remove` as the daemon itself; all make whatever
 * checks their object has, as the caller. The directory that holds the items is therefore writable
 * for everyone.
 */
struct kind {
	const char *directory; /* below .shmtree */
	size_t item_size;      /* of its own structure, which an item is the beginning of */
	enum item_data data;
	unsigned needs; /* what the census must be held with for each, stat and open */
	bool slow; /* they may take long all the same: a worker calls them, without the census */

	/* NULL-terminated list of tables, each ended by an entry without a name. */
	const struct attribute *const *attributes;

	/*
	 * Whether the realm has this kind at all (a directory of POSIX objects, an IPC namespace).
	 */
	bool (*present)(const struct realm *realm);

	/*
	 * Whether each() needs no census, whatever `needs` says, so that it is called before the
	 * census is held; all such items that are segments are files.
	 */
	bool listed_alone;

	/* Calls `visit` with each item in turn; one that dies meanwhile is left out. */
	int (*each)(const struct realm *realm, item_visitor visit, void *data);

	/* -ENOENT where the ID means nothing (any more). The caller frees `*out` with g_free(). */
	int (*stat)(const struct realm *realm, const char *id, struct item **out);

	/*
	 * Opens the bytes of the segment that was `seen` (only its struct item is used), with the
	 * daemon's own rights. If another segment has its ID by now, or its permissions have
	 * changed: -ESTALE, upon which the kernel looks the name up again.
	 */
	int (*open)(const struct realm *realm, const struct item *seen, struct item_file *out);

	/*
	 * Whether the caller may use the kind's items at all (`item` NULL, before one is made,
	 * changed or removed), or with the item's bytes for `want` (R_OK, W_OK), besides what owner
	 * and mode say: 0 or -EACCES. NULL: these decide alone.
	 */
	int (*permit)(const struct realm *realm, const struct item *item,
		const struct caller *caller, int want);

	/*
	 * Fills in what is BYTES_UNKNOWN, because stat() would be too costly with it: allocated,
	 * resident, swapped. What the kernel does not tell stays so. NULL: nothing to add.
	 */
	int (*residency)(const struct realm *realm, struct item *item);

	/*
	 * What the kernel counts on the item's object now, as census_look(). NULL: that cannot be
	 * asked of one item. -ESTALE if the ID means another one by now.
	 */
	int (*look)(const struct realm *realm, const struct item *item, bool wait,
		struct object_now *out);

	/*
	 * Whether the kernel says by other means that nothing at all has the item: 1 or 0, or a
	 * negative errno where it does not say. It may disturb other processes: called only where
	 * nothing else tells. NULL: there are no such means.
	 */
	int (*is_free)(const struct realm *realm, const struct item *item);

	/*
	 * NULL, or each() of those alone of which is_free() is true, where that costs less than to
	 * ask of each.
	 */
	int (*each_free)(const struct realm *realm, item_visitor visit, void *data);

	/*
	 * When the item was last used, as the kernel notes it beside the times in `struct item`
	 * (seconds, 0: never). NULL: it does not.
	 */
	int64_t (*used)(const struct item *item);

	/*
	 * The process that the kernel notes as the last one to use the item, in the pid namespace
	 * of the daemon, and when that was (seconds); 0: none. NULL: it notes none.
	 */
	pid_t (*last_pid)(const struct item *item, int64_t *when);

	/*
	 * Removes the item if nothing uses it at that very instant: -EBUSY otherwise, or what the
	 * call that removes it elsewhere says to the caller. 1: it was removed, but a process came
	 * to use it while it was. May wait for the census.
	 */
	int (*remove)(const struct realm *realm, const char *id, const struct caller *caller);

	/*
	 * Makes an item from what mkdir(2) was given as name, which is not its ID: that is in
	 * `*out`, freed as for stat(). `mode` has the umask applied.
	 */
	int (*create)(const struct realm *realm, const char *spec, mode_t mode,
		const struct caller *caller, struct item **out);

	int (*change)(const struct realm *realm, const char *id, const struct item_change *change,
		const struct caller *caller);
};

/* All kinds, NULL-terminated, in the order in which they are listed. */
#define KINDS_MAX 8
extern const struct kind *const kinds[KINDS_MAX];

/* The attribute of that name, or NULL where this item has none. */
const struct attribute *item_attribute(const struct item *item, const char *name);

/* Calls `visit` with each attribute that this item has. */
void item_each_attribute(const struct item *item,
	void (*visit)(const struct attribute *attribute, void *data), void *data);
