/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scripted test of locks that wait: several processes, through a mount and outside it.
 *
 *	locks INSIDE OUTSIDE
 *
 * INSIDE is the mount and OUTSIDE the directory behind it; the same tmpfs directory twice shows that
 * what is demanded of the mount is what tmpfs does.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

#define CROWD 24 /* more waiters than the daemon has threads */

/* One run of a scenario: which kind of lock, and where each of the three processes opens the file. */
struct stage {
	enum lock_kind kind;
	bool holder_outside, waiter_outside;
	bool native;
	char inside[PATH_MAX], outside[PATH_MAX];
	char file[64]; /* as /proc/locks names it */
	struct peer holder, waiter, third;
	int failures;
};

static const char *const kind_names[] = { "record", "OFD", "flock" };

static void expect(struct stage *s, const char *what, int got, int wanted)
{
	if (got == wanted)
		return;
	s->failures++;
	printf("  %s: got %d (%s), wanted %d (%s)\n", what, got, got < 0 ? strerror(-got) : "",
		wanted, wanted < 0 ? strerror(-wanted) : "");
}

static struct order lock(const struct stage *s, short type, bool wait)
{
	return (struct order){ .command = PEER_LOCK, .kind = s->kind, .type = type, .wait = wait };
}

static struct order simple(enum command command)
{
	return (struct order){ .command = command };
}

/* --- who waits --- */

/* The number of waiters for the file's locks: they stand in /proc/locks with an arrow. */
static int count_waiters(const struct stage *s)
{
	FILE *list = fopen("/proc/locks", "re");
	char line[256];
	int count = 0;

	while (list && fgets(line, sizeof(line), list)) {
		if (strstr(line, "->") && strstr(line, s->file))
			count++;
	}
	if (list)
		fclose(list);
	return count;
}

static void await_waiters(struct stage *s, int wanted)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	int count = count_waiters(s);

	/* One look may show a waiter twice or not at all: others' locks come and go meanwhile. */
	for (int i = 0; i < PATIENCE_MS && count != wanted; i++) {
		nanosleep(&pause, NULL);
		count = count_waiters(s);
	}
	expect(s, "waiters in /proc/locks", count, wanted);
}

/* The holder holds, the waiter waits, and is seen to. */
static void hold_and_wait(struct stage *s)
{
	expect(s, "the holder locks", peer_do(&s->holder, lock(s, F_WRLCK, false)), 0);
	expect(s, "the waiter tries", peer_do(&s->waiter, lock(s, F_WRLCK, false)), -EAGAIN);
	peer_tell(&s->waiter, lock(s, F_WRLCK, true));
	await_waiters(s, 1);
}

/* Nobody holds a lock that he should not: a third process gets it at once. */
static void nobody_holds(struct stage *s)
{
	expect(s, "a third process tries", peer_do(&s->third, lock(s, F_WRLCK, false)), 0);
}

/* --- the scenarios --- */

static void unlock_wakes(struct stage *s)
{
	hold_and_wait(s);
	expect(s, "the holder unlocks", peer_do(&s->holder, lock(s, F_UNLCK, false)), 0);
	expect(s, "the waiter has it", peer_answer(&s->waiter), 0);
	expect(s, "the holder tries again", peer_do(&s->holder, lock(s, F_WRLCK, false)), -EAGAIN);
}

static void signal_ends_wait(struct stage *s)
{
	hold_and_wait(s);
	kill(s->waiter.pid, SIGUSR1);
	expect(s, "the waiter is interrupted", peer_answer(&s->waiter), -EINTR);
	await_waiters(s, 0);
	expect(s, "the holder unlocks", peer_do(&s->holder, lock(s, F_UNLCK, false)), 0);
	nobody_holds(s);
}

static void death_ends_wait(struct stage *s)
{
	hold_and_wait(s);
	peer_kill(&s->waiter);
	await_waiters(s, 0);
	expect(s, "the holder unlocks", peer_do(&s->holder, lock(s, F_UNLCK, false)), 0);
	nobody_holds(s);
}

static void death_unlocks(struct stage *s)
{
	hold_and_wait(s);
	peer_kill(&s->holder);
	expect(s, "the waiter has it", peer_answer(&s->waiter), 0);
}

static void close_unlocks(struct stage *s)
{
	hold_and_wait(s);
	expect(s, "the holder closes", peer_do(&s->holder, simple(PEER_CLOSE)), 0);
	expect(s, "the waiter has it", peer_answer(&s->waiter), 0);
}

/* A record lock goes with the first descriptor that is closed, the others with the last. */
static void closing_a_duplicate(struct stage *s)
{
	struct order dup = { .command = PEER_DUP, .fd = 0, .to = 1 };

	hold_and_wait(s);
	expect(s, "the holder duplicates", peer_do(&s->holder, dup), 0);
	expect(s, "and closes that",
		peer_do(&s->holder, (struct order){ .command = PEER_CLOSE, .fd = 1 }), 0);
	if (s->kind != RECORD) {
		expect(s, "still locked", peer_do(&s->third, lock(s, F_WRLCK, false)), -EAGAIN);
		expect(s, "the holder closes", peer_do(&s->holder, simple(PEER_CLOSE)), 0);
	}
	expect(s, "the waiter has it", peer_answer(&s->waiter), 0);
}

static void closing_another_open_file(struct stage *s)
{
	struct order open = { .command = PEER_OPEN, .fd = 1, .outside = s->holder_outside };

	hold_and_wait(s);
	expect(s, "the holder opens again", peer_do(&s->holder, open), 0);
	expect(s, "and closes that",
		peer_do(&s->holder, (struct order){ .command = PEER_CLOSE, .fd = 1 }), 0);
	if (s->kind != RECORD) {
		expect(s, "still locked", peer_do(&s->third, lock(s, F_WRLCK, false)), -EAGAIN);
		expect(s, "the holder closes", peer_do(&s->holder, simple(PEER_CLOSE)), 0);
	}
	expect(s, "the waiter has it", peer_answer(&s->waiter), 0);
}

static void child_closes(struct stage *s)
{
	expect(s, "the holder locks", peer_do(&s->holder, lock(s, F_WRLCK, false)), 0);
	expect(s, "its child closes", peer_do(&s->holder, simple(PEER_FORK_CLOSE)), 0);
	expect(s, "still locked", peer_do(&s->waiter, lock(s, F_WRLCK, false)), -EAGAIN);
}

/* A child inherits the open file, and so its locks, but no record lock. */
static void child_locks(struct stage *s)
{
	struct order order = lock(s, F_WRLCK, false);

	order.command = PEER_FORK_LOCK;
	expect(s, "the holder locks", peer_do(&s->holder, lock(s, F_WRLCK, false)), 0);
	expect(s, "its child locks", peer_do(&s->holder, order), s->kind == RECORD ? -EAGAIN : 0);
	expect(s, "still locked", peer_do(&s->waiter, lock(s, F_WRLCK, false)), -EAGAIN);
}

static void exec_keeps(struct stage *s)
{
	hold_and_wait(s);
	expect(s, "the holder becomes another program", peer_do(&s->holder, simple(PEER_EXEC)), 0);
	expect(s, "still locked", peer_do(&s->third, lock(s, F_WRLCK, false)), -EAGAIN);
	expect(s, "the new program unlocks", peer_do(&s->holder, lock(s, F_UNLCK, false)), 0);
	expect(s, "the waiter has it", peer_answer(&s->waiter), 0);
}

static void exec_closes(struct stage *s)
{
	hold_and_wait(s);
	expect(s, "close-on-exec", peer_do(&s->holder, simple(PEER_CLOEXEC)), 0);
	expect(s, "the holder becomes another program", peer_do(&s->holder, simple(PEER_EXEC)), 0);
	expect(s, "the waiter has it", peer_answer(&s->waiter), 0);
}

static void readers_share(struct stage *s)
{
	expect(s, "the holder reads", peer_do(&s->holder, lock(s, F_RDLCK, false)), 0);
	expect(s, "a third one reads", peer_do(&s->third, lock(s, F_RDLCK, true)), 0);
	peer_tell(&s->waiter, lock(s, F_WRLCK, true));
	await_waiters(s, 1);
	expect(s, "the holder unlocks", peer_do(&s->holder, lock(s, F_UNLCK, false)), 0);
	await_waiters(s, 1);
	expect(s, "the third one unlocks", peer_do(&s->third, lock(s, F_UNLCK, false)), 0);
	expect(s, "the writer has it", peer_answer(&s->waiter), 0);
}

static void upgrade_waits(struct stage *s)
{
	expect(s, "the holder reads", peer_do(&s->holder, lock(s, F_RDLCK, false)), 0);
	expect(s, "the waiter reads", peer_do(&s->waiter, lock(s, F_RDLCK, false)), 0);
	peer_tell(&s->waiter, lock(s, F_WRLCK, true));
	await_waiters(s, 1);
	expect(s, "the holder unlocks", peer_do(&s->holder, lock(s, F_UNLCK, false)), 0);
	expect(s, "the waiter writes", peer_answer(&s->waiter), 0);
	expect(s, "a third one reads", peer_do(&s->third, lock(s, F_RDLCK, false)), -EAGAIN);
}

static struct order range(const struct stage *s, short type, long start, long len)
{
	struct order order = lock(s, type, false);

	order.start = start;
	order.len = len;
	return order;
}

static void ranges_split(struct stage *s)
{
	expect(s, "lock 0..99", peer_do(&s->holder, range(s, F_WRLCK, 0, 100)), 0);
	expect(s, "unlock 40..59", peer_do(&s->holder, range(s, F_UNLCK, 40, 20)), 0);
	expect(s, "another locks 40..59", peer_do(&s->waiter, range(s, F_WRLCK, 40, 20)), 0);
	expect(s, "but not 39", peer_do(&s->waiter, range(s, F_WRLCK, 39, 1)), -EAGAIN);
	expect(s, "nor 60", peer_do(&s->waiter, range(s, F_WRLCK, 60, 1)), -EAGAIN);
	expect(s, "but 100", peer_do(&s->waiter, range(s, F_WRLCK, 100, 0)), 0);
}

/*
 * Natively the holder of an OFD lock is -1. Outside, so are all locks taken through the mount. FUSE
 * does not tell the daemon which kind a lock is, so that inside they all have a holder, and has no
 * way to answer -1, which becomes 0.
 */
static int holder_to_expect(const struct stage *s)
{
	if (s->native)
		return s->kind == OFD ? -1 : s->holder.pid;
	if (!s->holder_outside)
		return s->waiter_outside ? -1 : s->holder.pid;
	if (s->kind == OFD)
		return s->waiter_outside ? -1 : 0;
	return s->holder.pid;
}

static void holder_is_told(struct stage *s)
{
	struct order ask = { .command = PEER_GETLK, .start = 10, .len = 5 };

	expect(s, "nobody holds", peer_do(&s->waiter, ask), 0);
	expect(s, "the holder locks", peer_do(&s->holder, range(s, F_WRLCK, 12, 1)), 0);
	expect(s, "who holds", peer_do(&s->waiter, ask), holder_to_expect(s));
	expect(s, "not against himself", peer_do(&s->holder, ask),
		s->kind == RECORD                      ? 0 :
			s->native || s->holder_outside ? -1 :
							 s->holder.pid);
	peer_kill(&s->holder);
	expect(s, "the waiter locks",
		peer_do(&s->waiter,
			(struct order){ .command = PEER_LOCK,
				.kind = s->kind,
				.type = F_WRLCK,
				.wait = true }),
		0);
}

static void end_the_one_that_has_it(struct stage *s, struct peer *crowd)
{
	struct pollfd polls[CROWD];
	int answer = NO_ANSWER;

	for (int i = 0; i < CROWD; i++)
		polls[i] = (struct pollfd){ .fd = crowd[i].pid ? crowd[i].sock : -1,
			.events = POLLIN };
	poll(polls, CROWD, PATIENCE_MS);
	for (int i = 0; i < CROWD; i++) {
		if (polls[i].revents) {
			answer = peer_answer(&crowd[i]);
			peer_kill(&crowd[i]);
		}
	}
	expect(s, "one of the crowd has it", answer, 0);
}

/* However many wait, whoever does not is served; in the end each has had the lock. */
static void crowd_waits(struct stage *s)
{
	struct peer crowd[CROWD];
	struct order open = { .command = PEER_OPEN, .outside = s->waiter_outside };

	expect(s, "the holder locks", peer_do(&s->holder, lock(s, F_WRLCK, false)), 0);
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = peer_start(s->inside, s->outside);
		expect(s, "one of the crowd opens", peer_do(&crowd[i], open), 0);
		peer_tell(&crowd[i], lock(s, F_WRLCK, true));
	}
	await_waiters(s, CROWD);
	expect(s, "another is served", peer_do(&s->third, simple(PEER_STAT)), 0);
	expect(s, "and tries", peer_do(&s->third, lock(s, F_WRLCK, false)), -EAGAIN);
	for (int i = 0; i < CROWD; i += 2)
		peer_kill(&crowd[i]);
	await_waiters(s, CROWD / 2);
	expect(s, "the holder unlocks", peer_do(&s->holder, lock(s, F_UNLCK, false)), 0);
	/* Whoever has it ends, and so gives it to the next, in whatever order. */
	for (int left = CROWD / 2; left > 0; left--) {
		await_waiters(s, left - 1);
		end_the_one_that_has_it(s, crowd);
	}
	expect(s, "the third one locks", peer_do(&s->third, lock(s, F_WRLCK, true)), 0);
}

static const struct scenario {
	const char *name;
	void (*play)(struct stage *);
	bool ranges; /* not for flock(2), which has none */
} scenarios[] = {
	{ "unlocking wakes the waiter", unlock_wakes },
	{ "a signal ends the wait", signal_ends_wait },
	{ "the waiter's death ends the wait", death_ends_wait },
	{ "the holder's death unlocks", death_unlocks },
	{ "close unlocks", close_unlocks },
	{ "closing a duplicate", closing_a_duplicate },
	{ "closing another open file", closing_another_open_file },
	{ "a child closes", child_closes },
	{ "a child locks", child_locks },
	{ "exec keeps locks", exec_keeps },
	{ "exec closes and unlocks", exec_closes },
	{ "readers share", readers_share },
	{ "an upgrade waits", upgrade_waits },
	{ "ranges split", ranges_split, true },
	{ "the holder is told", holder_is_told, true },
	{ "a crowd waits", crowd_waits },
};

/* --- setting the stage --- */

static struct peer enter(const struct stage *s, bool outside)
{
	struct peer peer = peer_start(s->inside, s->outside);
	int r = peer_do(&peer, (struct order){ .command = PEER_OPEN, .outside = outside });

	if (r < 0)
		errx(2, "opening %s: %s", outside ? s->outside : s->inside, strerror(-r));
	return peer;
}

static void name_file(struct stage *s)
{
	struct stat st;

	if (stat(s->outside, &st) < 0)
		err(2, "%s", s->outside);
	snprintf(s->file, sizeof(s->file), " %02x:%02x:%ju ", major(st.st_dev), minor(st.st_dev),
		(uintmax_t)st.st_ino);
}

static bool play(struct stage *s, const struct scenario *scenario)
{
	s->failures = 0;
	s->holder = enter(s, s->holder_outside);
	s->waiter = enter(s, s->waiter_outside);
	s->third = enter(s, s->waiter_outside);
	name_file(s);
	scenario->play(s);
	peer_kill(&s->holder);
	peer_kill(&s->waiter);
	peer_kill(&s->third);
	if (unlink(s->outside) < 0)
		err(2, "%s", s->outside);
	printf("%s %s (%s locks, held %s, wanted %s)\n", s->failures ? "FAIL" : "ok",
		scenario->name, kind_names[s->kind], s->holder_outside ? "outside" : "inside",
		s->waiter_outside ? "outside" : "inside");
	fflush(stdout);
	return s->failures == 0;
}

/* Plays all scenarios on one stage; returns how many failed, and adds to those played. */
static int play_all(struct stage *s, int *played)
{
	int failed = 0;

	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
		if (s->kind == FLOCK && scenarios[i].ranges)
			continue;
		failed += !play(s, &scenarios[i]);
		++*played;
	}
	return failed;
}

int main(int argc, char **argv)
{
	struct stage s = { 0 };
	int failed = 0, played = 0;

	if (argc > 2 && strcmp(argv[1], PEER_ARGUMENT) == 0)
		peer_resume(argv);
	if (argc != 3)
		errx(2, "usage: locks INSIDE OUTSIDE");
	s.native = strcmp(argv[1], argv[2]) == 0;
	snprintf(s.inside, sizeof(s.inside), "%s/locks", argv[1]);
	snprintf(s.outside, sizeof(s.outside), "%s/locks", argv[2]);
	for (int kind = RECORD; kind <= FLOCK; kind++) {
		for (int where = 0; where < 3; where++) {
			s.kind = (enum lock_kind)kind;
			s.holder_outside = where & 1;
			s.waiter_outside = where & 2;
			failed += play_all(&s, &played);
		}
	}
	printf("locks: %d passed, %d failed\n", played - failed, failed);
	return failed ? 1 : 0;
}
