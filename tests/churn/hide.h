/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What keeps an object although no descriptor and no mapping of a process shows it. */
#pragma once

/*
 * Does one such thing, or undoes one: sends the descriptor `object` through the socket that all
 * workers share, receives one from there, makes an io_uring with which the object is registered, or
 * closes one. `random` decides which. Only system calls are made, so that any thread may call it.
 * `object` stays the caller's.
 */
void churn_hide(unsigned random, int object);
