/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opens a realm for the length of one request and holds the census meanwhile: what a handler needs
 * before it may ask a kind anything.
 */
#pragma once

#include "daemon/fs.h"

struct visit {
	struct realm realm;
	unsigned needs; /* facets that the census is held for; 0: it is not held */
};

/*
 * `realm`: its name (kinds/realms.h), "" for the daemon's own. `needs`: facets to hold the census for,
 * or 0. 0, and visit_leave() afterwards; or a negative errno: -ENOENT where the last process of the
 * realm's namespace is gone.
 */
int visit_enter(struct fs *fs, const char *realm, unsigned needs, struct visit *out);
void visit_leave(struct fs *fs, struct visit *visit);

/*
 * What the caller is told if the census cannot be held: that the daemon lacks descriptors or memory
 * must not look as if the caller did.
 */
int visit_error(int error);
