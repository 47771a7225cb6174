/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mapper.h"

#include <glib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

void mapper_start(struct mapper *mapper, const char *path, const char *mode)
{
	char *argv[] = { (char *)MAPPER, (char *)path, (char *)mode, NULL };
	int in, out;

	/* Its children come to us when it ends, so that we can wait for them too. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	g_assert(g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
		&mapper->pid, &in, &out, NULL, NULL));
	mapper->orders = fdopen(in, "we");
	mapper->answers = fdopen(out, "re");
	g_assert(mapper->orders && mapper->answers);
	g_assert(mapper_order(mapper, NULL) == mapper->pid);
}

long mapper_order(struct mapper *mapper, const char *order)
{
	char line[64];
	long number;

	if (order) {
		fprintf(mapper->orders, "%s\n", order);
		fflush(mapper->orders);
	}
	g_assert(fgets(line, sizeof(line), mapper->answers));
	if (sscanf(line, "ok %ld", &number) == 1)
		return number;
	g_assert(sscanf(line, "error %ld", &number) == 1);
	return -number;
}

void mapper_end(struct mapper *mapper)
{
	fclose(mapper->orders);
	fclose(mapper->answers);
	while (wait(NULL) > 0)
		;
}
