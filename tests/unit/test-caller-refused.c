/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens to a caller when the kernel refuses the daemon to act as that caller, or to be itself again. */
#include "caller/effective.h"
#include "caller/rights.h"

#include "base/util.h"
#include "failing.h"
#include "somebody.h"
#include "unit.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

#define GROUP 12
#define FOR_SOMEBODY .argument = 2, .value = SOMEBODY
#define FOR_ROOT .argument = 2, .value = 0

/* A caller, and what effective_begin() is to say of it. */
struct asked {
	struct caller caller;
	int result;
};

static struct asked somebody = { { .uid = SOMEBODY, .gid = SOMEBODY }, 0 };
static struct asked somebody_refused = { { .uid = SOMEBODY, .gid = SOMEBODY }, -EPERM };

/* Acts as the caller if that is what is expected, and is in any case as before afterwards. */
static void act_as(void *data)
{
	const struct asked *asked = data;
	g_autofree char *before = own_credentials();
	struct effective ids;

	ASSERT_INT(effective_begin(&ids, &asked->caller), asked->result);
	if (asked->result == 0) {
		ASSERT_INT(geteuid(), asked->caller.uid);
		ASSERT_INT(getegid(), asked->caller.gid);
		ASSERT_INT(setfsuid(-1), asked->caller.uid);
		ASSERT_INT(setfsgid(-1), asked->caller.gid);
		/* Of whom nothing is known. */
		ASSERT_INT(thread_capabilities(), 0);
	} else {
		g_autofree char *meanwhile = own_credentials();
		ASSERT_STRING(meanwhile, before);
	}
	errno = EDOM;
	effective_end(&ids);
	ASSERT_INT(errno, EDOM);
	g_autofree char *after = own_credentials();
	ASSERT_STRING(after, before);
}

/* The thread has given some up for the moment: coming back from a caller does not give them back. */
static void act_with_few_capabilities(void *data)
{
	thread_set_capabilities_among(CAPABILITY(CAP_CHOWN), 0);
	act_as(data);
}

static void a_thread_comes_back_with_its_own_capabilities(void)
{
	NEED_SOMEBODY();
	failing_returns(NOTHING_FAILS, act_with_few_capabilities, &somebody);
	failing_returns(FAILING({ SYS_setresuid, FOR_SOMEBODY, .result = -EPERM }),
		act_with_few_capabilities, &somebody_refused);
}

static void who_cannot_be_acted_as_is_refused(void)
{
	struct asked root = { { .uid = 0, .gid = 0 }, 0 };
	struct asked root_of_group = { { .uid = 0, .gid = GROUP }, -EPERM };

	NEED_SOMEBODY();
	failing_returns(FAILING({ SYS_setresgid, FOR_SOMEBODY, .result = -EPERM }), act_as,
		&somebody_refused);
	failing_returns(FAILING({ SYS_setresuid, FOR_SOMEBODY, .result = -EPERM }), act_as,
		&somebody_refused);
	/* As in a user namespace: then root alone is served, without groups. */
	failing_returns(FAILING({ SYS_setgroups, .result = -EPERM }), act_as, &somebody_refused);
	failing_returns(FAILING({ SYS_setgroups, .result = -EPERM }), act_as, &root_of_group);
	failing_returns(FAILING({ SYS_setgroups, .result = -EPERM }), act_as, &root);
}

/* Groups as well as ids, in both directions. */
static void what_memory_is_short_for_is_tried_again(void)
{
	NEED_SOMEBODY();
	failing_returns(FAILING({ SYS_setresgid, .times = 3, .result = -ENOMEM }), act_as,
		&somebody);
	failing_returns(FAILING({ SYS_setresuid, .after = 1, .times = 3, .result = -EAGAIN }),
		act_as, &somebody);
	failing_returns(FAILING({ SYS_setgroups, .times = 3, .result = -ENOMEM }), act_as,
		&somebody);
	failing_returns(FAILING({ SYS_setgroups, .after = 1, .times = 3, .result = -ENOMEM }),
		act_as, &somebody);
	failing_returns(FAILING({ SYS_capset, .times = 3, .result = -ENOMEM }), act_as, &somebody);
	/* But not for ever. */
	failing_returns(FAILING({ SYS_setgroups, .result = -ENOMEM }), act_as, &somebody_refused);
}

/* In the middle of acting as another caller, by file ids alone. */
static void act_with_file_ids(void *data)
{
	thread_set_file_ids(7, 8);
	act_as(data);
}

static void a_thread_that_stays_another_users_ends_the_process(void)
{
	NEED_SOMEBODY();
	failing_ends(FAILING({ SYS_setresuid, FOR_ROOT, .result = -EPERM }),
		"cannot become root again", act_as, &somebody);
	failing_ends(FAILING({ SYS_setresuid, FOR_ROOT, .result = -ENOMEM }),
		"cannot become root again", act_as, &somebody);
	failing_ends(FAILING({ SYS_setresgid, FOR_ROOT, .result = -EPERM }),
		"cannot become root again", act_as, &somebody);
	failing_ends(FAILING({ SYS_setgroups, .after = 1, .result = -EPERM }),
		"cannot leave a caller's groups", act_as, &somebody);
	failing_ends(FAILING({ SYS_setfsuid, .argument = 1, .value = 7, .after = 1 }),
		"cannot take on user 7, group 8", act_with_file_ids, &somebody);
}

/* Also where the caller was refused. */
static void a_thread_that_stays_half_another_users_ends_the_process(void)
{
	NEED_SOMEBODY();
	failing_ends(FAILING({ SYS_setresuid, FOR_SOMEBODY, .result = -EPERM },
			     { SYS_setresgid, FOR_ROOT, .result = -EPERM }),
		"cannot become root again", act_as, &somebody_refused);
	failing_ends(FAILING({ SYS_setresgid, FOR_SOMEBODY, .result = -EPERM },
			     { SYS_setgroups, .after = 1, .result = -EPERM }),
		"cannot leave a caller's groups", act_as, &somebody_refused);
}

static void without_its_own_rights_a_thread_is_nobodys(void)
{
	NEED_SOMEBODY();
	failing_ends(FAILING({ SYS_capget, .result = -EINVAL }), "capget", act_as, &somebody);
	failing_ends(FAILING({ SYS_capset, .result = -EPERM }), "capset", act_as, &somebody);
	failing_ends(FAILING({ SYS_capset, .result = -ENOMEM }), "capset", act_as, &somebody);
	/* Its own groups are not known: it could not go back to them. */
	failing_ends(FAILING({ SYS_getgroups, .times = 1, .result = -EINVAL }), "getgroups", act_as,
		&somebody);
	failing_ends(FAILING({ SYS_getgroups, .after = 1, .result = -EINVAL }), "getgroups", act_as,
		&somebody);
}

static void act_without_privilege(void *data)
{
	struct asked self = { { .uid = SOMEBODY, .gid = SOMEBODY }, 0 };
	struct asked other_user = { { .uid = 0, .gid = SOMEBODY }, -EPERM };
	struct asked other_group = { { .uid = SOMEBODY, .gid = GROUP }, -EPERM };

	(void)data;
	become_somebody(GROUP);
	act_as(&self);
	act_as(&other_user);
	act_as(&other_group);
}

static void without_privilege_only_oneself_is_acted_as(void)
{
	NEED_SOMEBODY();
	failing_returns(NOTHING_FAILS, act_without_privilege, NULL);
}

static void take_file_ids(void *data)
{
	(void)data;
	thread_set_file_ids(SOMEBODY, SOMEBODY + 1);
	CU_ASSERT_FALSE(thread_change_file_ids(SOMEBODY, SOMEBODY + 1));
	ASSERT_INT(setfsuid(-1), SOMEBODY);
	ASSERT_INT(setfsgid(-1), SOMEBODY + 1);
}

/* setfsuid(2) reports failure only by not having happened. */
static void file_ids_are_taken_on_or_the_process_ends(void)
{
	NEED_SOMEBODY();
	failing_returns(FAILING({ SYS_setfsuid, .argument = 1, .value = SOMEBODY, .times = 3 }),
		take_file_ids, NULL);
	failing_ends(FAILING({ SYS_setfsuid, .argument = 1, .value = SOMEBODY }),
		"cannot take on user 54321, group 54322", take_file_ids, NULL);
	failing_ends(FAILING({ SYS_setfsgid, .argument = 1, .value = SOMEBODY + 1 }),
		"cannot take on user 54321, group 54322", take_file_ids, NULL);
}

static void keep_two_capabilities(void *data)
{
	const uint64_t wanted = CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_BPF);

	(void)data;
	process_keep_capabilities(wanted);
	for (unsigned n = 0; n <= CAP_BPF; n++)
		ASSERT_INT(prctl(PR_CAPBSET_READ, n), !!(wanted & CAPABILITY(n)));
	CU_ASSERT_EQUAL(thread_capabilities(), wanted);
	thread_set_capabilities(UINT64_MAX);
	CU_ASSERT_EQUAL(thread_capabilities(), wanted);
	/* One of the first 32, one of the others: each is taken and given for itself. */
	thread_set_capabilities(CAPABILITY(CAP_SETUID));
	CU_ASSERT_EQUAL(thread_capabilities(), CAPABILITY(CAP_SETUID));
	thread_set_capabilities_among(CAPABILITY(CAP_SETUID), 0);
	CU_ASSERT_EQUAL(thread_capabilities(), 0);
}

static void what_is_not_kept_is_gone_or_the_process_ends(void)
{
	NEED_SOMEBODY();
	if (!(thread_capabilities() & CAPABILITY(CAP_BPF)) ||
		!(thread_capabilities() & CAPABILITY(CAP_SETPCAP)))
		SKIP("this process has no capability to keep, or cannot give others up");
	failing_returns(NOTHING_FAILS, keep_two_capabilities, NULL);
	failing_ends(FAILING({ SYS_capset, .result = -EPERM }), "capset", keep_two_capabilities,
		NULL);
}

static CU_TestInfo tests[] = {
	{ "a thread comes back with its own capabilities",
		a_thread_comes_back_with_its_own_capabilities },
	{ "who cannot be acted as is refused", who_cannot_be_acted_as_is_refused },
	{ "what memory is short for is tried again", what_memory_is_short_for_is_tried_again },
	{ "a thread that stays another user's ends the process",
		a_thread_that_stays_another_users_ends_the_process },
	{ "a thread that stays half another user's ends the process",
		a_thread_that_stays_half_another_users_ends_the_process },
	{ "without its own rights a thread is nobody's",
		without_its_own_rights_a_thread_is_nobodys },
	{ "without privilege only oneself is acted as",
		without_privilege_only_oneself_is_acted_as },
	{ "file ids are taken on or the process ends", file_ids_are_taken_on_or_the_process_ends },
	{ "what is not kept is gone or the process ends",
		what_is_not_kept_is_gone_or_the_process_ends },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo caller_refused_suite = { "caller refused", NULL, NULL, NULL, NULL, tests };
