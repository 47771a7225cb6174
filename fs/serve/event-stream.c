/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/event-stream.h"

#include "daemon/charge.h"
#include "daemon/identity.h"
#include "events/events.h"
#include "serve/lock-wait.h"
#include "serve/reply.h"
#include "views/event-rows.h"
#include "views/walks.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

/* So many bytes are made at once, and kept until the reader wants the next. */
#define PIECE (64 * 1024)

/* Where the file ends for who has never read: far enough that tail(1) begins to look elsewhere than at 0. */
#define END_AT_LEAST (1024 * 1024)

/* How much longer than a record in the ring its text may be. */
#define TEXT_OF_RECORD 8

/* One open(2), which the kernel knows by `fh`. */
struct event_stream {
	struct charge listing, bytes;
	GMutex lock; /* held while a piece is made */
	/* Protected by the lock. */
	struct event_cursor cursor;
	GString *text; /* the piece that was made last */
	off_t at;      /* where in the file it begins */
	/* Protected by that of the streams. */
	struct fuse_pollhandle *poll; /* who waits in poll(2), or NULL */
	bool behind;                  /* of the piece there is more than was read */
	struct event_cursor left;     /* `cursor`, as the last read left it */
};

/* A read(2) that waits. */
struct waiting {
	fuse_req_t req;
	struct event_stream *stream;
	struct fuse_file_info fi;
	size_t size;
	off_t off;
};

struct event_streams {
	struct fs *fs;
	GMutex lock; /* a leaf, but for that of the ring */
	/* Protected by the lock. */
	GPtrArray *open;    /* of struct event_stream */
	GPtrArray *waiting; /* of struct waiting, which it owns */
	bool ended;
};

struct event_streams *event_streams_new(struct fs *fs)
{
	struct event_streams *streams = g_new0(struct event_streams, 1);

	streams->fs = fs;
	g_mutex_init(&streams->lock);
	streams->open = g_ptr_array_new();
	streams->waiting = g_ptr_array_new();
	return streams;
}

void event_streams_free(struct event_streams *streams)
{
	g_ptr_array_unref(streams->open);
	g_ptr_array_unref(streams->waiting);
	g_mutex_clear(&streams->lock);
	g_free(streams);
}

off_t event_streams_size(struct fs *fs)
{
	return END_AT_LEAST + (off_t)(event_ring_total(events_ring(fs->events)) * TEXT_OF_RECORD);
}

unsigned event_streams_readers(const struct fs *fs)
{
	unsigned n;

	g_mutex_lock(&fs->streams->lock);
	n = fs->streams->open->len;
	g_mutex_unlock(&fs->streams->lock);
	return n;
}

static struct event_stream *stream_of(const struct fuse_file_info *fi)
{
	return (struct event_stream *)(uintptr_t)fi->fh;
}

/* Open and release */

static void stream_free(struct fs *fs, struct event_stream *stream)
{
	g_mutex_lock(&fs->streams->lock);
	g_ptr_array_remove_fast(fs->streams->open, stream);
	g_mutex_unlock(&fs->streams->lock);
	if (stream->poll)
		fuse_pollhandle_destroy(stream->poll);
	events_unuse(fs->events);
	charge_release(&stream->listing);
	charge_release(&stream->bytes);
	g_string_free(stream->text, TRUE);
	g_mutex_clear(&stream->lock);
	g_free(stream);
}

static struct event_stream *stream_new(struct fs *fs, struct charge *listing, struct charge *bytes)
{
	struct event_stream *stream = g_new0(struct event_stream, 1);

	stream->listing = charge_move(listing);
	stream->bytes = charge_move(bytes);
	stream->text = g_string_new(NULL);
	stream->cursor = stream->left = event_ring_end(events_ring(fs->events));
	g_mutex_init(&stream->lock);
	g_mutex_lock(&fs->streams->lock);
	g_ptr_array_add(fs->streams->open, stream);
	g_mutex_unlock(&fs->streams->lock);
	return stream;
}

void event_stream_open(struct fs *fs, struct deferred *d)
{
	const struct caller caller = identity_caller(d->req);
	auto_charge listing = { 0 }, bytes = { 0 };
	int r = charge_take(fs->charges, &caller, CHARGE_LISTINGS, 1, &listing);
	struct event_stream *stream;

	if (r == 0)
		r = charge_take(fs->charges, &caller, CHARGE_BYTES, 2 * PIECE, &bytes);
	if (r == 0)
		r = events_use(fs->events);
	if (r < 0) {
		reply_result(d->req, r);
		return;
	}
	walks_begin(fs->walks);
	walks_wait(fs->walks);
	stream = stream_new(fs, &listing, &bytes);
	d->fi.fh = (uintptr_t)stream;
	d->fi.direct_io = true;
	d->fi.noflush = true;
	if (!reply_fh(d->req, &d->fi))
		stream_free(fs, stream);
}

void event_stream_release(struct fs *fs, const struct fuse_file_info *fi)
{
	stream_free(fs, stream_of(fi));
}

/* Reads that wait */

/* Takes a read out of those that wait; NULL: another thread has done so. The lock is held. */
static struct waiting *take_locked(struct event_streams *streams, fuse_req_t req)
{
	for (guint i = 0; i < streams->waiting->len; i++) {
		struct waiting *waiting = g_ptr_array_index(streams->waiting, i);

		if (waiting->req == req)
			return g_ptr_array_remove_index_fast(streams->waiting, i);
	}
	return NULL;
}

/*
 * Called by libfuse when the reader has got a signal. The request lives until this returns, answered
 * or not; only the thread that takes it out of the list answers it.
 */
static void interrupt(fuse_req_t req, void *data)
{
	struct event_streams *streams = data;
	struct waiting *waiting;

	g_mutex_lock(&streams->lock);
	waiting = take_locked(streams, req);
	g_mutex_unlock(&streams->lock);
	if (waiting)
		reply_result(req, -EINTR);
	g_free(waiting);
}

static bool has_next(const struct fs *fs, const struct event_cursor *cursor)
{
	return event_ring_has_next(events_ring(fs->events), cursor);
}

/* What becomes of a read: another thread answers it; or there is something, nothing any more, or nothing yet. */
enum { KEPT, HAS_NEXT, ENDED, WAITS };

/*
 * Keeps the request, unless there is an event by now, or it has been interrupted (-EINTR), or the
 * daemon ends. No lock is held when libfuse is told whom to call, for it may call at once.
 */
static int keep(struct fs *fs, const struct waiting *waiting, const struct event_cursor *cursor)
{
	struct event_streams *streams = fs->streams;
	int r = KEPT;

	fuse_req_interrupt_func(waiting->req, interrupt, streams);
	g_mutex_lock(&streams->lock);
	if (streams->ended)
		r = ENDED;
	else if (fuse_req_interrupted(waiting->req))
		r = -EINTR;
	else if (has_next(fs, cursor))
		r = HAS_NEXT;
	else
		g_ptr_array_add(streams->waiting, g_memdup2(waiting, sizeof *waiting));
	g_mutex_unlock(&streams->lock);
	return r;
}

/* Reading */

static void set_behind(struct fs *fs, struct event_stream *stream, bool behind)
{
	g_mutex_lock(&fs->streams->lock);
	stream->behind = behind;
	g_mutex_unlock(&fs->streams->lock);
}

/* For poll(2), which must not wait until a piece is made. The stream's lock is held. */
static struct event_cursor leave(struct fs *fs, struct event_stream *stream)
{
	g_mutex_lock(&fs->streams->lock);
	stream->left = stream->cursor;
	g_mutex_unlock(&fs->streams->lock);
	return stream->cursor;
}

/*
 * Copies of the piece what there is from `off` on: the number of bytes in `*n`. The lock is held, and
 * not while it is sent.
 */
static char *copy_piece(struct fs *fs, struct event_stream *stream, off_t off, size_t *n)
{
	gsize from = off - stream->at;

	*n = MIN(*n, stream->text->len - from);
	set_behind(fs, stream, from + *n < stream->text->len);
	return g_memdup2(stream->text->str + from, *n);
}

/* Makes the next piece. The lock is held. */
static bool make_piece(struct fs *fs, fuse_req_t req, struct event_stream *stream)
{
	const struct caller caller = identity_caller(req);
	g_autoptr(GString) next = NULL;

	/* What the caller may see is looked up in /proc: not for nothing. */
	if (!has_next(fs, &stream->cursor))
		return false;
	next = g_string_new(NULL);
	if (!event_rows_append(events_ring(fs->events), &stream->cursor, UINT64_MAX, &caller, PIECE,
		    next))
		return false;
	stream->at += stream->text->len;
	g_string_assign(stream->text, next->str);
	return true;
}

/* As for keep(), and WAITS: there is no event. With HAS_NEXT, the answer is in `*out`. */
static int read_locked(struct fs *fs, const struct deferred *d, struct event_stream *stream,
	char **out, size_t *n)
{
	off_t end = stream->at + stream->text->len;

	if (d->offset < stream->at || d->offset > end) {
		/* It reads elsewhere: there the file ends. */
		g_string_truncate(stream->text, 0);
		stream->at = d->offset;
		return ENDED;
	}
	if (d->offset == end && !make_piece(fs, d->req, stream))
		return d->fi.flags & O_NONBLOCK ? -EAGAIN : WAITS;
	*n = d->length;
	*out = copy_piece(fs, stream, d->offset, n);
	return HAS_NEXT;
}

static void read_now(struct fs *fs, struct deferred *d)
{
	struct event_stream *stream = stream_of(&d->fi);
	const struct waiting waiting = { d->req, stream, d->fi, d->length, d->offset };
	g_autofree char *text = NULL;
	struct event_cursor cursor;
	size_t n = 0;
	int r;

	do {
		g_mutex_lock(&stream->lock);
		r = read_locked(fs, d, stream, &text, &n);
		cursor = leave(fs, stream);
		g_mutex_unlock(&stream->lock);
		/* When the request is kept, the stream may be closed at any time. */
		if (r == WAITS)
			r = keep(fs, &waiting, &cursor);
	} while (r == HAS_NEXT && !text);
	if (r < 0)
		reply_result(d->req, r);
	else if (r != KEPT)
		reply_buf(d->req, text, n);
}

static void defer_read(struct fs *fs, const struct waiting *waiting)
{
	struct deferred d = {
		.req = waiting->req,
		.fi = waiting->fi,
		.length = waiting->size,
		.offset = waiting->off,
	};

	defer_if(fs, true, &d, read_now);
}

void event_stream_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct waiting waiting = { req, stream_of(fi), *fi, size, off };

	defer_read(fs_of(req), &waiting);
}

void event_stream_poll(fuse_req_t req, struct fuse_file_info *fi, struct fuse_pollhandle *handle)
{
	struct fs *fs = fs_of(req);
	struct event_stream *stream = stream_of(fi);
	struct fuse_pollhandle *old = NULL;
	unsigned ready = 0;

	g_mutex_lock(&fs->streams->lock);
	if (handle) {
		old = stream->poll;
		stream->poll = handle;
	}
	if (fs->streams->ended || stream->behind || has_next(fs, &stream->left))
		ready = POLLIN | POLLRDNORM;
	g_mutex_unlock(&fs->streams->lock);
	if (old)
		fuse_pollhandle_destroy(old);
	reply_poll(req, ready);
}

/* Waking */

/* Takes all that waits: reads into `reads`, and into `polls` who waits in poll(2). */
static void take_all(struct event_streams *streams, bool end, GPtrArray *reads, GPtrArray *polls)
{
	g_mutex_lock(&streams->lock);
	streams->ended |= end;
	for (guint i = 0; i < streams->waiting->len; i++)
		g_ptr_array_add(reads, g_ptr_array_index(streams->waiting, i));
	g_ptr_array_set_size(streams->waiting, 0);
	for (guint i = 0; i < streams->open->len; i++) {
		struct event_stream *stream = g_ptr_array_index(streams->open, i);

		if (stream->poll)
			g_ptr_array_add(polls, stream->poll);
		stream->poll = NULL;
	}
	g_mutex_unlock(&streams->lock);
}

static void notify_all(const GPtrArray *polls)
{
	for (guint i = 0; i < polls->len; i++) {
		struct fuse_pollhandle *handle = g_ptr_array_index(polls, i);

		fuse_lowlevel_notify_poll(handle);
		fuse_pollhandle_destroy(handle);
	}
}

void event_streams_wake(void *data)
{
	struct fs *fs = data;
	g_autoptr(GPtrArray) reads = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) polls = g_ptr_array_new();

	take_all(fs->streams, false, reads, polls);
	for (guint i = 0; i < reads->len; i++)
		defer_read(fs, g_ptr_array_index(reads, i));
	notify_all(polls);
}

void event_streams_end(struct event_streams *streams)
{
	g_autoptr(GPtrArray) reads = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) polls = g_ptr_array_new();

	take_all(streams, true, reads, polls);
	for (guint i = 0; i < reads->len; i++)
		reply_buf(((struct waiting *)g_ptr_array_index(reads, i))->req, NULL, 0);
	notify_all(polls);
}
