/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file `events`: a stream, of which each open(2) has a place of its own.
 *
 * A read(2) that finds no event is kept, and answered when there is one: it takes no thread meanwhile.
 * A signal to its process answers it with EINTR, the end of the daemon with the end of the file. What
 * is read is made when it is read, with the rights of who reads then.
 *
 * A reader goes on where it has stopped, and may go back within what it was given last. A read from
 * anywhere else is at the end of the file, once, and from then on that place is the reader's: so
 * tail(1), which looks for the last lines in front of the end, finds none and then follows. The size
 * that stat(2) tells is never less than where a reader is.
 */
#pragma once

#include "daemon/fs.h"
#include "serve/defer.h"

#include <sys/stat.h>

struct event_streams;

struct event_streams *event_streams_new(struct fs *fs);

/* Answers the reads that are kept; later ones are at the end of the file. */
void event_streams_end(struct event_streams *streams);

/* After that, when no request comes any more. */
void event_streams_free(struct event_streams *streams);

/* events_config's wake(); `data` is the struct fs. */
void event_streams_wake(void *data);

/* Handlers of requests on the file, which reply. */
void event_stream_open(struct fs *fs, struct deferred *d);
void event_stream_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi);
void event_stream_poll(fuse_req_t req, struct fuse_file_info *fi, struct fuse_pollhandle *handle);
void event_stream_release(struct fs *fs, const struct fuse_file_info *fi);

/* What stat(2) shows as the size. */
off_t event_streams_size(struct fs *fs);

/* How many readers there are. */
unsigned event_streams_readers(const struct fs *fs);
