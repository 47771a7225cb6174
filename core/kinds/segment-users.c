/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/segment-users-private.h"

#include "base/util.h"
#include "caller/sight.h"
#include "kinds/incomplete.h"
#include "kinds/kind.h"
#include "procfs/process-facts.h"

/* The rows of one process come one after the other. Its index. */
static guint process_of(struct segment_users *users, pid_t pid, uid_t uid, const char *command)
{
	struct user_process process = { .pid = pid, .uid = uid };
	guint n = users->processes->len;

	if (n == 0 || process_at(users, n - 1)->pid != pid) {
		if (!budget_use(users->budget, sizeof process))
			return n;
		g_strlcpy(process.command, command, sizeof process.command);
		g_array_append_val(users->processes, process);
		n++;
	}
	return n - 1;
}

static void end_row(struct segment_users *users, guint process)
{
	size_t before = users->rows.n;

	packed_row_end(&users->rows);
	if (users->rows.n > before)
		process_at(users, process)->rows++;
}

static void add_mapping(const struct mapping_row *row, void *data)
{
	struct segment_users *users = data;
	guint process = process_of(users, row->pid, row->uid, row->command);
	unsigned perms = 0;

	for (unsigned i = 0; i < 4; i++)
		perms |= (unsigned)(row->perms[i] == "rwxs"[i]) << i;
	packed_number(&users->rows, process);
	packed_address(&users->rows, row->start);
	packed_address(&users->rows, row->end - row->start);
	packed_number(&users->rows, perms);
	packed_address(&users->rows, row->offset);
	end_row(users, process);
}

static void add_descriptor(const struct descriptor_row *row, void *data)
{
	struct segment_users *users = data;
	guint process = process_of(users, row->pid, row->uid, row->command);

	packed_number(&users->rows, process);
	packed_number(&users->rows, row->fd);
	packed_number(&users->rows, row->flags);
	end_row(users, process);
}

static void add_hidden(const struct hidden_row *row, void *data)
{
	struct segment_users *users = data;
	struct hidden_user hidden = { .row = *row };

	if (budget_use(users->budget, sizeof hidden))
		g_array_append_val(users->hidden, hidden);
}

/* A System V segment is found by its inode: see item_references(). */
static void take_hidden(struct segment_users *users, const struct view *view)
{
	const struct item *item = view->item;
	struct object_now now = { 0 };

	if (item->key.class != SEGMENT_SYSV ||
		(item->kind->look && item->kind->look(view->realm, item, true, &now) == 0))
		census_each_hidden(view->realm->census, &item->key, now.inode, add_hidden, users);
}

static void take_rows(struct segment_users *users, const struct view *view)
{
	struct census *census = view->realm->census;
	const struct segment_key *key = &view->item->key;

	if (users->of == USERS_MAPPERS) {
		census_each_mapping(census, key, add_mapping, users);
		return;
	}
	census_each_descriptor(census, key, add_descriptor, users);
	take_hidden(users, view);
}

struct segment_users *segment_users_take(const struct view *view, enum users_of of)
{
	struct segment_users *users = g_new0(struct segment_users, 1);
	GString *incomplete = g_string_new(NULL);

	users->of = of;
	users->caller = view->caller;
	users->proc = view->realm->proc;
	users->budget = view->budget;
	users->processes = g_array_new(FALSE, FALSE, sizeof(struct user_process));
	users->begun = g_string_new(NULL);
	users->begun_for = G_MAXUINT32;
	packed_rows_init(&users->rows, view->budget);
	packed_rows_init(&users->facts, view->budget);
	users->hidden = g_array_new(FALSE, FALSE, sizeof(struct hidden_user));
	take_rows(users, view);
	incomplete_line(view->realm->census, 0, incomplete);
	users->incomplete = g_string_free(incomplete, FALSE);
	return users;
}

void segment_users_free(struct segment_users *users)
{
	size_t bytes = segment_users_bytes(users);

	g_array_unref(users->processes);
	g_array_unref(users->hidden);
	packed_rows_clear(&users->rows);
	packed_rows_clear(&users->facts);
	g_string_free(users->begun, TRUE);
	g_free(users->incomplete);
	g_free(users);
	memory_freed(bytes);
}

size_t segment_users_bytes(const struct segment_users *users)
{
	return sizeof *users + users->processes->len * sizeof(struct user_process) +
		users->hidden->len * sizeof(struct hidden_user) + packed_rows_bytes(&users->rows) +
		packed_rows_bytes(&users->facts);
}

/* Returns where they are. */
static guint32 add_facts(struct segment_users *users, pid_t pid, struct process_facts *facts)
{
	guint32 at = users->facts.n;

	process_facts_read(users->proc, pid, facts);
	packed_number(&users->facts, facts->born);
	packed_text(&users->facts, facts->unit);
	packed_text(&users->facts, facts->cmdline);
	packed_row_end(&users->facts);
	return at;
}

static void look_at_processes(struct segment_users *users, struct caller_sight *sight,
	struct process_facts *facts)
{
	bool any = false;

	for (guint i = 0; i < users->processes->len; i++) {
		struct user_process *process = process_at(users, i);

		process->seen = caller_sees_memory(sight, process->pid);
		any |= process->seen;
		if (process->seen)
			process->facts = add_facts(users, process->pid, facts);
		else
			users->not_shown += process->rows;
		if (!any)
			users->first += process->rows;
	}
}

/* Loop devices and their files everyone sees in sysfs. */
static bool may_see_hidden(struct caller_sight *sight, const struct hidden_row *row)
{
	if (row->pid)
		return caller_sees_memory(sight, row->pid);
	return row->type == HIDDEN_LOOP || sight->all;
}

static void look_at_hidden(struct segment_users *users, struct caller_sight *sight,
	struct process_facts *facts)
{
	bool any = users->first < users->rows.n;

	for (guint i = 0; i < users->hidden->len; i++) {
		struct hidden_user *hidden = &g_array_index(users->hidden, struct hidden_user, i);

		hidden->seen = may_see_hidden(sight, &hidden->row);
		any |= hidden->seen;
		if (hidden->seen && hidden->row.pid)
			hidden->facts = add_facts(users, hidden->row.pid, facts);
		users->not_shown += !hidden->seen;
		users->first += !any;
	}
}

/* One that is gone by now has no facts. */
int segment_users_complete(struct segment_users *users)
{
	struct process_facts facts = { 0 };
	struct caller_sight sight;

	caller_sight_begin(&sight, users->proc, &users->caller);
	look_at_processes(users, &sight, &facts);
	look_at_hidden(users, &sight, &facts);
	caller_sight_end(&sight);
	packed_rows_end(&users->rows);
	packed_rows_end(&users->facts);
	return users->budget ? users->budget->error : 0;
}
