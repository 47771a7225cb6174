/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why the kernel refuses the BPF programs, as a message for the user. */
#pragma once

/*
 * Before they are loaded: what is known to forbid them, as a static string, or NULL. A try that
 * must fail would leave a warning in the kernel's log.
 */
const char *refusal_expected(void);

/* After loading failed with that negative errno: the cause in one line, never freed. */
const char *refusal_cause(int error);
