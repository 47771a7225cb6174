/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A library for LD_PRELOAD: makes one chosen call of a daemon fail, once, while it runs.
 *
 * It stands before the functions of the C library that make system calls or allocate. A point is a
 * function with the return addresses in the program that led to it. While `counting` is set, each
 * point that is passed goes into a table, with how often. While one is armed, its nth call fails
 * with the errno that was asked for, or so many from that one on, and no other call does. The test that tells the library what to
 * do shares the file INJECT_CONTROL with it; tests/inject/faults.py has the same structures.
 *
 * Each function is declared with seven registers of arguments: those that the caller did not set are
 * handed on as they are, and not looked at. That holds for the ABIs of x86-64 and arm64.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAMES 10   /* of the program itself, which tell a point from others */
#define POINTS 8192 /* a power of two */

struct point {
	_Atomic uint64_t hash; /* 0: free */
	uint32_t function, largest;
	_Atomic uint32_t passed, n_frames;
	uint64_t frames[FRAMES]; /* offsets in the program */
};

struct control {
	_Atomic uint32_t counting, armed; /* `armed` falls back to 0 when the call has failed */
	uint64_t hash;
	uint32_t function, nth, times, error;
	_Atomic uint32_t seen, full;
	struct point points[POINTS];
};

enum failure {
	MINUS_ONE,
	NOTHING,
	NUMBER,
	UNCHANGED
}; /* -1, NULL, the errno itself, what it was before */

struct function {
	const char *name;
	enum failure failure;
	bool done; /* it does its work all the same: what is closed is closed */
	long (*real)(long, long, long, long, long, long, long);
};

static struct control *control;
static uintptr_t program_begin, program_end;
static _Thread_local bool inside;

static int look(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	(void)data;
	program_begin = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			program_end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
				info->dlpi_phdr[i].p_memsz;
	return 1; /* the first is the program */
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("INJECT_CONTROL");
	void *first[2];
	int fd;

	inside = true;
	dl_iterate_phdr(look, NULL);
	backtrace(first, 2); /* which loads a library the first time */
	fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	if (fd >= 0) {
		control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (control == MAP_FAILED)
			control = NULL;
		close(fd);
	}
	inside = false;
}

static unsigned own_frames(uint64_t *frames)
{
	void *all[48];
	int n = backtrace(all, 48);
	unsigned kept = 0;

	for (int i = 0; i < n && kept < FRAMES; i++) {
		uintptr_t at = (uintptr_t)all[i];

		if (at >= program_begin && at < program_end)
			frames[kept++] = at - program_begin;
	}
	return kept;
}

static uint64_t hash_of(unsigned function, const uint64_t *frames, unsigned n)
{
	uint64_t hash = 14695981039346656037u ^ function;

	for (unsigned i = 0; i < n; i++)
		hash = (hash ^ frames[i]) * 1099511628211u;
	return hash ? hash : 1;
}

static void note(uint64_t hash, unsigned function, const uint64_t *frames, unsigned n, long size)
{
	for (unsigned i = 0; i < POINTS; i++) {
		struct point *point = &control->points[(hash + i) % POINTS];
		uint64_t was = 0;

		if (atomic_compare_exchange_strong(&point->hash, &was, hash)) {
			point->function = function;
			memcpy(point->frames, frames, n * sizeof *frames);
			point->n_frames = n;
		} else if (was != hash) {
			continue;
		}
		if (size > point->largest)
			point->largest = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
		point->passed++;
		return;
	}
	control->full = 1;
}

/* The errno with which this call is to fail, or 0. */
static int fault(unsigned function, long size)
{
	uint64_t frames[FRAMES], hash;
	int error = 0, saved = errno;
	unsigned n;

	/* What leads to a call takes longer to find out than many a call itself. */
	if (!control || inside ||
		(!control->counting && !(control->armed && control->function == function)))
		return 0;
	inside = true;
	n = own_frames(frames);
	hash = hash_of(function, frames, n);
	if (n > 0 && control->counting)
		note(hash, function, frames, n, size);
	if (control->armed && hash == control->hash && ++control->seen >= control->nth) {
		error = (int)control->error;
		if (control->seen - control->nth + 1 >= control->times)
			control->armed = 0;
	}
	inside = false;
	errno = saved;
	return error;
}

static long fail(const struct function *function, int error)
{
	if (function->failure == NUMBER)
		return error;
	if (function->failure == UNCHANGED)
		return function->real(-1, 0, 0, 0, 0, 0, 0);
	errno = error;
	return function->failure == NOTHING ? 0 : -1;
}

static void find(struct function *function)
{
	bool was = inside;

	inside = true; /* dlsym() may allocate */
	function->real = dlsym(RTLD_NEXT, function->name);
	inside = was;
	if (!function->real)
		abort();
}

#define STAND_BEFORE(name_, failure_, done_, size_, skip_)                                         \
	long before_##name_(long a, long b, long c, long d, long e, long f, long g) __asm__(       \
		#name_);                                                                           \
	__attribute__((visibility("default"))) long before_##name_(long a, long b, long c, long d, \
		long e, long f, long g)                                                            \
	{                                                                                          \
		static struct function function = { #name_, failure_, done_, NULL };               \
		int error;                                                                         \
                                                                                                   \
		if (!function.real)                                                                \
			find(&function);                                                           \
		error = (skip_) ? 0 : fault(INDEX_##name_, size_);                                 \
		if (error && !function.done)                                                       \
			return fail(&function, error);                                             \
		long result = function.real(a, b, c, d, e, f, g);                                  \
		return error ? fail(&function, error) : result;                                    \
	}

/* Name, how it fails, done all the same. faults.py reads this list. */
#define FUNCTIONS(X)                                                                               \
	X(open64, MINUS_ONE, false)                                                                \
	X(openat64, MINUS_ONE, false)                                                              \
	X(open_by_handle_at, MINUS_ONE, false)                                                     \
	X(name_to_handle_at, MINUS_ONE, false)                                                     \
	X(read, MINUS_ONE, false)                                                                  \
	X(pread64, MINUS_ONE, false)                                                               \
	X(write, MINUS_ONE, false)                                                                 \
	X(pwrite64, MINUS_ONE, false)                                                              \
	X(writev, MINUS_ONE, false)                                                                \
	X(pwritev64v2, MINUS_ONE, false)                                                           \
	X(close, MINUS_ONE, true)                                                                  \
	X(fstat64, MINUS_ONE, false)                                                               \
	X(stat64, MINUS_ONE, false)                                                                \
	X(lstat64, MINUS_ONE, false)                                                               \
	X(fstatat64, MINUS_ONE, false)                                                             \
	X(statx, MINUS_ONE, false)                                                                 \
	X(fstatfs64, MINUS_ONE, false)                                                             \
	X(fstatvfs64, MINUS_ONE, false)                                                            \
	X(access, MINUS_ONE, false)                                                                \
	X(faccessat, MINUS_ONE, false)                                                             \
	X(fcntl64, MINUS_ONE, false)                                                               \
	X(flock, MINUS_ONE, false)                                                                 \
	X(fallocate64, MINUS_ONE, false)                                                           \
	X(ftruncate64, MINUS_ONE, false)                                                           \
	X(truncate64, MINUS_ONE, false)                                                            \
	X(chmod, MINUS_ONE, false)                                                                 \
	X(fchownat, MINUS_ONE, false)                                                              \
	X(utimensat, MINUS_ONE, false)                                                             \
	X(linkat, MINUS_ONE, false)                                                                \
	X(unlinkat, MINUS_ONE, false)                                                              \
	X(renameat2, MINUS_ONE, false)                                                             \
	X(mknodat, MINUS_ONE, false)                                                               \
	X(readlink, MINUS_ONE, false)                                                              \
	X(readlinkat, MINUS_ONE, false)                                                            \
	X(getxattr, MINUS_ONE, false)                                                              \
	X(fgetxattr, MINUS_ONE, false)                                                             \
	X(setxattr, MINUS_ONE, false)                                                              \
	X(listxattr, MINUS_ONE, false)                                                             \
	X(removexattr, MINUS_ONE, false)                                                           \
	X(lseek64, MINUS_ONE, false)                                                               \
	X(ioctl, MINUS_ONE, false)                                                                 \
	X(dup, MINUS_ONE, false)                                                                   \
	X(dup2, MINUS_ONE, false)                                                                  \
	X(eventfd, MINUS_ONE, false)                                                               \
	X(memfd_create, MINUS_ONE, false)                                                          \
	X(inotify_add_watch, MINUS_ONE, false)                                                     \
	X(fanotify_init, MINUS_ONE, false)                                                         \
	X(fanotify_mark, MINUS_ONE, false)                                                         \
	X(poll, MINUS_ONE, false)                                                                  \
	X(setns, MINUS_ONE, false)                                                                 \
	X(unshare, MINUS_ONE, false)                                                               \
	X(fsopen, MINUS_ONE, false)                                                                \
	X(fsmount, MINUS_ONE, false)                                                               \
	X(shmget, MINUS_ONE, false)                                                                \
	X(shmctl, MINUS_ONE, false)                                                                \
	X(shmat, MINUS_ONE, false)                                                                 \
	X(msgctl, MINUS_ONE, false)                                                                \
	X(semctl, MINUS_ONE, false)                                                                \
	X(mq_getattr, MINUS_ONE, false)                                                            \
	X(splice, MINUS_ONE, false)                                                                \
	X(socketpair, MINUS_ONE, false)                                                            \
	X(socket, MINUS_ONE, false)                                                                \
	X(sendmsg, MINUS_ONE, false)                                                               \
	X(recvmsg, MINUS_ONE, false)                                                               \
	X(getgroups, MINUS_ONE, false)                                                             \
	X(mmap64, MINUS_ONE, false)                                                                \
	X(mmap, MINUS_ONE, false)                                                                  \
	X(pthread_create, NUMBER, false)                                                           \
	X(fopen64, NOTHING, false)                                                                 \
	X(opendir, NOTHING, false)                                                                 \
	X(fdopendir, NOTHING, false)                                                               \
	X(readdir64, NOTHING, false)                                                               \
	X(fgets, NOTHING, false)                                                                   \
	X(getdelim, MINUS_ONE, false)                                                              \
	X(realpath, NOTHING, false)                                                                \
	X(setfsuid, UNCHANGED, false)                                                              \
	X(setfsgid, UNCHANGED, false)

enum {
#define X(name, failure, done) INDEX_##name,
	FUNCTIONS(X)
#undef X
		INDEX_syscall,
	INDEX_malloc,
	INDEX_calloc,
	INDEX_realloc,
	INDEX_posix_memalign,
#define INDEX___libc_malloc INDEX_malloc
#define INDEX___libc_calloc INDEX_calloc
#define INDEX___libc_realloc INDEX_realloc
#define INDEX___libc_memalign INDEX_posix_memalign
};

#define X(name, failure, done) STAND_BEFORE(name, failure, done, 0, false)
FUNCTIONS(X)
#undef X

/* Each number is a function of its own. A wait for a lock is not told to fail. */
#define BY_NUMBER 0x10000
#define INDEX_syscall (BY_NUMBER + (unsigned)a)
STAND_BEFORE(syscall, MINUS_ONE, false, 0, a == SYS_futex)

/* What the program's own malloc() calls; without one of its own, it is the C library's. */
STAND_BEFORE(malloc, NOTHING, false, a, false)
STAND_BEFORE(__libc_malloc, NOTHING, false, a, false)
STAND_BEFORE(__libc_calloc, NOTHING, false, a *b, false)
STAND_BEFORE(realloc, NOTHING, false, b, false)
STAND_BEFORE(__libc_realloc, NOTHING, false, b, false)
STAND_BEFORE(posix_memalign, NUMBER, false, c, false)
STAND_BEFORE(__libc_memalign, NOTHING, false, b, false)

/* dlsym() itself calls it, before it can be found; what it gives then is never freed. */
static char early[4096];
static size_t early_used;
void *before_calloc(size_t count, size_t size) __asm__("calloc");
__attribute__((visibility("default"))) void *before_calloc(size_t count, size_t size)
{
	static struct function function = { "calloc", NOTHING, false, NULL };
	static bool finding;
	int error;

	if (finding) {
		void *memory = early + early_used;

		early_used += (count * size + 15) & ~(size_t)15;
		return early_used <= sizeof early ? memory : NULL;
	}
	if (!function.real) {
		finding = true;
		find(&function);
		finding = false;
	}
	error = fault(INDEX_calloc, (long)(count * size));
	if (error)
		return (void *)fail(&function, error);
	return (void *)function.real((long)count, (long)size, 0, 0, 0, 0, 0);
}
