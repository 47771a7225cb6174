/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/fsuid.h"
#include "caller/rights.h"
#include "caller/sight.h"
#include "procfs/process-facts.h"

#include "somebody.h"
#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <glib.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void assert_there_and_back(const struct caller *caller, const char *effective)
{
	g_autofree char *before = own_credentials();
	struct effective ids;

	ASSERT_INT(effective_begin(&ids, caller), 0);
	g_autofree char *meanwhile = own_credentials();
	ASSERT_INT(geteuid(), caller->uid);
	ASSERT_INT(getegid(), caller->gid);
	CU_ASSERT_PTR_NOT_NULL(strstr(meanwhile, effective));
	effective_end(&ids);
	g_autofree char *after = own_credentials();
	ASSERT_STRING(after, before);
}

static void a_thread_comes_back_as_it_was(void)
{
	const struct caller somebody = { .uid = SOMEBODY, .gid = SOMEBODY };

	NEED_SOMEBODY();
	assert_there_and_back(&somebody, "CapEff:\t0000000000000000");
}

/* One that acts as another caller, by its file ids alone, goes on with that. */
static void file_ids_come_back_as_they_were(void)
{
	const struct caller somebody = { .uid = SOMEBODY, .gid = SOMEBODY };

	NEED_SOMEBODY();
	thread_set_file_ids(SOMEBODY + 1, SOMEBODY + 2);
	assert_there_and_back(&somebody, "CapEff:\t0000000000000000");
	ASSERT_INT(setfsuid(-1), SOMEBODY + 1);
	ASSERT_INT(setfsgid(-1), SOMEBODY + 2);
	thread_set_file_ids(0, 0);
	ASSERT_INT(setfsuid(-1), 0);
}

static void root_of_whom_nothing_is_known_lends_no_capability(void)
{
	const struct caller root = { 0 };

	if (geteuid() != 0)
		SKIP("only root acts as root");
	assert_there_and_back(&root, "CapEff:\t0000000000000000");
}

static void a_caller_with_our_rights_keeps_them(void)
{
	const struct caller self = { .uid = geteuid(), .gid = getegid(), .pid = getpid() };
	g_autofree char *own = own_credentials();
	g_autofree char *effective = g_strndup(strstr(own, "CapEff:"), strlen("CapEff:\t") + 16);

	assert_there_and_back(&self, effective);
}

/* The file is for user 1, group 12 and, if `mode` says so, others. */
static int may_read(const struct caller *caller, mode_t mode)
{
	char path[] = "/tmp/caller.XXXXXX";
	int fd = mkstemp(path), r;

	CU_ASSERT_FATAL(fd >= 0 && fchown(fd, 1, 12) == 0 && fchmod(fd, mode) == 0);
	unlink(path);
	r = caller_may_access(caller, fd, R_OK);
	close(fd);
	return r;
}

static void files_are_read_by_whom_their_mode_lets(void)
{
	const struct caller stranger = { .uid = SOMEBODY, .gid = SOMEBODY };
	const struct caller root = { 0 };
	struct caller member = stranger;
	int keep;

	NEED_SOMEBODY();
	member.pid = start_somebody(12, true, &keep);
	ASSERT_INT(may_read(&stranger, 0640), -EACCES);
	ASSERT_INT(may_read(&stranger, 0644), 0);
	ASSERT_INT(may_read(&member, 0640), 0);
	ASSERT_INT(may_read(&member, 0600), -EACCES);
	ASSERT_INT(may_read(&root, 0600), -EACCES);
	/* Of whom nothing is known may be in the group, which may not. */
	ASSERT_INT(may_read(&stranger, 0604), 0);
	caller_rights_decide_alone(true);
	ASSERT_INT(may_read(&stranger, 0604), -EACCES);
	ASSERT_INT(may_read(&member, 0604), -EACCES);
	ASSERT_INT(may_read(&member, 0640), 0);
	caller_rights_decide_alone(false);
	end_somebody(member.pid, keep);
}

/* A pid may be another process's by now. */
static void rights_are_those_of_the_callers_user(void)
{
	struct caller caller = { .uid = SOMEBODY, .gid = SOMEBODY };
	struct caller_rights rights;
	int keep;

	NEED_SOMEBODY();
	caller_rights_read(&caller, &rights);
	CU_ASSERT(!rights.known);
	caller_rights_clear(&rights);
	caller.pid = start_somebody(12, true, &keep);
	caller_rights_read(&caller, &rights);
	CU_ASSERT(rights.known && rights.effective == 0);
	CU_ASSERT(caller_rights_in_group(&rights, 12) && !caller_rights_in_group(&rights, 13));
	caller_rights_clear(&rights);
	caller.uid++;
	caller_rights_read(&caller, &rights);
	CU_ASSERT(!rights.known && !caller_rights_in_group(&rights, 12));
	caller_rights_clear(&rights);
	end_somebody(caller.pid, keep);
	caller = (struct caller){ .uid = SOMEBODY, .pid = getpid() };
	caller_rights_read(&caller, &rights);
	CU_ASSERT(!rights.known && rights.effective == 0 && rights.groups->len == 0);
	caller_rights_clear(&rights);
	caller.uid = 0;
	caller_rights_read(&caller, &rights);
	CU_ASSERT(rights.known && rights.effective == thread_capabilities());
	caller_rights_clear(&rights);
}

/* Root of a user namespace of its own has all capabilities, about that namespace. */
static void capabilities_about_another_namespace_do_not_count(void)
{
	int ready[2], wait[2], status;
	struct caller caller = { .uid = geteuid(), .gid = getegid() };
	struct caller_rights rights;
	char byte = 0;

	CU_ASSERT_FATAL(pipe2(ready, O_CLOEXEC) == 0 && pipe2(wait, O_CLOEXEC) == 0);
	caller.pid = fork();
	if (caller.pid == 0) {
		close(wait[1]);
		byte = unshare(CLONE_NEWUSER) == 0 && thread_capabilities() != 0;
		_exit(write(ready[1], &byte, 1) != 1 || read(wait[0], &byte, 1) != 0);
	}
	close(ready[1]);
	close(wait[0]);
	CU_ASSERT_FATAL(caller.pid > 0 && read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	caller_rights_read(&caller, &rights);
	if (!byte)
		unit_skip("no user namespace can be made");
	CU_ASSERT(rights.known && (!byte || rights.effective == 0));
	caller_rights_clear(&rights);
	close(wait[1]);
	ASSERT_INT(waitpid(caller.pid, &status, 0), caller.pid);
	ASSERT_INT(status, 0);
}

/* In a process of its own: fsuid_init() gives up the groups. */
static bool permits_in_child(const struct caller *caller, mode_t mode, uid_t uid, gid_t gid,
	int want)
{
	const struct ownership file = { .mode = mode, .uid = uid, .gid = gid };
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		fsuid_init();
		_exit(!fsuid_privileged() ? 2 : fsuid_permits(caller, &file, want));
	}
	CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 1;
}

/* As the kernel: of owner, group and others the first that fits decides, whatever the rest would let. */
static void the_first_class_that_fits_decides(void)
{
	struct caller caller = { .uid = SOMEBODY, .gid = SOMEBODY };
	const struct caller root = { .uid = 0, .pid = getpid() };
	const struct caller bare_root = { 0 };
	int keep;

	NEED_SOMEBODY();
	caller.pid = start_somebody(12, true, &keep);
	CU_ASSERT(permits_in_child(&caller, 0400, SOMEBODY, 1, R_OK));
	CU_ASSERT(!permits_in_child(&caller, 0400, SOMEBODY, 1, R_OK | W_OK));
	CU_ASSERT(permits_in_child(&caller, 0600, SOMEBODY, 1, R_OK | W_OK));
	CU_ASSERT(!permits_in_child(&caller, 0077, SOMEBODY, SOMEBODY, R_OK));
	CU_ASSERT(!permits_in_child(&caller, 0077, SOMEBODY, 12, R_OK));
	CU_ASSERT(!permits_in_child(&caller, 0077, SOMEBODY, 1, R_OK));
	CU_ASSERT(permits_in_child(&caller, 0040, 1, SOMEBODY, R_OK));
	CU_ASSERT(permits_in_child(&caller, 0040, 1, 12, R_OK));
	CU_ASSERT(!permits_in_child(&caller, 0040, 1, 12, W_OK));
	CU_ASSERT(!permits_in_child(&caller, 0707, 1, SOMEBODY, R_OK));
	CU_ASSERT(!permits_in_child(&caller, 0707, 1, 12, R_OK));
	CU_ASSERT(permits_in_child(&caller, 0004, 1, 1, R_OK));
	CU_ASSERT(!permits_in_child(&caller, 0774, 1, 1, R_OK | W_OK));
	CU_ASSERT(!permits_in_child(&caller, 0770, 1, 1, R_OK));
	CU_ASSERT(permits_in_child(&root, 0, 1, 1, R_OK | W_OK));
	CU_ASSERT(!permits_in_child(&bare_root, 0, 1, 1, R_OK));
	end_somebody(caller.pid, keep);
}

static bool sees(const struct caller *caller, pid_t pid)
{
	struct caller_sight sight;
	bool seen;

	caller_sight_begin(&sight, "/proc", caller);
	seen = caller_sees_memory(&sight, pid);
	caller_sight_end(&sight);
	return seen;
}

static void memory_is_seen_as_procfs_shows_it(void)
{
	const struct caller bare_root = { 0 };
	const struct caller self = { .uid = 0, .gid = 0, .pid = getpid() };
	struct caller somebody = { .uid = SOMEBODY, .gid = SOMEBODY }, other_group, nowhere;
	int keep_caller, keep_open, keep_closed;
	pid_t open, closed;

	NEED_SOMEBODY();
	nowhere = somebody;
	somebody.pid = start_somebody(12, true, &keep_caller);
	other_group = somebody;
	other_group.gid = 1;
	open = start_somebody(12, true, &keep_open);
	closed = start_somebody(12, false, &keep_closed);
	CU_ASSERT(sees(&somebody, open));
	CU_ASSERT(sees(&somebody, somebody.pid));
	CU_ASSERT(!sees(&somebody, closed));
	CU_ASSERT(!sees(&nowhere, open));
	CU_ASSERT(!sees(&other_group, open));
	CU_ASSERT(!sees(&bare_root, open));
	CU_ASSERT(sees(&self, open));
	CU_ASSERT(sees(&self, closed));
	end_somebody(closed, keep_closed);
	end_somebody(open, keep_open);
	end_somebody(somebody.pid, keep_caller);
}

/* In a mount namespace of its own, where the kernel seems to have Yama. */
static bool pretend_yama(const char *scope)
{
	static const char file[] = "/proc/sys/kernel/yama/ptrace_scope";

	return unshare(CLONE_NEWNS) == 0 &&
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount("none", "/proc/sys/kernel", "tmpfs", 0, NULL) == 0 &&
		mkdir("/proc/sys/kernel/yama", 0755) == 0 &&
		g_file_set_contents(file, scope, -1, NULL);
}

/* The answer of a child under that scope; `also`: capabilities that the caller has besides. */
static int reaches(const struct caller *caller, pid_t pid, const char *scope, uint64_t also,
	bool sees_all)
{
	struct caller_sight sight;
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		if (!pretend_yama(scope))
			_exit(2);
		caller_sight_begin(&sight, "/proc", caller);
		sight.effective |= also;
		sight.all |= sees_all;
		_exit(caller_reaches_memory(&sight, pid));
	}
	CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
	return WEXITSTATUS(status);
}

static void memory_is_reached_as_yama_permits(void)
{
	const uint64_t ptrace = CAPABILITY(CAP_SYS_PTRACE);
	struct caller caller = { .uid = SOMEBODY, .gid = SOMEBODY };
	int keep_caller, keep_other;
	pid_t other;

	NEED_SOMEBODY();
	caller.pid = start_somebody(12, true, &keep_caller);
	other = start_somebody(12, true, &keep_other);
	if (reaches(&caller, other, "0", 0, false) == 2)
		unit_skip("no mount namespace can be made");
	ASSERT_INT(reaches(&caller, other, "0", 0, false), 1);
	ASSERT_INT(reaches(&caller, caller.pid, "3", 0, false), 1);
	ASSERT_INT(reaches(&caller, other, "1", 0, false), 0);
	ASSERT_INT(reaches(&caller, other, "2", 0, false), 0);
	ASSERT_INT(reaches(&caller, other, "3", 0, false), 0);
	ASSERT_INT(reaches(&caller, other, "1", ptrace, false), 1);
	ASSERT_INT(reaches(&caller, other, "2", ptrace, false), 1);
	ASSERT_INT(reaches(&caller, other, "3", ptrace, false), 0);
	/* A process that is gone is nobody's descendant. */
	end_somebody(other, keep_other);
	ASSERT_INT(reaches(&caller, other, "1", 0, true), 0);
	end_somebody(caller.pid, keep_caller);
}

/* Nobody could say then that the caller sees nothing (sight.error), nor that a process is gone. */
static int error_without_descriptors(const struct caller *caller)
{
	const struct rlimit none = { 0, 0 };
	struct process_facts facts = { 0 };
	struct caller_sight sight;
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		if (setrlimit(RLIMIT_NOFILE, &none) < 0)
			_exit(0);
		caller_sight_begin(&sight, "/proc", caller);
		_exit(process_facts_read("/proc", getppid(), &facts) == sight.error ? -sight.error :
										      0);
	}
	CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
	return WEXITSTATUS(status);
}

static void a_caller_that_cannot_be_read_for_the_moment_is_told_apart(void)
{
	const struct caller self = { .uid = geteuid(), .gid = getegid(), .pid = getpid() };
	const struct caller gone = { .uid = SOMEBODY, .gid = SOMEBODY };
	struct caller_sight sight;

	ASSERT_INT(error_without_descriptors(&self), EMFILE);
	caller_sight_begin(&sight, "/proc", &gone);
	ASSERT_INT(sight.error, 0);
	CU_ASSERT_FALSE(caller_sees_memory(&sight, getpid()));
	caller_sight_end(&sight);
}

static CU_TestInfo tests[] = {
	{ "a thread comes back as it was", a_thread_comes_back_as_it_was },
	{ "file ids come back as they were", file_ids_come_back_as_they_were },
	{ "root of whom nothing is known lends no capability",
		root_of_whom_nothing_is_known_lends_no_capability },
	{ "a caller with our rights keeps them", a_caller_with_our_rights_keeps_them },
	{ "files are read by whom their mode lets", files_are_read_by_whom_their_mode_lets },
	{ "rights are those of the caller's user", rights_are_those_of_the_callers_user },
	{ "capabilities about another namespace do not count",
		capabilities_about_another_namespace_do_not_count },
	{ "the first class that fits decides", the_first_class_that_fits_decides },
	{ "memory is seen as procfs shows it", memory_is_seen_as_procfs_shows_it },
	{ "memory is reached as Yama permits", memory_is_reached_as_yama_permits },
	{ "a caller that cannot be read for the moment is told apart",
		a_caller_that_cannot_be_read_for_the_moment_is_told_apart },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo caller_suite = { "caller", NULL, NULL, NULL, NULL, tests };
