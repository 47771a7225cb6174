/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/scan/quiescence.h"

#include "base/hash.h"
#include "procfs/proc.h"

#include <inttypes.h>
#include <stdio.h>

static bool read_of_thread(int dir, pid_t tid, const char *file, char *text, size_t size)
{
	char path[48];

	snprintf(path, sizeof(path), "task/%d/%s", (int)tid, file);
	return proc_read_file(dir, path, text, size) > 0;
}

/* Adds how often the thread got onto a processor; false if the kernel does not tell. */
static bool add_turns(int dir, pid_t tid, struct quiescence *sum)
{
	char text[128];
	uint64_t turns;

	if (!read_of_thread(dir, tid, "schedstat", text, sizeof(text)))
		return false;
	/* A kernel that does not count shows 0, which no thread that has ever run can have. */
	if (sscanf(text, "%*u %*u %" SCNu64, &turns) != 1 || turns == 0)
		return false;
	sum->turns += turns;
	sum->threads += hash_multiply((uint64_t)tid + 1);
	return true;
}

static struct quiescence count_turns(int dir, const GArray *tids)
{
	struct quiescence sum = { .known = tids->len > 0 };

	for (guint i = 0; i < tids->len && sum.known; i++)
		sum.known = add_turns(dir, g_array_index(tids, pid_t, i), &sum);
	return sum;
}

static bool is_off_processor(int dir, pid_t tid)
{
	char text[256]; /* "running", or a number and up to eight words */

	return read_of_thread(dir, tid, "syscall", text, sizeof(text)) && text[0] != 'r';
}

static bool are_off_processor(int dir, const GArray *tids)
{
	for (guint i = 0; i < tids->len; i++)
		if (!is_off_processor(dir, g_array_index(tids, pid_t, i)))
			return false;
	return true;
}

/*
 * Counts first: a thread that runs between the count and the look at it shows a higher count later.
 */
struct quiescence quiescence_observe(int dir)
{
	g_autoptr(GArray) tids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	struct quiescence look = { 0 };

	if (proc_list_threads(dir, tids) == 0)
		look = count_turns(dir, tids);
	look.known = look.known && are_off_processor(dir, tids);
	return look;
}

/* Counts last: what a thread does after the count no longer affects what was read. */
bool quiescence_held(int dir, const struct quiescence *since)
{
	g_autoptr(GArray) tids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	struct quiescence now;

	if (!since->known || proc_list_threads(dir, tids) < 0 || !are_off_processor(dir, tids))
		return false;
	now = count_turns(dir, tids);
	return now.known && now.threads == since->threads && now.turns == since->turns;
}
