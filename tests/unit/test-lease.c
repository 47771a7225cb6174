/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A lease as proof that nothing has a file open. */
#include "base/util.h"
#include "kinds/lease.h"

#include "failing.h"
#include "kinds/posix-removal.h"
#include "unit.h"

#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

static char name[64];
static int dir = -1;

static void make(void)
{
	snprintf(name, sizeof name, "shmtree-lease-%d", getpid());
	dir = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, 4096) == 0);
}

static void drop(void)
{
	unlinkat(dir, name, 0);
	closep(&dir);
	dir = -1;
}

static void a_file_that_nobody_has_is_free(void)
{
	make();
	for (int i = 0; i < 3; i++)
		ASSERT_INT(lease_proves_free(dir, name), 1);
	auto_fd path = openat(dir, name, O_PATH | O_CLOEXEC);
	CU_ASSERT(path >= 0);
	ASSERT_INT(lease_proves_free(dir, name), 1);
	drop();
}

static void what_is_open_or_mapped_is_not(void)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	void *at;

	make();
	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
		auto_fd fd = openat(dir, name, modes[i] | O_CLOEXEC);

		CU_ASSERT(fd >= 0);
		ASSERT_INT(lease_proves_free(dir, name), 0);
	}
	auto_fd fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	close(steal_fd(&fd));
	ASSERT_INT(lease_proves_free(dir, name), 0);
	munmap(at, 4096);
	ASSERT_INT(lease_proves_free(dir, name), 1);
	drop();
}

static void a_second_name_hides_nothing(void)
{
	char second[80];

	make();
	snprintf(second, sizeof second, "%s-b", name);
	CU_ASSERT_FATAL(linkat(dir, name, dir, second, 0) == 0);
	auto_fd fd = openat(dir, second, O_RDONLY | O_CLOEXEC);
	ASSERT_INT(lease_proves_free(dir, name), 0);
	close(steal_fd(&fd));
	ASSERT_INT(lease_proves_free(dir, name), 1);
	unlinkat(dir, second, 0);
	drop();
}

/* Another's lease is not waited for, nor broken, and nothing is left behind. */
static void the_lease_of_another_stays(void)
{
	make();
	auto_fd fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	CU_ASSERT_FATAL(fcntl(fd, F_SETSIG, SIGURG) == 0);
	CU_ASSERT_FATAL(fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
	ASSERT_INT(lease_proves_free(dir, name), 0);
	fcntl(fd, F_SETLEASE, F_UNLCK);
	close(steal_fd(&fd));
	ASSERT_INT(lease_proves_free(dir, name), 1);
	fd = openat(dir, name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	CU_ASSERT(fd >= 0);
	drop();
}

static void what_is_not_there_is_an_error(void)
{
	make();
	ASSERT_INT(lease_proves_free(dir, "no-such-object"), -ENOENT);
	ASSERT_INT(lease_proves_free(dir, "."), -ENOENT);
	drop();
}

/* POSIX objects */

static bool seen_hidden;

static void see_whether_it_is_hidden(void)
{
	g_autofree char *hidden = g_strconcat(POSIX_HIDDEN_PREFIX, name, NULL);
	g_autofree char *other = g_strconcat(POSIX_HIDDEN_PREFIX, "x", NULL);

	if (faccessat(dir, hidden, F_OK, 0) == 0)
		seen_hidden = true;
	CU_ASSERT(posix_is_hidden(hidden));
	CU_ASSERT_FALSE(posix_is_hidden(other));
	CU_ASSERT_FALSE(posix_is_hidden(name));
}

static void remove_idle(void *hidden)
{
	const struct caller self = { .pid = getpid(), .uid = getuid(), .gid = getgid() };

	ASSERT_INT(posix_remove_idle(dir, name, &self), 0);
	CU_ASSERT(seen_hidden);
	CU_ASSERT_FALSE(posix_is_hidden(hidden));
	ASSERT_INT(faccessat(dir, name, F_OK, 0), -1);
}

/* Under that name alone, and no longer. */
static void an_object_is_hidden_while_it_is_removed(void)
{
	g_autofree char *hidden = NULL;

	make();
	hidden = g_strconcat(POSIX_HIDDEN_PREFIX, name, NULL);
	failing_returns(FAILING({ SYS_unlinkat, .argument = 2, .path = hidden,
				.meanwhile = see_whether_it_is_hidden }),
		remove_idle, hidden);
	drop();
}

static CU_TestInfo tests[] = {
	{ "a file that nobody has is free", a_file_that_nobody_has_is_free },
	{ "what is open or mapped is not", what_is_open_or_mapped_is_not },
	{ "a second name hides nothing", a_second_name_hides_nothing },
	{ "the lease of another stays", the_lease_of_another_stays },
	{ "what is not there is an error", what_is_not_there_is_an_error },
	{ "an object is hidden while it is removed", an_object_is_hidden_while_it_is_removed },
	CU_TEST_INFO_NULL,
};
const CU_SuiteInfo lease_suite = { "lease", .pTests = tests };
