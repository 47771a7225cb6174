/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/info-json.h"

#include "base/json.h"
#include "kinds/history.h"
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
	struct json *json; /* of the head */
	GHashTable *asked; /* struct attribute: GString of it, for those that are slow */
};

/* What stat(1) shows. */
static void add_item(struct json *json, const struct item *item)
{
	g_autofree char *perms = g_strdup_printf("%04o", item->mode & 07777u);

	format_json_bytes(json, "kind", item->label);
	format_json_bytes(json, "id", item->id);
	format_json_bytes(json, "name", item->name);
	format_json_bytes(json, "perms", perms);
	format_json_number(json, "uid", item->uid);
	format_json_number(json, "gid", item->gid);
	if (item->segment) {
		format_json_number(json, "ino", item->key.ino);
		format_json_number(json, "size", item->size);
		format_json_number(json, "allocated", item->allocated);
	}
	format_json_time(json, "atime", &item->atime);
	format_json_time(json, "mtime", &item->mtime);
	format_json_time(json, "ctime", &item->ctime);
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

static void add_time(struct json *json, const char *name, const char *seconds)
{
	const struct timespec time = { .tv_sec = g_ascii_strtoll(seconds, NULL, 10) };

	format_json_time(json, name, &time);
}

static int add_text(const struct making *making, const struct attribute *attribute)
{
	const GString *asked = g_hash_table_lookup(making->asked, attribute);
	g_autoptr(GString) text = g_string_new(asked ? asked->str : NULL);
	struct json *json = making->json;
	int r = asked ? 0 : attribute->show(making->view, attribute, text);

	if (r < 0)
		return r;
	if (text->len > 0)
		g_string_truncate(text, text->len - 1); /* the newline */
	if (attribute->form == FORM_TEXT)
		format_json_bytes(json, attribute->name, text->str);
	else if (strcmp(text->str, "unknown") == 0)
		format_json_null(json, attribute->name);
	else if (attribute->form == FORM_TIME)
		add_time(json, attribute->name, text->str);
	else
		format_json_number(json, attribute->name, g_ascii_strtoull(text->str, NULL, 10));
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
		r = attribute->json(making->view, attribute, making->json);
	if (r < 0)
		format_json_null(making->json, attribute->name);
}

/* Whether add_item() has said it: some kinds have files for what stat(1) shows of others. */
static bool is_of_item(const struct attribute *attribute)
{
	static const char *const names[] = { "perms", "uid", "gid", "atime", "ctime", NULL };

	return g_strv_contains(names, attribute->name);
}

static void add_further(const struct attribute *attribute, void *data)
{
	if (!is_of_item(attribute))
		add_attribute(attribute, data);
}

static void add_all(struct making *making)
{
	const struct item *item = making->view->item;

	format_json_object(making->json, NULL);
	add_item(making->json, item);
	item_each_attribute(item, add_further, making);
	if (item->segment) {
		history_json(making->view, making->json);
		incomplete_json(making->view->realm->census, 0, making->json);
	}
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
	return attribute->json == last_user_json;
}

static void add_of_kind(const struct attribute *attribute, void *data)
{
	if (!is_common(attribute) && !attribute->slow && !is_of_item(attribute))
		add_attribute(attribute, data);
}

char *info_of_kind(const struct view *view)
{
	g_autoptr(GHashTable) asked = g_hash_table_new(NULL, NULL);
	g_autoptr(GString) text = g_string_new(NULL);
	struct json json;
	struct making making = { .view = view, .json = &json, .asked = asked };

	format_json_line(&json, text);
	format_json_object(&json, NULL);
	item_each_attribute(view->item, add_of_kind, &making);
	return text->len > 1 ? g_strdup(text->str + 1) : NULL;
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
	g_autoptr(GHashTable) asked = g_hash_table_new_full(NULL, NULL, NULL, free_text);
	g_autofree struct item *item = g_memdup2(view->item, view->item->kind->item_size);
	struct info *info = g_new0(struct info, 1);
	struct view full = *view;
	struct json json;
	struct making making = { &full, info, &json, asked };
	int r;

	(void)self;
	info->head = g_string_new(NULL);
	format_json_lines(&json, info->head, 0);
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
	*out = view_of(info);
	return 0;
}
