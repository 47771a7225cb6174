/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "every-backend.h"

#include "backend.h"
#include "unit.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const enum census_backend_choice choices[BACKENDS_MAX] = { CENSUS_BPF, CENSUS_QUERY,
	CENSUS_TEXT };
struct census *censuses[BACKENDS_MAX];
int n_censuses;

void open_all(uint64_t shm_dev, pid_t self)
{
	for (size_t i = 0; i < BACKENDS_MAX; i++) {
		const char *why;

		censuses[n_censuses] = backend_open(choices[i], shm_dev, self, &why);
		n_censuses += censuses[n_censuses] != NULL;
	}
}

void close_all(void)
{
	while (n_censuses > 0)
		census_free(censuses[--n_censuses]);
}

struct usage ask(struct census *census, const struct segment_key *segment)
{
	struct usage usage;

	ASSERT_INT(census_hold(census, BOTH), 0);
	usage = census_usage(census, segment);
	census_release(census);
	return usage;
}

void assert_all(unsigned line, const char *file, const struct segment_key *segment,
	struct usage expected)
{
	EACH_CENSUS(census)
	{
		struct usage usage = ask(census, segment);
		g_autofree char *message = g_strdup_printf("%s: %" PRIu64 " %" PRIu64 " %" PRIu64
							   ", not %" PRIu64 " %" PRIu64 " %" PRIu64,
			census_report(census).backend, usage.mappings, usage.processes,
			usage.openers, expected.mappings, expected.processes, expected.openers);

		CU_assertImplementation(memcmp(&usage, &expected, sizeof(usage)) == 0, line,
			message, file, "", CU_FALSE);
	}
}

int memfd = -1;
struct segment_key key;

struct segment_key key_of(int fd, enum segment_class class)
{
	struct stat st;

	CU_ASSERT_FATAL(fstat(fd, &st) == 0);
	return (struct segment_key){ .dev = st.st_dev, .ino = st.st_ino, .class = class };
}

void make_memfd(void)
{
	memfd = memfd_create("census test", MFD_CLOEXEC);
	CU_ASSERT_FATAL(memfd >= 0 && ftruncate(memfd, 4 * PAGE) == 0);
	key = key_of(memfd, SEGMENT_MEMFD);
}

void close_memfd(void)
{
	close(memfd);
	memfd = -1;
}
