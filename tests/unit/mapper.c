/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mapper.h"

#include "unit.h"

#include <glib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

void mapper_start(struct mapper *mapper, const char *path, const char *mode)
{
	char *argv[] = { (char *)MAPPER, (char *)path, (char *)mode, NULL };
	int in, out;

	/* Its children come to us when it ends, so that we can wait for them too. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	CU_ASSERT_FATAL(g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL,
		NULL, &mapper->pid, &in, &out, NULL, NULL));
	mapper->orders = fdopen(in, "we");
	mapper->answers = fdopen(out, "re");
	CU_ASSERT_FATAL(mapper->orders && mapper->answers);
	CU_ASSERT_FATAL(mapper_order(mapper, NULL) == mapper->pid);
}

long mapper_order(struct mapper *mapper, const char *order)
{
	char line[64];
	long number;

	if (order) {
		fprintf(mapper->orders, "%s\n", order);
		fflush(mapper->orders);
	}
	CU_ASSERT_FATAL(fgets(line, sizeof(line), mapper->answers) != NULL);
	if (sscanf(line, "ok %ld", &number) == 1)
		return number;
	CU_ASSERT_FATAL(sscanf(line, "error %ld", &number) == 1);
	return -number;
}

void mapper_end(struct mapper *mapper)
{
	if (!mapper->orders)
		return;
	fclose(mapper->orders);
	fclose(mapper->answers);
	mapper->orders = mapper->answers = NULL;
	while (wait(NULL) > 0)
		;
}
