/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/who.h"

#include "base/util.h"
#include "procfs/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/*
 * Whether the number is still that process's, and it has not ended: of a zombie, /proc shows no memory. 1, 0, or a
 * negative errno if that cannot be told for the moment.
 */
static int is_alive(const struct caller_sight *sight, pid_t pid, uint64_t born)
{
	struct proc_stat stat;
	char name[16];
	int r;

	snprintf(name, sizeof name, "%d", pid);
	auto_fd dir = openat(sight->proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? -errno : proc_read_stat(dir, &stat);
	if (r < 0)
		return is_failure(r) ? r : 0;
	return stat.start_time == born && !strchr("ZXx", stat.state);
}

bool caller_sees_who(struct caller_sight *sight, pid_t pid, uint64_t born, uid_t uid, bool readable)
{
	int alive;

	if (sight->all)
		return true;
	if (sight->proc < 0 || pid == 0 || born == 0)
		return false;
	alive = is_alive(sight, pid, born);
	if (alive == 0)
		return caller_sees_past(sight, uid, readable);
	sight->asked = 0; /* the number may be another process's by now */
	return alive > 0 && caller_sees_memory(sight, pid);
}
