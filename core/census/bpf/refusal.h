/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why the kernel does not take the BPF programs: the cause, for a person. */
#pragma once

/*
 * Before they are loaded: what is known to forbid them, as a static string, or NULL. To try in vain
 * would leave a complaint in the kernel's log.
 */
const char *refusal_expected(void);

/* After loading failed with that negative errno: one line that lives for ever. */
const char *refusal_cause(int error);
