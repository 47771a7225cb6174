/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/queue-holders.h"

#include "base/format.h"
#include "base/json.h"
#include "caller/sight.h"
#include "census/tables.h"
#include "procfs/proc.h"
#include "procfs/process-facts.h"
#include "procfs/status.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A row of the table with a command line of the usual length. */
#define ROW_BYTES 256

struct queue_holder {
	pid_t pid;
	uid_t uid; /* effective */
	int fd, flags;
	char command[16];
};

struct search {
	const struct queue_file *file;
	GArray *found; /* of struct queue_holder */
	struct budget *budget;
	uint64_t unreadable; /* processes */
};

/* One process in it. */
struct search_of_process {
	struct search *search;
	int dir;
	pid_t pid;
};

static bool ends_in_name(const char *path, const char *name)
{
	size_t length = strlen(path), name_length = strlen(name);

	return length > name_length && path[length - name_length - 1] == '/' &&
		strcmp(path + length - name_length, name) == 0;
}

/*
 * Compares the name first: of another file even reading its attributes might wait for a file
 * server.
 */
static bool is_queue(const struct queue_file *file, int fds, const char *number)
{
	char path[PATH_MAX];
	ssize_t n = readlinkat(fds, number, path, sizeof path - 1);
	struct statx stx;

	if (n < 0)
		return false;
	path[n] = 0;
	return ends_in_name(path, file->name) &&
		statx(fds, number, AT_STATX_DONT_SYNC, 0, &stx) == 0 && stx.stx_ino == file->ino &&
		makedev(stx.stx_dev_major, stx.stx_dev_minor) == file->dev;
}

static int flags_of(int table, int number)
{
	char name[32], text[1024];
	const char *line;

	snprintf(name, sizeof name, "fdinfo/%d", number);
	if (proc_read_file(table, name, text, sizeof text) < 0)
		return O_RDONLY;
	line = strstr(text, "flags:");
	return line ? strtoul(line + strlen("flags:"), NULL, 8) & (O_ACCMODE | O_PATH) : O_RDONLY;
}

static void add_holder(const struct search_of_process *of, int table, int number)
{
	struct queue_holder holder = {
		.pid = of->pid,
		.fd = number,
		.flags = flags_of(table, number),
	};
	struct proc_status status;
	struct proc_stat stat;

	if (proc_read_stat(of->dir, &stat) < 0 || proc_read_status(of->dir, &status, NULL) < 0)
		return; /* it is gone */
	holder.uid = status.uids[ID_EFFECTIVE];
	g_strlcpy(holder.command, stat.command, sizeof holder.command);
	/* A process can have a queue open half a million times. */
	if (budget_use(of->search->budget, sizeof holder + ROW_BYTES))
		g_array_append_val(of->search->found, holder);
}

/* `table`: the directory of a process or of a thread. */
static int look_at_table(int table, void *data)
{
	const struct search_of_process *of = data;
	g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(int));
	auto_fd fds = -1;
	char text[16];
	int r = proc_list_descriptors(table, numbers);

	if (r < 0)
		return r;
	fds = openat(table, "fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (guint i = 0; fds >= 0 && i < numbers->len; i++) {
		snprintf(text, sizeof text, "%d", g_array_index(numbers, int, i));
		if (is_queue(of->search->file, fds, text))
			add_holder(of, table, g_array_index(numbers, int, i));
	}
	return 0;
}

static int look_at_process(struct search *search, const struct proc *proc, pid_t pid)
{
	auto_fd dir = proc_open_pid(proc, pid);
	struct search_of_process of = { search, dir, pid };

	return dir < 0 ? dir : process_each_table(proc, dir, look_at_table, &of);
}

static int by_process(gconstpointer a, gconstpointer b)
{
	const struct queue_holder *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return (x->fd > y->fd) - (x->fd < y->fd);
}

static int find(const struct view *view, struct search *search)
{
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	struct proc *proc;
	int r = proc_open(view->realm->proc, &proc);

	if (r < 0)
		return r;
	r = proc_list(proc, pids);
	for (guint i = 0; r == 0 && i < pids->len; i++) {
		pid_t pid = g_array_index(pids, pid_t, i);
		int error = pid == proc_pid_here(proc, getpid()) ?
			0 :
			look_at_process(search, proc, pid);

		search->unreadable += error < 0 && error != -ENOENT && error != -ESRCH;
	}
	proc_close(proc);
	g_array_sort(search->found, by_process);
	return r == 0 && view->budget ? view->budget->error : r;
}

/* The rows that the reader sees, and what else is shown of their processes. */
struct table {
	struct caller_sight sight;
	const char *proc;
	struct process_facts facts;
	uint64_t not_shown;
	GString *out; /* one of the two */
	struct json *json;
};

static const char *mode_name(int flags)
{
	static const char *const names[] = { [O_RDONLY] = "r", [O_WRONLY] = "w", [O_RDWR] = "rw" };

	return (flags & O_ACCMODE) == O_ACCMODE ? "none" : names[flags & O_ACCMODE];
}

static void write_text(const struct table *table, const struct queue_holder *holder)
{
	GString *out = table->out;

	g_string_append_printf(out, "%d\t%u\t", holder->pid, holder->uid);
	format_escaped(out, holder->command);
	g_string_append_printf(out, "\t%d\t%s\t", holder->fd, mode_name(holder->flags));
	if (table->facts.born == 0)
		g_string_append(out, "-\t");
	else
		g_string_append_printf(out, "%" PRIu64 "\t", table->facts.born);
	format_escaped(out, table->facts.unit);
	g_string_append_c(out, '\t');
	format_escaped(out, *table->facts.cmdline ? table->facts.cmdline : "-");
	g_string_append_c(out, '\n');
}

static void write_json(const struct table *table, const struct queue_holder *holder)
{
	struct json *json = table->json;

	format_json_object(json, NULL);
	format_json_number(json, "pid", holder->pid);
	format_json_number(json, "uid", holder->uid);
	format_json_bytes(json, "command", holder->command);
	format_json_number(json, "fd", holder->fd);
	format_json_bytes(json, "mode", mode_name(holder->flags));
	format_json_number(json, "born", table->facts.born ? table->facts.born : UINT64_MAX);
	format_json_bytes(json, "unit", table->facts.unit);
	format_json_bytes(json, "cmdline", table->facts.cmdline);
	format_json_end(json);
}

static void write_rows(const struct view *view, const GArray *found, struct table *table)
{
	table->proc = view->realm->proc;
	caller_sight_begin(&table->sight, table->proc, &view->caller);
	for (guint i = 0; i < found->len; i++) {
		const struct queue_holder *holder = &g_array_index(found, struct queue_holder, i);

		if (!caller_sees_memory(&table->sight, holder->pid)) {
			table->not_shown++;
			continue;
		}
		process_facts_read(table->proc, holder->pid, &table->facts);
		if (table->out)
			write_text(table, holder);
		else
			write_json(table, holder);
	}
	caller_sight_end(&table->sight);
}

int queue_holders_show(const struct view *view, const struct queue_file *file, GString *out)
{
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct queue_holder));
	struct table table = { .out = out };
	struct search search = { file, found, view->budget, 0 };
	int r = find(view, &search);

	if (r < 0)
		return r;
	g_string_append(out, "PID\tUID\tCOMMAND\tFD\tMODE\tBORN\tUNIT\tCMDLINE\n");
	write_rows(view, found, &table);
	if (table.not_shown > 0)
		g_string_append_printf(out, "# %" PRIu64 " not shown\n", table.not_shown);
	if (search.unreadable > 0)
		g_string_append_printf(out, "# not read: %" PRIu64 " processes, 0 kinds\n",
			search.unreadable);
	return 0;
}

int queue_holders_json(const struct view *view, const struct queue_file *file, const char *name,
	struct json *json)
{
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct queue_holder));
	struct table table = { .json = json };
	struct search search = { file, found, view->budget, 0 };
	g_autofree char *not_shown = g_strconcat(name, "_not_shown", NULL);
	g_autofree char *not_read = g_strconcat(name, "_not_read", NULL);
	int r = find(view, &search);

	if (r < 0)
		return r;
	format_json_array(json, name);
	write_rows(view, found, &table);
	format_json_end(json);
	format_json_number(json, not_shown, table.not_shown);
	format_json_number(json, not_read, search.unreadable);
	return 0;
}
