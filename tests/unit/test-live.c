/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The census against processes of this machine whose use of a segment is known, by each back end
 * that works here.
 */
#include "census/census.h"

#include "backend.h"
#include "mapper.h"
#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BOTH (CENSUS_MAPPINGS | CENSUS_DESCRIPTORS)
#define PAGE 4096

static const enum census_backend_choice choices[] = { CENSUS_BPF, CENSUS_QUERY, CENSUS_TEXT };
static struct census *censuses[G_N_ELEMENTS(choices)];
static int n_censuses;

static void open_all(uint64_t shm_dev, pid_t self)
{
	for (size_t i = 0; i < G_N_ELEMENTS(choices); i++) {
		const char *why;

		censuses[n_censuses] = backend_open(choices[i], shm_dev, self, &why);
		n_censuses += censuses[n_censuses] != NULL;
	}
}

static void close_all(void)
{
	while (n_censuses > 0)
		census_free(censuses[--n_censuses]);
}

#define EACH_CENSUS(census)                                                                        \
	for (struct census **at_ = censuses, *census;                                              \
		at_ < censuses + n_censuses && (census = *at_); at_++)

static struct usage ask(struct census *census, const struct segment_key *key)
{
	struct usage usage;

	ASSERT_INT(census_hold(census, BOTH), 0);
	usage = census_usage(census, key);
	census_release(census);
	return usage;
}

/* What all back ends say, shown with the name of the one that says otherwise. */
static void assert_all(unsigned line, const struct segment_key *key, struct usage expected)
{
	EACH_CENSUS(census)
	{
		struct usage usage = ask(census, key);
		g_autofree char *message = g_strdup_printf("%s: %" PRIu64 " %" PRIu64 " %" PRIu64
							   ", not %" PRIu64 " %" PRIu64 " %" PRIu64,
			census_report(census).backend, usage.mappings, usage.processes,
			usage.openers, expected.mappings, expected.processes, expected.openers);

		CU_assertImplementation(memcmp(&usage, &expected, sizeof(usage)) == 0, line,
			message, __FILE__, "", CU_FALSE);
	}
}
#define ASSERT_ALL(key, mappings, processes, openers)                                              \
	assert_all(__LINE__, key, (struct usage){ mappings, processes, openers })

/* A memfd of ours, and a mapper of it. We ourselves do not count. */
static int memfd = -1;
static struct segment_key key;
static struct mapper mapper;

static struct segment_key key_of(int fd, enum segment_class class)
{
	struct stat st;

	CU_ASSERT_FATAL(fstat(fd, &st) == 0);
	return (struct segment_key){ .dev = st.st_dev, .ino = st.st_ino, .class = class };
}

static void make_memfd(void)
{
	memfd = memfd_create("census test", MFD_CLOEXEC);
	CU_ASSERT_FATAL(memfd >= 0 && ftruncate(memfd, 4 * PAGE) == 0);
	key = key_of(memfd, SEGMENT_MEMFD);
}

static void close_memfd(void)
{
	close(memfd);
	memfd = -1;
}

static void start_mapper(void)
{
	g_autofree char *path = NULL;

	make_memfd();
	path = g_strdup_printf("/proc/%d/fd/%d", getpid(), memfd);
	mapper_start(&mapper, path, "rw");
	open_all(0, getpid());
}

static void end_mapper(void)
{
	mapper_end(&mapper);
	ASSERT_ALL(&key, 0, 0, 0);
	close_all();
	close_memfd();
}

/* What a test that failed half-way left behind. */
static void clean_up(void)
{
	mapper_end(&mapper);
	close_all();
	if (memfd >= 0)
		close_memfd();
}

/* What the tests below do without the back end is no test of it. */
static void assert_takes_part(enum census_backend_choice choice)
{
	const char *why;
	struct census *census = backend_open(choice, 0, 0, &why);

	if (!census)
		SKIP("%s", why);
	ASSERT_STRING(census_report(census).backend, census_choice_name(choice));
	census_free(census);
}

static void the_bpf_back_end_takes_part(void)
{
	assert_takes_part(CENSUS_BPF);
}

static void the_query_back_end_takes_part(void)
{
	assert_takes_part(CENSUS_QUERY);
}

static void follows_one_process(void)
{
	start_mapper();
	ASSERT_ALL(&key, 0, 0, 1);
	mapper_order(&mapper, "map 3");
	ASSERT_ALL(&key, 3, 1, 1);
	mapper_order(&mapper, "private 2");
	ASSERT_ALL(&key, 5, 1, 1);
	mapper_order(&mapper, "split");
	ASSERT_ALL(&key, 8, 1, 1);
	mapper_order(&mapper, "dup 4");
	ASSERT_ALL(&key, 8, 1, 5);
	mapper_order(&mapper, "close");
	ASSERT_ALL(&key, 8, 1, 0);
	mapper_order(&mapper, "unmap 4");
	ASSERT_ALL(&key, 4, 1, 0);
	end_mapper();
}

static void forks_count_each_and_vforks_once(void)
{
	start_mapper();
	mapper_order(&mapper, "map 3");
	CU_ASSERT(mapper_order(&mapper, "fork") > 0);
	ASSERT_ALL(&key, 6, 2, 2);
	/* The child of a vfork has a descriptor table of its own. */
	CU_ASSERT(mapper_order(&mapper, "vfork") > 0);
	ASSERT_ALL(&key, 6, 2, 3);
	mapper_order(&mapper, "map 1");
	ASSERT_ALL(&key, 7, 2, 3);
	end_mapper();
}

static void threads_count_once(void)
{
	start_mapper();
	mapper_order(&mapper, "map 2");
	mapper_order(&mapper, "threads 5");
	ASSERT_ALL(&key, 2, 1, 1);
	end_mapper();
}

static void assert_user_leads_to_the_file(struct census *census)
{
	g_autofree char *path = NULL;
	struct segment_user user;

	ASSERT_INT(census_hold(census, BOTH), 0);
	CU_ASSERT_FATAL(census_segment_user(census, &key, &user));
	path = user.start ? g_strdup_printf("/proc/%d/map_files/%" PRIx64 "-%" PRIx64, user.task,
				    user.start, user.end) :
			    g_strdup_printf("/proc/%d/fd/%d", user.task, user.fd);
	census_release(census);

	auto_fd fd = open(path, O_PATH | O_CLOEXEC);
	/* Before map_files can be followed, CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN is asked for. */
	if (fd < 0 && errno == EPERM) {
		unit_skip("map_files may not be followed: %s", g_strerror(errno));
		return;
	}
	CU_ASSERT_FATAL(fd >= 0);
	struct segment_key found = key_of(fd, SEGMENT_MEMFD);
	CU_ASSERT(segment_key_equal(&found, &key));
}

static void a_process_outlives_its_first_thread(void)
{
	start_mapper();
	mapper_order(&mapper, "map 2");
	EACH_CENSUS(census)
	assert_user_leads_to_the_file(census);
	mapper_order(&mapper, "retire");
	ASSERT_ALL(&key, 2, 1, 1);
	EACH_CENSUS(census)
	assert_user_leads_to_the_file(census);
	mapper_order(&mapper, "unmap 2");
	ASSERT_ALL(&key, 0, 0, 1);
	EACH_CENSUS(census)
	assert_user_leads_to_the_file(census);
	end_mapper();
}

static void a_new_program_begins_with_nothing(void)
{
	start_mapper();
	mapper_order(&mapper, "map 2");
	mapper_order(&mapper, "dup 2");
	ASSERT_ALL(&key, 2, 1, 3);
	CU_ASSERT(mapper_order(&mapper, "exec") > 0);
	ASSERT_ALL(&key, 0, 0, 1);
	mapper_order(&mapper, "map 1");
	ASSERT_ALL(&key, 1, 1, 1);
	end_mapper();
}

static uint64_t unreadable(struct census *census)
{
	return census_report(census).unreadable;
}

/*
 * What stays is counted, whatever else the process maps. Only when it has kept its mappings locked for
 * a whole second may they be missing, all of them, and then it counts as unreadable.
 */
static void assert_seven_at_least(struct census *census, uint64_t unreadable_before)
{
	struct usage usage = ask(census, &key);

	ASSERT_INT(usage.openers, 1);
	if (usage.mappings == 0 && unreadable(census) > unreadable_before) {
		ASSERT_INT(usage.processes, 0);
		return;
	}
	CU_ASSERT(usage.mappings >= 7 && usage.mappings <= 1007);
	ASSERT_INT(usage.processes, 1);
}

static void mappings_made_and_undone_meanwhile_harm_no_others(void)
{
	uint64_t before[G_N_ELEMENTS(censuses)];

	start_mapper();
	mapper_order(&mapper, "map 7");
	ASSERT_ALL(&key, 7, 1, 1);
	for (int i = 0; i < n_censuses; i++)
		before[i] = unreadable(censuses[i]);
	mapper_order(&mapper, "churn 1000");
	for (int question = 0; question < 30; question++)
		for (int i = 0; i < n_censuses; i++)
			assert_seven_at_least(censuses[i], before[i]);
	CU_ASSERT(mapper_order(&mapper, "calm") > 0);
	ASSERT_ALL(&key, 7, 1, 1);
	end_mapper();
}

static void append_row(const struct mapping_row *row, void *data)
{
	g_string_append_printf(data, "%d %u %s %s %" PRIx64 "\n", row->pid, row->uid, row->command,
		row->perms, row->offset);
}

static void append_descriptor(const struct descriptor_row *row, void *data)
{
	g_string_append_printf(data, "%d %u %s %d\n", row->pid, row->uid, row->command, row->flags);
}

static void all_back_ends_show_the_same_rows(void)
{
	g_autofree char *expected = NULL;

	start_mapper();
	mapper_order(&mapper, "map 1");
	mapper_order(&mapper, "private 1");
	expected = g_strdup_printf("%1$d %2$u mapper rw-p 0\n%1$d %2$u mapper rw-s 0\n"
				   "%1$d %2$u mapper 2\n",
		mapper.pid, geteuid());
	EACH_CENSUS(census)
	{
		g_autoptr(GString) rows = g_string_new(NULL);

		ASSERT_INT(census_hold(census, BOTH), 0);
		census_each_mapping(census, &key, append_row, rows);
		census_each_descriptor(census, &key, append_descriptor, rows);
		/* The later mapping is the lower one. */
		ASSERT_STRING(rows->str, expected);
		census_release(census);
	}
	end_mapper();
}

static void map_named_file(const char *directory, const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	auto_fd fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, PAGE) == 0);
	struct segment_key file = key_of(fd, SEGMENT_FILE);
	open_all(file.dev, getpid());
	mapper_start(&mapper, path, "r");
	mapper_order(&mapper, "map 2");
	ASSERT_ALL(&file, 2, 1, 1);
	CU_ASSERT_FATAL(unlink(path) == 0);
	ASSERT_ALL(&file, 2, 1, 1);
	mapper_end(&mapper);
	close_all();
}

/*
 * A tmpfs that nobody else sees. Who may not mount one may not use the back end that insists on
 * it either, and the others take any file system.
 */
static bool mount_tmpfs(const char *directory)
{
	return unshare(CLONE_NEWNS) == 0 &&
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount("tmpfs", directory, "tmpfs", 0, NULL) == 0;
}

static void names_mean_nothing(void)
{
	g_autofree char *directory = g_dir_make_tmp("shmtree-names-XXXXXX", NULL);
	bool mounted = mount_tmpfs(directory);
	g_autofree char *longest = g_strnfill(255, 'l');
	const char *const names[] = {
		"plain",
		"x (deleted)",
		"with space",
		"new\nline",
		"tab\there",
		"\xff\xfe",
		"a\\012b",
		" ",
		"memfd:x (deleted)",
		"SYSV00000000",
		longest,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		map_named_file(directory, names[i]);
	if (mounted)
		umount(directory);
	CU_ASSERT_FATAL(rmdir(directory) == 0);
}

/* What follows uses this process itself, which then counts. */

static int pause_forever(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (pause() < 0)
		;
	return 0;
}

static void processes_that_share_all_count_once(void)
{
	static char stack[64 * 1024] __attribute__((aligned(16)));
	void *at;
	pid_t child;

	make_memfd();
	open_all(0, 0);
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memfd, 0);
	ASSERT_ALL(&key, 1, 1, 1);
	child = clone(pause_forever, stack + sizeof(stack), CLONE_VM | CLONE_FILES | SIGCHLD, NULL);
	CU_ASSERT(child > 0);
	ASSERT_ALL(&key, 1, 1, 1);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ASSERT_ALL(&key, 1, 1, 1);
	munmap(at, PAGE);
	close_all();
	close_memfd();
}

struct loner {
	GMutex lock;
	GCond changed;
	bool ready, done;
	int error; /* why it has no descriptors of its own, an errno, or 0 */
};

/* A thread that opens the memfd where its process does not see it. */
static void *open_alone(void *data)
{
	struct loner *loner = data;
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", memfd);

	loner->error = unshare(CLONE_FILES) < 0 ? errno : 0;
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	g_mutex_lock(&loner->lock);
	loner->ready = true;
	g_cond_signal(&loner->changed);
	while (!loner->done)
		g_cond_wait(&loner->changed, &loner->lock);
	g_mutex_unlock(&loner->lock);
	return NULL;
}

static void a_thread_may_have_descriptors_of_its_own(void)
{
	struct loner loner = { 0 };
	GThread *thread;

	make_memfd();
	open_all(0, 0);
	thread = g_thread_new("loner", open_alone, &loner);
	g_mutex_lock(&loner.lock);
	while (!loner.ready)
		g_cond_wait(&loner.changed, &loner.lock);
	g_mutex_unlock(&loner.lock);
	/* Ours, its copy of ours, and its own. */
	ASSERT_ALL(&key, 0, 0, 3);
	g_mutex_lock(&loner.lock);
	loner.done = true;
	g_cond_signal(&loner.changed);
	g_mutex_unlock(&loner.lock);
	g_thread_join(thread);
	ASSERT_INT(loner.error, 0);
	ASSERT_ALL(&key, 0, 0, 1);
	close_all();
	close_memfd();
}

static void system_v_segments_are_known_by_number(void)
{
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	void *first = shmat(id, NULL, 0), *second = shmat(id, NULL, SHM_RDONLY);
	struct segment_key segment;

	CU_ASSERT_FATAL(id >= 0 && first != (void *)-1 && second != (void *)-1);
	shmctl(id, IPC_RMID, NULL);
	open_all(0, 0);
	EACH_CENSUS(census)
	{
		segment = (struct segment_key){
			.dev = census_internal_device(census),
			.ino = id,
			.class = SEGMENT_SYSV,
		};
		ASSERT_INT(ask(census, &segment).mappings, 2);
	}
	shmdt(first);
	shmdt(second);
	ASSERT_ALL(&segment, 0, 0, 0);
	close_all();
}

/*
 * Each of a row of processes forks the next and exits: the segment is never unused. No pass may
 * miss it and yet say that it has read everything.
 */
static void relay(volatile bool *stop)
{
	while (!*stop) {
		pid_t child = fork();

		if (child > 0)
			_exit(0);
		if (child < 0)
			return;
	}
}

static void nobody_slips_through_by_forking(void)
{
	bool *stop = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t first;

	make_memfd();
	open_all(0, getpid());
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	first = fork();
	if (first == 0) {
		mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memfd, 0);
		*stop = false;
		relay(stop);
		_exit(0);
	}
	waitpid(first, NULL, 0);
	for (int i = 0; i < 20; i++) {
		EACH_CENSUS(census)
		{
			ASSERT_INT(census_hold(census, BOTH), 0);
			struct usage usage = census_usage(census, &key);

			CU_ASSERT(usage.mappings > 0 || census_report(census).unreadable > 0);
			census_release(census);
			/* Those who have run their leg come to us. */
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
		}
	}
	*stop = true;
	while (wait(NULL) > 0)
		;
	munmap(stop, PAGE);
	close_all();
	close_memfd();
}

/* Each of a row of threads makes the next and ends, and the first is dead. */
static pthread_attr_t detached;

static void *next_thread(void *unused)
{
	pthread_t thread;

	while (pthread_create(&thread, &detached, next_thread, unused) != 0)
		;
	return NULL;
}

static void begin_row_of_threads(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	next_thread(NULL);
	pthread_exit(NULL);
}

static void nobody_slips_through_by_threads(void)
{
	pid_t child;
	void *at;

	make_memfd();
	open_all(0, getpid());
	/* The child inherits it, and ours does not count. */
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memfd, 0);
	child = fork();
	if (child == 0)
		begin_row_of_threads();
	for (int i = 0; i < 50; i++) {
		EACH_CENSUS(census)
		{
			ASSERT_INT(census_hold(census, CENSUS_MAPPINGS), 0);
			struct usage usage = census_usage(census, &key);

			CU_ASSERT(usage.mappings == 1 || census_report(census).unreadable > 0);
			census_release(census);
		}
	}
	kill(child, SIGKILL);
	ASSERT_INT(waitpid(child, NULL, 0), child);
	munmap(at, PAGE);
	close_all();
	close_memfd();
}

/* As somebody who may not look at the processes of others. */
static bool others_are_unreadable(void)
{
	struct census_config config = { "/proc", CENSUS_AUTO, 0, getpid() };
	struct census *census;

	if (setgid(65534) || setuid(65534) || census_new(&config, &census) ||
		census_hold(census, BOTH))
		return false;
	bool unreadable = census_report(census).unreadable > 0;
	census_release(census);
	census_free(census);
	return unreadable;
}

static void who_may_not_read_all_says_so(void)
{
	int status;
	pid_t child;

	/* Only root can become somebody else; whoever else runs this may not read all anyway. */
	if (geteuid() != 0) {
		open_all(0, getpid());
		ASSERT_INT(census_hold(censuses[0], BOTH), 0);
		CU_ASSERT(census_report(censuses[0]).unreadable > 0);
		census_release(censuses[0]);
		close_all();
		return;
	}
	child = fork();
	if (child == 0)
		_exit(others_are_unreadable() ? 0 : 1);
	waitpid(child, &status, 0);
	ASSERT_INT(status, 0);
}

static CU_TestInfo tests[] = {
	{ "the BPF back end takes part", the_bpf_back_end_takes_part },
	{ "the query back end takes part", the_query_back_end_takes_part },
	{ "follows one process", follows_one_process },
	{ "forks count each, vforks once", forks_count_each_and_vforks_once },
	{ "threads count once", threads_count_once },
	{ "a process outlives its first thread", a_process_outlives_its_first_thread },
	{ "a new program begins with nothing", a_new_program_begins_with_nothing },
	{ "mappings made and undone meanwhile harm no others",
		mappings_made_and_undone_meanwhile_harm_no_others },
	{ "all back ends show the same rows", all_back_ends_show_the_same_rows },
	{ "names mean nothing", names_mean_nothing },
	{ "processes that share all count once", processes_that_share_all_count_once },
	{ "a thread may have descriptors of its own", a_thread_may_have_descriptors_of_its_own },
	{ "System V segments are known by number", system_v_segments_are_known_by_number },
	{ "nobody slips through by forking", nobody_slips_through_by_forking },
	{ "nobody slips through by threads", nobody_slips_through_by_threads },
	{ "who may not read all says so", who_may_not_read_all_says_so },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo live_suite = { "live", NULL, NULL, NULL, clean_up, tests };
