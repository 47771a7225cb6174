/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the credentials of one thread, as /proc/PID/status and /proc/PID/stat show them.
 *
 * The kernel never changes credentials in place: a thread that changes its own gets others, and those
 * before stay as they are until no reader of RCU can have them. So what one run reads belongs together.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include "bpf/kernel.h"
#include "caller/credential-records.h"

char LICENSE[] SEC("license") = "GPL";

extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;

/* False: they could not be read. Zeros would be the group of root. */
static __always_inline bool read_groups(struct seen_credentials *seen, struct group_info *info)
{
	int n = BPF_CORE_READ(info, ngroups);

	seen->n_groups = n;
	return info &&
		(n <= 0 || n > CREDENTIAL_GROUPS_MAX ||
			bpf_core_read(seen->groups, sizeof seen->groups[0] * (__u32)n,
				&info->gid) == 0);
}

static __always_inline void read_task(struct seen_credentials *seen, struct task_struct *task)
{
	const struct cred *cred = BPF_CORE_READ(task, real_cred);

	seen->uid = BPF_CORE_READ(cred, uid.val);
	seen->fsuid = BPF_CORE_READ(cred, fsuid.val);
	seen->permitted = BPF_CORE_READ(cred, cap_permitted.val);
	seen->effective = BPF_CORE_READ(cred, cap_effective.val);
	seen->user_ns = BPF_CORE_READ(cred, user_ns, ns.inum);
	seen->flags = BPF_CORE_READ(task, flags);
	seen->found = read_groups(seen, BPF_CORE_READ(cred, group_info));
}

SEC("syscall")
int read_credentials(struct seen_credentials *context)
{
	struct seen_credentials seen = { .thread = context->thread };
	struct task_struct *task = bpf_task_from_pid(seen.thread);

	if (!task)
		return 0;
	bpf_rcu_read_lock();
	read_task(&seen, task);
	bpf_rcu_read_unlock();
	bpf_task_release(task);
	*context = seen;
	return 0;
}
