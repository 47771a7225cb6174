/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What callers see that no thread can act as: of other namespaces, and in a sandbox. */
#include "caller/account.h"
#include "caller/rights.h"
#include "caller/who.h"
#include "events/processes.h"
#include "procfs/proc.h"

#include "actor.h"
#include "pair.h"
#include "somebody.h"
#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool asks(pid_t pid, uid_t uid, bool (*question)(struct caller_sight *sight, pid_t pid),
	pid_t about)
{
	const struct caller caller = caller_of(pid, uid);
	struct caller_sight sight;
	bool answer;

	caller_sight_begin(&sight, "/proc", &caller);
	answer = question(&sight, about);
	caller_sight_end(&sight);
	return answer;
}

static bool sees(pid_t pid, uid_t uid, pid_t about)
{
	return asks(pid, uid, caller_sees_memory, about);
}

static unsigned own_descriptors(void)
{
	g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(int));
	auto_fd self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	CU_ASSERT_FATAL(self >= 0 && proc_list_descriptors(self, numbers) == 0);
	return numbers->len;
}

static void capabilities_about_a_namespace_show_what_is_in_it(void)
{
	const struct state root = { SOMEBODY, CLONE_NEWUSER, ALL_CAPABILITIES };
	const struct state member = { .capabilities = ALL_CAPABILITIES };
	const struct state plain = { SOMEBODY, .capabilities = 0 };
	struct pair inside, outside;
	unsigned before;

	if (!pair_start(&root, &member, &inside))
		return;
	if (pair_start(&plain, &pair_same, &outside)) {
		before = own_descriptors();
		CU_ASSERT(sees(inside.first, SOMEBODY, inside.first));
		CU_ASSERT(sees(inside.first, SOMEBODY, inside.second));
		CU_ASSERT(asks(inside.first, SOMEBODY, caller_sees_process, inside.second));
		/* Of the same user, but of a namespace above. */
		CU_ASSERT(!sees(inside.first, SOMEBODY, outside.first));
		CU_ASSERT(!sees(inside.first, SOMEBODY, getpid()));
		CU_ASSERT(sees(outside.first, SOMEBODY, outside.second));
		/* Somebody else's heir to the number. */
		CU_ASSERT(!sees(inside.first, SOMEBODY + 1, inside.second));
		ASSERT_INT(own_descriptors(), before);
		pair_end(&outside);
	}
	pair_end(&inside);
}

static void without_capabilities_it_takes_the_same_rights(void)
{
	const struct state bare = { SOMEBODY, CLONE_NEWUSER, 0 };
	const struct state closed = { .closed = true };
	const struct state more = { SOMEBODY, CLONE_NEWUSER, CAPABILITY(CAP_CHOWN) };
	const struct state as_much = { .capabilities = ALL_CAPABILITIES };
	struct pair pair;

	if (!pair_start(&bare, &pair_same, &pair))
		return;
	CU_ASSERT(sees(pair.first, SOMEBODY, pair.second));
	CU_ASSERT(sees(pair.second, SOMEBODY, pair.first));
	pair_end(&pair);
	if (!pair_start(&bare, &closed, &pair))
		return;
	CU_ASSERT(!sees(pair.first, SOMEBODY, pair.second));
	CU_ASSERT(sees(pair.second, SOMEBODY, pair.second));
	pair_end(&pair);
	if (!pair_start(&more, &pair_same, &pair))
		return;
	CU_ASSERT(sees(pair.first, SOMEBODY, pair.second));
	CU_ASSERT(!sees(pair.second, SOMEBODY, pair.first));
	pair_end(&pair);
	if (!pair_start(&more, &as_much, &pair))
		return;
	CU_ASSERT(sees(pair.second, SOMEBODY, pair.first));
	pair_end(&pair);
}

/* Its owner has all capabilities about it. */
static void who_made_a_namespace_sees_what_is_in_it(void)
{
	const struct state bare = { SOMEBODY, CLONE_NEWUSER, 0 };
	const struct state below = { 0, CLONE_NEWUSER, ALL_CAPABILITIES };
	struct pair pair;

	if (!pair_start(&bare, &below, &pair))
		return;
	CU_ASSERT(sees(pair.first, SOMEBODY, pair.second));
	CU_ASSERT(!sees(pair.second, SOMEBODY, pair.first));
	pair_end(&pair);
}

static void other_pids_are_not_seen(void)
{
	const struct state outer = { 0, CLONE_NEWPID, ALL_CAPABILITIES };
	const struct state inner = { .capabilities = ALL_CAPABILITIES };
	struct pair pair;

	if (geteuid() != 0)
		SKIP("only root makes pid namespaces");
	if (!pair_start(&outer, &inner, &pair))
		return;
	/* The first one is not in the namespace that it has made for its children. */
	CU_ASSERT(sees(pair.first, 0, pair.second));
	CU_ASSERT(sees(pair.first, 0, getpid()));
	CU_ASSERT(sees(pair.second, 0, pair.second));
	CU_ASSERT(!sees(pair.second, 0, pair.first));
	CU_ASSERT(!sees(pair.second, 0, getpid()));
	CU_ASSERT(asks(pair.second, 0, caller_sees_process, pair.second));
	CU_ASSERT(!asks(pair.second, 0, caller_sees_process, pair.first));
	CU_ASSERT(!asks(pair.second, 0, caller_reaches_memory, pair.first));
	pair_end(&pair);
}

static void in_a_sandbox_one_sees_oneself(void)
{
	const struct state sandboxed = { SOMEBODY, .no_new_privs = true };
	struct pair pair;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) <= 0)
		SKIP("no Landlock here");
	if (!pair_start(&sandboxed, &pair_same, &pair))
		return;
	CU_ASSERT(sees(pair.first, SOMEBODY, pair.first));
	CU_ASSERT(!sees(pair.first, SOMEBODY, pair.second));
	pair_end(&pair);
}

static void memory_is_reached_by_whom_it_is_seen(void)
{
	const struct state plain = { SOMEBODY }, closed = { .closed = true };
	struct pair pair;

	if (!pair_start(&plain, &closed, &pair))
		return;
	CU_ASSERT(asks(getpid(), 0, caller_reaches_memory, pair.second));
	CU_ASSERT(asks(pair.second, SOMEBODY, caller_reaches_memory, pair.second));
	CU_ASSERT(asks(pair.second, SOMEBODY, caller_reaches_memory, pair.first));
	CU_ASSERT(!asks(pair.first, SOMEBODY, caller_reaches_memory, pair.second));
	pair_end(&pair);
}

static bool sees_who(pid_t pid, uid_t uid, pid_t who, uint64_t born, uid_t owner, bool readable)
{
	const struct caller caller = caller_of(pid, uid);
	struct caller_sight sight;
	bool answer;

	caller_sight_begin(&sight, "/proc", &caller);
	answer = caller_sees_who(&sight, who, born, owner, readable);
	caller_sight_end(&sight);
	return answer;
}

static void the_past_is_its_users(void)
{
	const struct state plain = { SOMEBODY }, closed = { .closed = true };
	struct pair pair;
	uint64_t first, second;

	if (!pair_start(&plain, &closed, &pair))
		return;
	first = birth_of(pair.first);
	second = birth_of(pair.second);
	/* Of one that lives, what it is now decides. */
	CU_ASSERT(sees_who(pair.second, SOMEBODY, pair.first, first, 1, false));
	CU_ASSERT(!sees_who(pair.first, SOMEBODY, pair.second, second, SOMEBODY, true));
	/* Another one had the number before. */
	CU_ASSERT(sees_who(pair.first, SOMEBODY, pair.second, second - 1, SOMEBODY, true));
	CU_ASSERT(!sees_who(pair.first, SOMEBODY, pair.second, second - 1, SOMEBODY, false));
	CU_ASSERT(!sees_who(pair.second, SOMEBODY, pair.first, first - 1, 1, true));
	/* Nothing but the number is known, or nothing. */
	CU_ASSERT(!sees_who(pair.second, SOMEBODY, pair.first, 0, SOMEBODY, true));
	CU_ASSERT(!sees_who(pair.second, SOMEBODY, 0, first, SOMEBODY, true));
	CU_ASSERT(sees_who(getpid(), 0, pair.first, 0, 1, false));
	CU_ASSERT(sees_who(getpid(), 0, 0, 0, 0, false));
	CU_ASSERT(!sees_who(0, 0, pair.first, first - 1, 0, true));
	pair_end(&pair);
}

/* A process that is dead but was not waited for has no memory to look at. */
static void a_zombie_is_past(void)
{
	const struct state plain = { SOMEBODY };
	pid_t zombie = fork();
	siginfo_t info;
	struct pair pair;

	if (zombie == 0)
		_exit(0);
	CU_ASSERT_FATAL(zombie > 0 && waitid(P_PID, zombie, &info, WEXITED | WNOWAIT) == 0);
	if (pair_start(&plain, &pair_same, &pair)) {
		uint64_t born = birth_of(zombie);

		CU_ASSERT(sees_who(pair.first, SOMEBODY, zombie, born, SOMEBODY, true));
		CU_ASSERT(!sees_who(pair.first, SOMEBODY, zombie, born, SOMEBODY, false));
		CU_ASSERT(!sees_who(pair.first, SOMEBODY, zombie, born, 0, true));
		pair_end(&pair);
	}
	waitpid(zombie, NULL, 0);
}

static void play_somebody_who_closes(int channel)
{
	become_somebody(SOMEBODY);
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		_exit(1);
	actor_step(channel);
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		_exit(1);
	actor_step(channel);
}

static bool sees_identity(pid_t caller, const struct process_identity *who)
{
	return sees_who(caller, SOMEBODY, who->pid, who->born, who->uid, who->readable);
}

/* What events remember of a process for a moment is not what it is shown by while it lives. */
static void who_has_closed_since_it_was_remembered_is_hidden(void)
{
	const struct state plain = { SOMEBODY };
	struct event_processes *processes;
	struct process_identity open, now;
	struct actor actor;
	struct pair pair;

	NEED_SOMEBODY();
	if (!pair_start(&plain, &pair_same, &pair))
		return;
	processes = event_processes_new("/proc");
	actor = actor_start(play_somebody_who_closes);
	event_processes_find(processes, actor.pid, -1, &open);
	ASSERT_INT(open.uid, SOMEBODY);
	CU_ASSERT(open.readable && sees_identity(pair.first, &open));
	actor_next(&actor);
	event_processes_find(processes, actor.pid, -1, &now);
	CU_ASSERT(!sees_identity(pair.first, &now));
	CU_ASSERT(!sees_identity(pair.first, &open));
	/* It is remembered for no longer than a moment. */
	for (int i = 0; now.readable && i < 10000; i++) {
		g_usleep(1000);
		event_processes_find(processes, actor.pid, -1, &now);
	}
	CU_ASSERT(!now.readable);
	actor_stop(&actor);
	CU_ASSERT(!sees_identity(pair.first, &now));
	CU_ASSERT(sees_identity(pair.first, &open));
	event_processes_free(processes);
	pair_end(&pair);
}

static void ids_of_a_users_namespace_are_one_account(void)
{
	const struct state users = { 0, CLONE_NEWUSER };
	const struct state roots = { 0, CLONE_NEWUSER, ALL_CAPABILITIES };
	const struct state plain = { SOMEBODY };
	const struct caller nowhere = caller_of(0, 7);
	struct caller one, two;
	struct pair pair;

	ASSERT_INT(account_of(&nowhere), 7);
	if (!pair_start(&plain, &users, &pair))
		return;
	one = caller_of(pair.first, SOMEBODY);
	two = caller_of(pair.second, 100000);
	ASSERT_INT(account_of(&one), SOMEBODY);
	ASSERT_INT(account_of(&two), SOMEBODY);
	pair_end(&pair);
	if (geteuid() != 0 || !pair_start(&roots, &pair_same, &pair))
		return;
	one = caller_of(pair.first, 100000);
	two = caller_of(pair.second, 100001);
	CU_ASSERT(account_of(&one) > UINT32_MAX);
	CU_ASSERT(account_of(&one) == account_of(&two));
	pair_end(&pair);
}

static CU_TestInfo tests[] = {
	{ "capabilities about a namespace show what is in it",
		capabilities_about_a_namespace_show_what_is_in_it },
	{ "without capabilities it takes the same rights",
		without_capabilities_it_takes_the_same_rights },
	{ "who made a namespace sees what is in it", who_made_a_namespace_sees_what_is_in_it },
	{ "other pids are not seen", other_pids_are_not_seen },
	{ "in a sandbox one sees oneself", in_a_sandbox_one_sees_oneself },
	{ "memory is reached by whom it is seen", memory_is_reached_by_whom_it_is_seen },
	{ "the past is its users'", the_past_is_its_users },
	{ "a zombie is past", a_zombie_is_past },
	{ "who has closed since it was remembered is hidden",
		who_has_closed_since_it_was_remembered_is_hidden },
	{ "ids of a user's namespace are one account", ids_of_a_users_namespace_are_one_account },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo sight_suite = { "sight", NULL, NULL, NULL, NULL, tests };
