/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints the rows that `shmtree --list` was asked for, in their order. */
#pragma once

#include "list/request.h"
#include "views/segments.h"

/*
 * To standard output; `now` is when the segments were taken. The segments are sorted (segments_sort()), and of
 * segments_take_full(). 0, or a negative errno of write(2).
 */
int list_output(const struct list_request *request, const struct segments *segments,
	const struct timespec *now);
