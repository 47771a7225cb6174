/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/names.h"

struct names {
	GHashTable *table; /* name: struct named */
	bool left_out;
};

struct names *names_new(void)
{
	struct names *names = g_new0(struct names, 1);

	names->table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return names;
}

void names_free(struct names *names)
{
	g_hash_table_unref(names->table);
	g_free(names);
}

void names_set(struct names *names, const char *name, const struct named *named)
{
	struct named *known = g_hash_table_lookup(names->table, name);

	if (known)
		*known = *named;
	else if (g_hash_table_size(names->table) < NAMES_MAX)
		g_hash_table_insert(names->table, g_strdup(name), g_memdup2(named, sizeof *named));
	else
		names->left_out = true;
}

void names_unset(struct names *names, const char *name)
{
	g_hash_table_remove(names->table, name);
}

struct named *names_get(const struct names *names, const char *name)
{
	return g_hash_table_lookup(names->table, name);
}

bool names_complete(const struct names *names)
{
	return !names->left_out;
}

void names_clear(struct names *names, bool complete)
{
	g_hash_table_remove_all(names->table);
	names->left_out = !complete;
}

void names_each(const struct names *names,
	void (*visit)(const char *name, struct named *named, void *data), void *data)
{
	GHashTableIter iter;
	gpointer name, named;

	g_hash_table_iter_init(&iter, names->table);
	while (g_hash_table_iter_next(&iter, &name, &named))
		visit(name, named, data);
}
