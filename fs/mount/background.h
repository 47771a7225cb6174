/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Going to the background, but not before the mount works: the parent waits for the child's word
 * and ends with its success or failure.
 */
#pragma once

/*
 * Forks. Returns 0 in the child; the parent never returns. Before any thread starts; failure ends
 * the program with a message.
 */
void background_start(void);

/* In the child: lets the parent end with success, and lets go of the terminal. */
void background_ready(void);
