/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mountinfo.h"

#include "util.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

/* proc(5): "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw"; octal escapes in paths. */
static bool parse_line(const char *line, const char *path, struct mount *out)
{
	g_auto(GStrv) fields = g_strsplit(line, " ", -1);
	g_autofree char *point = NULL;
	unsigned major, minor;
	guint n = g_strv_length(fields), dash = 6;

	while (dash < n && strcmp(fields[dash], "-") != 0)
		dash++;
	if (dash + 1 >= n || sscanf(fields[2], "%u:%u", &major, &minor) != 2)
		return false;
	point = g_strcompress(fields[4]);
	if (strcmp(point, path) != 0)
		return false;
	out->dev = makedev(major, minor);
	g_strlcpy(out->fstype, fields[dash + 1], sizeof out->fstype);
	return true;
}

int mountinfo_find(const char *path, struct mount *out)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int found = 0;

	if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
		return -EIO;
	lines = g_strsplit(text, "\n", -1);
	/* Later lines are mounted on top of earlier ones. */
	for (char **line = lines; *line; line++)
		if (parse_line(*line, path, out))
			found = 1;
	return found;
}
