/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/sysvipc.h"

#include "kinds/attribute.h"
#include "caller/effective.h"
#include "caller/rights.h"
#include "base/file-text.h"
#include "base/util.h"

#include <linux/capability.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The next word of the line, which ends at `end`; its length, 0 at the end of the line. */
static size_t next_word(const char **at, const char *end)
{
	const char *start;

	while (*at < end && (**at == ' ' || **at == '\t'))
		(*at)++;
	start = *at;
	while (*at < end && **at != ' ' && **at != '\t')
		(*at)++;
	return *at - start;
}

static bool parse_number(const char *word, size_t length, unsigned base, uint64_t *out)
{
	bool negative = length > 1 && *word == '-';
	uint64_t value = 0;

	if (length == 0)
		return false;
	for (size_t i = negative; i < length; i++) {
		unsigned digit = (unsigned char)word[i] - '0';

		if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
			__builtin_add_overflow(value, digit, &value))
			return false;
	}
	*out = negative ? -value : value;
	return true;
}

/* Fills place[i] with the asked-for column that word i of a row is, or n for none. */
static int parse_header(const char *line, const char *end, const struct sysvipc_column *columns,
	size_t n, size_t *place, size_t *words)
{
	bool found[SYSVIPC_COLUMNS_MAX] = { false };
	size_t length;

	*words = 0;
	while ((length = next_word(&line, end)) > 0) {
		size_t i = 0;

		if (*words == SYSVIPC_COLUMNS_MAX)
			return -EPROTO;
		while (i < n &&
			(strlen(columns[i].name) != length ||
				memcmp(columns[i].name, line - length, length) != 0))
			i++;
		if (i < n)
			found[i] = true;
		place[(*words)++] = i;
	}
	for (size_t i = 0; i < n; i++)
		if (!found[i] && !columns[i].optional)
			return -EPROTO;
	return 0;
}

static int parse_row(const char *line, const char *end, const struct sysvipc_column *columns,
	size_t n, const size_t *place, size_t words, uint64_t *values)
{
	memset(values, 0xff, n * sizeof *values);
	for (size_t i = 0; i < words; i++) {
		size_t length = next_word(&line, end);

		if (length == 0)
			return -EPROTO;
		if (place[i] < n &&
			!parse_number(line - length, length, columns[place[i]].base,
				&values[place[i]]))
			return -EPROTO;
	}
	return next_word(&line, end) == 0 ? 0 : -EPROTO;
}

int sysvipc_parse(const char *text, const struct sysvipc_column *columns, size_t n,
	sysvipc_visitor visit, void *data)
{
	size_t place[SYSVIPC_COLUMNS_MAX], words;
	uint64_t values[SYSVIPC_COLUMNS_MAX];
	const char *end = strchrnul(text, '\n');
	int r;

	g_assert(n <= SYSVIPC_COLUMNS_MAX);
	r = parse_header(text, end, columns, n, place, &words);
	while (r == 0 && *end && end[1]) {
		text = end + 1;
		end = strchrnul(text, '\n');
		r = parse_row(text, end, columns, n, place, words, values);
		if (r == 0)
			visit(values, data);
	}
	return r;
}

struct table_reading {
	const char *path;
	char *text;
};

/* The file belongs to the namespace of the thread that opens it. */
static int read_table(void *data)
{
	struct table_reading *reading = data;

	/* A kernel without System V IPC has none of it: -ENOENT. */
	return file_text(reading->path, &reading->text);
}

int sysvipc_each(const struct realm *realm, const char *table, const struct sysvipc_column *columns,
	size_t n, sysvipc_visitor visit, void *data)
{
	g_autofree char *path = g_strdup_printf("%s/sysvipc/%s", realm->proc, table);
	struct table_reading reading = { .path = path };
	int r = sysvipc_enter(realm, read_table, &reading);

	if (r == 0)
		r = sysvipc_parse(reading.text, columns, n, visit, data);
	g_free(reading.text);
	return r == -ENOENT ? 0 : r;
}

struct visit_of_namespace {
	int fd;
	int (*work)(void *data);
	void *data;
};

static gpointer work_in_namespace(gpointer arg)
{
	const struct visit_of_namespace *visit = arg;

	/* For this thread alone, which ends with it. */
	if (setns(visit->fd, CLONE_NEWIPC) < 0)
		return GINT_TO_POINTER(-errno);
	return GINT_TO_POINTER(visit->work(visit->data));
}

int sysvipc_enter(const struct realm *realm, int (*work)(void *data), void *data)
{
	struct visit_of_namespace visit = { realm->ipc_ns_fd, work, data };
	GThread *thread;

	if (realm->ipc_ns_fd < 0)
		return work(data);
	thread = g_thread_try_new("ipc-ns", work_in_namespace, &visit, NULL);
	return thread ? GPOINTER_TO_INT(g_thread_join(thread)) : -EAGAIN;
}

bool sysvipc_parse_id(const char *text, int *id)
{
	uint64_t value;

	if (!parse_number(text, strlen(text), 10, &value) || value > INT_MAX ||
		(*text == '0' && text[1]) || *text == '-')
		return false;
	*id = (int)value;
	return true;
}

int sysvipc_error(int error)
{
	return error == EINVAL || error == EIDRM ? -ENOENT : -error;
}

int sysvipc_check_owner(const struct caller *caller, const struct item *item)
{
	const struct sysvipc_item *ipc = (const struct sysvipc_item *)item;
	auto_rights rights = { 0 };
	bool may = caller->uid == item->uid || caller->uid == ipc->cuid;

	if (!may) {
		caller_rights_read_here(caller, &rights);
		may = rights.effective & CAPABILITY(CAP_SYS_ADMIN);
	}
	return may ? 0 : -EPERM;
}

struct ending {
	const struct caller *caller;
	const struct sysvipc_removal *removal;
	int id;
	const struct item *seen;
};

static int end_object(void *data)
{
	const struct ending *ending = data;
	const struct sysvipc_removal *removal = ending->removal;
	struct effective ids;
	int r = removal->check_unused ? removal->check_unused(ending->id, ending->seen) : 0;

	if (r == 0)
		r = effective_begin(&ids, ending->caller);
	if (r < 0)
		return r;
	r = removal->end(ending->id) < 0 ? sysvipc_error(errno) : 0;
	effective_end(&ids);
	return r;
}

int sysvipc_remove(const struct realm *realm, const struct kind *kind, const char *id,
	const struct caller *caller, const struct sysvipc_removal *removal)
{
	struct ending ending = { .caller = caller, .removal = removal };
	g_autofree struct item *item = NULL;
	int r = sysvipc_parse_id(id, &ending.id) ? kind->stat(realm, id, &item) : -ENOENT;

	ending.seen = item;
	if (r == 0)
		r = sysvipc_check_owner(caller, item);
	if (r == 0)
		r = removal->check_idle(realm, item);
	return r < 0 ? r : sysvipc_enter(realm, end_object, &ending);
}

bool sysvipc_present(const struct realm *realm)
{
	return realm->ipc_ns != 0;
}

void sysvipc_complete(struct sysvipc_item *s, int id)
{
	snprintf(s->item.id, sizeof s->item.id, "%d", id);
	snprintf(s->item.name, sizeof s->item.name, "0x%08x", s->key);
	/* The kernel has no time of modification: the last change that it knows of. */
	s->item.mtime = s->item.ctime;
}

const struct attribute sysvipc_attributes[] = {
	{ "key", FORM_TEXT, 0, show_key, offsetof(struct sysvipc_item, key) },
	{ "perms", FORM_TEXT, 0, show_perms, offsetof(struct item, mode) },
	{ "uid", FORM_NUMBER, 0, show_u32, offsetof(struct item, uid) },
	{ "user", FORM_TEXT, 0, show_user, offsetof(struct item, uid), .slow = true },
	{ "gid", FORM_NUMBER, 0, show_u32, offsetof(struct item, gid) },
	{ "group", FORM_TEXT, 0, show_group, offsetof(struct item, gid), .slow = true },
	{ "cuid", FORM_NUMBER, 0, show_u32, offsetof(struct sysvipc_item, cuid) },
	{ "cuser", FORM_TEXT, 0, show_user, offsetof(struct sysvipc_item, cuid), .slow = true },
	{ "cgid", FORM_NUMBER, 0, show_u32, offsetof(struct sysvipc_item, cgid) },
	{ "cgroup", FORM_TEXT, 0, show_group, offsetof(struct sysvipc_item, cgid), .slow = true },
	{ "ctime", FORM_TIME, 0, show_i64, offsetof(struct item, ctime.tv_sec) },
	{ NULL },
};
