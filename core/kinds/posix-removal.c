/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/posix-removal.h"

#include "base/util.h"
#include "caller/effective.h"
#include "kinds/lease.h"

#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PREFIX_LENGTH (sizeof POSIX_HIDDEN_PREFIX - 1)

/*
 * `one` is held by the thread that removes an object. `hidden` is protected by `lock`, under which
 * no thread blocks.
 */
static struct {
	GMutex one;
	GMutex lock;
	char hidden[NAME_MAX + 1]; /* the name in use by the removal that is going on, or "" */
} removal;

static void set_hidden(const char *name)
{
	g_mutex_lock(&removal.lock);
	g_strlcpy(removal.hidden, name, sizeof removal.hidden);
	g_mutex_unlock(&removal.lock);
}

bool posix_is_hidden(const char *name)
{
	bool hidden;

	if (strncmp(name, POSIX_HIDDEN_PREFIX, PREFIX_LENGTH) != 0)
		return false;
	g_mutex_lock(&removal.lock);
	hidden = strcmp(name, removal.hidden) == 0;
	g_mutex_unlock(&removal.lock);
	return hidden;
}

void posix_removal_wait(void)
{
	g_mutex_lock(&removal.one);
	g_mutex_unlock(&removal.one);
}

struct target {
	int dir;
	const char *name;
	char hidden[NAME_MAX + 1];
	int fd; /* that the lease is on */
};

/* Whether the hidden name is the file under the lease, and no process has opened it since. */
static bool may_go(const struct target *target)
{
	struct stat leased, renamed;

	return fstat(target->fd, &leased) == 0 &&
		fstatat(target->dir, target->hidden, &renamed, AT_SYMLINK_NOFOLLOW) == 0 &&
		leased.st_ino == renamed.st_ino && lease_holds(target->fd);
}

/*
 * Acts as the caller. Returns whether the object must get its name back; `*result` is the answer.
 */
static bool rename_and_unlink(const struct target *target, int *result)
{
	if (renameat2(target->dir, target->name, target->dir, target->hidden, RENAME_NOREPLACE) <
		0) {
		*result = errno == EEXIST ? -EBUSY : -errno;
		return false;
	}
	*result = -EBUSY;
	if (!may_go(target))
		return true;
	if (unlinkat(target->dir, target->hidden, 0) < 0) {
		/* ENOENT: another daemon, which has just started, has renamed it back. */
		*result = errno == ENOENT ? -EBUSY : -errno;
		return true;
	}
	*result = lease_holds(target->fd) ? 0 : 1;
	return false;
}

static int remove_leased(const struct target *target, const struct caller *caller)
{
	struct effective ids;
	bool back;
	int result = effective_begin(&ids, caller);

	if (result < 0)
		return result;
	back = rename_and_unlink(target, &result);
	effective_end(&ids);
	/*
	 * With the daemon's own rights. If another object has taken the name in between, both are
	 * kept: this one keeps the hidden name, under which it is shown.
	 */
	if (back)
		renameat2(target->dir, target->hidden, target->dir, target->name, RENAME_NOREPLACE);
	return result;
}

static int remove_alone(struct target *target, const struct caller *caller)
{
	int r = target->fd = lease_open(target->dir, target->name);

	if (r >= 0)
		r = lease_take(target->fd);
	if (r < 0)
		return r;
	set_hidden(target->hidden);
	r = remove_leased(target, caller);
	lease_drop(target->fd);
	set_hidden("");
	return r;
}

int posix_remove_idle(int dir, const char *name, const struct caller *caller)
{
	struct target target = { .dir = dir, .name = name, .fd = -1 };
	int r = lease_may_unlink(dir, name, caller);

	if (r < 0)
		return r;
	if ((size_t)snprintf(target.hidden, sizeof target.hidden, POSIX_HIDDEN_PREFIX "%s", name) >=
		sizeof target.hidden)
		return -ENAMETOOLONG;
	g_mutex_lock(&removal.one);
	r = remove_alone(&target, caller);
	g_mutex_unlock(&removal.one);
	closep(&target.fd); /* without the lock: it frees the pages */
	return r;
}

unsigned posix_restore_hidden(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	unsigned restored = 0;

	if (!entries) {
		closep(&copy);
		return 0;
	}
	while ((entry = readdir(entries))) {
		const char *name = entry->d_name + PREFIX_LENGTH;

		if (g_str_has_prefix(entry->d_name, POSIX_HIDDEN_PREFIX) && *name &&
			renameat2(dir, entry->d_name, dir, name, RENAME_NOREPLACE) == 0)
			restored++;
	}
	closedir(entries);
	return restored;
}
