/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/processes.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A power of two. */
#define PLACES 256

/*
 * How long what is known of a process holds: its command and user may change. The kernel gives a
 * number anew only when all others have been given, which takes longer.
 */
#define MOMENT_US (100 * 1000)

struct place {
	pid_t pid; /* that was asked for: 0: empty */
	gint64 until;
	struct process_identity process;
};

struct event_processes {
	char *proc;
	GMutex lock; /* a leaf */
	struct place places[PLACES];
};

struct event_processes *event_processes_new(const char *proc)
{
	struct event_processes *processes = g_new0(struct event_processes, 1);

	processes->proc = g_strdup(proc);
	g_mutex_init(&processes->lock);
	return processes;
}

void event_processes_free(struct event_processes *processes)
{
	g_mutex_clear(&processes->lock);
	g_free(processes->proc);
	g_free(processes);
}

static bool recall(struct event_processes *processes, pid_t pid, struct process_identity *out)
{
	const struct place *place = &processes->places[pid % PLACES];
	bool known;

	g_mutex_lock(&processes->lock);
	known = place->pid == pid && g_get_monotonic_time() < place->until;
	if (known)
		*out = place->process;
	g_mutex_unlock(&processes->lock);
	return known;
}

static void remember(struct event_processes *processes, pid_t pid,
	const struct process_identity *process)
{
	struct place *place = &processes->places[pid % PLACES];

	g_mutex_lock(&processes->lock);
	place->pid = pid;
	place->until = g_get_monotonic_time() + MOMENT_US;
	place->process = *process;
	g_mutex_unlock(&processes->lock);
}

/* Whether it has not been reaped: until then its number is its own. */
static bool exists(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0 || errno == EPERM;
}

void event_processes_find(struct event_processes *processes, pid_t pid, int pidfd,
	struct process_identity *out)
{
	*out = (struct process_identity){ .pid = pid };
	if (pid <= 0 || recall(processes, pid, out))
		return;
	/* What was read is of this process only if it exists afterwards. */
	if (process_identity_read(processes->proc, pid, out) < 0 || (pidfd >= 0 && !exists(pidfd)))
		*out = (struct process_identity){ .pid = pid };
	else
		remember(processes, pid, out);
}
