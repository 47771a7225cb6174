/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/credentials.h"

#include "base/util.h"
#include "bpf/loading.h"
#include "bpf/refusal.h"
#include "caller/credential-records.h"
#include "procfs/proc.h"
#include "procfs/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "credentials.lskel.h" /* it needs those above */

/* Written by credentials_open(), before any other thread starts. */
static struct credentials_bpf *program;
static uint32_t user_ns; /* the daemon's */

static void unload(void *data)
{
	(void)data;
	g_clear_pointer(&program, credentials_bpf__destroy);
}

static int load(void *data)
{
	(void)data;
	program = credentials_bpf__open();
	return program ? credentials_bpf__load(program) : -ENOMEM;
}

static int look(pid_t thread, struct seen_credentials *out)
{
	*out = (struct seen_credentials){ .thread = (uint32_t)thread };
	return program_run(program->progs.read_credentials.prog_fd, out, sizeof *out);
}

/* Whether what is read of the calling thread is what procfs shows of it. */
static bool is_right(void)
{
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	auto_fd dir = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct seen_credentials seen;
	struct proc_status status;
	struct stat ns;

	if (dir < 0 || fstatat(dir, "ns/user", &ns, 0) < 0 ||
		proc_read_status(dir, &status, groups) < 0 || look(gettid(), &seen) < 0)
		return false;
	user_ns = (uint32_t)ns.st_ino;
	return seen.found && seen.uid == status.uids[ID_REAL] && seen.fsuid == status.uids[ID_FS] &&
		seen.permitted == status.permitted && seen.effective == status.effective &&
		seen.user_ns == user_ns && seen.n_groups == groups->len;
}

int credentials_open(void)
{
	int r = refusal_expected() ? -EPERM : program_load(load, unload, NULL);

	if (r == 0 && !is_right()) {
		unload(NULL);
		r = -EPROTO;
	}
	return r;
}

bool credentials_read(pid_t thread, struct credentials *out, GArray *groups)
{
	struct seen_credentials seen;

	if (!program || look(thread, &seen) < 0 || !seen.found || seen.user_ns != user_ns ||
		seen.n_groups > CREDENTIAL_GROUPS_MAX)
		return false;
	*out = (struct credentials){
		.uid = seen.uid,
		.fsuid = seen.fsuid,
		.permitted = seen.permitted,
		.effective = seen.effective,
		.io_worker = proc_is_io_worker(&(struct proc_stat){ .flags = seen.flags }),
	};
	for (uint32_t i = 0; i < seen.n_groups; i++)
		g_array_append_val(groups, seen.groups[i]);
	return true;
}
