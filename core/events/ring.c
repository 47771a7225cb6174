/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/ring.h"

#include <string.h>

/* How a record begins; its strings follow, without their ends. */
struct header {
	uint16_t bytes;                              /* of the whole record */
	uint8_t type, id, name, from, command, unit; /* lengths of the strings */
	bool readable;
	bool has_id, has_name, has_from;
	bool named_by_id; /* the ID stands for the name too */
	pid_t pid;
	uid_t uid;
	int64_t time;
	const char *kind;
	uint64_t inode, size, born;
};

#define RECORD_MAX (sizeof(struct header) + 3 * NAME_MAX + 16 + CGROUP_UNIT_MAX)

struct event_ring {
	GMutex lock; /* a leaf */
	size_t size; /* constant */
	/* Protected by the lock. Places are counted from the beginning of all time. */
	uint8_t *bytes;
	uint64_t first, begin; /* number and place of the oldest event */
	uint64_t next, end;    /* those of the next one to be added */
};

struct event_ring *event_ring_new(size_t bytes)
{
	struct event_ring *ring = g_new0(struct event_ring, 1);

	ring->size = MAX(bytes, 2 * RECORD_MAX);
	g_mutex_init(&ring->lock);
	return ring;
}

void event_ring_free(struct event_ring *ring)
{
	g_mutex_clear(&ring->lock);
	g_free(ring->bytes);
	g_free(ring);
}

void event_ring_clear(struct event_ring *ring)
{
	g_mutex_lock(&ring->lock);
	ring->first = ring->next;
	ring->begin = ring->end;
	g_clear_pointer(&ring->bytes, g_free);
	g_mutex_unlock(&ring->lock);
}

/* Bytes, around the end of the memory */

static void put(struct event_ring *ring, uint64_t at, const void *data, size_t n)
{
	size_t place = at % ring->size, first = MIN(n, ring->size - place);

	memcpy(ring->bytes + place, data, first);
	memcpy(ring->bytes, (const uint8_t *)data + first, n - first);
}

static void get(const struct event_ring *ring, uint64_t at, void *data, size_t n)
{
	size_t place = at % ring->size, first = MIN(n, ring->size - place);

	memcpy(data, ring->bytes + place, first);
	memcpy((uint8_t *)data + first, ring->bytes, n - first);
}

static uint16_t bytes_at(const struct event_ring *ring, uint64_t at)
{
	uint16_t bytes;

	get(ring, at, &bytes, sizeof bytes);
	return bytes;
}

/* Records */

static uint8_t length(const char *text)
{
	return text ? MIN(strlen(text), NAME_MAX) : 0;
}

static uint8_t *add(uint8_t *at, const char *text, size_t n)
{
	if (n > 0)
		memcpy(at, text, n);
	return at + n;
}

/* Of most segments the name is the ID, which then is there once. */
static size_t pack(const struct event *event, uint8_t *out)
{
	const struct process_identity *process = &event->process;
	bool same = event->id && event->name && strcmp(event->id, event->name) == 0;
	struct header header = {
		.type = event->type,
		.id = length(event->id),
		.name = same ? 0 : length(event->name),
		.from = length(event->from),
		.command = process->born ? length(process->command) : 0,
		.unit = process->born ? length(process->unit) : 0,
		.readable = process->readable,
		.has_id = event->id,
		.has_name = event->name && !same,
		.named_by_id = same,
		.has_from = event->from,
		.pid = process->pid,
		.uid = process->uid,
		.time = event->time,
		.kind = event->kind,
		.inode = event->inode,
		.size = event->type == EVENT_LOST ? event->lost : event->size,
		.born = process->born,
	};
	uint8_t *at = out + sizeof header;

	at = add(at, event->id, header.id);
	at = add(at, event->name, header.name);
	at = add(at, event->from, header.from);
	at = add(at, process->command, header.command);
	at = add(at, process->unit, header.unit);
	header.bytes = at - out;
	memcpy(out, &header, sizeof header);
	return header.bytes;
}

static const uint8_t *take(const uint8_t *at, char *out, size_t n)
{
	memcpy(out, at, n);
	out[n] = 0;
	return at + n;
}

static void unpack(const uint8_t *record, struct event_copy *out)
{
	struct event *event = &out->event;
	const uint8_t *at = record + sizeof(struct header);
	struct header header;

	memcpy(&header, record, sizeof header);
	*event = (struct event){
		.time = header.time,
		.type = header.type,
		.kind = header.kind,
		.inode = header.inode,
		.size = header.size,
		.lost = header.size,
		.process = { .pid = header.pid,
			.uid = header.uid,
			.born = header.born,
			.readable = header.readable },
	};
	at = take(at, out->id, header.id);
	at = take(at, out->name, header.name);
	at = take(at, out->from, header.from);
	at = take(at, event->process.command, header.command);
	take(at, event->process.unit, header.unit);
	event->id = header.has_id ? out->id : NULL;
	event->name = header.has_name ? out->name : header.named_by_id ? out->id : NULL;
	event->from = header.has_from ? out->from : NULL;
}

void event_ring_append(struct event_ring *ring, const struct event *event)
{
	uint8_t record[RECORD_MAX];
	struct event timed = *event;
	size_t n;

	if (timed.time == 0)
		timed.time = event_now();
	n = pack(&timed, record);
	g_mutex_lock(&ring->lock);
	if (!ring->bytes)
		ring->bytes = g_malloc(ring->size);
	while (ring->end + n - ring->begin > ring->size) {
		ring->begin += bytes_at(ring, ring->begin);
		ring->first++;
	}
	put(ring, ring->end, record, n);
	ring->end += n;
	ring->next++;
	g_mutex_unlock(&ring->lock);
}

/* Readers */

struct event_cursor event_ring_end(struct event_ring *ring)
{
	struct event_cursor cursor;

	g_mutex_lock(&ring->lock);
	cursor = (struct event_cursor){ ring->next, ring->end };
	g_mutex_unlock(&ring->lock);
	return cursor;
}

struct event_cursor event_ring_back(struct event_ring *ring, uint64_t n)
{
	struct event_cursor cursor;

	g_mutex_lock(&ring->lock);
	cursor = (struct event_cursor){ ring->first, ring->begin };
	while (ring->next - cursor.number > n) {
		cursor.at += bytes_at(ring, cursor.at);
		cursor.number++;
	}
	g_mutex_unlock(&ring->lock);
	return cursor;
}

static void read_locked(const struct event_ring *ring, uint64_t at, struct event_copy *out)
{
	uint8_t record[RECORD_MAX];

	get(ring, at, record, bytes_at(ring, at));
	unpack(record, out);
}

/* What is gone is the first thing to be told, with the time of what comes after it. */
static void tell_lost(const struct event_ring *ring, struct event_cursor *cursor,
	struct event_copy *out)
{
	out->event = (struct event){
		.type = EVENT_LOST,
		.time = event_now(),
		.lost = ring->first - cursor->number,
	};
	*cursor = (struct event_cursor){ ring->first, ring->begin };
}

bool event_ring_next(struct event_ring *ring, struct event_cursor *cursor, struct event_copy *out)
{
	bool any = true;

	g_mutex_lock(&ring->lock);
	if (cursor->number < ring->first) {
		tell_lost(ring, cursor, out);
	} else if (cursor->number < ring->next) {
		read_locked(ring, cursor->at, out);
		cursor->at += bytes_at(ring, cursor->at);
		cursor->number++;
	} else {
		any = false;
	}
	g_mutex_unlock(&ring->lock);
	return any;
}

bool event_ring_has_next(struct event_ring *ring, const struct event_cursor *cursor)
{
	bool has;

	g_mutex_lock(&ring->lock);
	has = cursor->number < ring->next;
	g_mutex_unlock(&ring->lock);
	return has;
}

uint64_t event_ring_total(struct event_ring *ring)
{
	return event_ring_end(ring).at;
}
