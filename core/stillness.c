/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stillness.h"

#include "patience.h"
#include "proc.h"

#include <stdlib.h>

/* Adds what the thread has run; false if it cannot be told. */
static bool add_thread(int dir, pid_t tid, struct stillness *sum)
{
	auto_fd thread = proc_open_thread(dir, tid);
	char text[128], *end;
	uint64_t ran;

	patience_go_on(); /* there may be thousands */
	if (thread < 0 || proc_read_file(thread, "schedstat", text, sizeof(text)) < 0)
		return false;
	ran = strtoull(text, &end, 10);
	sum->ran += ran;
	sum->threads += ((uint64_t)tid + 1) * UINT64_C(0x9e3779b97f4a7c15);
	/* A kernel that keeps no account says 0, which no thread that has ever run can be. */
	return end != text && ran > 0;
}

static struct stillness look_at(int dir, const GArray *tids)
{
	struct stillness sum = {.known = tids->len > 0};

	for (guint i = 0; i < tids->len && sum.known; i++)
		sum.known = add_thread(dir, g_array_index(tids, pid_t, i), &sum);
	return sum;
}

struct stillness stillness_look(int dir)
{
	g_autoptr(GArray) tids = g_array_new(FALSE, FALSE, sizeof(pid_t));

	if (proc_list_threads(dir, tids) < 0)
		return (struct stillness){0};
	return look_at(dir, tids);
}

/* On a processor, or waiting for one: of who is on it, the count is of when it got there. */
static bool may_be_running(int dir, pid_t tid)
{
	auto_fd thread = proc_open_thread(dir, tid);
	struct proc_stat stat;

	patience_go_on();
	return thread < 0 || proc_read_stat(thread, &stat) < 0 || stat.state == 'R';
}

bool stillness_kept(int dir, const struct stillness *since)
{
	g_autoptr(GArray) tids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	struct stillness now;

	if (!since->known || proc_list_threads(dir, tids) < 0)
		return false;
	/* In this order: who begins to run only now finds nothing left to disturb. */
	for (guint i = 0; i < tids->len; i++)
		if (may_be_running(dir, g_array_index(tids, pid_t, i)))
			return false;
	now = look_at(dir, tids);
	return now.known && now.threads == since->threads && now.ran == since->ran;
}
