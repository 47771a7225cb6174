/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directory of the objects as it was told: what a replay of the events has, against what there is.
 *
 * A name of which another thing was told than what it is stays noted until it is told anew, as it is, or
 * directory_settle() finds the difference. What records were lost of, a list of the directory finds
 * afterwards. Of more than NAMES_MAX names (names.h) the rest is not listed, and not found again.
 *
 * All by one thread at a time.
 */
#pragma once

#include "events/event.h"
#include "events/names.h"

struct directory;

/* What is not as it was told: a name that is gone, has come, or a size. */
struct difference {
	enum event_type type; /* EVENT_REMOVED, EVENT_CREATED or EVENT_RESIZED */
	const char *name;
	struct named named; /* the object that has the name, or had it */
};

struct directory_config {
	int fd;                    /* the caller's */
	const char *reserved;      /* a name that no object has */
	const char *hidden_prefix; /* of the name that an object has while a daemon removes it */
	void (*differs)(const struct difference *difference, void *data);
	void *data;
};

struct directory *directory_new(const struct directory_config *config);
void directory_free(struct directory *directory);

/* Whether an object may have that name, but for a daemon that removes one. */
bool directory_is_hidden(const struct directory *directory, const char *name);
bool directory_is_object(const struct directory *directory, const char *name);

/* The inode number that has the name now, and its size; 0 if that is no object. */
uint64_t directory_look(const struct directory *directory, const char *name, uint64_t *size);

/* Takes what there is as told. To be called once, when records are made already. */
void directory_list(struct directory *directory);

/* Records were lost. When those that are left are handled, it is listed anew. */
void directory_lost(struct directory *directory);

/* The size of that object, if it has a name here, may not be as it was told: it is looked at soon. */
void directory_doubt(struct directory *directory, uint64_t inode);

/* It was told that this object has the name, or none (NULL); `now`: the inode number that has it, or 0. */
void directory_told(struct directory *directory, const char *name, const struct named *named,
	uint64_t now);
void directory_told_size(struct directory *directory, const char *name, uint64_t inode,
	uint64_t size);

/*
 * Which object has the name, after all that was told: false if that is not known. In `*out`, NULL if
 * none has, until something else is told.
 */
bool directory_had(const struct directory *directory, const char *name, const struct named **out);

/* All records are handled that there were at that time, monotonic, in us. */
void directory_drained(struct directory *directory, gint64 when);

/* Whether there is what directory_settle() or directory_drained() has to end. */
bool directory_unsettled(const struct directory *directory);

/* Calls differs() for all that is not as it was told. */
void directory_settle(struct directory *directory);
