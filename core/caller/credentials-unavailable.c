/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Of a program that was built without BPF: procfs is asked. */
#include "caller/credentials.h"

#include <errno.h>

int credentials_open(void)
{
	return -EOPNOTSUPP;
}

bool credentials_read(pid_t thread, struct credentials *out, GArray *groups)
{
	(void)thread, (void)out, (void)groups;
	return false;
}
