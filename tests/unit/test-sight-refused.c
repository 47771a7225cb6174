/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whom nothing is shown: callers that cannot be read, in a namespace or not, and what cannot be asked about. */
#include "caller/who.h"
#include "procfs/proc.h"

#include "base/util.h"
#include "failing.h"
#include "pair.h"
#include "somebody.h"
#include "unit.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OPENS(file) SYS_openat, .argument = 2, .path = (file)
#define LOOKS_AT(file) SYS_newfstatat, .argument = 2, .path = (file)
#define IO_WORKER_STAT "1 (iou-wrk-1) S 1 1 1 0 -1 4194320 0 0 0 0 0 0 0 0 20 0 1 0 77\n"

static const struct state plain = { SOMEBODY }, closed = { .closed = true };

/* A caller that asks about a process, and what it is to be told. */
struct asked {
	struct caller caller;
	pid_t about;
	bool sees;   /* its memory */
	int error;   /* of the sight */
	bool itself; /* it sees at least itself */
};

static void ask(void *data)
{
	const struct asked *asked = data;
	struct caller_sight sight;

	caller_sight_begin(&sight, "/proc", &asked->caller);
	ASSERT_INT(sight.error, asked->error);
	ASSERT_INT(caller_sees_memory(&sight, asked->about), asked->sees);
	ASSERT_INT(caller_reaches_memory(&sight, asked->about), asked->sees);
	ASSERT_INT(caller_sees_memory(&sight, asked->caller.pid), asked->sees || asked->itself);
	if (asked->error) {
		CU_ASSERT(!caller_sees_process(&sight, asked->about));
		CU_ASSERT(!caller_sees_past(&sight, asked->caller.uid, true));
		CU_ASSERT(!caller_sees_who(&sight, asked->about, 1, asked->caller.uid, true));
	}
	caller_sight_end(&sight);
	/* The thread is none of the caller's any more. */
	ASSERT_INT(geteuid(), 0);
	ASSERT_INT(getegid(), 0);
}

#define SEES(...) failing_returns(FAILING(__VA_ARGS__), ask, &sees)
#define REFUSED(...) failing_returns(FAILING(__VA_ARGS__), ask, &refused)
#define UNKNOWN(number, ...)                                                                       \
	do {                                                                                       \
		unknown.error = number;                                                            \
		failing_returns(FAILING({ __VA_ARGS__, .result = number }), ask, &unknown);        \
	} while (0)

static void a_caller_that_cannot_be_read_sees_nothing(void)
{
	struct asked sees = { .sees = true }, refused = { 0 }, unknown = { 0 };
	struct pair pair;
	g_autofree char *directory = NULL, *thread = NULL;
	int worker;

	NEED_SOMEBODY();
	if (!pair_start(&plain, &pair_same, &pair))
		return;
	sees.caller = refused.caller = unknown.caller = caller_of(pair.first, SOMEBODY);
	sees.about = refused.about = unknown.about = pair.second;
	directory = g_strdup_printf("/proc/%d", pair.first);
	thread = g_strdup_printf("task/%d", pair.first);
	failing_returns(NOTHING_FAILS, ask, &sees);
	UNKNOWN(-EMFILE, OPENS("/proc"));
	UNKNOWN(-EMFILE, OPENS("/proc/self"));
	UNKNOWN(-ENFILE, OPENS(directory));
	UNKNOWN(-ENOMEM, OPENS("status"));
	UNKNOWN(-EMFILE, OPENS(thread));
	UNKNOWN(-ENOMEM, LOOKS_AT("ns/pid"));
	UNKNOWN(-ENOMEM, LOOKS_AT("ns/user"));
	/* For other reasons it may be gone, and nothing is the truth. */
	REFUSED({ OPENS("/proc"), .result = -ENOENT });
	REFUSED({ OPENS(directory), .result = -ENOENT });
	REFUSED({ OPENS(thread), .result = -ENOENT });
	REFUSED({ LOOKS_AT("ns/user"), .result = -ESRCH });
	/* A thread of an io_uring acts with rights that procfs does not show. */
	worker = text_descriptor(IO_WORKER_STAT);
	REFUSED({ OPENS("stat"), .result = worker });
	close(worker);
	/* Without the caller's rights the daemon must not ask with its own. */
	REFUSED({ SYS_setresgid, .argument = 2, .value = SOMEBODY, .result = -EPERM });
	REFUSED({ SYS_setresuid, .argument = 2, .value = SOMEBODY, .result = -EPERM });
	pair_end(&pair);
}

/* Then the caller counts as one of another namespace, for which the kernel's rule is applied. */
static void without_a_namespace_to_compare_with_the_rule_decides(void)
{
	struct asked sees = { .sees = true }, refused = { .itself = true };
	struct pair pair;

	NEED_SOMEBODY();
	if (!pair_start(&plain, &closed, &pair))
		return;
	sees.caller = caller_of(pair.second, SOMEBODY);
	sees.about = pair.first;
	refused.caller = caller_of(pair.first, SOMEBODY);
	refused.about = pair.second;
	SEES({ LOOKS_AT("ns/user"), .after = 1, .times = 1, .result = -ENOMEM });
	REFUSED({ LOOKS_AT("ns/user"), .after = 1, .times = 1, .result = -ENOMEM });
	refused.about = getpid();
	REFUSED({ LOOKS_AT("ns/user"), .after = 1, .times = 1, .result = -ENOMEM });
	refused.about = 1;
	REFUSED({ LOOKS_AT("ns/user"), .after = 1, .times = 1, .result = -ENOMEM });
	pair_end(&pair);
}

/* Nobody can be in a domain of what the kernel has not. */
static void without_landlock_there_is_no_sandbox(void)
{
	const struct state sandboxed = { SOMEBODY, .no_new_privs = true };
	struct asked sees = { .sees = true };
	struct pair pair;

	NEED_SOMEBODY();
	if (!pair_start(&sandboxed, &pair_same, &pair))
		return;
	sees.caller = caller_of(pair.first, SOMEBODY);
	sees.about = pair.second;
	SEES({ SYS_landlock_create_ruleset, .result = -ENOSYS });
	SEES({ SYS_landlock_create_ruleset, .result = -EOPNOTSUPP });
	pair_end(&pair);
}

/* A sight that has begun, about which something fails from now on. */
struct looking {
	struct caller_sight sight;
	pid_t about;
	bool sees;
};

static void look(void *data)
{
	struct looking *looking = data;

	ASSERT_INT(caller_sees_memory(&looking->sight, looking->about), looking->sees);
	/* What holds for one process does not for the next. */
	CU_ASSERT(!caller_sees_memory(&looking->sight, 1));
	ASSERT_INT(caller_sees_memory(&looking->sight, looking->about), looking->sees);
	ASSERT_INT(caller_sees_memory(&looking->sight, looking->about), looking->sees);
}

static void begin(struct looking *looking, pid_t caller, uid_t uid, pid_t about)
{
	const struct caller who = caller_of(caller, uid);

	*looking = (struct looking){ .about = about };
	caller_sight_begin(&looking->sight, "/proc", &who);
	looking->sees = true;
	look(looking);
	looking->sees = false;
	looking->sight.asked = 0;
}

#define NOT_SEEN(...) failing_returns(FAILING(__VA_ARGS__), look, &looking)

static void what_cannot_be_read_is_not_seen_from_a_user_namespace(void)
{
	const struct state root = { SOMEBODY, CLONE_NEWUSER, ALL_CAPABILITIES };
	const struct state member = { .capabilities = ALL_CAPABILITIES };
	struct looking looking;
	g_autofree char *second = NULL;
	struct pair pair;

	if (!pair_start(&root, &member, &pair))
		return;
	second = g_strdup_printf("%d", pair.second);
	begin(&looking, pair.first, SOMEBODY, pair.second);
	NOT_SEEN({ OPENS(second), .result = -ENOENT });
	NOT_SEEN({ OPENS("status"), .result = -ESRCH });
	NOT_SEEN({ OPENS("ns/user"), .result = -EMFILE });
	NOT_SEEN({ LOOKS_AT("exe"), .result = -ENOENT });
	caller_sight_end(&looking.sight);
	pair_end(&pair);
}

/* A process of SOMEBODY in the pid namespace of another one, and the one outside that has started it. */
struct joined {
	pid_t pid, parent;
};

static void stay_as_somebody(bool dumpable, int ready)
{
	become_somebody(SOMEBODY);
	if (prctl(PR_SET_DUMPABLE, dumpable) < 0 || write(ready, "!", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static struct joined join_pids_of(const struct pair *pair, bool dumpable)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/ns/pid", pair->second);
	struct joined joined;
	int ready[2], told[2];
	char byte;

	CU_ASSERT_FATAL(pipe2(ready, O_CLOEXEC) == 0 && pipe2(told, O_CLOEXEC) == 0);
	joined.parent = fork();
	if (joined.parent == 0) {
		close(pair->keep);
		if (setns(open(path, O_RDONLY | O_CLOEXEC), CLONE_NEWPID) < 0)
			_exit(1);
		joined.pid = fork();
		if (joined.pid == 0)
			stay_as_somebody(dumpable, ready[1]);
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1 ||
			write(told[1], &joined.pid, sizeof joined.pid) != sizeof joined.pid)
			_exit(1);
		_exit(waitpid(joined.pid, NULL, 0) != joined.pid);
	}
	close(ready[1]);
	close(told[1]);
	CU_ASSERT_FATAL(read(told[0], &joined.pid, sizeof joined.pid) == sizeof joined.pid);
	close(ready[0]);
	close(told[0]);
	return joined;
}

static void end_joined(const struct joined *joined)
{
	int status;

	kill(joined->pid, SIGKILL);
	ASSERT_INT(waitpid(joined->parent, &status, 0), joined->parent);
	ASSERT_INT(status, 0);
}

static void look_at_process(void *data)
{
	struct looking *looking = data;

	ASSERT_INT(caller_sees_memory(&looking->sight, looking->about), looking->sees);
	ASSERT_INT(caller_sees_process(&looking->sight, looking->about), looking->sees);
}

static void from_a_pid_namespace_its_own_are_seen_as_the_kernel_shows_them(void)
{
	const struct state outer = { 0, CLONE_NEWPID, ALL_CAPABILITIES };
	const struct state inner = { .capabilities = ALL_CAPABILITIES };
	struct looking looking;
	struct joined one, other, shut;
	struct caller caller;
	struct pair pair, outside;

	NEED_SOMEBODY();
	if (!pair_start(&outer, &inner, &pair))
		return;
	one = join_pids_of(&pair, true);
	other = join_pids_of(&pair, true);
	shut = join_pids_of(&pair, false);
	CU_ASSERT_FATAL(pair_start(&plain, &pair_same, &outside));
	caller = caller_of(one.pid, SOMEBODY);
	caller_sight_begin(&looking.sight, "/proc", &caller);
	CU_ASSERT(caller_sees_memory(&looking.sight, other.pid));
	CU_ASSERT(caller_sees_process(&looking.sight, other.pid));
	CU_ASSERT(!caller_sees_memory(&looking.sight, shut.pid));
	CU_ASSERT(caller_sees_process(&looking.sight, shut.pid));
	CU_ASSERT(!caller_sees_memory(&looking.sight, pair.second));
	CU_ASSERT(!caller_sees_memory(&looking.sight, outside.first));
	CU_ASSERT(!caller_sees_process(&looking.sight, outside.first));
	CU_ASSERT(!caller_sees_past(&looking.sight, SOMEBODY, true));
	looking.sees = false;
	looking.about = number_of_nobody();
	look_at_process(&looking);
	/* What the daemon cannot ask with the caller's rights it does not ask with its own. */
	looking.about = other.pid;
	failing_returns(
		FAILING({ SYS_setresgid, .argument = 2, .value = SOMEBODY, .result = -EPERM }),
		look_at_process, &looking);
	caller_sight_end(&looking.sight);
	pair_end(&outside);
	end_joined(&one);
	end_joined(&other);
	end_joined(&shut);
	pair_end(&pair);
}

/* As mount(8) with that option: whose processes are hidden are not named. */
static void look_where_processes_are_hidden(void *data)
{
	const struct pair *pair = data;
	const struct caller caller = caller_of(pair->first, SOMEBODY);
	g_autofree char *directory = g_dir_make_tmp("shmtree-hidepid-XXXXXX", NULL);
	struct caller_sight sight;

	CU_ASSERT_FATAL(directory && chmod(directory, 0755) == 0 && unshare(CLONE_NEWNS) == 0 &&
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount("proc", directory, "proc", 0, "hidepid=2") == 0);
	caller_sight_begin(&sight, directory, &caller);
	CU_ASSERT(caller_sees_process(&sight, pair->second));
	CU_ASSERT(!caller_sees_process(&sight, getppid()));
	CU_ASSERT(!caller_sees_process(&sight, 1));
	caller_sight_end(&sight);
	caller_sight_begin(&sight, "/proc", &caller);
	CU_ASSERT(caller_sees_process(&sight, getppid()));
	CU_ASSERT(!caller_sees_memory(&sight, getppid()));
	caller_sight_end(&sight);
	CU_ASSERT(umount2(directory, MNT_DETACH) == 0 && rmdir(directory) == 0);
}

static void hidden_processes_are_not_named(void)
{
	struct pair pair;

	NEED_SOMEBODY();
	if (!pair_start(&plain, &pair_same, &pair))
		return;
	failing_returns(NOTHING_FAILS, look_where_processes_are_hidden, &pair);
	pair_end(&pair);
}

static bool sees_past(const struct caller *caller, uid_t uid, bool readable)
{
	struct caller_sight sight;
	bool answer;

	caller_sight_begin(&sight, "/proc", caller);
	answer = caller_sees_past(&sight, uid, readable);
	caller_sight_end(&sight);
	return answer;
}

static void what_has_ended_is_shown_to_its_user_and_to_who_sees_all(void)
{
	const struct state sandboxed = { .no_new_privs = true };
	const struct caller root = caller_of(getpid(), 0);
	const struct caller nobody = caller_of(number_of_nobody(), SOMEBODY);
	struct caller caller;
	struct pair pair;

	NEED_SOMEBODY();
	if (!pair_start(&plain, &sandboxed, &pair))
		return;
	caller = caller_of(pair.first, SOMEBODY);
	CU_ASSERT(sees_past(&root, SOMEBODY, false));
	CU_ASSERT(sees_past(&caller, SOMEBODY, true));
	CU_ASSERT(!sees_past(&caller, SOMEBODY, false));
	CU_ASSERT(!sees_past(&caller, SOMEBODY + 1, true));
	CU_ASSERT(!sees_past(&caller, 0, true));
	CU_ASSERT(!sees_past(&nobody, SOMEBODY, true));
	caller.pid = pair.second;
	CU_ASSERT(!sees_past(&caller, SOMEBODY, true));
	pair_end(&pair);
}

/* A process that may live, and its user then. */
struct who {
	struct caller_sight sight;
	pid_t pid;
	uint64_t born;
	bool sees;
};

static void ask_who(void *data)
{
	struct who *who = data;

	ASSERT_INT(caller_sees_who(&who->sight, who->pid, who->born, SOMEBODY, true), who->sees);
}

/* It may have become undumpable since it was seen to be readable. */
static void who_cannot_be_found_for_the_moment_is_not_said_to_have_ended(void)
{
	g_autofree char *second = NULL;
	struct caller caller;
	struct pair pair;
	struct who who;

	NEED_SOMEBODY();
	if (!pair_start(&plain, &closed, &pair))
		return;
	caller = caller_of(pair.first, SOMEBODY);
	second = g_strdup_printf("%d", pair.second);
	who = (struct who){ .pid = pair.second, .born = birth_of(pair.second) };
	caller_sight_begin(&who.sight, "/proc", &caller);
	failing_returns(NOTHING_FAILS, ask_who, &who);
	failing_returns(FAILING({ OPENS(second), .result = -EMFILE }), ask_who, &who);
	failing_returns(FAILING({ OPENS("stat"), .result = -ENOMEM }), ask_who, &who);
	/* But it has where there is none of that number, or it goes while it is looked at. */
	who.sees = true;
	failing_returns(FAILING({ OPENS("stat"), .result = -ESRCH }), ask_who, &who);
	who.pid = number_of_nobody();
	failing_returns(NOTHING_FAILS, ask_who, &who);
	caller_sight_end(&who.sight);
	pair_end(&pair);
}

static CU_TestInfo tests[] = {
	{ "a caller that cannot be read sees nothing", a_caller_that_cannot_be_read_sees_nothing },
	{ "without a namespace to compare with the rule decides",
		without_a_namespace_to_compare_with_the_rule_decides },
	{ "without Landlock there is no sandbox", without_landlock_there_is_no_sandbox },
	{ "what cannot be read is not seen from a user namespace",
		what_cannot_be_read_is_not_seen_from_a_user_namespace },
	{ "from a pid namespace its own are seen as the kernel shows them",
		from_a_pid_namespace_its_own_are_seen_as_the_kernel_shows_them },
	{ "hidden processes are not named", hidden_processes_are_not_named },
	{ "what has ended is shown to its user and to who sees all",
		what_has_ended_is_shown_to_its_user_and_to_who_sees_all },
	{ "who cannot be found for the moment is not said to have ended",
		who_cannot_be_found_for_the_moment_is_not_said_to_have_ended },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo sight_refused_suite = { "sight refused", NULL, NULL, NULL, NULL, tests };
