/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the place of the BPF programs that see bus errors where they were not built. */
#include "faults/programs.h"

#include <errno.h>

int fault_programs_load(struct fault_programs **out, const char **why)
{
	(void)out;
	*why = "shmtree was built without BPF";
	return -EOPNOTSUPP;
}

int fault_programs_start(struct fault_programs *programs, const char **why)
{
	(void)programs, (void)why;
	return -EOPNOTSUPP;
}

void fault_programs_free(struct fault_programs *programs)
{
	(void)programs;
}

void fault_programs_set_mount(struct fault_programs *programs, uint64_t dev)
{
	(void)programs, (void)dev;
}

int fault_programs_fd(const struct fault_programs *programs)
{
	(void)programs;
	return -1;
}

void fault_programs_take(struct fault_programs *programs,
	void (*visit)(const struct seen_fault *seen, void *data), void *data)
{
	(void)programs, (void)visit, (void)data;
}

struct fault_counts fault_programs_counts(const struct fault_programs *programs)
{
	(void)programs;
	return (struct fault_counts){ 0 };
}

int fault_programs_try(struct fault_programs *programs, const void *address, struct seen_fault *out)
{
	(void)programs, (void)address, (void)out;
	return -EOPNOTSUPP;
}
