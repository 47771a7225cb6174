/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bytes of a System V segment, and a POSIX queue: what the ID stands for may change meanwhile. */
#include "kinds/inode-generation.h"
#include "kinds/posix-mqueue.h"
#include "kinds/sysv.h"

#include "unit.h"
#include "base/util.h"

#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BYTES 5000

static struct realm realm = { .proc = "/proc", .shm_fd = -1, .ipc_ns_fd = -1 };

static void set_up(void)
{
	struct stat st;

	CU_ASSERT_FATAL(stat("/proc/self/ns/ipc", &st) == 0);
	realm.ipc_ns = st.st_ino;
}

static int open_seen(const struct item *seen)
{
	struct item_file file;
	int r = sysv_open(&realm, seen, &file);

	if (r == 0)
		close(file.fd);
	return r;
}

static void what_was_seen_is_opened_and_nothing_else(void)
{
	int id = shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0640);
	g_autofree char *name = g_strdup_printf("%d", id);
	g_autofree struct item *seen = NULL;
	struct item other;

	if (id < 0)
		SKIP("no System V segment can be made: %s", g_strerror(errno));
	CU_ASSERT_FATAL(kind_sysv.stat(&realm, name, &seen) == 0);
	ASSERT_INT(open_seen(seen), 0);
	other = *seen;
	other.identity++;
	ASSERT_INT(open_seen(&other), -ESTALE);
	other = *seen;
	other.mode ^= 0040;
	ASSERT_INT(open_seen(&other), -ESTALE);
	other = *seen;
	other.uid++;
	ASSERT_INT(open_seen(&other), -ESTALE);
	other = *seen;
	other.gid++;
	ASSERT_INT(open_seen(&other), -ESTALE);
	ASSERT_INT(shmctl(id, IPC_RMID, NULL), 0);
	ASSERT_INT(open_seen(seen), -ENOENT);
}

/* The thread acts as the caller, and afterwards as itself. */
static void who_changes_for_others_stays_who_it_is(void)
{
	const struct caller caller = { .uid = 12345, .gid = 12345, .pid = getpid() };
	const struct item_change change = { .mask = CHANGE_MODE, .mode = 0640 };
	struct shmid_ds ds;
	g_autofree char *name = NULL;
	int id;

	if (geteuid() != 0)
		SKIP("only root acts for others");
	id = shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0600);
	CU_ASSERT_FATAL(id >= 0 && shmctl(id, IPC_STAT, &ds) == 0);
	ds.shm_perm.uid = caller.uid;
	CU_ASSERT_FATAL(shmctl(id, IPC_SET, &ds) == 0);
	name = g_strdup_printf("%d", id);
	ASSERT_INT(kind_sysv.change(&realm, name, &change, &caller), 0);
	ASSERT_INT(geteuid(), 0);
	CU_ASSERT(shmctl(id, IPC_STAT, &ds) == 0 && (ds.shm_perm.mode & 0777) == 0640);
	ASSERT_INT(shmctl(id, IPC_RMID, NULL), 0);
}

static void the_bytes_are_the_segments(void)
{
	int id = shmget(IPC_PRIVATE, BYTES, IPC_CREAT | 0600);
	g_autofree char *name = g_strdup_printf("%d", id);
	g_autofree struct item *seen = NULL;
	struct item_file file;
	char path[40], byte = 0;
	struct stat st;
	char *memory;

	if (id < 0)
		SKIP("no System V segment can be made: %s", g_strerror(errno));
	memory = shmat(id, NULL, 0);
	memory[BYTES - 1] = 'x';
	CU_ASSERT_FATAL(kind_sysv.stat(&realm, name, &seen) == 0);
	CU_ASSERT_FATAL(sysv_open(&realm, seen, &file) == 0);
	CU_ASSERT(file.passthrough);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file.fd);
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	CU_ASSERT(fstat(fd, &st) == 0 && st.st_ino == (ino_t)id);
	ASSERT_INT(pread(fd, &byte, 1, BYTES - 1), 1);
	ASSERT_INT(byte, 'x');
	close(file.fd);
	ASSERT_INT(shmdt(memory), 0);
	ASSERT_INT(shmctl(id, IPC_RMID, NULL), 0);
}

static int queue_text(const struct item *item, const char *attribute, GString *out)
{
	const struct view view = { .realm = &realm,
		.item = item,
		.caller = { .uid = geteuid(), .gid = getegid(), .pid = getpid() } };

	for (const struct attribute *a = kind_mqueue.attributes[0]; a->name; a++)
		if (strcmp(a->name, attribute) == 0)
			return a->show(&view, a, out);
	return -EINVAL;
}

static void a_queue_made_anew_is_another(void)
{
	g_autofree char *name = g_strdup_printf("/shmtree-unit-%d", getpid());
	struct mq_attr wanted = { .mq_maxmsg = 3, .mq_msgsize = 16 };
	g_autofree struct item *seen = NULL, *young = NULL;
	g_autoptr(GString) text = g_string_new(NULL);
	mqd_t old, queue;

	if (!kind_mqueue.present(&realm))
		SKIP("the queues cannot be reached here");
	old = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &wanted);
	CU_ASSERT_FATAL(old >= 0 && kind_mqueue.stat(&realm, name + 1, &seen) == 0);
	ASSERT_INT(mq_send(old, "12345", 5, 0), 0);
	ASSERT_INT(queue_text(seen, "usedbytes", text), 0);
	ASSERT_STRING(text->str, "5\n");
	CU_ASSERT_FATAL(mq_unlink(name) == 0);
	ASSERT_INT(queue_text(seen, "usedbytes", text), -ENOENT);
	ASSERT_INT(queue_text(seen, "notify_pid", text), -ENOENT);
	/* The old one is still open, so that its inode number is not used anew. */
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &wanted);
	CU_ASSERT_FATAL(queue >= 0);
	ASSERT_INT(queue_text(seen, "usedbytes", text), -ESTALE);
	ASSERT_INT(kind_mqueue.stat(&realm, name + 1, &young), 0);
	g_string_set_size(text, 0);
	ASSERT_INT(queue_text(young, "msgs", text), 0);
	ASSERT_INT(queue_text(young, "maxmsg", text), 0);
	ASSERT_INT(queue_text(young, "msgsize", text), 0);
	ASSERT_INT(queue_text(young, "notify_pid", text), 0);
	ASSERT_STRING(text->str, "0\n3\n16\n0\n");
	mq_close(old);
	mq_close(queue);
	ASSERT_INT(mq_unlink(name), 0);
}

/* Only a memfd that is not sealed against writing, and never can be, may be mapped through the mount. */
static bool sealable(int seals)
{
	auto_fd fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CU_ASSERT_FATAL(fd >= 0 && (seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0));
	return file_is_sealable(fd);
}

static void a_seal_may_forbid_further_ones(void)
{
	CU_ASSERT(sealable(0));
	CU_ASSERT(sealable(F_SEAL_GROW));
	CU_ASSERT(!sealable(F_SEAL_SEAL));
	CU_ASSERT(!sealable(F_SEAL_SEAL | F_SEAL_GROW));
	CU_ASSERT(sealable(F_SEAL_SEAL | F_SEAL_WRITE));
	CU_ASSERT(sealable(F_SEAL_SEAL | F_SEAL_FUTURE_WRITE));
	CU_ASSERT(file_is_sealable(-1));
}

static CU_TestInfo tests[] = {
	{ "what was seen is opened, and nothing else", what_was_seen_is_opened_and_nothing_else },
	{ "who changes for others stays who it is", who_changes_for_others_stays_who_it_is },
	{ "the bytes are the segment's", the_bytes_are_the_segments },
	{ "a queue made anew is another", a_queue_made_anew_is_another },
	{ "a seal may forbid further ones", a_seal_may_forbid_further_ones },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo sysv_data_suite = { "sysv_data", NULL, NULL, set_up, NULL, tests };
