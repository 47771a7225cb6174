/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/last-user.h"

#include "base/format.h"
#include "base/json.h"
#include "caller/sight.h"
#include "kinds/past-process.h"
#include "procfs/process-facts.h"

#include <inttypes.h>
#include <string.h>

struct last_user {
	pid_t pid; /* 0: none is known */
	char command[16];
	const char *state; /* "alive", "dead", "none" */
	bool known;        /* what follows, but for `until` */
	bool hidden;       /* there is one that the caller does not see */
	uint64_t born;     /* 0: not known */
	uid_t uid;
	char unit[CGROUP_UNIT_MAX];
	bool now;              /* it uses the segment now */
	struct timespec until; /* 0: not known */
};

static void fill(struct last_user *out, pid_t pid, uid_t uid, const char *command)
{
	out->pid = pid;
	out->uid = uid;
	out->known = true;
	g_strlcpy(out->command, command, sizeof out->command);
}

/*
 * Searches the processes that use the segment now, and that the caller may see, for the one that
 * was started last.
 */
struct search {
	const struct view *view;
	struct caller_sight sight;
	struct process_facts facts;
	struct last_user *out;
};

static void consider(struct search *search, pid_t pid, uid_t uid, const char *command)
{
	struct last_user *out = search->out;

	if (!caller_sees_memory(&search->sight, pid)) {
		out->hidden = true;
		return;
	}
	process_facts_read(search->view->realm->proc, pid, &search->facts);
	if (out->known && search->facts.born <= out->born)
		return;
	fill(out, pid, uid, command);
	out->born = search->facts.born;
	g_strlcpy(out->unit, search->facts.unit, sizeof out->unit);
	out->state = "alive";
	out->now = true;
}

static void consider_mapping(const struct mapping_row *row, void *data)
{
	consider(data, row->pid, row->uid, row->command);
}

static void consider_descriptor(const struct descriptor_row *row, void *data)
{
	consider(data, row->pid, row->uid, row->command);
}

static void find_among_users(struct search *search)
{
	const struct realm *realm = search->view->realm;
	const struct segment_key *key = &search->view->item->key;

	census_each_mapping(realm->census, key, consider_mapping, search);
	census_each_descriptor(realm->census, key, consider_descriptor, search);
	if (search->out->known)
		search->out->hidden = false;
}

static bool is_alive(const struct realm *realm, const struct past_user *user)
{
	struct process_facts facts = { 0 };

	process_facts_read(realm->proc, user->pid, &facts);
	return user->born != 0 && facts.born == user->born;
}

/*
 * Whether that use was of this item: the ID of a System V segment may be another one's by now, and
 * one that was changed later is taken for another.
 */
static bool is_of(const struct item *item, const struct timespec *until)
{
	return item->key.class != SEGMENT_SYSV || item->ctime.tv_sec <= until->tv_sec;
}

static void find_in_the_past(struct search *search)
{
	const struct view *view = search->view;
	struct last_user *out = search->out;
	struct past_user user;
	bool alive, seen;

	if (!census_last_user(view->realm->census, &view->item->key, &user, &out->until))
		return;
	alive = is_alive(view->realm, &user);
	seen = alive ? caller_sees_memory(&search->sight, user.pid) :
		       caller_sees_past(&search->sight, user.uid, user.readable);
	if (!is_of(view->item, &out->until)) {
		out->until = (struct timespec){ 0 };
	} else if (!seen) {
		out->hidden = true;
	} else {
		fill(out, user.pid, user.uid, user.command);
		out->born = user.born;
		out->state = alive ? "alive" : "dead";
		g_strlcpy(out->unit, user.unit ? user.unit : "-", sizeof out->unit);
	}
	if (user.unit)
		g_ref_string_release(user.unit);
}

/* Prefers what the kernel notes, which is exact; what else is known of the same process stays. */
static void prefer_the_kernels(const struct view *view, struct last_user *out)
{
	struct past_process process;
	int64_t when;
	pid_t pid = view->item->kind->last_pid ? view->item->kind->last_pid(view->item, &when) : 0;

	if (pid == 0 || (out->known && pid != out->pid && !out->now && when < out->until.tv_sec))
		return;
	process = past_process_seen(view, pid, when);
	if (!out->known || pid != out->pid) {
		*out = (struct last_user){ .pid = pid, .until = { .tv_sec = when } };
		g_strlcpy(out->command, process.command, sizeof out->command);
	} else if (!out->now) {
		out->until = (struct timespec){ .tv_sec = when };
	}
	out->state = process.alive ? "alive" : "dead";
}

static void find(const struct view *view, struct last_user *out)
{
	struct search search = { .view = view, .out = out };
	struct usage usage = census_usage(view->realm->census, &view->item->key);

	*out = (struct last_user){ .state = "none", .unit = "-" };
	caller_sight_begin(&search.sight, view->realm->proc, &view->caller);
	if (usage.mappings || usage.openers)
		find_among_users(&search);
	else
		find_in_the_past(&search);
	caller_sight_end(&search.sight);
	prefer_the_kernels(view, out);
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

int last_user_json(const struct view *view, const struct attribute *self, struct json *json)
{
	struct last_user user;

	find(view, &user);
	format_json_object(json, self->name);
	format_json_number(json, "pid", user.pid);
	format_json_bytes(json, "command", user.command);
	format_json_bytes(json, "state", user.state);
	format_json_number(json, "born", user.known && user.born ? user.born : UINT64_MAX);
	format_json_number(json, "uid", user.known ? user.uid : UINT64_MAX);
	format_json_bytes(json, "unit", user.known ? user.unit : "-");
	format_json_bool(json, "now", user.now);
	if (user.until.tv_sec && !user.now)
		format_json_time(json, "until", &user.until);
	else
		format_json_number(json, "until", UINT64_MAX);
	format_json_number(json, "not_shown", user.hidden);
	format_json_end(json);
	return 0;
}

const struct attribute last_user_attributes[] = {
	{ "last", FORM_OTHER, LAST_USER_NEEDS, last_user_show, .json = last_user_json },
	{ NULL },
};
