/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes values in JSON, where a string is Unicode although a file name is any bytes. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdint.h>
#include <time.h>

/*
 * Adds a member whose value is a string of bytes. What is valid UTF-8 is written as it is. What is
 * not has U+FFFD for each byte that fits no character, and beside it a member KEY_base64 that holds
 * the exact bytes. KEY_base64 exists only if KEY is not exact.
 */
void format_json_bytes(JsonBuilder *builder, const char *key, const char *value);

/* Adds a member that is a number; UINT64_MAX, which stands for what is not known, is null. */
void format_json_number(JsonBuilder *builder, const char *key, uint64_t value);

/* Adds a member that is a time: seconds since 1970, with a fraction. */
void format_json_time(JsonBuilder *builder, const char *key, const struct timespec *time);

/*
 * Appends the object that the builder has made, as json_to_string() does with each line indented by
 * so many spaces, up to the end of its last member: more members can follow.
 */
void format_json_open(GString *out, JsonBuilder *builder, unsigned indent);
