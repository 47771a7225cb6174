/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/history.h"

#include "base/util.h"
#include "caller/who.h"
#include "events/events.h"
#include "kinds/kind.h"

#include <fcntl.h>
#include <sys/stat.h>

#define NANOSECONDS INT64_C(1000000000)

static int64_t born_of(const struct statx *file)
{
	return file->stx_mask & STATX_BTIME ?
		file->stx_btime.tv_sec * NANOSECONDS + file->stx_btime.tv_nsec :
		0;
}

/* Asks the events, by the number of the file that is behind the item now. */
static void find(const struct view *view, struct origin *out)
{
	const struct item *item = view->item;
	const struct realm *realm = view->realm;
	struct item_file file = { .fd = -1 };
	struct statx stx;

	*out = (struct origin){ 0 };
	if (!events_on(realm->events) || item->key.class != SEGMENT_FILE ||
		item->key.dev != realm->shm_dev || !item->kind->open ||
		item->kind->slow || /* the census may be held */
		item->kind->open(realm, item, &file) < 0)
		return;
	auto_fd fd = file.fd;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_NLINK | STATX_INO, &stx) == 0 &&
		stx.stx_ino == item->key.ino)
		events_origin(realm->events, stx.stx_ino, born_of(&stx), stx.stx_nlink == 0, out);
}

static void add_text(struct json *json, const char *key, const char *value)
{
	if (value)
		format_json_bytes(json, key, value);
	else
		format_json_null(json, key);
}

static void add_who(struct json *json, const struct process_identity *process, bool seen)
{
	bool known = process->born && seen;

	format_json_number(json, "pid",
		process->pid && seen ? (uint64_t)process->pid : EVENT_UNKNOWN);
	format_json_number(json, "born", known ? process->born : EVENT_UNKNOWN);
	format_json_number(json, "uid", known ? process->uid : EVENT_UNKNOWN);
	add_text(json, "command", known ? process->command : NULL);
	add_text(json, "unit", known && *process->unit ? process->unit : NULL);
	format_json_number(json, "not_shown", process->pid && !seen);
}

static void add(struct json *json, const char *key, const struct deed *deed, bool seen)
{
	const struct timespec time = { deed->time / NANOSECONDS, deed->time % NANOSECONDS };

	if (!deed->known) {
		format_json_null(json, key);
		return;
	}
	format_json_object(json, key);
	format_json_time(json, "time", &time);
	add_who(json, &deed->process, seen);
	format_json_end(json);
}

static bool sees(struct caller_sight *sight, const struct deed *deed)
{
	const struct process_identity *process = &deed->process;

	return deed->known &&
		caller_sees_who(sight, process->pid, process->born, process->uid,
			process->readable);
}

void history_json(const struct view *view, struct json *json)
{
	bool created = false, removed = false;
	struct caller_sight sight;
	struct origin origin;

	find(view, &origin);
	if (origin.created.known || origin.removed.known) {
		caller_sight_begin(&sight, view->realm->proc, &view->caller);
		created = sees(&sight, &origin.created);
		removed = sees(&sight, &origin.removed);
		caller_sight_end(&sight);
	}
	add(json, "created", &origin.created, created);
	add(json, "removed", &origin.removed, removed);
}
