/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who checks permissions: the daemon only where it can do that right, as it says itself. */
#include "daemon/permit.h"

#include "base/privilege.h"
#include "base/tmpfs.h"
#include "base/util.h"
#include "caller/fsuid.h"
#include "caller/opening.h"
#include "caller/rights.h"
#include "failing.h"
#include "procfs/setting.h"
#include "unit.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define LOOKS_AT(file) SYS_newfstatat, .argument = 2, .path = (file)
#define FSTAT_OF(fd) SYS_newfstatat, .or_call = SYS_fstat, .argument = 1, .value = (uint32_t)(fd)
#define OPENS(file) SYS_openat, .argument = 2, .path = (file)

/* What is asked for, and who is to check. */
struct choice {
	struct options options;
	int source;
	bool bare, enclosed; /* without root's rights, in a user namespace */
	bool without_bpf;
	const char *why;    /* the kernel does, for a reason that contains this; NULL: the daemon */
	const char *logged; /* a part of what is said; NULL: nothing */
};

static const struct options by_daemon = { .daemon_permissions = true, .census = CENSUS_TEXT };

/* What the act writes to stderr. */
static int divert_messages(void)
{
	int fd = memfd_create("messages", MFD_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	return fd;
}

static void assert_logged(int fd, const char *part)
{
	char text[4096] = "";

	CU_ASSERT(pread(fd, text, sizeof text - 1, 0) >= 0);
	CU_ASSERT(part ? strstr(text, part) != NULL : text[0] == 0);
}

static void choose(void *data)
{
	const struct choice *choice = data;
	struct fs fs = { .options = choice->options, .shm_fd = choice->source };
	int messages = divert_messages();

	if (!choice->bare)
		fsuid_init();
	if (choice->enclosed)
		CU_ASSERT_FATAL(unshare(CLONE_NEWUSER) == 0);
	if (choice->without_bpf)
		thread_set_capabilities(~(CAPABILITY(CAP_BPF) | CAPABILITY(CAP_SYS_ADMIN)));
	permit_choose(&fs);
	if (choice->why) {
		CU_ASSERT(fs.kernel_permits);
		CU_ASSERT_PTR_NOT_NULL_FATAL(fs.daemon_permits_not);
		CU_ASSERT_PTR_NOT_NULL(strstr(fs.daemon_permits_not, choice->why));
	} else {
		CU_ASSERT(!fs.kernel_permits);
		CU_ASSERT_PTR_NULL(fs.daemon_permits_not);
	}
	/* From then on nobody is let in who is not known. */
	ASSERT_INT(caller_rights_must_be_known(), !choice->why);
	assert_logged(messages, choice->logged);
}

/* A directory that all may list and search. */
static int new_source(void)
{
	int root = tmpfs_new(NULL), fd;

	if (root < 0 || geteuid() != 0 || !privilege_of_machine() ||
		!privilege_sees_all_processes() || !opening_is_known()) {
		unit_skip("here no daemon can check permissions");
		return -1;
	}
	fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(root);
	CU_ASSERT_FATAL(fd >= 0 && fchmod(fd, 01777) == 0);
	return fd;
}

static void chosen(const struct choice *choice)
{
	failing_returns(NOTHING_FAILS, choose, (void *)choice);
}

static void the_kernel_checks_unless_it_is_asked_for(void)
{
	struct choice choice = { .source = new_source() };
	struct fs fs = { .shm_fd = choice.source };

	if (choice.source < 0)
		return;
	permit_choose(&fs);
	CU_ASSERT(fs.kernel_permits);
	CU_ASSERT_PTR_NULL(fs.daemon_permits_not);
	CU_ASSERT(!caller_rights_must_be_known());
	choice.options = by_daemon;
	chosen(&choice);
	close(choice.source);
}

static void the_kernel_checks_where_callers_are_not_known(void)
{
	const struct choice plain = { .options = by_daemon, .source = new_source() };
	struct choice choice = plain;
	int fd;

	if (choice.source < 0)
		return;
	choice.bare = true;
	choice.why = "it needs root";
	chosen(&choice);
	choice = plain;
	choice.enclosed = true;
	choice.why = "not of a user namespace";
	chosen(&choice);
	choice = plain;
	choice.why = "outside this pid namespace";
	failing_returns(FAILING({ LOOKS_AT("/proc/self/ns/pid"), .result = -EACCES }), choose,
		&choice);
	choice.why = "/proc/PID/syscall";
	fd = text_descriptor("3\n");
	failing_returns(FAILING({ OPENS(SETTING_YAMA), .result = fd }), choose, &choice);
	close(fd);
	close(choice.source);
}

/* What the kernel keeps it would give to all. */
static void the_kernel_checks_where_it_keeps_what_it_was_told(void)
{
	struct choice choice = { .options = by_daemon, .source = new_source() };

	if (choice.source < 0)
		return;
	choice.why = "attr_timeout";
	choice.options.attr_timeout = 0.5;
	chosen(&choice);
	choice.options.attr_timeout = 0;
	choice.options.entry_timeout = 0.5;
	chosen(&choice);
	close(choice.source);
}

/* As setfacl(1) writes it: user 7 may not read. */
static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 7, 0, 0,
	0, 4, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, 0x10, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0, 7, 0,
	0xff, 0xff, 0xff, 0xff };

/* Else strangers would see its names by what asks the kernel alone. */
static void the_kernel_checks_where_not_all_may_list_and_search(void)
{
	static const mode_t refusing[] = { 0377, 0677, 0737, 0767, 0773, 0776, 0700, 0750, 0 };
	struct choice choice = { .options = by_daemon, .source = new_source() };

	if (choice.source < 0)
		return;
	choice.why = "list and search SOURCE";
	for (size_t i = 0; i < G_N_ELEMENTS(refusing); i++) {
		CU_ASSERT(fchmod(choice.source, refusing[i]) == 0);
		chosen(&choice);
	}
	CU_ASSERT(fchmod(choice.source, 0555) == 0);
	choice.why = NULL;
	chosen(&choice);
	choice.why = "list and search SOURCE";
	failing_returns(FAILING({ FSTAT_OF(choice.source), .result = -EIO }), choose, &choice);
	failing_returns(FAILING({ SYS_fgetxattr, .argument = 1, .value = (uint32_t)choice.source,
				.result = -EIO }),
		choose, &choice);
	CU_ASSERT(fsetxattr(choice.source, "system.posix_acl_access", acl, sizeof acl, 0) == 0);
	chosen(&choice);
	close(choice.source);
}

static void it_is_said_to_who_looks_for_faults(void)
{
	struct choice choice = { .options = by_daemon, .source = new_source() };

	if (choice.source < 0)
		return;
	choice.bare = true;
	choice.why = "it needs root";
	choice.options.cmdline.debug = true;
	choice.logged = "the kernel checks permissions: it needs root";
	chosen(&choice);
	close(choice.source);
}

/* Without BPF procfs tells the same. */
static void without_bpf_the_daemon_checks_all_the_same(void)
{
	static const enum census_backend_choice with_bpf[] = { CENSUS_AUTO, CENSUS_BPF };
	struct choice choice = { .options = by_daemon, .source = new_source() };

	if (choice.source < 0)
		return;
	choice.without_bpf = true;
	choice.options.cmdline.debug = true;
	chosen(&choice);
	for (size_t i = 0; i < G_N_ELEMENTS(with_bpf); i++) {
		choice.options.census = with_bpf[i];
		choice.options.cmdline.debug = true;
		choice.logged = "callers' rights are read from procfs: Operation not permitted";
		chosen(&choice);
		choice.options.cmdline.debug = false;
		choice.logged = NULL;
		chosen(&choice);
	}
	choice.without_bpf = false;
	chosen(&choice);
	close(choice.source);
}

static CU_TestInfo tests[] = {
	{ "the kernel checks unless it is asked for", the_kernel_checks_unless_it_is_asked_for },
	{ "the kernel checks where callers are not known",
		the_kernel_checks_where_callers_are_not_known },
	{ "the kernel checks where it keeps what it was told",
		the_kernel_checks_where_it_keeps_what_it_was_told },
	{ "the kernel checks where not all may list and search",
		the_kernel_checks_where_not_all_may_list_and_search },
	{ "it is said to who looks for faults", it_is_said_to_who_looks_for_faults },
	{ "without BPF the daemon checks all the same",
		without_bpf_the_daemon_checks_all_the_same },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo permit_suite = { "permit", NULL, NULL, NULL, NULL, tests };
