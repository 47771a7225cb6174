/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Of callers in another user namespace the daemon applies the kernel's rule itself (sight.h). Here processes of
 * many rights are asked what they can read of each other: what they cannot is not shown to them either.
 */
#include "caller/sight.h"

#include "pair.h"
#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CAP(number) (UINT64_C(1) << (number))

/* A process in a namespace, by its ids there. */
struct role {
	const char *name;
	uid_t uids[3], gids[3]; /* real, effective, saved */
	uint64_t capabilities;  /* of those that it has then */
	bool closed;            /* not dumpable */
	bool unread;            /* it runs a program that it may not read */
	bool enters;            /* it has come from outside and keeps its ids */
	bool below;             /* root of a namespace that it has made below */
	uid_t fsuid;            /* 0: as the effective one */
};

#define ALL(id)                                                                                    \
	{                                                                                          \
		id, id, id                                                                         \
	}

static const struct role roles[] = {
	{ "root", ALL(0), ALL(0), ALL_CAPABILITIES },
	{ "closed root", ALL(0), ALL(0), ALL_CAPABILITIES, .closed = true },
	{ "bare root", ALL(0), ALL(0) },
	{ "user", ALL(1), ALL(1) },
	{ "again user", ALL(1), ALL(1) },
	{ "closed user", ALL(1), ALL(1), .closed = true },
	{ "unread user", ALL(1), ALL(1), .unread = true },
	{ "tracing user", ALL(1), ALL(1), CAP(CAP_SYS_PTRACE) },
	{ "chowning user", ALL(1), ALL(1), CAP(CAP_CHOWN) },
	{ "real user differs", { 2, 1, 1 }, ALL(1) },
	{ "effective user differs", { 1, 2, 1 }, ALL(1) },
	{ "saved user differs", { 1, 1, 2 }, ALL(1) },
	{ "file user differs", { 1, 2, 2 }, ALL(1), .fsuid = 1 },
	{ "real group differs", ALL(1), { 2, 1, 1 } },
	{ "effective group differs", ALL(1), { 1, 2, 1 } },
	{ "saved group differs", ALL(1), { 1, 1, 2 } },
	{ "another user", ALL(2), ALL(2) },
	{ "entering", .capabilities = ALL_CAPABILITIES, .enters = true },
	{ "closed entering", .capabilities = ALL_CAPABILITIES, .enters = true, .closed = true },
	{ "below", ALL(1), ALL(1), ALL_CAPABILITIES, .below = true },
	{ "bare below", ALL(1), ALL(1), .below = true },
	{ "closed below", ALL(1), ALL(1), .below = true, .closed = true },
	{ "another's below", ALL(2), ALL(2), .below = true },
};

struct member {
	const struct role *role;
	pid_t pid;
	int channel;
	struct caller caller;
};

static void must(bool done)
{
	if (!done)
		_exit(1);
}

/* Is told pids, and answers whether it can read what they execute, which takes the right in question. */
static void play(int channel)
{
	char path[32], target[1], answer = 0;
	pid_t pid;

	must(write(channel, &answer, 1) == 1);
	while (read(channel, &pid, sizeof pid) == sizeof pid) {
		snprintf(path, sizeof path, "/proc/%d/exe", pid);
		answer = readlink(path, target, sizeof target) >= 0;
		must(write(channel, &answer, 1) == 1);
	}
	_exit(0);
}

static void write_text(const char *path, const char *text)
{
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void enter_below(uid_t id)
{
	char map[40];

	snprintf(map, sizeof map, "0 %u 1", id);
	must(prctl(PR_SET_DUMPABLE, 1) == 0 && unshare(CLONE_NEWUSER) == 0 &&
		prctl(PR_SET_DUMPABLE, 1) == 0);
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/uid_map", map);
	write_text("/proc/self/gid_map", map);
}

static void keep(uint64_t wanted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	must(syscall(SYS_capget, &header, sets) == 0);
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].permitted &= (uint32_t)(wanted >> 32 * i);
		sets[i].effective = sets[i].permitted;
		sets[i].inheritable = 0;
	}
	must(syscall(SYS_capset, &header, sets) == 0);
}

static void become(const struct role *role, int namespace)
{
	const uid_t *u = role->uids;
	const gid_t *g = role->gids;

	must(setns(namespace, CLONE_NEWUSER) == 0);
	if (!role->enters) {
		must(syscall(SYS_setgroups, 0, NULL) == 0 &&
			syscall(SYS_setresgid, g[0], g[1], g[2]) == 0 &&
			syscall(SYS_setresuid, u[0], u[1], u[2]) == 0);
	}
	if (role->below)
		enter_below(u[0]);
	if (role->fsuid)
		setfsuid(role->fsuid);
	keep(role->capabilities);
	must(prctl(PR_SET_DUMPABLE, !role->closed) == 0);
}

static void run_unread(int channel, const char *program)
{
	must(dup2(channel, 0) == 0 && dup2(channel, 1) == 1);
	execl(program, program, NULL);
	_exit(1);
}

static bool read_caller(struct member *member)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/status", member->pid);
	g_autofree char *text = NULL;
	unsigned uid, gid;

	if (!g_file_get_contents(path, &text, NULL, NULL) ||
		sscanf(strstr(text, "\nUid:") + 5, "%*u %*u %*u %u", &uid) != 1 ||
		sscanf(strstr(text, "\nGid:") + 5, "%*u %*u %*u %u", &gid) != 1)
		return false;
	member->caller = (struct caller){ .uid = uid, .gid = gid, .pid = member->pid };
	return true;
}

static void start(struct member *member, const struct role *role, int namespace,
	const char *program)
{
	int pair[2];
	char byte = 0;

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	member->role = role;
	member->channel = pair[0];
	member->pid = fork();
	if (member->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		become(role, namespace);
		if (role->unread)
			run_unread(pair[1], program);
		play(pair[1]);
	}
	close(pair[1]);
	if (role->unread)
		CU_ASSERT(write(member->channel, &byte, 1) == 1); /* it answers as cat(1) does */
	CU_ASSERT_FATAL(member->pid > 0 && read(member->channel, &byte, 1) == 1);
	CU_ASSERT_FATAL(read_caller(member));
}

static bool kernel_lets(const struct member *member, pid_t pid)
{
	char answer = 0;

	CU_ASSERT_FATAL(write(member->channel, &pid, sizeof pid) == sizeof pid &&
		read(member->channel, &answer, 1) == 1);
	return answer;
}

static bool daemon_lets(const struct member *member, pid_t pid)
{
	struct caller_sight sight;
	bool answer;

	caller_sight_begin(&sight, "/proc", &member->caller);
	answer = caller_sees_memory(&sight, pid);
	caller_sight_end(&sight);
	return answer;
}

struct plan {
	int parent; /* descriptor of the user namespace above; -1: this process's */
	uid_t maker, first;
	unsigned ids; /* from `first` on, which are its from 0 on; numbers of the namespace above */
};

static void become_maker(const struct plan *plan, int told)
{
	const uid_t uid = plan->maker;

	must(syscall(SYS_setresgid, uid, uid, uid) == 0 &&
		syscall(SYS_setresuid, uid, uid, uid) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0 &&
		unshare(CLONE_NEWUSER) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0 &&
		prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && write(told, "!", 1) == 1);
	pause();
}

/* A process of the namespace above gives the maker's its ids, and tells the number of the maker. */
static void give_ids(const struct plan *plan, int ready)
{
	g_autofree char *map = g_strdup_printf("0 %u %u", plan->first, plan->ids);
	g_autofree char *uids = NULL, *gids = NULL;
	int told[2];
	pid_t maker;
	char byte;

	must((plan->parent < 0 || setns(plan->parent, CLONE_NEWUSER) == 0) &&
		pipe2(told, O_CLOEXEC) == 0);
	maker = fork();
	if (maker == 0) {
		close(ready);
		become_maker(plan, told[1]);
	}
	close(told[1]);
	must(maker > 0 && read(told[0], &byte, 1) == 1);
	uids = g_strdup_printf("/proc/%d/uid_map", maker);
	gids = g_strdup_printf("/proc/%d/gid_map", maker);
	write_text(uids, map);
	write_text(gids, map);
	must(write(ready, &maker, sizeof maker) == sizeof maker);
	must(waitpid(maker, NULL, 0) == maker);
	_exit(0);
}

/* A descriptor of a new user namespace. -1: there cannot be one. */
static int make_namespace(const struct plan *plan)
{
	int ready[2], fd = -1;
	pid_t maker, giver;

	CU_ASSERT_FATAL(pipe2(ready, O_CLOEXEC) == 0);
	giver = fork();
	if (giver == 0)
		give_ids(plan, ready[1]);
	close(ready[1]);
	CU_ASSERT_FATAL(giver > 0);
	if (read(ready[0], &maker, sizeof maker) == sizeof maker) {
		g_autofree char *path = g_strdup_printf("/proc/%d/ns/user", maker);

		fd = open(path, O_RDONLY | O_CLOEXEC);
		kill(maker, SIGKILL);
	}
	waitpid(giver, NULL, 0);
	close(ready[0]);
	return fd;
}

/* Where it is not known, the answer is no: of one that has come from outside with an id that is root's there. */
static bool may_differ(const struct member *about)
{
	return about->role->enters;
}

static void compare(const struct member *who, const struct member *about)
{
	bool kernel = kernel_lets(who, about->pid), daemon = daemon_lets(who, about->pid);
	g_autofree char *text = g_strdup_printf("%s may %sread %s", who->role->name,
		kernel ? "" : "not ", about->role->name);

	if (kernel != daemon && (daemon || !may_differ(about)))
		CU_assertImplementation(CU_FALSE, __LINE__, text, __FILE__, "", CU_FALSE);
}

/* All of them in one namespace; the program that may not be read is of that user. */
static void compare_all(int namespace, uid_t owner)
{
	g_autofree char *program = g_strdup_printf("/tmp/shmtree-unread.%d", getpid());
	struct member members[G_N_ELEMENTS(roles)];
	g_autofree char *text = NULL;
	gsize length;

	CU_ASSERT_FATAL(g_file_get_contents("/bin/cat", &text, &length, NULL) &&
		g_file_set_contents(program, text, (gssize)length, NULL) &&
		chown(program, owner, owner) == 0 && chmod(program, 0111) == 0);
	for (size_t i = 0; i < G_N_ELEMENTS(roles); i++)
		start(&members[i], &roles[i], namespace, program);
	unlink(program);
	for (size_t i = 0; i < G_N_ELEMENTS(roles); i++)
		for (size_t j = 0; j < G_N_ELEMENTS(roles) && !roles[i].unread; j++)
			compare(&members[i], &members[j]);
	for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
		close(members[i].channel);
		kill(members[i].pid, SIGKILL);
		waitpid(members[i].pid, NULL, 0);
	}
}

static void compare_in(int parent, uid_t maker, uid_t first, unsigned ids, uid_t owner)
{
	const struct plan plan = { parent, maker, first, ids };
	auto_fd namespace = make_namespace(&plan);

	if (namespace < 0)
		SKIP("no such user namespace can be made here");
	compare_all(namespace, owner);
}

#define FIRST 100000
#define N 10

static void in_a_users_namespace_the_kernel_shows_as_much(void)
{
	compare_in(-1, SOMEBODY, FIRST, N, FIRST);
}

static void in_roots_namespace_the_kernel_shows_as_much(void)
{
	compare_in(-1, 0, 0, N, 0);
	compare_in(-1, 0, FIRST, N, FIRST);
}

/*
 * Its root is that of the namespace above, or another user there. Who may not read a program of a user whom a namespace
 * does not have is of the one above.
 */
static void compare_below(uid_t maker, uid_t first)
{
	const struct plan plan = { -1, maker, first, N };
	auto_fd above = make_namespace(&plan);

	if (above < 0)
		SKIP("no user namespace can be made here");
	if (first >
		0) /* else root of a namespace above has that id as well, and the answer may be no */
		compare_in(above, 0, 0, N, first);
	compare_in(above, 1, 1, N - 1, first + 1);
	compare_in(above, 1, 1, N - 1, first);
}

static void in_a_nested_namespace_the_kernel_shows_as_much(void)
{
	compare_below(SOMEBODY, FIRST);
	compare_below(0, 0);
}

static CU_TestInfo tests[] = {
	{ "in a user's namespace the kernel shows as much",
		in_a_users_namespace_the_kernel_shows_as_much },
	{ "in root's namespace the kernel shows as much",
		in_roots_namespace_the_kernel_shows_as_much },
	{ "in a nested namespace the kernel shows as much",
		in_a_nested_namespace_the_kernel_shows_as_much },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo sight_kernel_suite = { "sight kernel", NULL, NULL, NULL, NULL, tests };
