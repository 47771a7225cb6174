/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes sequences of steps from a seed, and nothing but the seed. */
#pragma once

#include "step.h"

/*
 * Fills steps with a sequence of count steps. Each seed prefers a random choice of calls, actors
 * and names of its own ("swarm testing"): a few calls often reach deeper than all calls seldom.
 */
void generate(uint64_t seed, struct step *steps, size_t count);
