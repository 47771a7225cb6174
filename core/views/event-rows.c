/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/event-rows.h"

#include "base/util.h"
#include "caller/sight.h"
#include "procfs/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Who reads, and what was found out about the last process that was asked about. */
struct reader {
	struct caller_sight sight;
	pid_t pid;
	uint64_t born;
	bool seen;
};

/* Whether the number is still that process's, and it has not ended: of a zombie, /proc shows no memory. */
static bool is_alive(const struct reader *reader, const struct process_identity *process)
{
	struct proc_stat stat;
	char name[16];

	snprintf(name, sizeof name, "%d", process->pid);
	auto_fd dir = openat(reader->sight.proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir >= 0 && proc_read_stat(dir, &stat) == 0 && stat.start_time == process->born &&
		!strchr("ZXx", stat.state);
}

static bool ask(struct reader *reader, const struct process_identity *process)
{
	if (reader->sight.proc < 0)
		return false;
	if (process->born && is_alive(reader, process))
		return caller_sees_memory(&reader->sight, process->pid);
	return process->born && caller_sees_past(&reader->sight, process->uid, process->readable);
}

/* Of a process of which nothing but the number is known, only who sees all may know that. */
static bool sees(struct reader *reader, const struct process_identity *process)
{
	if (reader->sight.all)
		return true;
	if (process->pid == 0)
		return false;
	if (process->pid != reader->pid || process->born != reader->born) {
		reader->pid = process->pid;
		reader->born = process->born;
		reader->sight.asked = 0; /* the number may be another process's by now */
		reader->seen = ask(reader, process);
	}
	return reader->seen;
}

bool event_rows_append(struct event_ring *ring, struct event_cursor *cursor,
	const struct caller *caller, size_t enough, GString *out)
{
	g_autofree struct event_copy *copy = g_new(struct event_copy, 1);
	struct reader reader = { .pid = 0 };
	gsize before = out->len;

	caller_sight_begin(&reader.sight, "/proc", caller);
	while (out->len < enough && event_ring_next(ring, cursor, copy))
		event_format(out, &copy->event, sees(&reader, &copy->event.process));
	caller_sight_end(&reader.sight);
	return out->len > before;
}
