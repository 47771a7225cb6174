/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/scan/quiescence.h"

#include "backend.h"
#include "base/util.h"
#include "procfs/proc.h"
#include "recorded.h"
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PASSES 60
#define FILLERS 300

static const long page = 4096;
static int object;

/* A child that says that it has begun, and does then what it is for; and its directory. */
struct child {
	pid_t pid;
	int dir;
	int channel[2];
};

static void start(struct child *child, void (*work)(void))
{
	char byte = 's', path[32];

	CU_ASSERT_FATAL(pipe(child->channel) == 0);
	child->pid = fork();
	CU_ASSERT_FATAL(child->pid >= 0);
	if (child->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(child->channel[1], &byte, 1) == 1)
			work();
		_exit(0);
	}
	CU_ASSERT_EQUAL(read(child->channel[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d", (int)child->pid);
	child->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_FATAL(child->dir >= 0);
}

static void end(struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	close(child->dir);
	close(child->channel[0]);
	close(child->channel[1]);
}

static void sleep_for_ever(void)
{
	for (;;)
		pause();
}

static void spin(void)
{
	static volatile unsigned turns;

	for (;;)
		turns = turns + 1;
}

static void *spinning_thread(void *data)
{
	(void)data;
	spin();
	return NULL;
}

static void spin_in_a_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, spinning_thread, NULL) == 0)
		sleep_for_ever();
}

/* What quiescence is told by: a kernel may be built without, and a filter may hide it. */
static bool is_told(void)
{
	g_autofree char *turns = NULL, *call = NULL;

	return g_file_get_contents("/proc/self/schedstat", &turns, NULL, NULL) &&
		!g_str_has_suffix(turns, " 0\n") &&
		g_file_get_contents("/proc/self/syscall", &call, NULL, NULL);
}

#define NEED_QUIESCENCE()                                                                          \
	do {                                                                                       \
		if (!is_told())                                                                    \
			SKIP("the kernel tells no schedstat or no syscall of a thread");           \
	} while (0)

/* Whether it stands still between two looks: tried until it does, for it may have to settle. */
static bool comes_to_rest(const struct child *child)
{
	for (int i = 0; i < 2000; i++) {
		struct quiescence since = quiescence_observe(child->dir);

		if (quiescence_held(child->dir, &since))
			return true;
		g_usleep(1000);
	}
	return false;
}

static bool ever_rests(const struct child *child)
{
	for (int i = 0; i < 200; i++) {
		struct quiescence since = quiescence_observe(child->dir);

		if (quiescence_held(child->dir, &since))
			return true;
	}
	return false;
}

static void who_waits_stands_still(void)
{
	struct child child;

	NEED_QUIESCENCE();
	start(&child, sleep_for_ever);
	CU_ASSERT(comes_to_rest(&child));
	end(&child);
}

static void who_runs_does_not(void)
{
	struct child child;

	NEED_QUIESCENCE();
	start(&child, spin);
	CU_ASSERT(!ever_rests(&child));
	end(&child);
}

static void nor_does_who_has_a_thread_that_runs(void)
{
	struct child child;

	NEED_QUIESCENCE();
	start(&child, spin_in_a_thread);
	/* Until the thread is there, the process may rest. */
	for (struct stat st = { 0 }; fstatat(child.dir, "task", &st, 0) == 0 && st.st_nlink < 4;)
		g_usleep(1000);
	CU_ASSERT(!ever_rests(&child));
	end(&child);
}

static void nor_does_who_ran_and_waits_again(void)
{
	struct child child;
	struct quiescence since;

	NEED_QUIESCENCE();
	start(&child, sleep_for_ever);
	CU_ASSERT(comes_to_rest(&child));
	since = quiescence_observe(child.dir);
	CU_ASSERT(since.known);
	/* Woken is not yet run: not before it has stopped. */
	kill(child.pid, SIGSTOP);
	ASSERT_INT(waitpid(child.pid, NULL, WUNTRACED), child.pid);
	kill(child.pid, SIGCONT);
	CU_ASSERT(comes_to_rest(&child));
	CU_ASSERT(!quiescence_held(child.dir, &since));
	end(&child);
}

static void of_who_is_gone_nothing_is_known(void)
{
	struct child child;
	struct quiescence since;

	NEED_QUIESCENCE();
	start(&child, sleep_for_ever);
	CU_ASSERT(comes_to_rest(&child));
	since = quiescence_observe(child.dir);
	kill(child.pid, SIGKILL);
	waitpid(child.pid, NULL, 0);
	CU_ASSERT(!quiescence_held(child.dir, &since));
	CU_ASSERT(!quiescence_observe(child.dir).known);
	end(&child);
}

/*
 * One mapping, which goes to and fro between the two ends of an address space with much in between:
 * who reads that piece by piece may well meet it nowhere.
 */
static void move_to_and_fro(void)
{
	char *region =
		mmap(NULL, (FILLERS + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *ends[2] = { region, region + (FILLERS + 1) * page }, *at;

	for (int i = 1; i <= FILLERS; i += 2)
		mprotect(region + i * page, page, PROT_READ);
	at = mmap(ends[0], page, PROT_READ, MAP_SHARED | MAP_FIXED, object, 0);
	for (int to = 1; at != MAP_FAILED; to = !to)
		at = mremap(at, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, ends[to]);
}

/*
 * Where there are not processors enough, the child may lose its own with its address space locked,
 * and so long that the census does not wait for it.
 */
static uint64_t count_mappings(struct census *census, const struct segment_key *key, bool *said)
{
	struct census_report report;
	uint64_t mappings;

	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
	report = census_report(census);
	*said = report.inconsistent > 0 || report.unreadable > 0;
	mappings = census_usage(census, key).mappings;
	census_release(census);
	return mappings;
}

/* Counted once, or said to be uncertain. */
static void assert_never_missed(enum census_backend_choice choice, const struct segment_key *key)
{
	const char *why;
	struct census *census = backend_open(choice, 0, getpid(), &why);
	unsigned silent = 0;
	bool said;

	if (!census)
		SKIP("%s", why);
	while (count_mappings(census, key, &said) != 1)
		; /* the child has still to make it */
	for (int i = 0; i < PASSES; i++)
		silent += count_mappings(census, key, &said) != 1 && !said;
	ASSERT_INT(silent, 0);
	census_free(census);
}

static void move_and_count(enum census_backend_choice choice)
{
	struct child child;
	struct stat st;

	object = memfd_create("quiescence", MFD_CLOEXEC);
	CU_ASSERT_FATAL(object >= 0 && ftruncate(object, page) == 0 && fstat(object, &st) == 0);
	struct segment_key key = { .dev = st.st_dev, .ino = st.st_ino, .class = SEGMENT_MEMFD };

	start(&child, move_to_and_fro);
	assert_never_missed(choice, &key);
	end(&child);
	close(object);
}

static void a_mapping_that_moves_is_not_missed_in_silence_by_text(void)
{
	move_and_count(CENSUS_TEXT);
}

static void a_mapping_that_moves_is_not_missed_in_silence_by_query(void)
{
	move_and_count(CENSUS_QUERY);
}

static bool is_known(const struct recorded *tree, const char *schedstat)
{
	g_autofree char *path = g_build_filename(tree->path, "7", NULL);
	struct quiescence since;
	bool known;

	if (schedstat)
		recorded_file(tree, "7/task/7/schedstat", schedstat);
	auto_fd dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_FATAL(dir >= 0);
	since = quiescence_observe(dir);
	known = since.known;
	/* As if the first look had been at a kernel that tells. */
	since.known = true;
	ASSERT_INT(quiescence_held(dir, &since), known);
	return known;
}

/* It has no such file, or does not count at the time, or tells less. */
static void a_kernel_that_counts_no_turns_tells_nothing(void)
{
	struct recorded tree;

	recorded_init(&tree);
	recorded_file(&tree, "7/task/7/syscall", "34 0x0 0x0 0x0 0x0 0x0 0x0 0x7ffc0 0x7f000\n");
	CU_ASSERT_FALSE(is_known(&tree, NULL));
	CU_ASSERT(is_known(&tree, "120 30 4\n"));
	CU_ASSERT_FALSE(is_known(&tree, "0 0 0\n"));
	CU_ASSERT_FALSE(is_known(&tree, "120 30\n"));
	recorded_remove(&tree);
}

static CU_TestInfo tests[] = {
	{ "who waits stands still", who_waits_stands_still },
	{ "who runs does not", who_runs_does_not },
	{ "nor does who has a thread that runs", nor_does_who_has_a_thread_that_runs },
	{ "nor does who ran and waits again", nor_does_who_ran_and_waits_again },
	{ "of who is gone nothing is known", of_who_is_gone_nothing_is_known },
	{ "a kernel that counts no turns tells nothing",
		a_kernel_that_counts_no_turns_tells_nothing },
	{ "a mapping that moves is not missed in silence by text",
		a_mapping_that_moves_is_not_missed_in_silence_by_text },
	{ "a mapping that moves is not missed in silence by query",
		a_mapping_that_moves_is_not_missed_in_silence_by_query },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo quiescence_suite = { "quiescence", NULL, NULL, NULL, NULL, tests };
