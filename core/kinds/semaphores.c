/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/semaphores.h"

#include "base/format.h"
#include "base/json.h"
#include "caller/effective.h"
#include "kinds/past-process.h"
#include "kinds/sysvipc.h"

#include <sys/sem.h>

struct semaphore_row {
	int value, waiting, waiting_for_zero;
	pid_t last; /* 0: no process has changed it, or one of another pid namespace */
};

struct reading {
	const struct view *view;
	const struct semaphore_set *set;
	GArray *rows; /* of struct semaphore_row */
};

static int read_one(int id, unsigned number, struct semaphore_row *out)
{
	*out = (struct semaphore_row){
		.value = semctl(id, number, GETVAL),
		.waiting = semctl(id, number, GETNCNT),
		.waiting_for_zero = semctl(id, number, GETZCNT),
		.last = semctl(id, number, GETPID),
	};
	return out->value < 0 || out->waiting < 0 || out->waiting_for_zero < 0 || out->last < 0 ?
		sysvipc_error(errno) :
		0;
}

/* As the caller: the kernel knows who may read a set. */
static int read_set(void *data)
{
	struct reading *reading = data;
	struct semaphore_row row;
	struct effective ids;
	int r = effective_begin(&ids, &reading->view->caller);

	if (r < 0)
		return r;
	for (unsigned i = 0; r == 0 && i < reading->set->count; i++) {
		r = read_one(reading->set->id, i, &row);
		if (r == 0)
			g_array_append_val(reading->rows, row);
	}
	effective_end(&ids);
	return r;
}

static GArray *read_rows(const struct view *view, const struct semaphore_set *set, int *error)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct semaphore_row));
	struct reading reading = { view, set, rows };

	*error = sysvipc_enter(view->realm, read_set, &reading);
	return rows;
}

/* Most semaphores of a set were changed by the same process. */
static const struct past_process *process_of(const struct view *view,
	const struct semaphore_set *set, pid_t pid, struct past_process *last)
{
	if (pid != last->pid)
		*last = past_process_seen(view, pid, set->then);
	return last;
}

/* The view, which knows whom the caller sees once that was asked: two processes may take turns. */
static struct view remembering(const struct view *view, GHashTable *sees)
{
	struct view asking = *view;

	if (!asking.sees)
		asking.sees = sees;
	return asking;
}

static void text_row(const struct semaphore_row *row, guint number,
	const struct past_process *process, GString *out)
{
	g_string_append_printf(out, "%u\t%d\t%d\t%d\t%d\t", number, row->value, row->waiting,
		row->waiting_for_zero, row->last);
	format_escaped(out, *process->command ? process->command : "-");
	g_string_append_printf(out, "\t%s\n", past_process_state(process));
}

int semaphores_show(const struct view *view, const struct semaphore_set *set, GString *out)
{
	g_autoptr(GHashTable) sees = g_hash_table_new(NULL, NULL);
	const struct view asking = remembering(view, sees);
	struct past_process process = { 0 };
	int error;
	g_autoptr(GArray) rows = read_rows(view, set, &error);

	if (error < 0)
		return error;
	g_string_append(out, "SEMNUM\tVALUE\tNCOUNT\tZCOUNT\tPID\tCOMMAND\tSTATE\n");
	for (guint i = 0; i < rows->len; i++) {
		const struct semaphore_row *row = &g_array_index(rows, struct semaphore_row, i);

		text_row(row, i, process_of(&asking, set, row->last, &process), out);
	}
	return 0;
}

static void json_row(const struct semaphore_row *row, guint number,
	const struct past_process *process, struct json *json)
{
	format_json_object(json, NULL);
	format_json_number(json, "semnum", number);
	format_json_number(json, "value", row->value);
	format_json_number(json, "ncount", row->waiting);
	format_json_number(json, "zcount", row->waiting_for_zero);
	past_process_json(process, "last", json);
	format_json_end(json);
}

int semaphores_json(const struct view *view, const struct semaphore_set *set, const char *name,
	struct json *json)
{
	g_autoptr(GHashTable) sees = g_hash_table_new(NULL, NULL);
	const struct view asking = remembering(view, sees);
	struct past_process process = { 0 };
	int error;
	g_autoptr(GArray) rows = read_rows(view, set, &error);

	if (error < 0)
		return error;
	format_json_array(json, name);
	for (guint i = 0; i < rows->len; i++) {
		const struct semaphore_row *row = &g_array_index(rows, struct semaphore_row, i);

		json_row(row, i, process_of(&asking, set, row->last, &process), json);
	}
	format_json_end(json);
	return 0;
}
