/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/mountinfo.h"

#include "base/util.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

/* proc(5): "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw"; octal escapes in paths. */
static char *parse_line(const char *line, struct mount *out)
{
	g_auto(GStrv) fields = g_strsplit(line, " ", -1);
	unsigned major, minor;
	guint n = g_strv_length(fields), dash = 6;

	/* Optional fields stand between the sixth and a dash. */
	while (dash < n && strcmp(fields[dash], "-") != 0)
		dash++;
	/* The kernel escapes a backslash too: one at the end is no escape. */
	if (dash + 1 >= n || g_str_has_suffix(fields[4], "\\") ||
		sscanf(fields[2], "%u:%u", &major, &minor) != 2)
		return NULL;
	out->dev = makedev(major, minor);
	g_strlcpy(out->fstype, fields[dash + 1], sizeof out->fstype);
	g_strlcpy(out->root, fields[3], sizeof out->root);
	return g_strcompress(fields[4]);
}

void mountinfo_each(const char *text,
	void (*visit)(const char *point, const struct mount *mount, void *data), void *data)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	struct mount mount;

	for (char **line = lines; *line; line++) {
		g_autofree char *point = parse_line(*line, &mount);

		if (point)
			visit(point, &mount, data);
	}
}

struct search {
	const char *path;
	struct mount *out;
	int found;
};

static void pick(const char *point, const struct mount *mount, void *data)
{
	struct search *search = data;

	if (strcmp(point, search->path) != 0)
		return;
	*search->out = *mount;
	search->found = 1;
}

int mountinfo_find(const char *path, struct mount *out)
{
	struct search search = { path, out, 0 };
	g_autofree char *text = NULL;

	if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
		return -EIO;
	mountinfo_each(text, pick, &search);
	return search.found;
}
