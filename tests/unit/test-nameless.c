/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a file without a name is reached. */
#include "kinds/nameless.h"

#include "recorded.h"
#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct recorded tree;
static struct census *census;
static struct realm realm;

static void set_up(void)
{
	struct census_config config = { .backend = CENSUS_TEXT };

	recorded_init(&tree);
	config.proc = tree.path;
	CU_ASSERT_FATAL(census_new(&config, &census) == 0);
	realm = (struct realm){ .proc = tree.path,
		.census = census,
		.shm_fd = -1,
		.internal_dev = census_internal_device(census),
		.ipc_ns = 1,
		.ipc_ns_fd = -1 };
	CU_ASSERT_FATAL(census_hold(census, CENSUS_MAPPINGS | CENSUS_DESCRIPTORS) == 0);
}

static void tear_down(void)
{
	census_release(census);
	g_clear_pointer(&census, census_free);
	recorded_remove(&tree);
}

static struct segment_key key_of(int fd, enum segment_class class)
{
	struct stat st;

	CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &st) == 0);
	return (struct segment_key){ .dev = st.st_dev, .ino = st.st_ino, .class = class };
}

static int found(struct segment_key key)
{
	int fd = nameless_open(&realm, &key, NULL, NULL);

	if (fd >= 0)
		close(fd);
	return MIN(fd, 0);
}

static void what_is_found_is_compared_with_the_key(void)
{
	auto_fd fd = memfd_create("nameless", MFD_CLOEXEC);
	struct segment_key key = key_of(fd, SEGMENT_MEMFD), other = key;

	ASSERT_INT(key.dev, realm.internal_dev);
	ASSERT_INT(found(key), 0);
	other.class = SEGMENT_ANON;
	ASSERT_INT(found(other), -ENOENT);
	other = key;
	other.ino++;
	ASSERT_INT(found(other), -ENOENT);
	other = key;
	other.dev++;
	ASSERT_INT(found(other), -ENOENT);
	other.class = SEGMENT_FILE;
	ASSERT_INT(found(other), -ENOENT);
	/* A file of the mount stands for another one, and may have any name. */
	realm.mount_dev = key.dev;
	ASSERT_INT(found(key), -ENOENT);
}

struct judged {
	enum nameless_verdict verdict;
	unsigned n;
	char name[FILE_NAME_SIZE];
};

static enum nameless_verdict judge(int fd, const char *name, void *data)
{
	struct judged *judged = data;

	CU_ASSERT(fcntl(fd, F_GETFL) & O_PATH);
	g_strlcpy(judged->name, name, sizeof judged->name);
	judged->n++;
	return judged->verdict;
}

static void whoever_asks_may_want_another_one(void)
{
	auto_fd other = memfd_create("whose name is longer", MFD_CLOEXEC);
	auto_fd one = memfd_create("judged", MFD_CLOEXEC);
	auto_fd two = dup(one);
	struct segment_key key = key_of(one, SEGMENT_MEMFD);
	struct segment_key longer = key_of(other, SEGMENT_MEMFD);
	struct judged judged = { NAMELESS_NEXT };

	CU_ASSERT(two >= 0);
	/* Called from here, as below, so that the next name may be read to where this one is. */
	ASSERT_INT(nameless_open(&realm, &longer, judge, &judged), -ENOENT);
	judged.n = 0;
	ASSERT_INT(nameless_open(&realm, &key, judge, &judged), -ENOENT);
	ASSERT_INT(judged.n, 2);
	ASSERT_STRING(judged.name, "/memfd:judged (deleted)");
	judged = (struct judged){ NAMELESS_STOP };
	ASSERT_INT(nameless_open(&realm, &key, judge, &judged), -ENOENT);
	ASSERT_INT(judged.n, 1);
	judged = (struct judged){ NAMELESS_ACCEPT };
	auto_fd accepted = nameless_open(&realm, &key, judge, &judged);
	CU_ASSERT(accepted >= 0);
	ASSERT_INT(judged.n, 1);
}

/* As name_to_handle_at(2) tells it, which makes the kernel know the file by its handle. */
static uint32_t generation_of(int fd)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .handle.handle_bytes = MAX_HANDLE_SZ };
	uint32_t generation = 0;
	int mount;

	if (name_to_handle_at(fd, "", &u.handle, &mount, AT_EMPTY_PATH) == 0)
		memcpy(&generation, u.handle.f_handle, sizeof generation);
	else
		unit_skip("no handles here: %s", g_strerror(errno));
	return generation;
}

static int found_by_handle(struct segment_key key, uint32_t generation)
{
	int fd = nameless_open_by_handle(&realm, &key, generation);

	if (fd >= 0)
		close(fd);
	return MIN(fd, 0);
}

static void a_handle_leads_to_one_file_alone(void)
{
	auto_fd fd = memfd_create("handle", MFD_CLOEXEC);
	auto_fd file = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct segment_key key = key_of(fd, SEGMENT_MEMFD);
	uint32_t generation = generation_of(fd);

	if (geteuid() != 0)
		SKIP("files are opened by their handles by root alone");
	ASSERT_INT(found_by_handle(key, generation), 0);
	ASSERT_INT(found_by_handle(key, generation + 1), -ESTALE);
	key.ino++;
	CU_ASSERT(found_by_handle(key, generation) < 0);
	key.ino--;
	key.dev++;
	ASSERT_INT(found_by_handle(key, generation), -ENXIO);
	key = key_of(file, SEGMENT_FILE);
	generation = generation_of(file);
	ASSERT_INT(found_by_handle(key, generation), -ENXIO);
	auto_fd shm = realm.shm_fd = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT(shm >= 0);
	ASSERT_INT(found_by_handle(key, generation), 0);
	key.dev++;
	ASSERT_INT(found_by_handle(key, generation), -ESTALE);
}

static CU_TestInfo tests[] = {
	{ "what is found is compared with the key", what_is_found_is_compared_with_the_key },
	{ "whoever asks may want another one", whoever_asks_may_want_another_one },
	{ "a handle leads to one file alone", a_handle_leads_to_one_file_alone },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo nameless_suite = { "nameless", NULL, NULL, set_up, tear_down, tests };
