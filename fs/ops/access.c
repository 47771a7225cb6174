/* SPDX-License-Identifier: GPL-2.0-or-later */
/* access(2), chdir(2) and chroot(2), of which alone the kernel asks whether they are permitted. */
#include "ops/ops.h"

#include "base/util.h"
#include "caller/effective.h"
#include "daemon/permit.h"
#include "procfs/writers.h"
#include "serve/defer.h"
#include "serve/reply.h"
#include "tree/data.h"
#include "tree/tree.h"

#include <string.h>

int op_permit(fuse_req_t req, struct node *node, int want)
{
	struct fs *fs = fs_of(req);

	/* The kernel asks this of directories alone; with one that does not, the daemon must not end. */
	if (node->type == NODE_SEGMENT)
		return -ENOTDIR;
	return node->type == NODE_TREE ? tree_permit(fs, req, node, want) :
					 permit_file(fs, req, fs->shm_fd, want);
}

int op_may_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node *node = node_from_id(fs_of(req)->nodes, parent);
	int r;

	if (node->type == NODE_ROOT && strcmp(name, TREE_NAME) != 0)
		return 0;
	r = op_permit(req, node, W_OK | X_OK);
	return r < 0 ? r : -EPERM;
}

/* Of a segment without a file of a tmpfs its kind tells owner and mode. */
static int find_owner(struct fs *fs, struct deferred *d, const struct caller *caller,
	struct ownership *out)
{
	struct stat st;
	int r;

	if (d->node->type == NODE_TREE) {
		*out = tree_ownership(fs, d->node);
		return 0;
	}
	r = tree_data_stat(fs, d->node, caller, &st);
	*out = (struct ownership){ st.st_mode, st.st_uid, st.st_gid };
	return r;
}

static int access_by_mode(struct fs *fs, struct deferred *d)
{
	const struct caller caller = identity_caller(d->req);
	struct ownership owner;
	int r = find_owner(fs, d, &caller, &owner);

	return r < 0 || fsuid_access_permits(&caller, &owner, d->mode) ? r : -EACCES;
}

static int access_by_file(struct fs *fs, struct deferred *d)
{
	const struct caller caller = identity_caller(d->req);
	struct file_ref ref;
	int r = file_ref_get(fs, d->node, &ref);

	if (r < 0)
		return r;
	r = fsuid_access(&caller, ref.fd, d->mode);
	file_ref_put(fs, d->node, &ref);
	return r;
}

static void access_now(struct fs *fs, struct deferred *d)
{
	bool by_mode =
		d->node->type == NODE_TREE || (is_data(d->node) && !d->node->data->has_xattrs);

	reply_result(d->req, by_mode ? access_by_mode(fs, d) : access_by_file(fs, d));
}

void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req, .node = node_from_id(fs->nodes, ino), .mode = mask };

	defer_if(fs, tree_data_waits(d.node), &d, access_now);
}

bool op_can_write(fuse_req_t req, const struct node *node, int fd)
{
	const struct caller caller = identity_caller(req);
	const struct realm *realm = &fs_of(req)->realm;

	return caller_may_access(&caller, fd, W_OK) == 0 ||
		process_can_write(realm->proc, caller.pid, realm->mount_dev, node->ino);
}
