/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What callers see that no thread can act as: of other namespaces, and in a sandbox. */
#include "caller/account.h"
#include "caller/rights.h"
#include "caller/who.h"
#include "kinds/sysv.h"
#include "procfs/proc.h"

#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SOMEBODY 54321
#define ALL_CAPABILITIES UINT64_MAX

/* What a process makes of itself, in this order. */
struct state {
	uid_t uid;             /* 0: as this process */
	int namespaces;        /* CLONE_NEW... */
	uint64_t capabilities; /* of those that it has then */
	bool closed;           /* not dumpable */
	bool no_new_privs;
};

/* As the one that started it. */
static const struct state same;

/* A process and the one that it started, which is in its namespaces. */
struct pair {
	pid_t first, second;
	int keep; /* both end when it is closed */
};

static void keep_capabilities(uint64_t wanted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, sets) < 0)
		_exit(1);
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].effective &= (uint32_t)(wanted >> 32 * i);
		sets[i].permitted = sets[i].effective;
		sets[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, sets) < 0)
		_exit(1);
}

static void write_own(const char *path, const char *text)
{
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(1);
}

/* The user keeps its number; without one, no namespace can be made below. */
static void map_user(uid_t uid)
{
	char map[40];

	snprintf(map, sizeof map, "%u %u 1", uid, uid);
	write_own("/proc/self/setgroups", "deny");
	write_own("/proc/self/uid_map", map);
	write_own("/proc/self/gid_map", map);
}

static void become(const struct state *state)
{
	uid_t uid = state->uid;

	if (uid &&
		(syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, uid, uid, uid) < 0 ||
			syscall(SYS_setresuid, uid, uid, uid) < 0))
		_exit(1);
	uid = geteuid();
	if (prctl(PR_SET_DUMPABLE, 1) < 0 || unshare(state->namespaces) < 0 ||
		prctl(PR_SET_DUMPABLE, 1) < 0)
		_exit(1);
	if (state->namespaces & CLONE_NEWUSER)
		map_user(uid);
	keep_capabilities(state->capabilities);
	if (prctl(PR_SET_DUMPABLE, !state->closed) < 0 ||
		(state->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
		_exit(1);
}

static void stay(int wait)
{
	char byte;

	_exit(read(wait, &byte, 1) != 0);
}

static void play_first(const struct state *first, const struct state *second, int ready, int wait)
{
	pid_t child;
	int status;
	char byte = 0;

	become(first);
	child = fork();
	if (child == 0) {
		become(second);
		if (write(ready, &byte, 1) != 1)
			_exit(1);
		stay(wait);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		_exit(1);
	stay(wait);
}

/* The number that it has here: in its own namespace it may have another one. */
static pid_t child_of(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", pid, pid);
	g_autofree char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? atoi(text) : 0;
}

/* False, and the test is skipped, where such processes cannot be made. */
static bool start(const struct state *first, const struct state *second, struct pair *out)
{
	int ready[2], wait[2];
	bool started;
	char byte;

	CU_ASSERT_FATAL(pipe2(ready, O_CLOEXEC) == 0 && pipe2(wait, O_CLOEXEC) == 0);
	out->first = fork();
	if (out->first == 0) {
		close(wait[1]);
		close(ready[0]);
		play_first(first, second, ready[1], wait[0]);
	}
	close(ready[1]);
	close(wait[0]);
	out->keep = wait[1];
	started = out->first > 0 && read(ready[0], &byte, 1) == 1;
	close(ready[0]);
	if (started) {
		out->second = child_of(out->first);
		CU_ASSERT(out->second > 0);
		return true;
	}
	unit_skip("no such processes can be made here");
	close(wait[1]);
	waitpid(out->first, NULL, 0);
	return false;
}

static void end(const struct pair *pair)
{
	int status;

	close(pair->keep);
	ASSERT_INT(waitpid(pair->first, &status, 0), pair->first);
	ASSERT_INT(status, 0);
}

static struct caller caller_of(pid_t pid, uid_t uid)
{
	return (struct caller){ .uid = uid, .gid = uid, .pid = pid };
}

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

static void capabilities_about_a_namespace_show_what_is_in_it(void)
{
	const struct state root = { SOMEBODY, CLONE_NEWUSER, ALL_CAPABILITIES };
	const struct state member = { .capabilities = ALL_CAPABILITIES };
	const struct state plain = { SOMEBODY, .capabilities = 0 };
	struct pair inside, outside;

	if (!start(&root, &member, &inside))
		return;
	if (start(&plain, &same, &outside)) {
		CU_ASSERT(sees(inside.first, SOMEBODY, inside.first));
		CU_ASSERT(sees(inside.first, SOMEBODY, inside.second));
		CU_ASSERT(asks(inside.first, SOMEBODY, caller_sees_process, inside.second));
		/* Of the same user, but of a namespace above. */
		CU_ASSERT(!sees(inside.first, SOMEBODY, outside.first));
		CU_ASSERT(!sees(inside.first, SOMEBODY, getpid()));
		CU_ASSERT(sees(outside.first, SOMEBODY, outside.second));
		/* Somebody else's heir to the number. */
		CU_ASSERT(!sees(inside.first, SOMEBODY + 1, inside.second));
		end(&outside);
	}
	end(&inside);
}

static void without_capabilities_it_takes_the_same_rights(void)
{
	const struct state bare = { SOMEBODY, CLONE_NEWUSER, 0 };
	const struct state closed = { .closed = true };
	const struct state more = { SOMEBODY, CLONE_NEWUSER, CAPABILITY(CAP_CHOWN) };
	const struct state as_much = { .capabilities = ALL_CAPABILITIES };
	struct pair pair;

	if (!start(&bare, &same, &pair))
		return;
	CU_ASSERT(sees(pair.first, SOMEBODY, pair.second));
	CU_ASSERT(sees(pair.second, SOMEBODY, pair.first));
	end(&pair);
	if (!start(&bare, &closed, &pair))
		return;
	CU_ASSERT(!sees(pair.first, SOMEBODY, pair.second));
	CU_ASSERT(sees(pair.second, SOMEBODY, pair.second));
	end(&pair);
	if (!start(&more, &same, &pair))
		return;
	CU_ASSERT(sees(pair.first, SOMEBODY, pair.second));
	CU_ASSERT(!sees(pair.second, SOMEBODY, pair.first));
	end(&pair);
	if (!start(&more, &as_much, &pair))
		return;
	CU_ASSERT(sees(pair.second, SOMEBODY, pair.first));
	end(&pair);
}

/* Its owner has all capabilities about it. */
static void who_made_a_namespace_sees_what_is_in_it(void)
{
	const struct state bare = { SOMEBODY, CLONE_NEWUSER, 0 };
	const struct state below = { 0, CLONE_NEWUSER, ALL_CAPABILITIES };
	struct pair pair;

	if (!start(&bare, &below, &pair))
		return;
	CU_ASSERT(sees(pair.first, SOMEBODY, pair.second));
	CU_ASSERT(!sees(pair.second, SOMEBODY, pair.first));
	end(&pair);
}

static void other_pids_are_not_seen(void)
{
	const struct state outer = { 0, CLONE_NEWPID, ALL_CAPABILITIES };
	const struct state inner = { .capabilities = ALL_CAPABILITIES };
	struct pair pair;

	if (geteuid() != 0)
		SKIP("only root makes pid namespaces");
	if (!start(&outer, &inner, &pair))
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
	end(&pair);
}

static void in_a_sandbox_one_sees_oneself(void)
{
	const struct state sandboxed = { SOMEBODY, .no_new_privs = true };
	struct pair pair;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) <= 0)
		SKIP("no Landlock here");
	if (!start(&sandboxed, &same, &pair))
		return;
	CU_ASSERT(sees(pair.first, SOMEBODY, pair.first));
	CU_ASSERT(!sees(pair.first, SOMEBODY, pair.second));
	end(&pair);
}

static void memory_is_reached_by_whom_it_is_seen(void)
{
	const struct state plain = { SOMEBODY }, closed = { .closed = true };
	struct pair pair;

	if (!start(&plain, &closed, &pair))
		return;
	CU_ASSERT(asks(getpid(), 0, caller_reaches_memory, pair.second));
	CU_ASSERT(asks(pair.second, SOMEBODY, caller_reaches_memory, pair.second));
	CU_ASSERT(asks(pair.second, SOMEBODY, caller_reaches_memory, pair.first));
	CU_ASSERT(!asks(pair.first, SOMEBODY, caller_reaches_memory, pair.second));
	end(&pair);
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

static uint64_t birth_of(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d", pid);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct proc_stat stat;

	CU_ASSERT_FATAL(dir >= 0 && proc_read_stat(dir, &stat) == 0);
	return stat.start_time;
}

static void the_past_is_its_users(void)
{
	const struct state plain = { SOMEBODY }, closed = { .closed = true };
	struct pair pair;
	uint64_t first, second;

	if (!start(&plain, &closed, &pair))
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
	end(&pair);
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
	if (start(&plain, &same, &pair)) {
		uint64_t born = birth_of(zombie);

		CU_ASSERT(sees_who(pair.first, SOMEBODY, zombie, born, SOMEBODY, true));
		CU_ASSERT(!sees_who(pair.first, SOMEBODY, zombie, born, SOMEBODY, false));
		CU_ASSERT(!sees_who(pair.first, SOMEBODY, zombie, born, 0, true));
		end(&pair);
	}
	waitpid(zombie, NULL, 0);
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
	if (!start(&plain, &users, &pair))
		return;
	one = caller_of(pair.first, SOMEBODY);
	two = caller_of(pair.second, 100000);
	ASSERT_INT(account_of(&one), SOMEBODY);
	ASSERT_INT(account_of(&two), SOMEBODY);
	end(&pair);
	if (geteuid() != 0 || !start(&roots, &same, &pair))
		return;
	one = caller_of(pair.first, 100000);
	two = caller_of(pair.second, 100001);
	CU_ASSERT(account_of(&one) > UINT32_MAX);
	CU_ASSERT(account_of(&one) == account_of(&two));
	end(&pair);
}

static struct realm own_realm(void)
{
	struct stat st;

	CU_ASSERT_FATAL(stat("/proc/self/ns/ipc", &st) == 0);
	return (struct realm){ .proc = "/proc",
		.shm_fd = -1,
		.ipc_ns = st.st_ino,
		.ipc_ns_fd = -1 };
}

static int permits_ipc(pid_t pid, uid_t uid)
{
	const struct realm realm = own_realm();
	const struct caller caller = caller_of(pid, uid);

	return sysvipc_permit(&realm, NULL, &caller, R_OK);
}

static void objects_are_for_their_namespace(void)
{
	const struct state plain = { SOMEBODY };
	const struct state elsewhere = { 0, CLONE_NEWIPC, ALL_CAPABILITIES };
	struct pair pair;

	if (!start(&plain, &same, &pair))
		return;
	ASSERT_INT(permits_ipc(pair.first, SOMEBODY), 0);
	ASSERT_INT(permits_ipc(0, SOMEBODY), -EACCES);
	end(&pair);
	if (geteuid() != 0 || !start(&elsewhere, &same, &pair))
		return;
	ASSERT_INT(permits_ipc(pair.first, 0), 0);
	ASSERT_INT(permits_ipc(pair.second, 0), -EACCES);
	end(&pair);
}

static int permits_segment(int id, pid_t pid, uid_t uid, int want)
{
	const struct realm realm = own_realm();
	const struct caller caller = caller_of(pid, uid);
	g_autofree char *name = g_strdup_printf("%d", id);
	g_autofree struct item *item = NULL;

	CU_ASSERT_FATAL(kind_sysv.stat(&realm, name, &item) == 0);
	return sysv_permit(&realm, item, &caller, want);
}

static void set_owner(int id, uid_t uid, gid_t gid, mode_t mode)
{
	struct shmid_ds ds;

	CU_ASSERT_FATAL(shmctl(id, IPC_STAT, &ds) == 0);
	ds.shm_perm.uid = uid;
	ds.shm_perm.gid = gid;
	ds.shm_perm.mode = mode;
	CU_ASSERT_FATAL(shmctl(id, IPC_SET, &ds) == 0);
}

/* Whatever the segment lets its users do; without one it is the namespace that is asked about. */
static void segments_of_another_namespace_are_closed(void)
{
	const struct state elsewhere = { 0, CLONE_NEWIPC, 0 };
	const struct realm realm = own_realm();
	int id = shmget(IPC_PRIVATE, 1, IPC_CREAT | 0666);
	struct caller caller = caller_of(getpid(), geteuid());
	struct pair pair;

	if (id < 0 || geteuid() != 0)
		SKIP("only root makes IPC namespaces");
	ASSERT_INT(sysv_permit(&realm, NULL, &caller, W_OK), 0);
	if (start(&elsewhere, &same, &pair)) {
		caller.pid = pair.first;
		ASSERT_INT(sysv_permit(&realm, NULL, &caller, W_OK), -EACCES);
		ASSERT_INT(permits_segment(id, pair.first, 0, R_OK), -EACCES);
		ASSERT_INT(permits_segment(id, getpid(), 0, R_OK), 0);
		end(&pair);
	}
	ASSERT_INT(shmctl(id, IPC_RMID, NULL), 0);
}

static void segments_are_for_whom_shmat_lets(void)
{
	const struct state plain = { SOMEBODY };
	int id = shmget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	struct pair pair;

	if (id < 0 || geteuid() != 0)
		SKIP("only root gives a segment to another user");
	if (!start(&plain, &same, &pair))
		return;
	const struct {
		uid_t uid;
		gid_t gid;
		mode_t mode;
		int want, answer;
	} cases[] = {
		{ SOMEBODY, 1, 0600, R_OK, 0 },
		{ SOMEBODY, 1, 0600, W_OK, 0 },
		{ SOMEBODY, 1, 0400, R_OK, 0 },
		{ SOMEBODY, 1, 0400, W_OK, -EACCES },
		{ SOMEBODY, 1, 0200, R_OK, -EACCES },
		{ SOMEBODY, 1, 0200, W_OK, -EACCES }, /* writing takes reading too */
		{ SOMEBODY, 1, 0066, R_OK, -EACCES }, /* the owner is not of the others */
		{ 1, SOMEBODY, 0040, R_OK, 0 },
		{ 1, SOMEBODY, 0606, R_OK, -EACCES },
		{ 1, 1, 0004, R_OK, 0 },
		{ 1, 1, 0660, R_OK, -EACCES },
		{ 1, 1, 0006, W_OK, 0 },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		set_owner(id, cases[i].uid, cases[i].gid, cases[i].mode);
		ASSERT_INT(permits_segment(id, pair.first, SOMEBODY, cases[i].want),
			cases[i].answer);
		/* This process has CAP_IPC_OWNER; a root of which nothing is known does not. */
		ASSERT_INT(permits_segment(id, getpid(), 0, cases[i].want), 0);
	}
	end(&pair);
	ASSERT_INT(shmctl(id, IPC_RMID, NULL), 0);
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
	{ "ids of a user's namespace are one account", ids_of_a_users_namespace_are_one_account },
	{ "objects are for their namespace", objects_are_for_their_namespace },
	{ "segments of another namespace are closed", segments_of_another_namespace_are_closed },
	{ "segments are for whom shmat(2) lets", segments_are_for_whom_shmat_lets },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo sight_suite = { "sight", NULL, NULL, NULL, NULL, tests };
