/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An input as a sequence of choices: after its end each is 0. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
	const uint8_t *at, *end;
};

static inline uint8_t input_byte(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static inline bool input_left(const struct input *input)
{
	return input->at < input->end;
}

/* Mostly small, sometimes any. */
static inline uint64_t input_number(struct input *input)
{
	static const uint64_t edges[] = { 0, 1, 4095, 4096, 65536, INT32_MAX, UINT32_MAX, INT64_MAX,
		INT64_MIN, UINT64_MAX };
	uint8_t kind = input_byte(input);
	uint64_t value = 0;

	if (kind < 128)
		return kind;
	if (kind < 200)
		return edges[kind % G_N_ELEMENTS(edges)];
	for (unsigned i = 0; i < kind % 9u; i++)
		value = value << 8 | input_byte(input);
	return value;
}

/* Any characters, ended by a zero; `size` is the room for both. */
static inline void input_text(struct input *input, char *out, size_t size)
{
	size_t n = MIN((size_t)(input->end - input->at), input_byte(input) % size);

	n = MIN(n, (size_t)(input->end - input->at));
	memcpy(out, input->at, n);
	memset(out + n, 0, size - n);
	input->at += n;
}
