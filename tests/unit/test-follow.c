/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each back end of the census tells of processes that change in ways which are easy to miss
 * for one that reads only what has changed. Each test asks before and after each step, so that all
 * answers but the first are incremental. Where a back end cannot be had, its tests are skipped.
 */
#include "unit.h"

#include "actor.h"
#include "backend.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct census *census;
static int object; /* a memfd of PAGES pages */
static struct segment_key key;
static size_t page;

#define PAGES 8

static struct usage ask(unsigned facets)
{
	struct usage usage;

	CU_ASSERT_EQUAL_FATAL(census_hold(census, facets), 0);
	usage = census_usage(census, &key);
	census_release(census);
	return usage;
}

static void expect(uint64_t mappings, uint64_t processes)
{
	struct usage usage = ask(CENSUS_MAPPINGS);

	ASSERT_INT(usage.mappings, mappings);
	ASSERT_INT(usage.processes, processes);
}

static char *map(size_t pages)
{
	char *at = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);

	if (at == MAP_FAILED)
		_exit(1);
	return at;
}

static void play_maps(int channel)
{
	/* Room for the object twice. */
	char *room = mmap(NULL, 2 * PAGES * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	actor_step(channel);
	mmap(room, PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, object, 0);
	actor_step(channel);
	mprotect(room + 2 * page, page, PROT_READ);
	actor_step(channel);
	munmap(room + 5 * page, page);
	actor_step(channel);
	mremap(room, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED, room + PAGES * page);
	actor_step(channel);
	munmap(room, 2 * PAGES * page);
	actor_step(channel);
}

static void test_maps(void)
{
	struct actor actor = actor_start(play_maps);

	expect(0, 0);
	actor_next(&actor);
	expect(1, 1);
	actor_next(&actor);
	expect(3, 1);
	actor_next(&actor);
	expect(4, 1);
	actor_next(&actor);
	expect(4, 1);
	actor_next(&actor);
	expect(0, 0);
	actor_stop(&actor);
}

static void play_row(int channel)
{
	char *at = map(PAGES);
	uint64_t number = (uintptr_t)at;

	mprotect(at + 3 * page, page, PROT_READ | PROT_EXEC);
	munmap(at + 4 * page, (PAGES - 4) * page);
	munmap(at, 3 * page);
	if (write(channel, &number, sizeof number) != sizeof number)
		_exit(1);
	actor_step(channel);
}

static void see_row(const struct mapping_row *row, void *data)
{
	*(struct mapping_row *)data = *row;
}

static void test_row(void)
{
	struct mapping_row row = { 0 };
	struct actor actor = actor_fork(play_row);
	uint64_t at = 0;

	CU_ASSERT_EQUAL(read(actor.channel, &at, sizeof at), sizeof at);
	actor_await(&actor);
	CU_ASSERT_EQUAL_FATAL(census_hold(census, CENSUS_MAPPINGS), 0);
	census_each_mapping(census, &key, see_row, &row);
	ASSERT_STRING(row.perms, "r-xs");
	ASSERT_INT(row.pid, actor.pid);
	ASSERT_INT(row.uid, geteuid());
	ASSERT_INT(row.start, at + 3 * page);
	ASSERT_INT(row.end, at + 4 * page);
	ASSERT_INT(row.offset, 3 * page);
	census_release(census);
	actor_stop(&actor);
}

static void play_fork(int channel)
{
	pid_t child;

	map(1);
	actor_step(channel);
	child = fork();
	if (child == 0) {
		close(channel);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
	}
	actor_step(channel);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	actor_step(channel);
}

static void test_fork(void)
{
	struct actor actor = actor_start(play_fork);

	expect(1, 1);
	actor_next(&actor);
	expect(2, 2);
	actor_next(&actor);
	expect(1, 1);
	actor_stop(&actor);
}

/* Becomes another program that says so and then waits; `twice`, by way of yet another. */
static void become_waiter(int channel, bool twice)
{
	static const char *const scripts[] = {
		"printf s >&8; read -r x <&8",
		"exec sh -c 'printf s >&8; read -r x <&8'",
	};

	/* A duplicate, so that it outlives execve(2) also if the channel is 8 already. */
	dup2(dup(channel), 8);
	execl("/bin/sh", "sh", "-c", scripts[twice], NULL);
	_exit(1);
}

static void play_exec(int channel)
{
	map(1);
	actor_step(channel);
	become_waiter(channel, false);
}

static void play_exec_twice(int channel)
{
	map(1);
	actor_step(channel);
	become_waiter(channel, true);
}

static void test_exec(void)
{
	struct actor actor = actor_start(play_exec);

	expect(1, 1);
	actor_next(&actor);
	expect(0, 0);
	actor_stop(&actor);
	actor = actor_start(play_exec_twice);
	expect(1, 1);
	actor_next(&actor);
	expect(0, 0);
	actor_stop(&actor);
}

static int sharer(void *parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == GPOINTER_TO_INT(parent))
		pause(); /* until that, unless it came before */
	return 0;
}

/* The elder of two processes with one address space leaves it. */
static void play_share(int channel)
{
	static char stack[65536] __attribute__((aligned(16)));

	map(1);
	actor_step(channel);
	if (clone(sharer, stack + sizeof stack, CLONE_VM | SIGCHLD, GINT_TO_POINTER(getpid())) < 0)
		_exit(1);
	actor_step(channel);
	map(2);
	actor_step(channel);
	become_waiter(channel, false);
}

static void test_share(void)
{
	struct actor actor = actor_start(play_share);

	expect(1, 1);
	actor_next(&actor);
	expect(1, 1);
	actor_next(&actor);
	expect(2, 1);
	actor_next(&actor);
	expect(2, 1);
	actor_stop(&actor);
}

static int threads_channel;

static void *second_thread(void *data)
{
	pid_t leader = getpid();
	char path[64], state = '?';

	(void)data;
	/* Until the first one is gone: that leaves a zombie in its place. */
	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", leader, leader);
	while (state != 'Z') {
		FILE *stat = fopen(path, "re");

		if (stat == NULL || fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
			_exit(1);
		fclose(stat);
		sched_yield();
	}
	actor_step(threads_channel);
	map(2);
	actor_step(threads_channel);
	_exit(0);
}

static void play_leader(int channel)
{
	pthread_t thread;

	map(1);
	actor_step(channel);
	threads_channel = channel;
	if (pthread_create(&thread, NULL, second_thread, NULL) != 0)
		_exit(1);
	syscall(SYS_exit, 0);
}

static void test_leader(void)
{
	struct actor actor = actor_start(play_leader);

	expect(1, 1);
	actor_next(&actor);
	expect(1, 1);
	actor_next(&actor);
	expect(2, 1);
	actor_stop(&actor);
	expect(0, 0);
}

static void play_descriptors(int channel)
{
	int other;

	actor_step(channel);
	other = dup(object);
	actor_step(channel);
	close(other);
	close(object);
	actor_step(channel);
}

static void test_descriptors(void)
{
	struct actor actor = actor_start(play_descriptors);

	ASSERT_INT(ask(CENSUS_MAPPINGS | CENSUS_DESCRIPTORS).openers, 1);
	actor_next(&actor);
	ASSERT_INT(ask(CENSUS_MAPPINGS | CENSUS_DESCRIPTORS).openers, 2);
	actor_next(&actor);
	ASSERT_INT(ask(CENSUS_MAPPINGS | CENSUS_DESCRIPTORS).openers, 0);
	actor_stop(&actor);
}

static void play_namespace(int channel)
{
	uint64_t number[2] = { 0 };
	struct stat st;
	int id;

	if (unshare(CLONE_NEWIPC) != 0 || stat("/proc/self/ns/ipc", &st) != 0)
		_exit(1);
	id = shmget(IPC_PRIVATE, page, 0600);
	if (id < 0 || shmat(id, NULL, 0) == (void *)-1)
		_exit(1);
	number[0] = id;
	number[1] = st.st_ino;
	actor_step(channel);
	if (write(channel, number, sizeof number) != sizeof number)
		_exit(1);
	actor_step(channel);
}

static void test_namespace(void)
{
	struct actor actor;
	uint64_t number[2] = { 0 };

	if (geteuid() != 0)
		SKIP("only root makes namespaces");
	actor = actor_start(play_namespace);
	CU_ASSERT_EQUAL(write(actor.channel, "n", 1), 1);
	CU_ASSERT_EQUAL(read(actor.channel, number, sizeof number), sizeof number);
	actor_await(&actor);
	key.class = SEGMENT_SYSV;
	key.ino = number[0];
	key.ns = number[1];
	expect(1, 1);
	actor_stop(&actor);
	expect(0, 0);
}

static void say(int channel, char byte)
{
	if (write(channel, &byte, 1) != 1)
		_exit(0);
}

static void hear(int channel)
{
	char byte;

	if (read(channel, &byte, 1) != 1)
		_exit(0);
}

/* At no instant is the object mapped by neither: who has it gives it up once the other has it. */
static void relay(int channel, char *at)
{
	for (;; usleep(rand() % 512)) {
		if (at != NULL) {
			say(channel, 't');
			hear(channel);
			munmap(at, page);
			at = NULL;
		} else {
			hear(channel);
			at = map(1);
			say(channel, 't');
		}
	}
}

static void play_relay(int channel)
{
	char *at = map(1);
	int pair[2];

	actor_step(channel);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		_exit(1);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(channel);
		close(pair[0]);
		munmap(at, page);
		relay(pair[1], NULL);
	}
	close(pair[1]);
	if (write(channel, "s", 1) != 1)
		_exit(1);
	relay(pair[0], at);
}

static void test_relay(void)
{
	struct actor actor;
	unsigned settled = 0;

	/* The others promise it of a single process only. */
	if (strcmp(census_report(census).backend, "bpf") != 0)
		SKIP("the back ends that read procfs promise it of a single process only");
	actor = actor_start(play_relay);
	actor_next(&actor);
	for (unsigned tries = 0; tries < 20000 && settled < 200; tries++) {
		struct usage usage;

		CU_ASSERT_EQUAL_FATAL(census_hold(census, CENSUS_MAPPINGS), 0);
		usage = census_usage(census, &key);
		if (census_report(census).inconsistent == 0) {
			settled++;
			CU_ASSERT(usage.mappings == 1 || usage.mappings == 2);
		}
		census_release(census);
	}
	CU_ASSERT(settled > 0);
	kill(actor.pid, SIGKILL);
	actor_stop(&actor);
}

/* The census is opened by the first test of a suite and serves the others. */
static void begin(enum census_backend_choice choice)
{
	const char *why;
	struct stat st;

	page = sysconf(_SC_PAGESIZE);
	if (!census)
		census = backend_open(choice, stat("/dev/shm", &st) < 0 ? 0 : st.st_dev, getpid(),
			&why);
	if (!census)
		SKIP("%s", why);
	object = memfd_create("test", 0);
	CU_ASSERT_FATAL(object >= 0 && ftruncate(object, PAGES * page) == 0);
	fstat(object, &st);
	key = (struct segment_key){ .dev = st.st_dev, .ino = st.st_ino, .class = SEGMENT_MEMFD };
}

static void begin_bpf(void)
{
	begin(CENSUS_BPF);
}

static void begin_query(void)
{
	begin(CENSUS_QUERY);
}

static void begin_text(void)
{
	begin(CENSUS_TEXT);
}

static int close_census(void)
{
	g_clear_pointer(&census, census_free);
	return 0;
}

static void end(void)
{
	close(object);
}

static CU_TestInfo tests[] = {
	{ "mappings are followed as they are made, split, cut, moved and dropped", test_maps },
	{ "a row has the addresses, permissions and offset of now", test_row },
	{ "a fork inherits, and its end gives back", test_fork },
	{ "another program maps nothing of the first one's, nor does a third", test_exec },
	{ "who shares an address space counts once, also when the eldest leaves it", test_share },
	{ "a process whose first thread has exited is followed", test_leader },
	{ "descriptors are followed", test_descriptors },
	{ "a System V segment belongs to its IPC namespace", test_namespace },
	{ "what goes from process to process is never lost", test_relay },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo follow_bpf_suite = { "follow_bpf", NULL, close_census, begin_bpf, end, tests };
const CU_SuiteInfo follow_query_suite = { "follow_query", NULL, close_census, begin_query, end,
	tests };
const CU_SuiteInfo follow_text_suite = { "follow_text", NULL, close_census, begin_text, end,
	tests };
