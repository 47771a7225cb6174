/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What callers change of System V segments: they make, change and remove them through the mount. */
#include "base/util.h"
#include "caller/effective.h"
#include "kinds/sysv.h"

#include <string.h>

/* A count that changes while it is read is read again this often. */
#define LOOK_TRIES 3

/*
 * Whether the kernel counts open files of the segment beside its own: 0 or -EBUSY. A negative errno
 * otherwise if that cannot be told.
 */
static int check_references(const struct realm *realm, const struct item *item)
{
	struct object_now now;
	int r = -EAGAIN;

	for (int tries = 0; r == -EAGAIN && tries < LOOK_TRIES; tries++)
		r = sysv_look(realm, item, true, &now);
	if (r == -EAGAIN)
		return -EBUSY;
	return r == 0 && now.references > 0 ? -EBUSY : r;
}

/*
 * Whether nothing uses the segment: 0 or -EBUSY, or another negative errno. The kernel counts
 * attachments on the segment itself, and on its file whatever else has that. If the second count
 * cannot be read, the processes are searched, and what they do not show is missed.
 */
static int check_idle(const struct realm *realm, const struct item *item)
{
	struct usage usage;
	int r = item->in_use ? -EBUSY : check_references(realm, item);

	if (r == 0 || r == -EBUSY || r == -ENOENT)
		return r;
	r = census_hold(realm->census, CENSUS_MAPPINGS | CENSUS_DESCRIPTORS);
	if (r < 0)
		return r;
	usage = census_usage(realm->census, &item->key);
	census_release(realm->census);
	return usage.mappings > 0 || usage.openers > 0 ? -EBUSY : 0;
}

static int end_segment(int id)
{
	return shmctl(id, IPC_RMID, NULL);
}

static const struct sysvipc_removal removal = { .check_idle = check_idle, .end = end_segment };

int sysv_remove(const struct realm *realm, const char *id, const struct caller *caller)
{
	g_autofree struct item *after = NULL;
	int r = sysvipc_remove(realm, &kind_sysv, id, caller, &removal);

	/* One that was attached in between lives until that ends, marked for destruction. */
	if (r == 0 && kind_sysv.stat(realm, id, &after) == 0 &&
		((const struct sysv_segment *)after)->flags & SYSV_DEST)
		r = 1;
	return r;
}

struct act {
	const struct caller *caller;
	const struct item_change *change;
	int shmid;
	key_t key;
	size_t size;
	mode_t mode;
	struct shmid_ds ds;
};

static int change_segment(void *data)
{
	struct act *act = data;
	const struct item_change *change = act->change;
	struct effective ids;
	int r;

	if (shmctl(act->shmid, IPC_STAT, &act->ds) < 0)
		return sysvipc_error(errno);
	if (change->mask & CHANGE_MODE)
		act->ds.shm_perm.mode = change->mode & 0777;
	if (change->mask & CHANGE_UID)
		act->ds.shm_perm.uid = change->uid;
	if (change->mask & CHANGE_GID)
		act->ds.shm_perm.gid = change->gid;
	r = effective_begin(&ids, act->caller);
	if (r < 0)
		return r;
	r = shmctl(act->shmid, IPC_SET, &act->ds) < 0 ? sysvipc_error(errno) : 0;
	effective_end(&ids);
	return r;
}

/*
 * -EBUSY if the segment is in use: a chmod -R or chown -R of the mount must not lock out its users.
 */
int sysv_change(const struct realm *realm, const char *id, const struct item_change *change,
	const struct caller *caller)
{
	struct act act = { .caller = caller, .change = change };
	g_autofree struct item *item = NULL;
	int r = sysvipc_parse_id(id, &act.shmid) ? kind_sysv.stat(realm, id, &item) : -ENOENT;

	if (r == 0)
		r = sysvipc_check_owner(caller, item);
	if (r == 0 && item->in_use)
		r = -EBUSY;
	return r < 0 ? r : sysvipc_enter(realm, change_segment, &act);
}

static bool parse_key(const char *text, size_t length, key_t *key)
{
	bool hex = length > 2 && text[0] == '0' && text[1] == 'x';
	uint64_t value = 0;

	if (length == strlen("private") && strncmp(text, "private", length) == 0) {
		*key = IPC_PRIVATE;
		return true;
	}
	if (length == 0)
		return false;
	for (size_t i = hex ? 2 : 0; i < length; i++) {
		int digit = g_ascii_xdigit_value(text[i]);

		if (digit < 0 || (!hex && digit > 9))
			return false;
		value = value * (hex ? 16 : 10) + digit;
		if (value > UINT32_MAX)
			return false;
	}
	*key = (key_t)value;
	return true;
}

static bool parse_size(const char *text, size_t *size)
{
	size_t value = 0, unit = 1;

	if (!g_ascii_isdigit(*text))
		return false;
	for (; g_ascii_isdigit(*text); text++)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, *text - '0', &value))
			return false;
	if (*text == 'K')
		unit = 1 << 10;
	else if (*text == 'M')
		unit = 1 << 20;
	else if (*text == 'G')
		unit = 1 << 30;
	if (unit > 1)
		text++;
	return *text == 0 && !__builtin_mul_overflow(value, unit, size);
}

bool sysv_parse_spec(const char *spec, key_t *key, size_t *size)
{
	const char *colon = strchr(spec, ':');

	return colon && parse_key(spec, colon - spec, key) && parse_size(colon + 1, size);
}

static int create_segment(void *data)
{
	struct act *act = data;
	struct effective ids;
	int r = effective_begin(&ids, act->caller);

	if (r < 0)
		return r;
	act->shmid = shmget(act->key, act->size, IPC_CREAT | IPC_EXCL | act->mode);
	r = act->shmid < 0 ? -errno : 0;
	effective_end(&ids);
	if (r == 0 && shmctl(act->shmid, IPC_STAT, &act->ds) < 0)
		r = sysvipc_error(errno);
	return r;
}

int sysv_create(const struct realm *realm, const char *spec, mode_t mode,
	const struct caller *caller, struct item **out)
{
	/*
	 * Of a directory's mode only the bits that mean something for memory, which is not
	 * executed.
	 */
	struct act act = { .caller = caller, .mode = mode & 0666 };
	struct sysv_segment *made;
	int r;

	if (!sysv_parse_spec(spec, &act.key, &act.size))
		return -EINVAL;
	r = sysvipc_enter(realm, create_segment, &act);
	if (r < 0)
		return r;
	made = g_new(struct sysv_segment, 1);
	sysv_from_ds(realm, act.shmid, &act.ds, made);
	*out = &made->ipc.item;
	return 0;
}
