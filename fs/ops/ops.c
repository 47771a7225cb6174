/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/ops.h"

#include "negotiate.h"
#include "node/opened.h"
#include "reply.h"

static void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
	if (node_from_id(fs_of(req)->nodes, ino)->type != NODE_SEGMENT)
		reply_result(req, -ENOLCK);
	else
		lock_get(fs_of(req), req, handle_of(fi), fi->lock_owner, lock);
}

static void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
	int sleep)
{
	if (node_from_id(fs_of(req)->nodes, ino)->type != NODE_SEGMENT)
		reply_result(req, -ENOLCK);
	else
		lock_set(fs_of(req), req, handle_of(fi), fi->lock_owner, lock, sleep);
}

static void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int operation)
{
	if (node_from_id(fs_of(req)->nodes, ino)->type != NODE_SEGMENT)
		reply_result(req, -ENOLCK);
	else
		lock_flock(fs_of(req), req, handle_of(fi), fi->lock_owner, operation);
}

/* No fsync: the kernel takes ENOSYS for a success without further questions, as tmpfs has it. */
const struct fuse_lowlevel_ops fs_ops = {
	.init = negotiate,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.statx = op_statx,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.link = op_link,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.create = op_create,
	.tmpfile = op_tmpfile,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.releasedir = op_releasedir,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.getlk = op_getlk,
	.setlk = op_setlk,
	.flock = op_flock,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
	.ioctl = op_ioctl,
};
