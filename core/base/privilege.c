/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/privilege.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The inode numbers of the first namespaces, the same on every machine. */
#define MACHINE_USER_NS 0xEFFFFFFDu
#define MACHINE_PID_NS 0xEFFFFFFCu

bool privilege_capable(int capability)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &head, data) == 0 &&
		data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

bool privilege_attainable(int capability)
{
	return prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1 &&
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

bool privilege_of_machine(void)
{
	struct stat st;

	/* A kernel without user namespaces has only one. */
	return stat("/proc/self/ns/user", &st) < 0 || st.st_ino == MACHINE_USER_NS;
}

bool privilege_sees_all_processes(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == MACHINE_PID_NS;
}
