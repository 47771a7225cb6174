/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/segments-last.h"

#include <string.h>

enum { IS_NOW = 1, IS_HIDDEN = 2 };

static guint hash_process(gconstpointer key)
{
	const struct last_user *user = key;

	return (guint)user->pid * 31 + (guint)user->born;
}

static gboolean is_same_process(gconstpointer a, gconstpointer b)
{
	const struct last_user *x = a, *y = b;

	return x->pid == y->pid && x->born == y->born && x->known == y->known && x->uid == y->uid &&
		x->state == y->state && g_str_equal(x->command, y->command) &&
		g_str_equal(x->unit, y->unit);
}

void segments_last_init(struct segments_last *table)
{
	table->processes = g_ptr_array_new_with_free_func(g_free);
	table->index = g_hash_table_new(hash_process, is_same_process);
}

void segments_last_end(struct segments_last *table)
{
	g_clear_pointer(&table->index, g_hash_table_unref);
}

void segments_last_clear(struct segments_last *table)
{
	segments_last_end(table);
	g_clear_pointer(&table->processes, g_ptr_array_unref);
}

/* The process's index, plus 1; 0: there is none, or no memory for it, upon which the list fails. */
static guint index_of(struct segments_last *table, const struct last_user *user,
	struct budget *budget)
{
	gpointer index = g_hash_table_lookup(table->index, user);
	struct last_user *copy;

	if (index)
		return GPOINTER_TO_UINT(index);
	if (user->pid == 0 || !budget_use(budget, sizeof *copy))
		return 0;
	copy = g_memdup2(user, sizeof *user);
	g_ptr_array_add(table->processes, copy);
	g_hash_table_insert(table->index, copy, GUINT_TO_POINTER(table->processes->len));
	return table->processes->len;
}

void segments_last_pack(struct segments_last *table, struct packed_rows *rows,
	const struct last_user *user, const struct timespec *near)
{
	packed_number(rows, index_of(table, user, rows->budget));
	packed_number(rows, (user->now ? IS_NOW : 0) | (user->hidden ? IS_HIDDEN : 0));
	if (user->pid > 0 || user->hidden)
		packed_time(rows, &user->until, near);
}

void segments_last_get(const struct segments_last *table, const uint8_t **at,
	const struct timespec *near, struct last_user *out)
{
	guint index = packed_get_number(at);
	unsigned flags = packed_get_number(at);

	if (index)
		*out = *(const struct last_user *)g_ptr_array_index(table->processes, index - 1);
	else
		*out = (struct last_user){ .state = "none", .unit = "-" };
	out->now = flags & IS_NOW;
	out->hidden = flags & IS_HIDDEN;
	out->until = (struct timespec){ 0 };
	if (index || out->hidden)
		out->until = packed_get_time(at, near);
}

size_t segments_last_bytes(const struct segments_last *table)
{
	return table->processes->len * sizeof(struct last_user);
}
