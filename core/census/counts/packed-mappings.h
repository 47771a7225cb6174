/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mappings of one space in about nine bytes each (base/packed.h), where struct mapping has 48: a
 * million of them are usual where a large database runs. Equal rows are equal bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment;

/*
 * A row as it is set and got. All bytes are set. A process's mappings stand in ascending order of
 * address.
 */
struct mapping {
	struct segment *segment;
	uint64_t start, end; /* addresses */
	uint64_t offset;     /* bytes into the segment */
	char perms[8];       /* "rw-s" as in /proc/PID/maps, zero to the end */
	uint64_t file; /* stands for the open file: equal where it is the same; 0: not known */
};

/* What many rows of one space have in common. */
struct mapped_file {
	struct segment *segment;
	uint64_t file;
};

struct packed_mappings {
	uint8_t *bytes; /* owned */
	size_t size;
	struct mapped_file *files; /* owned */
	size_t n_files;
};

struct packed_mappings packed_mappings_make(const struct mapping *rows, size_t n);
void packed_mappings_clear(struct packed_mappings *mappings);
bool packed_mappings_equal(const struct packed_mappings *a, const struct packed_mappings *b);

/* Reads the row that begins at `*at`, 0 for the first one, and moves on to the next. */
void packed_mappings_get(const struct packed_mappings *mappings, size_t *at, struct mapping *out);
struct segment *packed_mappings_segment(const struct packed_mappings *mappings, size_t *at);
