/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/sight.h"

#include "base/util.h"
#include "caller/rights.h"
#include "procfs/id-map.h"
#include "procfs/proc.h"
#include "procfs/setting.h"
#include "procfs/status.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Of a process so many parents of parents are looked at: of a caller further up it is taken not to descend. */
#define ANCESTORS_MAX 1000

static bool has(uint64_t capabilities, unsigned capability)
{
	return capabilities >> capability & 1;
}

/* The caller */

/* 0: it cannot be told, and errno says why. */
static uint64_t namespace_of(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_EMPTY_PATH) < 0 ? 0 : st.st_ino;
}

static bool kernel_has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* Whether the procfs numbers processes as the daemon's system calls do, and so the caller. */
static bool has_own_numbers(int proc)
{
	char self[16];
	ssize_t n = readlinkat(proc, "self", self, sizeof self - 1);

	self[MAX(n, 0)] = 0;
	return atoi(self) == getpid();
}

/* Of a caller in another user namespace. */
static void read_user_namespace(struct caller_sight *sight, int dir, uint64_t own)
{
	auto_fd fd = openat(dir, "ns/user", O_RDONLY | O_CLOEXEC);
	auto_fd parent = ioctl(fd, NS_GET_PARENT);

	sight->uids = id_map_read(dir, "uid_map");
	sight->nested = own == 0 || namespace_of(parent, "") != own;
}

/* 0, or a negative errno: nothing is known of the caller. */
static int read_caller(struct caller_sight *sight)
{
	g_autofree char *path = g_strdup_printf("/proc/%d", sight->caller.pid);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_fd self = dir < 0 ? -1 : open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct proc_status status;
	uint64_t own;
	int r = sight->caller.pid == 0 ? -ESRCH : self < 0 ? -errno : 0;

	if (r == 0)
		r = proc_read_status(dir, &status, NULL);
	if (r < 0)
		return r;
	/* A caller that was killed may have an heir to its number. */
	if (status.uids[ID_FS] != sight->caller.uid)
		return -ESRCH;
	r = caller_rights_are_old(dir, &sight->caller);
	if (r != 0)
		return r < 0 ? r : -ESRCH;
	sight->pid_ns = namespace_of(dir, "ns/pid");
	sight->user_ns = sight->pid_ns == 0 ? 0 : namespace_of(dir, "ns/user");
	if (sight->user_ns == 0)
		return -errno;
	if (sight->pid_ns == namespace_of(self, "ns/pid"))
		sight->pid_ns = 0;
	own = namespace_of(self, "ns/user");
	if (sight->user_ns == own)
		sight->user_ns = 0;
	else
		read_user_namespace(sight, dir, own);
	sight->euid = status.uids[ID_EFFECTIVE];
	sight->effective = status.effective;
	sight->sandboxed = status.no_new_privs && kernel_has_landlock();
	sight->itself = has_own_numbers(sight->proc) ? status.tgid : 0;
	return 0;
}

static void see_nothing(struct caller_sight *sight, int error)
{
	closep(&sight->proc);
	sight->proc = -1;
	sight->error = is_failure(error) ? error : 0;
}

void caller_sight_begin(struct caller_sight *sight, const char *proc, const struct caller *caller)
{
	int r;

	*sight = (struct caller_sight){
		.caller = *caller,
		.path = proc,
		.proc = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC),
	};
	r = sight->proc < 0 ? -errno : read_caller(sight);
	if (r < 0)
		see_nothing(sight, r);
	sight->confined = sight->sandboxed || sight->pid_ns || sight->user_ns;
	if (sight->proc < 0 || sight->confined)
		return;
	r = effective_begin(&sight->ids, caller);
	if (r < 0) {
		see_nothing(sight, r);
		return;
	}
	sight->all = has(sight->effective, CAP_SYS_PTRACE);
}

void caller_sight_end(struct caller_sight *sight)
{
	effective_end(&sight->ids);
	g_clear_pointer(&sight->uids, g_array_unref);
	closep(&sight->proc);
}

/* Confined callers */

/*
 * Whether the process is in the namespace of that number or in one below it. `under` gets the owner
 * of the last one on the way up, and whether there was one.
 */
struct step_below {
	bool any;
	uid_t owner;
};

static bool is_below(int dir, const char *name, uint64_t wanted, struct step_below *under)
{
	auto_fd fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	*under = (struct step_below){ 0 };
	while (fd >= 0) {
		int parent;

		if (namespace_of(fd, "") == wanted)
			return true;
		*under = (struct step_below){ true, (uid_t)-1 };
		ioctl(fd, NS_GET_OWNER_UID, &under->owner);
		parent = ioctl(fd, NS_GET_PARENT);
		close(fd);
		fd = parent;
	}
	return false;
}

static bool all_equal(const uid_t ids[IDS], uid_t id)
{
	return ids[ID_REAL] == id && ids[ID_EFFECTIVE] == id && ids[ID_SAVED] == id;
}

/* Following this link takes the same right (PTRACE_MODE_READ_FSCREDS). */
static bool may_follow_exe(const struct caller_sight *sight, pid_t pid)
{
	char path[32], target[1];

	snprintf(path, sizeof path, "%d/exe", pid);
	return readlinkat(sight->proc, path, target, sizeof target) >= 0;
}

/*
 * Who made a namespace has all capabilities about it and those below, even as a thread that has none itself: so where
 * the daemon's user made the caller's, the kernel tells what its root may.
 */
static bool may_follow_exe_as_maker(int dir)
{
	uint64_t capabilities = thread_capabilities();
	char target[1];
	bool answer;

	thread_set_capabilities(0);
	answer = readlinkat(dir, "exe", target, sizeof target) >= 0;
	thread_set_capabilities(capabilities);
	return answer;
}

/*
 * The memory of a process that is not dumpable is of the user namespace in which it began its program, and closed
 * to who has no capabilities about that one: also to root of a container that the process has entered. Procfs tells the
 * root of that namespace, as owner of the process's files; of a process that is dumpable, its effective user. The
 * answer is no where that may be the root of a namespace about which the caller has no capabilities. If it `traces`
 * it has them about its own, else about some below at most.
 */
static bool memory_is_open(const struct caller_sight *sight, int dir,
	const struct proc_status *status, bool traces)
{
	struct stat st;

	if (fstatat(dir, "exe", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	/*
	 * Of the root of the daemon's namespace; or of the kernel's, to which the files are given if a namespace has no
	 * root: its number is 0, or the overflow id, as that of any other user, where the daemon is in a user namespace.
	 */
	if (st.st_uid == 0)
		return traces && !sight->nested && may_follow_exe_as_maker(dir);
	if (sight->nested && !id_map_find(sight->uids, st.st_uid))
		return false;
	return traces ||
		(st.st_uid == status->uids[ID_EFFECTIVE] &&
			!id_map_is_root(sight->uids, st.st_uid));
}

/* ptrace_may_access() of the kernel, for a caller of another user namespace than the daemon's. */
static bool may_access_from_namespace(const struct caller_sight *sight, int dir)
{
	bool traces = has(sight->effective, CAP_SYS_PTRACE);
	struct step_below under;
	struct proc_status status;

	if (proc_read_status(dir, &status, NULL) < 0 ||
		!is_below(dir, "ns/user", sight->user_ns, &under) ||
		!memory_is_open(sight, dir, &status, traces))
		return false;
	if (traces || (under.any && under.owner == sight->euid))
		return true;
	/* Without a capability: the same namespace, the same ids, and no more capabilities. */
	return !under.any && all_equal(status.uids, sight->caller.uid) &&
		all_equal(status.gids, sight->caller.gid) &&
		(status.permitted & ~sight->effective) == 0;
}

static bool as_caller(const struct caller_sight *sight,
	bool (*ask)(const struct caller_sight *sight, pid_t pid), pid_t pid)
{
	struct effective ids;
	bool answer;

	if (effective_begin(&ids, &sight->caller) < 0)
		return false;
	answer = ask(sight, pid);
	effective_end(&ids);
	return answer;
}

/* A directory descriptor of the process, if it is in the caller's pid namespace; else -1. */
static int open_visible(const struct caller_sight *sight, pid_t pid)
{
	struct step_below under;
	char name[16];

	snprintf(name, sizeof name, "%d", pid);
	auto_fd dir = openat(sight->proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0 && sight->pid_ns && !is_below(dir, "ns/pid", sight->pid_ns, &under))
		return -1;
	return steal_fd(&dir);
}

static bool confined_sees_memory(const struct caller_sight *sight, pid_t pid)
{
	if (pid == sight->itself)
		return true;
	if (sight->sandboxed)
		return false;
	auto_fd dir = open_visible(sight, pid);
	if (dir < 0)
		return false;
	return sight->user_ns ? may_access_from_namespace(sight, dir) :
				as_caller(sight, may_follow_exe, pid);
}

/* The questions */

bool caller_sees_memory(struct caller_sight *sight, pid_t pid)
{
	if (sight->all || sight->proc < 0)
		return sight->all;
	if (pid == sight->asked)
		return sight->seen;
	sight->asked = pid;
	sight->seen = sight->confined ? confined_sees_memory(sight, pid) :
					pid == sight->itself || may_follow_exe(sight, pid);
	return sight->seen;
}

bool caller_sees_past(const struct caller_sight *sight, uid_t uid, bool readable)
{
	return sight->all ||
		(sight->proc >= 0 && !sight->confined && readable && sight->caller.uid == uid);
}

static bool descends_from_caller(const struct caller_sight *sight, pid_t pid)
{
	struct proc_status status;
	char name[16];

	/* A procfs of other numbers, in which the caller cannot be found. */
	if (sight->itself == 0)
		return false;
	for (int i = 0; pid > 0 && i < ANCESTORS_MAX; i++) {
		if (pid == sight->itself)
			return true;
		snprintf(name, sizeof name, "%d", pid);
		auto_fd dir = openat(sight->proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0 || proc_read_status(dir, &status, NULL) < 0)
			return false;
		pid = status.parent;
	}
	return false;
}

/* Its other exception, PR_SET_PTRACER, procfs does not show. */
static bool yama_permits(const struct caller_sight *sight, pid_t pid)
{
	switch (setting_read(SETTING_YAMA)) {
	case 0:
		return true;
	case 1:
		return has(sight->effective, CAP_SYS_PTRACE) || descends_from_caller(sight, pid);
	case 2:
		return has(sight->effective, CAP_SYS_PTRACE);
	default:
		return false;
	}
}

bool caller_reaches_memory(struct caller_sight *sight, pid_t pid)
{
	bool by_map_files = !sight->user_ns &&
		(has(sight->effective, CAP_SYS_ADMIN) ||
			has(sight->effective, CAP_CHECKPOINT_RESTORE));

	return caller_sees_memory(sight, pid) &&
		(pid == sight->itself || by_map_files || yama_permits(sight, pid));
}

static bool may_read_stat(const struct caller_sight *sight, pid_t pid)
{
	char path[32];

	snprintf(path, sizeof path, "%d/stat", pid);
	return faccessat(sight->proc, path, R_OK, AT_EACCESS) == 0;
}

bool caller_sees_process(struct caller_sight *sight, pid_t pid)
{
	if (sight->proc < 0)
		return false;
	if (!sight->confined)
		return may_read_stat(sight, pid);
	auto_fd dir = open_visible(sight, pid);
	return dir >= 0 && as_caller(sight, may_read_stat, pid);
}
