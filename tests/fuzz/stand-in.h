/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon without a mount, in this process, and what stands in for /dev/fuse. */
#pragma once

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
	struct fuse_in_header header;
	size_t size; /* of what follows the header */
	char bytes[8192];
};

struct answer {
	int error;  /* 0, or a negative errno */
	bool taken; /* false: the daemon was told that nobody waits for it any more */
	size_t size;
	_Alignas(8) char bytes[512]; /* as much of it as fits */
};

/* Starts the daemon, once; false if this machine does not let it. */
bool stand_in_begin(void);

/* The daemon's object. */
struct fs *stand_in_fs(void);

/* Gives a request that has no answer. */
void stand_in_send(const struct request *request);

/* Gives a request and waits for its answer, which stays valid until the next. */
const struct answer *stand_in_ask(const struct request *request);

/* Whether the next answers are not taken, as if their callers had been killed. */
void stand_in_refuse(bool refuse);

/* Removes what the requests have made. */
void stand_in_end(void);
