/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attributes are what an item shows, each as a file of its directory and as a member of info.json.
 */
#pragma once

#include "base/json.h"
#include "base/packed.h"
#include "base/view-rows.h"
#include "caller/caller.h"
#include "kinds/item.h"
#include "kinds/realm.h"

#include <stddef.h>

/* What a metadata file is made from. */
struct view {
	const struct realm *realm;
	const struct item *item; /* an attribute's; NULL for a file about the whole realm */
	struct caller caller;    /* who reads: tables have the rows that this caller may see */
	bool filled;             /* the item has been through kind->residency() */
	/*
	 * Which processes the caller sees, as far as that was asked, pid: 1 (no) or 2 (yes); NULL:
	 * ask each time.
	 */
	GHashTable *sees;
	struct budget *budget; /* limits what take() makes; NULL: nothing does */
};

/* How an attribute's text becomes a member of info.json. */
enum attribute_form {
	FORM_NUMBER, /* a decimal number and a newline; "unknown" is null */
	FORM_TIME,   /* whole seconds since 1970 and a newline */
	FORM_TEXT,   /* a value and a newline */
	FORM_OTHER,  /* by json(), or not at all */
	FORM_USERS,  /* an array of the rows that `users` tells */
};

/* Which rows of the census (segment-users.h). */
enum users_of { USERS_NONE, USERS_MAPPERS, USERS_HOLDERS };

struct attribute {
	const char *name;
	enum attribute_form form;
	unsigned needs; /* enum census_facet: what the census must be held with */
	/* Appends the content. 0 or a negative errno: what the open(2) of the file gives. */
	int (*show)(const struct view *view, const struct attribute *self, GString *out);
	size_t offset; /* for show(): where in the item the value is */
	/*
	 * In place of show(), for what may be long. 0, and a snapshot in `out`, or a negative
	 * errno.
	 */
	int (*take)(const struct view *view, const struct attribute *self, struct view_rows *out);
	enum users_of users; /* FORM_USERS */
	/*
	 * Appends the content without the census, whatever `needs` says, and returns true, if that
	 * is possible. `wait`: the call may take long. NULL: it is never possible.
	 */
	bool (*quick)(const struct view *view, bool wait, GString *out);
	/*
	 * FORM_OTHER: adds the members, names and all, to the object that is begun. A negative
	 * errno if nothing was added.
	 */
	int (*json)(const struct view *view, const struct attribute *self, struct json *json);
	bool (*exists)(const struct item *item); /* NULL: every item of the kind has it */
	bool slow; /* may wait for more than the census: the user database */
};

/* Attributes of every segment: mappings, processes, openers, resident … info.json. */
extern const struct attribute segment_attributes[];
/* Attributes of what is no memory: info.json alone. */
extern const struct attribute plain_attributes[];

/*
 * show() functions for attributes that are one field of the item, `self->offset` bytes into it.
 * All append the value and a newline, and never fail.
 */
int show_u32(const struct view *view, const struct attribute *self, GString *out);
int show_i64(const struct view *view, const struct attribute *self, GString *out);
/* BYTES_UNKNOWN is shown as "unknown". */
int show_u64(const struct view *view, const struct attribute *self, GString *out);
/* A System V key: 0x%08x. */
int show_key(const struct view *view, const struct attribute *self, GString *out);
/* Permission bits (mode_t) in octal, as lsipc shows them. */
int show_perms(const struct view *view, const struct attribute *self, GString *out);
/* The name that the user database has for a user, raw bytes; NULL: none. The caller frees it. May be slow. */
char *user_name(uid_t uid);

/* The name of a uid_t or gid_t, or the number where it has none. */
int show_user(const struct view *view, const struct attribute *self, GString *out);
int show_group(const struct view *view, const struct attribute *self, GString *out);
/* A pid_t: its number, 0 for none. */
int show_pid(const struct view *view, const struct attribute *self, GString *out);
