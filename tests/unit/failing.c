/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "failing.h"

#include "unit.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define MAX_CALLS 16
#define MAX_TRAPPED (2 * MAX_CALLS + G_N_ELEMENTS(sleeping))
#define SECONDS 60
#define PER_CALL 8 /* instructions of the filter */
/* The sixth argument of calls that the handler makes itself, which pass. */
#define PASS 0x5ca1ab1e

enum { RETURNED, ENDED_AS_EXPECTED, ENDED_OTHERWISE, NO_SECCOMP };

/* An assertion of the child that failed. */
struct report {
	unsigned line;
	char file[128], condition[256];
};

static const struct failing sleeping[] = { { SYS_clock_nanosleep }, { SYS_nanosleep } };

/* Of the child. */
static const struct failing *failing;
static unsigned seen[MAX_CALLS];
static volatile sig_atomic_t active;
static const char *expected;
static int to_parent;

#if defined __x86_64__
#define ARGUMENTS(context)                                                                         \
	{                                                                                          \
		(context)->uc_mcontext.gregs[REG_RDI], (context)->uc_mcontext.gregs[REG_RSI],      \
			(context)->uc_mcontext.gregs[REG_RDX],                                     \
			(context)->uc_mcontext.gregs[REG_R10],                                     \
			(context)->uc_mcontext.gregs[REG_R8]                                       \
	}
#define RESULT(context) (context)->uc_mcontext.gregs[REG_RAX]
#elif defined __aarch64__
#define ARGUMENTS(context)                                                                         \
	{                                                                                          \
		(context)->uc_mcontext.regs[0], (context)->uc_mcontext.regs[1],                    \
			(context)->uc_mcontext.regs[2], (context)->uc_mcontext.regs[3],            \
			(context)->uc_mcontext.regs[4]                                             \
	}
#define RESULT(context) (context)->uc_mcontext.regs[0]
#endif

#ifdef RESULT
static bool is_about(const struct failing *one, long call, const long *arguments)
{
	long argument = one->argument ? arguments[one->argument - 1] : 0;

	if (call != one->call && (one->or_call == 0 || call != one->or_call))
		return false;
	if (one->argument == 0)
		return true;
	return one->path ? strcmp((const char *)argument, one->path) == 0 :
			   (uint32_t)argument == one->value;
}

/* Among others an instant between two calls of act(), at which something changes. */
static bool happens(void (*meanwhile)(void))
{
	active = false;
	meanwhile();
	active = true;
	return false;
}

/* Whether that call fails now; then also how. */
static bool fails(long call, const long *arguments, long *result)
{
	for (size_t i = 0; i < G_N_ELEMENTS(sleeping); i++)
		if (call == sleeping[i].call)
			return *result = 0, true;
	for (size_t i = 0; failing[i].call >= 0; i++) {
		const struct failing *one = &failing[i];
		if (!is_about(one, call, arguments) ||
			(one->times && seen[i] >= one->after + one->times))
			continue;
		if (seen[i]++ < one->after)
			return false;
		*result = one->result;
		return one->meanwhile ? happens(one->meanwhile) : true;
	}
	return false;
}

static void trapped(int signal, siginfo_t *info, void *data)
{
	ucontext_t *context = data;
	long call = info->si_syscall, arguments[] = ARGUMENTS(context), result;
	int saved = errno;

	(void)signal;
	if (!active || !fails(call, arguments, &result)) {
		result = syscall(call, arguments[0], arguments[1], arguments[2], arguments[3],
			arguments[4], (unsigned long)PASS);
		if (result < 0)
			result = -errno;
	}
	RESULT(context) = result;
	errno = saved;
}

static bool install(const struct sock_filter *program, size_t n)
{
	const struct sock_fprog filter = { n, (struct sock_filter *)program };
	const struct sigaction action = { .sa_sigaction = trapped,
		.sa_flags = SA_SIGINFO | SA_NODEFER };

	return sigaction(SIGSYS, &action, NULL) == 0 &&
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

/*
 * Appends to a filter that this call is trapped unless the handler makes it. A call with another number in its
 * argument is not: where signals are blocked it would end the process.
 */
static size_t trap(struct sock_filter *at, long call, const struct failing *one)
{
	bool by_value = one->argument > 0 && !one->path;
	uint32_t argument = offsetof(struct seccomp_data, args) +
		8 * (uint32_t)(by_value ? one->argument - 1 : 0);
	const struct sock_filter filter[PER_CALL] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 6),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, one->value, 0, by_value ? 4 : 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PASS, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	memcpy(at, filter, sizeof filter);
	return PER_CALL;
}

static bool make_fail(void)
{
	static const struct failing always = { 0 };
	struct sock_filter program[MAX_TRAPPED * PER_CALL + 1];
	size_t n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(sleeping); i++)
		n += trap(program + n, sleeping[i].call, &always);
	for (size_t i = 0; failing[i].call >= 0; i++) {
		n += trap(program + n, failing[i].call, &failing[i]);
		if (failing[i].or_call)
			n += trap(program + n, failing[i].or_call, &failing[i]);
	}
	program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	active = install(program, n);
	return active;
}
#else
static bool make_fail(void)
{
	return false;
}
#endif

static void tell(unsigned line, const char *file, const char *condition)
{
	struct report report = { .line = line };

	g_strlcpy(report.file, file, sizeof report.file);
	g_strlcpy(report.condition, condition, sizeof report.condition);
	if (write(to_parent, &report, sizeof report) != sizeof report)
		_exit(ENDED_OTHERWISE);
}

static void tell_what_did_not_fail(void)
{
	char text[64];

	for (size_t i = 0; failing[i].call >= 0; i++) {
		snprintf(text, sizeof text, "system call %ld (%zu. of the list) did not fail",
			failing[i].call, i + 1);
		if (seen[i] <= failing[i].after && !failing[i].if_made)
			tell(__LINE__, __FILE__, text);
	}
}

/* Of the assertions, those after the first `before`, which the parent knows. */
static void leave(unsigned before, int status) G_GNUC_NORETURN;
static void leave(unsigned before, int status)
{
	CU_pFailureRecord at = CU_get_failure_list();

	active = false;
	for (unsigned i = 0; at; at = at->pNext, i++)
		if (i >= before)
			tell(at->uiLineNumber, at->strFileName, at->strCondition);
	tell_what_did_not_fail();
	_exit(status);
}

static unsigned before_child;

static void logged(const char *domain, GLogLevelFlags level, const char *message, void *data)
{
	(void)domain;
	(void)data;
	if (!(level & G_LOG_LEVEL_ERROR))
		return;
	active = false;
	if (!expected || !strstr(message, expected)) {
		tell(__LINE__, __FILE__, message);
		leave(before_child, ENDED_OTHERWISE);
	}
	leave(before_child, ENDED_AS_EXPECTED);
}

static void play(void (*act)(void *data), void *data)
{
	jmp_buf fatal;

	before_child = CU_get_number_of_failure_records();
	alarm(SECONDS);
	g_log_set_default_handler(logged, NULL);
	CU_get_current_test()->pJumpBuf = &fatal;
	if (!make_fail())
		_exit(NO_SECCOMP);
	if (setjmp(fatal) == 0)
		act(data);
	leave(before_child, RETURNED);
}

static void run(const struct failing *calls, int wanted, void (*act)(void *data), void *data)
{
	int ends[2], status = -1;
	struct report report;
	size_t n = 0;
	pid_t child;

	while (calls[n].call >= 0)
		n++;
	CU_ASSERT_FATAL(n <= MAX_CALLS);
	CU_ASSERT_FATAL(pipe(ends) == 0);
	failing = calls;
	child = fork();
	if (child == 0) {
		close(ends[0]);
		to_parent = ends[1];
		play(act, data);
	}
	close(ends[1]);
	while (read(ends[0], &report, sizeof report) == sizeof report)
		CU_assertImplementation(CU_FALSE, report.line, report.condition, report.file, "",
			CU_FALSE);
	close(ends[0]);
	CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SECCOMP)
		unit_skip("no system call can be made to fail here");
	else
		ASSERT_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), wanted);
}

void failing_returns(const struct failing *calls, void (*act)(void *data), void *data)
{
	expected = NULL;
	run(calls, RETURNED, act, data);
}

void failing_ends(const struct failing *calls, const char *message, void (*act)(void *data),
	void *data)
{
	expected = message;
	run(calls, ENDED_AS_EXPECTED, act, data);
}

int text_descriptor(const char *text)
{
	int fd = memfd_create("text", 0);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CU_ASSERT(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}
