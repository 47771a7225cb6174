/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "node/lock-table.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define UID 1000

static const struct caller user = { .uid = UID };

static struct fs fs;
static struct lock_table table;
static int file;

/* What only its address stands for. */
static const char handles[2];

static const struct handle *handle(unsigned i)
{
	return (const struct handle *)&handles[i];
}

static void set_up(void)
{
	fs = (struct fs){ .charges = charges_new(NULL),
		.proc_fd_dir = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	lock_table_init(&table);
	file = memfd_create("locked", MFD_CLOEXEC);
}

static void tear_down(void)
{
	lock_table_clear(&table);
	close(file);
	close(fs.proc_fd_dir);
	charges_free(fs.charges);
}

static int get(uint64_t id, bool flock, pid_t pid, unsigned by, struct lock_owner **out)
{
	const struct lock_request request = { .id = id,
		.flock = flock,
		.caller.uid = UID,
		.pid = pid,
		.handle = handle(by),
		.file = file };

	return lock_table_get(&table, &fs, &request, out);
}

static int set_lock(const struct lock_owner *owner, short type, off_t start, off_t length)
{
	struct flock lock = { .l_type = type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = length };

	return fcntl(owner->fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static void an_owner_is_made_once(void)
{
	struct lock_owner *one, *again, *other, *by_flock;

	ASSERT_INT(get(1, false, 11, 0, &one), 0);
	ASSERT_INT(get(1, false, 0, 1, &again), 0);
	ASSERT_INT(get(2, false, 12, 0, &other), 0);
	ASSERT_INT(get(1, true, 11, 0, &by_flock), 0);
	CU_ASSERT_PTR_EQUAL(again, one);
	ASSERT_INT(one->pid, 11); /* to ask is not to lock */
	CU_ASSERT(other != one && by_flock != one && other->fd != one->fd);
	lock_owner_unref(one);
	lock_owner_unref(again);
	lock_owner_unref(other);
	lock_owner_unref(by_flock);
	lock_table_drop_handle(&table, handle(0));
}

static void owners_conflict_and_a_dropped_one_has_no_locks(void)
{
	struct lock_owner *one, *other;

	get(1, false, 11, 0, &one);
	get(2, false, 12, 0, &other);
	ASSERT_INT(set_lock(one, F_WRLCK, 0, 10), 0);
	ASSERT_INT(set_lock(other, F_WRLCK, 5, 10), -EAGAIN);
	lock_owner_unref(one);
	lock_table_drop(&table, 1);
	ASSERT_INT(set_lock(other, F_WRLCK, 5, 10), 0);
	lock_owner_unref(other);
	lock_table_drop(&table, 2);
	ASSERT_INT(g_hash_table_size(table.owners), 0);
}

static void a_request_under_way_keeps_its_owner(void)
{
	struct lock_owner *owner;

	get(1, false, 11, 0, &owner);
	lock_table_drop(&table, 1);
	ASSERT_INT(set_lock(owner, F_WRLCK, 0, 1), 0);
	lock_owner_unref(owner);
}

static void a_close_drops_record_locks_alone(void)
{
	struct lock_owner *by_flock;

	lock_table_drop(&table, 1); /* of a file that nobody has locked */
	get(1, true, 11, 0, &by_flock);
	lock_table_drop(&table, 1);
	ASSERT_INT(g_hash_table_size(table.owners), 1);
	lock_owner_unref(by_flock);
	lock_table_drop_handle(&table, handle(1));
	ASSERT_INT(g_hash_table_size(table.owners), 1);
	lock_table_drop_handle(&table, handle(0));
	ASSERT_INT(g_hash_table_size(table.owners), 0);
}

static void the_holder_of_a_lock_is_found(void)
{
	struct lock_owner *one, *other;
	struct flock probe = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	int outside = fs_reopen(&fs, file, O_RDWR);

	get(1, false, 11, 0, &one);
	get(2, false, 12, 0, &other);
	set_lock(one, F_WRLCK, 0, 10);
	ASSERT_INT(fcntl(other->fd, F_OFD_GETLK, &probe), 0);
	ASSERT_INT(probe.l_pid, -1);
	ASSERT_INT(lock_table_holder(&table, other, &probe), 11);
	set_lock(one, F_UNLCK, 0, 10);
	probe = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	ASSERT_INT(fcntl(outside, F_OFD_SETLK, &probe), 0);
	probe.l_type = F_WRLCK;
	ASSERT_INT(fcntl(other->fd, F_OFD_GETLK, &probe), 0);
	ASSERT_INT(lock_table_holder(&table, other, &probe), -1);
	close(outside);
	lock_owner_unref(one);
	lock_owner_unref(other);
	lock_table_drop_handle(&table, handle(0));
}

static void an_owner_is_charged_for_and_given_back(void)
{
	uint64_t limit = charges_limit(fs.charges, CHARGE_DESCRIPTORS);
	struct charge others;
	struct lock_owner *owner = NULL;

	ASSERT_INT(charge_take(fs.charges, &user, CHARGE_DESCRIPTORS, limit, &others), 0);
	ASSERT_INT(get(1, false, 11, 0, &owner), -ENOLCK);
	charge_release(&others);
	ASSERT_INT(charge_take(fs.charges, &user, CHARGE_DESCRIPTORS, limit - 1, &others), 0);
	ASSERT_INT(get(1, false, 11, 0, &owner), 0);
	lock_owner_unref(owner);
	ASSERT_INT(get(2, false, 11, 0, &owner), -ENOLCK);
	lock_table_drop(&table, 1);
	ASSERT_INT(get(2, false, 11, 0, &owner), 0);
	lock_owner_unref(owner);
	lock_table_drop(&table, 2);
	charge_release(&others);
}

static void an_owner_that_cannot_be_opened_costs_nothing(void)
{
	uint64_t limit = charges_limit(fs.charges, CHARGE_DESCRIPTORS);
	struct lock_owner *owner;
	struct charge all;
	int saved = file;

	file = -1;
	CU_ASSERT(get(1, false, 11, 0, &owner) < 0);
	file = saved;
	ASSERT_INT(charge_take(fs.charges, &user, CHARGE_DESCRIPTORS, 1, &all), 0);
	charge_release(&all);
	ASSERT_INT(charge_take(fs.charges, &user, CHARGE_DESCRIPTORS, limit, &all), 0);
	charge_release(&all);
}

static CU_TestInfo tests[] = {
	{ "an owner is made once", an_owner_is_made_once },
	{ "owners conflict, and a dropped one has no locks",
		owners_conflict_and_a_dropped_one_has_no_locks },
	{ "a request under way keeps its owner", a_request_under_way_keeps_its_owner },
	{ "a close drops record locks alone", a_close_drops_record_locks_alone },
	{ "the holder of a lock is found", the_holder_of_a_lock_is_found },
	{ "an owner is charged for, and given back", an_owner_is_charged_for_and_given_back },
	{ "an owner that cannot be opened costs nothing",
		an_owner_that_cannot_be_opened_costs_nothing },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo lock_table_suite = { "lock table", NULL, NULL, set_up, tear_down, tests };
