/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nodes: the files and directories that the kernel knows by number.
 *
 * Lifetimes
 *
 * A node lives as long as the kernel remembers it (`nlookup`, raised by each entry in a reply,
 * lowered by FORGET) or the daemon uses it (`refs`: open files, requests handed to a worker). The
 * node number that the kernel gets is a place in a table (id-table.h), never an address, since the
 * kernel tells it to every user; its generation is the inode number, so that a file handle kept
 * from an earlier node in that place is refused by the kernel.
 *
 * A *segment* node stands for bytes: a POSIX object in the root, or the `data` file of a segment
 * that has no name. There is one node an inode, whatever names lead to it, and it holds no
 * descriptor: a name and an identity, some 100 bytes. While the file is open, an `open_file` hangs
 * on it, with a descriptor that reaches the file whatever happens to the name (open-file.h). A name
 * is only a hint: who follows it compares the inode number and says ESTALE when it leads elsewhere,
 * on which the kernel looks the path up again. It does so once: so that names which come and go all
 * the time work as on tmpfs, an object that is unlinked through the mount keeps a descriptor until
 * the kernel forgets it, which is at once if nobody is about to use it. But the kernel may know it
 * by another name as well, which it has lost outside, and remember that for long, and so the memory
 * that was to be freed: then it keeps the descriptor for a moment only.
 *
 * A *tree* node is a directory, attribute file or link under .shmtree: its entry in the table of
 * tree.c, its parent and its name. It refers to a segment only by that name. A child keeps its
 * parent alive by a reference.
 *
 * Locks: the table's lock guards the table, every count and every name. It is a leaf: nothing is
 * called and no reply is sent while it is held.
 */
#pragma once

#include "census/counts/segment.h"
#include "daemon/charge.h"

#include <fuse_lowlevel.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct grace_fd;
struct open_file;
struct data_node;
struct tree_entry;
struct node_table;

enum node_type { NODE_ROOT, NODE_SEGMENT, NODE_TREE };

struct node {
	uint64_t ino;     /* as stat(1) shows it; key of the table */
	uint64_t nlookup; /* this and `refs`: protected by the table's lock */
	/*
	 * Owned; a hint (segment), protected by the table's lock, or the name in its directory
	 * (tree).
	 */
	char *name;
	uint32_t refs;
	uint32_t id;        /* its place in id-table.h */
	uint32_t looked_up; /* when the kernel did so last: node_clock() */
	enum node_type type : 8;
	bool orphan;  /* no longer in the table: its inode number is another segment's */
	bool aliased; /* an object that was looked up by more than one name */
	struct grace_fd *grace_fd; /* of an object that was unlinked through the mount; else NULL */
	union {
		struct open_file *file; /* segment: while it is open; set under the table's lock */
		struct node *parent;    /* tree: referenced; NULL for .shmtree itself */
	};
	union {
		const struct tree_entry *entry; /* tree: its place in the table of tree.c */
		struct data_node
			*data; /* segment: of a `data` file (tree/data.h), owned; else NULL */
	};
};

/* Grace descriptors are charged to users of `charges`, which outlives the table. */
struct node_table *node_table_new(struct charges *charges);

/*
 * Frees the table with all nodes, also those that the kernel has not forgotten: the mount is gone.
 */
void node_table_free(struct node_table *table);

static inline struct node *node_root(struct node_table *table)
{
	return (struct node *)table; /* the first member: see node.c */
}

/* The node of a number that the kernel sends, and the number of a node to send to the kernel. */
struct node *node_from_id(struct node_table *table, fuse_ino_t id);
fuse_ino_t node_id(struct node_table *table, const struct node *node);

/*
 * Find or make a node, and count one lookup for it, which the reply hands to the kernel; the caller
 * calls node_forget() if the reply did not arrive. An object's name hint becomes `name`.
 * node_lookup_data() takes over `data`: for a new node, or in place of the data that the node had.
 */
struct node *node_lookup_object(struct node_table *table, uint64_t ino, const char *name);
struct node *node_lookup_data(struct node_table *table, uint64_t ino, struct data_node *data);
struct node *node_lookup_tree(struct node_table *table, struct node *parent,
	const struct tree_entry *entry, const char *name);

void node_forget(struct node_table *table, struct node *node, uint64_t nlookup);

/*
 * Takes a data file's node out of the table, although the kernel still knows it: a new segment has
 * its inode number, and the next lookup makes a node of that one.
 */
void node_orphan(struct node_table *table, struct node *node);
bool node_is_orphan(struct node_table *table, const struct node *node);

void node_ref(struct node_table *table, struct node *node);
void node_unref(struct node_table *table, struct node *node);

/* Changes the name hint of the object with that inode number, if it has a node. */
void node_renamed(struct node_table *table, uint64_t ino, const char *name);

/*
 * Keeps the descriptor on the object of that inode, to reach it by once it has no name: false, and
 * the descriptor stays the caller's, if the kernel does not know the object, or too many are kept
 * for that user.
 */
bool node_keep_grace_fd(struct node_table *table, uint64_t ino, int fd, const struct caller *user);

/* A duplicate of the grace descriptor, owned by the caller; -ENOENT if there is none. */
int node_dup_grace_fd(struct node_table *table, const struct node *node);

/* Whether a file handle of it is open; true already before the open is answered. */
static inline bool node_is_open(const struct node *node)
{
	return node->type == NODE_SEGMENT && g_atomic_pointer_get((struct open_file **)&node->file);
}

/* Whether it stands for a `data` file, of a segment that has no name in the root. */
static inline bool is_data(const struct node *node)
{
	return node->type == NODE_SEGMENT && node->data;
}

/* Returns a copy of the data of a data file's node. The caller frees it. */
struct data_node *node_copy_data(struct node_table *table, const struct node *node);

/* Returns a copy of the name, which another thread may change meanwhile. The caller frees it. */
char *node_dup_name(struct node_table *table, struct node *node);

/*
 * The inode number that a tree node of this place will have, for readdir; another in each process.
 */
uint64_t node_tree_ino(const struct node *parent, const char *name);

/* Whether there are so many nodes that it is worth while to have the kernel forget some (serve/prune.h). */
bool node_table_crowded(struct node_table *table);

/*
 * Calls visit() under the table's lock, which it must not take, for each node in one part of the table, with
 * the number that the kernel knows it by. Parts are counted from 0, and hold some thousand each. False: there
 * is no such part, nor one after it.
 */
bool node_each(struct node_table *table, uint32_t part,
	void (*visit)(const struct node *node, fuse_ino_t id, void *data), void *data);

/* Seconds, as in `looked_up`. */
uint32_t node_clock(void);

/* Protects `file` of every segment node. */
void node_table_lock(struct node_table *table);
void node_table_unlock(struct node_table *table);
