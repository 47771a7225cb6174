/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/changes.h"

#include "base/util.h"
#include "events/directory.h"
#include "events/handles.h"
#include "procfs/status.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

struct changes {
	const struct changes_config *config;
	pid_t self;
	const struct fanotify_group *group; /* while records are handled */
	struct sizes *sizes;
	struct {
		char name[NAME_MAX + 1], from[NAME_MAX + 1];
		uint64_t inode;
	} renamed;                   /* what the last record told, if it was that; else inode 0 */
	struct directory *directory; /* as it was told */
	int64_t now;                 /* of the record that is handled, CLOCK_REALTIME, ns */
};

/* An object as a record tells of it, and as it is now. */
struct subject {
	const char *name;
	uint64_t inode;
	uint64_t now;  /* the inode number that has the name by now, 0: none */
	uint64_t size; /* if that is the object, else EVENT_UNKNOWN */
	uint32_t generation;
	bool looked; /* by its handle; then it is known what is left of it: */
	enum left left;
	bool own; /* the daemon did it */
	struct process_identity process;
};

static void differs(const struct difference *difference, void *data);

struct changes *changes_new(const struct changes_config *config)
{
	struct changes *changes = g_new0(struct changes, 1);
	const struct directory_config directory = {
		.fd = config->directory,
		.reserved = config->reserved,
		.hidden_prefix = config->hidden_prefix,
		.differs = differs,
		.data = changes,
	};

	changes->config = config;
	changes->self = getpid();
	changes->sizes = sizes_new(config->shrunk, config->data);
	changes->directory = directory_new(&directory);
	return changes;
}

void changes_free(struct changes *changes)
{
	origins_end(changes->config->origins);
	directory_free(changes->directory);
	sizes_free(changes->sizes);
	g_free(changes);
}

void changes_begin(struct changes *changes)
{
	origins_begin(changes->config->origins, event_now());
	directory_list(changes->directory);
}

/* What is there now */

/* Of what is no object, as if there were nothing. */
static void look_at(const struct changes *changes, struct subject *subject)
{
	uint64_t size = 0;

	subject->now = directory_look(changes->directory, subject->name, &size);
	subject->size = subject->now == subject->inode ? size : EVENT_UNKNOWN;
}

static struct named named_as(const struct subject *subject)
{
	return (struct named){ .inode = subject->inode,
		.size = subject->size,
		.generation = subject->generation };
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
		.time = changes->now,
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
static struct deed tell_as(const struct changes *changes, enum event_type type,
	const struct subject *subject, const char *from)
{
	struct teller teller = { changes, type, *subject, from, type != EVENT_OPENED, false };
	struct deed deed = { true, changes->now, subject->process };

	if (!subject->own) {
		tell(changes, type, subject, from);
		return deed;
	}
	/* The record stands for what was done for several callers: whose was the last is not known. */
	if (event_acts_take(changes->config->acts, type, from ? from : subject->name,
		    subject->inode, tell_act, &teller) == 1)
		deed.process = teller.subject.process;
	if (!teller.told && type != EVENT_OPENED)
		tell(changes, type, subject, from);
	return deed;
}

/* How an object came to a name, and lost one */

static void look_by_handle(const struct changes *changes, struct subject *subject)
{
	struct stat st;
	int r;

	if (subject->looked)
		return;
	r = handle_stat(changes->config->directory, subject->inode, subject->generation, &st);
	subject->looked = true;
	subject->left = r == -ESTALE ? LEFT_NOTHING :
		r < 0                ? LEFT_UNKNOWN :
		st.st_nlink > 0      ? LEFT_NAMES :
				       LEFT_NAMELESS;
	if (subject->size == EVENT_UNKNOWN && subject->left == LEFT_NAMES)
		subject->size = st.st_size;
}

static void note_unnamed(const struct changes *changes, const struct subject *subject,
	const struct deed *deed)
{
	struct subject looked = *subject;

	look_by_handle(changes, &looked);
	origins_unnamed(changes->config->origins, subject->inode, deed, looked.left);
}

static void note_named_unnamed(const struct changes *changes, const struct named *named,
	const struct deed *deed)
{
	const struct subject subject = { .inode = named->inode, .generation = named->generation };

	note_unnamed(changes, &subject, deed);
}

/* Something is renamed to a name: the object that had it loses it, if it is known which one that is. */
static void note_replaced(const struct changes *changes, const char *name, uint64_t inode,
	const struct deed *deed)
{
	const struct named *before;

	if (!name || !directory_had(changes->directory, name, &before))
		origins_blur(changes->config->origins);
	else if (before && before->inode != inode)
		note_named_unnamed(changes, before, deed);
}

/* One record */

static void created(struct changes *changes, const struct subject *subject)
{
	const struct named named = named_as(subject);
	struct deed deed;

	note_size(changes, subject);
	deed = tell_as(changes, EVENT_CREATED, subject, NULL);
	origins_named(changes->config->origins, subject->inode, &deed);
	directory_told(changes->directory, subject->name, &named, subject->now);
}

static void removed(struct changes *changes, const struct subject *subject)
{
	struct subject gone = *subject;
	struct deed deed;

	gone.size = EVENT_UNKNOWN;
	deed = tell_as(changes, EVENT_REMOVED, &gone, NULL);
	note_unnamed(changes, subject, &deed);
	directory_told(changes->directory, subject->name, NULL, subject->now);
}

static void tell_nothing(const struct process_identity *process, void *data)
{
	(void)process, (void)data;
}

/* The content may have been changed by a name that the object has not any more: it may have another one. */
static void resized(struct changes *changes, struct subject *subject)
{
	if (subject->size == EVENT_UNKNOWN)
		look_by_handle(changes, subject);
	if (subject->size == EVENT_UNKNOWN)
		sizes_blur(changes->sizes, subject->inode);
	else
		directory_told_size(changes->directory, subject->name, subject->inode,
			subject->size);
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

static bool is_shown(const struct changes *changes, const char *name)
{
	return strcmp(name, changes->config->reserved) != 0 &&
		!directory_is_hidden(changes->directory, name);
}

static void handle_rename(struct changes *changes, const struct fanotify_record *record,
	struct subject *subject)
{
	bool from = fanotify_is_source(changes->group, &record->directory) && record->name;
	bool to = fanotify_is_source(changes->group, &record->new_directory) && record->new_name;
	bool hides = (from && directory_is_hidden(changes->directory, record->name)) ||
		(to && directory_is_hidden(changes->directory, record->new_name));
	struct deed deed = { true, changes->now, subject->process };
	uint64_t size;

	/* Another process may use such a name, too: to it that is a name which is not shown. */
	if (hides && subject->own)
		return;
	from = from && is_shown(changes, record->name);
	to = to && is_shown(changes, record->new_name);
	subject->name = to ? record->new_name : record->name;
	if (from || to)
		look_at(changes, subject);
	if (from && to) {
		const struct named named = named_as(subject);

		note_size(changes, subject);
		deed = tell_as(changes, EVENT_RENAMED, subject, record->name);
		note_replaced(changes, record->new_name, subject->inode, &deed);
		directory_told(changes->directory, record->new_name, &named, subject->now);
		if (!ends_exchange(changes, record, subject->inode))
			directory_told(changes->directory, record->name, NULL,
				directory_look(changes->directory, record->name, &size));
	} else if (to) {
		note_replaced(changes, record->new_name, subject->inode, &deed);
		created(changes, subject);
	} else {
		note_replaced(changes, NULL, subject->inode, &deed);
		if (from)
			removed(changes, subject);
	}
}

/* What happens in other directories of the tmpfs is not told; but an object may have names there. */
static void handle_elsewhere(const struct changes *changes, uint64_t mask,
	const struct subject *subject)
{
	const struct deed deed = { true, changes->now, subject->process };

	/* By another name of the object, in another directory, or by none. */
	if (mask & FAN_MODIFY) {
		sizes_blur(changes->sizes, subject->inode);
		directory_doubt(changes->directory, subject->inode);
	}
	if (mask & FAN_CREATE)
		origins_named(changes->config->origins, subject->inode, &deed);
	if (mask & FAN_DELETE)
		note_unnamed(changes, subject, &deed);
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
	if (!is_shown(changes, record->name)) {
		handle_elsewhere(changes, record->mask & ~(subject->own ? FAN_DELETE : 0), subject);
		if (subject->own && strcmp(record->name, changes->config->reserved) != 0)
			handle_hidden(changes, record->mask, subject);
		return;
	}
	look_at(changes, subject);
	handle_file(changes, record->mask, subject);
}

/* Whether it is asked who did that. */
static bool has_process(const struct fanotify_record *record, bool inside)
{
	return inside || record->mask & (FAN_RENAME | FAN_CREATE | FAN_DELETE);
}

static void handle_file_record(struct changes *changes, const struct fanotify_record *record,
	struct subject *subject)
{
	bool inside = record->name && fanotify_is_source(changes->group, &record->directory);

	subject->generation = handle_generation(record->file.bytes);
	subject->own = is_own(changes, record, subject->inode);
	if (!subject->own && has_process(record, inside))
		event_processes_find(changes->config->processes, record->pid, record->pidfd,
			&subject->process);
	if (record->mask & FAN_RENAME)
		handle_rename(changes, record, subject);
	else if (inside)
		handle_source(changes, record, subject);
	else
		handle_elsewhere(changes, record->mask, subject);
}

/* The kernel had to drop records: what was noted means nothing, but for what was told. */
static void handle_loss(struct changes *changes)
{
	const struct event lost = { .time = changes->now,
		.type = EVENT_LOST,
		.lost = EVENT_UNKNOWN };

	sizes_forget(changes->sizes);
	origins_begin(changes->config->origins, changes->now);
	/* More may have been dropped since that record, which the kernel has only one of. */
	origins_blur(changes->config->origins);
	directory_lost(changes->directory);
	changes->config->tell(&lost, changes->config->data);
}

static void handle(const struct fanotify_record *record, void *data)
{
	struct changes *changes = data;
	struct subject subject = { 0 };

	changes->now = event_now();
	if (record->mask & FAN_Q_OVERFLOW)
		handle_loss(changes);
	else if (file_id_inode(&record->file, &subject.inode))
		handle_file_record(changes, record, &subject);
	closep(&record->pidfd);
}

int changes_handle(struct changes *changes, const struct fanotify_group *group,
	const uint8_t *bytes, size_t n)
{
	changes->group = group;
	return fanotify_records_parse(bytes, n, handle, changes);
}

/* Settling */

/* Nobody is known to have done it. */
static void differs(const struct difference *difference, void *data)
{
	struct changes *changes = data;
	const struct named *named = &difference->named;
	bool gone = difference->type == EVENT_REMOVED;
	const struct subject subject = {
		.name = difference->name,
		.inode = named->inode,
		.size = gone ? EVENT_UNKNOWN : named->size,
	};
	struct deed deed = { .known = true };

	deed.time = changes->now = event_now();
	note_size(changes, &subject);
	tell(changes, difference->type, &subject, NULL);
	if (gone)
		note_named_unnamed(changes, named, &deed);
	else if (difference->type == EVENT_CREATED)
		origins_named(changes->config->origins, named->inode, &deed);
}

bool changes_unsettled(const struct changes *changes)
{
	return directory_unsettled(changes->directory) || sizes_unsettled(changes->sizes) ||
		origins_unsettled(changes->config->origins);
}

void changes_drained(struct changes *changes, gint64 when)
{
	sizes_settle(changes->sizes, when);
	origins_drained(changes->config->origins, when);
	directory_drained(changes->directory, when);
}

void changes_settle(struct changes *changes)
{
	directory_settle(changes->directory);
}
