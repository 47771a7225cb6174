/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Acting with a caller's ids for files: what a caller gets, and what becomes of the thread. */
#include "caller/fsuid.h"
#include "caller/rights.h"

#include "base/util.h"
#include "failing.h"
#include "pair.h"
#include "somebody.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP 12
#define OTHER_USER 7
#define FSTAT_OF(fd) SYS_newfstatat, .or_call = SYS_fstat, .argument = 1, .value = (uint32_t)(fd)

/* A process of SOMEBODY in GROUP, and a file of OTHER_USER and GROUP. */
static struct caller caller;
static int keep, file;

static bool set_up(mode_t mode)
{
	char path[] = "/tmp/fsuid.XXXXXX";

	if (!may_become_somebody()) {
		unit_skip("processes may not become another user's here");
		return false;
	}
	file = mkstemp(path);
	CU_ASSERT_FATAL(file >= 0 && fchown(file, OTHER_USER, GROUP) == 0);
	CU_ASSERT(fchmod(file, mode) == 0);
	unlink(path);
	caller = caller_of(start_somebody(GROUP, true, &keep), SOMEBODY);
	return true;
}

static void tear_down(void)
{
	end_somebody(caller.pid, keep);
	close(file);
}

static void assert_unchanged(const char *before)
{
	g_autofree char *now = own_credentials();

	ASSERT_STRING(now, before);
}

static void be_privileged(void)
{
	fsuid_init();
	CU_ASSERT_TRUE_FATAL(fsuid_privileged());
}

/* All that changes a thread, by a daemon that acts as itself. */
static void act_as_oneself(void *data)
{
	g_autofree char *before = own_credentials();
	struct fsuid id;

	(void)data;
	CU_ASSERT_FALSE(fsuid_privileged());
	fsuid_settle();
	assert_unchanged(before);
	fsuid_begin(&id, &caller);
	fsuid_take_groups(&id);
	fsuid_without_fsetid(&id);
	CU_ASSERT_FALSE(fsuid_retry(&id, -EACCES));
	assert_unchanged(before);
	fsuid_end(&id);
	ASSERT_INT(fsuid_begin_whole(&id, &caller, file), 0);
	assert_unchanged(before);
	fsuid_end(&id);
	fsuid_begin_by_descriptor(&id, &caller, true);
	assert_unchanged(before);
	fsuid_end(&id);
	assert_unchanged(before);
}

/* It is the kernel that refuses it what its user may not. */
static void ask_as_oneself(int result)
{
	const struct ownership none = { 0, OTHER_USER, OTHER_USER };

	ASSERT_INT(fsuid_may(&caller, file, R_OK), result);
	ASSERT_INT(fsuid_access(&caller, file, R_OK), result);
	CU_ASSERT_TRUE(fsuid_permits(&caller, &none, R_OK));
	CU_ASSERT_TRUE(fsuid_access_permits(&caller, &none, R_OK));
	CU_ASSERT_TRUE(fsuid_owns(&caller, &none));
	CU_ASSERT_TRUE(fsuid_may_strip(&caller, &none));
}

static void act_as_somebody(void *data)
{
	become_somebody(GROUP + 1);
	fsuid_init();
	act_as_oneself(data);
	ask_as_oneself(-EACCES);
}

static void act_as_bare_root(void *data)
{
	fsuid_init();
	act_as_oneself(data);
	ask_as_oneself(0);
}

static void who_cannot_act_for_others_acts_as_itself(void)
{
	if (!set_up(0600))
		return;
	failing_returns(NOTHING_FAILS, act_as_somebody, NULL);
	/* As root of a user namespace that forbids it. */
	failing_returns(FAILING({ SYS_setgroups, .result = -EPERM }), act_as_bare_root, NULL);
	tear_down();
}

/* The thread has the caller's ids for files, no groups, and no capability that decides on files. */
static void assert_is_caller(const char *groups)
{
	g_autofree char *now = own_credentials();
	g_autofree char *line = g_strdup_printf("Groups:\t%s \n", groups);

	ASSERT_INT(setfsuid(-1), SOMEBODY);
	ASSERT_INT(setfsgid(-1), SOMEBODY);
	CU_ASSERT_PTR_NOT_NULL(strstr(now, line));
	CU_ASSERT_FALSE(thread_capabilities() & CAPABILITY(CAP_DAC_OVERRIDE));
	CU_ASSERT_FALSE(thread_capabilities() & CAPABILITY(CAP_FOWNER));
}

static void act_and_retry(void *data)
{
	g_autofree char *before = NULL;
	struct fsuid id;

	(void)data;
	be_privileged();
	before = own_credentials();
	fsuid_begin(&id, &caller);
	assert_is_caller("");
	CU_ASSERT_FALSE(fsuid_retry(&id, 0));
	CU_ASSERT_FALSE(fsuid_retry(&id, -ENOENT));
	assert_is_caller("");
	CU_ASSERT_TRUE(fsuid_retry(&id, -EACCES));
	assert_is_caller("12");
	/* Once is enough, and they stay. */
	CU_ASSERT_FALSE(fsuid_retry(&id, -EACCES));
	fsuid_take_groups(&id);
	assert_is_caller("12");
	fsuid_end(&id);
	assert_unchanged(before);
	fsuid_begin(&id, &caller);
	CU_ASSERT_TRUE(fsuid_retry(&id, -EPERM));
	assert_is_caller("12");
	fsuid_end(&id);
	assert_unchanged(before);
}

/* Who has no groups, or none that are known. */
static void act_and_retry_without(void *data)
{
	const struct caller unknown = { .uid = SOMEBODY, .gid = SOMEBODY };
	struct fsuid id;

	(void)data;
	be_privileged();
	fsuid_begin(&id, &unknown);
	CU_ASSERT_TRUE(fsuid_retry(&id, -EACCES));
	assert_is_caller("");
	fsuid_end(&id);
	ASSERT_INT(setfsuid(-1), 0);
}

static void groups_are_taken_on_when_they_are_needed(void)
{
	if (!set_up(0600))
		return;
	failing_returns(NOTHING_FAILS, act_and_retry, NULL);
	failing_returns(NOTHING_FAILS, act_and_retry_without, NULL);
	tear_down();
}

static void act_by_descriptor(void *data)
{
	g_autofree char *before = NULL;
	struct fsuid id;

	(void)data;
	be_privileged();
	before = own_credentials();
	fsuid_begin_by_descriptor(&id, &caller, false);
	assert_unchanged(before);
	CU_ASSERT_FALSE(fsuid_retry(&id, -EPERM));
	fsuid_end(&id);
	fsuid_begin_by_descriptor(&id, &caller, true);
	g_autofree char *meanwhile = own_credentials();
	ASSERT_INT(setfsuid(-1), 0);
	ASSERT_INT(setfsgid(-1), SOMEBODY);
	CU_ASSERT_PTR_NOT_NULL(strstr(meanwhile, "Groups:\t12 \n"));
	CU_ASSERT_TRUE(thread_capabilities() & CAPABILITY(CAP_DAC_OVERRIDE));
	CU_ASSERT_FALSE(thread_capabilities() & CAPABILITY(CAP_FSETID));
	CU_ASSERT_FALSE(fsuid_retry(&id, -EPERM));
	fsuid_end(&id);
	assert_unchanged(before);
}

static void by_a_descriptor_all_is_done_but_with_the_callers_groups(void)
{
	if (!set_up(0600))
		return;
	failing_returns(NOTHING_FAILS, act_by_descriptor, NULL);
	tear_down();
}

static void begin_whole(void *data)
{
	const struct caller unknown = { .uid = SOMEBODY, .gid = SOMEBODY };
	g_autofree char *before = NULL;
	struct fsuid id;

	(void)data;
	be_privileged();
	before = own_credentials();
	for (int fd = -1; fd <= file; fd += file + 1) {
		ASSERT_INT(fsuid_begin_whole(&id, &caller, fd), 0);
		assert_is_caller("12");
		fsuid_end(&id);
		assert_unchanged(before);
		ASSERT_INT(fsuid_begin_whole(&id, &unknown, fd), -EACCES);
		assert_unchanged(before);
		fsuid_end(&id);
		assert_unchanged(before);
	}
	ASSERT_INT(fsuid_access(&unknown, file, R_OK), -EACCES);
	ASSERT_INT(fsuid_may(&unknown, file, R_OK), -EACCES);
	ASSERT_INT(fsuid_may(&caller, file, R_OK), -EACCES);
	ASSERT_INT(fsuid_access(&caller, file, R_OK), -EACCES);
	assert_unchanged(before);
}

static void all_rights_are_taken_on_or_none(void)
{
	/* Others might read it, the caller's group must not. */
	if (!set_up(0604))
		return;
	failing_returns(NOTHING_FAILS, begin_whole, NULL);
	tear_down();
}

static void ask_of_no_file(void *data)
{
	g_autofree char *before = NULL;
	struct fsuid id;

	(void)data;
	be_privileged();
	before = own_credentials();
	ASSERT_INT(fsuid_begin_whole(&id, &caller, file), -EIO);
	assert_unchanged(before);
	fsuid_end(&id);
	ASSERT_INT(fsuid_may(&caller, file, R_OK), -EIO);
	ASSERT_INT(fsuid_access(&caller, file, R_OK), -EIO);
	assert_unchanged(before);
}

static void of_what_cannot_be_looked_at_nothing_is_permitted(void)
{
	if (!set_up(0666))
		return;
	failing_returns(FAILING({ FSTAT_OF(file), .result = -EIO }), ask_of_no_file, NULL);
	tear_down();
}

/* What everybody may needs no question; everything else is the kernel's to say. */
static void ask_what_all_may(void *data)
{
	const struct caller unknown = { .uid = SOMEBODY, .gid = SOMEBODY };
	const int *result = data;

	be_privileged();
	ASSERT_INT(fsuid_may(&unknown, file, R_OK), *result);
}

static void forbid(void)
{
	CU_ASSERT(fchmod(file, 0600) == 0);
}

/* An ACL may have gone meanwhile: its mode says nothing of whom it kept out. */
static void touch(void)
{
	struct stat before, after;

	CU_ASSERT(fstat(file, &before) == 0);
	do {
		CU_ASSERT(fchmod(file, 0666) == 0);
		CU_ASSERT(fstat(file, &after) == 0);
	} while (after.st_ctim.tv_sec == before.st_ctim.tv_sec &&
		after.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
}

static void what_all_may_stays_so_while_it_is_looked_at(void)
{
	int permitted = 0, refused = -EACCES;

	if (!set_up(0666))
		return;
	failing_returns(NOTHING_FAILS, ask_what_all_may, &permitted);
	failing_returns(FAILING({ FSTAT_OF(file), .after = 1, .times = 1, .result = -EIO }),
		ask_what_all_may, &refused);
	failing_returns(FAILING({ FSTAT_OF(file), .after = 1, .times = 1, .meanwhile = touch }),
		ask_what_all_may, &refused);
	failing_returns(FAILING({ SYS_fgetxattr, .result = -EIO }), ask_what_all_may, &refused);
	failing_returns(FAILING({ FSTAT_OF(file), .after = 1, .times = 1, .meanwhile = forbid }),
		ask_what_all_may, &refused);
	failing_returns(NOTHING_FAILS, ask_what_all_may, &refused);
	tear_down();
}

static void begin_and_end(void *data)
{
	const struct caller *who = data;
	struct fsuid id;

	be_privileged();
	fsuid_begin(&id, who);
	fsuid_take_groups(&id);
	errno = EDOM;
	fsuid_end(&id);
	ASSERT_INT(errno, EDOM);
	ASSERT_INT(getgroups(0, NULL), 0);
	ASSERT_INT(setfsuid(-1), 0);
}

static void what_memory_is_short_for_is_tried_again(void)
{
	if (!set_up(0600))
		return;
	failing_returns(FAILING({ SYS_setgroups, .argument = 1, .value = 1, .times = 3,
				.result = -ENOMEM }),
		begin_and_end, &caller);
	failing_returns(FAILING({ SYS_setgroups, .argument = 1, .after = 1, .times = 3,
				.result = -ENOMEM }),
		begin_and_end, &caller);
	failing_returns(FAILING({ SYS_setfsuid, .argument = 1, .value = 0, .times = 3 }),
		begin_and_end, &caller);
	tear_down();
}

static void a_thread_that_stays_a_callers_ends_the_process(void)
{
	struct caller root = { 0 };

	if (!set_up(0600))
		return;
	failing_ends(FAILING({ SYS_setgroups, .argument = 1, .value = 1, .result = -EPERM }),
		"setgroups: Operation not permitted", begin_and_end, &caller);
	failing_ends(FAILING({ SYS_setgroups, .argument = 1, .after = 1, .result = -ENOMEM }),
		"setgroups: Cannot allocate memory", begin_and_end, &caller);
	failing_ends(FAILING({ SYS_setfsuid, .argument = 1, .value = SOMEBODY }),
		"cannot take on user 54321, group 54321", begin_and_end, &caller);
	failing_ends(FAILING({ SYS_setfsuid, .argument = 1, .value = 0 }),
		"cannot take on user 0, group 0", begin_and_end, &caller);
	failing_ends(FAILING({ SYS_setfsgid, .argument = 1, .value = 0 }),
		"cannot take on user 0, group 0", begin_and_end, &caller);
	failing_ends(FAILING({ SYS_capset, .result = -EPERM }), "capset", begin_and_end, &root);
	tear_down();
}

static void set_umasks(void *data)
{
	(void)data;
	fsuid_umask(027);
	ASSERT_INT(umask(0), 027);
	fsuid_umask(077);
	ASSERT_INT(umask(0), 077);
}

/* Else every thread of the daemon would have it. */
static void a_umask_is_the_threads_own_or_the_process_ends(void)
{
	failing_returns(FAILING({ SYS_unshare, .times = 3, .result = -ENOMEM }), set_umasks, NULL);
	/* Once is enough. */
	failing_returns(FAILING({ SYS_unshare, .after = 1, .if_made = true, .result = -EPERM }),
		set_umasks, NULL);
	failing_ends(FAILING({ SYS_unshare, .result = -ENOMEM }), "unshare", set_umasks, NULL);
	failing_ends(FAILING({ SYS_unshare, .result = -EPERM }), "unshare", set_umasks, NULL);
}

static void settle(void *data)
{
	struct fsuid id;

	(void)data;
	be_privileged();
	fsuid_settle();
	CU_ASSERT_FALSE(thread_capabilities() & CAPABILITY(CAP_KILL));
	fsuid_begin(&id, &caller);
	fsuid_take_groups(&id);
	assert_is_caller("12");
	fsuid_end(&id);
	CU_ASSERT_FALSE(thread_capabilities() & CAPABILITY(CAP_KILL));
	CU_ASSERT_TRUE(thread_capabilities() & CAPABILITY(CAP_DAC_OVERRIDE));
}

static void what_no_request_may_use_is_given_up_for_good(void)
{
	if (!set_up(0600))
		return;
	failing_returns(NOTHING_FAILS, settle, NULL);
	tear_down();
}

static CU_TestInfo tests[] = {
	{ "who cannot act for others acts as itself", who_cannot_act_for_others_acts_as_itself },
	{ "groups are taken on when they are needed", groups_are_taken_on_when_they_are_needed },
	{ "by a descriptor all is done, but with the caller's groups",
		by_a_descriptor_all_is_done_but_with_the_callers_groups },
	{ "all rights are taken on or none", all_rights_are_taken_on_or_none },
	{ "of what cannot be looked at nothing is permitted",
		of_what_cannot_be_looked_at_nothing_is_permitted },
	{ "what all may stays so while it is looked at",
		what_all_may_stays_so_while_it_is_looked_at },
	{ "what memory is short for is tried again", what_memory_is_short_for_is_tried_again },
	{ "a thread that stays a caller's ends the process",
		a_thread_that_stays_a_callers_ends_the_process },
	{ "what no request may use is given up for good",
		what_no_request_may_use_is_given_up_for_good },
	{ "a umask is the thread's own or the process ends",
		a_umask_is_the_threads_own_or_the_process_ends },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo fsuid_suite = { "fsuid", NULL, NULL, NULL, NULL, tests };
