/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/who.h"

#include "base/util.h"
#include "procfs/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Whether the number is still that process's, and it has not ended: of a zombie, /proc shows no memory. */
static bool is_alive(const struct caller_sight *sight, pid_t pid, uint64_t born)
{
	struct proc_stat stat;
	char name[16];

	snprintf(name, sizeof name, "%d", pid);
	auto_fd dir = openat(sight->proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir >= 0 && proc_read_stat(dir, &stat) == 0 && stat.start_time == born &&
		!strchr("ZXx", stat.state);
}

bool caller_sees_who(struct caller_sight *sight, pid_t pid, uint64_t born, uid_t uid, bool readable)
{
	if (sight->all)
		return true;
	if (sight->proc < 0 || pid == 0 || born == 0)
		return false;
	sight->asked = 0; /* the number may be another process's by now */
	return is_alive(sight, pid, born) ? caller_sees_memory(sight, pid) :
					    caller_sees_past(sight, uid, readable);
}
