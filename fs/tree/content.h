/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The content of an open metadata file: fixed at open(2), so that all reads see the same instant.
 *
 * Either a text, or rows that are rendered when they are read, from a snapshot in a form more
 * compact than the text: a listing of 100,000 segments is read in pieces and never whole in memory.
 */
#pragma once

#include "base/view-rows.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

struct content {
	gint refs;             /* atomic */
	GString *text;         /* the whole, or the piece rendered last */
	struct view_rows rows; /* n > 0: `text` is a piece of these */
	GMutex lock;    /* protects `text`, `starts` and `piece` while several threads read */
	GArray *starts; /* of goffset: where each piece begins, as far as rendered */
	gsize piece;    /* which piece `text` is; G_MAXSIZE: none yet */
};

/* With one reference. */
struct content *content_new(void);
struct content *content_ref(struct content *content);
void content_unref(struct content *content);

/* Memory that it takes while it is open, about. The same from when it is made on. */
size_t content_bytes(const struct content *content);

/* Copies up to `size` bytes from `offset` on; returns how many, 0 at the end. */
ssize_t content_read(struct content *content, char *buf, size_t size, off_t offset);
