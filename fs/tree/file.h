/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the content of a metadata file is made, paid for, and handed to who opens it. */
#pragma once

#include "caller/caller.h"
#include "daemon/charge.h"
#include "serve/defer.h"
#include "tree/content.h"
#include "tree/tree-entry.h"

struct payment;

/*
 * What a node of the type TREE_ATTRIBUTE shows, NULL for the others. Its needs are the same for
 * every item; which one it is, only the item knows.
 */
const struct attribute *file_attribute(const struct node *node);

/* With one reference. Nothing is charged yet. */
struct payment *payment_new(struct fs *fs, const struct caller *caller);
void payment_unref(struct payment *payment);

/* Makes what the node of `d` says, for its caller, charged meanwhile. 0 or a negative errno. */
int payment_make(struct fs *fs, struct deferred *d, struct payment *payment,
	struct content *content);

/* Charges a content that another one's payment was made with. 0 or a negative errno. */
int payment_cover(struct payment *payment, const struct content *content);

/*
 * Charges the caller for one more open file: before its content is made, which who has too many of
 * them is not worth. 0 or a negative errno: -EMFILE.
 */
int listing_charge(struct fs *fs, const struct deferred *d, struct charge *out);

/* Read from, and release, a file that content_reply() has opened. */
void file_read(fuse_req_t req, size_t size, off_t off, const struct fuse_file_info *fi);
void file_release(const struct fuse_file_info *fi);

/*
 * Answers an open(2) with that content, or with the error `r`. The open file has references of its
 * own to what it is given, and takes `listing` over if the answer is a content.
 */
void content_reply(struct deferred *d, struct content *content, struct payment *payment,
	struct charge *listing, int r);
