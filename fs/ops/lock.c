/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers the three requests about locks. Locks taken through the mount conflict with locks taken
 * outside it, and the other way round (node/lock-table.h).
 *
 * If a lock is not free, a thread of its own waits for it, so that no other request is delayed; a
 * signal that ends the caller's wait ends the thread's wait too.
 *
 * Limits: a deadlock among record locks is not detected (OFD locks have no detection). F_GETLK
 * *outside* the mount reports -1, an OFD lock, as the holder of a lock taken through the mount;
 * *inside* it does so where a segment has more than 64 owners. Each owner takes one descriptor,
 * which is charged to its user: -ENOLCK beyond what charge.h allows.
 */
#include "ops/ops.h"

#include "base/util.h"
#include "node/handle.h"
#include "serve/lock-wait.h"
#include "serve/reply.h"

#include <sys/file.h>

/* One request for a lock. */
struct attempt {
	struct lock_owner *owner; /* referenced */
	struct flock lock;        /* record locks */
	int operation;            /* flock(2) */
};

/* `pid`: the process that locks, 0 if it only asks. */
static int get_owner(fuse_req_t req, const struct handle *handle, uint64_t id, bool flock,
	pid_t pid, struct lock_owner **out)
{
	const struct lock_request request = {
		.id = id,
		.flock = flock,
		.caller = identity_caller(req),
		.pid = pid,
		.handle = handle,
		.file = handle->fd,
	};

	return lock_table_get(&handle->file->locks, fs_of(req), &request, out);
}

static int lock_file(void *data, bool wait)
{
	const struct attempt *attempt = data;
	int operation = attempt->operation;
	struct flock copy = attempt->lock;

	if (attempt->owner->flock)
		return flock(attempt->owner->fd,
			       wait ? operation & ~LOCK_NB : operation | LOCK_NB) < 0 ?
			-errno :
			0;
	copy.l_pid = 0; /* as OFD locks want it */
	return fcntl(attempt->owner->fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &copy) < 0 ? -errno : 0;
}

static void attempt_free(void *data)
{
	struct attempt *attempt = data;

	lock_owner_unref(attempt->owner);
	g_free(attempt);
}

/*
 * The kernel answers EINTR by starting the system call again, once its signal has been delivered; a
 * caller without one would get the number ERESTARTSYS, which no program knows.
 */
static int without_eintr(fuse_req_t req, int r)
{
	return r == -EINTR && !fuse_req_interrupted(req) ? -ENOLCK : r;
}

/*
 * Takes the lock for the owner `id`, and replies. If it is not free and `wait` is true, a thread of
 * its own waits for it and replies.
 */
static void take(fuse_req_t req, const struct handle *handle, uint64_t id, bool flock, pid_t pid,
	const struct attempt *wanted, bool wait)
{
	struct lock_owner *owner;
	struct attempt *attempt;
	int r = get_owner(req, handle, id, flock, pid, &owner);

	if (r < 0) {
		reply_result(req, without_eintr(req, r));
		return;
	}
	attempt = g_memdup2(wanted, sizeof *wanted);
	attempt->owner = owner;
	r = lock_file(attempt, false);
	if (wait && (r == -EAGAIN || r == -EACCES)) {
		lock_wait(req, lock_file, attempt, attempt_free);
		return;
	}
	attempt_free(attempt);
	reply_result(req, without_eintr(req, r));
}

/*
 * Returns the handle of a request about locks; NULL, with the reply sent, if the node has no locks.
 */
static struct handle *handle_for_locks(fuse_req_t req, fuse_ino_t ino,
	const struct fuse_file_info *fi)
{
	if (node_from_id(fs_of(req)->nodes, ino)->type == NODE_SEGMENT)
		return handle_of(fi);
	reply_result(req, -ENOLCK);
	return NULL;
}

void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
	int sleep)
{
	struct handle *handle = handle_for_locks(req, ino, fi);
	const struct attempt wanted = { .lock = *lock };

	if (handle)
		take(req, handle, fi->lock_owner, false, lock->l_pid, &wanted, sleep);
}

void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int operation)
{
	struct handle *handle = handle_for_locks(req, ino, fi);
	const struct attempt wanted = { .operation = operation };

	if (handle)
		take(req, handle, fi->lock_owner, true, fuse_req_ctx(req)->pid, &wanted,
			!(operation & LOCK_NB));
}

void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
	struct handle *handle = handle_for_locks(req, ino, fi);
	struct lock_owner *owner;
	struct flock probe = *lock;
	int r;

	if (!handle)
		return;
	r = get_owner(req, handle, fi->lock_owner, false, 0, &owner);
	if (r < 0) {
		reply_result(req, r);
		return;
	}
	probe.l_pid = 0;
	r = fcntl(owner->fd, F_OFD_GETLK, &probe) < 0 ? -errno : 0;
	/* A conflicting OFD lock has no pid, but may have been taken through the mount. */
	if (r == 0 && probe.l_type != F_UNLCK && probe.l_pid == -1)
		probe.l_pid = lock_table_holder(&handle->file->locks, owner, &probe);
	lock_owner_unref(owner);
	if (r < 0)
		reply_result(req, r);
	else
		reply_lock(req, &probe);
}
