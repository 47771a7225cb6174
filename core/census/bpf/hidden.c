/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts the processes that the kernel hides from BPF programs, as some hardened kernels do,
 * although procfs lists them. Comparing the two lists is expensive. But the kernel shows almost for
 * free how many processes exist: as long as that number less those that a walk meets is the same as
 * at the last comparison, the hidden processes are the same.
 */
#include "census/bpf/context.h"

#include "census/pass/stall.h"

/* How many walks to try until one during which no process starts or ends. */
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

/*
 * Whether the process exists and has an address space. If procfs does not answer, assume that it
 * has.
 */
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
	/* If its first thread has ended, other threads may still run. */
	return !proc_is_kernel_thread(&stat) && (!proc_has_no_mm(&stat) || !proc_is_alone(dir));
}

/*
 * Finds the processes that were listed before the walk, that it did not meet, and that still
 * exist.
 */
static uint64_t find_missing(struct bpf_census *census, const GArray *listed,
	const struct mm_versions *versions)
{
	g_autoptr(GHashTable) met = pids_of(versions);

	g_array_set_size(census->hidden_pids, 0);

	for (guint i = 0; i < listed->len; i++) {
		pid_t pid = g_array_index(listed, pid_t, i);

		if (pid != census->source->self &&
			!g_hash_table_contains(met, GINT_TO_POINTER(pid)) && has_space(census, pid))
			g_array_append_val(census->hidden_pids, pid);
	}
	return census->hidden_pids->len;
}

uint64_t bpf_hidden(struct bpf_census *census)
{
	census->shortage = 0;
	for (unsigned tries = 0; tries < TRIES_MAX && !(census->counted && census->checked);
		tries++) {
		g_autoptr(GArray) listed = g_array_new(FALSE, FALSE, sizeof(pid_t));
		struct mm_versions versions;

		/* Often a process has only started or ended during the walk: walk again first. */
		if (census->counted) {
			if (bpf_walk(census, false, &versions) != 0)
				break;
			continue;
		}
		census->shortage = proc_list(census->source->proc, listed);
		if (census->shortage != 0 || bpf_walk(census, false, &versions) != 0)
			break;
		census->hidden = find_missing(census, listed, &versions);
		census->counted = versions.quiet;
	}
	for (guint i = 0; i < census->hidden_pids->len; i++)
		spaces_note_unreadable(census->spaces, g_array_index(census->hidden_pids, pid_t, i),
			"the kernel hides it from BPF programs");
	return census->hidden;
}
