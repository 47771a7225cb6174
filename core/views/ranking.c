/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/ranking.h"

#include <string.h>

struct ranking {
	GHashTable *all; /* label: struct ranked */
};

static void free_ranked(gpointer data)
{
	struct ranked *ranked = data;

	g_free((char *)ranked->label);
	g_free(ranked);
}

struct ranking *ranking_new(void)
{
	struct ranking *ranking = g_new0(struct ranking, 1);

	ranking->all = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_ranked);
	return ranking;
}

void ranking_free(struct ranking *ranking)
{
	g_hash_table_unref(ranking->all);
	g_free(ranking);
}

static void add_values(struct ranked *ranked, const uint64_t values[RANKED_VALUES])
{
	for (unsigned i = 0; i < RANKED_VALUES; i++)
		ranked->values[i] += values[i];
}

void ranking_add(struct ranking *ranking, const char *label, const uint64_t values[RANKED_VALUES])
{
	struct ranked *ranked = g_hash_table_lookup(ranking->all, label);

	if (!ranked) {
		ranked = g_new0(struct ranked, 1);
		ranked->label = g_strdup(label);
		g_hash_table_insert(ranking->all, (gpointer)ranked->label, ranked);
	}
	add_values(ranked, values);
}

static gint by_value(gconstpointer a, gconstpointer b)
{
	const struct ranked *one = a, *other = b;

	if (one->values[0] != other->values[0])
		return one->values[0] < other->values[0] ? 1 : -1;
	return strcmp(one->label, other->label);
}

static gint by_label(gconstpointer a, gconstpointer b)
{
	return strcmp(((const struct ranked *)a)->label, ((const struct ranked *)b)->label);
}

GArray *ranking_largest(const struct ranking *ranking, guint most)
{
	GArray *largest = g_array_new(FALSE, FALSE, sizeof(struct ranked));
	struct ranked others = { .label = RANKED_OTHERS };
	GHashTableIter iter;
	gpointer ranked;
	guint n;

	g_hash_table_iter_init(&iter, ranking->all);
	while (g_hash_table_iter_next(&iter, NULL, &ranked))
		g_array_append_vals(largest, ranked, 1);
	g_array_sort(largest, by_value);
	n = largest->len;
	for (guint i = most; i < n; i++)
		add_values(&others, g_array_index(largest, struct ranked, i).values);
	g_array_set_size(largest, MIN(n, most));
	/* One that has that label by itself counts there too: a series has one sample. */
	for (guint i = 0; n > most && i < largest->len; i++)
		if (strcmp(g_array_index(largest, struct ranked, i).label, RANKED_OTHERS) == 0) {
			add_values(&others, g_array_index(largest, struct ranked, i).values);
			g_array_remove_index(largest, i--);
		}
	if (n > most)
		g_array_append_val(largest, others);
	g_array_sort(largest, by_label);
	return largest;
}
