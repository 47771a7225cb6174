/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node/node.h"

#include "node/data-node.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <malloc.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Inode numbers of tree nodes have this bit; those of segments have a class below it at most. */
#define TREE_INO_BIT (UINT64_C(1) << 63)

/*
 * Give memory back to the system when so many nodes have gone since the last time, and more than are
 * left: of a million, half a dozen times until the last.
 */
#define TRIM_AFTER 5000

/* How long an object that had several names keeps its descriptor when it is unlinked. */
#define KEEP_US (G_USEC_PER_SEC / 2)

struct node_table {
	struct node root; /* first: node_root() */
	struct quota *quota;
	GMutex lock;
	GHashTable *nodes; /* a set of struct node *: see node_equal() */
	guint forgotten;   /* since the last malloc_trim() */
	GQueue keeping;    /* of struct keeping *, the first to end first */
	GCond changed;     /* `keeping` is empty no longer, or `ending` */
	bool ending;
	GThread *ender;
};

/* That what an object has kept is not kept longer. */
struct keeping {
	uint64_t ino;
	gint64 until; /* monotonic time, us */
};

static guint node_hash(gconstpointer p)
{
	const struct node *n = p;
	uint64_t h = n->ino * UINT64_C(0x9e3779b97f4a7c15);

	return (guint)(h >> 32);
}

/* A data file's inode number may be in use again for another segment, with another stamp. */
static uint64_t stamp(const struct node *node)
{
	return node->type == NODE_SEGMENT && node->data ? node->data->item.stamp : 0;
}

static gboolean node_equal(gconstpointer a, gconstpointer b)
{
	const struct node *x = a, *y = b;

	return x->ino == y->ino && x->type == y->type && stamp(x) == stamp(y);
}

static void node_free(struct node *node)
{
	if (node->type == NODE_SEGMENT)
		g_free(node->data);
	g_free(node->name);
	g_free(node);
}

/* Without the table's lock: that may free gigabytes. */
static void close_kept(struct node_table *table, struct kept kept)
{
	if (!kept.fd)
		return;
	close(kept.fd - 1);
	quota_give(table->quota, kept.uid, QUOTA_KEPT, 1);
}

/* The table's lock is held. What the object of that inode has kept. */
static struct kept take_kept(struct node_table *table, uint64_t ino)
{
	struct node model = { .type = NODE_SEGMENT, .ino = ino };
	struct node *node = g_hash_table_lookup(table->nodes, &model);
	struct kept kept = node ? node->kept : (struct kept){ 0 };

	if (node)
		node->kept = (struct kept){ 0 };
	return kept;
}

static void *end_keeping(void *data)
{
	struct node_table *table = data;
	struct keeping *first;

	g_mutex_lock(&table->lock);
	while (!table->ending) {
		first = g_queue_peek_head(&table->keeping);
		if (!first) {
			g_cond_wait(&table->changed, &table->lock);
		} else if (g_get_monotonic_time() < first->until) {
			g_cond_wait_until(&table->changed, &table->lock, first->until);
		} else {
			struct kept kept = take_kept(table, first->ino);

			g_free(g_queue_pop_head(&table->keeping));
			g_mutex_unlock(&table->lock);
			close_kept(table, kept);
			g_mutex_lock(&table->lock);
		}
	}
	g_mutex_unlock(&table->lock);
	return NULL;
}

struct node_table *node_table_new(struct quota *quota)
{
	struct node_table *table = g_new0(struct node_table, 1);

	table->quota = quota;
	table->root.type = NODE_ROOT;
	table->root.ino = FUSE_ROOT_ID;
	g_mutex_init(&table->lock);
	g_cond_init(&table->changed);
	g_queue_init(&table->keeping);
	table->nodes = g_hash_table_new(node_hash, node_equal);
	table->ender = g_thread_new("unlinked", end_keeping, table);
	return table;
}

static gboolean free_each(gpointer key, gpointer value, gpointer data)
{
	(void)value;
	close_kept(data, ((struct node *)key)->kept);
	node_free(key);
	return TRUE;
}

void node_table_free(struct node_table *table)
{
	g_mutex_lock(&table->lock);
	table->ending = true;
	g_cond_signal(&table->changed);
	g_mutex_unlock(&table->lock);
	g_thread_join(table->ender);
	g_queue_clear_full(&table->keeping, g_free);
	/* An unmount forgets nothing: the kernel drops all its inodes without a word. */
	g_hash_table_foreach_remove(table->nodes, free_each, table);
	g_hash_table_unref(table->nodes);
	g_cond_clear(&table->changed);
	g_mutex_clear(&table->lock);
	g_free(table);
}

struct node *node_from_id(struct node_table *table, fuse_ino_t id)
{
	return id == FUSE_ROOT_ID ? &table->root : (struct node *)(uintptr_t)id;
}

fuse_ino_t node_id(struct node_table *table, const struct node *node)
{
	return node == &table->root ? FUSE_ROOT_ID : (uintptr_t)node;
}

/*
 * Frees the node if nobody knows it any more, and then its parent the same way. Returns what it had
 * kept, to be closed without the lock.
 */
static struct kept release_locked(struct node_table *table, struct node *node)
{
	struct kept kept = { 0 };

	while (node && node->type != NODE_ROOT && node->nlookup == 0 && node->refs == 0) {
		struct node *parent = node->type == NODE_TREE ? node->parent : NULL;

		if (!node->orphan)
			g_hash_table_remove(table->nodes, node);
		/* Of an object: it has no parent, and is the only one freed. */
		if (node->kept.fd)
			kept = node->kept;
		node_free(node);
		table->forgotten++;
		if (parent)
			parent->refs--;
		node = parent;
	}
	return kept;
}

/*
 * The C library keeps what was freed. After a listing of a million objects that would be for
 * good, and the listing is over when the kernel forgets.
 */
static void trim(struct node_table *table)
{
	bool due;

	g_mutex_lock(&table->lock);
	due = table->forgotten >= TRIM_AFTER && g_hash_table_size(table->nodes) < table->forgotten;
	if (due)
		table->forgotten = 0;
	g_mutex_unlock(&table->lock);
	if (due)
		malloc_trim(0);
}

/* Whether it had another one. */
static bool set_name(struct node *node, const char *name)
{
	if (strcmp(node->name, name) == 0)
		return false;
	g_free(node->name);
	node->name = g_strdup(name);
	return true;
}

static struct node *insert_locked(struct node_table *table, const struct node *model,
	const char *name)
{
	struct node *node = g_memdup2(model, sizeof *model);

	node->name = g_strdup(name);
	g_hash_table_add(table->nodes, node);
	return node;
}

struct node *node_lookup_object(struct node_table *table, uint64_t ino, const char *name)
{
	struct node model = { .type = NODE_SEGMENT, .ino = ino };
	struct node *node;

	g_mutex_lock(&table->lock);
	node = g_hash_table_lookup(table->nodes, &model);
	if (node)
		node->aliased |= set_name(node, name);
	else
		node = insert_locked(table, &model, name);
	node->nlookup++;
	g_mutex_unlock(&table->lock);
	return node;
}

struct node *node_lookup_data(struct node_table *table, uint64_t ino, struct data_node *data)
{
	struct node model = { .type = NODE_SEGMENT, .ino = ino, .data = data };
	struct node *node;

	g_mutex_lock(&table->lock);
	node = g_hash_table_lookup(table->nodes, &model);
	if (node)
		data_node_update(node->data, data);
	else
		node = insert_locked(table, &model, NULL);
	node->nlookup++;
	g_mutex_unlock(&table->lock);
	if (node->data != data)
		g_free(data);
	return node;
}

/* Every bit of the state bears on those that the next byte meets. */
static uint64_t mix(uint64_t h)
{
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 32;
}

/* Users choose the names, and must not be able to choose many of one number. */
static uint64_t secret(void)
{
	static gsize made;
	static uint64_t key;

	if (g_once_init_enter(&made)) {
		if (getrandom(&key, sizeof key, 0) != sizeof key)
			key = (uint64_t)g_random_int() << 32 | g_random_int();
		g_once_init_leave(&made, 1);
	}
	return key;
}

uint64_t node_tree_ino(const struct node *parent, const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ secret() ^ (parent ? parent->ino : 0);

	for (const unsigned char *p = (const unsigned char *)name; *p; p++)
		h = mix(h ^ *p);
	return h | TREE_INO_BIT;
}

struct node *node_lookup_tree(struct node_table *table, struct node *parent,
	const struct tree_entry *entry, const char *name)
{
	struct node model = { .type = NODE_TREE, .entry = entry, .parent = parent };
	struct node *node;

	g_mutex_lock(&table->lock);
	model.ino = node_tree_ino(parent, name);
	/* Two names may share a number, by chance or by design: the later one takes the next. */
	while ((node = g_hash_table_lookup(table->nodes, &model)) &&
		(node->parent != parent || strcmp(node->name, name) != 0))
		model.ino = (model.ino + 1) | TREE_INO_BIT;
	if (!node) {
		node = insert_locked(table, &model, name);
		if (parent)
			parent->refs++;
	}
	node->nlookup++;
	g_mutex_unlock(&table->lock);
	return node;
}

void node_forget(struct node_table *table, struct node *node, uint64_t nlookup)
{
	struct kept kept;

	if (node->type == NODE_ROOT)
		return;
	g_mutex_lock(&table->lock);
	g_assert(node->nlookup >= nlookup);
	node->nlookup -= nlookup;
	kept = release_locked(table, node);
	g_mutex_unlock(&table->lock);
	close_kept(table, kept);
	trim(table);
}

void node_orphan(struct node_table *table, struct node *node)
{
	g_mutex_lock(&table->lock);
	if (!node->orphan)
		g_hash_table_remove(table->nodes, node);
	node->orphan = true;
	g_mutex_unlock(&table->lock);
}

bool node_is_orphan(struct node_table *table, const struct node *node)
{
	bool orphan;

	g_mutex_lock(&table->lock);
	orphan = node->orphan;
	g_mutex_unlock(&table->lock);
	return orphan;
}

void node_ref(struct node_table *table, struct node *node)
{
	g_mutex_lock(&table->lock);
	node->refs++;
	g_mutex_unlock(&table->lock);
}

void node_unref(struct node_table *table, struct node *node)
{
	struct kept kept;

	g_mutex_lock(&table->lock);
	g_assert(node->refs > 0);
	node->refs--;
	kept = release_locked(table, node);
	g_mutex_unlock(&table->lock);
	close_kept(table, kept);
}

void node_renamed(struct node_table *table, uint64_t ino, const char *name)
{
	struct node model = { .type = NODE_SEGMENT, .ino = ino };
	struct node *node;

	g_mutex_lock(&table->lock);
	node = g_hash_table_lookup(table->nodes, &model);
	if (node)
		set_name(node, name);
	g_mutex_unlock(&table->lock);
}

bool node_keep(struct node_table *table, uint64_t ino, int fd, uid_t uid)
{
	struct node model = { .type = NODE_SEGMENT, .ino = ino };
	struct node *node;

	if (quota_take(table->quota, uid, QUOTA_KEPT, 1) < 0)
		return false;
	g_mutex_lock(&table->lock);
	node = g_hash_table_lookup(table->nodes, &model);
	/* One that is open is reached by what has it open. */
	if (node && (node->kept.fd || node->opened))
		node = NULL;
	if (node)
		node->kept = (struct kept){ fd + 1, uid };
	if (node && node->aliased) {
		struct keeping *keeping = g_new(struct keeping, 1);

		*keeping = (struct keeping){ ino, g_get_monotonic_time() + KEEP_US };
		g_queue_push_tail(&table->keeping, keeping);
		g_cond_signal(&table->changed);
	}
	g_mutex_unlock(&table->lock);
	if (!node)
		quota_give(table->quota, uid, QUOTA_KEPT, 1);
	return node != NULL;
}

int node_kept(struct node_table *table, const struct node *node)
{
	int fd = -ENOENT;

	g_mutex_lock(&table->lock);
	if (node->kept.fd) {
		fd = fcntl(node->kept.fd - 1, F_DUPFD_CLOEXEC, 0);
		fd = fd < 0 ? -errno : fd;
	}
	g_mutex_unlock(&table->lock);
	return fd;
}

char *node_dup_name(struct node_table *table, struct node *node)
{
	char *name;

	g_mutex_lock(&table->lock);
	name = g_strdup(node->name);
	g_mutex_unlock(&table->lock);
	return name;
}

void node_table_lock(struct node_table *table)
{
	g_mutex_lock(&table->lock);
}

void node_table_unlock(struct node_table *table)
{
	g_mutex_unlock(&table->lock);
}
