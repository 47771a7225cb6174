/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/status.h"

#include "procfs/proc.h"

#include <stdlib.h>
#include <string.h>

/* Most of it is the supplementary groups, of which there may be 65,536. */
#define STATUS_MAX (1 << 20)

/* What follows "\nNAME:" in the text, or NULL. */
static const char *find_line(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? line + strlen(name) : NULL;
}

static bool parse_numbers(const char *text, const char *name, int base, size_t n, uint64_t *out)
{
	const char *at = find_line(text, name);
	char *end;

	for (size_t i = 0; at && i < n; i++, at = end) {
		out[i] = strtoull(at, &end, base);
		if (end == at)
			return false;
	}
	return at != NULL;
}

static bool parse_groups(const char *text, GArray *groups)
{
	const char *at = find_line(text, "\nGroups:");

	while (at) {
		char *end;
		gid_t gid;

		at += strspn(at, "\t ");
		if (*at == '\n')
			return true;
		gid = (gid_t)strtoul(at, &end, 10);
		if (end == at)
			return false;
		g_array_append_val(groups, gid);
		at = end;
	}
	return false;
}

bool proc_parse_status(const char *text, struct proc_status *out, GArray *groups)
{
	uint64_t tgid, parent, uids[IDS], gids[IDS], no_new_privs = 0;

	memset(out, 0, sizeof *out);
	if (!parse_numbers(text, "\nTgid:", 10, 1, &tgid) ||
		!parse_numbers(text, "\nPPid:", 10, 1, &parent) ||
		!parse_numbers(text, "\nUid:", 10, IDS, uids) ||
		!parse_numbers(text, "\nGid:", 10, IDS, gids) ||
		!parse_numbers(text, "\nCapPrm:", 16, 1, &out->permitted) ||
		!parse_numbers(text, "\nCapEff:", 16, 1, &out->effective) ||
		(groups && !parse_groups(text, groups)))
		return false;
	parse_numbers(text, "\nNoNewPrivs:", 10, 1, &no_new_privs);
	out->tgid = (pid_t)tgid;
	out->parent = (pid_t)parent;
	out->no_new_privs = no_new_privs != 0;
	for (size_t i = 0; i < IDS; i++) {
		out->uids[i] = (uid_t)uids[i];
		out->gids[i] = (gid_t)gids[i];
	}
	return true;
}

int proc_read_status(int dir, struct proc_status *out, GArray *groups)
{
	char most[4096]; /* enough for all but processes with hundreds of groups */
	g_autofree char *all = NULL;
	ssize_t n = proc_read_file(dir, "status", most, sizeof(most));

	if (n == sizeof(most) - 1) {
		all = g_malloc(STATUS_MAX);
		n = proc_read_file(dir, "status", all, STATUS_MAX);
	}
	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	return proc_parse_status(all ? all : most, out, groups) ? 0 : -EPROTO;
}
