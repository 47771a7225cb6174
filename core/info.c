/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "info.h"

#include "render.h"

#include <string.h>

struct making {
	const struct view *view;
	JsonBuilder *builder;
	int error;
};

static void add_bytes(JsonBuilder *builder, const char *name, uint64_t bytes)
{
	json_builder_set_member_name(builder, name);
	if (bytes == BYTES_UNKNOWN)
		json_builder_add_null_value(builder);
	else
		json_builder_add_int_value(builder, bytes);
}

static void add_time(JsonBuilder *builder, const char *name, const struct timespec *time)
{
	json_builder_set_member_name(builder, name);
	json_builder_add_double_value(builder, time->tv_sec + time->tv_nsec / 1e9);
}

/* What stat(1) shows. */
static void add_item(JsonBuilder *builder, const struct item *item)
{
	g_autofree char *perms = g_strdup_printf("%04o", item->mode & 07777u);

	render_json_bytes(builder, "kind", item->label);
	render_json_bytes(builder, "id", item->id);
	render_json_bytes(builder, "name", item->name);
	render_json_bytes(builder, "perms", perms);
	add_bytes(builder, "uid", item->uid);
	add_bytes(builder, "gid", item->gid);
	if (item->segment) {
		add_bytes(builder, "ino", item->key.ino);
		add_bytes(builder, "size", item->size);
		add_bytes(builder, "allocated", item->allocated);
	}
	add_time(builder, "atime", &item->atime);
	add_time(builder, "mtime", &item->mtime);
	add_time(builder, "ctime", &item->ctime);
}

static int add_text(const struct view *view, const struct attribute *attribute,
	JsonBuilder *builder)
{
	g_autoptr(GString) text = g_string_new(NULL);
	int r = attribute->show(view, attribute, text);

	if (r < 0)
		return r;
	if (text->len > 0)
		g_string_truncate(text, text->len - 1); /* the newline */
	if (attribute->form == FORM_TEXT) {
		render_json_bytes(builder, attribute->name, text->str);
		return 0;
	}
	json_builder_set_member_name(builder, attribute->name);
	if (strcmp(text->str, "unknown") == 0)
		json_builder_add_null_value(builder);
	else
		json_builder_add_int_value(builder, g_ascii_strtoll(text->str, NULL, 10));
	return 0;
}

static void add_attribute(const struct attribute *attribute, void *data)
{
	struct making *making = data;
	int r = 0;

	if (making->error < 0)
		return;
	if (attribute->form != FORM_OTHER)
		r = add_text(making->view, attribute, making->builder);
	else if (attribute->json)
		r = attribute->json(making->view, attribute, making->builder);
	making->error = r;
}

int info_show(const struct view *view, const struct attribute *self, GString *out)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	struct item item = *view->item;
	struct making making = { .view = view, .builder = builder };
	g_autofree char *text = NULL;
	JsonNode *root;

	(void)self;
	if (item.segment && item.kind->residency)
		item.kind->residency(view->realm, &item); /* what fails stays unknown */
	json_builder_begin_object(builder);
	add_item(builder, &item);
	item_each_attribute(view->item, add_attribute, &making);
	if (making.error < 0)
		return making.error;
	json_builder_end_object(builder);
	root = json_builder_get_root(builder);
	text = json_to_string(root, TRUE);
	json_node_unref(root);
	g_string_append_printf(out, "%s\n", text);
	return 0;
}
