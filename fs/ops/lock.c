/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/lock.h"

#include "node/lock-wait.h"
#include "node/opened.h"
#include "reply.h"
#include "base/util.h"

#include <sys/file.h>

/* Owners that F_GETLK asks for whose lock it has met: each costs a system call. */
#define ASKED_AT_MOST 64

/* The locks of one owner on one segment. */
struct owner {
	gint refs; /* the table's, and a request's while it is under way */
	uint64_t id;
	bool flock;          /* record or OFD locks otherwise; the two do not meet */
	int fd;              /* the open file description that carries them */
	pid_t pid;           /* who asked last: the answer to F_GETLK */
	struct quota *quota; /* where `uid` is charged for the descriptor */
	uid_t uid;
	const struct handle *handle; /* an OFD or flock owner ends with this one */
};

struct lock_table {
	GHashTable *owners; /* a set, by ID and sort; guarded by the `opened`'s lock */
};

/* One request for a lock. */
struct attempt {
	struct owner *owner; /* referenced */
	struct flock lock;   /* record locks */
	int operation;       /* flock(2) */
};

static void owner_unref(struct owner *owner)
{
	if (!g_atomic_int_dec_and_test(&owner->refs))
		return;
	close(owner->fd);
	quota_give(owner->quota, owner->uid, QUOTA_DESCRIPTORS, 1);
	g_free(owner);
}

void lock_table_free(struct lock_table *table)
{
	g_assert(g_hash_table_size(table->owners) == 0);
	g_hash_table_unref(table->owners);
	g_free(table);
}

static guint owner_hash(gconstpointer p)
{
	const struct owner *owner = p;

	return (owner->id * UINT64_C(0x9e3779b97f4a7c15) >> 32) + owner->flock;
}

static gboolean owner_equal(gconstpointer a, gconstpointer b)
{
	const struct owner *x = a, *y = b;

	return x->id == y->id && x->flock == y->flock;
}

static struct owner *find_locked(struct lock_table *table, uint64_t id, bool flock)
{
	const struct owner model = { .id = id, .flock = flock };

	return table ? g_hash_table_lookup(table->owners, &model) : NULL;
}

/* A descriptor that can carry both kinds of lock, or what the daemon may have (normal user). */
static int open_for_locks(struct fs *fs, const struct handle *handle)
{
	static const int modes[] = { O_RDWR, O_RDONLY, O_WRONLY };
	int fd = -EACCES;

	for (unsigned i = 0;
		i < G_N_ELEMENTS(modes) && (fd == -EACCES || fd == -EPERM || fd == -EROFS); i++)
		fd = fs_reopen(fs, handle->fd, modes[i]);
	return fd;
}

static int add_locked(struct fs *fs, struct handle *handle, uint64_t id, bool flock, uid_t uid,
	struct owner **out)
{
	struct opened *opened = handle->opened;
	struct lock_table *table = opened->locks;
	struct owner *owner;
	int fd;

	if (quota_take(fs->quota, uid, QUOTA_DESCRIPTORS, 1) < 0)
		return -ENOLCK;
	fd = open_for_locks(fs, handle);
	if (fd < 0) {
		quota_give(fs->quota, uid, QUOTA_DESCRIPTORS, 1);
		return fd;
	}
	owner = g_new0(struct owner, 1);
	*owner = (struct owner){ .refs = 1,
		.id = id,
		.flock = flock,
		.fd = fd,
		.quota = fs->quota,
		.uid = uid,
		.handle = handle };
	if (!table) {
		table = g_new0(struct lock_table, 1);
		table->owners = g_hash_table_new_full(owner_hash, owner_equal,
			(GDestroyNotify)owner_unref, NULL);
		g_atomic_pointer_set(&opened->locks,
			table); /* lock_flush() looks without the lock */
	}
	g_hash_table_add(table->owners, owner);
	*out = owner;
	return 0;
}

/* The owner, made if need be, with a reference for the caller; `pid`: who locks, 0 for who only asks. */
static int get_owner(struct fs *fs, fuse_req_t req, struct handle *handle, uint64_t id, bool flock,
	pid_t pid, struct owner **out)
{
	struct owner *owner;
	int r = 0;

	g_mutex_lock(&handle->opened->lock);
	owner = find_locked(handle->opened->locks, id, flock);
	if (!owner)
		r = add_locked(fs, handle, id, flock, fuse_req_ctx(req)->uid, &owner);
	if (r == 0) {
		if (pid)
			owner->pid = pid;
		g_atomic_int_inc(&owner->refs);
		*out = owner;
	}
	g_mutex_unlock(&handle->opened->lock);
	return r;
}

void lock_flush(struct handle *handle, uint64_t owner_id)
{
	struct owner *owner;

	if (!g_atomic_pointer_get(&handle->opened->locks))
		return;
	g_mutex_lock(&handle->opened->lock);
	owner = find_locked(handle->opened->locks, owner_id, false);
	if (owner)
		g_hash_table_remove(handle->opened->locks->owners, owner);
	g_mutex_unlock(&handle->opened->lock);
}

static gboolean is_of_handle(gpointer key, gpointer value, gpointer handle)
{
	(void)value;
	return ((struct owner *)key)->handle == handle;
}

void lock_release_handle(struct lock_table *table, const struct handle *handle)
{
	g_hash_table_foreach_remove(table->owners, is_of_handle, (gpointer)handle);
}

/* Taking */

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

	owner_unref(attempt->owner);
	g_free(attempt);
}

/* Takes over the attempt. */
static void take(fuse_req_t req, struct attempt *attempt, bool wait)
{
	int r = lock_file(attempt, false);

	if (wait && (r == -EAGAIN || r == -EACCES)) {
		lock_wait(req, lock_file, attempt, attempt_free);
		return;
	}
	attempt_free(attempt);
	reply_result(req, r);
}

void lock_set(struct fs *fs, fuse_req_t req, struct handle *handle, uint64_t owner_id,
	const struct flock *lock, bool wait)
{
	struct attempt *attempt;
	struct owner *owner;
	int r = get_owner(fs, req, handle, owner_id, false, lock->l_pid, &owner);

	if (r < 0) {
		reply_result(req, r);
		return;
	}
	attempt = g_new0(struct attempt, 1);
	attempt->owner = owner;
	attempt->lock = *lock;
	take(req, attempt, wait);
}

void lock_flock(struct fs *fs, fuse_req_t req, struct handle *handle, uint64_t owner_id,
	int operation)
{
	struct attempt *attempt;
	struct owner *owner;
	int r = get_owner(fs, req, handle, owner_id, true, fuse_req_ctx(req)->pid, &owner);

	if (r < 0) {
		reply_result(req, r);
		return;
	}
	attempt = g_new0(struct attempt, 1);
	attempt->owner = owner;
	attempt->operation = operation;
	take(req, attempt, !(operation & LOCK_NB));
}

/* F_GETLK */

/*
 * A conflicting OFD lock has no pid, but may be one of ours: then it is that of the owner from
 * whose own descriptor the range looks free. Among too many it is not looked for.
 */
static pid_t holder_locked(const struct lock_table *table, const struct owner *asking,
	const struct flock *found)
{
	GHashTableIter iter;
	gpointer key;

	if (g_hash_table_size(table->owners) > ASKED_AT_MOST)
		return -1;
	g_hash_table_iter_init(&iter, table->owners);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const struct owner *owner = key;
		struct flock probe = *found;

		if (owner == asking || owner->flock)
			continue;
		probe.l_type = F_WRLCK;
		probe.l_pid = 0;
		if (fcntl(owner->fd, F_OFD_GETLK, &probe) == 0 &&
			(probe.l_type == F_UNLCK || probe.l_start != found->l_start ||
				probe.l_len != found->l_len))
			return owner->pid;
	}
	return -1;
}

void lock_get(struct fs *fs, fuse_req_t req, struct handle *handle, uint64_t owner_id,
	struct flock *lock)
{
	struct owner *owner;
	struct flock probe = *lock;
	int r = get_owner(fs, req, handle, owner_id, false, 0, &owner);

	if (r < 0) {
		reply_result(req, r);
		return;
	}
	probe.l_pid = 0;
	r = fcntl(owner->fd, F_OFD_GETLK, &probe) < 0 ? -errno : 0;
	if (r == 0 && probe.l_type != F_UNLCK && probe.l_pid == -1) {
		g_mutex_lock(&handle->opened->lock);
		probe.l_pid = holder_locked(handle->opened->locks, owner, &probe);
		g_mutex_unlock(&handle->opened->lock);
	}
	owner_unref(owner);
	if (r < 0)
		reply_result(req, r);
	else
		fuse_reply_lock(req, &probe);
}
