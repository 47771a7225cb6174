/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/ops.h"

#include "base/fdpath.h"
#include "base/util.h"
#include "daemon/permit.h"
#include "daemon/tell.h"
#include "node/handle.h"
#include "ops/truncation.h"
#include "serve/defer.h"
#include "serve/reply-node.h"
#include "serve/reply.h"
#include "tree/data.h"
#include "tree/tree.h"

#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

static int stat_object(struct fs *fs, struct node *node, struct stat *out)
{
	g_autofree char *name = node_dup_name(fs->nodes, node);
	int r = stat_name(fs, name, out);

	if (r == 0 && out->st_ino == node->ino)
		return 0;
	auto_fd grace_fd = node_dup_grace_fd(fs->nodes, node);
	if (grace_fd < 0)
		return r == 0 || r == -ENOENT || r == -ELOOP ? -ESTALE : r;
	return fstat(grace_fd, out) < 0 ? -errno : 0;
}

/* stat(2) of the node's file, with the inode number that the mount shows. */
static int stat_file(struct fs *fs, struct node *node, const struct caller *viewer,
	struct stat *out)
{
	struct file_ref ref;
	int r;

	/* The most frequent question is about a file that is not open: without a file_ref it takes one
	   system call less. */
	if (node->type == NODE_SEGMENT && !node->data && !node_is_open(node))
		return stat_object(fs, node, out);
	if (is_data(node))
		return tree_data_stat(fs, node, viewer, out);
	r = file_ref_get(fs, node, &ref);
	if (r < 0)
		return r;
	r = fstat(ref.fd, out) < 0 ? -errno : 0;
	out->st_ino = node->ino;
	if (node->type == NODE_ROOT)
		out->st_nlink = 3; /* with .shmtree: what else is a directory there is not shown */
	file_ref_put(fs, node, &ref);
	return r;
}

/* What the node's attributes are to the caller of the request. */
static int stat_node(struct fs *fs, fuse_req_t req, struct node *node, struct stat *out)
{
	const struct caller caller = identity_caller(req);

	return node->type == NODE_TREE ? tree_stat(fs, node, &caller, out) :
					 stat_file(fs, node, &caller, out);
}

static void getattr_now(struct fs *fs, struct deferred *d)
{
	struct stat st;
	int r = stat_node(fs, d->req, d->node, &st);

	if (r < 0)
		reply_result(d->req, r);
	else
		reply_attr(fs, d->req, d->node, &st);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req,
		.node = node_from_id(fs->nodes, ino),
		.locks_directory = true };

	(void)fi;
	defer_if(fs, tree_stat_waits(d.node) || tree_data_waits(d.node), &d, getattr_now);
}

/* Adds the time of birth if the file system tells it. */
static void add_birth(struct fs *fs, struct node *node, struct statx *out)
{
	struct statx stx;
	struct file_ref ref;

	if (node->type == NODE_TREE || is_data(node) || file_ref_get(fs, node, &ref) < 0)
		return;
	if (statx(ref.fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) == 0 &&
		stx.stx_mask & STATX_BTIME) {
		out->stx_btime = stx.stx_btime;
		out->stx_mask |= STATX_BTIME;
	}
	file_ref_put(fs, node, &ref);
}

static struct statx_timestamp statx_time(struct timespec time)
{
	return (struct statx_timestamp){ .tv_sec = time.tv_sec, .tv_nsec = time.tv_nsec };
}

/*
 * The kernel sends statx only for what stat(2) lacks: the time of birth. But it also takes over the
 * other fields as the file's attributes, and decides by them who may open the file: so they must be
 * equal to what getattr answers.
 */
static void statx_now(struct fs *fs, struct deferred *d)
{
	struct statx stx = { .stx_mask = STATX_BASIC_STATS };
	struct stat st;
	int r = stat_node(fs, d->req, d->node, &st);

	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	stx.stx_ino = st.st_ino;
	stx.stx_mode = st.st_mode;
	stx.stx_nlink = st.st_nlink;
	stx.stx_uid = st.st_uid;
	stx.stx_gid = st.st_gid;
	stx.stx_size = st.st_size;
	stx.stx_blocks = st.st_blocks;
	stx.stx_blksize = st.st_blksize;
	stx.stx_atime = statx_time(st.st_atim);
	stx.stx_mtime = statx_time(st.st_mtim);
	stx.stx_ctime = statx_time(st.st_ctim);
	add_birth(fs, d->node, &stx);
	reply_statx(d->req, &stx, fs->options.attr_timeout);
}

void op_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req,
		.node = node_from_id(fs->nodes, ino),
		.locks_directory = true };

	(void)flags, (void)mask, (void)fi;
	defer_if(fs, tree_stat_waits(d.node) || tree_data_waits(d.node), &d, statx_now);
}

/* One setattr request on one file, to be made as the caller. */
struct change {
	const struct stat *attr;
	int to_set;
	const char *path; /* of a descriptor in /proc */
	int path_fd;
	int size_fd; /* the caller's own descriptor for ftruncate(2), or -1 */
};

static int change_size(const struct change *change)
{
	/* A descriptor open for writing stays so, whatever the mode is by now. */
	int r = change->size_fd >= 0 ? ftruncate(change->size_fd, change->attr->st_size) :
				       truncate(change->path, change->attr->st_size);

	return r < 0 ? -errno : 0;
}

static int change_owner(const struct change *change)
{
	uid_t uid = change->to_set & FUSE_SET_ATTR_UID ? change->attr->st_uid : (uid_t)-1;
	gid_t gid = change->to_set & FUSE_SET_ATTR_GID ? change->attr->st_gid : (gid_t)-1;

	return fchownat(change->path_fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static struct timespec time_to_set(const struct change *change, int set, int now,
	struct timespec time)
{
	if (change->to_set & now)
		time.tv_nsec = UTIME_NOW;
	else if (!(change->to_set & set))
		time.tv_nsec = UTIME_OMIT;
	return time;
}

static int change_times(const struct change *change)
{
	struct timespec times[2] = {
		time_to_set(change, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW,
			change->attr->st_atim),
		time_to_set(change, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW,
			change->attr->st_mtim),
	};

	/*
	 * A caller that may write may set both times to now: utimensat(2) recognises UTIME_NOW
	 * twice.
	 */
	return utimensat(AT_FDCWD, change->path, times, 0) < 0 ? -errno : 0;
}

#define SET_TIMES (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)
#define SETTABLE                                                                                   \
	(FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID |         \
		SET_TIMES)

static int change_all(const struct change *change)
{
	int set = change->to_set, r = 0;

	if (!(set & SETTABLE))
		return change_owner(change);
	if (set & FUSE_SET_ATTR_SIZE)
		r = change_size(change);
	if (r == 0 && set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		r = change_owner(change);
	if (r == 0 && set & FUSE_SET_ATTR_MODE)
		r = chmod(change->path, change->attr->st_mode & 07777) < 0 ? -errno : 0;
	/*
	 * truncate(2) sets the time itself, and other than utimensat(2) does not ask for ownership.
	 */
	if (r == 0 && set & SET_TIMES && !(set & FUSE_SET_ATTR_SIZE))
		r = change_times(change);
	return r;
}

/*
 * Whether a request that sets nothing comes before a write by passthrough. The kernel is about to
 * write with the daemon's credentials for a caller whose write must clear the set-user-ID and
 * set-group-ID bits, whoever owns the file; chown(-1, -1) clears exactly those bits. A caller's own
 * chown(-1, -1), which only the owner may make, looks the same; the two differ in that before a
 * write the caller has the file open for writing. Who could open it so could clear the bits by a write.
 * (A write by io_uring to a file that only the ring has, of a user who could not open it, is EPERM.)
 */
static bool is_before_write(struct fs *fs, fuse_req_t req, const struct node *node,
	const struct change *change)
{
	bool writers;

	if (change->to_set & SETTABLE || node->type != NODE_SEGMENT)
		return false;
	node_table_lock(fs->nodes);
	writers = node->file && node->file->writers > 0;
	node_table_unlock(fs->nodes);
	return writers && op_can_write(req, node, change->path_fd);
}

static int clear_set_ids(fuse_req_t req, const struct change *change)
{
	struct fsuid id;
	int r;

	identity_begin_by_descriptor(&id, req, true);
	r = change_owner(change);
	fsuid_end(&id);
	return r;
}

/* Makes the change with what permit_begin() has taken on. */
static int change_with(struct fsuid *id, const struct change *change)
{
	int r;

	/*
	 * With a change of owner the kernel always sends this flag; chown(2) itself knows what to
	 * clear.
	 */
	if (change->to_set & FUSE_SET_ATTR_KILL_SUID &&
		!(change->to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		fsuid_without_fsetid(id);
	/* chmod(2) clears set-group-ID without an error if the caller is not in the group. */
	if ((change->to_set & FUSE_SET_ATTR_MODE && change->attr->st_mode & S_ISGID) ||
		has_set_ids(change->path_fd))
		fsuid_take_groups(id);
	do
		r = change_all(change);
	while (fsuid_retry(id, r));
	return r;
}

static int change_as_caller(fuse_req_t req, const struct change *change)
{
	struct fsuid id;
	int r = permit_begin(fs_of(req), &id, req, change->path_fd);

	if (r == 0)
		r = change_with(&id, change);
	fsuid_end(&id);
	return r;
}

static int set_segment(struct fs *fs, fuse_req_t req, struct node *node, struct change *change)
{
	struct event_act *act = NULL;
	struct fd_path path;
	struct file_ref ref;
	struct before_truncation before = { 0 };
	int r = file_ref_get(fs, node, &ref);

	if (r < 0)
		return r;
	if (change->to_set & FUSE_SET_ATTR_SIZE && !node->data)
		act = tell_begin(req, TELLS(EVENT_RESIZED), NULL, node->ino);
	path = fd_path(ref.fd);
	change->path = path.text;
	change->path_fd = ref.fd;
	if (change->to_set & FUSE_SET_ATTR_SIZE)
		before = truncation_begin(ref.fd);
	r = is_before_write(fs, req, node, change) ? clear_set_ids(req, change) :
						     change_as_caller(req, change);
	tell_end(req, act, r, 0);
	if (r == 0 && change->to_set & FUSE_SET_ATTR_SIZE)
		truncation_end(fs, req, node, &before, change->attr->st_size);
	file_ref_put(fs, node, &ref);
	return r;
}

/*
 * The file behind some `data` files belongs to who has made the segment, not to whom the kind says: times that
 * are not now are the owner's to set.
 */
static int permit_times(struct fs *fs, const struct deferred *d)
{
	const int now = FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
	const struct caller caller = identity_caller(d->req);
	struct ownership owner;
	struct stat st;
	int r;

	if (fs->kernel_permits || !is_data(d->node) || d->node->data->has_xattrs ||
		!(d->to_set & SET_TIMES) || (d->to_set & now) == now)
		return 0;
	r = tree_data_stat(fs, d->node, &caller, &st);
	owner = (struct ownership){ st.st_mode, st.st_uid, st.st_gid };
	return r < 0 || fsuid_owns(&caller, &owner) ? r : -EPERM;
}

/* Runs on a worker for a `data` file, which may have to wait; else on the request thread. */
static void setattr_now(struct fs *fs, struct deferred *d)
{
	struct node *node = d->node;
	struct change change = { .attr = &d->attr, .to_set = d->to_set, .size_fd = -1 };
	bool done = false;
	struct stat st;
	int r = 0;

	if (d->has_fi && node->type == NODE_SEGMENT)
		change.size_fd = handle_of(&d->fi)->fd;
	if (is_data(node)) {
		r = tree_data_change(fs, d->req, node, change.attr, &change.to_set);
		done = change.to_set == 0 && d->to_set != 0;
	}
	if (r == 0 && !done && is_data(node) && change.size_fd < 0)
		r = tree_data_permit(fs, d->req, node, W_OK);
	if (r == 0 && !done)
		r = permit_times(fs, d);
	if (r == 0 && !done)
		r = set_segment(fs, d->req, node, &change);
	if (r == 0)
		r = stat_node(fs, d->req, node, &st);
	if (r < 0)
		reply_result(d->req, r);
	else
		reply_attr(fs, d->req, d->node, &st);
}

/*
 * Nothing of the tree can be changed. Times may be set to now by who may write, others are told that they
 * may not even that.
 */
static int refuse_change(struct fs *fs, fuse_req_t req, const struct node *node, int to_set)
{
	bool now = to_set & FUSE_SET_ATTR_MTIME_NOW && to_set & FUSE_SET_ATTR_ATIME_NOW;

	if (to_set & FUSE_SET_ATTR_SIZE)
		return -EACCES;
	return now && tree_permit(fs, req, node, W_OK) < 0 ? -EACCES : -EPERM;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct deferred d = { .req = req,
		.node = node_from_id(fs->nodes, ino),
		.attr = *attr,
		.to_set = to_set };

	if (d.node->type == NODE_TREE) {
		reply_result(req, refuse_change(fs, req, d.node, to_set));
		return;
	}
	if (is_foreign_data(d.node)) {
		reply_result(req, -EROFS);
		return;
	}
	d.has_fi = fi != NULL;
	if (fi)
		d.fi = *fi;
	/* One that sets nothing may look at all that the caller has open: is_before_write(). */
	defer_if(fs, tree_data_waits(d.node) || !(to_set & SETTABLE), &d, setattr_now);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	(void)ino;
	if (fstatvfs(fs_of(req)->shm_fd, &st) < 0)
		reply_result(req, -errno);
	else
		reply_statfs(req, &st);
}
