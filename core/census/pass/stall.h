/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stall detection: finds threads that wait for the kernel's answer about a process, which may take
 * any time.
 *
 * While execve(2) replaces a program, the kernel lets no other process read /proc/PID/stat, open
 * /proc/PID/maps or kcmp(2) the process; and within that time it closes descriptors, for which a
 * file server that has died may never say that it is done. Neither a signal nor a flag gets a
 * thread out of such a system call. So each thread says here what it is about to ask, where another
 * thread can see that no answer has come and leave the first one behind; and until that thread has
 * its answer, no other thread asks about its process.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* The stalled processes. One for all threads that read for a census; reference-counted. */
struct stall_detector;

struct stall_detector *stall_detector_new(void);
void stall_detector_unref(struct stall_detector *detector);

/* A thread that is watched while it asks about processes. */
struct watched_thread;

struct watched_thread *watched_thread_new(struct stall_detector *detector);
void watched_thread_free(struct watched_thread *thread);

/*
 * Binds the calling thread to `thread`. Unbound threads may call stall_enter(); they are neither
 * watched nor refused.
 */
void watched_thread_bind(struct watched_thread *thread);

/*
 * To be called at intervals by another thread. Returns true if `thread` has waited for one answer, in
 * one sleep, over the last STALLED_LOOKS calls. A thread that got no processor has not slept: that the
 * machine is busy says nothing of the process. Then it is left behind: it goes on when its answer comes, but
 * every further stall_enter() of it is refused; and its processes are stalled until then.
 */
bool watched_thread_is_stalled(struct watched_thread *thread);

/*
 * Begins a question about one process, or two (`other` 0: one). Returns false, and then there is
 * nothing to leave, if it must not be asked: one of them is stalled, or so many threads have been
 * left behind that no other one is to be risked. Questions about the same process nest.
 */
bool stall_enter(pid_t pid, pid_t other);

/* Ends the question that the last stall_enter() began. */
void stall_leave(void);
