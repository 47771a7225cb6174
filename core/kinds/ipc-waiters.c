/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/ipc-waiters.h"

#include "procfs/proc.h"

#include <inttypes.h>
#include <stdio.h>

/* "NUMBER 0xARGUMENT …"; "running"; "-1 0xSP 0xPC" for a thread that is not in a call. */
bool ipc_parse_syscall(const char *text, long number, int *id)
{
	uint64_t argument;
	long found;

	if (sscanf(text, "%ld 0x%" SCNx64, &found, &argument) != 2 || found != number)
		return false;
	*id = (int)(uint32_t)argument;
	return true;
}

struct search {
	long number;
	GHashTable *ids;
};

/* Returns the error, but 0 if the thread is gone: then it does not wait. */
static int answer(int error)
{
	return error == -ENOENT || error == -ESRCH ? 0 : error;
}

static int look_at_thread(int dir, pid_t tid, const struct search *search)
{
	auto_fd thread = proc_open_thread(dir, tid);
	char text[256];
	ssize_t n = thread < 0 ? thread : proc_read_file(thread, "syscall", text, sizeof text);
	int id;

	if (n < 0)
		return answer(n);
	if (ipc_parse_syscall(text, search->number, &id))
		g_hash_table_remove(search->ids, GINT_TO_POINTER(id));
	return 0;
}

static int look_at_process(const struct proc *proc, pid_t pid, const struct realm *realm,
	const struct search *search)
{
	g_autoptr(GArray) tids = g_array_new(FALSE, FALSE, sizeof(int));
	auto_fd dir = proc_open_pid(proc, pid);
	uint32_t namespace = dir < 0 ? 0 : proc_namespace(dir, "ipc");
	int r;

	if (dir < 0)
		return answer(dir);
	/*
	 * A process whose namespace cannot be read shows nothing else either, and most are in
	 * another one.
	 */
	if (namespace != realm->ipc_ns)
		return 0;
	r = proc_list_threads(dir, tids);
	for (guint i = 0; r == 0 && i < tids->len; i++)
		r = look_at_thread(dir, g_array_index(tids, int, i), search);
	return answer(r);
}

int ipc_leave_out_awaited(const struct realm *realm, long number, GHashTable *ids)
{
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	const struct search search = { number, ids };
	struct proc *proc;
	int failed = 0, r = proc_open(realm->proc, &proc);

	if (r < 0)
		return r;
	r = proc_list(proc, pids);
	for (guint i = 0; r == 0 && g_hash_table_size(ids) > 0 && i < pids->len; i++) {
		int looked = look_at_process(proc, g_array_index(pids, pid_t, i), realm, &search);

		if (looked < 0)
			failed = looked;
	}
	proc_close(proc);
	return r < 0 ? r : failed;
}
