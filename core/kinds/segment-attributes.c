/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The attributes that every segment has: who uses it, and how much of it is in memory. */
#include "kinds/info-json.h"
#include "kinds/item-use.h"
#include "kinds/segment-users.h"
#include "kinds/kind.h"
#include "base/format.h"

#include <inttypes.h>
#include <stddef.h>

static int show_usage(const struct view *view, const struct attribute *self, GString *out)
{
	struct usage usage = census_usage(view->realm->census, &view->item->key);
	const uint64_t *count = (const uint64_t *)((const char *)&usage + self->offset);

	g_string_append_printf(out, "%" PRIu64 "\n", *count);
	return 0;
}

static int show_residency(const struct view *view, const struct attribute *self, GString *out)
{
	struct item item = *view->item;
	const uint64_t *bytes = (const uint64_t *)((const char *)&item + self->offset);

	if (*bytes == BYTES_UNKNOWN && !view->filled && item.kind->residency) {
		int r = item.kind->residency(view->realm, &item);

		if (r < 0)
			return r;
	}
	format_count(out, *bytes);
	g_string_append_c(out, '\n');
	return 0;
}

static int show_state(const struct view *view, const struct attribute *self, GString *out)
{
	struct item_use use;

	(void)self;
	item_use(view->realm, view->item, &use);
	g_string_append_printf(out, "%s\n", segment_state_name(use.state));
	return 0;
}

static bool show_state_of_object(const struct view *view, bool wait, GString *out)
{
	enum segment_state state;

	if (!item_state_of_object(view->realm, view->item, wait, &state))
		return false;
	g_string_append_printf(out, "%s\n", segment_state_name(state));
	return true;
}

static int show_references(const struct view *view, const struct attribute *self, GString *out)
{
	struct references references = item_references(view->realm, view->item);

	format_count(out, *(const uint64_t *)((const char *)&references + self->offset));
	g_string_append_c(out, '\n');
	return 0;
}

/* Of an object that nothing at all has, both are zero. */
static bool show_no_references(const struct view *view, bool wait, GString *out)
{
	if (!item_is_unreferenced(view->realm, view->item, wait))
		return false;
	g_string_append(out, "0\n");
	return true;
}

const struct attribute segment_attributes[] = {
	{ "mappings", FORM_NUMBER, CENSUS_MAPPINGS, show_usage, offsetof(struct usage, mappings) },
	{ "processes", FORM_NUMBER, CENSUS_MAPPINGS, show_usage,
		offsetof(struct usage, processes) },
	{ "openers", FORM_NUMBER, CENSUS_DESCRIPTORS, show_usage, offsetof(struct usage, openers) },
	{ "references", FORM_NUMBER, CENSUS_ALL, show_references,
		offsetof(struct references, count), .quick = show_no_references },
	{ "hidden", FORM_NUMBER, CENSUS_ALL, show_references, offsetof(struct references, hidden),
		.quick = show_no_references },
	{ "resident", FORM_NUMBER, 0, show_residency, offsetof(struct item, resident) },
	{ "swapped", FORM_NUMBER, 0, show_residency, offsetof(struct item, swapped) },
	{ "state", FORM_TEXT, CENSUS_ALL, show_state, .quick = show_state_of_object },
	{ "mappers", FORM_USERS, CENSUS_MAPPINGS, .take = segment_users_table,
		.users = USERS_MAPPERS },
	{ "holders", FORM_USERS, CENSUS_ALL, .take = segment_users_table, .users = USERS_HOLDERS },
	{ "info.json", FORM_OTHER, 0, .take = info_take, .slow = true },
	{ NULL },
};

const struct attribute plain_attributes[] = {
	{ "info.json", FORM_OTHER, 0, .take = info_take, .slow = true },
	{ NULL },
};
