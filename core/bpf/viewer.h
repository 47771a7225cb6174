/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For BPF programs: the numbers of processes, as the process that runs the program knows them. */
#pragma once

#include "bpf/kernel.h"

/* The pid namespace of whoever runs the program: pids are told as seen from there. */
struct viewer {
	unsigned int level;
	struct pid_namespace *ns;
};

static void pid_at(struct task_struct *task, unsigned int level, struct upid *upid)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);

	upid->nr = 0;
	upid->ns = NULL;
	if (pid && BPF_CORE_READ(pid, level) >= level)
		bpf_core_read(upid, sizeof(*upid), &pid->numbers[level]);
}

static void viewer_init(struct viewer *viewer)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct upid upid;

	viewer->level = BPF_CORE_READ(task, thread_pid, level);
	pid_at(task, viewer->level, &upid);
	viewer->ns = upid.ns;
}

/* 0 for one outside the viewer's namespace. */
static int viewer_pid(const struct viewer *viewer, struct task_struct *task)
{
	int pid = task->pid;
	struct upid upid;

	/* Or clang makes one load of two, from an address that the verifier cannot follow. */
	barrier_var(pid);
	if (viewer->level == 0)
		return pid;
	pid_at(task, viewer->level, &upid);
	return upid.ns == viewer->ns ? upid.nr : 0;
}
