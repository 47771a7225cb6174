/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which callers are let at the objects of an IPC namespace, and at the memory of a segment. */
#include "kinds/sysv.h"

#include "pair.h"
#include "somebody.h"
#include "unit.h"
#include "base/util.h"

#include <sched.h>
#include <sys/stat.h>

static struct realm own_realm(void)
{
	struct stat st;

	CU_ASSERT_FATAL(stat("/proc/self/ns/ipc", &st) == 0);
	return (struct realm){ .proc = "/proc",
		.shm_fd = -1,
		.ipc_ns = st.st_ino,
		.ipc_ns_fd = -1 };
}

static int permits_ipc(pid_t pid, uid_t uid)
{
	const struct realm realm = own_realm();
	const struct caller caller = caller_of(pid, uid);

	return sysvipc_permit(&realm, NULL, &caller, R_OK);
}

static void objects_are_for_their_namespace(void)
{
	const struct state plain = { SOMEBODY };
	const struct state elsewhere = { 0, CLONE_NEWIPC, ALL_CAPABILITIES };
	struct pair pair;

	if (!pair_start(&plain, &pair_same, &pair))
		return;
	ASSERT_INT(permits_ipc(pair.first, SOMEBODY), 0);
	ASSERT_INT(permits_ipc(0, SOMEBODY), -EACCES);
	ASSERT_INT(permits_ipc(number_of_nobody(), SOMEBODY), -EACCES);
	ASSERT_INT(permits_ipc(number_of_nobody(), 0), -EACCES);
	pair_end(&pair);
	if (geteuid() != 0 || !pair_start(&elsewhere, &pair_same, &pair))
		return;
	ASSERT_INT(permits_ipc(pair.first, 0), 0);
	ASSERT_INT(permits_ipc(pair.second, 0), -EACCES);
	pair_end(&pair);
}

static int permits_segment(int id, pid_t pid, uid_t uid, int want)
{
	const struct realm realm = own_realm();
	const struct caller caller = caller_of(pid, uid);
	g_autofree char *name = g_strdup_printf("%d", id);
	g_autofree struct item *item = NULL;

	CU_ASSERT_FATAL(kind_sysv.stat(&realm, name, &item) == 0);
	return sysv_permit(&realm, item, &caller, want);
}

static void set_owner(int id, uid_t uid, gid_t gid, mode_t mode)
{
	struct shmid_ds ds;

	CU_ASSERT_FATAL(shmctl(id, IPC_STAT, &ds) == 0);
	ds.shm_perm.uid = uid;
	ds.shm_perm.gid = gid;
	ds.shm_perm.mode = mode;
	CU_ASSERT_FATAL(shmctl(id, IPC_SET, &ds) == 0);
}

/* Whatever the segment lets its users do; without one it is the namespace that is asked about. */
static void segments_of_another_namespace_are_closed(void)
{
	const struct state elsewhere = { 0, CLONE_NEWIPC, 0 };
	const struct realm realm = own_realm();
	int id = shmget(IPC_PRIVATE, 1, IPC_CREAT | 0666);
	struct caller caller = caller_of(getpid(), geteuid());
	struct pair pair;

	if (id < 0 || geteuid() != 0)
		SKIP("only root makes IPC namespaces");
	ASSERT_INT(sysv_permit(&realm, NULL, &caller, W_OK), 0);
	if (pair_start(&elsewhere, &pair_same, &pair)) {
		caller.pid = pair.first;
		ASSERT_INT(sysv_permit(&realm, NULL, &caller, W_OK), -EACCES);
		ASSERT_INT(permits_segment(id, pair.first, 0, R_OK), -EACCES);
		ASSERT_INT(permits_segment(id, getpid(), 0, R_OK), 0);
		pair_end(&pair);
	}
	ASSERT_INT(shmctl(id, IPC_RMID, NULL), 0);
}

static void segments_are_for_whom_shmat_lets(void)
{
	const struct state plain = { SOMEBODY };
	int id = shmget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	struct pair pair;

	if (id < 0 || geteuid() != 0)
		SKIP("only root gives a segment to another user");
	if (!pair_start(&plain, &pair_same, &pair))
		return;
	const struct {
		uid_t uid;
		gid_t gid;
		mode_t mode;
		int want, answer;
	} cases[] = {
		{ SOMEBODY, 1, 0600, R_OK, 0 },
		{ SOMEBODY, 1, 0600, W_OK, 0 },
		{ SOMEBODY, 1, 0400, R_OK, 0 },
		{ SOMEBODY, 1, 0400, W_OK, -EACCES },
		{ SOMEBODY, 1, 0200, R_OK, -EACCES },
		{ SOMEBODY, 1, 0200, W_OK, -EACCES }, /* writing takes reading too */
		{ SOMEBODY, 1, 0066, R_OK, -EACCES }, /* the owner is not of the others */
		{ 1, SOMEBODY, 0040, R_OK, 0 },
		{ 1, SOMEBODY, 0606, R_OK, -EACCES },
		{ 1, 1, 0004, R_OK, 0 },
		{ 1, 1, 0660, R_OK, -EACCES },
		{ 1, 1, 0006, W_OK, 0 },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		set_owner(id, cases[i].uid, cases[i].gid, cases[i].mode);
		ASSERT_INT(permits_segment(id, pair.first, SOMEBODY, cases[i].want),
			cases[i].answer);
		/* This process has CAP_IPC_OWNER; a root of which nothing is known does not. */
		ASSERT_INT(permits_segment(id, getpid(), 0, cases[i].want), 0);
	}
	pair_end(&pair);
	ASSERT_INT(shmctl(id, IPC_RMID, NULL), 0);
}

/* This process, said to be another user's: of such a caller nothing is known but that it is in the namespace. */
static int permit_unknown(mode_t mode)
{
	int id = shmget(IPC_PRIVATE, 1, (int)(IPC_CREAT | mode));
	int r = permits_segment(id, getpid(), SOMEBODY, R_OK);

	shmctl(id, IPC_RMID, NULL);
	return r;
}

static void a_caller_of_unknown_groups_may_not_more_than_a_group(void)
{
	ASSERT_INT(permit_unknown(0644), 0);
	ASSERT_INT(permit_unknown(0604), -EACCES);
	ASSERT_INT(permit_unknown(0640), -EACCES);
}

/* The group of the segment, or that of who made it, which here is root's. */
static void a_supplementary_group_is_a_group(void)
{
	int id = shmget(IPC_PRIVATE, 1, IPC_CREAT | 0600), keep;
	pid_t member, creators;

	NEED_SOMEBODY();
	CU_ASSERT_FATAL(id >= 0);
	member = start_somebody(12, true, &keep);
	set_owner(id, 1, 12, 0040);
	ASSERT_INT(permits_segment(id, member, SOMEBODY, R_OK), 0);
	ASSERT_INT(permits_segment(id, member, SOMEBODY, W_OK), -EACCES);
	set_owner(id, 1, 12, 0606);
	ASSERT_INT(permits_segment(id, member, SOMEBODY, R_OK), -EACCES);
	set_owner(id, 1, 1, 0040);
	ASSERT_INT(permits_segment(id, member, SOMEBODY, R_OK), -EACCES);
	end_somebody(member, keep);
	creators = start_somebody(getegid(), true, &keep);
	ASSERT_INT(permits_segment(id, creators, SOMEBODY, R_OK), 0);
	set_owner(id, 1, 1, 0606);
	ASSERT_INT(permits_segment(id, creators, SOMEBODY, R_OK), -EACCES);
	end_somebody(creators, keep);
	ASSERT_INT(shmctl(id, IPC_RMID, NULL), 0);
}

static int permits_item(const struct item *item)
{
	const struct realm realm = own_realm();
	const struct caller caller = caller_of(getpid(), geteuid());

	return sysv_permit(&realm, item, &caller, R_OK);
}

/* The answer is about what the caller has looked at, as it was then. */
static void another_segment_or_one_with_other_permissions_is_refused(void)
{
	const struct realm realm = own_realm();
	int id = shmget(IPC_PRIVATE, 1, IPC_CREAT | 0644);
	g_autofree char *name = g_strdup_printf("%d", id);
	g_autofree struct item *item = NULL;

	if (id < 0 || geteuid() != 0)
		SKIP("only root gives a segment to another user");
	set_owner(id, 1, 1, 0644);
	CU_ASSERT_FATAL(kind_sysv.stat(&realm, name, &item) == 0);
	ASSERT_INT(permits_item(item), 0);
	set_owner(id, 1, 1, 0640);
	ASSERT_INT(permits_item(item), -ESTALE);
	set_owner(id, 2, 1, 0644);
	ASSERT_INT(permits_item(item), -ESTALE);
	set_owner(id, 1, 2, 0644);
	ASSERT_INT(permits_item(item), -ESTALE);
	set_owner(id, 1, 1, 0644);
	ASSERT_INT(permits_item(item), 0);
	item->identity ^= 1;
	ASSERT_INT(permits_item(item), -ESTALE);
	item->identity ^= 1;
	ASSERT_INT(shmctl(id, IPC_RMID, NULL), 0);
	ASSERT_INT(permits_item(item), -ENOENT);
}

static CU_TestInfo tests[] = {
	{ "objects are for their namespace", objects_are_for_their_namespace },
	{ "segments of another namespace are closed", segments_of_another_namespace_are_closed },
	{ "segments are for whom shmat(2) lets", segments_are_for_whom_shmat_lets },
	{ "a caller of unknown groups may not more than a group",
		a_caller_of_unknown_groups_may_not_more_than_a_group },
	{ "a supplementary group is a group", a_supplementary_group_is_a_group },
	{ "another segment, or one with other permissions, is refused",
		another_segment_or_one_with_other_permissions_is_refused },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo ipc_permit_suite = { "ipc_permit", NULL, NULL, NULL, NULL, tests };
