/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/cgroup.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

#define CONTAINER_DIGITS 64
#define SHOWN_DIGITS 12
#define POD_DIGITS 36 /* of a UUID, with its dashes; without them 32 */

/* One component of a path, not terminated. */
struct part {
	const char *text;
	size_t length;
};

static bool starts_with(const struct part *part, const char *prefix)
{
	size_t n = strlen(prefix);

	return part->length > n && memcmp(part->text, prefix, n) == 0;
}

static bool ends_with(const struct part *part, const char *suffix)
{
	size_t n = strlen(suffix);

	return part->length > n && memcmp(part->text + part->length - n, suffix, n) == 0;
}

static bool contains(const struct part *part, const char *word)
{
	return g_strstr_len(part->text, part->length, word) != NULL;
}

static bool set_unit(char *unit, const char *text, size_t length)
{
	length = MIN(length, CGROUP_UNIT_MAX - 1);
	memcpy(unit, text, length);
	unit[length] = 0;
	return true;
}

/* "docker-ID.scope", "ID", "cri-containerd:ID"; but not the monitor beside a container of podman. */
static bool parse_container(const struct part *part, char *unit)
{
	size_t digits = 0;

	if (contains(part, "conmon"))
		return false;
	for (size_t i = 0; i < part->length; i++) {
		digits = g_ascii_isxdigit(part->text[i]) ? digits + 1 : 0;
		if (digits == CONTAINER_DIGITS &&
			(i + 1 == part->length || !g_ascii_isalnum(part->text[i + 1])))
			return set_unit(unit, part->text + i + 1 - digits, SHOWN_DIGITS);
	}
	return false;
}

/* "lxc.payload.NAME", or what stands in "lxc" or "lxc.payload". */
static bool parse_lxc(const struct part *part, const struct part *parent, char *unit)
{
	static const char prefix[] = "lxc.payload.";
	bool below = (parent->length == 3 && memcmp(parent->text, "lxc", 3) == 0) ||
		(parent->length == 11 && memcmp(parent->text, "lxc.payload", 11) == 0);

	if (starts_with(part, prefix))
		return set_unit(unit, part->text + strlen(prefix), part->length - strlen(prefix));
	return below && set_unit(unit, part->text, part->length);
}

/* "podUID", "kubepods-burstable-podUID.slice": with dashes, or underscores in their place. */
static bool parse_pod(const struct part *part, char *unit)
{
	const char *end = part->text + part->length;

	for (const char *at = part->text; (at = g_strstr_len(at, end - at, "pod")); at++) {
		size_t n = 3;

		while (at + n < end && n < 3 + POD_DIGITS &&
			(g_ascii_isxdigit(at[n]) || at[n] == '-' || at[n] == '_'))
			n++;
		if (n < 3 + 32 || (at > part->text && at[-1] != '-'))
			continue;
		set_unit(unit, at, n);
		g_strdelimit(unit, "_", '-');
		return true;
	}
	return false;
}

static bool parse_systemd(const struct part *part, char *unit)
{
	static const char *const suffixes[] = { ".service", ".scope", ".socket", ".mount",
		".swap" };

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
		if (ends_with(part, suffixes[i]))
			return set_unit(unit, part->text, part->length);
	return false;
}

static bool parse_user(const struct part *part, char *unit)
{
	return starts_with(part, "user-") && ends_with(part, ".slice") &&
		set_unit(unit, part->text, part->length);
}

/* Takes the last component off the path. */
static bool pop_part(struct part *path, struct part *last)
{
	while (path->length > 0 && path->text[path->length - 1] == '/')
		path->length--;
	last->length = 0;
	while (path->length > 0 && path->text[path->length - 1] != '/') {
		path->length--;
		last->length++;
	}
	last->text = path->text + path->length;
	return last->length > 0;
}

static bool parse_part(const struct part *part, const struct part *parent, int round, char *unit)
{
	switch (round) {
	case 0:
		return parse_container(part, unit) || parse_lxc(part, parent, unit);
	case 1:
		return parse_pod(part, unit);
	case 2:
		return parse_systemd(part, unit);
	default:
		return parse_user(part, unit);
	}
}

/* What names more comes first, wherever it stands: a service in a container is the container's. */
bool cgroup_parse_unit(const char *path, char unit[CGROUP_UNIT_MAX])
{
	for (int round = 0; round < 4; round++) {
		struct part rest = { path, strlen(path) }, part, before, parent;

		while (pop_part(&rest, &part)) {
			before = rest;
			pop_part(&before, &parent);
			if (parse_part(&part, &parent, round, unit))
				return true;
		}
	}
	strcpy(unit, "-");
	return false;
}

static bool has_controller(const char *list, size_t length, const char *name)
{
	size_t n = strlen(name);

	for (const char *end = list + length; list < end; list++) {
		const char *comma = memchr(list, ',', end - list);
		size_t part = (comma ? comma : end) - list;

		if (part == n && memcmp(list, name, n) == 0)
			return true;
		list += part;
	}
	return false;
}

enum source { FROM_MEMORY, FROM_V2, FROM_SYSTEMD, FROM_ANY, SOURCES };

static enum source source_of(const char *controllers, size_t length)
{
	if (length == 0)
		return FROM_V2;
	if (has_controller(controllers, length, "memory"))
		return FROM_MEMORY;
	return has_controller(controllers, length, "name=systemd") ? FROM_SYSTEMD : FROM_ANY;
}

/* A line is "NUMBER:CONTROLLERS:PATH". The paths found point into `lines`. */
static void find_paths(char **lines, const char *paths[SOURCES])
{
	for (; *lines; lines++) {
		const char *controllers = strchr(*lines, ':');
		const char *path = controllers ? strchr(controllers + 1, ':') : NULL;
		enum source source;

		if (!path || path[1] != '/')
			continue;
		source = source_of(controllers + 1, path - controllers - 1);
		if (!paths[source])
			paths[source] = path + 1;
	}
}

void cgroup_parse(const char *text, char *path, size_t size, char unit[CGROUP_UNIT_MAX])
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	const char *paths[SOURCES] = { NULL }, *first = NULL;
	bool named = false;

	find_paths(lines, paths);
	strcpy(unit, "-");
	for (int i = 0; i < SOURCES; i++) {
		if (!paths[i])
			continue;
		/* The group of version 2 is the root's where the controllers are version 1's. */
		if (!first || strcmp(first, "/") == 0)
			first = paths[i];
		named = named || cgroup_parse_unit(paths[i], unit);
	}
	g_strlcpy(path, first ? first : "", size);
}

char *cgroup_memory_directory(const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	const char *paths[SOURCES] = { NULL };
	const char *path;

	find_paths(lines, paths);
	path = paths[FROM_MEMORY] ? paths[FROM_MEMORY] : paths[FROM_V2];
	/* The kernel shows the way from the namespace's root. */
	if (!path || g_str_has_prefix(path, "/.."))
		return NULL;
	return g_strconcat("/sys/fs/cgroup", paths[FROM_MEMORY] ? "/memory" : "", path, NULL);
}
