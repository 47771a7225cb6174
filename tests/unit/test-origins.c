/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who gave an object its first name and took its last; and what a directory has that was not told. */
#include "unit.h"

#include "events/directory.h"
#include "events/handles.h"
#include "events/origins.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct deed one = { true, 1000, { .pid = 1, .born = 5 } },
			 other = { true, 2000, { .pid = 2, .born = 6 } };

static struct origins *begin(void)
{
	struct origins *origins = origins_new();

	origins_begin(origins, 100);
	return origins;
}

/* All records are handled that there are by now. */
static void drain(struct origins *origins)
{
	origins_drained(origins, g_get_monotonic_time() + 1);
	g_usleep(10);
	CU_ASSERT_FALSE(origins_unsettled(origins));
}

/* The process, 0 for nobody, -1 if it is not known. */
static pid_t creator(struct origins *origins, uint64_t inode, int64_t born)
{
	struct origin origin;

	origins_find(origins, inode, born, true, &origin);
	return origin.created.known ? origin.created.process.pid : -1;
}

static pid_t remover(struct origins *origins, uint64_t inode)
{
	struct origin origin;

	origins_find(origins, inode, 0, true, &origin);
	return origin.removed.known ? origin.removed.process.pid : -1;
}

static void the_first_name_is_by_who_gave_it(void)
{
	struct origins *origins = begin();

	ASSERT_INT(creator(origins, 1, 500), -1);
	origins_named(origins, 1, &one);
	CU_ASSERT_TRUE(origins_unsettled(origins));
	ASSERT_INT(creator(origins, 1, 500), -1); /* another process's record may come */
	drain(origins);
	ASSERT_INT(creator(origins, 1, 500), 1);
	origins_named(origins, 1, &other);
	drain(origins);
	ASSERT_INT(creator(origins, 1, 500), 1);
	/* Born before anybody looked, after that name was given, or at a time that is not known. */
	ASSERT_INT(creator(origins, 1, 100), -1);
	ASSERT_INT(creator(origins, 1, 1001), -1);
	ASSERT_INT(creator(origins, 1, 0), -1);
	ASSERT_INT(creator(origins, 2, 500), -1);
	/* Two processes, of which the kernel may have merged what one did later with what it did before. */
	origins_named(origins, 3, &one);
	origins_named(origins, 3, &other);
	drain(origins);
	ASSERT_INT(creator(origins, 3, 500), -1);
	origins_begin(origins, 100);
	drain(origins);
	ASSERT_INT(creator(origins, 1, 500), -1);
	origins_free(origins);
}

static void the_last_name_is_by_who_took_it(void)
{
	struct origins *origins = begin();
	struct origin origin;

	drain(origins);
	origins_unnamed(origins, 1, &one, LEFT_NAMES);
	drain(origins);
	ASSERT_INT(remover(origins, 1), -1);
	origins_unnamed(origins, 1, &other, LEFT_NAMELESS);
	ASSERT_INT(remover(origins, 1), -1);
	drain(origins);
	ASSERT_INT(remover(origins, 1), 2);
	origins_find(origins, 1, 0, false, &origin);
	CU_ASSERT_FALSE(origin.removed.known); /* it has a name after all */
	/* What was not seen as the last one, it may not have been. */
	origins_unnamed(origins, 1, &one, LEFT_UNKNOWN);
	drain(origins);
	ASSERT_INT(remover(origins, 1), -1);
	/* Of two in one stretch of records either may have been the last. */
	origins_unnamed(origins, 2, &one, LEFT_NAMELESS);
	origins_unnamed(origins, 2, &other, LEFT_NAMELESS);
	drain(origins);
	ASSERT_INT(remover(origins, 2), -1);
	origins_unnamed(origins, 3, &one, LEFT_NAMELESS);
	origins_unnamed(origins, 3, &one, LEFT_NAMELESS);
	drain(origins);
	ASSERT_INT(remover(origins, 3), 1);
	origins_unnamed(origins, 3, &one, LEFT_NOTHING);
	ASSERT_INT(remover(origins, 3), -1);
	origins_free(origins);
}

/* Another object got a name, which it may have taken from any. */
static void what_may_have_been_replaced_is_not_known(void)
{
	struct origins *origins = begin();

	drain(origins);
	origins_unnamed(origins, 1, &one, LEFT_NAMELESS);
	drain(origins);
	origins_unnamed(origins, 2, &one, LEFT_NAMELESS);
	origins_blur(origins);
	origins_unnamed(origins, 3, &one, LEFT_NAMELESS);
	drain(origins);
	origins_unnamed(origins, 4, &one, LEFT_NAMELESS);
	drain(origins);
	ASSERT_INT(remover(origins, 1), 1);
	ASSERT_INT(remover(origins, 2), -1);
	ASSERT_INT(remover(origins, 3), -1);
	ASSERT_INT(remover(origins, 4), 1);
	origins_free(origins);
}

/* More objects than there is room for: of one that is forgotten, a further name is not taken for its first. */
static void what_is_forgotten_is_not_made_up(void)
{
	struct origins *origins = begin();

	origins_named(origins, 1, &one);
	for (uint64_t i = 2; i < 20000; i++)
		origins_named(origins, i, &other);
	origins_named(origins, 1, &other);
	drain(origins);
	ASSERT_INT(creator(origins, 1, 500), -1);
	ASSERT_INT(creator(origins, 19999, 500), -1);
	origins_free(origins);
	origins = begin();
	origins_named(origins, 1, &one);
	for (uint64_t i = 2; i < 20000; i++) {
		origins_named(origins, i, &other);
		origins_unnamed(origins, i, &other, LEFT_NOTHING);
	}
	drain(origins);
	ASSERT_INT(creator(origins, 1, 500), 1);
	origins_free(origins);
}

/* The directory */

static struct {
	char path[64];
	int fd;
	struct directory *directory;
	GString *told;
} here;

static void differs(const struct difference *difference, void *data)
{
	(void)data;
	g_string_append_printf(here.told, "%s %s; ", event_type_name(difference->type),
		difference->name);
}

static void set_up(void)
{
	strcpy(here.path, "/dev/shm/unit-directory-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(here.path) != NULL);
	here.fd = open(here.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct directory_config config = { here.fd, ".shmtree", ".hidden.", differs, NULL };

	here.directory = directory_new(&config);
	here.told = g_string_new(NULL);
}

static void tear_down(void)
{
	directory_free(here.directory);
	g_string_free(here.told, TRUE);
	close(here.fd);
	CU_ASSERT(rmdir(here.path) == 0);
}

static void make(const char *name, off_t size)
{
	int fd = openat(here.fd, name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, size) == 0);
	close(fd);
}

static void what_was_lost_is_found_by_a_list(void)
{
	const struct named *named;

	make("same", 1);
	make("longer", 1);
	make("gone", 1);
	make("another", 1);
	make(".hidden.x", 1);
	directory_list(here.directory);
	CU_ASSERT_FALSE(directory_had(here.directory, "same", &named));
	directory_drained(here.directory, g_get_monotonic_time() + 1000);
	CU_ASSERT_TRUE(directory_had(here.directory, "same", &named));
	CU_ASSERT_PTR_NOT_NULL(named);
	CU_ASSERT_TRUE(directory_had(here.directory, ".hidden.x", &named));
	CU_ASSERT_PTR_NULL(named);
	directory_settle(here.directory);
	ASSERT_STRING(here.told->str, "");
	make("longer", 2);
	make("new", 1);
	unlinkat(here.fd, "gone", 0);
	make("other", 1);
	renameat(here.fd, "other", here.fd, "another");
	directory_lost(here.directory);
	CU_ASSERT_TRUE(directory_unsettled(here.directory));
	directory_drained(here.directory, g_get_monotonic_time());
	ASSERT_STRING(here.told->str, "resized longer; ");
	directory_settle(here.directory);
	CU_ASSERT_PTR_NOT_NULL(strstr(here.told->str, "created new; "));
	CU_ASSERT_PTR_NOT_NULL(strstr(here.told->str, "removed gone; "));
	CU_ASSERT_PTR_NOT_NULL(strstr(here.told->str, "removed another; created another; "));
	CU_ASSERT_PTR_NULL(strstr(here.told->str, "same"));
	g_string_truncate(here.told, 0);
	directory_drained(here.directory, g_get_monotonic_time() + 1000);
	directory_settle(here.directory);
	ASSERT_STRING(here.told->str, "");
	CU_ASSERT_FALSE(directory_unsettled(here.directory));
	for (const char *const *name = (const char *const[]){ "same", "longer", "new", "another",
		     ".hidden.x", NULL };
		*name; name++)
		CU_ASSERT(unlinkat(here.fd, *name, 0) == 0);
}

/* What was told before the loss is then not taken for what is there. */
static void what_cannot_be_listed_after_a_loss_is_not_known(void)
{
	struct rlimit limit, none;
	const struct named *named;

	make("gone", 1);
	make("stays", 1);
	directory_list(here.directory);
	directory_drained(here.directory, g_get_monotonic_time() + 1000);
	unlinkat(here.fd, "gone", 0);
	directory_lost(here.directory);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){ 0, limit.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	directory_drained(here.directory, g_get_monotonic_time());
	setrlimit(RLIMIT_NOFILE, &limit);
	directory_drained(here.directory, g_get_monotonic_time() + 1000);
	CU_ASSERT_FALSE(directory_had(here.directory, "gone", &named));
	/* The next loss is an occasion to list again. */
	directory_lost(here.directory);
	directory_drained(here.directory, g_get_monotonic_time());
	directory_drained(here.directory, g_get_monotonic_time() + 1000);
	CU_ASSERT(directory_had(here.directory, "gone", &named) && !named);
	CU_ASSERT(directory_had(here.directory, "stays", &named) && named);
	ASSERT_STRING(here.told->str, "");
	unlinkat(here.fd, "stays", 0);
}

/* It was changed by another name, of which no record tells. */
static void a_size_that_is_doubted_is_looked_at(void)
{
	struct stat st;

	make("x", 1);
	make("y", 1);
	directory_list(here.directory);
	directory_drained(here.directory, g_get_monotonic_time());
	make("x", 2);
	make("y", 2);
	fstatat(here.fd, "x", &st, 0);
	directory_doubt(here.directory, st.st_ino);
	CU_ASSERT_TRUE(directory_unsettled(here.directory));
	directory_drained(here.directory, g_get_monotonic_time());
	ASSERT_STRING(here.told->str, "resized x; ");
	directory_drained(here.directory, g_get_monotonic_time() + G_USEC_PER_SEC);
	ASSERT_STRING(here.told->str, "resized x; ");
	CU_ASSERT_FALSE(directory_unsettled(here.directory));
	unlinkat(here.fd, "x", 0);
	unlinkat(here.fd, "y", 0);
}

static void a_name_that_nothing_explains_is_told(void)
{
	const struct named named = { .inode = 5, .size = 1 };

	directory_told(here.directory, "x", &named, 0);
	CU_ASSERT_TRUE(directory_unsettled(here.directory));
	directory_drained(here.directory, g_get_monotonic_time());
	ASSERT_STRING(here.told->str, "");
	directory_drained(here.directory, g_get_monotonic_time() + 2 * G_USEC_PER_SEC);
	ASSERT_STRING(here.told->str, "removed x; ");
	CU_ASSERT_FALSE(directory_unsettled(here.directory));
}

static int links(const uint8_t handle[TMPFS_HANDLE_BYTES], uint32_t more)
{
	const struct file_id id = { handle, TMPFS_HANDLE_BYTES, TMPFS_HANDLE_TYPE };
	struct stat st;
	uint64_t inode;
	int r;

	CU_ASSERT_FATAL(file_id_inode(&id, &inode));
	r = handle_stat(here.fd, inode, handle_generation(handle) + more, &st);
	return r < 0 ? r : (int)st.st_nlink;
}

static void a_handle_tells_how_many_names_are_left(void)
{
	uint8_t handle[TMPFS_HANDLE_BYTES];

	make("x", 1);
	int r = handle_of(here.fd, "x", handle);
	if (r < 0 || links(handle, 0) == -EPERM) {
		unlinkat(here.fd, "x", 0);
		SKIP("handles: %s", g_strerror(r < 0 ? -r : EPERM));
	}
	ASSERT_INT(links(handle, 0), 1);
	ASSERT_INT(links(handle, 1), -ESTALE);
	linkat(here.fd, "x", here.fd, "y", 0);
	unlinkat(here.fd, "x", 0);
	ASSERT_INT(links(handle, 0), 1);
	int fd = openat(here.fd, "y", O_RDONLY | O_CLOEXEC);
	unlinkat(here.fd, "y", 0);
	ASSERT_INT(links(handle, 0), 0);
	close(fd);
	ASSERT_INT(links(handle, 0), -ESTALE);
}

static CU_TestInfo origins_tests[] = {
	{ "the first name is by who gave it", the_first_name_is_by_who_gave_it },
	{ "the last name is by who took it", the_last_name_is_by_who_took_it },
	{ "what may have been replaced is not known", what_may_have_been_replaced_is_not_known },
	{ "what is forgotten is not made up", what_is_forgotten_is_not_made_up },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo origins_suite = { .pName = "origins", .pTests = origins_tests };

static CU_TestInfo directory_tests[] = {
	{ "what was lost is found by a list", what_was_lost_is_found_by_a_list },
	{ "what cannot be listed after a loss is not known",
		what_cannot_be_listed_after_a_loss_is_not_known },
	{ "a size that is doubted is looked at", a_size_that_is_doubted_is_looked_at },
	{ "a name that nothing explains is told", a_name_that_nothing_explains_is_told },
	{ "a handle tells how many names are left", a_handle_tells_how_many_names_are_left },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo directory_suite = {
	.pName = "directory",
	.pTests = directory_tests,
	.pSetUpFunc = set_up,
	.pTearDownFunc = tear_down,
};
