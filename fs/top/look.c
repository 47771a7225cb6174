/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top/look.h"

#include "base/cells.h"
#include "base/units.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define META ".shmtree"

/* The fields of a line of mountinfo, see proc(5): the type is the first after the hyphen. */
static char *point_if_shmtree(const char *line)
{
	g_auto(GStrv) fields = g_strsplit(line, " ", -1);
	guint n = g_strv_length(fields);

	for (guint i = 5; i + 1 < n; i++)
		if (strcmp(fields[i], "-") == 0)
			return strcmp(fields[i + 1], "fuse.shmtree") == 0 ?
				g_strcompress(fields[4]) :
				NULL;
	return NULL;
}

bool look_is_shmtree(const char *mount)
{
	g_autofree char *path = g_build_filename(mount, META, "segments", NULL);

	return access(path, R_OK) == 0;
}

char *look_find_mount(bool *unreadable)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	char *point = NULL;

	*unreadable = false;
	if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
		return NULL;
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line && !point; line++) {
		point = point_if_shmtree(*line);
		if (point && !look_is_shmtree(point)) {
			*unreadable = true;
			g_clear_pointer(&point, g_free);
		}
	}
	return point;
}

bool look_is_gone(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ENOTCONN ||
		error == -ECONNABORTED || error == -ENODEV;
}

static int read_table(const char *mount, const char *file, struct table **out)
{
	g_autofree char *path = g_build_filename(mount, META, file, NULL);

	return table_read(path, out);
}

/* How full the tmpfs is; "" if that is not known. */
static char *read_use(const char *mount)
{
	struct table *limits = NULL;
	GString *text = g_string_new(NULL);

	if (read_table(mount, "limits", &limits) < 0)
		return g_string_free(text, FALSE);
	for (guint i = 0; i < limits->rows->len; i++) {
		int64_t limit = table_number(table_value(limits, i, table_column(limits, "LIMIT")));

		if (strcmp(table_value(limits, i, table_column(limits, "RESOURCE")),
			    "TMPFS_BYTES") != 0 ||
			limit < 0)
			continue;
		g_string_append_printf(text, "tmpfs %s%% of ",
			table_value(limits, i, table_column(limits, "USE%")));
		units_format_bytes(text, (uint64_t)limit);
	}
	table_free(limits);
	return g_string_free(text, FALSE);
}

/*
 * Whether two rows of `segments` may be names of one object, which is to count once: they were modified at the
 * same nanosecond and take as much.
 */
static bool has_twins(const struct table *table)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	int kind = table_column(table, "KIND"), allocated = table_column(table, "ALLOCATED");
	int modified = table_column(table, "MTIME");

	for (guint i = 0; i < table->rows->len; i++) {
		if (strcmp(table_value(table, i, kind), "posix") == 0 &&
			table_number(table_value(table, i, allocated)) > 0 &&
			!g_hash_table_add(seen,
				g_strconcat(table_value(table, i, allocated), " ",
					table_value(table, i, modified), NULL)))
			return true;
	}
	return false;
}

/* What all segments take, from the sums of `status`, which count each object once; -1: not needed, or not to be had. */
static int64_t read_allocated(const char *mount, const struct table *segments)
{
	struct table *status = NULL;
	int64_t sum = 0;

	if (!has_twins(segments) || read_table(mount, "status", &status) < 0)
		return -1;
	for (guint i = 0; i < status->rows->len; i++)
		if (g_str_has_suffix(table_value(status, i, 0), "_allocated"))
			sum += MAX(table_number(table_value(status, i, 1)), 0);
	table_free(status);
	return sum;
}

char *look_directory(const char *mount, const struct top_model *model, guint row)
{
	const struct table *table = model->table;
	const char *kind = table_value(table, row, table_column(table, "KIND"));
	g_autofree char *id = g_strcompress(table_value(table, row, table_column(table, "ID")));
	const char *directory = "unlinked"; /* has several kinds */

	/* No ID has a slash: what has one is no shmtree's, and is not to lead elsewhere. */
	g_strdelimit(id, "/", '_');
	if (strcmp(kind, "posix") == 0 || strcmp(kind, "sysv") == 0 || strcmp(kind, "nested") == 0)
		directory = kind;
	return g_build_filename(mount, META, directory, id, NULL);
}

static void add_line(GPtrArray *lines, GString *line)
{
	g_ptr_array_add(lines, g_utf8_make_valid(line->str, -1));
	g_string_truncate(line, 0);
}

static void add_row(GPtrArray *lines, const struct table *table, guint row)
{
	g_autoptr(GString) line = g_string_new(NULL);

	for (int i = 0; table->columns[i]; i++) {
		g_string_append_printf(line, "%-11s %s", table->columns[i],
			table_value(table, row, i));
		add_line(lines, line);
	}
}

static void add_title(GPtrArray *lines, const struct table *table, guint row)
{
	g_autoptr(GString) line = g_string_new(NULL);

	g_string_printf(line, "%s %s", table_value(table, row, table_column(table, "KIND")),
		table_value(table, row, table_column(table, "NAME")));
	add_line(lines, line);
}

/* No wider than the longest value, and no column but the last than this. */
#define MAX_WIDTH 20

static size_t width_of_column(const struct table *table, int column)
{
	size_t width = strlen(table->columns[column]);

	for (guint i = 0; i < table->rows->len; i++) {
		g_autofree char *valid = g_utf8_make_valid(table_value(table, i, column), -1);

		width = MAX(width, cells_width(valid));
	}
	return table->columns[column + 1] ? MIN(width, MAX_WIDTH) : width;
}

static void add_table(GPtrArray *lines, const char *title, const struct table *table)
{
	g_autofree size_t *widths = g_new0(size_t, g_strv_length(table->columns) + 1);
	g_autoptr(GString) line = g_string_new("");

	add_line(lines, line);
	g_string_printf(line, "%s: %u", title, table->rows->len);
	add_line(lines, line);
	for (int c = 0; table->columns[c]; c++)
		widths[c] = width_of_column(table, c);
	for (guint i = 0; i <= table->rows->len && table->rows->len > 0; i++) {
		for (int c = 0; table->columns[c]; c++) {
			g_autofree char *valid = g_utf8_make_valid(
				i == 0 ? table->columns[c] : table_value(table, i - 1, c), -1);

			cells_fit(line, valid, widths[c], false);
			g_string_append_c(line, ' ');
		}
		add_line(lines, line);
	}
	if (table->remark)
		g_ptr_array_add(lines, g_utf8_make_valid(table->remark, -1));
}

static void add_file(GPtrArray *lines, const char *directory, const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	struct table *table = NULL;
	int r = table_read(path, &table);

	if (r == 0)
		add_table(lines, name, table);
	else
		g_ptr_array_add(lines, g_strdup_printf("%s: %s", name, g_strerror(-r)));
	table_free(table);
}

GPtrArray *look_facts(const struct top_model *model, guint row)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);

	if (model->view == &top_views[0])
		add_title(lines, model->table, row);
	add_row(lines, model->table, row);
	return lines;
}

void job_do(struct job *job)
{
	switch (job->type) {
	case JOB_TABLE:
		job->error = read_table(job->mount, top_views[job->view].file, &job->table);
		job->use = job->error ? g_strdup("") : read_use(job->mount);
		job->allocated = job->error == 0 && job->view == 0 ?
			read_allocated(job->mount, job->table) :
			-1;
		break;
	case JOB_DETAILS:
		job->lines = g_ptr_array_new_with_free_func(g_free);
		add_file(job->lines, job->directory, "mappers");
		add_file(job->lines, job->directory, "holders");
		break;
	case JOB_REMOVE:
		job->error = rmdir(job->directory) < 0 ? -errno : 0;
		break;
	}
}

void job_free(struct job *job)
{
	g_free(job->directory);
	g_free(job->use);
	g_clear_pointer(&job->facts, g_ptr_array_unref);
	g_clear_pointer(&job->lines, g_ptr_array_unref);
	table_free(job->table);
	g_free(job);
}
