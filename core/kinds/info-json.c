/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/info-json.h"

#include "base/json.h"
#include "kinds/incomplete.h"
#include "kinds/last-user.h"
#include "kinds/segment-users.h"

#include <string.h>

/* The arrays: `mappers` and `holders`. */
#define TABLES 2

struct info {
	GString *head; /* all other members, without the end of the object */
	struct {
		const char *name; /* static */
		struct segment_users *users;
	} tables[TABLES];
	unsigned n;
};

struct making {
	const struct view *view;
	struct info *info;
	JsonBuilder *builder; /* of the head */
	GHashTable *asked;    /* struct attribute: GString of it, for those that are slow */
};

/* What stat(1) shows. */
static void add_item(JsonBuilder *builder, const struct item *item)
{
	g_autofree char *perms = g_strdup_printf("%04o", item->mode & 07777u);

	format_json_bytes(builder, "kind", item->label);
	format_json_bytes(builder, "id", item->id);
	format_json_bytes(builder, "name", item->name);
	format_json_bytes(builder, "perms", perms);
	format_json_number(builder, "uid", item->uid);
	format_json_number(builder, "gid", item->gid);
	if (item->segment) {
		format_json_number(builder, "ino", item->key.ino);
		format_json_number(builder, "size", item->size);
		format_json_number(builder, "allocated", item->allocated);
	}
	format_json_time(builder, "atime", &item->atime);
	format_json_time(builder, "mtime", &item->mtime);
	format_json_time(builder, "ctime", &item->ctime);
}

static void free_text(gpointer text)
{
	g_string_free(text, TRUE);
}

static void ask_slow(const struct attribute *attribute, void *data)
{
	const struct making *making = data;
	GString *text;

	if (!attribute->slow || !attribute->show || attribute->form == FORM_OTHER)
		return;
	text = g_string_new(NULL);
	if (attribute->show(making->view, attribute, text) == 0)
		g_hash_table_insert(making->asked, (gpointer)attribute, text);
	else
		free_text(text);
}

static int add_text(const struct making *making, const struct attribute *attribute)
{
	const GString *asked = g_hash_table_lookup(making->asked, attribute);
	g_autoptr(GString) text = g_string_new(asked ? asked->str : NULL);
	JsonBuilder *builder = making->builder;
	int r = asked ? 0 : attribute->show(making->view, attribute, text);

	if (r < 0)
		return r;
	if (text->len > 0)
		g_string_truncate(text, text->len - 1); /* the newline */
	if (attribute->form == FORM_TEXT) {
		format_json_bytes(builder, attribute->name, text->str);
		return 0;
	}
	json_builder_set_member_name(builder, attribute->name);
	if (strcmp(text->str, "unknown") == 0)
		json_builder_add_null_value(builder);
	else
		json_builder_add_int_value(builder, g_ascii_strtoll(text->str, NULL, 10));
	return 0;
}

static void add_users(struct making *making, const struct attribute *attribute)
{
	struct info *info = making->info;

	g_assert(info->n < TABLES);
	info->tables[info->n].name = attribute->name;
	info->tables[info->n].users = segment_users_take(making->view, attribute->users);
	info->n++;
}

/*
 * Adds one attribute. If it fails, as for a reader who may not know it, it is null; the others are
 * not affected.
 */
static void add_attribute(const struct attribute *attribute, void *data)
{
	struct making *making = data;
	int r = 0;

	if (attribute->form == FORM_USERS)
		add_users(making, attribute);
	else if (attribute->form != FORM_OTHER)
		r = add_text(making, attribute);
	else if (attribute->json)
		r = attribute->json(making->view, attribute, making->builder);
	if (r < 0) {
		json_builder_set_member_name(making->builder, attribute->name);
		json_builder_add_null_value(making->builder);
	}
}

static void add_all(struct making *making)
{
	const struct item *item = making->view->item;

	json_builder_begin_object(making->builder);
	add_item(making->builder, item);
	item_each_attribute(item, add_attribute, making);
	if (item->segment)
		incomplete_json(making->view->realm->census, 0, making->builder);
	json_builder_end_object(making->builder);
}

/*
 * Adds all attributes. For a segment it holds the census, unless the kind needs that anyway: then
 * it is held already.
 */
static int add_all_held(struct making *making)
{
	struct census *census = making->view->realm->census;
	const struct item *item = making->view->item;
	bool holds = item->segment && !item->kind->needs;
	int r = holds ? census_hold(census, CENSUS_ALL) : 0;

	if (r < 0)
		return r;
	add_all(making);
	if (holds)
		census_release(census);
	return 0;
}

static bool is_common(const struct attribute *attribute)
{
	for (const struct attribute *a = segment_attributes; a->name; a++)
		if (a == attribute)
			return true;
	return attribute == last_user_attributes;
}

static void add_of_kind(const struct attribute *attribute, void *data)
{
	static const char *const in_row[] = { "perms", "uid", "gid", "atime", "ctime", NULL };

	if (!is_common(attribute) && !attribute->slow && !g_strv_contains(in_row, attribute->name))
		add_attribute(attribute, data);
}

char *info_of_kind(const struct view *view)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autoptr(GHashTable) asked = g_hash_table_new(NULL, NULL);
	struct making making = { .view = view, .builder = builder, .asked = asked };
	g_autofree char *text = NULL;
	JsonNode *root;

	json_builder_begin_object(builder);
	item_each_attribute(view->item, add_of_kind, &making);
	json_builder_end_object(builder);
	root = json_builder_get_root(builder);
	text = json_to_string(root, FALSE);
	json_node_unref(root);
	return strlen(text) > 2 ? g_strndup(text + 1, strlen(text) - 2) : NULL;
}

static void free_info(void *snapshot)
{
	struct info *info = snapshot;

	for (unsigned i = 0; i < info->n; i++)
		segment_users_free(info->tables[i].users);
	g_string_free(info->head, TRUE);
	g_free(info);
}

static void format_row(const void *snapshot, size_t row, GString *out)
{
	const struct info *info = snapshot;

	if (row-- == 0) {
		g_string_append_len(out, info->head->str, info->head->len);
		return;
	}
	for (unsigned i = 0; i < info->n; i++) {
		size_t rows = segment_users_json_rows(info->tables[i].users);

		if (row < rows) {
			segment_users_json(info->tables[i].users, info->tables[i].name, row, out);
			return;
		}
		row -= rows;
	}
	g_string_append(out, "\n}\n");
}

static int complete(struct view_rows *self)
{
	const struct info *info = self->snapshot;
	int r = 0;

	self->bytes = sizeof *info + info->head->len;
	for (unsigned i = 0; i < info->n && r == 0; i++) {
		r = segment_users_complete(info->tables[i].users);
		self->bytes += segment_users_bytes(info->tables[i].users);
	}
	return r;
}

/* Returns the rows of the file: the head, those of the tables, and the end. */
static struct view_rows view_of(struct info *info)
{
	struct view_rows rows = {
		.n = 2,
		.snapshot = info,
		.complete = complete,
		.format = format_row,
		.free = free_info,
	};

	for (unsigned i = 0; i < info->n; i++)
		rows.n += segment_users_json_rows(info->tables[i].users);
	return rows;
}

int info_take(const struct view *view, const struct attribute *self, struct view_rows *out)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autoptr(GHashTable) asked = g_hash_table_new_full(NULL, NULL, NULL, free_text);
	g_autofree struct item *item = g_memdup2(view->item, view->item->kind->item_size);
	struct info *info = g_new0(struct info, 1);
	struct view full = *view;
	struct making making = { &full, info, builder, asked };
	int r;

	(void)self;
	info->head = g_string_new(NULL);
	if (item->segment && item->kind->residency)
		item->kind->residency(view->realm, item); /* what fails stays unknown */
	full.item = item;
	full.filled = true;
	item_each_attribute(item, ask_slow, &making);
	r = add_all_held(&making);
	if (r < 0) {
		free_info(info);
		return r;
	}
	format_json_open(info->head, builder, 0);
	*out = view_of(info);
	return 0;
}
