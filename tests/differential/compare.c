/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "compare.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "exceptions.h"
#include "moment.h"

/* Inode numbers in the order in which a side showed them: equal places are the same file. */
struct identities {
	uint64_t ino[4096];
	int count;
};

static struct identities native_inodes, mount_inodes;
static bool protected_files;
static bool blurred_atime; /* somebody has read through the kernel's cache of the mount */
static bool
	blurred_directory; /* a sendfile of nothing touches a directory, but never gets to FUSE */

void compare_begin(void)
{
	native_inodes.count = mount_inodes.count = 0;
	protected_files = blurred_atime = blurred_directory = false;
}

static int64_t place_of(struct identities *ids, uint64_t ino)
{
	for (int i = ids->count - 1; i >= 0; i--) {
		if (ids->ino[i] == ino)
			return i;
	}
	if (ids->count == sizeof(ids->ino) / sizeof(*ids->ino))
		ids->count = 0;
	ids->ino[ids->count] = ino;
	return ids->count++;
}

__attribute__((format(printf, 2, 3))) static void set_kind(struct difference *d, const char *format,
	...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(d->kind, sizeof(d->kind), format, args);
	va_end(args);
}

/* Call after set_kind(). Returns whether the difference counts. */
__attribute__((format(printf, 2, 3))) static bool differ(struct difference *d, const char *format,
	...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(d->text, sizeof(d->text), format, args);
	va_end(args);
	return !is_ignored(d->kind);
}

void outcome_describe(const struct outcome *o, char *buf, size_t size)
{
	int n;

	if (o->ret < 0 && o->err)
		n = snprintf(buf, size, "%s", strerrorname_np(o->err));
	else
		n = snprintf(buf, size, "%" PRId64, o->ret);
	if (o->len)
		n += snprintf(buf + n, size - (size_t)n, " (%u bytes)", o->len);
	if (o->has_holder)
		n += snprintf(buf + n, size - (size_t)n, " (held by %d)", o->holder);
	if (o->sig)
		snprintf(buf + n, size - (size_t)n, " %s", sigabbrev_np(o->sig));
}

/* --- stat --- */

enum format { DECIMAL, OCTAL, INODE, MOMENT };

static const struct field {
	const char *name;
	enum format format;
	size_t offset, size;
} fields[] = {
#define FIELD(name, format)                                                                        \
	{                                                                                          \
#name, format, offsetof(struct statx, stx_##name),                                 \
			sizeof(((struct statx *)0)->stx_##name)                                    \
	}
	FIELD(mode, OCTAL),
	FIELD(nlink, DECIMAL),
	FIELD(uid, DECIMAL),
	FIELD(gid, DECIMAL),
	FIELD(size, DECIMAL),
	FIELD(blocks, DECIMAL),
	FIELD(blksize, DECIMAL),
	FIELD(ino, INODE),
	FIELD(atime, MOMENT),
	FIELD(mtime, MOMENT),
	FIELD(ctime, MOMENT),
	FIELD(btime, MOMENT),
	FIELD(mask, DECIMAL),
	FIELD(rdev_major, DECIMAL),
	FIELD(rdev_minor, DECIMAL),
#undef FIELD
};

static int64_t field_value(const struct field *field, const struct statx *st,
	struct identities *ids)
{
	const char *p = (const char *)st + field->offset;
	uint64_t wide = 0;

	if (field->format == MOMENT)
		return moment_key((const struct statx_timestamp *)p);
	memcpy(&wide, p, field->size); /* little-endian, as everything that has the kernel for it */
	return field->format == INODE ? place_of(ids, wide) : (int64_t)wide;
}

static void field_describe(const struct field *field, const struct statx *st,
	struct identities *ids, char *buf, size_t size)
{
	if (field->format == MOMENT)
		moment_describe((const void *)((const char *)st + field->offset), buf, size);
	else
		snprintf(buf, size, field->format == OCTAL ? "0%" PRIo64 : "%" PRId64,
			field_value(field, st, ids));
}

static bool compare_stat(const char *what, const char *name, const struct statx *native,
	const struct statx *mount, struct difference *d)
{
	char a[64], b[64];

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if ((blurred_atime || (blurred_directory && S_ISDIR(native->stx_mode))) &&
			strcmp(fields[i].name, "atime") == 0)
			continue;
		if (field_value(&fields[i], native, &native_inodes) ==
				field_value(&fields[i], mount, &mount_inodes) ||
			field_excepted(S_ISDIR(native->stx_mode) ? "." : name, fields[i].name))
			continue;
		field_describe(&fields[i], native, &native_inodes, a, sizeof(a));
		field_describe(&fields[i], mount, &mount_inodes, b, sizeof(b));
		set_kind(d, "%s: %s", what, fields[i].name);
		if (differ(d, "%s of \"%.40s\": %s is %s natively, %s on the mount", what, name,
			    fields[i].name, a, b))
			return true;
	}
	return false;
}

/* --- one call --- */

static const char *name_of_errno(int e)
{
	return e ? strerrorname_np(e) : "success";
}

static bool compare_data(const char *op, const struct outcome *native, const struct outcome *mount,
	struct difference *d)
{
	uint32_t i = 0;

	if (native->len == mount->len && memcmp(native->data, mount->data, native->len) == 0)
		return false;
	while (i < native->len && i < mount->len && native->data[i] == mount->data[i])
		i++;
	set_kind(d, "%s: data", op);
	return differ(d, "%s: %u bytes natively, %u on the mount; byte %u is %#x against %#x", op,
		native->len, mount->len, i, i < native->len ? native->data[i] : 0,
		i < mount->len ? mount->data[i] : 0);
}

/* Whose lock is in the way: the same actor's on both sides. */
static bool compare_holders(struct world *w, const struct step *step, const struct outcome *native,
	const struct outcome *mount, struct difference *d)
{
	int a = world_actor_of(w, false, native->holder),
	    b = world_actor_of(w, true, mount->holder);

	if (!native->has_holder || !mount->has_holder || a == b ||
		holder_excepted(step->arg[1] == F_OFD_GETLK, actors[step->actor].outside,
			native->holder, mount->holder))
		return false;
	set_kind(d, "holder");
	return differ(d, "held natively by process %d, actor %d; on the mount by %d, actor %d",
		native->holder, a, mount->holder, b);
}

bool compare_outcomes(struct world *w, const struct step *step, const struct outcome *native,
	const struct outcome *mount, struct difference *d)
{
	const char *op = op_at(step->op)->name;
	char a[100], b[100];

	blurred_atime |= w->mount.no_mmap && op_reads_cache(op);
	blurred_directory |= strcmp(op, "sendfile") == 0;
	if (native->err != mount->err &&
		errno_excepted(op, native->err, mount->err, protected_files))
		return false;
	if (native->ret == 0 && strcmp(op, "ioctl_setflags") == 0)
		protected_files |= (step->arg[1] & FS_IMMUTABLE_FL) != 0;
	outcome_describe(native, a, sizeof(a));
	outcome_describe(mount, b, sizeof(b));
	if (native->err != mount->err || native->sig != mount->sig) {
		set_kind(d, "%s: %s/%s, signals %d/%d", op, name_of_errno(native->err),
			name_of_errno(mount->err), native->sig, mount->sig);
		return differ(d, "%s answers %s natively, %s on the mount", op, a, b);
	}
	if (native->ret != mount->ret) {
		set_kind(d, "%s: result", op);
		return differ(d, "%s answers %s natively, %s on the mount", op, a, b);
	}
	if (compare_holders(w, step, native, mount, d))
		return true;
	return compare_data(op, native, mount, d) ||
		(native->has_stat && compare_stat(op, "the file", &native->st, &mount->st, d));
}

/* --- the state after a call --- */

static bool compare_view(const struct view *native, const struct view *mount, struct difference *d)
{
	char what[40];

	snprintf(what, sizeof(what), "state %s", mount->label);
	for (unsigned i = 0; i < name_count(); i++) {
		if (native->err[i] != mount->err[i]) {
			set_kind(d, "%s: existence", what);
			if (differ(d, "%s: stat of \"%.40s\" answers %s natively, %s there", what,
				    name_at(i), name_of_errno(native->err[i]),
				    name_of_errno(mount->err[i])))
				return true;
		}
		if (!native->err[i] && !mount->err[i] &&
			compare_stat(what, name_at(i), &native->st[i], &mount->st[i], d))
			return true;
	}
	if (native->fs.f_bfree != mount->fs.f_bfree || native->fs.f_ffree != mount->fs.f_ffree) {
		set_kind(d, "%s: statfs", what);
		return differ(d,
			"%s: %ju blocks and %ju inodes are free natively, %ju and %ju there", what,
			(uintmax_t)native->fs.f_bfree, (uintmax_t)native->fs.f_ffree,
			(uintmax_t)mount->fs.f_bfree, (uintmax_t)mount->fs.f_ffree);
	}
	return false;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* `stays`: it is an answer of the mount's that was wrong when it came, whatever it is later. */
static bool compare_all(struct world *w, bool through_mount, struct difference *d, bool *stays)
{
	bool differs;

	*stays = false;
	view_take(&w->native_view);
	view_take(&w->behind_view);
	if (compare_view(&w->native_view, &w->behind_view, d))
		return true;
	if (!through_mount)
		return false;
	view_take(&w->mount_view);
	differs = compare_view(&w->native_view, &w->mount_view, d);
	*stays = !strstr(d->kind, ": statfs");
	return differs;
}

/*
 * The last close of a file without a name gives its space back when the daemon gets round to it, or
 * natively when the process that mapped it has ended: a difference counts when it stays.
 */
bool compare_views(struct world *w, bool through_mount, struct difference *d)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	uint64_t deadline = 0;
	bool stays;

	while (compare_all(w, through_mount, d, &stays)) {
		if (!deadline)
			deadline = now_ms() + w->settle_limit;
		if (stays || now_ms() > deadline)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}
