/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/rights.h"

#include "base/util.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

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

void thread_set_capabilities(uint64_t wanted)
{
	capability_sets sets;

	get_capabilities(sets);
	sets[0].effective = sets[0].permitted & (uint32_t)wanted;
	sets[1].effective = sets[1].permitted & (uint32_t)(wanted >> 32);
	if (syscall(SYS_capset, &header, sets) < 0)
		g_error("capset: %s", g_strerror(errno));
}

void process_give_up_capability(unsigned capability)
{
	capability_sets sets;

	get_capabilities(sets);
	sets[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
	sets[CAP_TO_INDEX(capability)].permitted &= ~CAP_TO_MASK(capability);
	if (syscall(SYS_capset, &header, sets) < 0)
		g_error("capset: %s", g_strerror(errno));
}

int thread_set_groups(const gid_t *groups, size_t n)
{
	return syscall(SYS_setgroups, n, groups) < 0 ? -errno : 0;
}
