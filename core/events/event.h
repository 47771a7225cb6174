/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happened to a segment: one line of `events` and of `log`. */
#pragma once

#include "procfs/process-facts.h"

#include <glib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum event_type {
	EVENT_CREATED,
	EVENT_RESIZED,
	EVENT_RENAMED,
	EVENT_REMOVED,
	EVENT_OPENED,
	EVENT_CLOSED,
	EVENT_MAPPED,
	EVENT_UNMAPPED,
	EVENT_IDLE,
	EVENT_FAULTED,
	EVENT_LOST, /* others are missing here: `lost` says how many */
};

/* A number that is not known. */
#define EVENT_UNKNOWN UINT64_MAX

/* What is not known of an event is 0 (pid), NULL or EVENT_UNKNOWN. */
struct event {
	int64_t time; /* nanoseconds since 1970; 0: event_ring_append() takes the present */
	enum event_type type;
	const char *kind; /* the KIND column of `segments`; a static string */
	const char *id;   /* its directory's name in the kind's directory */
	const char *name;
	const char *from; /* EVENT_RENAMED: the name before */
	uint64_t inode;
	uint64_t size; /* bytes, when the daemon looked, which is after the event */
	uint64_t lost; /* EVENT_LOST: how many */
	/* Who did it. `pid` alone may be known: then `born` is 0, and the rest means nothing. */
	struct process_identity process;
};

/* The time of day, as in an event. */
int64_t event_now(void);

/* "created" ... "lost". */
const char *event_type_name(enum event_type type);

/*
 * Appends the event as a JSON object and a newline. `show_process`: whether the reader may know the
 * process; else it is null.
 */
void event_format(GString *out, const struct event *event, bool show_process);
