/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tree/data.h"

#include "caller/effective.h"
#include "daemon/permit.h"
#include "daemon/visit.h"

#include <fcntl.h>

bool tree_data_waits(const struct node *node)
{
	return is_data(node) &&
		(node->data->kind->needs != 0 || node->data->kind->slow || *node->data->realm);
}

static void fill_stat(uint64_t ino, const struct item *item, struct stat *out)
{
	*out = (struct stat){
		.st_ino = ino,
		.st_mode = S_IFREG | (item->mode & 0777),
		.st_nlink = 1,
		.st_uid = item->uid,
		.st_gid = item->gid,
		.st_size = item->size,
		.st_blocks = item->allocated == BYTES_UNKNOWN ? 0 : item->allocated / 512,
		.st_blksize = 4096,
		.st_atim = item->atime,
		.st_mtim = item->mtime,
		.st_ctim = item->ctime,
	};
}

/* Fills in the allocated bytes for st_blocks if the kind has a separate question for them. */
static void fill_blocks(const struct realm *realm, struct item *item)
{
	if (item->allocated == BYTES_UNKNOWN && item->kind->residency)
		item->kind->residency(realm, item);
}

struct node *tree_data_lookup(struct fs *fs, const char *realm, const struct item *item,
	struct stat *st)
{
	struct data_node *data = g_new0(struct data_node, 1);
	uint64_t ino = census_mount_ino(fs->census, &item->key);
	struct visit visit;

	data->kind = item->kind;
	g_strlcpy(data->realm, realm, sizeof data->realm);
	data->has_xattrs = item->key.class == SEGMENT_FILE;
	data->item = *item;
	if (visit_enter(fs, realm, 0, &visit) == 0) {
		fill_blocks(&visit.realm, &data->item);
		visit_leave(fs, &visit);
	}
	fill_stat(ino, &data->item, st);
	return node_lookup_data(fs->nodes, ino, data);
}

/* Opens the segment once more, to see whether it still is the one that the node has open. */
static int check_joined(struct fs *fs, struct node *node, const struct file_ref *ref,
	struct ownership *owner)
{
	struct file_ref now;
	int r = file_ref_locate(fs, node, &now);

	if (r < 0)
		return r;
	close(now.fd);
	*owner = now.owner;
	if (now.generation == ref->generation)
		return 0;
	node_orphan(fs->nodes, node);
	return -ESTALE;
}

int tree_data_wanted(int flags)
{
	static const int wants[] = { [O_RDONLY] = R_OK, [O_WRONLY] = W_OK, [O_RDWR] = R_OK | W_OK };
	int mode = flags & O_ACCMODE;

	return (mode == O_ACCMODE ? R_OK | W_OK : wants[mode]) |
		(flags & OPEN_TO_EXECUTE ? X_OK : 0) | (flags & O_TRUNC ? W_OK : 0);
}

/*
 * Asks the kind whether the caller may have the bytes; with `item` NULL, whether it may change the
 * item.
 */
static int ask_kind(struct fs *fs, fuse_req_t req, const struct data_node *data,
	const struct item *item, int want)
{
	const struct caller caller = identity_caller(req);
	struct visit visit;
	int r;

	if (!data->kind->permit)
		return 0;
	r = visit_enter(fs, data->realm, data->kind->needs, &visit);
	if (r < 0)
		return r;
	r = data->kind->permit(&visit.realm, item, &caller, want);
	visit_leave(fs, &visit);
	return r;
}

int tree_data_permit(struct fs *fs, fuse_req_t req, struct node *node, int want)
{
	g_autofree struct data_node *data = node_copy_data(fs->nodes, node);
	const struct ownership owner = { data->item.mode, data->item.uid, data->item.gid };

	/*
	 * A file of a tmpfs may have an ACL: tree_data_check() asks the kernel once the file is
	 * open.
	 */
	if (data->has_xattrs)
		return ask_kind(fs, req, data, &data->item, want);
	return identity_permits(req, &owner, want) ? ask_kind(fs, req, data, &data->item, want) :
						     -EACCES;
}

int tree_data_check(struct fs *fs, fuse_req_t req, struct node *node, const struct file_ref *ref,
	int flags)
{
	g_autofree struct data_node *data = node_copy_data(fs->nodes, node);
	struct ownership owner = { data->item.mode, data->item.uid, data->item.gid };
	const struct caller caller = identity_caller(req);
	int r;

	if (!ref->file)
		owner = ref->owner;

	if (data->item.fixed_size && flags & O_TRUNC)
		return -EPERM;
	/* The owner that the kernel has cached may be older than the segment's owner. */
	if (ref->file && data->item.identity != ref->generation) {
		r = check_joined(fs, node, ref, &owner);
		if (r < 0)
			return r;
	}
	if (data->has_xattrs)
		return caller_may_access(&caller, ref->fd, tree_data_wanted(flags));
	return identity_permits(req, &owner, tree_data_wanted(flags)) ? 0 : -EACCES;
}

/*
 * Asks the kind again about the node's item, and stores the answer in the node and in `data`;
 * -ESTALE, and nothing is stored, if the ID belongs to another item now. `blocks`: the allocated
 * bytes too.
 */
static int refresh(struct fs *fs, struct node *node, const struct caller *viewer,
	struct data_node *data, bool blocks)
{
	g_autofree struct item *item = NULL;
	struct visit visit;
	int r = visit_enter(fs, data->realm, data->kind->needs, &visit);

	if (r < 0)
		return r;
	visit.realm.viewer = viewer;
	r = data->kind->stat(&visit.realm, data->item.id, &item);
	if (r == 0 && blocks)
		fill_blocks(&visit.realm, item);
	visit_leave(fs, &visit);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	if (!item_same(item, &data->item))
		return -ESTALE;
	data->item = *item;
	node_table_lock(fs->nodes);
	if (item_same(item, &node->data->item))
		node->data->item = *item;
	node_table_unlock(fs->nodes);
	return 0;
}

/*
 * Fills in the sizes from the open file: cheaper than the kind's answer, and also right for a
 * removed segment.
 */
static int stat_open_file(struct fs *fs, struct node *node, struct stat *out)
{
	struct stat st;
	struct file_ref ref;
	int r = file_ref_get(fs, node, &ref);

	if (r < 0)
		return r;
	r = fstat(ref.fd, &st) < 0 ? -errno : 0;
	file_ref_put(fs, node, &ref);
	if (r < 0)
		return r;
	out->st_size = st.st_size;
	out->st_blocks = st.st_blocks;
	return 0;
}

/* An open file outlives its ID; its owner and mode are then the last ones that the kind told. */
int tree_data_stat(struct fs *fs, struct node *node, const struct caller *viewer, struct stat *out)
{
	g_autofree struct data_node *data = node_copy_data(fs->nodes, node);
	bool open = node_is_open(node);
	int r = node_is_orphan(fs->nodes, node) ? -ESTALE : refresh(fs, node, viewer, data, !open);

	if (r < 0 && !open)
		return r;
	fill_stat(node->ino, &data->item, out);
	if (r < 0)
		out->st_nlink = 0;
	return open ? stat_open_file(fs, node, out) : 0;
}

int tree_data_change(struct fs *fs, fuse_req_t req, struct node *node, const struct stat *attr,
	int *to_set)
{
	const struct caller caller = identity_caller(req);
	g_autofree struct data_node *data = node_copy_data(fs->nodes, node);
	struct item_change change = { .mode = attr->st_mode & 07777,
		.uid = attr->st_uid,
		.gid = attr->st_gid };
	struct visit visit;
	struct fsuid id;
	int r;

	if (*to_set & FUSE_SET_ATTR_SIZE && data->item.fixed_size)
		return -EPERM;
	change.mask = (*to_set & FUSE_SET_ATTR_MODE ? CHANGE_MODE : 0) |
		(*to_set & FUSE_SET_ATTR_UID ? CHANGE_UID : 0) |
		(*to_set & FUSE_SET_ATTR_GID ? CHANGE_GID : 0);
	*to_set &= ~(FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID);
	if (change.mask == 0)
		return 0;
	if (!data->kind->change)
		return -EPERM;
	r = ask_kind(fs, req, data, NULL, W_OK);
	if (r == 0)
		r = visit_enter(fs, data->realm, 0, &visit);
	if (r < 0)
		return r;
	identity_begin(&id, req);
	do
		r = data->kind->change(&visit.realm, data->item.id, &change, &caller);
	while (fsuid_retry(&id, r));
	fsuid_end(&id);
	visit_leave(fs, &visit);
	return r;
}
