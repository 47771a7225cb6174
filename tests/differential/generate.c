/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "generate.h"

#include <limits.h>
#include <string.h>

#define MAX_OPS 160

struct generator {
	uint64_t state;
	unsigned weights[MAX_OPS], weight_sum;
	unsigned actors[ACTORS], actor_count;
	unsigned names; /* how many of the plain names are in use */
	bool odd_names; /* whether the others occur at all */
	int64_t mode_mask;
	bool fd_live[ACTORS][FD_SLOTS]; /* a guess: the call may have failed */
	bool map_live[ACTORS][MAP_SLOTS];
};

/* splitmix64 */
static uint64_t next(struct generator *g)
{
	uint64_t z = (g->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static unsigned below(struct generator *g, unsigned limit)
{
	return (unsigned)(next(g) % limit);
}

static bool one_in(struct generator *g, unsigned n)
{
	return below(g, n) == 0;
}

/* A slot, nine times of ten one that is thought to be live. */
static unsigned pick_slot(struct generator *g, const bool *live, unsigned count)
{
	unsigned slot = below(g, count);

	if (one_in(g, 10))
		return slot;
	for (unsigned i = 0; i < count; i++, slot = (slot + 1) % count) {
		if (live[slot])
			return slot;
	}
	return slot;
}

static int64_t pick_offset(struct generator *g)
{
	static const int64_t absurd[] = {
		-1,
		-4096,
		LLONG_MIN,
		LLONG_MAX,
		LLONG_MAX - 4095,
		1LL << 40,
		1LL << 32,
		(1LL << 31) - 1,
		5 << 20,
		(4 << 20) - 1,
		1 << 20,
	};

	switch (below(g, 12)) {
	case 0:
		return absurd[below(g, sizeof(absurd) / sizeof(*absurd))];
	case 1:
	case 2:
		return below(g, 65536);
	case 3:
	case 4:
		return below(g, 5) * 4096 + below(g, 3) - 1;
	case 5:
	case 6:
		return 0;
	default:
		return below(g, 6) * 4096;
	}
}

static int64_t pick_count(struct generator *g)
{
	switch (below(g, 10)) {
	case 0:
		return below(g, MAX_IO) + 1;
	case 1:
	case 2:
		return 4096 * (1 + below(g, 4));
	case 3:
	case 4:
		return 1 + below(g, 20000);
	default:
		return 1 + below(g, 300);
	}
}

static int64_t pick_size(struct generator *g)
{
	switch (below(g, 8)) {
	case 0:
		return pick_offset(g);
	case 1:
		return below(g, 6 << 20);
	case 2:
		return 0;
	default:
		return pick_count(g);
	}
}

static int64_t pick_mode(struct generator *g)
{
	static const int64_t usual[] = { 0644, 0666, 0600, 0660, 0777, 0640, 04755, 02755, 02644,
		0 };

	if (one_in(g, 4))
		return below(g, 010000) & g->mode_mask;
	return usual[below(g, sizeof(usual) / sizeof(*usual))] & g->mode_mask;
}

static int64_t pick_name(struct generator *g)
{
	if (g->odd_names && one_in(g, 12))
		return PLAIN_NAMES + below(g, name_count() - PLAIN_NAMES);
	return below(g, g->names);
}

static int64_t pick_bits(struct generator *g, const struct choice *choices)
{
	int64_t bits = 0;
	unsigned rarity = 3;

	for (const struct choice *c = choices; c->name; c++) {
		if (one_in(g, rarity))
			bits |= c->value;
		rarity += 2;
	}
	return bits;
}

static int64_t pick_one(struct generator *g, const struct choice *choices)
{
	unsigned count = 0;

	while (choices[count].name)
		count++;
	return choices[below(g, count)].value;
}

static int64_t pick_number(struct generator *g, enum arg_kind kind)
{
	switch (kind) {
	case ARG_OFFSET:
		return pick_offset(g);
	case ARG_POSITION:
		return one_in(g, 3) ? -1 : pick_offset(g);
	case ARG_SIZE:
		return pick_size(g);
	case ARG_COUNT_OR_0:
		return one_in(g, 10) ? 0 : pick_count(g);
	case ARG_COUNT:
		return pick_count(g);
	case ARG_PAGES:
		return one_in(g, 2) ? 0 : below(g, 6);
	case ARG_WITHIN:
		return one_in(g, 2) ? below(g, 6) * 4096 : below(g, 24576);
	case ARG_SEED:
		return below(g, 250) + 1;
	default:
		return pick_mode(g);
	}
}

static int64_t pick_arg(struct generator *g, unsigned actor, const struct arg_spec *spec)
{
	bool *fds = g->fd_live[actor], *maps = g->map_live[actor];
	unsigned slot;

	switch (spec->kind) {
	case ARG_FD:
		return pick_slot(g, fds, FD_SLOTS);
	case ARG_FD_NEW:
		slot = below(g, FD_SLOTS);
		fds[slot] = true;
		return slot;
	case ARG_FD_CLOSED:
		slot = pick_slot(g, fds, FD_SLOTS);
		fds[slot] = false;
		return slot;
	case ARG_MAP:
		return pick_slot(g, maps, MAP_SLOTS);
	case ARG_MAP_NEW:
		slot = below(g, MAP_SLOTS);
		maps[slot] = true;
		return slot;
	case ARG_NAME:
		return pick_name(g);
	case ARG_PICK:
		return pick_one(g, spec->choices);
	case ARG_BITS:
		return pick_bits(g, spec->choices);
	default:
		return pick_number(g, spec->kind);
	}
}

/*
 * Powerless root does not go together with actors outside: the kernel checks the owner that it
 * knows, and the daemon takes user 0 for root, so that what changed behind the mount since the
 * kernel last looked is not noticed.
 */
static void choose_actors(struct generator *g)
{
	bool powerless = one_in(g, 2);

	while (!g->actor_count) {
		for (unsigned i = 0; i < ACTORS; i++) {
			if (one_in(g, 2) && !(powerless ? actors[i].outside : actors[i].powerless))
				g->actors[g->actor_count++] = i;
		}
	}
}

static void choose_habits(struct generator *g)
{
	unsigned ops = op_count();

	choose_actors(g);
	/* A write through the mount does not clear those that the kernel has not seen yet, as the manual says. */
	for (unsigned i = 0; i < g->actor_count; i++) {
		if (actors[g->actors[i]].outside)
			g->mode_mask = 01777;
	}
	for (unsigned i = 0; i < ops; i++) {
		unsigned weight = op_at(i)->weight;

		/* The heavy ones, which everything else needs, are in every sequence. */
		if (weight < 100 && one_in(g, 2))
			weight = 0;
		/* With passthrough a write clears set-ID bits before the limit refuses it. */
		if (weight && strcmp(op_at(i)->name, "limit_file_size") == 0)
			g->mode_mask = 01777;
		g->weights[i] = weight;
		g->weight_sum += weight;
	}
	g->names = 1 + below(g, PLAIN_NAMES);
	g->odd_names = one_in(g, 2);
}

static unsigned pick_op(struct generator *g)
{
	unsigned ticket = below(g, g->weight_sum), i = 0;

	while (ticket >= g->weights[i])
		ticket -= g->weights[i++];
	return i;
}

void generate(uint64_t seed, struct step *steps, size_t count)
{
	struct generator g = { .state = seed * 0xd1342543de82ef95u + 1, .mode_mask = 07777 };

	choose_habits(&g);
	memset(steps, 0, count * sizeof(*steps));
	for (size_t i = 0; i < count; i++) {
		struct step *step = &steps[i];
		const struct op *op;

		step->op = (uint16_t)pick_op(&g);
		step->actor = (uint16_t)g.actors[below(&g, g.actor_count)];
		op = op_at(step->op);
		for (int j = 0; j < MAX_ARGS && op->args[j].kind != ARG_NONE; j++)
			step->arg[j] = pick_arg(&g, step->actor, &op->args[j]);
	}
}
