/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decides which callers may use the objects of an IPC namespace through the daemon. */
#include "base/util.h"
#include "caller/rights.h"
#include "caller/sight.h"
#include "kinds/sysv.h"

#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>

static bool is_in_namespace(const struct caller *caller, uint32_t ipc_ns)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%d/ns/ipc", caller->pid);
	return caller->pid != 0 && stat(path, &st) == 0 && st.st_ino == ipc_ns;
}

/*
 * Whether the caller could enter the daemon's namespace: setns(2) takes this capability, and a
 * process in the namespace that the caller can see.
 */
static bool may_enter(const struct realm *realm, const struct caller *caller)
{
	auto_rights rights = { 0 };
	struct caller_sight sight;
	bool may;

	caller_rights_read_here(caller, &rights);
	if (!(rights.effective & CAPABILITY(CAP_SYS_ADMIN)))
		return false;
	caller_sight_begin(&sight, realm->proc, caller);
	may = caller_sees_memory(&sight, getpid());
	caller_sight_end(&sight);
	return may;
}

int sysvipc_permit(const struct realm *realm, const struct item *item, const struct caller *caller,
	int want)
{
	(void)item, (void)want;
	return is_in_namespace(caller, realm->ipc_ns) || may_enter(realm, caller) ? 0 : -EACCES;
}

static bool is_member(const struct caller *caller, const struct caller_rights *rights, gid_t gid)
{
	return caller->gid == gid || caller_rights_in_group(rights, gid);
}

/*
 * As ipcperms() of the kernel, which shmat(2) asks: the creator counts as owner and the creator's
 * group as group, and no capability about files helps.
 */
static bool permits(const struct sysv_segment *s, const struct caller *caller, int want)
{
	const struct item *item = &s->ipc.item;
	auto_rights rights = { 0 };
	mode_t granted = item->mode;

	caller_rights_read_here(caller, &rights);
	if (caller->uid == item->uid || caller->uid == s->ipc.cuid)
		granted >>= 6;
	else if (is_member(caller, &rights, item->gid) || is_member(caller, &rights, s->ipc.cgid))
		granted >>= 3;
	else if (!rights.known) /* maybe a member, and the group may less than others */
		granted &= granted >> 3;
	return (want & ~(int)granted) == 0 || rights.effective & CAPABILITY(CAP_IPC_OWNER);
}

int sysv_permit(const struct realm *realm, const struct item *item, const struct caller *caller,
	int want)
{
	g_autofree struct item *now = NULL;
	int r = sysvipc_permit(realm, item, caller, want);

	if (r < 0 || !item)
		return r;
	r = kind_sysv.stat(realm, item->id, &now);
	if (r < 0)
		return r;
	if (!item_same(now, item) || !item_same_access(now, item))
		return -ESTALE;
	/* Attaching for writing also allows reading. */
	want = want & W_OK ? want | R_OK : want;
	return permits((const struct sysv_segment *)now, caller, want) ? 0 : -EACCES;
}
