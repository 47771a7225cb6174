/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend.h"

#include "unit.h"

struct census *backend_open(enum census_backend_choice choice, uint64_t shm_dev, pid_t self,
	const char **why)
{
	const char *reason = NULL;
	const struct census_config config = { "/proc", choice, shm_dev, self, &reason };
	struct census *census = NULL;
	int error = census_new(&config, &census);

	if (error == 0)
		return census;
	CU_ASSERT_FATAL(choice != CENSUS_TEXT);
	*why = reason ? reason : g_strerror(-error);
	return NULL;
}
