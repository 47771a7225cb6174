/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/id-map.h"

#include "procfs/proc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The kernel takes 340 lines of three numbers at most. */
#define MAP_BYTES (16 * 1024)

void id_map_parse(const char *text, GArray *out)
{
	struct id_range range;

	while (sscanf(text, "%" SCNu32 " %" SCNu32 " %" SCNu32, &range.inside, &range.first,
		       &range.count) == 3) {
		g_array_append_val(out, range);
		text = strchr(text, '\n');
		if (!text)
			break;
		text++;
	}
}

GArray *id_map_read(int dir, const char *name)
{
	g_autofree char *text = g_malloc(MAP_BYTES);
	GArray *ranges = g_array_new(FALSE, FALSE, sizeof(struct id_range));
	ssize_t length = proc_read_file(dir, name, text, MAP_BYTES);

	if (length > 0 && length < MAP_BYTES - 1)
		id_map_parse(text, ranges);
	return ranges;
}

const struct id_range *id_map_find(const GArray *ranges, uint32_t id)
{
	for (guint i = 0; i < ranges->len; i++) {
		const struct id_range *range = &g_array_index(ranges, struct id_range, i);

		if (id >= range->first && id - range->first < range->count)
			return range;
	}
	return NULL;
}

bool id_map_is_root(const GArray *ranges, uint32_t id)
{
	const struct id_range *range = id_map_find(ranges, id);

	return range && range->inside + (id - range->first) == 0;
}
