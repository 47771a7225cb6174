/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which metadata files are made at once, and which by a worker, where that may wait; and which have no
 * end (event-stream.h).
 */
#include "census/census.h"
#include "daemon/identity.h"
#include "serve/reply.h"
#include "serve/event-stream.h"
#include "tree/file.h"
#include "tree/shared-open.h"
#include "tree/tree.h"

#include <fcntl.h>

static void open_now(struct fs *fs, struct deferred *d)
{
	const struct caller caller = identity_caller(d->req);
	struct payment *payment = payment_new(fs, &caller);
	struct content *content = content_new();
	auto_charge listing = { 0 };
	int r = listing_charge(fs, d, &listing);

	if (r == 0)
		r = payment_make(fs, d, payment, content);
	if (d->held)
		census_release(fs->census);
	if (r == -EAGAIN && d->at_once) {
		charge_release(&listing);
		d->at_once = false; /* a worker begins anew */
		defer_if(fs, true, d, open_now);
	} else {
		content_reply(d, content, payment, &listing, r);
	}
	content_unref(content);
	payment_unref(payment);
}

static bool is_slow(const struct node *node)
{
	const struct attribute *attribute = file_attribute(node);

	return node->entry->type == TREE_FILE || tree_waits(node) ||
		(attribute && (attribute->needs || attribute->slow));
}

/* All but single values: the census may be held for as long as it takes to copy much of it. */
static bool takes_long(const struct node *node)
{
	const struct attribute *attribute = file_attribute(node);

	return node->entry->type == TREE_FILE || (attribute && attribute->take);
}

/*
 * Some attributes can often be told from the object alone, where they are asked for: a worker is
 * for those that cannot.
 */
static bool may_be_quick(const struct node *node)
{
	const struct attribute *attribute = file_attribute(node);

	return attribute && attribute->quick && !tree_waits(node);
}

/*
 * A count is often asked for again when nothing has changed since, which takes but a look: then it
 * is answered where it was asked, and costs no more than a file that needs no census.
 */
static bool hold_at_once(struct fs *fs, const struct node *node)
{
	const struct attribute *attribute = file_attribute(node);

	return attribute && attribute->form == FORM_NUMBER && !attribute->slow &&
		!tree_waits(node) && attribute->needs &&
		census_hold_at_once(fs->census, attribute->needs);
}

void tree_open(struct fs *fs, fuse_req_t req, struct node *node, struct fuse_file_info *fi)
{
	struct deferred d = { .req = req, .node = node, .fi = *fi };
	int r = tree_permit(fs, req, node, R_OK);

	if (r < 0) {
		reply_result(req, r);
	} else if (node->entry->type != TREE_FILE && node->entry->type != TREE_ATTRIBUTE) {
		reply_result(req, -EISDIR);
	} else if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		reply_result(req, -EACCES);
	} else if (node->entry->stream) {
		defer_if(fs, true, &d, event_stream_open);
	} else {
		if (node->entry->for_all && !*tree_realm(node)) {
			shared_open(fs, &d);
			return;
		}
		d.lists = takes_long(node);
		d.held = hold_at_once(fs, node);
		d.at_once = !d.held && may_be_quick(node);
		defer_if(fs, !d.held && !d.at_once && is_slow(node), &d, open_now);
	}
}

void tree_read(fuse_req_t req, const struct node *node, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	if (node->entry->stream)
		event_stream_read(req, size, off, fi);
	else
		file_read(req, size, off, fi);
}

void tree_poll(fuse_req_t req, const struct node *node, struct fuse_file_info *fi,
	struct fuse_pollhandle *handle)
{
	if (node->entry->stream)
		event_stream_poll(req, fi, handle);
	else
		reply_poll_of_file(req, handle);
}

void tree_release(struct fs *fs, const struct node *node, const struct fuse_file_info *fi)
{
	if (node->entry->stream)
		event_stream_release(fs, fi);
	else
		file_release(fi);
}
