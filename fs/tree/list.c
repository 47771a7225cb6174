/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists the directories of the tree. */
#include "kinds/idle.h"
#include "kinds/realms.h"
#include "tree/top-files.h"
#include "tree/tree.h"

struct lister {
	const struct node *node;
	const struct caller *viewer;
	tree_name_visitor visit;
	void *data;
};

static void list_name(const struct lister *l, const char *name, mode_t type)
{
	l->visit(name, node_tree_ino(l->node, name), type, l->data);
}

static void list_item(const struct item *item, void *data)
{
	list_name(data, item->id, S_IFDIR);
}

static void list_attribute(const struct attribute *attribute, void *data)
{
	list_name(data, attribute->name, S_IFREG);
}

static void list_realm(struct fs *fs, const struct realm *realm, const struct lister *l)
{
	for (const struct tree_entry *file = tree_files; file->name; file++)
		/* A stream would hold up for ever who reads all files of a tree: grep -r, cp -a. */
		if (tree_has_file(fs, file, realm == &fs->realm) && !file->stream)
			list_name(l, file->name, S_IFREG);
	for (const struct kind *const *k = kinds; *k; k++)
		if ((*k)->present(realm))
			list_name(l, (*k)->directory, S_IFDIR);
}

static int list_namespaces(struct fs *fs, const struct lister *l)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct foreign_realm));
	unsigned unreadable;
	int r = realms_find(&fs->realm, all, &unreadable);

	for (guint i = 0; r == 0 && i < all->len; i++)
		list_name(l, g_array_index(all, struct foreign_realm, i).name, S_IFDIR);
	return r;
}

static int list_other_realm(struct fs *fs, const struct lister *l)
{
	struct visit visit;
	int r = visit_enter(fs, tree_realm(l->node), 0, &visit);

	if (r < 0)
		return r;
	list_realm(fs, &visit.realm, l);
	visit_leave(fs, &visit);
	return 0;
}

static int list_kind(struct fs *fs, struct lister *l)
{
	struct visit visit;
	int r = tree_enter_kind(fs, l->node, &visit);

	if (r < 0)
		return r;
	visit.realm.viewer = l->viewer;
	r = l->node->entry->kind->each(&visit.realm, list_item, l);
	visit_leave(fs, &visit);
	return r;
}

static void list_idle(const struct realm *realm, const struct lister *l)
{
	for (const struct kind *const *k = kinds; *k; k++)
		if (idle_has(*k) && (*k)->present(realm))
			list_name(l, (*k)->directory, S_IFDIR);
}

static int list_idle_kind(struct fs *fs, struct lister *l)
{
	const struct kind *kind = l->node->entry->kind;
	struct visit visit;
	int r = visit_enter(fs, "", idle_needs(kind), &visit);

	if (r < 0)
		return r;
	r = idle_each(&visit.realm, kind, list_item, l);
	visit_leave(fs, &visit);
	return r;
}

static int list_in_item(struct fs *fs, struct lister *l)
{
	g_autofree struct item *item = NULL;
	int r = tree_stat_item(fs, l->node, l->node->name, l->viewer, &item);

	if (r < 0)
		return r;
	item_each_attribute(item, list_attribute, l);
	if (tree_data_form(l->node) == DATA_LINK)
		list_name(l, "data", S_IFLNK);
	else if (tree_data_form(l->node) == DATA_FILE)
		l->visit("data", census_mount_ino(fs->census, &item->key), S_IFREG, l->data);
	return 0;
}

int tree_each_name(struct fs *fs, struct node *node, const struct caller *viewer,
	tree_name_visitor visit, void *data)
{
	struct lister l = { .node = node, .viewer = viewer, .visit = visit, .data = data };

	switch (node->entry->type) {
	case TREE_TOP:
		list_realm(fs, &fs->realm, &l);
		list_name(&l, tree_idle.name, S_IFDIR);
		list_name(&l, tree_namespaces.name, S_IFDIR);
		return 0;
	case TREE_IDLE:
		list_idle(&fs->realm, &l);
		return 0;
	case TREE_IDLE_KIND:
		return list_idle_kind(fs, &l);
	case TREE_IDLE_ITEM:
		return 0;
	case TREE_NAMESPACES:
		return list_namespaces(fs, &l);
	case TREE_REALM:
		return list_other_realm(fs, &l);
	case TREE_KIND:
		return list_kind(fs, &l);
	case TREE_ITEM:
		return list_in_item(fs, &l);
	default:
		return -ENOTDIR;
	}
}
