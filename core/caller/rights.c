/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/rights.h"

#include "base/patience/patience.h"
#include "base/util.h"
#include "caller/credentials.h"
#include "procfs/id-map.h"
#include "procfs/proc.h"
#include "procfs/status.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/*
 * Capabilities count only where they are about this user namespace. All namespaces are inodes of one file system.
 */
static bool same_user_namespace(int dir)
{
	struct stat ours, theirs;

	return stat("/proc/self/ns/user", &ours) == 0 && fstatat(dir, "ns/user", &theirs, 0) == 0 &&
		ours.st_ino == theirs.st_ino;
}

/*
 * What the root of a user namespace may use on files whose ids are mapped there: see the kernel's
 * capable_wrt_inode_uidgid(), and inode_owner_or_capable(), which asks for the user alone.
 */
#define COUNT_BY_MAPPING                                                                           \
	(CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_DAC_READ_SEARCH) |  \
		CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_FSETID) | CAPABILITY(CAP_SETFCAP))

/* By which of its users the caller asks. */
enum asks { BY_FS, BY_EITHER, BY_REAL_FIRST };

static bool is_caller(const struct caller *caller, const struct credentials *read, enum asks asks)
{
	return read->fsuid == caller->uid || (asks != BY_FS && read->uid == caller->uid);
}

static bool alone;

void caller_rights_decide_alone(bool decide)
{
	alone = decide;
}

bool caller_rights_must_be_known(void)
{
	return alone;
}

int caller_rights_are_old(int dir, const struct caller *caller)
{
	auto_fd thread = proc_open_thread(dir, caller->pid);
	struct proc_stat stat;
	/* Of the thread: for that of a process the kernel would add up all its threads. */
	int r = thread < 0 ? thread : proc_read_stat(thread, &stat);

	return r < 0 ? r : proc_is_io_worker(&stat);
}

static uint64_t capabilities(const struct caller *caller, const struct credentials *read,
	enum asks asks, const struct caller_rights *rights)
{
	if (read->fsuid == caller->uid && !(asks == BY_REAL_FIRST && read->uid == caller->uid))
		return read->effective;
	return (rights->uids ? id_map_is_root(rights->uids, caller->uid) : caller->uid == 0) ?
		read->permitted :
		0;
}

/* From the caller's directory in /proc. */
static bool read_procfs(int dir, const struct caller *caller, struct credentials *out,
	GArray *groups)
{
	struct proc_status status;

	if (proc_read_status(dir, &status, groups) < 0)
		return false;
	*out = (struct credentials){
		.uid = status.uids[ID_REAL],
		.fsuid = status.uids[ID_FS],
		.permitted = status.permitted,
		.effective = status.effective,
		.io_worker = alone && caller_rights_are_old(dir, caller) != 0,
	};
	return true;
}

/* Of a caller in another user namespace. */
static void read_id_maps(int dir, struct caller_rights *out)
{
	out->uids = id_map_read(dir, "uid_map");
	out->gids = id_map_read(dir, "gid_map");
}

/* `over_files`: also what a caller in another user namespace may do to files. */
static void read_rights(const struct caller *caller, enum asks asks, bool over_files,
	struct caller_rights *out)
{
	struct credentials read;
	bool known, near; /* in the daemon's user namespace */
	auto_fd dir = -1;

	*out = (struct caller_rights){ .groups = g_array_new(FALSE, FALSE, sizeof(gid_t)) };
	if (caller->pid == 0)
		return;
	known = near = credentials_read(caller->pid, &read, out->groups);
	if (!near) {
		g_autofree char *path = g_strdup_printf("/proc/%d", caller->pid);

		dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		known = dir >= 0 && read_procfs(dir, caller, &read, out->groups);
		near = known && same_user_namespace(dir);
	}
	if (!known || !is_caller(caller, &read, asks) || (alone && read.io_worker)) {
		g_array_set_size(out->groups, 0);
		return;
	}
	out->known = true;
	if (!near && !over_files)
		return;
	if (!near)
		read_id_maps(dir, out);
	*(near ? &out->effective : &out->inside) = capabilities(caller, &read, asks, out);
}

void caller_rights_read(const struct caller *caller, struct caller_rights *out)
{
	read_rights(caller, BY_FS, true, out);
}

void caller_rights_read_here(const struct caller *caller, struct caller_rights *out)
{
	read_rights(caller, BY_FS, false, out);
}

void caller_rights_read_for_access(const struct caller *caller, int want, struct caller_rights *out)
{
	read_rights(caller, want == X_OK ? BY_EITHER : BY_REAL_FIRST, true, out);
}

uint64_t caller_rights_over(const struct caller_rights *rights, uid_t uid, gid_t gid)
{
	if (!rights->uids)
		return rights->effective;
	if (!id_map_find(rights->uids, uid))
		return 0;
	return rights->inside &
		(id_map_find(rights->gids, gid) ? COUNT_BY_MAPPING : CAPABILITY(CAP_FOWNER));
}

void caller_rights_clear(struct caller_rights *rights)
{
	g_clear_pointer(&rights->groups, g_array_unref);
	g_clear_pointer(&rights->uids, g_array_unref);
	g_clear_pointer(&rights->gids, g_array_unref);
}

bool caller_rights_in_group(const struct caller_rights *rights, gid_t gid)
{
	for (guint i = 0; i < rights->groups->len; i++)
		if (g_array_index(rights->groups, gid_t, i) == gid)
			return true;
	return false;
}

typedef struct __user_cap_data_struct capability_sets[_LINUX_CAPABILITY_U32S_3];

static struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

static void get_capabilities(capability_sets sets)
{
	if (syscall(SYS_capget, &header, sets) < 0)
		g_error("capget: %s", g_strerror(errno));
}

uint64_t thread_capabilities(void)
{
	capability_sets sets;

	get_capabilities(sets);
	return sets[0].effective | (uint64_t)sets[1].effective << 32;
}

static void set_capabilities(capability_sets sets, uint64_t wanted)
{
	uint32_t low = sets[0].permitted & (uint32_t)wanted;
	uint32_t high = sets[1].permitted & (uint32_t)(wanted >> 32);

	if (sets[0].effective == low && sets[1].effective == high)
		return;
	sets[0].effective = low;
	sets[1].effective = high;
	for (struct patience p = { 0 }; syscall(SYS_capset, &header, sets) < 0;)
		if (!patience_waits(&p, errno))
			g_error("capset: %s", g_strerror(errno));
}

void thread_set_capabilities(uint64_t wanted)
{
	capability_sets sets;

	get_capabilities(sets);
	set_capabilities(sets, wanted);
}

void thread_set_capabilities_among(uint64_t among, uint64_t wanted)
{
	capability_sets sets;

	get_capabilities(sets);
	set_capabilities(sets,
		((sets[0].effective | (uint64_t)sets[1].effective << 32) & ~among) |
			(wanted & among));
}

void process_keep_capabilities(uint64_t wanted)
{
	capability_sets sets;

	/* Each until the kernel knows none of that number; without CAP_SETPCAP the bounds stay. */
	for (unsigned number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++)
		if (!(wanted & CAPABILITY(number)))
			prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	get_capabilities(sets);
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		uint32_t part = (uint32_t)(wanted >> 32 * i);

		sets[i].effective &= part;
		sets[i].permitted &= part;
		sets[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, sets) < 0)
		g_error("capset: %s", g_strerror(errno));
}

static bool has_file_ids(uid_t uid, gid_t gid)
{
	return (uid_t)setfsuid(-1) == uid && (gid_t)setfsgid(-1) == gid;
}

/* These report failure only by not having happened. */
static bool file_ids_changed(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
	return has_file_ids(uid, gid);
}

void thread_set_file_ids(uid_t uid, gid_t gid)
{
	for (struct patience p = { 0 }; !file_ids_changed(uid, gid);)
		if (!patience_waits(&p, ENOMEM))
			g_error("cannot take on user %u, group %u", uid, gid);
}

bool thread_change_file_ids(uid_t uid, gid_t gid)
{
	if (has_file_ids(uid, gid))
		return false;
	thread_set_file_ids(uid, gid);
	return true;
}

int thread_set_groups(const gid_t *groups, size_t n)
{
	struct patience p = { 0 };
	int r;

	while ((r = syscall(SYS_setgroups, n, groups) < 0 ? -errno : 0) < 0 &&
		patience_waits(&p, -r))
		;
	return r;
}
