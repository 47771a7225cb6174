/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers for nodes. The kernel gives the number of a node to every user (name_to_handle_at(2)), so
 * that it must tell nothing about the daemon's memory: it is the node's place in this table. A
 * place that was given back is used again.
 *
 * Threads: the caller makes sure that one at a time adds or removes. id_table_get() may run
 * meanwhile in any number of threads, for numbers that are in the table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct id_table;

struct id_table *id_table_new(void);

/* The table is empty by then. */
void id_table_free(struct id_table *table);

/*
 * A number from 1 on for that pointer, which is aligned and not NULL. Ends the program if all are
 * used.
 */
uint32_t id_table_add(struct id_table *table, void *pointer);
void id_table_remove(struct id_table *table, uint32_t id);

/* NULL for a number that is not in the table. */
void *id_table_get(struct id_table *table, uint32_t id);

/*
 * Calls visit() for each pointer in one part of the table, which are counted from 0 and hold some thousand
 * each. Nobody adds or removes meanwhile. False: there is no such part, nor one after it.
 */
bool id_table_each(const struct id_table *table, uint32_t part,
	void (*visit)(void *pointer, void *data), void *data);
