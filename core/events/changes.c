/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/changes.h"

#include "base/util.h"
#include "procfs/status.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

/* Names that may be noted. */
#define UNSETTLED_MAX 4096

struct changes {
	const struct changes_config *config;
	pid_t self;
	const struct fanotify_group *group; /* while records are handled */
	struct sizes *sizes;
	struct {
		char name[NAME_MAX + 1], from[NAME_MAX + 1];
		uint64_t inode;
	} renamed;             /* what the last record told, if it was that; else inode 0 */
	GHashTable *unsettled; /* name: the inode number that it has as was told, 0 for none */
};

/* An object as a record tells of it, and as it is now. */
struct subject {
	const char *name;
	uint64_t inode;
	uint64_t now;  /* the inode number that has the name by now, 0: none */
	uint64_t size; /* if that is the object, else EVENT_UNKNOWN */
	bool own;      /* the daemon did it */
	struct process_identity process;
};

struct changes *changes_new(const struct changes_config *config)
{
	struct changes *changes = g_new0(struct changes, 1);

	changes->config = config;
	changes->self = getpid();
	changes->sizes = sizes_new(config->shrunk, config->data);
	changes->unsettled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return changes;
}

void changes_free(struct changes *changes)
{
	g_hash_table_unref(changes->unsettled);
	sizes_free(changes->sizes);
	g_free(changes);
}

/* What is there now */

/* Of what is no object, as if there were nothing. */
static uint64_t look(const struct changes *changes, const char *name, uint64_t *size)
{
	struct stat st;

	if (fstatat(changes->config->directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode))
		return 0;
	*size = st.st_size;
	return st.st_ino;
}

static void look_at(const struct changes *changes, struct subject *subject)
{
	uint64_t size = 0;

	subject->now = look(changes, subject->name, &size);
	subject->size = subject->now == subject->inode ? size : EVENT_UNKNOWN;
}

/* Notes what was told of a name, unless that is what it is. */
static void told(struct changes *changes, const char *name, uint64_t inode, uint64_t now)
{
	if (inode == now)
		g_hash_table_remove(changes->unsettled, name);
	else
		g_hash_table_insert(changes->unsettled, g_strdup(name),
			g_memdup2(&inode, sizeof inode));
	if (g_hash_table_size(changes->unsettled) > UNSETTLED_MAX)
		changes_settle(changes);
}

/* A size that is told with another event, or found when a name is looked at. */
static void note_size(struct changes *changes, const struct subject *subject)
{
	if (subject->size != EVENT_UNKNOWN)
		sizes_note(changes->sizes, subject->inode, subject->size);
}

/* Telling */

static void tell(const struct changes *changes, enum event_type type, const struct subject *subject,
	const char *from)
{
	const struct event event = {
		.type = type,
		.kind = changes->config->kind,
		.id = subject->name,
		.name = subject->name,
		.from = from,
		.inode = subject->inode,
		.size = subject->size,
		.process = subject->process,
	};

	changes->config->tell(&event, changes->config->data);
}

struct teller {
	const struct changes *changes;
	enum event_type type;
	struct subject subject;
	const char *from;
	bool once, told;
};

static void tell_act(const struct process_identity *process, void *data)
{
	struct teller *teller = data;

	if (teller->once && teller->told)
		return;
	teller->told = true;
	teller->subject.process = *process;
	tell(teller->changes, teller->type, &teller->subject, teller->from);
}

/*
 * Tells an event by its process, or what the daemon did by who had it done. What the daemon opened or
 * wrote for itself is not told; a name that came or went is, whoever did it.
 */
static void tell_as(const struct changes *changes, enum event_type type,
	const struct subject *subject, const char *from)
{
	struct teller teller = { changes, type, *subject, from, type != EVENT_OPENED, false };

	if (!subject->own) {
		tell(changes, type, subject, from);
		return;
	}
	event_acts_take(changes->config->acts, type, from ? from : subject->name, subject->inode,
		tell_act, &teller);
	if (!teller.told && type != EVENT_OPENED)
		tell(changes, type, subject, from);
}

static bool is_hidden(const struct changes *changes, const char *name)
{
	return g_str_has_prefix(name, changes->config->hidden_prefix);
}

/* One record */

static void created(struct changes *changes, const struct subject *subject)
{
	note_size(changes, subject);
	tell_as(changes, EVENT_CREATED, subject, NULL);
	told(changes, subject->name, subject->inode, subject->now);
}

static void removed(struct changes *changes, const struct subject *subject)
{
	struct subject gone = *subject;

	gone.size = EVENT_UNKNOWN;
	tell_as(changes, EVENT_REMOVED, &gone, NULL);
	told(changes, subject->name, 0, subject->now);
}

static void tell_nothing(const struct process_identity *process, void *data)
{
	(void)process, (void)data;
}

static void resized(struct changes *changes, const struct subject *subject)
{
	if (subject->size == EVENT_UNKNOWN)
		sizes_blur(changes->sizes, subject->inode);
	if (subject->size != EVENT_UNKNOWN &&
		sizes_note_change(changes->sizes, subject->inode, subject->size,
			subject->own ? NULL : &subject->process))
		tell_as(changes, EVENT_RESIZED, subject, NULL);
	else if (subject->own)
		event_acts_take(changes->config->acts, EVENT_RESIZED, subject->name, subject->inode,
			tell_nothing, NULL);
}

/* What one record says in one: in the only order that is possible, if the name is left as it is now. */
static void handle_file(struct changes *changes, uint64_t mask, struct subject *subject)
{
	bool stays = subject->now == subject->inode;

	if (mask & FAN_DELETE && mask & FAN_CREATE && stays)
		removed(changes, subject);
	if (mask & FAN_CREATE)
		created(changes, subject);
	if (mask & FAN_OPEN)
		tell_as(changes, EVENT_OPENED, subject, NULL);
	if (mask & FAN_MODIFY)
		resized(changes, subject);
	if (mask & (FAN_CLOSE_WRITE | FAN_CLOSE_NOWRITE) && !subject->own)
		tell(changes, EVENT_CLOSED, subject, NULL);
	if (mask & FAN_DELETE && !(mask & FAN_CREATE && stays))
		removed(changes, subject);
}

/* A daemon removes an object under a name that begins with a prefix; it was told by its own. */
static void handle_hidden(struct changes *changes, uint64_t mask, struct subject *subject)
{
	subject->name += strlen(changes->config->hidden_prefix);
	if (!(mask & FAN_DELETE) || !*subject->name)
		return;
	look_at(changes, subject);
	removed(changes, subject);
}

/*
 * Whether this is the second half of an exchange of two names: then the first half has told already
 * what has the old name now. Notes it as the last one in any case.
 */
static bool ends_exchange(struct changes *changes, const struct fanotify_record *record,
	uint64_t inode)
{
	bool ends = changes->renamed.inode && changes->renamed.inode != inode &&
		strcmp(changes->renamed.name, record->name) == 0 &&
		strcmp(changes->renamed.from, record->new_name) == 0;

	g_strlcpy(changes->renamed.name, record->new_name, sizeof changes->renamed.name);
	g_strlcpy(changes->renamed.from, record->name, sizeof changes->renamed.from);
	changes->renamed.inode = ends ? 0 : inode;
	return ends;
}

static void handle_rename(struct changes *changes, const struct fanotify_record *record,
	struct subject *subject)
{
	bool from = fanotify_is_source(changes->group, &record->directory) && record->name;
	bool to = fanotify_is_source(changes->group, &record->new_directory) && record->new_name;
	uint64_t size;

	if ((from && is_hidden(changes, record->name)) ||
		(to && is_hidden(changes, record->new_name)))
		return;
	subject->name = to ? record->new_name : record->name;
	if (from || to)
		look_at(changes, subject);
	if (from && to) {
		note_size(changes, subject);
		tell_as(changes, EVENT_RENAMED, subject, record->name);
		told(changes, record->new_name, subject->inode, subject->now);
		if (!ends_exchange(changes, record, subject->inode))
			told(changes, record->name, 0, look(changes, record->name, &size));
	} else if (to) {
		created(changes, subject);
	} else if (from) {
		removed(changes, subject);
	}
}

static bool is_child(const struct changes *changes, pid_t pid)
{
	struct proc_status status;
	char path[32];

	snprintf(path, sizeof path, "/proc/%d", pid);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Of one that is gone nothing else is known. */
	return dir < 0 || proc_read_status(dir, &status, NULL) < 0 ||
		status.parent == changes->self;
}

static bool is_own(const struct changes *changes, const struct fanotify_record *record,
	uint64_t inode)
{
	return record->pid == changes->self ||
		(record->mask & FAN_MODIFY && event_acts_by_child(changes->config->acts, inode) &&
			is_child(changes, record->pid));
}

static void handle_source(struct changes *changes, const struct fanotify_record *record,
	struct subject *subject)
{
	subject->name = record->name;
	changes->renamed.inode = 0;
	if (strcmp(record->name, changes->config->reserved) == 0)
		return;
	if (is_hidden(changes, record->name)) {
		if (record->mask & FAN_MODIFY)
			sizes_blur(changes->sizes, subject->inode);
		handle_hidden(changes, record->mask, subject);
		return;
	}
	look_at(changes, subject);
	handle_file(changes, record->mask, subject);
}

static void handle(const struct fanotify_record *record, void *data)
{
	struct changes *changes = data;
	struct subject subject = { 0 };

	if (record->mask & FAN_Q_OVERFLOW) {
		const struct event lost = { .type = EVENT_LOST, .lost = EVENT_UNKNOWN };

		g_hash_table_remove_all(changes->unsettled);
		sizes_forget(changes->sizes);
		changes->config->tell(&lost, changes->config->data);
	} else if (file_id_inode(&record->file, &subject.inode)) {
		bool inside =
			record->name && fanotify_is_source(changes->group, &record->directory);

		/* By another name of the object, in another directory, or by none. */
		if (record->mask & FAN_MODIFY && !inside)
			sizes_blur(changes->sizes, subject.inode);
		subject.own = is_own(changes, record, subject.inode);
		if (!subject.own && (inside || record->mask & FAN_RENAME))
			event_processes_find(changes->config->processes, record->pid, record->pidfd,
				&subject.process);
		if (record->mask & FAN_RENAME)
			handle_rename(changes, record, &subject);
		else if (inside)
			handle_source(changes, record, &subject);
	}
	closep(&record->pidfd);
}

int changes_handle(struct changes *changes, const struct fanotify_group *group,
	const uint8_t *bytes, size_t n)
{
	changes->group = group;
	return fanotify_records_parse(bytes, n, handle, changes);
}

/* Settling */

bool changes_unsettled(const struct changes *changes)
{
	return g_hash_table_size(changes->unsettled) > 0 || sizes_unsettled(changes->sizes);
}

void changes_drained(struct changes *changes, gint64 when)
{
	sizes_settle(changes->sizes, when);
}

static void settle(struct changes *changes, const char *name, uint64_t inode)
{
	struct subject subject = { .name = name, .inode = inode, .size = EVENT_UNKNOWN };
	uint64_t size = EVENT_UNKNOWN, now = look(changes, name, &size);

	if (now == inode)
		return;
	if (inode)
		tell(changes, EVENT_REMOVED, &subject, NULL);
	subject.inode = now;
	subject.size = size;
	if (!now)
		return;
	note_size(changes, &subject);
	tell(changes, EVENT_CREATED, &subject, NULL);
}

void changes_settle(struct changes *changes)
{
	GHashTableIter iter;
	gpointer name, inode;

	g_hash_table_iter_init(&iter, changes->unsettled);
	while (g_hash_table_iter_next(&iter, &name, &inode))
		settle(changes, name, *(uint64_t *)inode);
	g_hash_table_remove_all(changes->unsettled);
}
