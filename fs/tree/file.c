/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The metadata files: made when opened, and then only read. */
#include "tree/file.h"

#include "daemon/identity.h"
#include "serve/reply.h"
#include "tree/tree.h"

static unsigned needs_of(const struct node *node, const struct attribute *attribute)
{
	if (node->entry->type == TREE_FILE)
		return node->entry->needs;
	return node->entry->kind->needs | (attribute ? attribute->needs : 0);
}

const struct attribute *file_attribute(const struct node *node)
{
	if (node->entry->type != TREE_ATTRIBUTE)
		return NULL;
	for (const struct attribute *const *table = node->entry->kind->attributes; *table; table++)
		for (const struct attribute *a = *table; a->name; a++)
			if (g_str_equal(a->name, node->name))
				return a;
	return NULL;
}

static int show_held(const struct view *view, unsigned needs, const struct attribute *attribute,
	struct content *out)
{
	struct census *census = view->realm->census;
	int r = needs ? visit_error(census_hold(census, needs)) : 0;

	if (r < 0)
		return r;
	r = attribute->take ? attribute->take(view, attribute, &out->rows) :
			      attribute->show(view, attribute, out->text);
	if (needs)
		census_release(census);
	return r;
}

/* `needs`: what to hold the census with once the item is found, which may take long. */
static int show_attribute(const struct node *node, struct view view,
	const struct attribute *attribute, unsigned needs, struct content *out)
{
	g_autofree struct item *item = NULL;
	int r = node->entry->kind->stat(view.realm, node->parent->name, &item);

	if (r < 0)
		return r;
	if (item_attribute(item, attribute->name) != attribute)
		return -ENOENT;
	view.item = item;
	return show_held(&view, needs, attribute, out);
}

/* Without the census, if the attribute can: -EAGAIN otherwise. */
static int make_quickly(struct fs *fs, struct deferred *d, bool wait, struct content *out)
{
	const struct attribute *attribute = file_attribute(d->node);
	g_autofree struct item *item = NULL;
	struct visit visit;
	struct view view = { .realm = &visit.realm, .caller = identity_caller(d->req) };
	int r;

	if (!attribute || !attribute->quick || d->node->entry->kind->needs)
		return -EAGAIN;
	r = visit_enter(fs, tree_realm(d->node), 0, &visit);
	if (r < 0)
		return r;
	visit.realm.viewer = &view.caller;
	r = d->node->entry->kind->stat(view.realm, d->node->parent->name, &item);
	view.item = item;
	if (r == 0 && !attribute->quick(&view, wait, out->text))
		r = -EAGAIN;
	visit_leave(fs, &visit);
	return r;
}

static int make(struct fs *fs, struct deferred *d, struct budget *budget, struct content *out)
{
	const struct attribute *attribute = file_attribute(d->node);
	unsigned needs = d->held ? 0 : needs_of(d->node, attribute);
	bool later = attribute && !d->node->entry->kind->needs;
	struct visit visit;
	struct view view = {
		.realm = &visit.realm,
		.caller = identity_caller(d->req),
		.budget = budget,
	};
	int r = d->held ? -EAGAIN : make_quickly(fs, d, !d->at_once, out);

	if (r != -EAGAIN || d->at_once)
		return r;
	r = visit_enter(fs, tree_realm(d->node), later ? 0 : needs, &visit);
	if (r < 0)
		return r;
	if (attribute)
		visit.realm.viewer = &view.caller;
	r = attribute ? show_attribute(d->node, view, attribute, later ? needs : 0, out) :
			visit_error(d->node->entry->show(fs, &view, out));
	visit_leave(fs, &visit);
	if (r == 0 && out->rows.complete)
		r = out->rows.complete(&out->rows);
	return r;
}

/*
 * The bytes of a content, charged to a user while it is made and as long as they have it open,
 * however often.
 */
struct payment {
	gint refs; /* atomic */
	struct charged_budget bytes;
};

/* What the kernel knows of one open(2), by `fh`. */
struct open_metadata {
	struct content *content;
	struct charge listing;
	struct payment *payment;
};

static struct open_metadata *metadata_of(const struct fuse_file_info *fi)
{
	return (struct open_metadata *)(uintptr_t)fi->fh;
}

struct payment *payment_new(struct fs *fs, const struct caller *caller)
{
	struct payment *payment = g_new0(struct payment, 1);

	payment->refs = 1;
	charged_budget_init(&payment->bytes, fs->charges, caller);
	return payment;
}

void payment_unref(struct payment *payment)
{
	if (!g_atomic_int_dec_and_test(&payment->refs))
		return;
	charged_budget_release(&payment->bytes);
	g_free(payment);
}

int payment_make(struct fs *fs, struct deferred *d, struct payment *payment,
	struct content *content)
{
	int r = make(fs, d, &payment->bytes.budget, content);

	return r < 0 ? r : payment_cover(payment, content);
}

int payment_cover(struct payment *payment, const struct content *content)
{
	struct budget *budget = &payment->bytes.budget;
	size_t bytes = content_bytes(content);

	charged_budget_made(&payment->bytes);
	payment->bytes.allowed = UINT64_MAX; /* the memory is taken already */
	budget_use(budget, bytes - MIN(bytes, budget->used));
	return budget->error;
}

static void metadata_free(struct open_metadata *file)
{
	charge_release(&file->listing);
	content_unref(file->content);
	payment_unref(file->payment);
	g_free(file);
}

int listing_charge(struct fs *fs, const struct deferred *d, struct charge *out)
{
	const struct caller caller = identity_caller(d->req);

	return charge_take(fs->charges, &caller, CHARGE_LISTINGS, 1, out);
}

void content_reply(struct deferred *d, struct content *content, struct payment *payment,
	struct charge *listing, int r)
{
	struct open_metadata *file;

	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	file = g_new0(struct open_metadata, 1);
	g_atomic_int_inc(&payment->refs);
	file->payment = payment;
	file->content = content_ref(content);
	file->listing = charge_move(listing);
	d->fi.fh = (uintptr_t)file;
	d->fi.direct_io = true; /* its size is 0 to stat(2) */
	d->fi.noflush = true;
	if (!reply_fh(d->req, &d->fi))
		metadata_free(file);
}

void file_read(fuse_req_t req, size_t size, off_t off, const struct fuse_file_info *fi)
{
	g_autofree char *buf = g_try_malloc(size);

	if (buf)
		reply_buf(req, buf, content_read(metadata_of(fi)->content, buf, size, off));
	else
		reply_result(req, -ENOMEM);
}

void file_release(const struct fuse_file_info *fi)
{
	metadata_free(metadata_of(fi));
}
