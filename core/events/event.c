/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/event.h"

#include "base/json.h"

#include <time.h>

#define NANOSECONDS INT64_C(1000000000)

int64_t event_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return time.tv_sec * NANOSECONDS + time.tv_nsec;
}

const char *event_type_name(enum event_type type)
{
	static const char *const names[] = {
		[EVENT_CREATED] = "created",
		[EVENT_RESIZED] = "resized",
		[EVENT_RENAMED] = "renamed",
		[EVENT_REMOVED] = "removed",
		[EVENT_OPENED] = "opened",
		[EVENT_CLOSED] = "closed",
		[EVENT_MAPPED] = "mapped",
		[EVENT_UNMAPPED] = "unmapped",
		[EVENT_IDLE] = "idle",
		[EVENT_FAULTED] = "faulted",
		[EVENT_LOST] = "lost",
	};

	return names[type];
}

static void add_text(struct json *json, const char *key, const char *value)
{
	if (value)
		format_json_bytes(json, key, value);
	else
		format_json_null(json, key);
}

static void add_process(struct json *json, const struct process_identity *process, bool show)
{
	bool known = show && process->born;

	format_json_number(json, "pid",
		show && process->pid ? (uint64_t)process->pid : EVENT_UNKNOWN);
	format_json_number(json, "born", known ? process->born : EVENT_UNKNOWN);
	format_json_number(json, "uid", known ? process->uid : EVENT_UNKNOWN);
	add_text(json, "command", known ? process->command : NULL);
	add_text(json, "unit", known && *process->unit ? process->unit : NULL);
}

void event_format(GString *out, const struct event *event, bool show_process)
{
	const struct timespec time = { event->time / NANOSECONDS, event->time % NANOSECONDS };
	struct json json;

	format_json_line(&json, out);
	format_json_object(&json, NULL);
	format_json_time(&json, "time", &time);
	format_json_bytes(&json, "event", event_type_name(event->type));
	if (event->type == EVENT_LOST) {
		format_json_number(&json, "lost", event->lost);
	} else {
		add_text(&json, "kind", event->kind);
		add_text(&json, "id", event->id);
		add_text(&json, "name", event->name);
		if (event->type == EVENT_RENAMED)
			add_text(&json, "from", event->from);
		format_json_number(&json, "inode", event->inode);
		format_json_number(&json, "size", event->size);
		add_process(&json, &event->process, show_process);
	}
	format_json_end(&json);
	g_string_append_c(out, '\n');
}
