/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bpf/refusal.h"

#include "base/privilege.h"

#include <errno.h>
#include <glib.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/*
 * The first kernel version with all that the programs use; some distributions added it to older
 * ones.
 */
#define FIRST_MAJOR 6
#define FIRST_MINOR 10

const char *refusal_expected(void)
{
	g_autofree char *text = NULL;

	/* "none integrity [confidentiality]"; absent where securityfs is not mounted. */
	if (g_file_get_contents("/sys/kernel/security/lockdown", &text, NULL, NULL) &&
		strstr(text, "[confidentiality]"))
		return "forbidden by kernel lockdown (confidentiality)";
	return NULL;
}

static bool capable(void)
{
	return privilege_capable(CAP_SYS_ADMIN) ||
		(privilege_capable(CAP_BPF) && privilege_capable(CAP_PERFMON));
}

/* Whether sysfs is mounted and has no type information of the kernel. */
static bool has_no_btf(void)
{
	return access("/sys/kernel", F_OK) == 0 && access("/sys/kernel/btf/vmlinux", F_OK) != 0;
}

static bool is_too_old(const char *release)
{
	unsigned major, minor;

	return sscanf(release, "%u.%u", &major, &minor) == 2 &&
		(major < FIRST_MAJOR || (major == FIRST_MAJOR && minor < FIRST_MINOR));
}

const char *refusal_cause(int error)
{
	g_autofree char *line = NULL;
	struct utsname system;

	if (!capable())
		return "not permitted: it needs CAP_BPF and CAP_PERFMON";
	if (!privilege_of_machine())
		return "not permitted in a user namespace";
	uname(&system);
	if (is_too_old(system.release))
		line = g_strdup_printf("it needs Linux %d.%d, and this is %s", FIRST_MAJOR,
			FIRST_MINOR, system.release);
	else if (error == -EPERM)
		return "forbidden by a security policy of this system (seccomp or a security "
		       "module)";
	else if (has_no_btf())
		return "the kernel has no type information (CONFIG_DEBUG_INFO_BTF)";
	else if (error == -ENOTSUP)
		return "this kernel has no sequence number for changes of an address space";
	else
		line = g_strdup_printf("the kernel refuses the programs: %s", g_strerror(-error));
	return g_intern_string(line);
}
