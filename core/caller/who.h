/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a caller may be told which process did something in the past. Of one that lives that is asked now; for
 * one that is gone it cannot be asked any more: it is shown to callers that see every process, and to its own user
 * if that user could read its memory while it lived.
 */
#pragma once

#include "caller/sight.h"

/*
 * The process of that number which began at `born` (clock ticks after boot; 0: nothing but its number is
 * known, which only a caller that sees all may know), of that effective user; `readable`: its user could read its
 * memory. Of pid 0, no process, it says what the caller may know of any.
 */
bool caller_sees_who(struct caller_sight *sight, pid_t pid, uint64_t born, uid_t uid,
	bool readable);
