/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/tables.h"

#include "census/scan/kcmp-sharing.h"

#include <errno.h>

int process_each_table(const struct proc *proc, int dir, int (*visit)(int table, void *data),
	void *data)
{
	struct proc_stat stat;
	int r;

	if (!proc_is_own(proc) || !kcmp_works(proc))
		return visit(dir, data);
	r = kcmp_each_table(dir, 0, visit, data);
	return r == -ESRCH && proc_read_stat(dir, &stat) == 0 ? -EAGAIN : r;
}
