/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For BPF programs: what the directory entries of an inode say, read without a lock. */
#pragma once

#include "bpf/read-kernel.h"
#include "census/object/records.h"

#define NAMES_MAX 8388608 /* of one file; the limit of inodes of a tmpfs counts names */

/* What the directory entries of an inode say. */
struct names {
	__u32 references;
	__u32 count;
	bool in_root, uncertain;
	bool wants_shown; /* in: `shown` is asked for */
	struct dentry *first;
	struct dentry *shown; /* in the root directory, and not reserved: a POSIX object */
};

/* A name is in the entry itself, or longer than the words that are read of it here. */
static bool is_reserved(struct dentry *entry)
{
	static const union {
		char text[8];
		__u64 word;
	} reserved = { RESERVED_NAME };
	__u64 name = (__u64)entry->d_name.name;
	__u64 more;

	if (read_word(name) != reserved.word)
		return false;
	more = read_word(name + sizeof reserved);
	return !*(const char *)&more;
}

/*
 * Adds what one directory entry of the inode says. That of a file without a name is its own parent,
 * or is in no hash list.
 */
static void add_alias(struct names *names, struct inode *inode, struct dentry *entry,
	struct dentry *root)
{
	int count = entry->d_lockref.count;
	struct dentry *parent = entry->d_parent;
	bool named = entry->d_hash.pprev && parent != entry;

	if (entry->d_inode != inode || count < 0) {
		names->uncertain = true;
		return;
	}
	if (!names->first)
		names->first = entry;
	names->references += count;
	names->count += named;
	if (!named || parent != root)
		return;
	names->in_root = true;
	if (names->wants_shown && !names->shown && !is_reserved(entry))
		names->shown = entry;
}

static void read_names(struct names *names, struct inode *inode)
{
	struct dentry *root = plain(inode->i_sb, struct super_block)->s_root;
	struct hlist_node *link = inode->i_dentry.first;
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, NAMES_MAX);
	while (bpf_iter_num_next(&it)) {
		struct dentry *entry;

		if (!link)
			break;
		entry = CONTAINER(link, struct dentry, d_u.d_alias);
		add_alias(names, inode, entry, root);
		link = (struct hlist_node *)read_word((__u64)link);
	}
	bpf_iter_num_destroy(&it);
	/* Each name has a reference of its own. */
	if (link || names->count != inode->i_nlink || names->count > names->references)
		names->uncertain = true;
	names->references -= names->count < names->references ? names->count : names->references;
}
