/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The metadata files: made when opened, on a worker where that may wait, and then only read. */
#include "tree/tree.h"

#include "daemon/identity.h"
#include "serve/defer.h"
#include "serve/reply.h"

#include <fcntl.h>

static unsigned needs_of(const struct node *node, const struct attribute *attribute)
{
	if (node->entry->type == TREE_FILE)
		return node->entry->needs;
	return node->entry->kind->needs | (attribute ? attribute->needs : 0);
}

/* An attribute's needs are the same for every item; which one it is, only the item knows. */
static const struct attribute *attribute_of(const struct node *node)
{
	if (node->entry->type != TREE_ATTRIBUTE)
		return NULL;
	for (const struct attribute *const *table = node->entry->kind->attributes; *table; table++)
		for (const struct attribute *a = *table; a->name; a++)
			if (g_str_equal(a->name, node->name))
				return a;
	return NULL;
}

static int show_attribute(const struct node *node, struct view view,
	const struct attribute *attribute, struct content *out)
{
	g_autofree struct item *item = NULL;
	int r = node->entry->kind->stat(view.realm, node->parent->name, &item);

	if (r < 0)
		return r;
	if (item_attribute(item, attribute->name) != attribute)
		return -ENOENT;
	view.item = item;
	return attribute->show(&view, attribute, out->text);
}

/* Without the census, if the attribute can: -EAGAIN otherwise. */
static int make_quickly(struct fs *fs, struct deferred *d, bool wait, struct content *out)
{
	const struct attribute *attribute = attribute_of(d->node);
	g_autofree struct item *item = NULL;
	struct visit visit;
	struct view view = { .realm = &visit.realm, .caller = identity_caller(d->req) };
	int r;

	if (!attribute || !attribute->quick || d->node->entry->kind->needs)
		return -EAGAIN;
	r = visit_enter(fs, tree_realm(d->node), 0, &visit);
	if (r < 0)
		return r;
	r = d->node->entry->kind->stat(view.realm, d->node->parent->name, &item);
	view.item = item;
	if (r == 0 && !attribute->quick(&view, wait, out->text))
		r = -EAGAIN;
	visit_leave(fs, &visit);
	return r;
}

static int make(struct fs *fs, struct deferred *d, struct content *out)
{
	const struct attribute *attribute = attribute_of(d->node);
	unsigned needs = d->held ? 0 : needs_of(d->node, attribute);
	struct visit visit;
	struct view view = { .realm = &visit.realm, .caller = identity_caller(d->req) };
	int r = d->held ? -EAGAIN : make_quickly(fs, d, !d->at_once, out);

	if (r != -EAGAIN || d->at_once)
		return r;
	r = visit_enter(fs, tree_realm(d->node), needs, &visit);
	if (r < 0)
		return r;
	r = attribute ? show_attribute(d->node, view, attribute, out) :
			d->node->entry->show(fs, &view, out);
	visit_leave(fs, &visit);
	return r;
}

/* What the kernel knows of one open(2), by `fh`. */
struct open_metadata {
	struct content *content;
	struct charge listing, bytes;
};

static struct open_metadata *metadata_of(const struct fuse_file_info *fi)
{
	return (struct open_metadata *)(uintptr_t)fi->fh;
}

static void metadata_free(struct open_metadata *file)
{
	charge_release(&file->bytes);
	charge_release(&file->listing);
	content_free(file->content);
	g_free(file);
}

/* The user is charged for one listing first, and for its bytes as soon as they are known. */
static int make_charged(struct fs *fs, struct deferred *d, struct open_metadata *file)
{
	uid_t uid = fuse_req_ctx(d->req)->uid;
	int r = charge_take(fs->charges, uid, CHARGE_LISTINGS, 1, &file->listing);

	if (r == 0)
		r = make(fs, d, file->content);
	if (r == 0)
		r = charge_take(fs->charges, uid, CHARGE_BYTES, content_bytes(file->content),
			&file->bytes);
	return r;
}

static void open_now(struct fs *fs, struct deferred *d)
{
	struct open_metadata *file = g_new0(struct open_metadata, 1);
	int r;

	file->content = content_new();
	r = make_charged(fs, d, file);
	if (d->held)
		census_release(fs->census);
	if (r == -EAGAIN && d->at_once) {
		metadata_free(file); /* a worker begins anew */
		d->at_once = false;
		defer_if(fs, true, d, open_now);
		return;
	}
	if (r < 0) {
		metadata_free(file);
		reply_result(d->req, r);
		return;
	}
	d->fi.fh = (uintptr_t)file;
	d->fi.direct_io = true; /* its size is 0 to stat(2) */
	d->fi.noflush = true;
	if (!reply_fh(d->req, &d->fi))
		metadata_free(file);
}

static bool is_slow(const struct node *node)
{
	const struct attribute *attribute = attribute_of(node);

	return node->entry->type == TREE_FILE || tree_waits(node) ||
		(attribute && (attribute->needs || attribute->slow));
}

/*
 * Some attributes can often be told from the object alone, where they are asked for: a worker is
 * for those that cannot.
 */
static bool may_be_quick(const struct node *node)
{
	const struct attribute *attribute = attribute_of(node);

	return attribute && attribute->quick && !tree_waits(node);
}

/*
 * A count is often asked for again when nothing has changed since, which takes but a look: then it is
 * answered where it was asked, and costs no more than a file that needs no census.
 */
static bool hold_at_once(struct fs *fs, const struct node *node)
{
	const struct attribute *attribute = attribute_of(node);

	return attribute && attribute->form == FORM_NUMBER && !attribute->slow &&
		!tree_waits(node) && attribute->needs &&
		census_hold_at_once(fs->census, attribute->needs);
}

void tree_open(struct fs *fs, fuse_req_t req, struct node *node, struct fuse_file_info *fi)
{
	struct deferred d = { .req = req, .node = node, .fi = *fi };

	if (node->entry->type != TREE_FILE && node->entry->type != TREE_ATTRIBUTE) {
		reply_result(req, -EISDIR);
	} else if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		reply_result(req, -EACCES);
	} else {
		d.held = hold_at_once(fs, node);
		d.at_once = !d.held && may_be_quick(node);
		defer_if(fs, !d.held && !d.at_once && is_slow(node), &d, open_now);
	}
}

void tree_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi)
{
	g_autofree char *buf = g_malloc(size);

	reply_buf(req, buf, content_read(metadata_of(fi)->content, buf, size, off));
}

void tree_release(const struct fuse_file_info *fi)
{
	metadata_free(metadata_of(fi));
}
