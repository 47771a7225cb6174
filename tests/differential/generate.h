/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes sequences of steps from a seed, and nothing but the seed. */
#pragma once

#include "step.h"

/*
 * Some calls go by the size that the kernel knows, not by the file's, and that is documented. They
 * are not made where somebody changes sizes behind the mount. Which ones they are depends on whether
 * there is passthrough. Set once.
 */
void generate_for_passthrough(bool on);

/*
 * Fills steps with a sequence of count steps. Each seed prefers a random choice of calls, actors
 * and names of its own ("swarm testing"): a few calls often reach deeper than all calls seldom.
 */
void generate(uint64_t seed, struct step *steps, size_t count);
