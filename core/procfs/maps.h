/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two ways to read the mappings of one process from its /proc/PID/maps.
 *
 * Neither shows the address space as it was at one instant. A mapping that exists from the first
 * read to the last is reported; one that is moved, split or merged meanwhile may be reported twice,
 * with overlapping addresses, or not at all.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct vma {
	uint64_t start, end; /* addresses */
	uint64_t offset;     /* bytes into the file */
	uint64_t dev, ino;   /* of the file; 0 and 0: none */
	char perms[5];       /* "rw-s" */
	char *name;          /* of the file, " (deleted)" included; the receiver may change it */
};

enum vma_interest { VMA_SKIP, VMA_PLAIN, VMA_NAMED };

struct maps_sink {
	/* Says whether the row is wanted, and its name, which `vma` does not have yet. */
	enum vma_interest (*look)(const struct vma *vma, void *data);
	/* Takes a wanted row; `name` is NULL if not wanted. Rows ascend by end address. */
	void (*row)(struct vma *vma, void *data);
	void *data;
};

/*
 * Read all rows from a newly opened descriptor of /proc/PID/maps. 0, or a negative errno: -ESRCH if
 * the process has no address space (any more), -EPROTO if the answer is not what the kernel writes.
 */
int maps_query_read(int fd, const struct maps_sink *sink);
int maps_text_read(int fd, const struct maps_sink *sink);

/* Whether the kernel behind this descriptor of a maps file answers queries: 0, or -ENOTTY etc. */
int maps_query_probe(int fd);

/*
 * Passes the complete lines at the beginning of `text` to the sink; they are changed in place.
 * Returns the number of bytes in them, or -EPROTO if a line is not what the kernel writes.
 */
ssize_t maps_text_lines(char *text, size_t size, const struct maps_sink *sink);
