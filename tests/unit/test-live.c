/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The census against processes of this machine whose use of a segment is known, by each back end
 * that works here.
 */
#include "every-backend.h"
#include "backend.h"
#include "base/util.h"
#include "mapper.h"
#include "unit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* A mapper of the memfd. This process itself does not count. */
static struct mapper mapper;

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

static void note_mapper(pid_t pid, const char *why, void *data)
{
	(void)why;
	*(bool *)data |= pid == mapper.pid;
}

/*
 * What stays is counted, whatever else the process maps. Only when it has kept its mappings locked for
 * too long may they be missing, all of them, and then it counts as unreadable; who reads /proc may
 * have left it out as a whole.
 */
static void assert_seven_at_least(struct census *census)
{
	bool unreadable = false;
	struct usage usage;

	ASSERT_INT(census_hold(census, BOTH), 0);
	usage = census_usage(census, &key);
	census_each_unreadable(census, note_mapper, &unreadable);
	census_release(census);
	if (usage.mappings == 0 && unreadable) {
		ASSERT_INT(usage.processes, 0);
		CU_ASSERT(usage.openers <= 1);
		return;
	}
	ASSERT_INT(usage.openers, 1);
	CU_ASSERT(usage.mappings >= 7 && usage.mappings <= 1007);
	ASSERT_INT(usage.processes, 1);
}

static void mappings_made_and_undone_meanwhile_harm_no_others(void)
{
	start_mapper();
	mapper_order(&mapper, "map 7");
	ASSERT_ALL(&key, 7, 1, 1);
	mapper_order(&mapper, "churn 1000");
	for (int question = 0; question < 30; question++)
		for (int i = 0; i < n_censuses; i++)
			assert_seven_at_least(censuses[i]);
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
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo live_suite = { "live", NULL, NULL, NULL, clean_up, tests };
