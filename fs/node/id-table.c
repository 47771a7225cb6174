/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places come in blocks, which are given back to the system when they are empty: after a listing of
 * a million objects few of the many are left. A free place holds the next free one of its block, as
 * an odd number, which no pointer is.
 */
#include "node/id-table.h"

#include <glib.h>

#define PLACES 4096
#define BLOCKS (G_MAXUINT32 / PLACES)

struct block {
	GList link; /* in `roomy` while it has a free place; data: the block */
	uint32_t number;
	uint32_t used;
	uint32_t first_free; /* PLACES: none */
	gpointer places[PLACES];
};

struct id_table {
	GQueue roomy;    /* of struct block */
	uint32_t lowest; /* no block below this number is missing */
	uint32_t end;    /* there never was a block from this number on */
	struct block *blocks[BLOCKS];
};

static gpointer free_place(uint32_t next)
{
	return (gpointer)((uintptr_t)next << 1 | 1);
}

static uint32_t next_free(gpointer place)
{
	return (uintptr_t)place >> 1;
}

struct id_table *id_table_new(void)
{
	/* Eight megabytes of addresses; the memory comes with their use. */
	return g_new0(struct id_table, 1);
}

void id_table_free(struct id_table *table)
{
	struct block *block;

	while ((block = g_queue_peek_head(&table->roomy))) {
		g_assert(block->used == 0);
		g_queue_unlink(&table->roomy, &block->link);
		g_free(block);
	}
	g_free(table);
}

static struct block *add_block(struct id_table *table)
{
	struct block *block = g_new(struct block, 1);

	while (table->blocks[table->lowest])
		if (++table->lowest == BLOCKS)
			g_error("the numbers of nodes are used up");
	block->link = (GList){ .data = block };
	block->number = table->lowest;
	table->end = MAX(table->end, block->number + 1);
	block->used = block->first_free = 0;
	for (uint32_t i = 0; i < PLACES; i++)
		block->places[i] = free_place(i + 1);
	g_atomic_pointer_set(&table->blocks[block->number], block);
	g_queue_push_head_link(&table->roomy, &block->link);
	return block;
}

uint32_t id_table_add(struct id_table *table, void *pointer)
{
	struct block *block = g_queue_peek_head(&table->roomy);
	uint32_t place;

	if (!block)
		block = add_block(table);
	place = block->first_free;
	block->first_free = next_free(block->places[place]);
	block->used++;
	if (block->first_free == PLACES)
		g_queue_unlink(&table->roomy, &block->link);
	g_atomic_pointer_set(&block->places[place], pointer);
	return block->number * PLACES + place + 1;
}

/* The last one with room stays: it is about to be used. */
static void drop_block(struct id_table *table, struct block *block)
{
	if (table->roomy.length == 1)
		return;
	g_queue_unlink(&table->roomy, &block->link);
	g_atomic_pointer_set(&table->blocks[block->number], NULL);
	table->lowest = MIN(table->lowest, block->number);
	g_free(block);
}

void id_table_remove(struct id_table *table, uint32_t id)
{
	struct block *block = table->blocks[(id - 1) / PLACES];
	uint32_t place = (id - 1) % PLACES;

	if (block->first_free == PLACES)
		g_queue_push_tail_link(&table->roomy, &block->link);
	g_atomic_pointer_set(&block->places[place], free_place(block->first_free));
	block->first_free = place;
	if (--block->used == 0)
		drop_block(table, block);
}

void *id_table_get(struct id_table *table, uint32_t id)
{
	struct block *block;
	gpointer pointer;

	if (id == 0)
		return NULL;
	block = g_atomic_pointer_get(&table->blocks[(id - 1) / PLACES]);
	pointer = block ? g_atomic_pointer_get(&block->places[(id - 1) % PLACES]) : NULL;
	return (uintptr_t)pointer & 1 ? NULL : pointer;
}

bool id_table_each(const struct id_table *table, uint32_t part,
	void (*visit)(void *pointer, void *data), void *data)
{
	const struct block *block;

	if (part >= table->end)
		return false;
	block = table->blocks[part];
	for (uint32_t i = 0; block && i < PLACES; i++)
		if (!((uintptr_t)block->places[i] & 1))
			visit(block->places[i], data);
	return true;
}
