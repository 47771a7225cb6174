/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The users of a segment, as text and as JSON. */
#include "kinds/segment-users-private.h"

#include "base/format.h"
#include "base/json.h"

#include <fcntl.h>
#include <inttypes.h>

static const struct hidden_user *hidden_at(const struct segment_users *users, size_t index)
{
	return &g_array_index(users->hidden, struct hidden_user, index);
}

static size_t count_rows(const struct segment_users *users)
{
	return users->rows.n + users->hidden->len;
}

/*
 * "socket:[12345]" as /proc/PID/fd shows it, "io_uring:5", "io_uring:-" of one without a descriptor,
 * "loop:0".
 */
static char *hidden_name(const struct hidden_row *row)
{
	static const char *const formats[] = {
		[HIDDEN_SOCKET] = "socket:[%" PRIu64 "]",
		[HIDDEN_RING] = "io_uring:%" PRIu64,
		[HIDDEN_LOOP] = "loop:%" PRIu64,
	};

	if (row->number == HIDDEN_NO_NUMBER)
		return g_strdup("io_uring:-");
	return g_strdup_printf(formats[row->type], row->number);
}

/* The values of a row, after the process whose it is; NULL: that is not shown. */
static const uint8_t *values_of(const struct segment_users *users, size_t row, guint *process)
{
	const uint8_t *at = packed_row(&users->rows, row);

	*process = packed_get_number(&at);
	return process_at(users, *process)->seen ? at : NULL;
}

static const char *mode_name(int flags)
{
	static const char *const names[] = { [O_RDONLY] = "r", [O_WRONLY] = "w", [O_RDWR] = "rw" };

	if (flags & O_PATH)
		return "path";
	/* O_ACCMODE itself: opened for ioctl(2) alone. */
	return (flags & O_ACCMODE) == O_ACCMODE ? "none" : names[flags & O_ACCMODE];
}

static void get_mapping(const uint8_t *at, struct mapping_row *out)
{
	unsigned perms;

	out->start = packed_get_address(&at);
	out->end = out->start + packed_get_address(&at);
	perms = packed_get_number(&at);
	for (unsigned i = 0; i < 4; i++)
		out->perms[i] = perms & 1U << i ? "rwxs"[i] : "---p"[i];
	out->perms[4] = '\0';
	out->offset = packed_get_address(&at);
}

static void get_descriptor(const uint8_t *at, struct descriptor_row *out)
{
	out->fd = packed_get_number(&at);
	out->flags = packed_get_number(&at);
}

/* As text */

static void text_values(const struct segment_users *users, const uint8_t *at, GString *out)
{
	struct descriptor_row descriptor;
	struct mapping_row mapping;

	if (users->of == USERS_MAPPERS) {
		get_mapping(at, &mapping);
		g_string_append_printf(out, "\t%" PRIx64 "\t%" PRIx64 "\t%s\t%" PRIu64,
			mapping.start, mapping.end, mapping.perms, mapping.offset);
	} else {
		get_descriptor(at, &descriptor);
		g_string_append_printf(out, "\t%d\t%s", descriptor.fd, mode_name(descriptor.flags));
	}
}

static void text_process(pid_t pid, uid_t uid, const char *command, GString *out)
{
	g_string_append_printf(out, "%d\t%u\t", pid, uid);
	format_escaped(out, command);
}

static void text_facts(const struct segment_users *users, guint32 index, GString *out)
{
	const uint8_t *facts = packed_row(&users->facts, index);
	uint64_t born = packed_get_number(&facts);
	const char *cmdline;

	if (born == 0)
		g_string_append(out, "\t-\t");
	else
		g_string_append_printf(out, "\t%" PRIu64 "\t", born);
	format_escaped(out, packed_get_text(&facts));
	g_string_append_c(out, '\t');
	cmdline = packed_get_text(&facts);
	format_escaped(out, *cmdline ? cmdline : "-");
	g_string_append_c(out, '\n');
}

static void text_row(const struct segment_users *users, size_t row, GString *out)
{
	guint index;
	const uint8_t *at = values_of(users, row, &index);
	const struct user_process *process = process_at(users, index);

	if (!at)
		return;
	text_process(process->pid, process->uid, process->command, out);
	text_values(users, at, out);
	text_facts(users, process->facts, out);
}

static void text_hidden(const struct segment_users *users, size_t index, GString *out)
{
	const struct hidden_user *hidden = hidden_at(users, index);
	const struct hidden_row *row = &hidden->row;
	g_autofree char *name = hidden_name(row);

	if (!hidden->seen)
		return;
	text_process(row->pid, row->uid, *row->command ? row->command : "-", out);
	g_string_append_printf(out, "\t%s\t%s", name, mode_name(row->flags));
	if (row->pid)
		text_facts(users, hidden->facts, out);
	else
		g_string_append_printf(out, "\t-\t-\t%s\n", row->swap ? "swap" : "-");
}

static void text_end(const struct segment_users *users, GString *out)
{
	if (users->not_shown > 0)
		g_string_append_printf(out, "# %" PRIu64 " not shown\n", users->not_shown);
	g_string_append(out, users->incomplete);
}

static void format_text(const void *snapshot, size_t row, GString *out)
{
	const struct segment_users *users = snapshot;

	if (row > count_rows(users))
		text_end(users, out);
	else if (row > users->rows.n)
		text_hidden(users, row - 1 - users->rows.n, out);
	else if (row > 0)
		text_row(users, row - 1, out);
	else if (users->of == USERS_MAPPERS)
		g_string_append(out,
			"PID\tUID\tCOMMAND\tSTART\tEND\tPERMS\tOFFSET\tBORN\tUNIT\tCMDLINE\n");
	else
		g_string_append(out, "PID\tUID\tCOMMAND\tFD\tMODE\tBORN\tUNIT\tCMDLINE\n");
}

static void free_snapshot(void *snapshot)
{
	segment_users_free(snapshot);
}

static int complete(struct view_rows *self)
{
	int r = segment_users_complete(self->snapshot);

	self->bytes = segment_users_bytes(self->snapshot);
	return r;
}

int segment_users_table(const struct view *view, const struct attribute *self,
	struct view_rows *out)
{
	struct segment_users *users = segment_users_take(view, self->users);

	*out = (struct view_rows){
		.n = count_rows(users) + 2, /* a header, and an end */
		.snapshot = users,
		.complete = complete,
		.format = format_text,
		.free = free_snapshot,
	};
	return 0;
}

/* As JSON */

static void json_process(struct json *json, pid_t pid, uid_t uid, const char *command)
{
	format_json_number(json, "pid", pid);
	format_json_number(json, "uid", uid);
	format_json_bytes(json, "command", command);
}

static void json_facts(const struct segment_users *users, guint32 index, struct json *json)
{
	const uint8_t *facts = packed_row(&users->facts, index);
	uint64_t born = packed_get_number(&facts);

	format_json_number(json, "born", born ? born : UINT64_MAX);
	format_json_bytes(json, "unit", packed_get_text(&facts));
	format_json_bytes(json, "cmdline", packed_get_text(&facts));
}

/* Up to where what is said of the process ends: many rows are of one. */
static void begin_for(struct segment_users *users, guint index)
{
	const struct user_process *process = process_at(users, index);
	struct json json;

	g_string_truncate(users->begun, 0);
	format_json_lines(&json, users->begun, 4);
	format_json_object(&json, NULL);
	json_process(&json, process->pid, process->uid, process->command);
	json_facts(users, process->facts, &json);
	users->begun_for = index;
}

/* Addresses are text, in hexadecimal: a number of 64 bits is not safe in JSON. */
static void json_values(const struct segment_users *users, const uint8_t *at, GString *out)
{
	struct descriptor_row descriptor;
	struct mapping_row mapping;

	if (users->of == USERS_MAPPERS) {
		get_mapping(at, &mapping);
		g_string_append_printf(out,
			",\n      \"start\" : \"%" PRIx64 "\",\n      \"end\" : \"%" PRIx64
			"\",\n      \"perms\" : \"%s\",\n      \"offset\" : %" PRIu64,
			mapping.start, mapping.end, mapping.perms, mapping.offset);
	} else {
		get_descriptor(at, &descriptor);
		g_string_append_printf(out, ",\n      \"fd\" : %d,\n      \"mode\" : \"%s\"",
			descriptor.fd, mode_name(descriptor.flags));
	}
}

static void json_row(struct segment_users *users, size_t row, GString *out)
{
	guint index;
	const uint8_t *at = values_of(users, row, &index);

	if (!at)
		return;
	if (users->begun_for != index)
		begin_for(users, index);
	g_string_append(out, row > users->first ? ",\n" : "\n");
	g_string_append_len(out, users->begun->str, users->begun->len);
	json_values(users, at, out);
	g_string_append(out, "\n    }");
}

static void json_hidden(const struct segment_users *users, size_t index, GString *out)
{
	const struct hidden_user *hidden = hidden_at(users, index);
	const struct hidden_row *row = &hidden->row;
	g_autofree char *name = hidden_name(row);
	struct json json;

	if (!hidden->seen)
		return;
	g_string_append(out, users->rows.n + index > users->first ? ",\n" : "\n");
	format_json_lines(&json, out, 4);
	format_json_object(&json, NULL);
	json_process(&json, row->pid, row->uid, row->command);
	format_json_bytes(&json, "fd", name);
	format_json_bytes(&json, "mode", mode_name(row->flags));
	if (row->pid)
		json_facts(users, hidden->facts, &json);
	format_json_bool(&json, "swap", row->swap);
	format_json_end(&json);
}

size_t segment_users_json_rows(const struct segment_users *users)
{
	return count_rows(users) + 2;
}

void segment_users_json(struct segment_users *users, const char *name, size_t row, GString *out)
{
	if (row == 0)
		g_string_append_printf(out, ",\n  \"%s\" : [", name);
	else if (row <= users->rows.n)
		json_row(users, row - 1, out);
	else if (row <= count_rows(users))
		json_hidden(users, row - 1 - users->rows.n, out);
	else
		g_string_append_printf(out, "%s],\n  \"%s_not_shown\" : %" PRIu64,
			users->first < count_rows(users) ? "\n  " : "", name, users->not_shown);
}
