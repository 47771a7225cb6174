/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The results of the pass that a caller holds. */
#include "census/census-private.h"

#include <string.h>

/* Only what the pass looked at: the other counts may be from an earlier pass. */
static struct usage looked_at(const struct census *census, const struct segment *segment)
{
	struct usage usage = segment->usage;

	if (!(census->facets & CENSUS_MAPPINGS))
		usage.mappings = usage.processes = 0;
	if (!(census->facets & CENSUS_DESCRIPTORS))
		usage.openers = 0;
	return usage;
}

struct usage census_usage(struct census *census, const struct segment_key *key)
{
	const struct segment *segment = spaces_find(census->spaces, key);

	return segment ? looked_at(census, segment) : (struct usage){ 0 };
}

const char *segment_state_name(enum segment_state state)
{
	static const char *const names[] = {
		[STATE_MAPPED] = "mapped",
		[STATE_OPEN] = "open",
		[STATE_HELD] = "held",
		[STATE_IDLE] = "idle",
		[STATE_UNKNOWN] = "unknown",
	};

	return names[state];
}

struct segment_visit {
	struct census *census;
	void (*visit)(const struct segment_key *key, const struct usage *usage, void *data);
	void *data;
};

static void visit_segment(const struct segment *segment, void *data)
{
	const struct segment_visit *each = data;
	struct usage usage = looked_at(each->census, segment);

	if (usage.mappings || usage.openers)
		each->visit(&segment->key, &usage, each->data);
}

void census_each_segment(struct census *census,
	void (*visit)(const struct segment_key *key, const struct usage *usage, void *data),
	void *data)
{
	struct segment_visit each = { census, visit, data };

	spaces_each_segment(census->spaces, visit_segment, &each);
}

struct mapping_visit {
	void (*visit)(const struct mapping_row *row, void *data);
	void *data;
};

static bool visit_mapping(const struct space *space, const struct mapping *mapping, void *data)
{
	const struct mapping_visit *each = data;
	struct mapping_row row = {
		.pid = space->pid,
		.task = space->task,
		.uid = space->uid,
		.command = space->command,
		.born = space->born,
		.unit = space->unit,
		.start = mapping->start,
		.end = mapping->end,
		.offset = mapping->offset,
	};

	memcpy(row.perms, mapping->perms, sizeof(row.perms));
	each->visit(&row, each->data);
	return true;
}

void census_each_mapping(struct census *census, const struct segment_key *key,
	void (*visit)(const struct mapping_row *row, void *data), void *data)
{
	const struct segment *segment = spaces_find(census->spaces, key);
	struct mapping_visit each = { visit, data };

	if (segment && census->facets & CENSUS_MAPPINGS)
		spaces_each_mapping(census->spaces, segment, visit_mapping, &each);
}

struct descriptor_visit {
	void (*visit)(const struct descriptor_row *row, void *data);
	void *data;
};

static bool visit_descriptor(const struct space *space, const struct descriptor *descriptor,
	void *data)
{
	const struct descriptor_visit *each = data;
	struct descriptor_row row = {
		.pid = space->pid,
		.task = space->task,
		.uid = space->uid,
		.command = space->command,
		.born = space->born,
		.unit = space->unit,
		.fd = descriptor->fd,
		.flags = descriptor->flags,
	};

	each->visit(&row, each->data);
	return true;
}

void census_each_descriptor(struct census *census, const struct segment_key *key,
	void (*visit)(const struct descriptor_row *row, void *data), void *data)
{
	const struct segment *segment = spaces_find(census->spaces, key);
	struct descriptor_visit each = { visit, data };

	if (segment && census->facets & CENSUS_DESCRIPTORS)
		spaces_each_descriptor(census->spaces, segment, visit_descriptor, &each);
}

static bool user_by_mapping(const struct space *space, const struct mapping *row, void *data)
{
	*(struct segment_user *)data = (struct segment_user){
		.task = space->task,
		.start = row->start,
		.end = row->end,
		.fd = -1,
	};
	return false;
}

static bool user_by_descriptor(const struct space *space, const struct descriptor *row, void *data)
{
	*(struct segment_user *)data = (struct segment_user){ .task = space->task, .fd = row->fd };
	return false;
}

bool census_segment_user(struct census *census, const struct segment_key *key,
	struct segment_user *out)
{
	const struct segment *segment = spaces_find(census->spaces, key);
	struct usage usage = segment ? looked_at(census, segment) : (struct usage){ 0 };

	if (usage.mappings)
		spaces_each_mapping(census->spaces, segment, user_by_mapping, out);
	else if (usage.openers)
		spaces_each_descriptor(census->spaces, segment, user_by_descriptor, out);
	return usage.mappings || usage.openers;
}

void census_each_unreadable(struct census *census,
	void (*visit)(pid_t pid, const char *why, void *data), void *data)
{
	const GArray *list = spaces_unreadable(census->spaces);

	for (guint i = 0; i < list->len; i++) {
		const struct unreadable *process = &g_array_index(list, struct unreadable, i);

		visit(process->pid, process->why, data);
	}
}
