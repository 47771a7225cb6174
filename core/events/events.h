/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The events of this machine's shared memory, for those who read them.
 *
 * While nobody uses them nothing is watched: there is no fanotify group, and the thread sleeps. One
 * thread reads fanotify's records and adds the events to a ring (ring.h) of fixed size, which all
 * readers share; other threads may add events too. So a stranger who makes a hundred thousand objects
 * a second makes the daemon neither grow nor wait: what no reader has read in time is lost, and each
 * reader is told how many events that are.
 */
#pragma once

#include "caller/caller.h"
#include "events/event.h"
#include "events/origins.h"
#include "events/ring.h"
#include "events/sizes.h"

struct event_act;
struct events;

struct events_config {
	int directory;             /* that holds the POSIX objects; the caller's */
	const char *kind;          /* what these are called; the strings are static */
	const char *reserved;      /* a name that none of them has */
	const char *hidden_prefix; /* of the name of one that is being removed by a daemon */
	size_t bytes;              /* of the ring; 0: as large as usual */
	/* There are new events. Called by the events' own thread, which holds no lock. */
	void (*wake)(void *data);
	/*
	 * A process has made an object smaller, or who did is not known any more (sizes.h). Called by the
	 * same thread, with a lock held. NULL: nobody wants to know.
	 */
	void (*shrunk)(const struct shrink *shrink, void *data);
	void *data;
};

/* 0 or a negative errno. Nothing is watched yet. */
int events_new(const struct events_config *config, struct events **out);

/* Ends the thread, so that nothing is told any more: false if it has not ended after a while. */
bool events_stop(struct events *events);

/* Nobody uses the events any more. */
void events_free(struct events *events);

/*
 * From the first events_use() on what happens is watched, until the last events_unuse(). What has
 * happened after events_use() returned is told; what happened shortly before may be, too. Where fanotify is not to be had, the events lack what
 * only it tells: events_missing() says so. 0, or -EAGAIN if no thread can be had, or events_stop() was
 * called. From any thread.
 */
int events_use(struct events *events);
void events_unuse(struct events *events);
bool events_on(struct events *events);

/* Why the POSIX objects cannot be watched, a static string; NULL if they can, or nobody has tried. */
const char *events_missing(struct events *events);

/* Where the events are. */
struct event_ring *events_ring(struct events *events);

/* Adds an event, if there is a use for it. */
void events_tell(struct events *events, const struct event *event);

/*
 * The same, after all that has happened to POSIX objects up to now. Where thousands of such events come
 * while the thread is busy, those that find no room are lost, and it is told how many.
 */
void events_tell_later(struct events *events, const struct event *event);

/*
 * What the daemon does for a caller (acts.h). events_begin() returns NULL while nobody uses the
 * events; events_end() then does nothing. The caller waits for the daemon meanwhile.
 */
struct event_act *events_begin(struct events *events, unsigned types, const char *name,
	uint64_t inode, bool by_child, const struct caller *caller);
void events_end(struct events *events, struct event_act *act, bool done, uint64_t inode);

/*
 * Fills in for whom the daemon has done that, to what fanotify does not tell of; false if it has not.
 */
bool events_take(struct events *events, enum event_type type, const char *name, uint64_t inode,
	struct process_identity *out);

/* Who gave an object of the directory its first name, and took its last: origins_find(). */
void events_origin(struct events *events, uint64_t inode, int64_t born, bool nameless,
	struct origin *out);

/* The process of that number, which exists: event_processes_find(). */
void events_process(struct events *events, pid_t pid, struct process_identity *out);
