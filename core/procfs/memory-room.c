/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/memory-room.h"

#include "base/file-text.h"
#include "base/util.h"
#include "procfs/cgroup.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define TOP "/sys/fs/cgroup"

/* The part of a limit that stays free: what is taken without asking is much less, or for a moment. */
#define FREE_PARTS 4

static char *read_file(const char *directory, const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	char *text;

	return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

/* False where there is no such file, or no number in it ("max"). */
static bool read_number(const char *directory, const char *name, uint64_t *out)
{
	g_autofree char *text = read_file(directory, name);
	char *end;

	if (!text)
		return false;
	*out = strtoull(text, &end, 10);
	return end > text;
}

/* The number in a line "KEY NUMBER"; 0: there is no such line. */
static uint64_t find_number(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && line[length] == ' ')
			return strtoull(line + length, NULL, 10);
	}
	return 0;
}

/* Pages of files on disks. Those of a tmpfs are elsewhere in the list. */
static uint64_t droppable(const char *directory, const char *prefix)
{
	g_autofree char *text = read_file(directory, "memory.stat");
	g_autofree char *active = g_strconcat(prefix, "active_file", NULL);
	g_autofree char *inactive = g_strconcat(prefix, "inactive_file", NULL);

	return text ? find_number(text, active) + find_number(text, inactive) : 0;
}

bool memory_group_has_room(const char *directory, uint64_t bytes)
{
	uint64_t limit, used;
	const char *prefix = "";

	if (read_number(directory, "memory.limit_in_bytes", &limit)) {
		prefix = "total_"; /* with the groups below it */
		if (!read_number(directory, "memory.usage_in_bytes", &used))
			return true;
	} else if (!read_number(directory, "memory.max", &limit) ||
		!read_number(directory, "memory.current", &used)) {
		return true;
	}
	limit -= limit / FREE_PARTS;
	if (bytes <= limit && used <= limit - bytes)
		return true;
	return bytes <= limit && used - MIN(used, droppable(directory, prefix)) <= limit - bytes;
}

/* What was promised, and may not be in use yet; atomic. */
static uint64_t promised;

static bool groups_have_room(uint64_t bytes)
{
	g_autofree char *text = NULL, *directory = NULL;
	int r = file_text("/proc/self/cgroup", &text);
	bool room = true;

	if (r < 0)
		return !is_failure(r);
	directory = cgroup_memory_directory(text);
	while (room && directory && strlen(directory) > strlen(TOP)) {
		char *last = strrchr(directory, '/');

		if (last[1] != '\0') /* the path of the root ends in a slash */
			room = memory_group_has_room(directory, bytes);
		*last = '\0';
	}
	return room;
}

bool memory_has_room(uint64_t bytes)
{
	return groups_have_room(bytes + __atomic_load_n(&promised, __ATOMIC_SEQ_CST));
}

bool memory_promise(uint64_t bytes)
{
	bool room = groups_have_room(__atomic_add_fetch(&promised, bytes, __ATOMIC_SEQ_CST));

	if (!room)
		memory_promise_kept(bytes);
	return room;
}

void memory_promise_kept(uint64_t bytes)
{
	__atomic_sub_fetch(&promised, bytes, __ATOMIC_SEQ_CST);
}
