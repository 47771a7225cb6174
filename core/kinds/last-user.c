/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/last-user.h"

#include "base/format.h"
#include "base/json.h"
#include "base/util.h"
#include "caller/sight.h"
#include "kinds/past-process.h"
#include "procfs/process-facts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct last_users {
	const struct realm *realm;
	const struct caller *caller;
	GHashTable *sees;
	GHashTable *processes; /* pid: struct process, which it owns */
	/*
	 * While `acts`, the thread may act as the caller: within one question at most. `told` is a
	 * copy from the first time, for what needs no asking.
	 */
	struct caller_sight sight, told;
	bool acts, has_told;
	bool blind; /* in this search the caller or a process could not be read for the moment */
};

/* What has been asked of a process that is there now. */
struct process {
	bool read;
	uint64_t born; /* 0: there is none */
	char unit[CGROUP_UNIT_MAX];
	enum { NOT_ASKED, NOT_SEEN, SEEN } seen;
};

struct last_users *last_users_new(const struct realm *realm, const struct caller *caller,
	GHashTable *sees)
{
	struct last_users *users = g_new0(struct last_users, 1);

	users->realm = realm;
	users->caller = caller;
	users->sees = sees;
	users->processes = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return users;
}

void last_users_free(struct last_users *users)
{
	g_hash_table_unref(users->processes);
	g_free(users);
}

static struct process *process_of(struct last_users *users, pid_t pid)
{
	struct process *process = g_hash_table_lookup(users->processes, GINT_TO_POINTER(pid));

	if (!process) {
		process = g_new0(struct process, 1);
		g_hash_table_insert(users->processes, GINT_TO_POINTER(pid), process);
	}
	return process;
}

/* Whether the process of that pid is the one that was started at `born`: its unit, or NULL. */
static const char *unit_of(struct last_users *users, pid_t pid, uint64_t born)
{
	struct process *process = process_of(users, pid);
	struct process_facts facts = { 0 };

	if (!process->read) {
		/* Of one that cannot be read for the moment the next question asks again. */
		process->read = !is_failure(process_facts_read(users->realm->proc, pid, &facts));
		users->blind = users->blind || !process->read;
		process->born = facts.born;
		g_strlcpy(process->unit, facts.unit, sizeof process->unit);
	}
	return born != 0 && process->born == born ? process->unit : NULL;
}

static void act_as_caller(struct last_users *users)
{
	if (users->acts)
		return;
	caller_sight_begin(&users->sight, users->realm->proc, users->caller);
	users->acts = true;
	if (!users->has_told || users->told.error)
		users->told = users->sight;
	users->has_told = true;
}

static void act_as_daemon(struct last_users *users)
{
	if (users->acts)
		caller_sight_end(&users->sight);
	users->acts = false;
}

static bool sees_memory(struct last_users *users, pid_t pid)
{
	struct process *process;

	if (users->has_told && users->told.all)
		return true;
	process = process_of(users, pid);
	if (process->seen == NOT_ASKED) {
		act_as_caller(users);
		if (users->sight.error) {
			users->blind = true;
			return false;
		}
		process->seen = caller_sees_memory(&users->sight, pid) ? SEEN : NOT_SEEN;
	}
	return process->seen == SEEN;
}

static bool sees_past(struct last_users *users, const struct past_user *user)
{
	if (!users->has_told || users->told.error)
		act_as_caller(users);
	users->blind = users->blind || users->told.error;
	return caller_sees_past(&users->told, user->uid, user->readable);
}

static void fill(struct last_user *out, pid_t pid, uid_t uid, const char *command, uint64_t born,
	const char *unit)
{
	out->pid = pid;
	out->uid = uid;
	out->born = born;
	out->known = true;
	g_strlcpy(out->command, command, sizeof out->command);
	g_strlcpy(out->unit, unit ? unit : "-", sizeof out->unit);
}

/*
 * Searches the processes that use the segment now, and that the caller may see, for the one that
 * was started last.
 */
struct search {
	struct last_users *users;
	struct last_user *out;
};

static bool is_wanted(const struct search *search, pid_t pid, uint64_t born)
{
	struct last_user *out = search->out;
	bool seen = sees_memory(search->users, pid);

	if (!seen)
		out->hidden = true;
	return seen && (!out->known || born > out->born);
}

static void consider_mapping(const struct mapping_row *row, void *data)
{
	const struct search *search = data;

	if (is_wanted(search, row->pid, row->born))
		fill(search->out, row->pid, row->uid, row->command, row->born, row->unit);
}

static void consider_descriptor(const struct descriptor_row *row, void *data)
{
	const struct search *search = data;

	if (is_wanted(search, row->pid, row->born))
		fill(search->out, row->pid, row->uid, row->command, row->born, row->unit);
}

/* The pass that saw the process first noted its unit, which may be another one by now. */
static void find_among_users(struct last_users *users, const struct item *item,
	struct last_user *out)
{
	struct census *census = users->realm->census;
	struct search search = { users, out };
	const char *unit;

	census_each_mapping(census, &item->key, consider_mapping, &search);
	census_each_descriptor(census, &item->key, consider_descriptor, &search);
	if (!out->known)
		return;
	out->hidden = false;
	out->state = "alive";
	out->now = true;
	unit = unit_of(users, out->pid, out->born);
	if (unit)
		g_strlcpy(out->unit, unit, sizeof out->unit);
}

/*
 * Whether the item's file was made later; false where the file system does not tell, or where finding the
 * file may take long.
 */
static bool is_born_after(const struct realm *realm, const struct item *item,
	const struct timespec *time)
{
	struct item_file file = { .fd = -1 };
	bool after = false;
	struct statx x;

	if (item->kind->slow || item->kind->needs || !item->kind->open ||
		item->kind->open(realm, item, &file) < 0)
		return false;
	if (statx(file.fd, "", AT_EMPTY_PATH, STATX_BTIME, &x) == 0 && x.stx_mask & STATX_BTIME)
		after = x.stx_btime.tv_sec > time->tv_sec ||
			(x.stx_btime.tv_sec == time->tv_sec && x.stx_btime.tv_nsec > time->tv_nsec);
	close(file.fd);
	return after;
}

/*
 * Whether that use was of this item. The ID of a System V segment may be another one's by now, and one that
 * was changed later is taken for another. A file may have the device number of a tmpfs that is gone, or the
 * number of a file that is: one that has not been changed since was there.
 */
static bool is_of(const struct realm *realm, const struct item *item, const struct timespec *until)
{
	if (item->key.class == SEGMENT_SYSV)
		return item->ctime.tv_sec <= until->tv_sec;
	return item->key.class != SEGMENT_FILE || item->ctime.tv_sec < until->tv_sec ||
		!is_born_after(realm, item, until);
}

static void find_in_the_past(struct last_users *users, const struct item *item,
	struct last_user *out)
{
	struct past_user user;
	bool alive, seen;

	if (!census_last_user(users->realm->census, &item->key, &user, &out->until))
		return;
	alive = unit_of(users, user.pid, user.born) != NULL;
	seen = alive ? sees_memory(users, user.pid) : sees_past(users, &user);
	if (!is_of(users->realm, item, &out->until)) {
		out->until = (struct timespec){ 0 };
	} else if (!seen) {
		out->hidden = true;
	} else {
		fill(out, user.pid, user.uid, user.command, user.born, user.unit);
		out->state = alive ? "alive" : "dead";
	}
	if (user.unit)
		g_ref_string_release(user.unit);
}

/* Prefers what the kernel notes, which is exact; what else is known of the same process stays. */
static void prefer_the_kernels(const struct last_users *users, const struct item *item,
	struct last_user *out)
{
	const struct view view = {
		.realm = users->realm,
		.item = item,
		.caller = *users->caller,
		.sees = users->sees,
	};
	struct past_process process;
	int64_t when;
	pid_t pid = item->kind->last_pid ? item->kind->last_pid(item, &when) : 0;

	if (pid == 0 || (out->known && pid != out->pid && !out->now && when < out->until.tv_sec))
		return;
	process = past_process_seen(&view, pid, when);
	if (!out->known || pid != out->pid) {
		*out = (struct last_user){ .pid = pid, .until = { .tv_sec = when }, .unit = "-" };
		g_strlcpy(out->command, process.command, sizeof out->command);
	} else if (!out->now) {
		out->until = (struct timespec){ .tv_sec = when };
	}
	out->state = past_process_state(&process);
}

void last_users_find(struct last_users *users, const struct item *item, struct last_user *out)
{
	struct usage usage = census_usage(users->realm->census, &item->key);

	*out = (struct last_user){ .state = "none", .unit = "-" };
	users->blind = false;
	if (usage.mappings || usage.openers)
		find_among_users(users, item, out);
	else
		find_in_the_past(users, item, out);
	act_as_daemon(users);
	if (users->blind)
		out->state = "unknown";
	prefer_the_kernels(users, item, out);
}

static void find(const struct view *view, struct last_user *out)
{
	struct last_users *users = last_users_new(view->realm, &view->caller, view->sees);

	last_users_find(users, view->item, out);
	last_users_free(users);
}

static void append_until(const struct last_user *user, GString *out)
{
	if (user->now)
		g_string_append(out, "now");
	else if (user->until.tv_sec == 0)
		g_string_append_c(out, '-');
	else
		format_time(out, &user->until);
}

int last_user_show(const struct view *view, const struct attribute *self, GString *out)
{
	struct last_user user;

	(void)self;
	find(view, &user);
	g_string_append_printf(out, "pid\t%d\ncommand\t", user.pid);
	format_escaped(out, user.command);
	g_string_append_printf(out, "\nstate\t%s\n", user.state);
	if (user.known && user.born)
		g_string_append_printf(out, "born\t%" PRIu64 "\n", user.born);
	else
		g_string_append(out, "born\t-\n");
	if (user.known)
		g_string_append_printf(out, "uid\t%u\nunit\t", user.uid);
	else
		g_string_append(out, "uid\t-\nunit\t");
	format_escaped(out, user.known ? user.unit : "-");
	g_string_append(out, "\nuntil\t");
	append_until(&user, out);
	g_string_append_c(out, '\n');
	if (user.hidden)
		g_string_append(out, "# 1 not shown\n");
	return 0;
}

void last_user_format(const struct last_user *user, struct json *json)
{
	if (user->pid == 0 && !user->hidden) {
		format_json_null(json, "last");
		return;
	}
	format_json_object(json, "last");
	format_json_number(json, "pid", user->pid);
	format_json_bytes(json, "command", user->command);
	format_json_bytes(json, "state", user->state);
	format_json_number(json, "born", user->known && user->born ? user->born : UINT64_MAX);
	format_json_number(json, "uid", user->known ? user->uid : UINT64_MAX);
	format_json_bytes(json, "unit", user->known ? user->unit : "-");
	format_json_bool(json, "now", user->now);
	if (user->until.tv_sec && !user->now)
		format_json_time(json, "until", &user->until);
	else
		format_json_number(json, "until", UINT64_MAX);
	format_json_number(json, "not_shown", user->hidden);
	format_json_end(json);
}

int last_user_json(const struct view *view, const struct attribute *self, struct json *json)
{
	struct last_user user;

	(void)self;
	find(view, &user);
	last_user_format(&user, json);
	return 0;
}

const struct attribute last_user_attributes[] = {
	{ "last", FORM_OTHER, LAST_USER_NEEDS, last_user_show, .json = last_user_json },
	{ NULL },
};
