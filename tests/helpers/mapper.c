/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapper PATH r|rw: a process whose use of one file is known.
 *
 * Opens the file, prints "ok PID", then does what each line of standard input says and answers "ok
 * NUMBER" or "error ERRNO"; ends at end of file. What the commands do, and the number answered:
 *
 *   map N       maps the first page N times, shared, as writable as PATH was opened
 *   private N   the same, private and writable
 *   split       maps three pages, of which the middle one loses its permissions: three mappings
 *   unmap N     undoes the last N of `map` and `private`
 *   dup N       N more descriptors
 *   close       closes all descriptors; the mappings stay
 *   poke N      writes byte N to the last mapping
 *   peek        reads the first byte of the last mapping
 *   fork        a child that waits: its pid
 *   vfork       a child that waits in the same address space: its pid
 *   threads N   N threads that wait
 *   churn N     a thread that maps the page N times and unmaps them, over and over, until
 *   calm        ends that: rounds made
 *   retire      the first thread exits, another goes on with the commands
 *   exec        the program starts anew, with the descriptor and the mappings gone: its pid
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_FDS 1024
#define MAX_MAPPINGS 65536

static char **arguments;
static int fds[MAX_FDS];
static int n_fds;
static void *mappings[MAX_MAPPINGS];
static int n_mappings;
static long page;
static int prot;

static int open_file(void)
{
	bool writable = strcmp(arguments[2], "rw") == 0;

	prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	fds[0] = open(arguments[1], (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	n_fds = 1;
	return fds[0];
}

static long map(int count, int protection, int flags)
{
	for (int i = 0; i < count; i++) {
		void *p;

		if (n_mappings == MAX_MAPPINGS)
			return -ENOSPC;
		p = mmap(NULL, page, protection, flags, fds[0], 0);
		if (p == MAP_FAILED)
			return -errno;
		mappings[n_mappings++] = p;
	}
	return n_mappings;
}

static long unmap(int count)
{
	while (count-- > 0 && n_mappings > 0)
		munmap(mappings[--n_mappings], page);
	return n_mappings;
}

static long split(void)
{
	char *p = mmap(NULL, 3 * page, prot, MAP_SHARED, fds[0], 0);

	if (p == MAP_FAILED || mprotect(p + page, page, PROT_NONE) < 0)
		return -errno;
	return 3;
}

static long duplicate(int count)
{
	for (; count > 0 && n_fds < MAX_FDS; count--) {
		fds[n_fds] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
		if (fds[n_fds] < 0)
			return -errno;
		n_fds++;
	}
	return n_fds;
}

static long close_all(void)
{
	while (n_fds > 0)
		close(fds[--n_fds]);
	return 0;
}

/* The parent may have been faster, and is then nobody's death to wait for. */
static void wait_for_the_end(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (syscall(SYS_getppid) != parent)
		_exit(0);
	for (;;)
		pause();
}

static long fork_child(void)
{
	pid_t parent = getpid(), child = fork();

	if (child == 0)
		wait_for_the_end(parent);
	return child < 0 ? -errno : child;
}

static void *pause_thread(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static long start_threads(int count)
{
	pthread_t thread;

	for (int i = 0; i < count; i++)
		if (pthread_create(&thread, NULL, pause_thread, NULL) != 0)
			return -EAGAIN;
	return count;
}

/* vfork() keeps the thread that called it, so another must tell the child's pid: the child itself. */
static atomic_int vfork_pid;

static void *vfork_thread(void *unused)
{
	pid_t parent = getpid();

	if (vfork() == 0) {
		atomic_store(&vfork_pid, (int)syscall(SYS_getpid));
		wait_for_the_end(parent);
	}
	return unused;
}

static long vfork_child(void)
{
	pthread_t thread;

	atomic_store(&vfork_pid, 0);
	if (pthread_create(&thread, NULL, vfork_thread, NULL) != 0)
		return -EAGAIN;
	while (atomic_load(&vfork_pid) == 0)
		usleep(1000);
	return atomic_load(&vfork_pid);
}

static atomic_bool churning;
static atomic_long rounds;
static pthread_t churner;
static int churn_width;

static void *churn_thread(void *unused)
{
	void **made = calloc(churn_width, sizeof *made);

	while (made && atomic_load(&churning)) {
		for (int i = 0; i < churn_width; i++)
			made[i] = mmap(NULL, page, prot, MAP_SHARED, fds[0], 0);
		for (int i = 0; i < churn_width; i++)
			munmap(made[i], page);
		atomic_fetch_add(&rounds, 1);
	}
	free(made);
	return unused;
}

static long churn(int width)
{
	churn_width = width;
	atomic_store(&rounds, 0);
	atomic_store(&churning, true);
	if (pthread_create(&churner, NULL, churn_thread, NULL) != 0)
		return -EAGAIN;
	while (atomic_load(&rounds) == 0)
		usleep(1000);
	return width;
}

static long calm(void)
{
	atomic_store(&churning, false);
	pthread_join(churner, NULL);
	return atomic_load(&rounds);
}

static void answer(long value)
{
	if (value < 0)
		printf("error %ld\n", -value);
	else
		printf("ok %ld\n", value);
	fflush(stdout);
}

static void *obey(void *first);

static long retire(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, obey, arguments) != 0)
		return -EAGAIN;
	pthread_exit(NULL);
}

static long start_anew(void)
{
	execv("/proc/thread-self/exe", arguments);
	return -errno;
}

static volatile char *last_mapping(void)
{
	return n_mappings > 0 ? mappings[n_mappings - 1] : NULL;
}

static long touch(bool write, int value)
{
	volatile char *p = last_mapping();

	if (!p)
		return -ENXIO;
	if (write)
		*p = (char)value;
	return (unsigned char)*p;
}

static long perform(const char *command, int n)
{
	if (strcmp(command, "map") == 0)
		return map(n, prot, MAP_SHARED);
	if (strcmp(command, "private") == 0)
		return map(n, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	if (strcmp(command, "split") == 0)
		return split();
	if (strcmp(command, "unmap") == 0)
		return unmap(n);
	if (strcmp(command, "dup") == 0)
		return duplicate(n);
	if (strcmp(command, "close") == 0)
		return close_all();
	if (strcmp(command, "poke") == 0 || strcmp(command, "peek") == 0)
		return touch(command[1] == 'o', n);
	if (strcmp(command, "fork") == 0)
		return fork_child();
	if (strcmp(command, "vfork") == 0)
		return vfork_child();
	if (strcmp(command, "threads") == 0)
		return start_threads(n);
	if (strcmp(command, "churn") == 0)
		return churn(n);
	if (strcmp(command, "calm") == 0)
		return calm();
	if (strcmp(command, "retire") == 0)
		return retire();
	if (strcmp(command, "exec") == 0)
		return start_anew();
	return -EINVAL;
}

/* Reads commands to the end. A thread that takes over from a retired one says that it has. */
static void *obey(void *takes_over)
{
	char line[128], command[32];

	if (takes_over)
		answer(0);
	while (fgets(line, sizeof line, stdin)) {
		int n = 0;

		if (sscanf(line, "%31s %d", command, &n) >= 1)
			answer(perform(command, n));
	}
	/* Nothing to clean up: that may wait for a thread which waits in vfork(). */
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: mapper PATH r|rw\n");
		return 2;
	}
	/* One byte at a time from stdin, so that `exec` loses no command. */
	setvbuf(stdin, NULL, _IONBF, 0);
	arguments = argv;
	page = sysconf(_SC_PAGESIZE);
	if (open_file() < 0) {
		printf("error %d\n", errno);
		return 1;
	}
	answer(getpid());
	obey(NULL);
	return 0;
}
