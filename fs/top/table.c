/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top/table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A table of a million segments has less. */
#define MAX_BYTES (1 << 30)

static void free_row(gpointer row)
{
	g_strfreev(row);
}

static void take_line(struct table *table, const char *line)
{
	GStrv values;

	if (*line == '#') {
		g_free(table->remark);
		table->remark = g_strdup(line + strspn(line, "# "));
		return;
	}
	values = g_strsplit(line, "\t", -1);
	if (!table->columns)
		table->columns = values;
	else if (g_strv_length(values) == g_strv_length(table->columns))
		g_ptr_array_add(table->rows, values);
	else
		g_strfreev(values);
}

struct table *table_parse(const char *text)
{
	struct table *table = g_new0(struct table, 1);

	table->rows = g_ptr_array_new_with_free_func(free_row);
	while (*text) {
		size_t n = strcspn(text, "\n");
		g_autofree char *line = g_strndup(text, n);

		if (n > 0)
			take_line(table, line);
		text += n + (text[n] == '\n');
	}
	if (!table->columns)
		table->columns = g_new0(char *, 1);
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	g_strfreev(table->columns);
	g_ptr_array_unref(table->rows);
	g_free(table->remark);
	g_free(table);
}

/* The size of the file is 0, and a short read is not its end. */
static int read_all(int fd, GString *out)
{
	char buffer[64 << 10];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof buffer)) != 0) {
		if (n < 0)
			return -errno;
		if (out->len > MAX_BYTES)
			return -EFBIG;
		g_string_append_len(out, buffer, n);
	}
	return 0;
}

int table_read(const char *path, struct table **out)
{
	g_autoptr(GString) text = g_string_new(NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = read_all(fd, text);
	close(fd);
	if (r == 0)
		*out = table_parse(text->str);
	return r;
}

int table_column(const struct table *table, const char *name)
{
	for (int i = 0; table->columns[i]; i++)
		if (strcmp(table->columns[i], name) == 0)
			return i;
	return -1;
}

const char *table_value(const struct table *table, guint row, int column)
{
	return column < 0 ? "" : ((char **)table->rows->pdata[row])[column];
}

int64_t table_number(const char *value)
{
	guint64 number;

	if (!g_ascii_string_to_unsigned(value, 10, 0, INT64_MAX, &number, NULL))
		return -1;
	return (int64_t)number;
}
