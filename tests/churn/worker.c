/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that does to its address space and descriptors whatever a program can, at random:
 * mappings of every kind of segment made, cut up, moved, protected and dropped; fork, exec, vfork,
 * children that share the address space, threads, and a first thread that leaves before the others;
 * objects sent through a socket, and registered with io_urings.
 */
#include "churn.h"
#include "hide.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 24
#define STACK_SIZE 65536
#define THREADS_MAX 3

/* A thread of execution with mappings that nobody else touches. */
struct actor {
	unsigned seed;
	struct {
		char *at;
		size_t size;
	} slots[SLOTS];
	char *attached[CHURN_SYSV];
};

static struct plan *plan;
static long page;
static _Atomic int threads;

static unsigned pick(struct actor *actor, unsigned below)
{
	/* rand_r() of its own: children that share memory have no business in libc's state. */
	actor->seed = actor->seed * 1103515245 + 12345;
	return (actor->seed >> 8) % below;
}

static void counted(void)
{
	atomic_fetch_add_explicit(&plan->changes, 1, memory_order_relaxed);
}

static int open_object(struct actor *actor)
{
	char path[] = "/dev/shm/churn-0";

	path[sizeof path - 2] += pick(actor, CHURN_OBJECTS);
	return open(path, pick(actor, 4) ? O_RDWR : O_RDONLY | O_CLOEXEC);
}

static int pick_prot(struct actor *actor)
{
	static const int prots[] = {
		PROT_NONE,
		PROT_READ,
		PROT_READ | PROT_WRITE,
		PROT_READ | PROT_EXEC,
	};

	return prots[pick(actor, 4)];
}

static void *map_something(struct actor *actor, size_t size)
{
	unsigned kind = pick(actor, 8);
	off_t offset = pick(actor, CHURN_PAGES) * page;
	int flags = pick(actor, 3) ? MAP_SHARED : MAP_PRIVATE, fd;
	void *at;

	if (kind == 0)
		return mmap(NULL, size, pick_prot(actor), flags | MAP_ANONYMOUS, -1, 0);
	if (kind == 1)
		return mmap(NULL, size, pick_prot(actor), flags, CHURN_PLAN_FD, offset);
	fd = open_object(actor);
	at = mmap(NULL, size, pick_prot(actor), flags, fd, offset);
	close(fd);
	return at;
}

static void do_map(struct actor *actor, unsigned slot)
{
	size_t size = (1 + pick(actor, CHURN_PAGES)) * page;
	void *at;

	if (actor->slots[slot].at != NULL) {
		munmap(actor->slots[slot].at, actor->slots[slot].size);
		actor->slots[slot].at = NULL;
		return;
	}
	at = map_something(actor, size);
	if (at == MAP_FAILED)
		return;
	actor->slots[slot].at = at;
	actor->slots[slot].size = size;
}

static void do_cut(struct actor *actor, unsigned slot)
{
	size_t pages = actor->slots[slot].size / page;
	char *at = actor->slots[slot].at;

	if (at == NULL)
		return;
	at += pick(actor, pages) * page;
	/* Never a hole: another's stack might come to lie in it, and be unmapped with the rest. */
	if (pick(actor, 2))
		mmap(at, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	else
		mprotect(at, page, pick_prot(actor));
}

static void do_move(struct actor *actor, unsigned slot)
{
	size_t size = (1 + pick(actor, CHURN_PAGES)) * page;
	void *at = actor->slots[slot].at;

	if (at == NULL)
		return;
	/* Fails where it was cut: then all stays as it was. */
	at = mremap(at, actor->slots[slot].size, size, MREMAP_MAYMOVE);
	if (at == MAP_FAILED)
		return;
	actor->slots[slot].at = at;
	actor->slots[slot].size = size;
}

static void do_attach(struct actor *actor)
{
	unsigned i = pick(actor, CHURN_SYSV);
	void *at;

	if (actor->attached[i] != NULL) {
		shmdt(actor->attached[i]);
		actor->attached[i] = NULL;
		return;
	}
	at = shmat(plan->sysv[i], NULL, pick(actor, 2) ? SHM_RDONLY : 0);
	if (at != (void *)-1)
		actor->attached[i] = at;
}

static void do_descriptor(struct actor *actor)
{
	int fd = CHURN_OBJECT_FD + pick(actor, CHURN_OBJECT_FDS), object;

	if (pick(actor, 2)) {
		close(fd);
		return;
	}
	object = open_object(actor);
	dup2(object, fd);
	close(object);
}

static void do_hide(struct actor *actor)
{
	int object = open_object(actor);

	churn_hide(pick(actor, 1 << 16), object);
	close(object);
}

static void act(struct actor *actor)
{
	unsigned slot = pick(actor, SLOTS);

	switch (pick(actor, 9)) {
	case 0:
	case 1:
	case 2:
		do_map(actor, slot);
		break;
	case 3:
		do_cut(actor, slot);
		break;
	case 4:
		do_move(actor, slot);
		break;
	case 5:
	case 6:
		do_attach(actor);
		break;
	case 7:
		do_hide(actor);
		break;
	default:
		do_descriptor(actor);
	}
	counted();
}

static void undo(struct actor *actor)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (actor->slots[i].at != NULL)
			munmap(actor->slots[i].at, actor->slots[i].size);
	for (unsigned i = 0; i < CHURN_SYSV; i++)
		if (actor->attached[i] != NULL)
			shmdt(actor->attached[i]);
}

/* A thread, or a process that shares its parent's memory: nothing but system calls in it. */
static int act_for_a_while(void *data)
{
	struct actor *actor = data;

	for (unsigned n = 50 + pick(actor, 400); n > 0; n--)
		act(actor);
	undo(actor);
	return 0;
}

static void *thread_main(void *data)
{
	act_for_a_while(data);
	free(data);
	if (atomic_fetch_sub(&threads, 1) == 1)
		_exit(0); /* the first thread has left: nobody else ends the process */
	return NULL;
}

static struct actor *new_actor(struct actor *actor)
{
	struct actor *child = calloc(1, sizeof *child);

	child->seed = actor->seed ^ (unsigned)syscall(SYS_gettid) * 2654435761u;
	return child;
}

static void start_thread(struct actor *actor)
{
	struct actor *other;
	pthread_t thread;

	if (atomic_fetch_add(&threads, 1) > THREADS_MAX) {
		atomic_fetch_sub(&threads, 1);
		return;
	}
	other = new_actor(actor);
	if (pthread_create(&thread, NULL, thread_main, other) == 0) {
		pthread_detach(thread);
		return;
	}
	atomic_fetch_sub(&threads, 1);
	free(other);
}

/* A place for one more process; the one who reaps it gives it back. */
static bool take_place(void)
{
	if (atomic_fetch_add(&plan->workers, 1) < plan->workers_max)
		return true;
	atomic_fetch_sub(&plan->workers, 1);
	return false;
}

static void give_place(void)
{
	atomic_fetch_sub(&plan->workers, 1);
}

/* Children that share memory, with or without making us wait; and maybe the descriptors. */
static void start_sharer(struct actor *actor)
{
	int flags =
		CLONE_VM | (pick(actor, 2) ? CLONE_VFORK : 0) | (pick(actor, 2) ? CLONE_FILES : 0);
	char *stack =
		mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* At the foot of its stack, which nobody takes away: it may outlive this function. */
	struct actor *other = (struct actor *)stack;

	if (stack == MAP_FAILED || !take_place())
		return;
	other->seed = actor->seed * 31;
	if (clone(act_for_a_while, stack + STACK_SIZE, flags | SIGCHLD, other) < 0)
		give_place();
}

static void become(unsigned seed, bool twice)
{
	char number[16];

	snprintf(number, sizeof number, "%u", seed);
	execl("/proc/self/exe", "census-churn", twice ? "again" : "worker", number, NULL);
	_exit(1);
}

static void do_fork(struct actor *actor)
{
	unsigned seed = actor->seed;
	pid_t pid;

	if (!take_place())
		return;
	pid = pick(actor, 3) ? fork() : vfork();
	if (pid == 0 && pick(actor, 2))
		become(seed * 17, false);
	if (pid == 0)
		_exit(0); /* at once: exit races with whoever looks */
	if (pid < 0)
		give_place();
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		give_place();
}

/* Far enough down that the kernel has to make the stack longer. */
static __attribute__((noinline)) void grow_stack(void)
{
	volatile char deep[512 * 1024];

	deep[0] = 1;
	(void)deep[0];
}

/* Both ways, so that malloc() never misses any. */
static void move_break(void)
{
	if (atomic_load(&threads) == 1 && sbrk(page) != (void *)-1)
		sbrk(-page);
}

/* What happens to whole processes. */
static void act_largely(struct actor *actor)
{
	switch (pick(actor, 16)) {
	case 0:
	case 1:
	case 2:
		do_fork(actor);
		break;
	case 3:
	case 4:
		start_thread(actor);
		break;
	case 5:
	case 6:
		start_sharer(actor);
		break;
	case 7:
		become(actor->seed, pick(actor, 2));
		break;
	case 8:
		if (pick(actor, 4) == 0)
			_exit(0);
		break;
	case 9: /* the first thread leaves, the others go on */
		if (atomic_load(&threads) > 1) {
			atomic_fetch_sub(&threads, 1);
			syscall(SYS_exit, 0);
		}
		break;
	case 10:
		grow_stack();
		break;
	case 11:
		move_break();
		break;
	default:
		reap();
	}
}

int churn_worker(unsigned seed)
{
	static struct actor actor;

	page = sysconf(_SC_PAGESIZE);
	plan = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, CHURN_PLAN_FD, 0);
	if (plan == MAP_FAILED)
		return 1;
	actor.seed = seed;
	atomic_store(&threads, 1);
	for (;;) {
		for (unsigned n = pick(&actor, 40); n > 0; n--)
			act(&actor);
		act_largely(&actor);
	}
}
