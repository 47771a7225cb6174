/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top/ui.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* In a thread of the pool. */
static void do_job(gpointer job, gpointer data)
{
	struct ui *ui = data;
	uint64_t one = 1;

	job_do(job);
	g_async_queue_push(ui->done, job);
	(void)!write(ui->wakes, &one, sizeof one);
}

void ui_init(struct ui *ui, const char *mount, int interval_ms)
{
	*ui = (struct ui){ .mount = mount,
		.interval_ms = interval_ms,
		.use = g_strdup(""),
		.allocated = -1 };
	for (unsigned i = 0; i < TOP_VIEWS; i++)
		top_model_init(&ui->models[i], &top_views[i]);
	ui->done = g_async_queue_new();
	ui->wakes = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ui->pool = g_thread_pool_new(do_job, ui, -1, FALSE, NULL);
}

static struct job *job_of(const struct ui *ui, enum job_type type, unsigned view,
	const char *directory)
{
	struct job *job = g_new0(struct job, 1);

	*job = (struct job){
		.type = type,
		.mount = ui->mount,
		.view = view,
		.directory = g_strdup(directory),
	};
	return job;
}

void ui_say(struct ui *ui, char *message)
{
	g_free(ui->message);
	ui->message = message;
}

const struct top_row *ui_selected(struct ui *ui)
{
	struct top_model *model = ui_model(ui);

	if (ui->selected < 0 || ui->selected >= (int)model->rows->len)
		return NULL;
	return &g_array_index(model->rows, struct top_row, ui->selected);
}

void ui_select(struct ui *ui, int row)
{
	const struct top_row *selected;

	ui->selected = CLAMP(row, 0, MAX((int)ui_model(ui)->rows->len - 1, 0));
	selected = ui_selected(ui);
	g_free(ui->marked);
	ui->marked = selected ? top_model_name(ui_model(ui), selected->row) : NULL;
}

/* The marked row may have another place now, or be gone. */
void ui_find_marked(struct ui *ui)
{
	int row = ui->marked ? top_model_find(ui_model(ui), ui->marked) : -1;

	ui_select(ui, row >= 0 ? row : ui->selected);
}

void ui_show_lines(struct ui *ui, GPtrArray *lines)
{
	g_clear_pointer(&ui->lines, g_ptr_array_unref);
	ui->lines = lines;
	ui->line = 0;
	ui->mode = UI_LINES;
}

static void refresh(struct ui *ui, unsigned view)
{
	if (ui->waited_for[view])
		return;
	ui->waited_for[view] = job_of(ui, JOB_TABLE, view, NULL);
	g_thread_pool_push(ui->pool, ui->waited_for[view], NULL);
}

void ui_refresh(struct ui *ui)
{
	refresh(ui, ui->view);
}

void ui_refresh_all(struct ui *ui)
{
	for (unsigned view = 0; view < TOP_VIEWS; view++)
		refresh(ui, view);
}

void ui_ask_details(struct ui *ui, guint row)
{
	g_autofree char *directory = NULL;

	ui_show_lines(ui, look_facts(ui_model(ui), row));
	if (ui->view != 0)
		return;
	directory = look_directory(ui->mount, ui_model(ui), row);
	ui->details = job_of(ui, JOB_DETAILS, ui->view, directory);
	ui->details->facts = g_ptr_array_ref(ui->lines);
	g_thread_pool_push(ui->pool, ui->details, NULL);
}

/* The mount itself refuses what is in use, at that very instant. */
void ui_remove(struct ui *ui)
{
	if (ui->removal) {
		ui_say(ui, g_strdup("not removed: another removal is under way"));
		return;
	}
	ui->removal = job_of(ui, JOB_REMOVE, ui->view, ui->directory);
	g_thread_pool_push(ui->pool, ui->removal, NULL);
}

static void take_table(struct ui *ui, struct job *job)
{
	ui->waited_for[job->view] = NULL;
	if (job->error < 0) {
		ui_say(ui,
			g_strdup_printf("%s: %s", top_views[job->view].file,
				g_strerror(-job->error)));
		return;
	}
	top_model_take(&ui->models[job->view], g_steal_pointer(&job->table),
		g_get_monotonic_time());
	g_free(ui->use);
	ui->use = g_steal_pointer(&job->use);
	if (job->view == 0)
		ui->allocated = job->allocated;
	if (job->view == ui->view)
		ui_find_marked(ui);
}

/* Between the first line, which says what it is, and the other facts, if they are shown still. */
static void take_details(struct ui *ui, struct job *job)
{
	if (ui->details == job)
		ui->details = NULL;
	if (ui->mode != UI_LINES || ui->lines != job->facts)
		return;
	g_ptr_array_insert(job->lines, -1, g_strdup(""));
	for (guint i = 0; i < job->lines->len; i++)
		g_ptr_array_insert(ui->lines, (int)i + 1, g_strdup(job->lines->pdata[i]));
}

static void take_removal(struct ui *ui, struct job *job)
{
	ui->removal = NULL;
	if (job->error == 0)
		ui_say(ui, g_strdup("removed"));
	else if (job->error == -EBUSY)
		ui_say(ui, g_strdup("not removed: it is in use"));
	else
		ui_say(ui, g_strdup_printf("not removed: %s", g_strerror(-job->error)));
	ui_refresh(ui);
}

int ui_take(struct ui *ui)
{
	struct job *job;
	uint64_t wakes;
	int gone = 0;

	(void)!read(ui->wakes, &wakes, sizeof wakes);
	while ((job = g_async_queue_try_pop(ui->done))) {
		if (job->type == JOB_TABLE && look_is_gone(job->error))
			gone = job->error;
		if (job->type == JOB_TABLE)
			take_table(ui, job);
		else if (job->type == JOB_DETAILS)
			take_details(ui, job);
		else
			take_removal(ui, job);
		job_free(job);
	}
	return gone;
}
