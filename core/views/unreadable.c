/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/unreadable.h"

#include "base/format.h"
#include "caller/sight.h"
#include "procfs/process-facts.h"
#include "procfs/proc.h"
#include "procfs/status.h"

#include <inttypes.h>

struct unreadable_row {
	pid_t pid;
	const char *why;
};

static void keep(pid_t pid, const char *why, void *data)
{
	struct unreadable_row row = { pid, why };

	g_array_append_val(data, row);
}

struct writing {
	struct caller_sight sight;
	const char *path; /* of the procfs */
	const struct proc *proc;
	uint64_t not_shown;
	GString *out;
};

/* Of a process that is gone by now nothing but the pid is known. */
static void write_process(const struct writing *writing, pid_t pid)
{
	auto_fd dir = writing->proc ? proc_open_pid(writing->proc, pid) : -1;
	struct proc_status status;
	struct proc_stat stat;

	if (dir < 0 || proc_read_stat(dir, &stat) < 0 || proc_read_status(dir, &status, NULL) < 0) {
		g_string_append_printf(writing->out, "%d\t-\t-\t", pid);
		return;
	}
	g_string_append_printf(writing->out, "%d\t%u\t", pid, status.uids[ID_EFFECTIVE]);
	format_escaped(writing->out, stat.command);
	g_string_append_c(writing->out, '\t');
}

static void write_row(struct writing *writing, const struct unreadable_row *row)
{
	struct process_facts facts = { 0 };

	if (!caller_sees_process(&writing->sight, row->pid)) {
		writing->not_shown++;
		return;
	}
	process_facts_read(writing->path, row->pid, &facts);
	write_process(writing, row->pid);
	g_string_append_printf(writing->out, "%s\t", row->why);
	if (facts.born == 0)
		g_string_append_c(writing->out, '-');
	else
		g_string_append_printf(writing->out, "%" PRIu64, facts.born);
	g_string_append_c(writing->out, '\t');
	format_escaped(writing->out, facts.unit);
	g_string_append_c(writing->out, '\n');
}

static void write_end(const struct writing *writing, const struct census_report *report, guint rows)
{
	if (writing->not_shown > 0)
		g_string_append_printf(writing->out, "# %" PRIu64 " not shown\n",
			writing->not_shown);
	if (report->unreadable > rows)
		g_string_append_printf(writing->out,
			"# %" PRIu64 " more, which came and went too fast\n",
			report->unreadable - rows);
	if (report->incomplete_view)
		g_string_append_printf(writing->out, "# %s\n", report->incomplete_view);
}

void unreadable_show(const struct view *view, GString *out)
{
	struct census_report report = census_report(view->realm->census);
	g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(struct unreadable_row));
	struct writing writing = { .path = view->realm->proc, .out = out };
	struct proc *proc = NULL;

	census_each_unreadable(view->realm->census, keep, rows);
	if (proc_open(view->realm->proc, &proc) == 0)
		writing.proc = proc;
	g_string_append(out, "PID\tUID\tCOMMAND\tWHY\tBORN\tUNIT\n");
	caller_sight_begin(&writing.sight, view->realm->proc, &view->caller);
	for (guint i = 0; i < rows->len; i++)
		write_row(&writing, &g_array_index(rows, struct unreadable_row, i));
	caller_sight_end(&writing.sight);
	write_end(&writing, &report, rows->len);
	if (proc)
		proc_close(proc);
}
