/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What hangs on a node while its file is open: handles, the open file, its descriptors. */
#include "node/handle.h"

#include "unit.h"
#include "base/util.h"
#include "node/data-node.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define INODE 7

static const struct caller user = { .uid = 1000 };
static struct fs fs;
static struct node *node;

static void set_up(void)
{
	fs = (struct fs){ .charges = charges_new(NULL) };
	fs.nodes = node_table_new(fs.charges);
	node = node_lookup_data(fs.nodes, INODE, g_new0(struct data_node, 1));
}

static void tear_down(void)
{
	node_table_free(fs.nodes);
	charges_free(fs.charges);
}

static int new_file(void)
{
	int fd = memfd_create("open", MFD_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* As open(2) of the node's file, which was found to be of that generation. */
static struct handle *open_found(uint64_t generation, int flags, int fd)
{
	struct file_ref ref = { .fd = -1, .generation = generation };
	struct fuse_file_info fi = { .flags = flags };
	auto_charge charge = { 0 };
	struct handle *handle;

	ASSERT_INT(charge_take(fs.charges, &user, CHARGE_DESCRIPTORS, 1, &charge), 0);
	handle = handle_new(&fs, node, &ref, fd, &charge, &fi);
	ASSERT_INT(charge.amount, 0);
	return handle;
}

static void another_file_of_the_number_is_not_joined(void)
{
	int first_fd = new_file(), second_fd = new_file();
	struct handle *first = open_found(1, O_RDONLY, first_fd);
	struct node *other;

	CU_ASSERT_PTR_NULL(open_found(2, O_RDONLY, second_fd));
	CU_ASSERT(!is_open(second_fd));
	CU_ASSERT(node_is_orphan(fs.nodes, node));
	CU_ASSERT(is_open(first_fd));
	ASSERT_INT(first->file->handles, 1);
	other = node_lookup_data(fs.nodes, INODE, g_new0(struct data_node, 1));
	CU_ASSERT_PTR_NOT_EQUAL(other, node);
	handle_free(&fs, first);
	CU_ASSERT(!is_open(first_fd));
	node_forget(fs.nodes, node, 1);
}

static void handles_of_one_access_mode_share_a_descriptor(void)
{
	int fds[] = { new_file(), new_file(), new_file() };
	struct handle *reader = open_found(1, O_RDONLY, fds[0]);
	struct handle *another = open_found(1, O_RDONLY, fds[1]);
	struct handle *writer = open_found(1, O_RDWR, fds[2]);

	CU_ASSERT(reader->file == another->file && reader->file == writer->file);
	ASSERT_INT(another->fd, fds[0]);
	CU_ASSERT(!is_open(fds[1]));
	ASSERT_INT(writer->fd, fds[2]);
	handle_free(&fs, reader);
	CU_ASSERT(is_open(fds[0]));
	handle_free(&fs, another);
	CU_ASSERT(!is_open(fds[0]));
	CU_ASSERT(is_open(fds[2]));
	CU_ASSERT(node_is_open(node));
	handle_free(&fs, writer);
	CU_ASSERT(!is_open(fds[2]));
	CU_ASSERT(!node_is_open(node));
}

static void writers_are_handles_that_may_write(void)
{
	struct handle *reader = open_found(1, O_RDONLY, new_file());
	struct handle *writers[] = { open_found(1, O_WRONLY, new_file()),
		open_found(1, O_RDWR, new_file()) };
	struct open_file *file = reader->file;

	ASSERT_INT(file->writers, 2);
	handle_free(&fs, writers[0]);
	ASSERT_INT(file->writers, 1);
	handle_free(&fs, writers[1]);
	ASSERT_INT(file->writers, 0);
	ASSERT_INT(file->handles, 1);
	handle_free(&fs, reader);
}

/* A request that began while the file was open goes on with it. */
static void a_reference_outlives_the_handles(void)
{
	int fd = new_file();
	struct handle *handle = open_found(1, O_RDWR, fd);
	struct file_ref ref;

	ASSERT_INT(file_ref_get(&fs, node, &ref), 0);
	ASSERT_INT(ref.fd, fd);
	ASSERT_INT(ref.generation, 1);
	handle_free(&fs, handle);
	CU_ASSERT(!node_is_open(node));
	CU_ASSERT(is_open(fd));
	file_ref_put(&fs, node, &ref);
	CU_ASSERT(!is_open(fd));
}

/* The file goes back on the node, with the descriptors that it has. */
static void what_is_referred_to_can_be_opened_again(void)
{
	int fd = new_file(), other = new_file();
	struct handle *handle = open_found(1, O_RDWR, fd);
	struct fuse_file_info fi = { .flags = O_RDWR };
	auto_charge charge = { 0 };
	struct open_file *file = handle->file;
	struct file_ref ref;

	ASSERT_INT(file_ref_get(&fs, node, &ref), 0);
	handle_free(&fs, handle);
	ASSERT_INT(charge_take(fs.charges, &user, CHARGE_DESCRIPTORS, 1, &charge), 0);
	handle = handle_new(&fs, node, &ref, other, &charge, &fi);
	CU_ASSERT_PTR_EQUAL_FATAL(handle->file, file);
	ASSERT_INT(handle->fd, fd);
	CU_ASSERT(!is_open(other));
	CU_ASSERT(node_is_open(node));
	ASSERT_INT(file->refs, 1);
	handle_free(&fs, handle);
	CU_ASSERT(!is_open(fd));
}

/* Without passthrough, and of what must not be mapped on the mount's behalf: each read is a request. */
static void without_passthrough_there_is_no_cache(void)
{
	struct file_ref ref = { .fd = -1 };
	struct fuse_file_info fi = { .flags = O_RDONLY };
	auto_charge charge = { 0 };
	struct handle *handle = handle_new(&fs, node, &ref, new_file(), &charge, &fi);

	CU_ASSERT(fi.direct_io && fi.parallel_direct_writes);
	ASSERT_INT(fi.backing_id, 0);
	CU_ASSERT_PTR_EQUAL((struct handle *)(uintptr_t)fi.fh, handle);
	handle_free(&fs, handle);
}

static void names_are_looked_at_by_what_they_are(void)
{
	char path[] = "/dev/shm/shmtree-unit-XXXXXX";
	struct file_ref ref;
	struct stat st;
	struct node *object;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(path));
	fs.shm_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_FATAL(fstat(fs.shm_fd, &st) == 0);
	fs.shm_dev = st.st_dev;
	ASSERT_INT(mknodat(fs.shm_fd, "file", S_IFREG | 0600, 0), 0);
	ASSERT_INT(mknodat(fs.shm_fd, "other", S_IFREG | 0600, 0), 0);
	ASSERT_INT(mknodat(fs.shm_fd, "fifo", S_IFIFO | 0600, 0), 0);
	ASSERT_INT(symlinkat("file", fs.shm_fd, "link"), 0);
	ASSERT_INT(stat_name(&fs, "fifo", &st), -ENOENT);
	ASSERT_INT(stat_name(&fs, "link", &st), -ENOENT);
	ASSERT_INT(stat_name(&fs, "none", &st), -ENOENT);
	ASSERT_INT(stat_name(&fs, "file", &st), 0);
	object = node_lookup_object(fs.nodes, st.st_ino, "file");
	ASSERT_INT(file_ref_get(&fs, object, &ref), 0);
	file_ref_put(&fs, object, &ref);
	for (const char *const *name =
			(const char *const[]){ "other", "link", "fifo", "none", NULL };
		*name; name++) {
		node_renamed(fs.nodes, object->ino, *name);
		ASSERT_INT(file_ref_get(&fs, object, &ref), -ESTALE);
	}
	node_renamed(fs.nodes, object->ino, "file");
	fs.shm_dev++;
	ASSERT_INT(stat_name(&fs, "file", &st), -ENOENT);
	ASSERT_INT(file_ref_get(&fs, object, &ref), -ESTALE);
	node_forget(fs.nodes, object, 1);
	for (const char *const *name =
			(const char *const[]){ "file", "other", "link", "fifo", NULL };
		*name; name++)
		ASSERT_INT(unlinkat(fs.shm_fd, *name, 0), 0);
	close(fs.shm_fd);
	ASSERT_INT(rmdir(path), 0);
}

static CU_TestInfo tests[] = {
	{ "another file of the number is not joined", another_file_of_the_number_is_not_joined },
	{ "handles of one access mode share a descriptor",
		handles_of_one_access_mode_share_a_descriptor },
	{ "writers are handles that may write", writers_are_handles_that_may_write },
	{ "a reference outlives the handles", a_reference_outlives_the_handles },
	{ "what is referred to can be opened again", what_is_referred_to_can_be_opened_again },
	{ "without passthrough there is no cache", without_passthrough_there_is_no_cache },
	{ "names are looked at by what they are", names_are_looked_at_by_what_they_are },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo open_file_suite = { "open_file", NULL, NULL, set_up, tear_down, tests };
