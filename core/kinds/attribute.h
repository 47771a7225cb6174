/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * show() functions for attributes that are one field of the item, `self->offset` bytes into it.
 * All append the value and a newline, and never fail.
 */
#pragma once

#include "kinds/kind.h"

int show_u32(const struct view *view, const struct attribute *self, GString *out);
int show_i64(const struct view *view, const struct attribute *self, GString *out);
/* BYTES_UNKNOWN is shown as "unknown". */
int show_u64(const struct view *view, const struct attribute *self, GString *out);
/* A System V key: 0x%08x. */
int show_key(const struct view *view, const struct attribute *self, GString *out);
/* Permission bits (mode_t) in octal, as lsipc shows them. */
int show_perms(const struct view *view, const struct attribute *self, GString *out);
/* The name of a uid_t or gid_t, or the number where it has none. */
int show_user(const struct view *view, const struct attribute *self, GString *out);
int show_group(const struct view *view, const struct attribute *self, GString *out);
/* A pid_t: its number, 0 for nobody. */
int show_pid(const struct view *view, const struct attribute *self, GString *out);
