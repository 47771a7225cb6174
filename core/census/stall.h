/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions about a process that the kernel may not answer for as long as it likes.
 *
 * While execve(2) replaces a program, the kernel lets nobody read /proc/PID/stat, open /proc/PID/maps
 * or kcmp(2) the process; and within that time it closes descriptors, for which a file server that has died may
 * never say that it is done. Neither a signal nor a flag gets a thread out of such a question. So a
 * thread that asks says so here, where another one can see that it has got no answer, and leave it
 * behind; of the process nobody is asked any more until that thread has its answer.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Of which processes no answer has come: shared by all threads that read for one census. */
struct patience;

struct patience *patience_new(void);
struct patience *patience_ref(struct patience *patience);
void patience_unref(struct patience *patience);

/* A thread that asks. */
struct asker;

struct asker *asker_new(struct patience *patience);
void asker_free(struct asker *asker);

/* The calling thread is this one from now on. Who is none may ask too, and is not watched. */
void asker_become(struct asker *asker);

/*
 * To be called now and then by somebody else: whether the thread has waited for one answer from
 * STUCK_LOOKS calls ago until now. Then it is left behind: it goes on, once it can, but is refused
 * every further question; and its processes are stuck until then.
 */
bool asker_is_stuck(struct asker *asker);

/*
 * Around a question about one process, or two. False, and nothing to end, if it must not be asked:
 * one is stuck, or so many threads have been left behind that no other one is to be risked.
 * A question may be part of another one, about the same process.
 */
bool patience_begin(pid_t pid, pid_t other);
void patience_end(void);

/* Between the two: something has been answered. */
void patience_go_on(void);
