/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/caller.h"

#include "base/util.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct capabilities {
	uint64_t effective, permitted;
};

static void get_capabilities(struct capabilities *out)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		g_error("capget: %s", g_strerror(errno));
	out->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	out->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
}

/* Those of `wanted` that this thread is permitted: which cannot fail. */
static void set_effective(uint64_t wanted)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		g_error("capget: %s", g_strerror(errno));
	data[0].effective = data[0].permitted & (uint32_t)wanted;
	data[1].effective = data[1].permitted & (uint32_t)(wanted >> 32);
	if (syscall(SYS_capset, &head, data) < 0)
		g_error("capset: %s", g_strerror(errno));
}

/* Capabilities count only where they are about this user namespace. */
static bool same_user_namespace(pid_t pid)
{
	char path[64];
	struct stat ours, theirs;

	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	return stat("/proc/self/ns/user", &ours) == 0 && stat(path, &theirs) == 0 &&
		ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static void parse_groups(const char *list, GArray *groups)
{
	for (;;) {
		char *end;
		gid_t gid = strtoul(list, &end, 10);

		if (end == list)
			return;
		g_array_append_val(groups, gid);
		list = end + strspn(end, " ");
		if (*list == '\n')
			return;
	}
}

void caller_rights_read(const struct caller *caller, struct caller_rights *out)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/status", caller->pid);
	g_autofree char *text = NULL;
	const char *uids, *groups, *caps;
	unsigned fsuid;

	*out = (struct caller_rights){ .groups = g_array_new(FALSE, FALSE, sizeof(gid_t)) };
	if (caller->pid == 0 || !g_file_get_contents(path, &text, NULL, NULL))
		return;
	uids = strstr(text, "\nUid:");
	groups = strstr(text, "\nGroups:");
	caps = strstr(text, "\nCapEff:");
	if (!uids || !groups || !caps || sscanf(uids, "\nUid: %*u %*u %*u %u", &fsuid) != 1 ||
		fsuid != caller->uid)
		return;
	out->known = true;
	groups += strlen("\nGroups:");
	groups += strspn(groups, "\t ");
	if (*groups != '\n')
		parse_groups(groups, out->groups);
	if (same_user_namespace(caller->pid))
		out->effective = strtoull(caps + strlen("\nCapEff:"), NULL, 16);
}

void caller_rights_clear(struct caller_rights *rights)
{
	g_array_unref(rights->groups);
}

static void remember(struct caller_worn *out)
{
	struct capabilities own;

	get_capabilities(&own);
	*out = (struct caller_worn){
		.worn = true,
		.fsuid = setfsuid(-1),
		.fsgid = setfsgid(-1),
		.egid = getegid(),
		.effective = own.effective,
		.n_groups = MAX(getgroups(0, NULL), 0),
	};
	out->groups = g_new(gid_t, out->n_groups);
	out->n_groups = MAX(getgroups(out->n_groups, out->groups), 0);
}

static bool take_on(const struct caller *caller, const struct caller_rights *rights)
{
	bool other = caller->uid != 0 || caller->gid != getegid();
	const GArray *groups = rights->groups;

	/* A user namespace may forbid it, where then nobody but its own root is served. */
	if (syscall(SYS_setgroups, groups->len, groups->data) < 0 && other)
		return false;
	if (syscall(SYS_setresgid, -1, caller->gid, -1) < 0 ||
		syscall(SYS_setresuid, -1, caller->uid, -1) < 0)
		return false;
	set_effective(rights->effective);
	return true;
}

int caller_wear(const struct caller *caller, struct caller_worn *out)
{
	struct caller_rights rights;
	bool taken;

	*out = (struct caller_worn){ 0 };
	if (geteuid() != 0)
		return caller->uid == geteuid() && caller->gid == getegid() ? 0 : -EPERM;
	remember(out);
	caller_rights_read(caller, &rights);
	taken = take_on(caller, &rights);
	caller_rights_clear(&rights);
	if (taken)
		return 0;
	caller_shed(out);
	return -EPERM;
}

void caller_shed(struct caller_worn *worn)
{
	int saved = errno;

	if (!worn->worn)
		return;
	set_effective(UINT64_MAX);
	/* A thread that stayed somebody else would do harm: better none at all. */
	if (syscall(SYS_setresuid, -1, 0, -1) < 0 ||
		(getegid() != worn->egid && syscall(SYS_setresgid, -1, worn->egid, -1) < 0))
		g_error("cannot become root again");
	/* Fails where they could not be changed in the first place. */
	syscall(SYS_setgroups, worn->n_groups, worn->groups);
	/* The effective ids took those of the file system along, and these some capabilities. */
	setfsgid(worn->fsgid);
	setfsuid(worn->fsuid);
	set_effective(worn->effective);
	g_free(worn->groups);
	*worn = (struct caller_worn){ 0 };
	errno = saved;
}

int caller_may_read(const struct caller *caller, int fd)
{
	struct caller_worn worn;
	int r = caller_wear(caller, &worn);

	if (r < 0)
		return r;
	r = faccessat(fd, "", R_OK, AT_EACCESS | AT_EMPTY_PATH) < 0 ? -errno : 0;
	caller_shed(&worn);
	return r;
}
