/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kinds: what a directory below .shmtree holds, as one small table of operations each.
 *
 * The tree knows no kind by name. It asks each one for its items, shows an item's attributes as
 * files, and hands opening, removal, creation and changes on to it. Message queues and semaphore
 * sets, which are no memory, are kinds as well: their items are no segments, and lack what goes
 * with that.
 *
 * An item is what an ID stood for at one instant. Nothing keeps it true: who acts on one later
 * hands it back, and the kind compares it with what the ID means by then (-ESTALE).
 *
 * Every operation may block, and must not run on a thread that serves requests of the mount where
 * it needs the census (`needs`, here and in an attribute): the census is held over the call then.
 */
#pragma once

#include "caller/caller.h"
#include "census/census.h"

#include <glib.h>
#include <json-glib/json-glib.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

struct kind;

/*
 * Where names mean something: an IPC namespace and a directory of POSIX objects. There is the
 * daemon's own realm, and one for each foreign IPC namespace and each foreign /dev/shm that the
 * census met.
 */
struct realm {
	const char *proc; /* procfs, as in census_config */
	struct census *census;
	int shm_fd;            /* the directory of the POSIX objects; -1: this realm has none */
	uint64_t shm_dev;      /* its st_dev */
	uint64_t internal_dev; /* census_internal_device() */
	uint64_t mount_dev; /* st_dev of the mount itself, whose files stand for others; 0: none */
	uint32_t ipc_ns;    /* inode number of the IPC namespace; 0: this realm has none */
	int ipc_ns_fd;      /* that namespace, for setns(2); -1: the one this process is in */
};

/*
 * The daemon's own, which alone has what belongs to no namespace (memfds, anonymous memory) and
 * whose System V segments have no namespace in their keys.
 */
static inline bool realm_is_own(const struct realm *realm)
{
	return realm->ipc_ns != 0 && realm->ipc_ns_fd < 0;
}

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
	uint64_t size;                         /* bytes */
	uint64_t allocated, resident, swapped; /* bytes; BYTES_UNKNOWN until kind->residency() */
	struct timespec atime, mtime, ctime;   /* zero: never, or there is none */
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

/* What a metadata file is shown from. */
struct view {
	const struct realm *realm;
	const struct item *item; /* an attribute's; NULL for a file about the whole realm */
	struct caller caller;    /* rows of tables are for whom may see them */
	bool filled;             /* the item has been through kind->residency() */
};

/* How an attribute's text becomes a member of info.json. */
enum attribute_form {
	FORM_NUMBER, /* a decimal number and a newline; "unknown" is null */
	FORM_TEXT,   /* a value and a newline */
	FORM_OTHER,  /* by json(), or not at all */
};

struct attribute {
	const char *name;
	enum attribute_form form;
	unsigned needs; /* enum census_facet: what the census must be held with */
	/* Appends the content. 0 or a negative errno: what the open(2) of the file gives. */
	int (*show)(const struct view *view, const struct attribute *self, GString *out);
	size_t offset; /* for show(): where in the item the value is */
	/*
	 * FORM_OTHER: adds the members, names and all, to the object that is begun. A negative errno
	 * if nothing was added.
	 */
	int (*json)(const struct view *view, const struct attribute *self, JsonBuilder *builder);
	bool (*exists)(const struct item *item); /* NULL: every item of the kind has it */
	bool slow; /* may wait for more than the census: the user database */
};

typedef void (*item_visitor)(const struct item *item, void *data);

/* What to change, as in setattr. */
enum item_change_mask { CHANGE_MODE = 1 << 0, CHANGE_UID = 1 << 1, CHANGE_GID = 1 << 2 };
struct item_change {
	unsigned mask;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

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

	/* NULL-terminated list of tables, each ended by an entry without a name. */
	const struct attribute *const *attributes;

	/* Whether the realm has this kind at all (a directory of POSIX objects, an IPC namespace). */
	bool (*present)(const struct realm *realm);

	/* Calls `visit` with each item in turn; one that dies meanwhile is left out. */
	int (*each)(const struct realm *realm, item_visitor visit, void *data);

	/* -ENOENT where the ID means nothing (any more). The caller frees `*out` with g_free(). */
	int (*stat)(const struct realm *realm, const char *id, struct item **out);

	/*
	 * Opens the bytes of the segment that was `seen` (its struct item alone counts), with the
	 * daemon's own rights; never those of another that has its ID by now, nor after its
	 * permissions changed: -ESTALE, whereupon the kernel asks again from the name on.
	 */
	int (*open)(const struct realm *realm, const struct item *seen, struct item_file *out);

	/*
	 * Whether the caller may have the item's bytes at all, besides what owner and mode say: 0 or
	 * -EACCES. NULL: these decide alone.
	 */
	int (*permit)(const struct realm *realm, const struct item *item,
		const struct caller *caller);

	/*
	 * Fills in what is BYTES_UNKNOWN, because stat() would be too costly with it: allocated,
	 * resident, swapped. What the kernel does not tell stays so. NULL: nothing to add.
	 */
	int (*residency)(const struct realm *realm, struct item *item);

	/*
	 * Removes the item if nothing uses it at that very instant: -EBUSY otherwise, or what the call
	 * that removes it elsewhere says to the caller. 1: it was removed, but a process came to use
	 * it while it was. May wait for the census.
	 */
	int (*remove)(const struct realm *realm, const char *id, const struct caller *caller);

	/*
	 * Makes an item from what mkdir(2) was given as name, which is not its ID: that is in `*out`,
	 * freed as for stat(). `mode` has the umask applied.
	 */
	int (*create)(const struct realm *realm, const char *spec, mode_t mode,
		const struct caller *caller, struct item **out);

	int (*change)(const struct realm *realm, const char *id, const struct item_change *change,
		const struct caller *caller);
};

/* All kinds, NULL-terminated, in the order in which they are listed. */
extern const struct kind *const kinds[];

/* The attribute of that name, or NULL where this item has none. */
const struct attribute *item_attribute(const struct item *item, const char *name);

/* census_state(), but never `idle` for what the kernel says is in use. */
enum segment_state item_state(const struct realm *realm, const struct item *item,
	const struct usage *usage);

/* Calls `visit` with each attribute that this item has. */
void item_each_attribute(const struct item *item,
	void (*visit)(const struct attribute *attribute, void *data), void *data);

/* Attributes of every segment: mappings, processes, openers, resident … info.json. */
extern const struct attribute segment_attributes[];
/* Of what is no memory: info.json alone. */
extern const struct attribute plain_attributes[];
