/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What read(2) of a fanotify group returns, taken apart (fanotify(7)). Pure: it opens and closes nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A file handle, as name_to_handle_at(2) gives it. */
struct file_id {
	const uint8_t *bytes; /* in the buffer; NULL: there is none */
	size_t n;
	int type;
};

/* A file of a tmpfs has a handle of this type and length: generation, and inode number in two halves. */
#define TMPFS_HANDLE_TYPE 1
#define TMPFS_HANDLE_BYTES 12

struct fanotify_record {
	uint64_t mask; /* FAN_* */
	pid_t pid;     /* 0: a process that the group's pid namespace does not show */
	int pidfd;     /* of that process, for the receiver to close; -1: it is gone already */
	struct file_id file;
	struct file_id directory, new_directory;
	const char *name, *new_name; /* in these; NULL: none was told */
};

/*
 * Calls `visit` for each record. 0, or -EPROTO where the bytes are not what the kernel writes: then
 * what comes after is not looked at.
 */
int fanotify_records_parse(const uint8_t *bytes, size_t n,
	void (*visit)(const struct fanotify_record *record, void *data), void *data);

/* The inode number in the handle of a tmpfs's file. False if it is not such a handle. */
bool file_id_inode(const struct file_id *id, uint64_t *out);

bool file_id_equal(const struct file_id *a, const struct file_id *b);
