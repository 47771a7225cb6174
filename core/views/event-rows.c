/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/event-rows.h"

#include "caller/who.h"

/* Who reads, and what was found out about the last process that was asked about. */
struct reader {
	struct caller_sight sight;
	pid_t pid;
	uint64_t born;
	bool seen;
};

/* Of a process of which nothing but the number is known, only who sees all may know that. */
static bool sees(struct reader *reader, const struct process_identity *process)
{
	if (process->pid != reader->pid || process->born != reader->born) {
		reader->pid = process->pid;
		reader->born = process->born;
		reader->seen = caller_sees_who(&reader->sight, process->pid, process->born,
			process->uid, process->readable);
	}
	return reader->seen;
}

bool event_rows_append(struct event_ring *ring, struct event_cursor *cursor, uint64_t until,
	const struct caller *caller, size_t enough, GString *out)
{
	g_autofree struct event_copy *copy = g_new(struct event_copy, 1);
	struct reader reader = { .pid = -1 };
	gsize before = out->len;

	caller_sight_begin(&reader.sight, "/proc", caller);
	while (out->len < enough && cursor->number < until && event_ring_next(ring, cursor, copy))
		event_format(out, &copy->event, sees(&reader, &copy->event.process));
	caller_sight_end(&reader.sight);
	return out->len > before;
}
