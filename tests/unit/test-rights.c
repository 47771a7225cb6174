/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The groups and capabilities of a caller: whose they are, what they count over, and that unread ones are none. */
#include "caller/rights.h"

#include "actor.h"
#include "base/util.h"
#include "failing.h"
#include "pair.h"
#include "somebody.h"
#include "unit.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GROUP 12
#define OPENS(file) SYS_openat, .argument = 2, .path = (file)
#define LOOKS_AT(file) SYS_newfstatat, .argument = 2, .path = (file)
#define IO_WORKER_STAT "1 (iou-wrk-1) S 1 1 1 0 -1 4194320 0 0 0 0 0 0 0 0 20 0 1 0 77\n"

/* Whose rights are asked for, where nobody else checks what callers may do, and whether they are known then. */
struct asked {
	struct caller caller;
	bool known;
};

static void ask(void *data)
{
	const struct asked *asked = data;
	struct caller_rights rights;

	caller_rights_decide_alone(true);
	caller_rights_read(&asked->caller, &rights);
	ASSERT_INT(rights.known, asked->known);
	ASSERT_INT(rights.groups->len, asked->known);
	ASSERT_INT(caller_rights_in_group(&rights, GROUP), asked->known);
	ASSERT_INT(rights.effective, 0);
	caller_rights_clear(&rights);
}

/* Nothing is left of the answer before. */
static void ask_twice(void *data)
{
	const struct asked *asked = data;
	struct caller_rights first, second;

	caller_rights_read(&asked->caller, &first);
	caller_rights_read(&asked->caller, &second);
	CU_ASSERT_TRUE(first.known);
	CU_ASSERT_FALSE(second.known);
	caller_rights_clear(&first);
	caller_rights_clear(&second);
}

static void rights_that_cannot_be_read_are_none(void)
{
	struct asked known = { .known = true }, unknown;
	g_autofree char *directory = NULL, *thread = NULL;
	int keep;

	NEED_SOMEBODY();
	known.caller = caller_of(start_somebody(GROUP, true, &keep), SOMEBODY);
	unknown = (struct asked){ known.caller, false };
	directory = g_strdup_printf("/proc/%d", known.caller.pid);
	thread = g_strdup_printf("task/%d", known.caller.pid);
	failing_returns(NOTHING_FAILS, ask, &known);
	failing_returns(FAILING({ OPENS(directory), .result = -EMFILE }), ask, &unknown);
	failing_returns(FAILING({ OPENS("status"), .result = -EMFILE }), ask, &unknown);
	failing_returns(FAILING({ OPENS("status"), .after = 1, .result = -EMFILE }), ask_twice,
		&unknown);
	/* Whether it is a thread of an io_uring, whose own rights these are not. */
	failing_returns(FAILING({ OPENS(thread), .result = -EMFILE }), ask, &unknown);
	failing_returns(FAILING({ OPENS("stat"), .result = -EACCES }), ask, &unknown);
	end_somebody(known.caller.pid, keep);
	failing_returns(NOTHING_FAILS, ask, &unknown);
}

/* It acts with those of who made the request, which its directory does not tell. */
static void rights_of_an_io_uring_are_not_known(void)
{
	int fd = memfd_create("stat", 0), keep;
	struct asked asked = { .known = false };

	NEED_SOMEBODY();
	CU_ASSERT_FATAL(fd >= 0 &&
		write(fd, IO_WORKER_STAT, strlen(IO_WORKER_STAT)) ==
			(ssize_t)strlen(IO_WORKER_STAT) &&
		lseek(fd, 0, SEEK_SET) == 0);
	asked.caller = caller_of(start_somebody(GROUP, true, &keep), SOMEBODY);
	failing_returns(FAILING({ OPENS("stat"), .result = fd }), ask, &asked);
	end_somebody(asked.caller.pid, keep);
	close(fd);
}

/* Of this process, if it cannot be told whether it is in its own user namespace: then as of another's. */
static void ask_of_oneself(void *data)
{
	const struct caller self = caller_of(getpid(), 0);
	struct caller_rights rights;
	uint64_t over;

	(void)data;
	caller_rights_read_here(&self, &rights);
	CU_ASSERT_TRUE(rights.known);
	ASSERT_INT(rights.effective, 0);
	ASSERT_INT(rights.inside, 0);
	caller_rights_clear(&rights);
	caller_rights_read(&self, &rights);
	CU_ASSERT_TRUE(rights.known);
	ASSERT_INT(rights.effective, 0);
	over = caller_rights_over(&rights, 0, 0);
	CU_ASSERT_TRUE(over & CAPABILITY(CAP_FOWNER));
	CU_ASSERT_FALSE(over & CAPABILITY(CAP_SYS_ADMIN));
	caller_rights_clear(&rights);
}

static void capabilities_count_where_it_is_known_what_they_are_about(void)
{
	NEED_SOMEBODY();
	failing_returns(FAILING({ LOOKS_AT("/proc/self/ns/user"), .result = -EACCES }),
		ask_of_oneself, NULL);
	failing_returns(FAILING({ LOOKS_AT("ns/user"), .result = -EACCES }), ask_of_oneself, NULL);
}

static void become_real_and_effective(int channel, uid_t real, uid_t effective)
{
	if (syscall(SYS_setresuid, real, effective, 0) < 0)
		_exit(1);
	actor_step(channel);
}

static void play_somebody_by_root(int channel)
{
	become_real_and_effective(channel, 0, SOMEBODY);
}

static void play_root_by_somebody(int channel)
{
	become_real_and_effective(channel, SOMEBODY, 0);
}

static void play_root_without_effect(int channel)
{
	thread_set_capabilities(0);
	actor_step(channel);
}

enum { UNKNOWN = -1, NONE, SOME };

/* What a caller of that user may use, by access(2). */
static int by_access(const struct actor *actor, uid_t uid, int want)
{
	const struct caller caller = { .uid = uid, .pid = actor->pid };
	struct caller_rights rights;
	int r;

	caller_rights_read_for_access(&caller, want, &rights);
	r = !rights.known ? UNKNOWN : rights.effective == 0 ? NONE : SOME;
	caller_rights_clear(&rights);
	return r;
}

static int by_itself(const struct actor *actor, uid_t uid)
{
	const struct caller caller = { .uid = uid, .pid = actor->pid };
	struct caller_rights rights;
	int r;

	caller_rights_read(&caller, &rights);
	r = !rights.known ? UNKNOWN : rights.effective == 0 ? NONE : SOME;
	caller_rights_clear(&rights);
	return r;
}

static void access_asks_by_the_real_user(void)
{
	struct actor actor;

	NEED_SOMEBODY();
	actor = actor_start(play_somebody_by_root);
	ASSERT_INT(by_access(&actor, 0, R_OK), SOME);
	ASSERT_INT(by_access(&actor, 0, X_OK), SOME);
	ASSERT_INT(by_access(&actor, SOMEBODY, R_OK), NONE);
	ASSERT_INT(by_access(&actor, SOMEBODY + 1, R_OK), UNKNOWN);
	ASSERT_INT(by_itself(&actor, SOMEBODY), NONE);
	ASSERT_INT(by_itself(&actor, 0), UNKNOWN);
	actor_stop(&actor);
	actor = actor_start(play_root_by_somebody);
	ASSERT_INT(by_access(&actor, 0, R_OK), SOME);
	ASSERT_INT(by_access(&actor, SOMEBODY, R_OK), NONE);
	ASSERT_INT(by_access(&actor, SOMEBODY, X_OK), NONE);
	ASSERT_INT(by_itself(&actor, 0), SOME);
	ASSERT_INT(by_itself(&actor, SOMEBODY), UNKNOWN);
	actor_stop(&actor);
	/* All that it is permitted, but chdir(2) is by what is in effect. */
	actor = actor_start(play_root_without_effect);
	ASSERT_INT(by_access(&actor, 0, R_OK), SOME);
	ASSERT_INT(by_access(&actor, 0, X_OK), NONE);
	ASSERT_INT(by_itself(&actor, 0), NONE);
	actor_stop(&actor);
}

static void play_root_of_namespace(int channel)
{
	if (unshare(CLONE_NEWUSER) < 0)
		_exit(1);
	actor_step(channel);
}

/* User 0 and SOMEBODY, and group 0. */
static bool map_ids(pid_t pid)
{
	static const char users[] = "0 0 1\n1 54321 1\n", groups[] = "0 0 1\n";
	g_autofree char *uid_map = g_strdup_printf("/proc/%d/uid_map", pid);
	g_autofree char *gid_map = g_strdup_printf("/proc/%d/gid_map", pid);
	auto_fd user = open(uid_map, O_WRONLY | O_CLOEXEC);
	auto_fd group = open(gid_map, O_WRONLY | O_CLOEXEC);

	return user >= 0 && group >= 0 && write(user, users, strlen(users)) > 0 &&
		write(group, groups, strlen(groups)) > 0;
}

static void a_namespaces_root_has_rights_over_what_is_mapped(void)
{
	struct caller caller = { 0 };
	struct caller_rights rights;
	struct actor actor;

	NEED_SOMEBODY();
	actor = actor_start(play_root_of_namespace);
	caller.pid = actor.pid;
	if (!map_ids(actor.pid)) {
		actor_stop(&actor);
		SKIP("no ids can be mapped here");
	}
	caller_rights_read(&caller, &rights);
	CU_ASSERT_TRUE(rights.known);
	ASSERT_INT(rights.effective, 0);
	CU_ASSERT_TRUE(caller_rights_over(&rights, 0, 0) & CAPABILITY(CAP_DAC_OVERRIDE));
	CU_ASSERT_FALSE(caller_rights_over(&rights, 0, 0) & CAPABILITY(CAP_SYS_ADMIN));
	CU_ASSERT_TRUE(caller_rights_over(&rights, SOMEBODY, 0) & CAPABILITY(CAP_DAC_OVERRIDE));
	CU_ASSERT_EQUAL(caller_rights_over(&rights, SOMEBODY, GROUP), CAPABILITY(CAP_FOWNER));
	CU_ASSERT_EQUAL(caller_rights_over(&rights, SOMEBODY + 1, 0), 0);
	caller_rights_clear(&rights);
	caller_rights_read_for_access(&caller, R_OK, &rights);
	CU_ASSERT_TRUE(caller_rights_over(&rights, 0, 0) & CAPABILITY(CAP_DAC_OVERRIDE));
	caller_rights_clear(&rights);
	caller_rights_read_here(&caller, &rights);
	CU_ASSERT_TRUE(rights.known);
	CU_ASSERT_EQUAL(caller_rights_over(&rights, 0, 0), 0);
	caller_rights_clear(&rights);
	actor_stop(&actor);
}

/* One who has capabilities there, but is not its root, asks access(2) without them. */
static void access_of_a_namespaces_user_is_without_capabilities(void)
{
	const struct state user = { SOMEBODY, CLONE_NEWUSER, ALL_CAPABILITIES };
	struct caller_rights rights;
	struct caller caller;
	struct pair pair;

	NEED_SOMEBODY();
	if (!pair_start(&user, &pair_same, &pair))
		return;
	caller = caller_of(pair.first, SOMEBODY);
	caller_rights_read(&caller, &rights);
	CU_ASSERT_TRUE(
		caller_rights_over(&rights, SOMEBODY, SOMEBODY) & CAPABILITY(CAP_DAC_OVERRIDE));
	caller_rights_clear(&rights);
	caller_rights_read_for_access(&caller, R_OK, &rights);
	CU_ASSERT_TRUE(rights.known);
	CU_ASSERT_EQUAL(caller_rights_over(&rights, SOMEBODY, SOMEBODY), 0);
	caller_rights_clear(&rights);
	pair_end(&pair);
}

static CU_TestInfo tests[] = {
	{ "rights that cannot be read are none", rights_that_cannot_be_read_are_none },
	{ "rights of an io_uring are not known", rights_of_an_io_uring_are_not_known },
	{ "capabilities count where it is known what they are about",
		capabilities_count_where_it_is_known_what_they_are_about },
	{ "access(2) asks by the real user", access_asks_by_the_real_user },
	{ "a namespace's root has rights over what is mapped",
		a_namespaces_root_has_rights_over_what_is_mapped },
	{ "access(2) of a namespace's user is without capabilities",
		access_of_a_namespaces_user_is_without_capabilities },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo rights_suite = { "rights", NULL, NULL, NULL, NULL, tests };
