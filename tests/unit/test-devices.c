/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/counts/devices.h"
#include "census/loops.h"

#include "unit.h"
#include "base/util.h"

#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define SHM_DEV makedev(0, 99)
#define MOUNT_DEV makedev(0, 98)
#define ELSEWHERE makedev(0, 1000000)

static struct devices devices;

static int setup(void)
{
	int error = devices_init(&devices, SHM_DEV);

	if (error)
		return error;
	devices_add(&devices, MOUNT_DEV, DEVICE_MOUNT);
	devices_add(&devices, ELSEWHERE, DEVICE_SHM);
	return 0;
}

static int teardown(void)
{
	devices_clear(&devices);
	return 0;
}

static struct segment_key identified(uint64_t dev, uint64_t ino, const char *name)
{
	struct file_seen file = { .dev = dev, .ino = ino, .name = name, .ipc_ns = 7 };
	struct segment_key key = { 0 };

	CU_ASSERT(devices_identify(&devices, &file, &key));
	return key;
}

static void learns_the_devices_of_memfds(void)
{
	struct stat st;
	auto_fd fd = memfd_create("test", MFD_CLOEXEC);

	CU_ASSERT(fd >= 0 && fstat(fd, &st) == 0);
	ASSERT_INT(devices.internal, st.st_dev);
	ASSERT_INT(devices_role(&devices, st.st_dev), DEVICE_INTERNAL);
	ASSERT_INT(devices_role(&devices, makedev(259, 1)), DEVICE_NONE);

	auto_fd huge = memfd_create("test", MFD_CLOEXEC | MFD_HUGETLB);
	if (huge >= 0 && fstat(huge, &st) == 0)
		ASSERT_INT(devices_role(&devices, st.st_dev), DEVICE_INTERNAL);
}

static void adds_a_device_once(void)
{
	unsigned generation = devices.generation;

	devices_add(&devices, ELSEWHERE, DEVICE_SHM);
	ASSERT_INT(devices.generation, generation);
	devices_add(&devices, makedev(0, 77), DEVICE_SHM);
	ASSERT_INT(devices.generation, generation + 1);
}

/* As many as there are containers; and a pass goes on with those that there were when it began. */
static void knows_any_number_of_devices(void)
{
	struct devices before = devices_copy(&devices);

	for (unsigned minor = 10000; minor > 200; minor--)
		devices_add(&devices, makedev(0, minor), DEVICE_SHM);
	for (unsigned minor = 10000; minor > 200; minor--) {
		ASSERT_INT(devices_role(&devices, makedev(0, minor)), DEVICE_SHM);
		if (minor > 1000)
			ASSERT_INT(devices_role(&before, makedev(0, minor)), DEVICE_NONE);
	}
	ASSERT_INT(devices_role(&devices, makedev(0, 10001)), DEVICE_NONE);
	ASSERT_INT(devices_role(&devices, MOUNT_DEV), DEVICE_MOUNT);
	devices_clear(&before);
}

static void tells_classes_apart_by_name(void)
{
	uint64_t dev = devices.internal;

	ASSERT_INT(identified(dev, 5, "/SYSV00001234 (deleted)").class, SEGMENT_SYSV);
	ASSERT_INT(identified(dev, 5, "/SYSV00001234 (deleted)").ns, 7);
	ASSERT_INT(identified(dev, 5, "/memfd:SYSV (deleted)").class, SEGMENT_MEMFD);
	ASSERT_INT(identified(dev, 5, "/memfd:SYSV (deleted)").ns, 0);
	ASSERT_INT(identified(dev, 5, "/dev/zero (deleted)").class, SEGMENT_ANON);
	ASSERT_INT(identified(dev, 5, "/anon_hugepage (deleted)").class, SEGMENT_ANON);
	ASSERT_INT(identified(dev, 5, "/drm mm object (deleted)").class, SEGMENT_OTHER);
	/* On a mounted tmpfs the name means nothing. */
	ASSERT_INT(identified(SHM_DEV, 5, "/dev/shm/memfd:x (deleted)").class, SEGMENT_FILE);
	ASSERT_INT(identified(ELSEWHERE, 5, "/SYSV00001234").class, SEGMENT_FILE);
}

static void private_huge_pages_are_no_segment(void)
{
	struct file_seen file = {
		.dev = devices.internal,
		.ino = 5,
		.name = "/anon_hugepage (deleted)",
		.private = true,
	};
	struct segment_key key;

	CU_ASSERT_FALSE(devices_identify(&devices, &file, &key));
	file.name = "/memfd:x (deleted)";
	CU_ASSERT(devices_identify(&devices, &file, &key));
	file.dev = makedev(8, 1);
	CU_ASSERT_FALSE(devices_identify(&devices, &file, &key));
}

static void inode_numbers_of_the_mount_lead_back(void)
{
	const struct segment_key keys[] = {
		{ .dev = SHM_DEV, .ino = 12345678901, .class = SEGMENT_FILE },
		{ .dev = ELSEWHERE, .ino = 12345678901, .class = SEGMENT_FILE },
		{ .dev = devices.internal, .ino = 4026531839, .class = SEGMENT_MEMFD },
		{ .dev = makedev(0, 17), .ino = 4026531839, .class = SEGMENT_MEMFD },
		{ .dev = devices.internal, .ino = 1, .class = SEGMENT_ANON },
		{ .dev = devices.internal, .ino = 1, .class = SEGMENT_OTHER },
		{ .dev = devices.internal, .ino = INT32_MAX, .class = SEGMENT_SYSV },
		{ .dev = devices.internal, .ino = 3, .ns = 0xefffffff, .class = SEGMENT_SYSV },
		{ .dev = devices.internal, .ino = 3, .ns = 0xf0000123, .class = SEGMENT_SYSV },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		uint64_t ino = devices_mount_ino(&devices, &keys[i]);
		struct segment_key seen = identified(MOUNT_DEV, ino, "/mnt/x/data");

		CU_ASSERT(segment_key_equal(&seen, &keys[i]));
		for (size_t j = 0; j < i; j++)
			CU_ASSERT(devices_mount_ino(&devices, &keys[j]) != ino);
	}
}

static void other_inode_numbers_of_the_mount_are_nobodys(void)
{
	struct segment_key key;

	for (uint64_t class = 6; class < 16; class ++)
		CU_ASSERT_FALSE(devices_of_mount_ino(&devices, class << 60 | 1, &key));
}

static void set_other_mounts(uint64_t dev, pid_t server)
{
	g_autoptr(GArray) mounts = g_array_new(FALSE, FALSE, sizeof(struct device));
	struct device mount = {
		.dev = dev,
		.role = DEVICE_OTHER_MOUNT,
		.server = server,
		.source = makedev(0, 55),
	};

	if (dev)
		g_array_append_val(mounts, mount);
	devices_set_other_mounts(&devices, mounts);
}

static void other_mounts_come_and_go(void)
{
	const uint64_t dev = makedev(0, 97);
	unsigned generation = devices.generation;

	set_other_mounts(0, 0);
	ASSERT_INT(devices.generation, generation);
	set_other_mounts(dev, 5);
	ASSERT_INT(identified(dev, 7, "/mnt/x").dev, makedev(0, 55));
	ASSERT_INT(identified(dev, 7, "/mnt/x").ino, 7);
	ASSERT_INT(devices.generation, ++generation);
	set_other_mounts(dev, 5);
	ASSERT_INT(devices.generation, generation);
	set_other_mounts(dev, 6);
	ASSERT_INT(devices.generation, ++generation);
	set_other_mounts(0, 0);
	ASSERT_INT(devices_role(&devices, dev), DEVICE_NONE);
	ASSERT_INT(devices_role(&devices, MOUNT_DEV), DEVICE_MOUNT);
	ASSERT_INT(devices_role(&devices, ELSEWHERE), DEVICE_SHM);
}

/* The kernel gives a number away again as soon as its file system is unmounted. */
static void a_number_of_another_mount_is_used_again(void)
{
	const uint64_t dev = makedev(0, 96);
	unsigned generation;

	set_other_mounts(dev, 5);
	devices_add(&devices, dev, DEVICE_SHM);
	ASSERT_INT(identified(dev, 7, "/dev/shm/x").dev, dev);
	/* The daemon is unmounted, but has not ended. */
	generation = devices.generation;
	set_other_mounts(dev, 5);
	ASSERT_INT(devices_role(&devices, dev), DEVICE_SHM);
	ASSERT_INT(devices.generation, generation);
	set_other_mounts(0, 0);
	ASSERT_INT(devices_role(&devices, dev), DEVICE_SHM);
	/* Another daemon mounts where the tmpfs was. */
	set_other_mounts(dev, 6);
	ASSERT_INT(identified(dev, 7, "/mnt/x").dev, makedev(0, 55));
	devices_add(&devices, dev, DEVICE_SHM);
	ASSERT_INT(identified(dev, 7, "/dev/shm/x").dev, dev);
	set_other_mounts(0, 0);
	/* A daemon that has ended before the object's own tmpfs was mounted, or our mount. */
	generation = devices.generation;
	set_other_mounts(SHM_DEV, 7);
	ASSERT_INT(devices_role(&devices, SHM_DEV), DEVICE_SHM);
	set_other_mounts(MOUNT_DEV, 7);
	ASSERT_INT(devices_role(&devices, MOUNT_DEV), DEVICE_MOUNT);
	ASSERT_INT(devices.generation, generation);
	set_other_mounts(0, 0);
}

static void keys_differ_in_every_part(void)
{
	const struct segment_key key = { .dev = 1, .ino = 2, .ns = 3, .class = SEGMENT_SYSV };
	struct segment_key others[] = { key, key, key, key };

	others[0].dev++;
	others[1].ino++;
	others[2].ns++;
	others[3].class ++;
	CU_ASSERT(segment_key_equal(&key, &(struct segment_key){ 1, 2, 3, SEGMENT_SYSV }));
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		CU_ASSERT_FALSE(segment_key_equal(&key, &others[i]));
}

static void a_loop_device_is_asked_only_about_memory(void)
{
	const char *mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
			     "2 1 0:20 / /dev/shm rw - tmpfs tmpfs rw\n"
			     "3 1 0:21 / /dev/shm/deep rw - nfs server:/x rw\n"
			     "4 1 0:22 / /mnt rw - fuse.shmtree /dev/shm rw\n"
			     "5 1 0:23 / /twice rw - tmpfs tmpfs rw\n"
			     "6 1 0:24 / /twice rw - fuse.sshfs x rw\n";

	CU_ASSERT(loops_may_back("/dev/shm/x", mounts));
	CU_ASSERT(loops_may_back("/dev/shm/a/b (deleted)", mounts));
	CU_ASSERT(!loops_may_back("/mnt/x", mounts));
	CU_ASSERT(loops_may_back("/memfd:x (deleted)", mounts));
	CU_ASSERT(!loops_may_back("/dev/shm/deep/x", mounts));
	CU_ASSERT(!loops_may_back("/dev/shmx", mounts));
	CU_ASSERT(!loops_may_back("/twice/x", mounts));
	CU_ASSERT(!loops_may_back("/var/x", mounts));
	CU_ASSERT(!loops_may_back("", ""));
}

static CU_TestInfo tests[] = {
	{ "learns the devices of memfds", learns_the_devices_of_memfds },
	{ "tells classes apart by name", tells_classes_apart_by_name },
	{ "private huge pages are no segment", private_huge_pages_are_no_segment },
	{ "inode numbers of the mount lead back", inode_numbers_of_the_mount_lead_back },
	{ "other inode numbers of the mount are nobody's",
		other_inode_numbers_of_the_mount_are_nobodys },
	{ "other mounts come and go", other_mounts_come_and_go },
	{ "a number of another mount is used again", a_number_of_another_mount_is_used_again },
	{ "adds a device once", adds_a_device_once },
	{ "knows any number of devices", knows_any_number_of_devices },
	{ "keys differ in every part", keys_differ_in_every_part },
	{ "a loop device is asked only about memory", a_loop_device_is_asked_only_about_memory },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo devices_suite = { "devices", setup, teardown, NULL, NULL, tests };
