/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is particular to the BPF programs: how they are loaded, and that they read piece by piece. */
#include "backend.h"

#include "unit.h"
#include "base/privilege.h"
#include "bpf/refusal.h"
#include "census/object/holders.h"
#include "census/object/programs.h"
#include "census/object/sums.h"
#include "faults/programs.h"

#include <glib.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than one run of the program gives. */
#define MANY 5000
/* More than one batch. */
#define CHILDREN 150
#define LOADS 10

static const long page = 4096;

/* NULL: the programs cannot be loaded, and the test is skipped. */
static struct census *load(void)
{
	const char *why;
	struct census *census = backend_open(CENSUS_BPF, 0, 0, &why);

	if (!census)
		unit_skip("%s", why);
	return census;
}

static bool works(void)
{
	struct census *census = load();

	census_free(census);
	return census != NULL;
}

static void take_no_notice(int number)
{
	(void)number;
}

static gint disturbing;

static void *disturb(void *data)
{
	pthread_t thread = *(pthread_t *)data;

	while (g_atomic_int_get(&disturbing)) {
		pthread_kill(thread, SIGUSR1);
		g_usleep(1000);
	}
	return NULL;
}

static void signals_do_not_keep_them_from_loading(void)
{
	struct sigaction action = { .sa_handler = take_no_notice }, before;
	pthread_t self = pthread_self(), other;

	if (!works())
		return;
	sigaction(SIGUSR1, &action, &before);
	g_atomic_int_set(&disturbing, TRUE);
	CU_ASSERT_FATAL(pthread_create(&other, NULL, disturb, &self) == 0);
	for (int i = 0; i < LOADS; i++)
		CU_ASSERT(works());
	g_atomic_int_set(&disturbing, FALSE);
	pthread_join(other, NULL);
	sigaction(SIGUSR1, &before, NULL);
}

static struct usage ask(struct census *census, const struct segment_key *key)
{
	struct usage usage;

	ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
	usage = census_usage(census, key);
	census_release(census);
	return usage;
}

/* Every other page of a memfd: none of them merges with the next. */
static void map_many(int fd)
{
	char *region = mmap(NULL, 2 * MANY * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < MANY; i++)
		mmap(region + 2 * i * page, page, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
}

/* A child that maps the memfd so and says so; it ends with the pipe. */
static pid_t start_child(int fd, void (*map)(int fd), const int *said, const int *go)
{
	pid_t child = fork();
	char byte = 's';

	if (child != 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(go[1]);
	map(fd);
	if (write(said[1], &byte, 1) == 1)
		while (read(go[0], &byte, 1) > 0)
			;
	_exit(0);
}

static void map_one(int fd)
{
	mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
}

static void assert_counted(int children, void (*map)(int fd), uint64_t mappings)
{
	int fd = memfd_create("programs", MFD_CLOEXEC), said[2], go[2];
	struct census *census;
	struct stat st;
	char byte;

	if (!works())
		return;
	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, page) == 0 && fstat(fd, &st) == 0);
	CU_ASSERT_FATAL(pipe(said) == 0 && pipe(go) == 0);
	struct segment_key key = { .dev = st.st_dev, .ino = st.st_ino, .class = SEGMENT_MEMFD };

	for (int i = 0; i < children; i++)
		CU_ASSERT_FATAL(start_child(fd, map, said, go) > 0);
	for (int i = 0; i < children; i++)
		CU_ASSERT_EQUAL(read(said[0], &byte, 1), 1);
	census = load();
	CU_ASSERT_FATAL(census != NULL);
	ASSERT_INT(ask(census, &key).mappings, mappings);
	ASSERT_INT(ask(census, &key).processes, children);
	close(go[1]);
	while (wait(NULL) > 0)
		;
	ASSERT_INT(ask(census, &key).mappings, 0);
	census_free(census);
	close(go[0]);
	close(said[0]);
	close(said[1]);
	close(fd);
}

static void a_space_is_read_in_pieces(void)
{
	assert_counted(1, map_many, MANY);
}

static void many_spaces_are_read_side_by_side(void)
{
	assert_counted(CHILDREN, map_one, CHILDREN);
}

#ifdef HAVE_BPF
/* Whether the kernel is one of those that take the programs, and lets this process load some. */
static bool must_load(void)
{
	union bpf_attr any = { 0 };
	unsigned major = 0, minor = 0;
	struct utsname system;

	uname(&system);
	sscanf(system.release, "%u.%u", &major, &minor);
	return (major > 6 || (major == 6 && minor >= 12)) && !refusal_expected() &&
		access("/sys/kernel/btf/vmlinux", R_OK) == 0 && privilege_capable(CAP_SYS_ADMIN) &&
		privilege_of_machine() &&
		(syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &any, sizeof any) == 0 || errno == ENOENT);
}

static unsigned own_descriptors(void)
{
	g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
	unsigned n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

/* All other tests of them are skipped where they cannot be loaded. */
static void they_load_where_they_must(void)
{
	struct object_programs *objects = NULL;
	struct fault_programs *faults = NULL;
	struct holders *holders = NULL;
	struct sums *sums;
	g_autoptr(GArray) supers = g_array_new(FALSE, FALSE, sizeof(struct super_sum));
	unsigned before = own_descriptors();
	const char *why;

	if (!must_load())
		SKIP("this kernel need not take the programs");
	CU_ASSERT(works());
	ASSERT_INT(object_programs_load(&objects, &why), 0);
	ASSERT_INT(fault_programs_load(&faults, &why), 0);
	ASSERT_INT(holders_open(&holders), 0);
	sums = sums_new();
	ASSERT_INT(sums_read(sums, supers), 0);
	CU_ASSERT(supers->len > 0);
	sums_free(sums);
	if (holders)
		holders_free(holders);
	fault_programs_free(faults);
	if (objects)
		object_programs_free(objects);
	ASSERT_INT(own_descriptors(), before);
}

static void nothing_is_left_of_them(void)
{
	unsigned before = own_descriptors();
	struct census *census = load();

	if (!census)
		return;
	ASSERT_INT(census_hold(census, CENSUS_ALL), 0);
	census_release(census);
	CU_ASSERT(own_descriptors() > before);
	census_free(census);
	ASSERT_INT(own_descriptors(), before);
}
#else
static void they_load_where_they_must(void)
{
	SKIP("shmtree was built without BPF");
}

static void nothing_is_left_of_them(void)
{
	SKIP("shmtree was built without BPF");
}
#endif

static void the_text_back_end_reads_nothing_beforehand(void)
{
	const char *why;
	struct census *census = backend_open(CENSUS_TEXT, 0, 0, &why);

	census_prepare(census);
	ASSERT_INT(census_report(census).passes, 0);
	census_free(census);
}

static void the_bpf_back_end_reads_beforehand(void)
{
	const char *why;
	struct census *census;

	if (!works())
		return;
	census = backend_open(CENSUS_AUTO, 0, 0, &why);
	CU_ASSERT_FATAL(census != NULL);
	census_prepare(census);
	ASSERT_STRING(census_report(census).backend, "bpf");
	ASSERT_INT(census_report(census).passes, 1);
	CU_ASSERT(census_report(census).reread > 0);
	census_free(census);
}

static CU_TestInfo tests[] = {
	{ "they load where they must", they_load_where_they_must },
	{ "nothing is left of them", nothing_is_left_of_them },
	{ "signals do not keep them from loading", signals_do_not_keep_them_from_loading },
	{ "a space is read in pieces", a_space_is_read_in_pieces },
	{ "the text back end reads nothing beforehand",
		the_text_back_end_reads_nothing_beforehand },
	{ "the BPF back end reads beforehand", the_bpf_back_end_reads_beforehand },
	{ "many spaces are read side by side", many_spaces_are_read_side_by_side },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo programs_suite = { "programs", NULL, NULL, NULL, NULL, tests };
