/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that the kernel keeps from the sight of BPF programs, as some hardened ones do, while
 * procfs lists them. To compare the two is dear; but the kernel shows for next to nothing how many
 * processes there are, and as long as a walk meets as many less than that as when they were compared,
 * those that it does not meet are the same.
 */
#include "census/bpf/context.h"

#include "census/stall.h"

/* How often to try for a walk during which no process is made or gone. */
#define TRIES_MAX 16

int bpf_walk(struct bpf_census *census, bool at_once, struct mm_versions *versions)
{
	uint64_t links = proc_links(census->source->proc);
	int err = at_once ? programs_walk_at_once(census->programs, versions) :
			    programs_walk(census->programs, versions);

	if (err != 0)
		return err;
	census->partial = versions->partial;
	versions->quiet &= links == proc_links(census->source->proc);
	census->checked = versions->quiet;
	if (versions->quiet && links - versions->met != census->balance) {
		census->balance = links - versions->met;
		census->counted = false;
	}
	return 0;
}

static GHashTable *pids_of(const struct mm_versions *versions)
{
	GHashTable *pids = g_hash_table_new(NULL, NULL);

	for (size_t i = 0; i < versions->count; i++)
		g_hash_table_add(pids, GINT_TO_POINTER(versions->at[i].pid));
	return pids;
}

/* Whether it is there and has an address space; of one that says nothing, it is to be feared. */
static bool has_space(const struct bpf_census *census, pid_t pid)
{
	auto_fd dir = proc_open_pid(census->source->proc, pid);
	struct proc_stat stat;
	int err;

	if (dir < 0)
		return dir != -ENOENT && dir != -ESRCH;
	if (!stall_enter(pid, 0))
		return true;
	err = proc_read_stat(dir, &stat);
	stall_leave();
	if (err != 0)
		return err != -ESRCH;
	/* Of one whose first thread has ended, others may go on. */
	return !proc_is_kernel_thread(&stat) && (!proc_has_no_mm(&stat) || !proc_is_alone(dir));
}

/* Those listed before the walk began that it did not meet, and that are still there. */
static uint64_t count_missing(const struct bpf_census *census, const GArray *listed,
	const struct mm_versions *versions)
{
	g_autoptr(GHashTable) met = pids_of(versions);
	uint64_t missing = 0;

	for (guint i = 0; i < listed->len; i++) {
		pid_t pid = g_array_index(listed, pid_t, i);

		if (pid != census->source->self &&
			!g_hash_table_contains(met, GINT_TO_POINTER(pid)))
			missing += has_space(census, pid);
	}
	return missing;
}

uint64_t bpf_hidden(struct bpf_census *census)
{
	census->shortage = 0;
	for (unsigned tries = 0; tries < TRIES_MAX && !(census->counted && census->checked);
		tries++) {
		g_autoptr(GArray) listed = g_array_new(FALSE, FALSE, sizeof(pid_t));
		struct mm_versions versions;

		/* Often it is only that somebody was made or went during the walk, and all is as it was. */
		if (census->counted) {
			if (bpf_walk(census, false, &versions) != 0)
				break;
			continue;
		}
		census->shortage = proc_list(census->source->proc, listed);
		if (census->shortage != 0 || bpf_walk(census, false, &versions) != 0)
			break;
		census->hidden = count_missing(census, listed, &versions);
		census->counted = versions.quiet;
	}
	return census->hidden;
}
