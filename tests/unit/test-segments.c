/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All segments, of a directory of its own in a real tmpfs. */
#include "base/util.h"
#include "census/census-private.h"
#include "views/segments.h"

#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than any process has. */
#define PID_MAX (1 << 30)

static char path[] = "/dev/shm/shmtree-unit-XXXXXX";
static struct census *census;
static struct realm realm;

static void setup(void)
{
	struct census_config config = { .proc = "/proc", .backend = CENSUS_AUTO };
	struct stat st;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(path));
	realm = (struct realm){
		.proc = "/proc",
		.shm_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.ipc_ns_fd = -1,
	};
	CU_ASSERT_FATAL(realm.shm_fd >= 0 && fstat(realm.shm_fd, &st) == 0);
	config.shm_dev = realm.shm_dev = st.st_dev;
	CU_ASSERT_FATAL(census_new(&config, &census) == 0);
	realm.census = census;
	realm.internal_dev = census_internal_device(census);
}

static void teardown(void)
{
	close(realm.shm_fd);
	rmdir(path);
	g_clear_pointer(&census, census_free);
}

static gpointer take(gpointer out)
{
	return GINT_TO_POINTER(segments_take(&realm, NULL, NULL, out));
}

static bool is_awaited(void)
{
	bool awaited;

	g_mutex_lock(&census->lock);
	awaited = census->awaiting > 0;
	g_mutex_unlock(&census->lock);
	return awaited;
}

/*
 * Names are listed before the census is held, so that nobody waits for that. An object that loses
 * its name between the two is known by both lists, and its bytes are counted once.
 */
static void what_is_unlinked_once_it_is_listed_counts_once(void)
{
	struct segments *segments = NULL;
	struct segments_row row;
	unsigned rows = 0, repeated = 0;
	GThread *thread;
	ino_t ino;
	struct stat st;

	auto_fd fd = openat(realm.shm_fd, "object", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, 12345) == 0 && fstat(fd, &st) == 0);
	ino = st.st_ino;
	ASSERT_INT(census_hold(census, CENSUS_ALL), 0);
	thread = g_thread_new("take", take, &segments);
	while (!is_awaited())
		g_usleep(1000);
	ASSERT_INT(unlinkat(realm.shm_fd, "object", 0), 0);
	census_release(census);
	ASSERT_INT(GPOINTER_TO_INT(g_thread_join(thread)), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(segments);
	for (size_t i = 0; i < segments_count(segments); i++) {
		segments_get(segments, i, &row);
		rows += row.ino == ino;
		repeated += row.ino == ino && row.repeated;
	}
	if (segments_report(segments)->objects) {
		ASSERT_INT(rows, 2);
		ASSERT_INT(repeated, 1);
	}
	segments_free(segments);
}

/* Times that are not near each other, and those that no file has, come out as they went in. */
static void rows_have_what_the_objects_have(void)
{
	const struct timespec times[] = { { -5, 999999999 }, { INT32_MAX, 1 } };
	struct segments *segments = NULL;
	struct segments_row row = { 0 };
	struct stat st;

	auto_fd fd = openat(realm.shm_fd, "object", O_CREAT | O_RDWR | O_CLOEXEC, 0640);
	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, 54321) == 0 && pwrite(fd, "x", 1, 0) == 1);
	CU_ASSERT_FATAL(futimens(fd, times) == 0 && fstat(fd, &st) == 0);
	ASSERT_INT(segments_take(&realm, NULL, NULL, &segments), 0);
	for (size_t i = 0;
		i < segments_count(segments) && !g_str_equal(row.id ? row.id : "", "object"); i++)
		segments_get(segments, i, &row);
	CU_ASSERT_FATAL(row.id && g_str_equal(row.id, "object"));
	ASSERT_INT(row.size, st.st_size);
	ASSERT_INT(row.allocated, st.st_blocks * 512);
	CU_ASSERT(row.dev == st.st_dev && row.ino == st.st_ino && row.links == 1);
	ASSERT_INT(row.atime.tv_sec, st.st_atim.tv_sec);
	ASSERT_INT(row.atime.tv_nsec, st.st_atim.tv_nsec);
	ASSERT_INT(row.mtime.tv_sec, st.st_mtim.tv_sec);
	ASSERT_INT(row.ctime.tv_sec, st.st_ctim.tv_sec);
	ASSERT_INT(row.ctime.tv_nsec, st.st_ctim.tv_nsec);
	ASSERT_INT(row.state, STATE_OPEN);
	segments_free(segments);
	unlinkat(realm.shm_fd, "object", 0);
}

static void note_idle(const struct named_object *object, void *data)
{
	struct named_object *wanted = data;

	if (object->key.ino == wanted->key.ino)
		*wanted = *object;
}

static bool is_idle(const struct segment_key *key)
{
	struct named_object object = { .key = *key };

	ASSERT_INT(census_each_named(census, key->dev, note_idle, &object), 0);
	CU_ASSERT(object.inode != 0);
	return object.idle;
}

/* As if a process had been found to map that file. */
static void add_user(const struct segment_key *key)
{
	struct mapping row = { .start = 0x10000, .end = 0x11000, .perms = "rw-s" };
	struct space *space;

	spaces_begin(census->spaces);
	spaces_see_all(census->spaces);
	space = spaces_see(census->spaces, PID_MAX, 1);
	space_describe(space, 0, "user");
	row.segment = spaces_segment(census->spaces, key);
	space_set_mappings(census->spaces, space, &row, 1);
	spaces_end(census->spaces);
}

/*
 * Processes are read after the kernel's list of inodes: one of them may map by then what nothing had. What has the same
 * number in another tmpfs is another file.
 */
static void what_a_process_maps_is_not_idle(void)
{
	g_autofree char *name = g_strdup_printf("/dev/shm/shmtree-unit-idle-%d", getpid());
	struct segment_key key = { .class = SEGMENT_FILE }, elsewhere;
	struct stat st;

	auto_fd fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &st) == 0);
	close(steal_fd(&fd));
	key.dev = st.st_dev;
	key.ino = st.st_ino;
	elsewhere = key;
	elsewhere.dev++;
	ASSERT_INT(census_hold(census, CENSUS_ALL | CENSUS_FACTS), 0);
	if (census_report(census).objects) {
		CU_ASSERT(is_idle(&key));
		add_user(&elsewhere);
		CU_ASSERT(is_idle(&key));
		add_user(&key);
		CU_ASSERT_FALSE(is_idle(&key));
	} else {
		unit_skip("%s", census_report(census).why_no_objects);
	}
	census_release(census);
	unlink(name);
}

static CU_TestInfo tests[] = {
	{ "what is unlinked once it is listed counts once",
		what_is_unlinked_once_it_is_listed_counts_once },
	{ "rows have what the objects have", rows_have_what_the_objects_have },
	{ "what a process maps is not idle", what_a_process_maps_is_not_idle },
	CU_TEST_INFO_NULL,
};
const CU_SuiteInfo segments_suite = { "segments", NULL, NULL, setup, teardown, tests };
