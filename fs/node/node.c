/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node/node.h"

#include "base/hash.h"
#include "base/util.h"
#include "node/data-node.h"
#include "node/id-table.h"
#include "node/unlinked-grace.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Inode numbers of tree nodes have this bit; those of segments have a class below it at most. */
#define TREE_INO_BIT (UINT64_C(1) << 63)

/*
 * Give memory back to the system when so many nodes have gone since the last time, and more than
 * are left: of a million, half a dozen times until the last.
 */
#define TRIM_AFTER 5000

/* Fewer nodes are not worth a look: some 5 MB of the kernel's memory, and one of the daemon's. */
#define CROWD 4096

struct node_table {
	struct node root;        /* first: node_root() */
	struct charges *charges; /* constant */
	GMutex lock;
	GHashTable *nodes;            /* a set of struct node *: see node_equal() */
	GHashTable *orphans;          /* a set of struct node *, that are not in `nodes` any more */
	struct id_table *ids;         /* the table's lock is held to add and to remove */
	guint forgotten;              /* since the last memory_trim() */
	struct unlinked_grace *grace; /* constant */
};

static guint node_hash(gconstpointer p)
{
	const struct node *n = p;
	uint64_t h = hash_multiply(n->ino);

	return (guint)(h >> 32);
}

/* A data file's inode number may be in use again for another segment, with another identity. */
static uint64_t item_identity(const struct node *node)
{
	return node->type == NODE_SEGMENT && node->data ? node->data->item.identity : 0;
}

static gboolean node_equal(gconstpointer a, gconstpointer b)
{
	const struct node *x = a, *y = b;

	return x->ino == y->ino && x->type == y->type && item_identity(x) == item_identity(y);
}

uint32_t node_clock(void)
{
	return (uint32_t)(g_get_monotonic_time() / G_USEC_PER_SEC);
}

/* The table's lock is held, or the table has one user left. */
static void node_free(struct node_table *table, struct node *node)
{
	id_table_remove(table->ids, node->id);
	if (node->type == NODE_SEGMENT)
		g_free(node->data);
	g_free(node->name);
	g_free(node);
}

/* A descriptor that reaches an object without its name; charged to the user who unlinked it. */
struct grace_fd {
	int fd;
	struct charge charge;
};

/* Without the table's lock: that may free gigabytes. */
static void grace_fd_free(struct grace_fd *grace_fd)
{
	if (!grace_fd)
		return;
	close(grace_fd->fd);
	charge_release(&grace_fd->charge);
	g_free(grace_fd);
}

/* Closes what the object of that inode has kept: its time is up. */
static void end_grace(void *data, uint64_t ino)
{
	struct node model = { .type = NODE_SEGMENT, .ino = ino };
	struct node_table *table = data;
	struct grace_fd *grace_fd = NULL;
	struct node *node;

	g_mutex_lock(&table->lock);
	node = g_hash_table_lookup(table->nodes, &model);
	if (node)
		grace_fd = g_steal_pointer(&node->grace_fd);
	g_mutex_unlock(&table->lock);
	grace_fd_free(grace_fd);
}

struct node_table *node_table_new(struct charges *charges)
{
	struct node_table *table = g_new0(struct node_table, 1);

	table->charges = charges;
	table->root.type = NODE_ROOT;
	table->root.ino = FUSE_ROOT_ID;
	g_mutex_init(&table->lock);
	table->nodes = g_hash_table_new(node_hash, node_equal);
	table->orphans = g_hash_table_new(NULL, NULL);
	table->ids = id_table_new();
	table->grace = unlinked_grace_new(end_grace, table);
	return table;
}

static gboolean free_each(gpointer key, gpointer value, gpointer data)
{
	(void)value;
	grace_fd_free(((struct node *)key)->grace_fd);
	node_free(data, key);
	return TRUE;
}

void node_table_free(struct node_table *table)
{
	unlinked_grace_free(table->grace);
	/* An unmount forgets nothing: the kernel drops all its inodes without a word. */
	g_hash_table_foreach_remove(table->nodes, free_each, table);
	g_hash_table_foreach_remove(table->orphans, free_each, table);
	g_hash_table_unref(table->nodes);
	g_hash_table_unref(table->orphans);
	id_table_free(table->ids);
	g_mutex_clear(&table->lock);
	g_free(table);
}

/* The root has a number of its own, FUSE_ROOT_ID; the places of the others count on from there. */
struct node *node_from_id(struct node_table *table, fuse_ino_t id)
{
	struct node *node;

	if (id == FUSE_ROOT_ID)
		return &table->root;
	node = id - FUSE_ROOT_ID <= G_MAXUINT32 ? id_table_get(table->ids, id - FUSE_ROOT_ID) :
						  NULL;
	/* The kernel asks about what it has looked up and not forgotten, and nothing else. */
	g_assert(node);
	return node;
}

fuse_ino_t node_id(struct node_table *table, const struct node *node)
{
	return node == &table->root ? FUSE_ROOT_ID : FUSE_ROOT_ID + (fuse_ino_t)node->id;
}

/*
 * Frees the node if nobody knows it any more, and then its parent the same way. Returns its
 * grace descriptor, to be closed without the lock.
 */
static struct grace_fd *release_locked(struct node_table *table, struct node *node)
{
	struct grace_fd *grace_fd = NULL;

	while (node && node->type != NODE_ROOT && node->nlookup == 0 && node->refs == 0) {
		struct node *parent = node->type == NODE_TREE ? node->parent : NULL;

		g_hash_table_remove(node->orphan ? table->orphans : table->nodes, node);
		/* Of an object: it has no parent, and is the only one freed. */
		if (node->grace_fd)
			grace_fd = node->grace_fd;
		node_free(table, node);
		table->forgotten++;
		if (parent)
			parent->refs--;
		node = parent;
	}
	return grace_fd;
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
		memory_trim();
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
	node->id = id_table_add(table->ids, node);
	g_hash_table_add(table->nodes, node);
	return node;
}

static void count_lookup(struct node *node)
{
	node->nlookup++;
	node->looked_up = node_clock();
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
	count_lookup(node);
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
	count_lookup(node);
	g_mutex_unlock(&table->lock);
	if (node->data != data)
		g_free(data);
	return node;
}

/* Every bit of the state bears on those that the next byte meets. */
static uint64_t mix(uint64_t h)
{
	h = hash_multiply(h);
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
	count_lookup(node);
	g_mutex_unlock(&table->lock);
	return node;
}

void node_forget(struct node_table *table, struct node *node, uint64_t nlookup)
{
	struct grace_fd *grace_fd;

	if (node->type == NODE_ROOT)
		return;
	g_mutex_lock(&table->lock);
	g_assert(node->nlookup >= nlookup);
	node->nlookup -= nlookup;
	grace_fd = release_locked(table, node);
	g_mutex_unlock(&table->lock);
	grace_fd_free(grace_fd);
	trim(table);
}

void node_orphan(struct node_table *table, struct node *node)
{
	g_mutex_lock(&table->lock);
	if (!node->orphan) {
		g_hash_table_remove(table->nodes, node);
		g_hash_table_add(table->orphans, node);
	}
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
	struct grace_fd *grace_fd;

	g_mutex_lock(&table->lock);
	g_assert(node->refs > 0);
	node->refs--;
	grace_fd = release_locked(table, node);
	g_mutex_unlock(&table->lock);
	grace_fd_free(grace_fd);
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

bool node_keep_grace_fd(struct node_table *table, uint64_t ino, int fd, const struct caller *user)
{
	struct node model = { .type = NODE_SEGMENT, .ino = ino };
	auto_charge charge = { 0 };
	bool kept = false, aliased = false;
	struct node *node;

	if (charge_take(table->charges, user, CHARGE_GRACE_FDS, 1, &charge) < 0)
		return false;
	g_mutex_lock(&table->lock);
	node = g_hash_table_lookup(table->nodes, &model);
	/* One that is open is reached by what has it open. */
	if (node && !node->grace_fd && !node->file) {
		node->grace_fd = g_new(struct grace_fd, 1);
		*node->grace_fd = (struct grace_fd){ fd, charge_move(&charge) };
		aliased = node->aliased;
		kept = true;
	}
	g_mutex_unlock(&table->lock);
	if (aliased)
		unlinked_grace_add(table->grace, ino);
	return kept;
}

int node_dup_grace_fd(struct node_table *table, const struct node *node)
{
	int fd = -ENOENT;

	g_mutex_lock(&table->lock);
	if (node->grace_fd) {
		fd = fcntl(node->grace_fd->fd, F_DUPFD_CLOEXEC, 0);
		fd = fd < 0 ? -errno : fd;
	}
	g_mutex_unlock(&table->lock);
	return fd;
}

struct data_node *node_copy_data(struct node_table *table, const struct node *node)
{
	struct data_node *copy;

	g_mutex_lock(&table->lock);
	copy = g_memdup2(node->data, sizeof *copy);
	g_mutex_unlock(&table->lock);
	return copy;
}

char *node_dup_name(struct node_table *table, struct node *node)
{
	char *name;

	g_mutex_lock(&table->lock);
	name = g_strdup(node->name);
	g_mutex_unlock(&table->lock);
	return name;
}

bool node_table_crowded(struct node_table *table)
{
	bool crowded;

	g_mutex_lock(&table->lock);
	crowded = g_hash_table_size(table->nodes) >= CROWD;
	g_mutex_unlock(&table->lock);
	return crowded;
}

struct visitor {
	void (*visit)(const struct node *node, fuse_ino_t id, void *data);
	void *data;
	struct node_table *table;
};

static void visit_node(void *pointer, void *data)
{
	const struct visitor *visitor = data;

	visitor->visit(pointer, node_id(visitor->table, pointer), visitor->data);
}

bool node_each(struct node_table *table, uint32_t part,
	void (*visit)(const struct node *node, fuse_ino_t id, void *data), void *data)
{
	struct visitor visitor = { visit, data, table };
	bool more;

	g_mutex_lock(&table->lock);
	more = id_table_each(table->ids, part, visit_node, &visitor);
	g_mutex_unlock(&table->lock);
	return more;
}

void node_table_lock(struct node_table *table)
{
	g_mutex_lock(&table->lock);
}

void node_table_unlock(struct node_table *table)
{
	g_mutex_unlock(&table->lock);
}
