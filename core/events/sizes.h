/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sizes of objects as they were told last, and which process made an object smaller.
 *
 * A record says that a process changed an object's content, not how, and the size is looked at
 * afterwards. So the size that a look finds may be what another process made of the object, whose
 * record is still to come. Who made an object smaller is taken as certain if, since the look before, one
 * process alone has changed it, as all records tell that were made until a third of a second after the
 * look.
 *
 * All by one thread at a time.
 */
#pragma once

#include "procfs/process-facts.h"

#include <glib.h>
#include <stdbool.h>

/*
 * An object that was made smaller, by that process and no other. Times are those of CLOCK_REALTIME, ns.
 * Of pid 0: it is not known who made the object smaller last, whatever was told before; and with inode
 * 0, of no object.
 */
struct shrink {
	uint64_t inode;
	uint64_t from, to; /* bytes */
	int64_t after,
		until; /* when it had its old size yet, and when it was found to have the new one */
	struct process_identity process;
};

struct sizes;

/* `tell` is called when one is certain, or nothing is known any more. */
struct sizes *sizes_new(void (*tell)(const struct shrink *shrink, void *data), void *data);
void sizes_free(struct sizes *sizes);

/* Notes a size; returns whether it is another one than was noted last. */
bool sizes_note(struct sizes *sizes, uint64_t inode, uint64_t size);

/* The same, after a record that a process changed the content. `by`: NULL if the daemon did. */
bool sizes_note_change(struct sizes *sizes, uint64_t inode, uint64_t size,
	const struct process_identity *by);

/* Somebody changed the content in a way that does not show whose size it then was. */
void sizes_blur(struct sizes *sizes, uint64_t inode);

/* Records were lost: what was noted means nothing. */
void sizes_forget(struct sizes *sizes);

/* Whether there is something that is not certain yet. */
bool sizes_unsettled(const struct sizes *sizes);

/*
 * All records are handled that the kernel had at that time, monotonic, in us: tells what is certain
 * by that.
 */
void sizes_settle(struct sizes *sizes, gint64 drained);
