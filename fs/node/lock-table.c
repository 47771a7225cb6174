/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node/lock-table.h"

#include "base/hash.h"
#include "base/util.h"

/* Owners that F_GETLK asks for whose lock it has met: each costs a system call. */
#define ASKED_AT_MOST 64

void lock_table_init(struct lock_table *table)
{
	g_mutex_init(&table->lock);
	table->owners = NULL;
}

void lock_table_clear(struct lock_table *table)
{
	if (table->owners) {
		g_assert(g_hash_table_size(table->owners) == 0);
		g_hash_table_unref(table->owners);
	}
	g_mutex_clear(&table->lock);
}

void lock_owner_unref(struct lock_owner *owner)
{
	if (!g_atomic_int_dec_and_test(&owner->refs))
		return;
	close(owner->fd);
	charge_release(&owner->charge);
	g_free(owner);
}

static guint owner_hash(gconstpointer p)
{
	const struct lock_owner *owner = p;

	return (hash_multiply(owner->id) >> 32) + owner->flock;
}

static gboolean owner_equal(gconstpointer a, gconstpointer b)
{
	const struct lock_owner *x = a, *y = b;

	return x->id == y->id && x->flock == y->flock;
}

static struct lock_owner *find_locked(struct lock_table *table, uint64_t id, bool flock)
{
	const struct lock_owner model = { .id = id, .flock = flock };

	return table->owners ? g_hash_table_lookup(table->owners, &model) : NULL;
}

/* A descriptor that can carry both kinds of lock, or what the daemon may have (normal user). */
static int open_for_locks(struct fs *fs, int file)
{
	static const int modes[] = { O_RDWR, O_RDONLY, O_WRONLY };
	int fd = -EACCES;

	for (unsigned i = 0;
		i < G_N_ELEMENTS(modes) && (fd == -EACCES || fd == -EPERM || fd == -EROFS); i++)
		fd = fs_reopen(fs, file, modes[i]);
	return fd;
}

static int add_locked(struct lock_table *table, struct fs *fs, const struct lock_request *request,
	struct lock_owner **out)
{
	auto_charge charge = { 0 };
	struct lock_owner *owner;
	int fd;

	if (charge_take(fs->charges, &request->caller, CHARGE_DESCRIPTORS, 1, &charge) < 0)
		return -ENOLCK;
	fd = open_for_locks(fs, request->file);
	if (fd < 0)
		return fd;
	owner = g_new0(struct lock_owner, 1);
	*owner = (struct lock_owner){ .refs = 1,
		.id = request->id,
		.flock = request->flock,
		.fd = fd,
		.charge = charge_move(&charge),
		.handle = request->handle };
	if (!table->owners) {
		GHashTable *owners = g_hash_table_new_full(owner_hash, owner_equal,
			(GDestroyNotify)lock_owner_unref, NULL);

		g_atomic_pointer_set(&table->owners,
			owners); /* lock_table_drop() looks without the lock */
	}
	g_hash_table_add(table->owners, owner);
	*out = owner;
	return 0;
}

int lock_table_get(struct lock_table *table, struct fs *fs, const struct lock_request *request,
	struct lock_owner **out)
{
	struct lock_owner *owner;
	int r = 0;

	g_mutex_lock(&table->lock);
	owner = find_locked(table, request->id, request->flock);
	if (!owner)
		r = add_locked(table, fs, request, &owner);
	if (r == 0) {
		if (request->pid)
			owner->pid = request->pid;
		g_atomic_int_inc(&owner->refs);
		*out = owner;
	}
	g_mutex_unlock(&table->lock);
	return r;
}

void lock_table_drop(struct lock_table *table, uint64_t id)
{
	struct lock_owner *owner;

	if (!g_atomic_pointer_get(&table->owners))
		return;
	g_mutex_lock(&table->lock);
	owner = find_locked(table, id, false);
	if (owner)
		g_hash_table_remove(table->owners, owner);
	g_mutex_unlock(&table->lock);
}

static gboolean is_of_handle(gpointer key, gpointer value, gpointer handle)
{
	(void)value;
	return ((struct lock_owner *)key)->handle == handle;
}

void lock_table_drop_handle(struct lock_table *table, const struct handle *handle)
{
	if (!g_atomic_pointer_get(&table->owners))
		return;
	g_mutex_lock(&table->lock);
	g_hash_table_foreach_remove(table->owners, is_of_handle, (gpointer)handle);
	g_mutex_unlock(&table->lock);
}

/* The owner whose own descriptor does not meet the lock holds it. */
static pid_t holder_locked(struct lock_table *table, const struct lock_owner *asking,
	const struct flock *found)
{
	GHashTableIter iter;
	gpointer key;

	if (!table->owners || g_hash_table_size(table->owners) > ASKED_AT_MOST)
		return -1;
	g_hash_table_iter_init(&iter, table->owners);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const struct lock_owner *owner = key;
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

pid_t lock_table_holder(struct lock_table *table, const struct lock_owner *asking,
	const struct flock *found)
{
	pid_t pid;

	g_mutex_lock(&table->lock);
	pid = holder_locked(table, asking, found);
	g_mutex_unlock(&table->lock);
	return pid;
}
