/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "daemon/fs.h"
#include "serve/shutdown.h"
#include "serve/turns.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define UNIQUE 42
#define LONG_S 20 /* a request takes, unless it is interrupted */

struct request {
	struct fuse_in_header header;
	union {
		struct fuse_init_in init;
		struct fuse_interrupt_in interrupt;
		struct fuse_setattr_in setattr;
	};
};

static struct fs fs;
static int kernel; /* what the daemon answers comes out here */
static struct sigaction before;

static void wait_long(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	const struct timespec time = { LONG_S, 0 };

	(void)ino, (void)attr, (void)to_set, (void)fi;
	fuse_reply_err(req, nanosleep(&time, NULL) < 0 ? errno : 0);
}

static ssize_t no_request(int fd, void *buffer, size_t size, void *data)
{
	(void)fd, (void)buffer, (void)size, (void)data;
	return 0;
}

static ssize_t write_answer(int fd, struct iovec *iov, int count, void *data)
{
	(void)data;
	return writev(fd, iov, count);
}

static void nothing(int number)
{
	(void)number;
}

static struct fuse_buf buf_of(struct request *request, uint32_t opcode, uint64_t unique)
{
	request->header.opcode = opcode;
	request->header.unique = unique;
	request->header.nodeid = FUSE_ROOT_ID;
	request->header.len = sizeof *request;
	return (struct fuse_buf){ .mem = request, .size = sizeof *request };
}

/* The next answer; its error is 1 if none comes while what was interrupted is signalled. */
static struct fuse_out_header answer_of(void)
{
	struct fuse_out_header header[32] = { { .error = 1 } };
	struct pollfd comes = { .fd = kernel, .events = POLLIN };

	for (unsigned i = 0; i < LONG_S * 100 && poll(&comes, 1, 5) == 0; i++)
		turns_signal(fs.turns);
	recv(kernel, header, sizeof header, MSG_DONTWAIT);
	return header[0];
}

static void set_up(void)
{
	static const struct fuse_custom_io io = { .read = no_request, .writev = write_answer };
	static const struct fuse_lowlevel_ops ops = { .setattr = wait_long };
	static char name[] = "unit", *argv[] = { name };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct sigaction action = { .sa_handler = nothing };
	struct request hello = { .init = { FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION, 0, 0 } };
	struct fuse_buf buf = buf_of(&hello, FUSE_INIT, 1);
	int ends[2];

	sigaction(INTERRUPT_SIGNAL, &action, &before);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	kernel = ends[0];
	fs = (struct fs){ .session = fuse_session_new(&args, &ops, sizeof ops, NULL) };
	CU_ASSERT_FATAL(fs.session != NULL);
	CU_ASSERT_FATAL(fuse_session_custom_io(fs.session, &io, sizeof io, ends[1]) == 0);
	fuse_opt_free_args(&args);
	fs.workers = workers_new();
	fs.turns = turns_new(&fs);
	fuse_session_process_buf(fs.session, &buf);
	ASSERT_INT(answer_of().error, 0);
}

static void tear_down(void)
{
	while (workers_pending(fs.workers) > 0)
		g_usleep(1000);
	workers_free(fs.workers);
	turns_free(fs.turns);
	fuse_session_destroy(fs.session);
	close(kernel);
	sigaction(INTERRUPT_SIGNAL, &before, NULL);
}

static bool hand_over(uint32_t opcode, uint64_t unique)
{
	struct request request = { .interrupt = { UNIQUE } };
	struct fuse_buf buf = buf_of(&request, opcode, unique);

	if (opcode == FUSE_SETATTR)
		turns_note_slow(fs.turns, turns_of(&buf));
	return turns_hand_over(fs.turns, &buf);
}

static void an_interrupt_ends_the_wait_of_its_request(void)
{
	struct fuse_out_header answer;

	CU_ASSERT(hand_over(FUSE_SETATTR, UNIQUE));
	hand_over(FUSE_INTERRUPT, UNIQUE | 1);
	answer = answer_of();
	ASSERT_INT(answer.error, -EINTR);
	ASSERT_INT(answer.unique, UNIQUE);
}

/* Two threads read the two, and the second is faster. */
static void also_one_that_comes_before_it(void)
{
	struct fuse_out_header answer;

	CU_ASSERT(!hand_over(FUSE_INTERRUPT, UNIQUE | 1));
	CU_ASSERT(hand_over(FUSE_SETATTR, UNIQUE));
	answer = answer_of();
	ASSERT_INT(answer.error, -EINTR);
	ASSERT_INT(answer.unique, UNIQUE);
}

/* Likewise, where the thread that has read the request answers it. */
static void who_answers_it_at_once_learns_of_that(void)
{
	struct request request = { 0 };
	struct fuse_buf buf = buf_of(&request, FUSE_SETATTR, UNIQUE);
	struct at_request at = { .thread = pthread_self() };

	at_request_set(&at, &buf);
	turns_catch_up(fs.turns, &at);
	CU_ASSERT(!at.interrupted);
	hand_over(FUSE_INTERRUPT, UNIQUE | 1);
	turns_catch_up(fs.turns, &at);
	CU_ASSERT(at.interrupted);
	at_request_set(&at, NULL);
	turns_catch_up(fs.turns, &at);
	CU_ASSERT(!at.interrupted);
}

static CU_TestInfo tests[] = {
	{ "an interrupt ends the wait of its request", an_interrupt_ends_the_wait_of_its_request },
	{ "also one that comes before it", also_one_that_comes_before_it },
	{ "who answers it at once learns of that", who_answers_it_at_once_learns_of_that },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo turns_suite = { "turns", NULL, NULL, set_up, tear_down, tests };
