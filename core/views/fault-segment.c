/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/fault-segment.h"

#include "kinds/unlinked.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>

/* As the directory of that kind has it; of another IPC namespace, with that before it. */
static void name_sysv(const struct fault *fault, const struct realm *realm,
	struct fault_segment *out)
{
	const struct segment_key *key = &fault->key;

	if (key->ns == 0 || key->ns == realm->ipc_ns)
		snprintf(out->id, sizeof out->id, "%" PRIu64, key->ino);
	else
		snprintf(out->id, sizeof out->id, "ipc-%u/%" PRIu64, key->ns, key->ino);
	*out->name = '\0';
}

static void name_file(const struct fault *fault, struct fault_segment *out)
{
	g_strlcpy(out->name, fault->seen.name, sizeof out->name);
	if (!(fault->seen.flags & FAULT_NAMED)) {
		out->kind = "unlinked";
		unlinked_format_id(&fault->key, false, out->name, out->id);
	} else if (fault->seen.flags & FAULT_IN_ROOT) {
		g_strlcpy(out->id, out->name, sizeof out->id);
	} else {
		out->kind = "nested";
		snprintf(out->id, sizeof out->id, "%" PRIu64, fault->key.ino);
	}
}

static void name_elsewhere(const struct fault *fault, struct fault_segment *out)
{
	out->kind = fault->seen.flags & FAULT_HUGE ? "hugetlbfs" : "tmpfs";
	snprintf(out->id, sizeof out->id, "%u:%u-%" PRIu64, major(fault->dev), minor(fault->dev),
		(uint64_t)fault->seen.ino);
	g_strlcpy(out->name, fault->seen.name, sizeof out->name);
}

void fault_segment_find(const struct fault *fault, const struct realm *realm,
	struct fault_segment *out)
{
	out->kind = segment_class_name(fault->key.class);
	if (!fault->is_object ||
		(fault->key.class == SEGMENT_FILE && fault->key.dev != realm->shm_dev)) {
		name_elsewhere(fault, out);
	} else if (fault->key.class == SEGMENT_FILE) {
		name_file(fault, out);
	} else if (fault->key.class == SEGMENT_SYSV) {
		name_sysv(fault, realm, out);
	} else {
		unlinked_name(fault->key.class, fault->seen.name, out->name);
		unlinked_format_id(&fault->key, fault->seen.flags & FAULT_HUGE, out->name, out->id);
	}
}

void fault_tell(const struct fault *fault, const struct realm *realm, struct events *events)
{
	const struct seen_fault *seen = &fault->seen;
	struct fault_segment segment;
	struct event event = {
		.time = fault->time.tv_sec * INT64_C(1000000000) + fault->time.tv_nsec,
		.type = EVENT_FAULTED,
		.inode = fault->is_object ? fault->key.ino : seen->ino,
		.size = seen->size,
		.process = {
			.pid = seen->pid,
			.born = seen->start_time / (1000000000 / sysconf(_SC_CLK_TCK)),
			.uid = seen->uid,
			.readable = seen->flags & FAULT_READABLE,
		},
	};

	if (!events_on(events))
		return;
	fault_segment_find(fault, realm, &segment);
	event.kind = segment.kind;
	event.id = segment.id;
	/* Of a nested file it is not known whether its directories let everyone list them. */
	event.name = strcmp(segment.kind, "nested") == 0 ? NULL : segment.name;
	g_strlcpy(event.process.command, seen->command, sizeof event.process.command);
	g_strlcpy(event.process.unit, fault->unit, sizeof event.process.unit);
	events_tell(events, &event);
}
