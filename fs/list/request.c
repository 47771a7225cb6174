/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "list/request.h"

#include "daemon/log.h"
#include "base/units.h"

#include <string.h>

/* As they were given; all owned. */
struct raw {
	gboolean list, json, human;
	char *columns, *sort, *where, *fail_over;
	char **mount_options, **paths;
};

static void clear_raw(struct raw *raw)
{
	g_free(raw->columns);
	g_free(raw->sort);
	g_free(raw->where);
	g_free(raw->fail_over);
	g_strfreev(raw->mount_options);
	g_strfreev(raw->paths);
}

static int parse_arguments(int argc, char **argv, struct raw *raw)
{
	const GOptionEntry entries[] = {
		{ "list", 0, 0, G_OPTION_ARG_NONE, &raw->list, NULL, NULL },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &raw->json, NULL, NULL },
		{ "human", 0, 0, G_OPTION_ARG_NONE, &raw->human, NULL, NULL },
		{ "columns", 0, 0, G_OPTION_ARG_FILENAME, &raw->columns, NULL, NULL },
		{ "sort", 0, 0, G_OPTION_ARG_FILENAME, &raw->sort, NULL, NULL },
		{ "where", 0, 0, G_OPTION_ARG_FILENAME, &raw->where, NULL, NULL },
		{ "fail-over", 0, 0, G_OPTION_ARG_FILENAME, &raw->fail_over, NULL, NULL },
		{ "options", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &raw->mount_options, NULL, NULL },
		{ G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &raw->paths, NULL, NULL },
		{ 0 },
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;
	/* It takes out of the list what it understands. */
	g_autofree char **left = g_memdup2(argv, sizeof *argv * (size_t)(argc + 1));

	g_option_context_set_help_enabled(context, FALSE);
	g_option_context_add_main_entries(context, entries, NULL);
	if (g_option_context_parse(context, &argc, &left, &error))
		return 0;
	log_line("%s; see shmtree --help", error->message);
	return -1;
}

static int choose_columns(const struct raw *raw, struct list_request *out)
{
	g_autofree char *wrong = NULL;

	if (!raw->columns) {
		out->columns = raw->json ? NULL : list_columns_default(raw->human);
		return 0;
	}
	out->columns = list_columns_parse(raw->columns, &wrong);
	if (out->columns)
		return 0;
	log_line("invalid option columns: there is no column '%s'; see shmtree(8)", wrong);
	return -1;
}

static int choose_sort(const char *sort, struct list_request *out)
{
	if (!sort)
		return 0;
	out->backwards = *sort == '-';
	out->sort = list_column_find(sort + out->backwards);
	if (out->sort)
		return 0;
	log_line("invalid option sort: there is no column '%s'; see shmtree(8)",
		sort + out->backwards);
	return -1;
}

static int choose_where(const char *where, struct list_request *out)
{
	g_autofree char *why = NULL;

	if (!where)
		return 0;
	out->where = list_filter_parse(where, &why);
	if (out->where)
		return 0;
	log_line("invalid option where: %s", why);
	return -1;
}

bool list_limit_parse(const char *text, double *percent, int64_t *bytes)
{
	size_t n = strlen(text);
	g_autofree char *number = NULL;
	char *end;

	*percent = 0;
	*bytes = -1;
	if (n == 0 || text[n - 1] != '%')
		return units_parse_bytes(text, bytes);
	number = g_strndup(text, n - 1);
	if (strspn(number, "0123456789.") != n - 1)
		return false;
	*percent = g_ascii_strtod(number, &end);
	return end != number && !*end && *percent > 0 && *percent <= 100;
}

static int choose_limit(const char *limit, struct list_request *out)
{
	out->bytes = -1;
	if (!limit || list_limit_parse(limit, &out->percent, &out->bytes))
		return 0;
	log_line(
		"invalid option fail-over=%s: use a percentage up to 100%%, or a size such as 500M",
		limit);
	return -1;
}

static int choose(const struct raw *raw, struct list_request *out, struct options *options)
{
	guint paths = raw->paths ? g_strv_length(raw->paths) : 0;

	out->json = raw->json;
	out->human = raw->human;
	if (raw->json && raw->human) {
		log_line("invalid options json and human: use the one or the other");
		return -1;
	}
	if (paths > 1) {
		log_line("too many arguments; usage: shmtree --list [SOURCE] [options]");
		return -1;
	}
	if (choose_columns(raw, out) < 0 || choose_sort(raw->sort, out) < 0 ||
		choose_where(raw->where, out) < 0 || choose_limit(raw->fail_over, out) < 0)
		return -1;
	return options_for_look(paths ? raw->paths[0] : NULL, raw->mount_options, options) < 0 ?
		-1 :
		0;
}

int list_request_parse(int argc, char **argv, struct list_request *out, struct options *options)
{
	struct raw raw = { 0 };
	int r;

	*out = (struct list_request){ .bytes = -1 };
	r = parse_arguments(argc, argv, &raw);
	if (r == 0)
		r = choose(&raw, out, options);
	clear_raw(&raw);
	return r;
}

void list_request_clear(struct list_request *request)
{
	g_clear_pointer(&request->columns, g_ptr_array_unref);
	g_clear_pointer(&request->where, list_filter_free);
}
