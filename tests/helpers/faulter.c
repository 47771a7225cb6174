/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faulter PATH SIZE [private] [huge]: a process that raises bus errors, and survives them.
 *
 * PATH is a file, or "memfd", "sysv:SHMID" or "anon" (anonymous memory). Maps the first SIZE bytes of it, prints
 * "ok PID", and then does what each line of standard input says and answers "ok NUMBER" or "error
 * ERRNO"; ends at end of file. What the commands do, and the number answered:
 *
 *   touch OFFSET COUNT   writes one byte there, COUNT times: how many of these raised SIGBUS
 *   read OFFSET COUNT    the same, but reads
 *   children N COUNT     N processes, one after the other, that write the first byte COUNT times: N
 *   cut SIZE             truncates the file
 *   grow SIZE            makes the mapping longer, whatever the file is
 *   unaligned OFFSET     reads four bytes that lie across, with alignment checked: 1 if that raised SIGBUS
 *   forge OFFSET         sends itself what looks like a bus error there: 1
 *   churn                a thread that maps and unmaps memory without end
 *   forget               may not be read by its user any more (PR_SET_DUMPABLE)
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf again;
static volatile int armed; /* `again` may be jumped to; else the signal is ignored */
static volatile char *memory;
static volatile long raised;
static size_t length;
static int fd = -1;

/* Alignment is checked until this: in the handler of the signal too, and where that jumps to. */
static void check_no_alignment(void)
{
#ifdef __x86_64__
	__asm__ volatile("sub $128, %%rsp\n\t"
			 "pushf\n\t"
			 "andl $~0x40000, (%%rsp)\n\t"
			 "popf\n\t"
			 "add $128, %%rsp" ::
				 : "cc", "memory");
#endif
}

static void on_sigbus(int number)
{
	check_no_alignment();
	(void)number;
	raised++;
	if (armed)
		siglongjmp(again, 1);
}

static long touch(size_t offset, long count, int writes)
{
	volatile long i = 0;

	raised = 0;
	sigsetjmp(again, 1);
	while (i++ < count) {
		if (writes)
			memory[offset] = 1;
		else
			(void)memory[offset];
	}
	return raised;
}

static long grow(size_t size)
{
	void *at = mremap((void *)memory, length, size, MREMAP_MAYMOVE);

	if (at == MAP_FAILED)
		return -errno;
	memory = at;
	length = size;
	return 0;
}

static long children(size_t n, long count)
{
	for (size_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (pid == 0)
			_exit(touch(0, count, 1) == count ? 0 : 1);
		waitpid(pid, NULL, 0);
	}
	return n;
}

static long unaligned(size_t offset)
{
	raised = 0;
#ifdef __x86_64__
	if (sigsetjmp(again, 1) == 0)
		__asm__ volatile("sub $128, %%rsp\n\t"
				 "pushf\n\t"
				 "orl $0x40000, (%%rsp)\n\t"
				 "popf\n\t"
				 "add $128, %%rsp\n\t"
				 "movl (%0), %%eax" ::"r"(memory + (offset | 1))
				 : "rax", "cc", "memory");
	check_no_alignment();
	return raised;
#else
	(void)offset;
	return -EOPNOTSUPP;
#endif
}

static long forge(size_t offset)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_ADRERR };

	raised = 0;
	info.si_addr = (void *)(uintptr_t)(memory + offset);
	if (sigsetjmp(again, 1) == 0)
		syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGBUS, &info);
	return raised;
}

static void *churn(void *data)
{
	for (;;) {
		void *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (at == MAP_FAILED)
			break;
		munmap(at, 1 << 20);
	}
	return data;
}

static long start_churn(void)
{
	pthread_t thread;

	return -pthread_create(&thread, NULL, churn, NULL);
}

static long obey(const char *line)
{
	unsigned long offset = 0;
	long count = 1;
	char word[16] = "";

	sscanf(line, "%15s %lu %ld", word, &offset, &count);
	if (strcmp(word, "touch") == 0)
		return touch(offset, count, 1);
	if (strcmp(word, "read") == 0)
		return touch(offset, count, 0);
	if (strcmp(word, "children") == 0)
		return children(offset, count);
	if (strcmp(word, "cut") == 0)
		return ftruncate(fd, offset) < 0 ? -errno : 0;
	if (strcmp(word, "grow") == 0)
		return grow(offset);
	if (strcmp(word, "unaligned") == 0)
		return unaligned(offset);
	if (strcmp(word, "forge") == 0)
		return forge(offset);
	if (strcmp(word, "churn") == 0)
		return start_churn();
	if (strcmp(word, "forget") == 0)
		return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
	return -EINVAL;
}

static void *map(const char *path, size_t size, int flags, int huge)
{
	if (strncmp(path, "sysv:", 5) == 0)
		return shmat(atoi(path + 5), NULL, 0);
	if (strcmp(path, "anon") == 0)
		return mmap(NULL, size, PROT_READ | PROT_WRITE,
			flags | MAP_ANONYMOUS | MAP_NORESERVE | (huge ? MAP_HUGETLB : 0), -1, 0);
	fd = strcmp(path, "memfd") == 0 ? memfd_create("fault", huge ? MFD_HUGETLB : 0) :
					  open(path, O_RDWR);
	if (fd < 0 || (strcmp(path, "memfd") == 0 && ftruncate(fd, size) < 0))
		return MAP_FAILED;
	return mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);
}

static void answer(long result)
{
	if (result < 0)
		printf("error %ld\n", -result);
	else
		printf("ok %ld\n", result);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int flags = MAP_SHARED, huge = 0;
	char line[64];

	if (argc < 3)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "private") == 0)
			flags = MAP_PRIVATE;
		huge |= strcmp(argv[i], "huge") == 0;
	}
	length = strtoul(argv[2], NULL, 10);
	memory = map(argv[1], length, flags, huge);
	if (memory == MAP_FAILED) {
		answer(-errno);
		return 1;
	}
	signal(SIGBUS, on_sigbus);
	answer(getpid());
	while (fgets(line, sizeof line, stdin)) {
		long result;

		armed = 1;
		result = obey(line);
		armed = 0;
		answer(result);
	}
	return 0;
}
