/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/past-process.h"

#include "caller/sight.h"
#include "procfs/proc.h"
#include "base/file-text.h"
#include "base/format.h"
#include "base/json.h"
#include "base/util.h"

#include <signal.h>
#include <string.h>
#include <time.h>

/* Start times are whole clock ticks, and the wall clock may have been adjusted a little since. */
#define SLACK_SECONDS 2

/* Converts clock ticks after boot to seconds since 1970. */
static int64_t wall_time(uint64_t ticks)
{
	struct timespec real, boot;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return real.tv_sec - boot.tv_sec + (int64_t)(ticks / sysconf(_SC_CLK_TCK));
}

struct past_process past_process_find(const struct realm *realm, pid_t pid, int64_t then)
{
	g_autofree char *path = g_strdup_printf("%s/%d/stat", realm->proc, pid);
	g_autofree char *text = NULL;
	struct past_process process = { .pid = pid };
	struct proc_stat stat;
	int r = pid == 0 ? -ESRCH : file_text(path, &text);

	process.unknown = is_failure(r);
	if (r < 0 || !proc_parse_stat(text, &stat) || strchr("ZXx", stat.state) ||
		wall_time(stat.start_time) > then + SLACK_SECONDS)
		return process;
	process.alive = true;
	g_strlcpy(process.command, stat.command, sizeof process.command);
	return process;
}

bool past_process_may_live(const struct realm *realm, pid_t pid, int64_t then)
{
	struct past_process process;

	if (pid == 0 || (kill(pid, 0) < 0 && errno == ESRCH))
		return false;
	/* A process that procfs hides (the mount option hidepid) may be alive. */
	g_autofree char *path = g_strdup_printf("%s/%d/stat", realm->proc, pid);
	if (access(path, R_OK) < 0)
		return true;
	process = past_process_find(realm, pid, then);
	return process.alive || process.unknown;
}

enum answer { NOT_ASKED, NOT_SEEN, SEEN, NOT_KNOWN };

static enum answer ask_whether_seen(const struct view *view, pid_t pid)
{
	struct caller_sight sight;
	enum answer answer = NOT_KNOWN;

	caller_sight_begin(&sight, view->realm->proc, &view->caller);
	if (!sight.error)
		answer = caller_sees_process(&sight, pid) ? SEEN : NOT_SEEN;
	caller_sight_end(&sight);
	return answer;
}

/*
 * Whether the caller may see the process. The answer is kept in the view: to ask costs more than
 * all the rest, and few processes make many segments.
 */
static enum answer is_seen(const struct view *view, pid_t pid)
{
	gpointer key = GINT_TO_POINTER(pid);
	enum answer known =
		view->sees ? GPOINTER_TO_UINT(g_hash_table_lookup(view->sees, key)) : NOT_ASKED;

	if (known == NOT_ASKED)
		known = ask_whether_seen(view, pid);
	if (view->sees)
		g_hash_table_insert(view->sees, key, GUINT_TO_POINTER(known));
	return known;
}

struct past_process past_process_seen(const struct view *view, pid_t pid, int64_t then)
{
	struct past_process process = past_process_find(view->realm, pid, then);

	enum answer answer = process.alive ? is_seen(view, pid) : SEEN;

	if (answer != SEEN)
		*process.command = 0;
	/* Nor is it known whether there is a command to be told. */
	process.unknown = process.unknown || answer == NOT_KNOWN;
	return process;
}

const char *past_process_state(const struct past_process *process)
{
	return process->pid == 0 ? "none" :
		process->unknown ? "unknown" :
		process->alive   ? "alive" :
				   "dead";
}

void past_process_show(const struct past_process *process, GString *out)
{
	g_string_append_printf(out, "pid\t%d\ncommand\t", process->pid);
	format_escaped(out, process->command);
	g_string_append_printf(out, "\nstate\t%s\n", past_process_state(process));
}

void past_process_json(const struct past_process *process, const char *name, struct json *json)
{
	format_json_object(json, name);
	format_json_number(json, "pid", process->pid);
	format_json_bytes(json, "command", process->command);
	format_json_bytes(json, "state", past_process_state(process));
	format_json_end(json);
}
