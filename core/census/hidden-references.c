/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who has the references to a segment that no process shows: see census.h. */
#include "census/census-private.h"
#include "census/loops.h"
#include "census/object/holders.h"
#include "census/object/objects.h"

#include <errno.h>
#include <fcntl.h>

/* All sockets and rings; empty where it cannot be known. */
static GArray *list_holders(struct census *census)
{
	struct holders *holders = object_side_holders(census->object_side);
	GArray *list = g_array_new(FALSE, FALSE, sizeof(struct holder));

	if (holders)
		holders_list(holders, list);
	return list;
}

int census_each_namespace_descriptor(struct census *census,
	void (*visit)(pid_t task, int fd, void *data), void *data)
{
	struct holders *holders = object_side_holders(census->object_side);

	return holders ? holders_each_namespace(holders, visit, data) : -ENOTSUP;
}

static GArray *files_of(struct census *census, const struct segment_key *key)
{
	const struct segment *segment = spaces_find(census->spaces, key);

	return segment ? spaces_files(census->spaces, segment) :
			 g_array_new(FALSE, FALSE, sizeof(uint64_t));
}

struct hidden_visit {
	struct census *census;
	const struct segment_key *key;
	void (*visit)(const struct hidden_row *row, void *data);
	void *data;
};

static void visit_holder(const struct hidden_visit *each, const struct holder *holder)
{
	struct hidden_row row = {
		.type = holder->type == HOLDER_SOCKET ? HIDDEN_SOCKET : HIDDEN_RING,
		.number = holder->number,
		.file = holder->file,
		.pid = holder->pid,
		.task = holder->task,
		.uid = holder->uid,
		.flags = holder->flags & (O_ACCMODE | O_PATH),
	};

	if (holder->pid)
		g_strlcpy(row.command, holder->command, sizeof row.command);
	each->visit(&row, each->data);
}

static void each_holder(const struct hidden_visit *each, uint64_t inode)
{
	g_autoptr(GArray) list = list_holders(each->census);
	g_autoptr(GArray) shown = files_of(each->census, each->key);

	for (guint i = 0; i < list->len; i++) {
		const struct holder *holder = &g_array_index(list, struct holder, i);

		if (holder->inode == inode && !spaces_has_file(shown, holder->file))
			visit_holder(each, holder);
	}
}

static void visit_loop(const struct loop_device *loop, void *data)
{
	const struct hidden_visit *each = data;
	const struct hidden_row row = {
		.type = HIDDEN_LOOP,
		.number = loop->number,
		.flags = loop->read_only ? O_RDONLY : O_RDWR,
		.swap = loop->swap,
	};

	if (loop->dev == each->key->dev && loop->ino == each->key->ino)
		each->visit(&row, each->data);
}

void census_each_hidden(struct census *census, const struct segment_key *key, uint64_t inode,
	void (*visit)(const struct hidden_row *row, void *data), void *data)
{
	const struct objects *objects = object_side_found(census->object_side);
	struct hidden_visit each = { census, key, visit, data };
	struct references references = census_references(census, key, inode);
	struct object object;

	if (references.hidden == 0)
		return;
	if (!inode && objects && objects_find(objects, key, &object))
		inode = object.inode;
	if (objects && inode)
		each_holder(&each, inode);
	if (key->class != SEGMENT_SYSV)
		loops_each(census->proc, visit_loop, &each);
}

struct summing {
	struct census *census;
	uint64_t shm_dev;
	struct hidden_sums sums;
};

/*
 * Returns whether it is an object of the calling thread's IPC namespace and of this /dev/shm. The
 * kernel's list of inodes has the segments of all IPC namespaces.
 */
static bool is_wanted(const struct summing *summing, const struct object *object)
{
	struct object_now now;

	if (!object)
		return false;
	if (object->key.class == SEGMENT_SYSV)
		return census_look_sysv(summing->census, object->key.ino, true, &now) == 0 &&
			now.inode == object->inode;
	return object->key.class != SEGMENT_FILE || object->key.dev == summing->shm_dev;
}

/* Several processes may have one socket. Holders stand in the order of their inodes. */
static void add_holders(struct summing *summing, const GArray *list)
{
	const struct objects *objects = object_side_found(summing->census->object_side);
	g_autoptr(GHashTable) in_sockets = g_hash_table_new(NULL, NULL);
	g_autoptr(GHashTable) in_rings = g_hash_table_new(NULL, NULL);
	const struct object *object = NULL;
	g_autoptr(GArray) shown = NULL;
	uint64_t inode = 0;

	for (guint i = 0; i < list->len; i++) {
		const struct holder *holder = &g_array_index(list, struct holder, i);

		if (holder->inode != inode) {
			inode = holder->inode;
			g_clear_pointer(&shown, g_array_unref);
			object = objects_find_inode(objects, holder->inode);
			if (!is_wanted(summing, object))
				object = NULL;
			if (object)
				shown = files_of(summing->census, &object->key);
		}
		if (object && !spaces_has_file(shown, holder->file))
			g_hash_table_add(holder->type == HOLDER_SOCKET ? in_sockets : in_rings,
				(gpointer)(uintptr_t)holder->file);
	}
	summing->sums.sockets = g_hash_table_size(in_sockets);
	summing->sums.rings = g_hash_table_size(in_rings);
}

static void add_loop(const struct loop_device *loop, void *data)
{
	static const enum segment_class classes[] = { SEGMENT_FILE, SEGMENT_MEMFD };
	struct summing *summing = data;
	const struct objects *objects = object_side_found(summing->census->object_side);

	for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
		const struct segment_key key = { loop->dev, loop->ino, 0, classes[i] };
		struct object object;

		summing->sums.loops +=
			objects_find(objects, &key, &object) && is_wanted(summing, &object);
	}
}

struct hidden_sums census_hidden_sums(struct census *census, uint64_t shm_dev)
{
	struct summing summing = { .census = census, .shm_dev = shm_dev };
	g_autoptr(GArray) list = NULL;

	if (!object_side_found(census->object_side))
		return summing.sums;
	list = list_holders(census);
	add_holders(&summing, list);
	loops_each(census->proc, add_loop, &summing);
	return summing.sums;
}
