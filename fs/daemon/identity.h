/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A request's caller, for what core/caller/ does on its behalf. */
#pragma once

#include "caller/fsuid.h"

#include <fuse_lowlevel.h>

static inline struct caller identity_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct caller){ .uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid };
}

/* The same as the functions of fsuid.h. */
static inline void identity_begin(struct fsuid *id, fuse_req_t req)
{
	const struct caller caller = identity_caller(req);

	fsuid_begin(id, &caller);
}

static inline void identity_begin_by_descriptor(struct fsuid *id, fuse_req_t req, bool clears)
{
	const struct caller caller = identity_caller(req);

	fsuid_begin_by_descriptor(id, &caller, clears);
}

static inline bool identity_permits(fuse_req_t req, const struct ownership *file, int want)
{
	const struct caller caller = identity_caller(req);

	return fsuid_permits(&caller, file, want);
}
