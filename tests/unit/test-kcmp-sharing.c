/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which processes share an address space, as kcmp(2) tells while some of them end. */
#include "census/scan/kcmp-sharing.h"
#include "census/scan/scan.h"

#include "unit.h"
#include "base/memfd.h"
#include "base/util.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const struct segment_key key = { .dev = 1, .ino = 1 };
static struct proc *proc;
static struct spaces *spaces;
static GArray *stale;

static void set_up(void)
{
	CU_ASSERT_FATAL(proc_open("/proc", &proc) == 0);
	spaces = spaces_new();
	stale = g_array_new(FALSE, FALSE, sizeof(pid_t));
}

static void tear_down(void)
{
	g_array_unref(stale);
	spaces_free(spaces);
	proc_close(proc);
}

static int wait_for_end(void *unused)
{
	(void)unused;
	while (pause() < 0)
		;
	return 0;
}

/* A child that shares its address space with this process, or not. */
static pid_t start(int flags)
{
	static char stack[64 * 1024] __attribute__((aligned(16)));
	pid_t pid =
		flags ? clone(wait_for_end, stack + sizeof stack, flags | SIGCHLD, NULL) : fork();

	if (pid == 0)
		wait_for_end(NULL);
	CU_ASSERT_FATAL(pid > 0);
	return pid;
}

static void end(pid_t pid)
{
	CU_ASSERT(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static uint64_t layout_of(pid_t pid)
{
	auto_fd dir = proc_open_pid(proc, pid);
	struct proc_stat stat;

	CU_ASSERT_FATAL(dir >= 0 && proc_read_stat(dir, &stat) == 0);
	return stat.layout;
}

/* As a reading of it would be stored. */
static struct space *see(pid_t pid, uint64_t born, uint64_t layout)
{
	struct space *space = spaces_see(spaces, pid, born);
	const struct mapping row = { .segment = spaces_segment(spaces, &key),
		.start = 1,
		.end = 2,
		.perms = "rw-s" };

	space->task = pid;
	space->backend_data[SCAN_DATA_LAYOUT] = layout;
	space_set_mappings(spaces, space, &row, 1);
	return space;
}

/* Whether it need not be compared the next time. */
static bool is_known_distinct(const struct space *space)
{
	return space->backend_data[SCAN_DATA_DISTINCT] & UINT64_C(1) << KCMP_VM;
}

static bool is_stale(pid_t pid)
{
	for (guint i = 0; i < stale->len; i++)
		if (g_array_index(stale, pid_t, i) == pid)
			return true;
	return false;
}

static void who_shares_counts_once(void)
{
	pid_t sharer = start(CLONE_VM), copy = start(0);
	uint64_t layout = layout_of(getpid());

	spaces_begin(spaces);
	struct space *self = see(getpid(), 1, layout);
	struct space *shares = see(sharer, 2, layout), *own = see(copy, 3, layout);
	kcmp_sharing_resolve(proc, spaces, CENSUS_MAPPINGS, stale);
	CU_ASSERT(!self->shares_mappings && shares->shares_mappings && !own->shares_mappings);
	ASSERT_INT(stale->len, 0);
	CU_ASSERT(is_known_distinct(self) && is_known_distinct(own) && !is_known_distinct(shares));
	spaces_end(spaces);
	ASSERT_INT(spaces_find(spaces, &key)->usage.processes, 2);
	end(sharer);
	end(copy);
}

/* Its rows may be of an address space that others have by now. */
static void who_has_ended_is_read_again(void)
{
	pid_t alive = start(0), gone = start(0);
	uint64_t layout = layout_of(alive);

	end(gone);
	spaces_begin(spaces);
	see(alive, 1, layout);
	see(gone, 2, layout);
	kcmp_sharing_resolve(proc, spaces, CENSUS_MAPPINGS, stale);
	CU_ASSERT(is_stale(gone) && !is_stale(alive));
	spaces_end(spaces);
	end(alive);
}

static void an_elder_that_has_ended_hides_no_other(void)
{
	pid_t alive = start(0), gone = start(0);
	uint64_t layout = layout_of(alive);

	end(gone);
	spaces_begin(spaces);
	struct space *space = see(alive, 2, layout);
	see(gone, 1, layout);
	kcmp_sharing_resolve(proc, spaces, CENSUS_MAPPINGS, stale);
	CU_ASSERT(is_stale(gone) && !is_stale(alive) && !space->shares_mappings);
	spaces_end(spaces);
	end(alive);
}

/* A thread that has exited shares nothing, and so seems distinct from those that its process shares with. */
static void who_has_exited_is_not_distinct(void)
{
	pid_t alive = start(0), zombie = start(0);
	uint64_t layout = layout_of(alive);
	siginfo_t info;

	CU_ASSERT(
		kill(zombie, SIGKILL) == 0 && waitid(P_PID, zombie, &info, WEXITED | WNOWAIT) == 0);
	spaces_begin(spaces);
	struct space *space = see(alive, 1, layout), *exited = see(zombie, 2, layout);
	kcmp_sharing_resolve(proc, spaces, CENSUS_MAPPINGS, stale);
	CU_ASSERT(is_stale(zombie) && !is_stale(alive));
	CU_ASSERT(!is_known_distinct(space) && !is_known_distinct(exited));
	spaces_end(spaces);
	waitpid(zombie, NULL, 0);
	end(alive);
}

/* It called execve(2) since it was read. */
static void who_runs_another_program_is_read_again(void)
{
	pid_t one = start(0), two = start(0);
	uint64_t layout = layout_of(one);

	spaces_begin(spaces);
	see(one, 1, layout + 1);
	see(two, 2, layout + 1);
	kcmp_sharing_resolve(proc, spaces, CENSUS_MAPPINGS, stale);
	CU_ASSERT(is_stale(one) && is_stale(two));
	spaces_end(spaces);
	end(one);
	end(two);
}

/* As many rounds as a pass has at most: scan.c. */
#define ROUNDS_MAX 32

/* Two processes that have something mapped; the first one executes another program when it is told to. */
static struct {
	pid_t first, second;
	int go[2]; /* a pipe, to tell it */
	bool told;
	unsigned readings; /* of the first one's mappings */
} pair;

static void wait_and_execute(void)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(pair.go[1]);
	if (read(pair.go[0], &byte, 1) == 1)
		execl("/bin/sh", "sh", "-c", "kill -STOP $$", NULL);
	_exit(1);
}

static void make_execute(void)
{
	char byte = 'x';

	pair.told = true;
	CU_ASSERT(write(pair.go[1], &byte, 1) == 1);
	CU_ASSERT(waitpid(pair.first, NULL, WUNTRACED) == pair.first);
}

/* Between the reading of the first one and the comparison, the second one is read. */
static int read_maps(int fd, const struct maps_sink *sink)
{
	g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autofree char *path = g_file_read_link(link, NULL);
	pid_t pid = 0;

	if (path)
		sscanf(path, "/proc/%d/", &pid);
	pair.readings += pid == pair.first;
	if (pid == pair.second && !pair.told)
		make_execute();
	return maps_text_read(fd, sink);
}

/* Processes are read in the order of their numbers. */
static void start_pair(void)
{
	CU_ASSERT_FATAL(pipe2(pair.go, O_CLOEXEC) == 0);
	for (;;) {
		pair.first = fork();
		if (pair.first == 0)
			wait_and_execute();
		pair.second = start(0);
		if (pair.first < pair.second)
			return;
		end(pair.first);
		end(pair.second);
	}
}

static void end_pair(void)
{
	end(pair.first);
	end(pair.second);
	close(pair.go[0]);
	close(pair.go[1]);
}

static void what_is_read_again_is_read_once_more_only(void)
{
	struct devices devices;
	const struct census_source source = { .proc = proc, .devices = &devices };
	struct census_tally tally = { 0 };
	struct scan *scan;
	auto_fd fd = memfd_new(0);
	void *memory;

	CU_ASSERT_FATAL(devices_init(&devices, 0) == 0);
	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, 4096) == 0);
	memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	CU_ASSERT_FATAL(memory != MAP_FAILED);
	start_pair();
	scan = scan_new(&source, read_maps);
	spaces_begin(spaces);
	ASSERT_INT(scan_pass(scan, spaces, CENSUS_MAPPINGS, &tally), 0);
	spaces_end(spaces);
	CU_ASSERT(pair.told && pair.readings >= 2 && pair.readings < ROUNDS_MAX);
	scan_free(scan);
	end_pair();
	munmap(memory, 4096);
	devices_clear(&devices);
}

static int count_table(int thread, void *data)
{
	(void)thread;
	++*(unsigned *)data;
	return 0;
}

static gpointer stay(gpointer lock)
{
	g_mutex_lock(lock);
	g_mutex_unlock(lock);
	return NULL;
}

struct apart {
	GMutex lock;
	GMutex begun;
};

static gpointer stay_apart(gpointer data)
{
	struct apart *apart = data;

	if (unshare(CLONE_FILES) < 0)
		CU_FAIL("unshare");
	g_mutex_unlock(&apart->begun);
	return stay(&apart->lock);
}

static void each_table_of_descriptors_is_met_once(void)
{
	auto_fd dir = proc_open_pid(proc, getpid());
	unsigned before = 0, all = 0, others = 0;
	struct apart apart = { 0 };
	GThread *plain, *other;

	CU_ASSERT_FATAL(dir >= 0);
	ASSERT_INT(kcmp_each_table(dir, 0, count_table, &before), 0);
	g_mutex_lock(&apart.lock);
	g_mutex_lock(&apart.begun);
	plain = g_thread_new("plain", stay, &apart.lock);
	other = g_thread_new("apart", stay_apart, &apart);
	g_mutex_lock(&apart.begun);
	ASSERT_INT(kcmp_each_table(dir, 0, count_table, &all), 0);
	ASSERT_INT(all, before + 1);
	ASSERT_INT(kcmp_each_table(dir, getpid(), count_table, &others), 0);
	ASSERT_INT(others, all - 1);
	g_mutex_unlock(&apart.lock);
	g_thread_join(plain);
	g_thread_join(other);
}

static CU_TestInfo tests[] = {
	{ "who shares counts once", who_shares_counts_once },
	{ "who has ended is read again", who_has_ended_is_read_again },
	{ "an elder that has ended hides no other", an_elder_that_has_ended_hides_no_other },
	{ "who has exited is not distinct", who_has_exited_is_not_distinct },
	{ "who runs another program is read again", who_runs_another_program_is_read_again },
	{ "what is read again is read once more only", what_is_read_again_is_read_once_more_only },
	{ "each table of descriptors is met once", each_table_of_descriptors_is_met_once },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo kcmp_sharing_suite = { "kcmp_sharing", NULL, NULL, set_up, tear_down, tests };
