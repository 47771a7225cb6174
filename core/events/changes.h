/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes events of fanotify's records: what happened to the POSIX objects, by whom, and what size they
 * have.
 *
 * The kernel merges what a process does to a file in a row into one record, whose place is that of the
 * first thing done; so the order in which names come and go may be lost where a process makes and
 * removes one of them over and over. After each record the name is looked at. A name of which another
 * thing was told than what it is stays noted until later records explain it; when no record has come
 * for a moment, or none has explained it for a second, what is left is told as it is, by nobody. So in the
 * end the events add up to the directory's content. When the kernel had to drop records, the directory is
 * listed afterwards, and what is different from what was told is noted in the same way.
 *
 * All by one thread at a time.
 */
#pragma once

#include "events/acts.h"
#include "events/fanotify.h"
#include "events/origins.h"
#include "events/processes.h"
#include "events/sizes.h"

struct changes;

struct changes_config {
	int directory; /* that holds the objects; the caller's */
	const char *kind;
	const char *reserved;      /* a name that no object has */
	const char *hidden_prefix; /* of the name that an object has while a daemon removes it */
	struct event_acts *acts;
	struct event_processes *processes;
	struct origins *origins;
	void (*tell)(const struct event *event, void *data);
	void (*shrunk)(const struct shrink *shrink, void *data);
	void *data;
};

/* `config` and what it points to live longer. */
struct changes *changes_new(const struct changes_config *config);

/* To be called once, before changes_handle() and after the kernel has begun to note records: lists what there is. */
void changes_begin(struct changes *changes);

void changes_free(struct changes *changes);

/* Tells of all that stands in the bytes, and closes the descriptors in them. 0 or -EPROTO. */
int changes_handle(struct changes *changes, const struct fanotify_group *group,
	const uint8_t *bytes, size_t n);

/* At that time, monotonic, in us, the kernel had no more records than those that were handled. */
void changes_drained(struct changes *changes, gint64 when);

/* Whether there is what will be known for certain only a moment later. */
bool changes_unsettled(const struct changes *changes);

/* Nothing has happened for a moment: tells the truth of names of which something else was told. */
void changes_settle(struct changes *changes);
