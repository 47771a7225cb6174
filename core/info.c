/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "info.h"

#include "render.h"

#include <string.h>

struct making {
	const struct view *view;
	JsonBuilder *builder;
};

/* What stat(1) shows. */
static void add_item(JsonBuilder *builder, const struct item *item)
{
	g_autofree char *perms = g_strdup_printf("%04o", item->mode & 07777u);

	render_json_bytes(builder, "kind", item->label);
	render_json_bytes(builder, "id", item->id);
	render_json_bytes(builder, "name", item->name);
	render_json_bytes(builder, "perms", perms);
	render_json_number(builder, "uid", item->uid);
	render_json_number(builder, "gid", item->gid);
	if (item->segment) {
		render_json_number(builder, "ino", item->key.ino);
		render_json_number(builder, "size", item->size);
		render_json_number(builder, "allocated", item->allocated);
	}
	render_json_time(builder, "atime", &item->atime);
	render_json_time(builder, "mtime", &item->mtime);
	render_json_time(builder, "ctime", &item->ctime);
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

/* One that fails, as for a reader who may not know, is null: the others are none the worse for it. */
static void add_attribute(const struct attribute *attribute, void *data)
{
	const struct making *making = data;
	int r = 0;

	if (attribute->form != FORM_OTHER)
		r = add_text(making->view, attribute, making->builder);
	else if (attribute->json)
		r = attribute->json(making->view, attribute, making->builder);
	if (r < 0) {
		json_builder_set_member_name(making->builder, attribute->name);
		json_builder_add_null_value(making->builder);
	}
}

int info_show(const struct view *view, const struct attribute *self, GString *out)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autofree struct item *item = g_memdup2(view->item, view->item->kind->item_size);
	struct view full = *view;
	struct making making = { .view = &full, .builder = builder };
	g_autofree char *text = NULL;
	JsonNode *root;

	(void)self;
	if (item->segment && item->kind->residency)
		item->kind->residency(view->realm, item); /* what fails stays unknown */
	full.item = item;
	full.filled = true;
	json_builder_begin_object(builder);
	add_item(builder, item);
	item_each_attribute(item, add_attribute, &making);
	json_builder_end_object(builder);
	root = json_builder_get_root(builder);
	text = json_to_string(root, TRUE);
	json_node_unref(root);
	g_string_append_printf(out, "%s\n", text);
	return 0;
}
