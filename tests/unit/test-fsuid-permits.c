/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a caller may do to files about which the kernel cannot be asked. */
#include "caller/fsuid.h"
#include "caller/rights.h"

#include "actor.h"
#include "failing.h"
#include "pair.h"
#include "unit.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP 12
#define OTHER_USER 7

static void be_privileged(void)
{
	fsuid_init();
	CU_ASSERT_TRUE_FATAL(fsuid_privileged());
}

static bool permits(const struct caller *who, const struct ownership *of, int want)
{
	bool permitted = fsuid_permits(who, of, want);

	ASSERT_INT(fsuid_access_permits(who, of, want), permitted);
	return permitted;
}

/* A root that has these alone. */
static void ask_for_capability(const struct caller *who, unsigned number)
{
	const struct ownership data = { S_IFREG, OTHER_USER, OTHER_USER };
	const struct ownership program = { S_IFREG | 0010, OTHER_USER, OTHER_USER };
	const struct ownership directory = { S_IFDIR, OTHER_USER, OTHER_USER };
	bool reads = number == CAP_DAC_READ_SEARCH || number == CAP_DAC_OVERRIDE;
	bool all = number == CAP_DAC_OVERRIDE;

	ASSERT_INT(permits(who, &data, R_OK), reads);
	ASSERT_INT(permits(who, &data, W_OK), all);
	ASSERT_INT(permits(who, &data, R_OK | W_OK), all);
	ASSERT_INT(permits(who, &data, X_OK), false);
	ASSERT_INT(permits(who, &program, X_OK), all);
	ASSERT_INT(permits(who, &directory, R_OK | X_OK), reads);
	ASSERT_INT(permits(who, &directory, W_OK), all);
	ASSERT_INT(permits(who, &directory, W_OK | X_OK), all);
	ASSERT_INT(fsuid_owns(who, &data), number == CAP_FOWNER);
	ASSERT_INT(fsuid_may_strip(who, &data),
		number == CAP_FOWNER || number == CAP_CHOWN || number == CAP_SETFCAP);
}

struct root_with {
	struct caller caller;
	unsigned number;
};

static void be_asked_for_capability(void *data)
{
	const struct root_with *root = data;

	be_privileged();
	ask_for_capability(&root->caller, root->number);
}

static void a_root_may_what_its_capabilities_let(void)
{
	static const unsigned numbers[] = { CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, CAP_FOWNER,
		CAP_CHOWN, CAP_SETFCAP, CAP_SYS_ADMIN };

	if (geteuid() != 0)
		SKIP("only root decides for others");
	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
		const struct state state = { .capabilities = CAPABILITY(numbers[i]) };
		struct root_with root = { .number = numbers[i] };
		struct pair pair;

		if (!pair_start(&state, &pair_same, &pair))
			return;
		root.caller = caller_of(pair.first, 0);
		failing_returns(NOTHING_FAILS, be_asked_for_capability, &root);
		pair_end(&pair);
	}
}

static void play_root_without_effect(int channel)
{
	thread_set_capabilities(0);
	actor_step(channel);
}

static void ask_by_access(void *data)
{
	const struct ownership secret = { S_IFREG, OTHER_USER, OTHER_USER };
	const struct caller *root = data;

	be_privileged();
	CU_ASSERT_FALSE(fsuid_permits(root, &secret, R_OK));
	CU_ASSERT_TRUE(fsuid_access_permits(root, &secret, R_OK));
	CU_ASSERT_FALSE(fsuid_permits(root, &secret, R_OK));
}

/* As the kernel: it counts what a root could use. */
static void access_is_answered_by_what_a_root_is_permitted(void)
{
	struct caller root;
	struct actor actor;

	if (geteuid() != 0)
		SKIP("only root decides for others");
	actor = actor_start(play_root_without_effect);
	root = caller_of(actor.pid, 0);
	failing_returns(NOTHING_FAILS, ask_by_access, &root);
	actor_stop(&actor);
}

/* Of whom nothing is known may be in the group or not. */
static void ask_of_somebody_unknown(void *data)
{
	const struct caller unknown = { .uid = SOMEBODY, .gid = SOMEBODY };
	const struct ownership others = { 0604, OTHER_USER, GROUP };
	const struct ownership all = { 0644, OTHER_USER, GROUP };
	const struct ownership own_group = { 0640, OTHER_USER, SOMEBODY };
	const struct ownership not_own_group = { 0604, OTHER_USER, SOMEBODY };
	const struct ownership own = { 0400, SOMEBODY, GROUP };
	const struct ownership not_own = { 0044, SOMEBODY, GROUP };

	(void)data;
	be_privileged();
	CU_ASSERT_FALSE(permits(&unknown, &others, R_OK));
	CU_ASSERT_TRUE(permits(&unknown, &all, R_OK));
	CU_ASSERT_TRUE(permits(&unknown, &own_group, R_OK));
	CU_ASSERT_FALSE(permits(&unknown, &not_own_group, R_OK));
	CU_ASSERT_TRUE(permits(&unknown, &own, R_OK));
	CU_ASSERT_FALSE(permits(&unknown, &own, W_OK));
	CU_ASSERT_FALSE(permits(&unknown, &not_own, R_OK));
	CU_ASSERT_TRUE(fsuid_owns(&unknown, &own));
	CU_ASSERT_FALSE(fsuid_owns(&unknown, &others));
}

static void of_whom_nothing_is_known_may_what_member_and_others_may(void)
{
	if (geteuid() != 0)
		SKIP("only root decides for others");
	failing_returns(NOTHING_FAILS, ask_of_somebody_unknown, NULL);
}

static CU_TestInfo tests[] = {
	{ "a root may what its capabilities let", a_root_may_what_its_capabilities_let },
	{ "access(2) is answered by what a root is permitted",
		access_is_answered_by_what_a_root_is_permitted },
	{ "of whom nothing is known may what member and others may",
		of_whom_nothing_is_known_may_what_member_and_others_may },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo fsuid_permits_suite = { "fsuid permits", NULL, NULL, NULL, NULL, tests };
