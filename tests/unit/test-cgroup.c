/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/cgroup.h"
#include "procfs/memory-room.h"

#include "unit.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD "12345678-9abc-def0-1234-56789abcdef0"
#define POD_ "12345678_9abc_def0_1234_56789abcdef0"

static const char *unit_of(const char *path)
{
	static char unit[CGROUP_UNIT_MAX];

	CU_ASSERT(cgroup_parse_unit(path, unit) == (strcmp(unit, "-") != 0));
	return unit;
}

static void containers_are_known_by_their_ids(void)
{
	static const char *const paths[] = {
		"/docker/" ID,
		"/system.slice/docker-" ID ".scope",
		"/system.slice/containerd.service/kubepods-besteffort-pod" POD_
		".slice:cri-containerd:" ID,
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_
		".slice/cri-containerd-" ID ".scope",
		"/kubepods/burstable/pod" POD "/" ID,
		"/kubepods.slice/kubepods-pod" POD_ ".slice/crio-" ID ".scope/container",
		"/machine.slice/libpod-" ID ".scope/container",
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
		"/libpod_parent/libpod-" ID,
		"/k8s.io/" ID,
		"/../../docker/" ID,
		"/docker/" ID "/system.slice/nginx.service",
		"/docker/fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210/"
		"docker/" ID,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
		ASSERT_STRING(unit_of(paths[i]), "0123456789ab");
	ASSERT_STRING(unit_of("/lxc/web1"), "web1");
	ASSERT_STRING(unit_of("/lxc.payload.web1"), "web1");
	ASSERT_STRING(unit_of("/lxc.payload/web1/system.slice/cron.service"), "web1");
	ASSERT_STRING(unit_of("/lxc.payload.web1/docker/" ID), "0123456789ab");
}

static void pods_and_units_are_known_by_their_names(void)
{
	ASSERT_STRING(unit_of("/kubepods.slice/kubepods-burstable-pod" POD_ ".slice"), "pod" POD);
	ASSERT_STRING(unit_of("/kubepods/pod" POD), "pod" POD);
	ASSERT_STRING(unit_of("/kubepods/pod0123456789abcdef0123456789abcdef"),
		"pod0123456789abcdef0123456789abcdef");
	ASSERT_STRING(unit_of("/system.slice/postgresql@15-main.service"),
		"postgresql@15-main.service");
	ASSERT_STRING(unit_of("/system.slice/a.service/b.scope/worker"), "b.scope");
	ASSERT_STRING(unit_of("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator"),
		"machine-qemu\\x2d1\\x2dvm.scope");
	ASSERT_STRING(unit_of("/user.slice/user-1000.slice/session-3.scope"), "session-3.scope");
	ASSERT_STRING(unit_of("/user.slice/user-1000.slice"), "user-1000.slice");
	ASSERT_STRING(unit_of("/init.scope"), "init.scope");
	ASSERT_STRING(unit_of("/user-1000.slice/x"), "user-1000.slice");
	ASSERT_STRING(unit_of("/machine.slice/libpod-conmon-" ID ".scope"),
		"libpod-conmon-" ID ".scope");
}

static void other_groups_name_nobody(void)
{
	static const char *const paths[] = { "/", "", "//", "/..", "/user.slice", "/system.slice",
		"/docker", "/lxc", "/podman", "/kubepods/pod", "/tripod", "/.service", "/.scope",
		"/docker/0123456789abcdef", "/jobs/" ID "0", "/jobs/0" ID, "/" ID "x",
		"/kubepods/podxyz", "/antipod0123456789abcdef0123456789abcdef", "/user-1000",
		"/user-1000.slices" };

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
		ASSERT_STRING(unit_of(paths[i]), "-");
}

static void long_names_are_cut(void)
{
	char path[600];

	memset(path, 'n', sizeof path);
	path[0] = '/';
	strcpy(path + sizeof path - sizeof ".service", ".service");
	CU_ASSERT(strlen(unit_of(path)) == CGROUP_UNIT_MAX - 1);
}

static void check_text(const char *text, const char *path, const char *unit)
{
	char found[64], named[CGROUP_UNIT_MAX];

	cgroup_parse(text, found, sizeof found, named);
	ASSERT_STRING(found, path);
	ASSERT_STRING(named, unit);
}

static void both_versions_are_read(void)
{
	check_text("0::/system.slice/ssh.service\n", "/system.slice/ssh.service", "ssh.service");
	check_text("0::/\n", "/", "-");
	check_text("11:memory:/docker/x\n10:cpu,cpuacct:/\n1:name=systemd:/system.slice/a.service\n"
		   "0::/system.slice/a.service\n",
		"/docker/x", "a.service");
	check_text("4:cpu,memory:/lxc/one\n0::/\n", "/lxc/one", "one");
	check_text("3:cpumemory:/a\n1:name=systemd:/b.scope\n", "/b.scope", "b.scope");
	check_text("3:pids:/a\n", "/a", "-");
	/* Colons stand in names as well. */
	check_text("0::/a:b:c.service\n", "/a:b:c.service", "a:b:c.service");
	check_text("0::/very/long/path/that/does/not/fit/into/what/there/is/room/for/here\n",
		"/very/long/path/that/does/not/fit/into/what/there/is/room/for/h", "-");
}

static void what_is_no_such_text_is_nobodys(void)
{
	static const char *const texts[] = { "", "\n", "x", "0:", "0::", "0::x",
		"::", ":::", "\n\n:" };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		check_text(texts[i], "", "-");
}

static void assert_directory(const char *text, const char *expected)
{
	g_autofree char *directory = cgroup_memory_directory(text);

	CU_ASSERT_FATAL((directory == NULL) == (expected == NULL));
	if (expected)
		ASSERT_STRING(directory, expected);
}

static void the_group_that_memory_is_charged_to_is_found(void)
{
	assert_directory("9:name=systemd:/a\n4:memory:/b\n0::/c\n", "/sys/fs/cgroup/memory/b");
	assert_directory("9:name=systemd:/a\n0::/c/d\n", "/sys/fs/cgroup/c/d");
	assert_directory("4:cpu,memory:/\n", "/sys/fs/cgroup/memory/");
	assert_directory("0::/../c\n", NULL);
	assert_directory("0::/..\n", NULL);
	assert_directory("9:name=systemd:/a\n", NULL);
	assert_directory("", NULL);
}

static void write_file(const char *directory, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);

	CU_ASSERT_FATAL(g_file_set_contents(path, text, -1, NULL));
}

static void remove_files(const char *directory)
{
	static const char *const names[] = { "memory.limit_in_bytes", "memory.usage_in_bytes",
		"memory.max", "memory.current", "memory.stat" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(directory, names[i], NULL);

		g_remove(path);
	}
}

static void a_quarter_of_a_limit_stays_free(void)
{
	g_autofree char *directory = g_dir_make_tmp("shmtree-unit-XXXXXX", NULL);

	CU_ASSERT_FATAL(directory != NULL);
	CU_ASSERT(memory_group_has_room(directory, G_MAXUINT64));
	write_file(directory, "memory.limit_in_bytes", "1000000\n");
	write_file(directory, "memory.usage_in_bytes", "500000\n");
	write_file(directory, "memory.stat", "cache 0\ninactive_file 500000\n");
	CU_ASSERT(memory_group_has_room(directory, 250000));
	CU_ASSERT_FALSE(memory_group_has_room(directory, 250001));
	CU_ASSERT_FALSE(memory_group_has_room(directory, G_MAXUINT64));
	write_file(directory, "memory.stat",
		"cache 0\ntotal_inactive_file 90\ntotal_active_file 10\n");
	CU_ASSERT(memory_group_has_room(directory, 250100));
	CU_ASSERT_FALSE(memory_group_has_room(directory, 250101));
	remove_files(directory);
	write_file(directory, "memory.max", "max\n");
	write_file(directory, "memory.current", "500000\n");
	CU_ASSERT(memory_group_has_room(directory, G_MAXUINT64));
	write_file(directory, "memory.max", "1000000\n");
	write_file(directory, "memory.stat", "inactive_file 90\nactive_file 10\n");
	CU_ASSERT(memory_group_has_room(directory, 250100));
	CU_ASSERT_FALSE(memory_group_has_room(directory, 250101));
	remove_files(directory);
	CU_ASSERT(rmdir(directory) == 0);
}

static CU_TestInfo tests[] = {
	{ "containers are known by their ids", containers_are_known_by_their_ids },
	{ "pods and units are known by their names", pods_and_units_are_known_by_their_names },
	{ "other groups name nobody", other_groups_name_nobody },
	{ "long names are cut", long_names_are_cut },
	{ "both versions are read", both_versions_are_read },
	{ "what is no such text is nobody's", what_is_no_such_text_is_nobodys },
	{ "the group that memory is charged to is found",
		the_group_that_memory_is_charged_to_is_found },
	{ "a quarter of a limit stays free", a_quarter_of_a_limit_stays_free },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo cgroup_suite = { "cgroup", NULL, NULL, NULL, NULL, tests };
