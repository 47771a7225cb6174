/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The capabilities with which a thread acts that has taken on a caller's ids for files. */
#include "caller/fsuid.h"
#include "caller/rights.h"

#include "failing.h"
#include "pair.h"
#include "somebody.h"
#include "unit.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHER_USER 7

/* Of OTHER_USER, for nobody. */
static int file;

static void make_file(void)
{
	char path[] = "/tmp/fsuid.XXXXXX";

	file = mkstemp(path);
	CU_ASSERT_FATAL(file >= 0 && fchown(file, OTHER_USER, OTHER_USER) == 0);
	CU_ASSERT(fchmod(file, 0) == 0);
	unlink(path);
}

static void be_privileged(void)
{
	fsuid_init();
	CU_ASSERT_TRUE_FATAL(fsuid_privileged());
}

static void assert_unchanged(const char *before)
{
	g_autofree char *now = own_credentials();

	ASSERT_STRING(now, before);
}

#define FILE_CAPABILITIES                                                                          \
	(CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_DAC_READ_SEARCH) |  \
		CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_FSETID))

/* Of those that decide on files the thread has these; and all again when it has ended. */
static void assert_file_capabilities(struct fsuid *id, uint64_t expected, const char *before)
{
	CU_ASSERT_EQUAL(thread_capabilities() & FILE_CAPABILITIES, expected);
	fsuid_end(id);
	assert_unchanged(before);
}

/* For user 0 the kernel takes none away. */
static void act_as_a_root(void *data)
{
	const struct caller *root = data, unknown = { 0 };
	g_autofree char *before = NULL;
	struct fsuid id;

	be_privileged();
	before = own_credentials();
	fsuid_begin(&id, &unknown);
	assert_file_capabilities(&id, 0, before);
	fsuid_begin(&id, root);
	assert_file_capabilities(&id, 0, before);
	fsuid_begin(&id, root);
	fsuid_take_groups(&id);
	assert_file_capabilities(&id, CAPABILITY(CAP_CHOWN), before);
	ASSERT_INT(fsuid_begin_whole(&id, root, -1), 0);
	assert_file_capabilities(&id, CAPABILITY(CAP_CHOWN), before);
	ASSERT_INT(fsuid_begin_whole(&id, root, file), 0);
	assert_file_capabilities(&id, CAPABILITY(CAP_CHOWN), before);
	ASSERT_INT(fsuid_may(root, file, R_OK), -EACCES);
	ASSERT_INT(fsuid_access(root, file, R_OK), -EACCES);
	assert_unchanged(before);
}

static void a_root_has_its_own_capabilities_alone(void)
{
	const struct state chown = { .capabilities = CAPABILITY(CAP_CHOWN) };
	struct caller root;
	struct pair pair;

	NEED_SOMEBODY();
	make_file();
	if (pair_start(&chown, &pair_same, &pair)) {
		root = caller_of(pair.first, 0);
		failing_returns(NOTHING_FAILS, act_as_a_root, &root);
		pair_end(&pair);
	}
	close(file);
}

/* In that namespace SOMEBODY is all that is mapped. */
static void act_in_namespace(void *data)
{
	const struct caller *user = data;
	g_autofree char *before = NULL;
	struct fsuid id;

	be_privileged();
	before = own_credentials();
	ASSERT_INT(fsuid_begin_whole(&id, user, -1), 0);
	assert_file_capabilities(&id, 0, before);
	ASSERT_INT(fsuid_begin_whole(&id, user, file), 0);
	assert_file_capabilities(&id, 0, before);
	ASSERT_INT(fsuid_may(user, file, R_OK), -EACCES);
	CU_ASSERT(fchown(file, SOMEBODY, SOMEBODY) == 0);
	ASSERT_INT(fsuid_begin_whole(&id, user, file), 0);
	CU_ASSERT_TRUE(thread_capabilities() & CAPABILITY(CAP_DAC_OVERRIDE));
	fsuid_end(&id);
	assert_unchanged(before);
	ASSERT_INT(fsuid_may(user, file, R_OK), 0);
}

static void capabilities_in_a_namespace_count_over_what_is_mapped_there(void)
{
	const struct state state = { SOMEBODY, CLONE_NEWUSER, ALL_CAPABILITIES };
	struct caller user;
	struct pair pair;

	NEED_SOMEBODY();
	make_file();
	if (pair_start(&state, &pair_same, &pair)) {
		user = caller_of(pair.first, SOMEBODY);
		failing_returns(NOTHING_FAILS, act_in_namespace, &user);
		pair_end(&pair);
	}
	close(file);
}

static CU_TestInfo tests[] = {
	{ "a root has its own capabilities alone", a_root_has_its_own_capabilities_alone },
	{ "capabilities in a namespace count over what is mapped there",
		capabilities_in_a_namespace_count_over_what_is_mapped_there },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo fsuid_capabilities_suite = { "fsuid capabilities", NULL, NULL, NULL, NULL,
	tests };
