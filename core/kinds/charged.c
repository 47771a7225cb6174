/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/charged.h"

#include "base/format.h"
#include "base/util.h"
#include "caller/sight.h"
#include "procfs/cgroup-path.h"
#include "procfs/cgroup.h"

#include <inttypes.h>
#include <string.h>

#define LIMIT_US (2 * 1000 * 1000)
/* How often to look, and how long to pause after the first tries, in microseconds: a second in all, before LIMIT_US. */
#define QUICK_TRIES 8
#define LOOK_TRIES 200
#define PAUSE_US 5000

/* Looks at the object, again if its count changes meanwhile: only which object it is matters. */
static int look(const struct view *view, int fd, struct object_now *out)
{
	const struct item *item = view->item;
	int r = -EAGAIN;

	for (int tries = 0; r == -EAGAIN && tries < LOOK_TRIES; tries++) {
		if (tries >= QUICK_TRIES)
			g_usleep(PAUSE_US);
		r = fd < 0 ? item->kind->look(view->realm, item, true, out) :
			     census_look(view->realm->census, fd, true, out);
	}
	return r == -ENOTSUP ? -EOPNOTSUPP : r;
}

/*
 * Sums the object's pages by group. It keeps the file open meanwhile, but not that of a System V
 * segment, which would have to be attached for that.
 */
static int read_sums(const struct view *view, struct charge_sums *out)
{
	const struct item *item = view->item;
	struct item_file file = { .fd = -1 };
	struct object_now now;
	auto_fd fd = -1;
	int r = item->key.class == SEGMENT_SYSV ? 0 : item->kind->open(view->realm, item, &file);

	fd = file.fd;
	if (r == 0)
		r = look(view, fd, &now);
	if (r == 0 && now.huge)
		r = -EOPNOTSUPP;
	return r < 0 ? r : census_charged(view->realm->census, &now, LIMIT_US, out);
}

struct row {
	char *path; /* owned; NULL: the group is gone, or no group pays */
	const struct charge_of_group *sum;
};

static gint by_path(gconstpointer a, gconstpointer b)
{
	const struct row *x = a, *y = b;
	gint r = g_strcmp0(x->path, y->path);

	return r ? r : (x->sum->group > y->sum->group) - (x->sum->group < y->sum->group);
}

static void clear_row(gpointer row)
{
	g_free(((struct row *)row)->path);
}

/* Which rows a caller sees: all, or that of its own group. */
struct sight {
	bool all;
	char own[4096];
};

static void look_as(const struct view *view, struct sight *out)
{
	g_autofree char *file = g_strdup_printf("/proc/%d/cgroup", view->caller.pid);
	g_autofree char *text = NULL;
	struct caller_sight sight;
	char unit[CGROUP_UNIT_MAX];

	*out = (struct sight){ .own = "" };
	caller_sight_begin(&sight, view->realm->proc, &view->caller);
	out->all = sight.all;
	if (!sight.confined && sight.proc >= 0 && g_file_get_contents(file, &text, NULL, NULL))
		cgroup_parse(text, out->own, sizeof out->own, unit);
	caller_sight_end(&sight);
}

static void append_row(const struct row *row, GString *out)
{
	char unit[CGROUP_UNIT_MAX] = "-";

	if (row->path) {
		cgroup_parse_unit(row->path, unit);
		format_escaped(out, row->path);
	} else if (row->sum->group) {
		g_string_append_printf(out, "gone:%" PRIu64, row->sum->group);
	} else {
		g_string_append_c(out, '-');
	}
	g_string_append_c(out, '\t');
	format_escaped(out, unit);
	g_string_append_printf(out, "\t%" PRIu64 "\n", row->sum->bytes);
}

static void append_end(const struct charge_sums *sums, uint64_t hidden, GString *out)
{
	if (sums->lost > 0)
		g_string_append_printf(out, "# %" PRIu64 " bytes of too many groups\n", sums->lost);
	if (sums->swapped > 0)
		g_string_append_printf(out, "# %" PRIu64 " bytes in swap, payer not known\n",
			sums->swapped);
	if (sums->stopped)
		g_string_append_printf(out, "# stopped at offset %" PRIu64 ": the time was over\n",
			sums->stopped_at);
	if (hidden > 0)
		g_string_append_printf(out, "# %" PRIu64 " bytes not shown\n", hidden);
}

static int append_rows(const struct view *view, const struct charge_sums *sums, GString *out)
{
	g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(struct row));
	struct sight sight;
	uint64_t hidden = 0;

	g_array_set_clear_func(rows, clear_row);
	for (unsigned i = 0; i < sums->n; i++) {
		const struct charge_of_group *sum = &sums->groups[i];
		struct row row = { NULL, sum };
		int r = sum->group ? cgroup_path_of(sum->group, &row.path) : 0;

		if (r < 0)
			return r;
		g_array_append_val(rows, row);
	}
	g_array_sort(rows, by_path);
	look_as(view, &sight);
	for (guint i = 0; i < rows->len; i++) {
		const struct row *row = &g_array_index(rows, struct row, i);

		if (sight.all || (row->path && strcmp(row->path, sight.own) == 0))
			append_row(row, out);
		else
			hidden += row->sum->bytes;
	}
	append_end(sums, hidden, out);
	return 0;
}

static int show_charged(const struct view *view, const struct attribute *self, GString *out)
{
	struct charge_sums sums;
	int r = read_sums(view, &sums);

	(void)self;
	if (r < 0)
		return r;
	g_string_append(out, "CGROUP\tUNIT\tBYTES\n");
	r = append_rows(view, &sums, out);
	g_free(sums.groups);
	return r;
}

const struct attribute charged_attributes[] = {
	{ "charged", FORM_OTHER, 0, show_charged, .slow = true },
	{ NULL },
};
