/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "exceptions.h"
#include "executor.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_LIMIT_MS 30000

struct executor {
	pid_t pid;
	int sock;
	struct outcome *outcome; /* shared with the process */
};

static sigjmp_buf fault_exit;
static volatile sig_atomic_t caught;

bool note(struct outcome *out, int64_t ret)
{
	out->ret = ret;
	out->err = ret < 0 ? errno : 0;
	return ret >= 0;
}

void note_error(struct outcome *out, int err)
{
	out->ret = -1;
	out->err = err;
}

void note_data(struct outcome *out, const void *data, size_t len)
{
	size_t room = sizeof(out->data) - out->len;

	if (len > room)
		len = room;
	memcpy(out->data + out->len, data, len);
	out->len += (uint32_t)len;
}

static bool has_mapping(const struct context *ctx)
{
	for (int i = 0; i < MAP_SLOTS; i++) {
		if (ctx->maps[i].addr)
			return true;
	}
	return false;
}

/*
 * A mapping keeps the open file alive, and with it the locks of the open file. With passthrough it
 * keeps the object's alone, so that the mount's is gone: it is unlocked before, for both sides.
 */
int close_slot(struct context *ctx, int64_t slot)
{
	struct flock all = { .l_type = F_UNLCK };
	int fd = ctx->fds[slot];

	if (fd >= 0 && has_mapping(ctx)) {
		flock(fd, LOCK_UN);
		fcntl(fd, F_OFD_SETLK, &all);
	}
	ctx->fds[slot] = -1;
	return close(fd);
}

void note_fd(struct context *ctx, struct outcome *out, int64_t slot, int fd)
{
	if (!note(out, fd))
		return;
	if (ctx->fds[slot] >= 0)
		close_slot(ctx, slot);
	ctx->fds[slot] = fd;
	out->ret = 0;
}

void look(struct context *ctx, int64_t slot)
{
	struct statx st;

	statx(ctx->fds[slot], "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st);
}

bool is_limited(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != limit.rlim_max;
}

mode_t mode_of(const struct context *ctx, int64_t mode)
{
	return (mode_t)mode & (ctx->actor->outside ? 01777 : 07777);
}

bool flags_are_unreadable(int fd)
{
	return permissions_by_daemon && faccessat(fd, "", R_OK, AT_EACCESS | AT_EMPTY_PATH) < 0 &&
		errno == EACCES;
}

bool is_immutable(const struct context *ctx, int64_t slot)
{
	int flags = 0;

	if (flags_are_unreadable(ctx->fds[slot]))
		return true;
	return ioctl(ctx->fds[slot], FS_IOC_GETFLAGS, &flags) == 0 && flags & FS_IMMUTABLE_FL;
}

void look_at_end(struct context *ctx, int64_t slot)
{
	int flags = fcntl(ctx->fds[slot], F_GETFL);

	if (is_limited() || (flags >= 0 && flags & O_APPEND))
		look(ctx, slot);
}

void fill_pattern(char *buf, size_t len, int64_t seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)(seed + (int64_t)i * 7 + (int64_t)(i >> 8));
}

static void on_fault(int sig)
{
	caught = sig;
	siglongjmp(fault_exit, 1);
}

static void on_size_limit(int sig)
{
	caught = sig;
}

static void catch_signals(void)
{
	struct sigaction fault = { .sa_handler = on_fault };
	struct sigaction limit = { .sa_handler = on_size_limit, .sa_flags = SA_RESTART };

	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGXFSZ, &limit, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	if (syscall(SYS_capset, &header, none) < 0)
		err(2, "capset");
}

static void become(const struct actor *actor)
{
	if (setgroups(actor->group ? 1 : 0, &actor->group) < 0 ||
		setresgid(actor->gid, actor->gid, actor->gid) < 0 ||
		setresuid(actor->uid, actor->uid, actor->uid) < 0)
		err(2, "becoming %s", actor->label);
	if (actor->powerless)
		drop_capabilities();
	/* Otherwise /proc/self/fd would belong to root. */
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/*
 * A path that leads to the directory by "." looks up no name, so that the mount is not asked whether the caller
 * may search it. Who may not is refused natively: such a step is made on neither side.
 */
static bool foretell_unsearched(const struct step *step, struct outcome *out)
{
	const struct op *op = op_at(step->op);
	bool dot = strcmp(op->name, "list") == 0;

	if (!permissions_by_daemon)
		return false;
	for (int i = 0; i < MAX_ARGS; i++)
		dot |= op->args[i].kind == ARG_NAME && step->arg[i] == NAME_DOT;
	if (!dot || faccessat(AT_FDCWD, "", X_OK, AT_EACCESS | AT_EMPTY_PATH) == 0)
		return false;
	note_error(out, errno);
	return true;
}

static void serve(struct context *ctx, int sock, struct outcome *out)
{
	struct step step;

	while (recv(sock, &step, sizeof(step), 0) == sizeof(step)) {
		memset(out, 0, offsetof(struct outcome, data));
		caught = 0;
		if (sigsetjmp(fault_exit, 1) == 0 && !foretell_unsearched(&step, out))
			op_at(step.op)->execute(ctx, step.arg, out);
		out->sig = caught;
		if (send(sock, "", 1, 0) != 1)
			break;
	}
}

static _Noreturn void executor_main(const struct actor *actor, const struct side *side, int sock,
	struct outcome *out)
{
	static char io[MAX_IO];
	struct context ctx = { .actor = actor, .side = side, .io = io };

	if (chdir(side->dir) < 0)
		err(2, "%s", side->dir);
	for (int i = 0; i < FD_SLOTS; i++)
		ctx.fds[i] = -1;
	become(actor);
	catch_signals();
	umask(022);
	serve(&ctx, sock, out);
	_exit(0);
}

struct executor *executor_start(const struct actor *actor, const struct side *side)
{
	struct executor *ex = calloc(1, sizeof(*ex));
	int pair[2];

	ex->outcome = mmap(NULL, sizeof(*ex->outcome), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ex->outcome == MAP_FAILED ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		err(2, "starting an executor");
	ex->pid = fork();
	if (ex->pid < 0)
		err(2, "fork");
	if (ex->pid == 0) {
		close(pair[0]);
		executor_main(actor, side, pair[1], ex->outcome);
	}
	close(pair[1]);
	ex->sock = pair[0];
	return ex;
}

struct outcome *executor_run(struct executor *ex, const struct step *step)
{
	struct pollfd wait = { .fd = ex->sock, .events = POLLIN };
	char byte;

	if (send(ex->sock, step, sizeof(*step), MSG_NOSIGNAL) != sizeof(*step)) {
		errno = ESRCH;
		return NULL;
	}
	if (poll(&wait, 1, ANSWER_LIMIT_MS) == 0) {
		errno = ETIMEDOUT;
		return NULL;
	}
	if (recv(ex->sock, &byte, 1, 0) != 1) {
		errno = ESRCH;
		return NULL;
	}
	return ex->outcome;
}

void executor_stop(struct executor *ex)
{
	kill(ex->pid, SIGKILL);
	close(ex->sock);
	waitpid(ex->pid, NULL, 0);
	munmap(ex->outcome, sizeof(*ex->outcome));
	free(ex);
}

pid_t executor_pid(const struct executor *ex)
{
	return ex->pid;
}
