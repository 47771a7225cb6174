/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fs.protected_regular where the kernel does not apply it: what is not known for sure is refused. */
#include "caller/opening.h"
#include "caller/rights.h"

#include "base/util.h"
#include "failing.h"
#include "somebody.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SWITCH "/proc/sys/fs/protected_regular"
#define YAMA "/proc/sys/kernel/yama/ptrace_scope"
#define OTHER_USER 7

#ifdef SYS_access
#define ASKS_FOR(file) SYS_access, .argument = 1, .path = (file)
#else
#define ASKS_FOR(file) SYS_faccessat, .argument = 2, .path = (file)
#endif
#define OPENS(file) SYS_openat, .argument = 2, .path = (file)

static void ask_whether_known(void *data)
{
	const bool *expected = data;

	ASSERT_INT(opening_is_known(), *expected);
}

static void known_if_yama_is(const char *text, bool expected)
{
	int fd = text_descriptor(text);

	failing_returns(FAILING({ OPENS(YAMA), .result = fd }), ask_whether_known, &expected);
	close(fd);
}

static void be_without_ptrace(void *data)
{
	thread_set_capabilities(~CAPABILITY(CAP_SYS_PTRACE));
	ask_whether_known(data);
}

static void it_is_known_where_the_kernel_tells_it(void)
{
	bool yes = true, no = false;

	if ((thread_capabilities() & CAPABILITY(CAP_SYS_PTRACE)) == 0)
		SKIP("without CAP_SYS_PTRACE it is not known");
	known_if_yama_is("0\n", true);
	known_if_yama_is("2\n", true);
	known_if_yama_is("3\n", false);
	failing_returns(FAILING({ OPENS(YAMA), .result = -ENOENT }), ask_whether_known, &yes);
	failing_returns(FAILING({ OPENS(YAMA), .result = -EMFILE }), ask_whether_known, &no);
	failing_returns(FAILING({ ASKS_FOR("/proc/self/syscall"), .result = -ENOENT }),
		ask_whether_known, &no);
	failing_returns(NOTHING_FAILS, be_without_ptrace, &no);
}

/* A file of OTHER_USER in a directory of root, and a caller. */
struct place {
	int directory, file;
	struct caller caller;
	bool protected;
};

static void ask_whether_protected(void *data)
{
	const struct place *place = data;

	ASSERT_INT(opening_is_protected(&place->caller, place->directory, place->file),
		place->protected);
}

static void protected_if(struct place *place, mode_t mode, const char *setting, bool expected)
{
	int fd = text_descriptor(setting);

	CU_ASSERT(fchmod(place->directory, mode) == 0);
	place->protected = expected;
	failing_returns(FAILING({ OPENS(SWITCH), .result = fd }), ask_whether_protected, place);
	close(fd);
}

/* Whatever the setting is: nobody looks at it. */
static void never_protected(struct place *place, mode_t mode)
{
	int fd = text_descriptor("2\n");

	CU_ASSERT(fchmod(place->directory, mode) == 0);
	place->protected = false;
	failing_returns(FAILING({ OPENS(SWITCH), .if_made = true, .result = fd }),
		ask_whether_protected, place);
	close(fd);
}

static bool make_place(char *path, struct place *out)
{
	*out = (struct place){ .caller = { .uid = SOMEBODY, .gid = SOMEBODY } };
	CU_ASSERT_FATAL(mkdtemp(path) != NULL);
	out->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	out->file = openat(out->directory, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0666);
	CU_ASSERT_FATAL(out->directory >= 0 && out->file >= 0);
	return fchown(out->file, OTHER_USER, OTHER_USER) == 0;
}

static void remove_place(const char *path, const struct place *place)
{
	unlinkat(place->directory, "file", 0);
	close(place->directory);
	close(place->file);
	rmdir(path);
}

static void anothers_file_is_protected_by_the_setting(void)
{
	char path[] = "/tmp/opening.XXXXXX";
	struct place place;

	NEED_SOMEBODY();
	CU_ASSERT(make_place(path, &place));
	protected_if(&place, 01777, "0\n", false);
	protected_if(&place, 01777, "1\n", true);
	protected_if(&place, 01777, "2\n", true);
	protected_if(&place, 01770, "1\n", false);
	protected_if(&place, 01770, "2\n", true);
	never_protected(&place, 01755);
	never_protected(&place, 0777);
	CU_ASSERT(fchown(place.file, SOMEBODY, 0) == 0);
	never_protected(&place, 01777);
	CU_ASSERT(fchown(place.file, 0, 0) == 0);
	never_protected(&place, 01777);
	remove_place(path, &place);
}

static void what_cannot_be_read_is_protected(void)
{
	char path[] = "/tmp/opening.XXXXXX";
	struct place place, half;

	NEED_SOMEBODY();
	CU_ASSERT(make_place(path, &place));
	CU_ASSERT(fchmod(place.directory, 01770) == 0);
	place.protected = true;
	failing_returns(FAILING({ OPENS(SWITCH), .result = -EMFILE }), ask_whether_protected,
		&place);
	/* A kernel that has none. */
	place.protected = false;
	failing_returns(FAILING({ OPENS(SWITCH), .result = -ENOENT }), ask_whether_protected,
		&place);
	CU_ASSERT(fchmod(place.directory, 0700) == 0);
	half = place;
	half.file = -1;
	CU_ASSERT_TRUE(opening_is_protected(&half.caller, half.directory, half.file));
	half = place;
	half.directory = -1;
	CU_ASSERT_TRUE(opening_is_protected(&half.caller, half.directory, half.file));
	remove_place(path, &place);
}

static struct caller process(pid_t pid)
{
	return (struct caller){ .uid = SOMEBODY, .gid = SOMEBODY, .pid = pid };
}

static void ask_and_be_refused(void *data)
{
	const pid_t *pid = data;
	const struct caller caller = process(*pid);

	ASSERT_INT(opening_refused(&caller), -EACCES);
}

static void of_whom_nothing_can_be_read_is_refused(void)
{
	struct caller caller;
	pid_t gone, none = 0;
	int keep;

	NEED_SOMEBODY();
	if (!opening_is_known())
		SKIP("what a thread opens cannot be told here");
	caller = process(start_somebody(12, true, &keep));
	gone = caller.pid;
	/* It waits in read(2), and so opens nothing. */
	while (opening_refused(&caller) != 0)
		g_thread_yield();
	failing_returns(FAILING({ OPENS("comm"), .result = -EMFILE }), ask_and_be_refused,
		&caller.pid);
	failing_returns(FAILING({ OPENS("syscall"), .result = -EACCES }), ask_and_be_refused,
		&caller.pid);
	end_somebody(caller.pid, keep);
	failing_returns(NOTHING_FAILS, ask_and_be_refused, &gone);
	failing_returns(NOTHING_FAILS, ask_and_be_refused, &none);
}

/* A process that makes no system call; until it is ended. */
static pid_t start_to_run(void)
{
	volatile bool *runs =
		mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	CU_ASSERT_FATAL(runs != MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		for (*runs = true;;)
			;
	}
	CU_ASSERT_FATAL(pid > 0);
	while (!*runs)
		g_thread_yield();
	munmap((void *)runs, 1);
	return pid;
}

/* It is asked 600 times, for about a minute, which takes no time here. */
static void who_does_not_wait_is_refused_in_the_end(void)
{
	pid_t pid;

	if (!opening_is_known())
		SKIP("what a thread opens cannot be told here");
	pid = start_to_run();
	failing_returns(NOTHING_FAILS, ask_and_be_refused, &pid);
	kill(pid, SIGKILL);
	ASSERT_INT(waitpid(pid, NULL, 0), pid);
}

struct answer {
	struct caller caller;
	int result;
};

static void ask_after_it_ran(void *data)
{
	const struct answer *expected = data;

	ASSERT_INT(opening_refused(&expected->caller), expected->result);
}

/* The first time it ran, then it was in openat(2) with these flags. */
static void answer_if_it_waits_with(unsigned flags, int result)
{
	g_autofree char *text = g_strdup_printf("%d 0xffffff9c 0x1000 0x%x 0x0 0x0 0x0 0x1 0x2\n",
		(int)SYS_openat, flags);
	struct answer answer = { .caller = { .pid = getpid() }, .result = result };
	int running = text_descriptor("running\n"), waits = text_descriptor(text);

	failing_returns(FAILING({ OPENS("syscall"), .times = 1, .result = running },
				{ OPENS("syscall"), .times = 1, .result = waits }),
		ask_after_it_ran, &answer);
	close(running);
	close(waits);
}

static void who_waits_in_the_end_is_told_by_what_it_opens(void)
{
	answer_if_it_waits_with(O_CREAT | O_RDWR, -EACCES);
	answer_if_it_waits_with(O_RDWR, 0);
}

static CU_TestInfo tests[] = {
	{ "it is known where the kernel tells it", it_is_known_where_the_kernel_tells_it },
	{ "another's file is protected by the setting", anothers_file_is_protected_by_the_setting },
	{ "what cannot be read is protected", what_cannot_be_read_is_protected },
	{ "of whom nothing can be read is refused", of_whom_nothing_can_be_read_is_refused },
	{ "who does not wait is refused in the end", who_does_not_wait_is_refused_in_the_end },
	{ "who waits in the end is told by what it opens",
		who_waits_in_the_end_is_told_by_what_it_opens },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo opening_suite = { "opening", NULL, NULL, NULL, NULL, tests };
