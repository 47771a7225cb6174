/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/attribute.h"

#include "base/format.h"

#include <grp.h>
#include <pwd.h>

static const void *field(const struct view *view, const struct attribute *self)
{
	return (const char *)view->item + self->offset;
}

int show_u32(const struct view *view, const struct attribute *self, GString *out)
{
	g_string_append_printf(out, "%u\n", *(const uint32_t *)field(view, self));
	return 0;
}

int show_i64(const struct view *view, const struct attribute *self, GString *out)
{
	g_string_append_printf(out, "%" G_GINT64_FORMAT "\n", *(const int64_t *)field(view, self));
	return 0;
}

int show_u64(const struct view *view, const struct attribute *self, GString *out)
{
	uint64_t value = *(const uint64_t *)field(view, self);

	format_count(out, value);
	g_string_append_c(out, '\n');
	return 0;
}

int show_key(const struct view *view, const struct attribute *self, GString *out)
{
	g_string_append_printf(out, "0x%08x\n", *(const uint32_t *)field(view, self));
	return 0;
}

int show_perms(const struct view *view, const struct attribute *self, GString *out)
{
	g_string_append_printf(out, "%04o\n", *(const mode_t *)field(view, self));
	return 0;
}

int show_pid(const struct view *view, const struct attribute *self, GString *out)
{
	g_string_append_printf(out, "%d\n", *(const pid_t *)field(view, self));
	return 0;
}

/* Long enough for any entry of the user database; a longer one is shown by its number. */
#define ENTRY_MAX 16384

char *user_name(uid_t uid)
{
	g_autofree char *buffer = g_malloc(ENTRY_MAX);
	struct passwd entry, *found = NULL;

	if (getpwuid_r(uid, &entry, buffer, ENTRY_MAX, &found) != 0 || !found)
		return NULL;
	return g_strdup(entry.pw_name);
}

int show_user(const struct view *view, const struct attribute *self, GString *out)
{
	g_autofree char *name = user_name(*(const uid_t *)field(view, self));

	if (!name)
		return show_u32(view, self, out);
	format_escaped(out, name);
	g_string_append_c(out, '\n');
	return 0;
}

int show_group(const struct view *view, const struct attribute *self, GString *out)
{
	gid_t gid = *(const gid_t *)field(view, self);
	g_autofree char *buffer = g_malloc(ENTRY_MAX);
	struct group entry, *found = NULL;

	if (getgrgid_r(gid, &entry, buffer, ENTRY_MAX, &found) != 0 || !found)
		return show_u32(view, self, out);
	format_escaped(out, entry.gr_name);
	g_string_append_c(out, '\n');
	return 0;
}
