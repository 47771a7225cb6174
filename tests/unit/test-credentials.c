/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The credentials of a thread that BPF reads are those that procfs shows. */
#include "base/privilege.h"
#include "base/util.h"
#include "caller/credential-records.h"
#include "caller/credentials.h"
#include "caller/rights.h"
#include "procfs/status.h"

#include "actor.h"
#include "unit.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SOMEBODY 54321

static bool opened;

static void need_program(void)
{
	int r;

	if (opened)
		return;
	if (geteuid() != 0 || !privilege_of_machine() || !privilege_sees_all_processes())
		SKIP("only root of the machine, in the first pid namespace, reads them");
	r = credentials_open();
	if (r < 0)
		SKIP("the program cannot be loaded: %s", g_strerror(-r));
	opened = true;
}

static void be_in_groups(unsigned n)
{
	g_autofree gid_t *groups = g_new(gid_t, n + 1);

	for (unsigned i = 0; i < n; i++)
		groups[i] = 1000 + i;
	if (syscall(SYS_setgroups, n, groups) < 0)
		_exit(1);
}

static void become_somebody(void)
{
	if (syscall(SYS_setresgid, 7, 8, 9) < 0 || syscall(SYS_setresuid, SOMEBODY, 1, 2) < 0)
		_exit(1);
}

static void play_root(int channel)
{
	actor_step(channel);
}

static void play_somebody_in_one_group(int channel)
{
	be_in_groups(1);
	become_somebody();
	actor_step(channel);
}

static void play_member_of_many(int channel)
{
	be_in_groups(CREDENTIAL_GROUPS_MAX);
	actor_step(channel);
}

static void play_member_of_too_many(int channel)
{
	be_in_groups(CREDENTIAL_GROUPS_MAX + 1);
	actor_step(channel);
}

static void play_with_other_file_ids(int channel)
{
	be_in_groups(0);
	setfsgid(5);
	setfsuid(6);
	actor_step(channel);
}

static void play_with_two_capabilities(int channel)
{
	thread_set_capabilities(CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_SETGID));
	actor_step(channel);
}

static void play_in_user_namespace(int channel)
{
	/* It fails where the kernel forbids it: then it says so by its end. */
	if (unshare(CLONE_NEWUSER) < 0)
		_exit(1);
	actor_step(channel);
}

static void assert_as_in_procfs(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d", pid);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_autoptr(GArray) shown = g_array_new(FALSE, FALSE, sizeof(gid_t));
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	struct credentials read;
	struct proc_status status;

	CU_ASSERT_FATAL(dir >= 0 && proc_read_status(dir, &status, shown) == 0);
	CU_ASSERT_FATAL(credentials_read(pid, &read, groups));
	ASSERT_INT(read.uid, status.uids[ID_REAL]);
	ASSERT_INT(read.fsuid, status.uids[ID_FS]);
	ASSERT_INT(read.permitted, status.permitted);
	ASSERT_INT(read.effective, status.effective);
	CU_ASSERT_FALSE(read.io_worker);
	ASSERT_INT(groups->len, shown->len);
	for (guint i = 0; i < MIN(groups->len, shown->len); i++)
		ASSERT_INT(g_array_index(groups, gid_t, i), g_array_index(shown, gid_t, i));
}

static void compare(void (*play)(int channel))
{
	struct actor actor = actor_start(play);

	assert_as_in_procfs(actor.pid);
	actor_stop(&actor);
}

static void they_are_those_that_procfs_shows(void)
{
	need_program();
	if (!opened)
		return;
	assert_as_in_procfs(getpid());
	compare(play_root);
	compare(play_somebody_in_one_group);
	compare(play_member_of_many);
	compare(play_with_other_file_ids);
	compare(play_with_two_capabilities);
}

static bool is_read(pid_t pid)
{
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	struct credentials read;

	return credentials_read(pid, &read, groups);
}

static void what_they_do_not_tell_procfs_is_asked(void)
{
	struct actor actor;
	pid_t gone;

	need_program();
	if (!opened)
		return;
	actor = actor_start(play_member_of_too_many);
	CU_ASSERT_FALSE(is_read(actor.pid));
	actor_stop(&actor);
	gone = actor.pid;
	CU_ASSERT_FALSE(is_read(gone));
	CU_ASSERT_FALSE(is_read(0));
	CU_ASSERT_FALSE(is_read(-1));
}

static void of_another_user_namespace_procfs_is_asked(void)
{
	struct actor actor;

	need_program();
	if (!opened)
		return;
	actor = actor_start(play_in_user_namespace);
	CU_ASSERT_FALSE(is_read(actor.pid));
	actor_stop(&actor);
}

/* A thread may have others than its process, by raw system calls. */
static void *be_another(void *data)
{
	int *pipe = data;
	pid_t self = (pid_t)syscall(SYS_gettid);
	char byte;

	syscall(SYS_setfsuid, SOMEBODY);
	if (write(pipe[1], &self, sizeof self) != sizeof self || read(pipe[0], &byte, 1) != 0)
		CU_FAIL("the thread was not asked");
	return NULL;
}

static bool read_back(int fd, pid_t *tid)
{
	return read(fd, tid, sizeof *tid) == sizeof *tid;
}

static void each_thread_has_its_own(void)
{
	int there[2], back[2], ends[2];
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	struct credentials found = { 0 };
	GThread *thread;
	pid_t tid;

	need_program();
	if (!opened)
		return;
	CU_ASSERT_FATAL(pipe2(there, O_CLOEXEC) == 0 && pipe2(back, O_CLOEXEC) == 0);
	ends[0] = there[0];
	ends[1] = back[1];
	thread = g_thread_new("another", be_another, ends);
	CU_ASSERT_FATAL(read_back(back[0], &tid));
	CU_ASSERT(credentials_read(tid, &found, groups));
	ASSERT_INT(found.fsuid, SOMEBODY);
	ASSERT_INT(found.uid, getuid());
	close(there[1]);
	g_thread_join(thread);
	close(there[0]);
	close(back[0]);
	close(back[1]);
}

/* One that has none is told so, without another question: not as one of whom nothing is known. */
static void rights_are_those_that_they_tell(void)
{
	struct caller_rights rights;
	struct caller caller = { .uid = 1 };
	struct actor actor;

	need_program();
	if (!opened)
		return;
	actor = actor_start(play_somebody_in_one_group);
	caller.pid = actor.pid;
	caller_rights_read(&caller, &rights);
	CU_ASSERT_TRUE(rights.known);
	CU_ASSERT_TRUE(caller_rights_in_group(&rights, 1000));
	ASSERT_INT(rights.effective, 0);
	caller_rights_clear(&rights);
	caller.uid = 3;
	caller_rights_read(&caller, &rights);
	CU_ASSERT_FALSE(rights.known || caller_rights_in_group(&rights, 1000));
	caller_rights_clear(&rights);
	actor_stop(&actor);
	caller = (struct caller){ .uid = geteuid(), .pid = getpid() };
	caller_rights_read(&caller, &rights);
	CU_ASSERT_EQUAL(rights.effective, thread_capabilities());
	caller_rights_clear(&rights);
}

static CU_TestInfo tests[] = {
	{ "they are those that procfs shows", they_are_those_that_procfs_shows },
	{ "what they do not tell procfs is asked", what_they_do_not_tell_procfs_is_asked },
	{ "of another user namespace procfs is asked", of_another_user_namespace_procfs_is_asked },
	{ "each thread has its own", each_thread_has_its_own },
	{ "rights are those that they tell", rights_are_those_that_they_tell },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo credentials_suite = { "credentials", NULL, NULL, NULL, NULL, tests };
