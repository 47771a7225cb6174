/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/openmetrics-limits.h"

#include "views/limits.h"
#include "views/openmetrics-format.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* So many other namespaces have limits, those that are nearest to one. */
#define RANKED 20

/* A realm's limits, and how near it is to one of them. */
struct realm_limits {
	const char *namespace; /* "": the daemon's own */
	struct limit limits[LIMITS_MAX];
	size_t n;
	unsigned unread;
	double fullest; /* used, of the limit: 0 to 1, and beyond */
};

static double fullness(const struct limit *limit)
{
	if (limit->limit == LIMIT_NONE || limit->limit == 0 || limit->used == LIMIT_NONE)
		return 0;
	return (double)limit->used / limit->limit;
}

static struct realm_limits limits_of(const struct realm *realm, const char *namespace)
{
	struct realm_limits of = { .namespace = namespace };

	of.n = limits_read(realm, of.limits, &of.unread);
	for (size_t i = 0; i < of.n; i++)
		of.fullest = MAX(of.fullest, fullness(&of.limits[i]));
	return of;
}

static gint by_fullest(gconstpointer a, gconstpointer b)
{
	const struct realm_limits *one = a, *other = b;

	if (one->fullest != other->fullest)
		return one->fullest < other->fullest ? 1 : -1;
	return strcmp(one->namespace, other->namespace);
}

static gint by_namespace(gconstpointer a, gconstpointer b)
{
	return strcmp(((const struct realm_limits *)a)->namespace,
		((const struct realm_limits *)b)->namespace);
}

/* The fullest of the others, in a fixed order, and before them the daemon's own. */
static GArray *read_limits(const struct realm *own, const GArray *others, unsigned *unread)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(struct realm_limits));
	struct realm_limits limits;

	for (guint i = 0; i < others->len; i++) {
		const struct opened_realm *other = &g_array_index(others, struct opened_realm, i);

		limits = limits_of(&other->realm, other->name);
		*unread += limits.unread;
		g_array_append_val(all, limits);
	}
	g_array_sort(all, by_fullest);
	g_array_set_size(all, MIN(all->len, RANKED));
	limits = limits_of(own, "");
	*unread += limits.unread;
	g_array_append_val(all, limits);
	g_array_sort(all, by_namespace);
	return all;
}

/* In bytes, or as it is. */
static void append_limit_value(GString *out, const struct limit *limit, uint64_t value)
{
	uint64_t page = limit->of == LIMIT_PAGES ? (uint64_t)sysconf(_SC_PAGESIZE) : 1;

	if (value == LIMIT_NONE || value > UINT64_MAX / page)
		g_string_append(out, "+Inf\n");
	else
		g_string_append_printf(out, "%" PRIu64 "\n", value * page);
}

/* Of others, what nothing is used of says nothing. */
static bool is_told(const struct realm_limits *of, const struct limit *limit, bool used)
{
	if (*of->namespace && (limit->used == LIMIT_NONE || limit->used == 0))
		return false;
	return !used || limit->used != LIMIT_NONE;
}

static void add_limit_family(GString *out, const GArray *all, bool bytes, bool used,
	const char *name, const char *help)
{
	openmetrics_family(out, name, bytes ? "bytes" : NULL, help);
	for (guint i = 0; i < all->len; i++) {
		const struct realm_limits *of = &g_array_index(all, struct realm_limits, i);

		for (const struct limit *l = of->limits; l < of->limits + of->n; l++) {
			if ((l->of != LIMIT_COUNT) != bytes || !is_told(of, l, used))
				continue;
			g_string_append_printf(out, "%s{resource=\"%s\"", name, l->resource);
			if (*of->namespace)
				g_string_append_printf(out, ",namespace=\"%s\"", of->namespace);
			g_string_append(out, "} ");
			append_limit_value(out, l, used ? l->used : l->limit);
		}
	}
}

void openmetrics_limits(GString *out, const struct realm *own, const GArray *others)
{
	unsigned unread = 0;
	g_autoptr(GArray) all = read_limits(own, others, &unread);

	add_limit_family(out, all, true, false, "shmtree_limit_bytes",
		"Limits that are bytes, by the names that lsipc has for them; +Inf: unlimited.");
	add_limit_family(out, all, true, true, "shmtree_limit_used_bytes",
		"How much of each is used, where that can be said.");
	add_limit_family(out, all, false, false, "shmtree_limit_objects",
		"Limits that are numbers of something; +Inf: unlimited.");
	add_limit_family(out, all, false, true, "shmtree_limit_used_objects",
		"How much of each is used, where that can be said.");
	openmetrics_number(out, "shmtree_limits_not_read", NULL, unread,
		"How often limits of any namespace could not be read, which are missing then.");
}
