/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes sequences of steps from a seed, and nothing but the seed. */
#pragma once

#include "step.h"

/*
 * Calls that are not made while somebody changes sizes behind a mount without passthrough: there the
 * kernel takes the size from what it knows, not from the daemon, and that is documented. Set once.
 */
void generate_without_sizes(bool on);

/*
 * Fills steps with a sequence of count steps. Each seed prefers a random choice of calls, actors
 * and names of its own ("swarm testing"): a few calls often reach deeper than all calls seldom.
 */
void generate(uint64_t seed, struct step *steps, size_t count);
