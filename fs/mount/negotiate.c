/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/negotiate.h"

#include "base/privilege.h"
#include "daemon/fs.h"
#include "daemon/log.h"
#include "mount/background.h"
#include "mount/service.h"

#include <linux/capability.h>
#include <unistd.h>

static void want(struct fuse_conn_info *conn, uint64_t flag)
{
	fuse_set_feature_flag(conn, flag); /* false where the kernel has it not: then without */
}

/* Why this process may not hand files to the kernel; NULL: it may. */
static const char *passthrough_forbidden(void)
{
	if (!privilege_of_machine())
		return "it needs root of the machine, not of a user namespace";
	if (geteuid() != 0)
		return "it needs root";
	return privilege_capable(CAP_SYS_ADMIN) ? NULL : "it needs CAP_SYS_ADMIN";
}

static void choose_passthrough(struct fs *fs, struct fuse_conn_info *conn)
{
	const char *forbidden = passthrough_forbidden();

	if (!fs->options.passthrough)
		fs->passthrough_missing = "switched off by option";
	else if (!(conn->capable_ext & FUSE_CAP_PASSTHROUGH))
		fs->passthrough_missing = "the kernel has no FUSE passthrough (Linux 6.9)";
	else if (forbidden)
		fs->passthrough_missing = forbidden;
	else if (!fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH))
		fs->passthrough_missing = "libfuse did not agree";
	else
		fs->passthrough = true;
}

void negotiate(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	choose_passthrough(fs, conn);
	/* Without it the kernel asks for security.capability before every write. */
	want(conn, FUSE_CAP_HANDLE_KILLPRIV_V2);
	/* With this the kernel checks permissions, and ACLs among them. */
	if (fs->kernel_permits)
		want(conn, FUSE_CAP_POSIX_ACL);
	/* Default ACLs override the umask, which is ours to apply. */
	want(conn, FUSE_CAP_DONT_MASK);
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_READ);
	/*
	 * There a request keeps one of few places until its answer: calls that wait would stop all
	 * others.
	 */
	fuse_unset_feature_flag(conn, FUSE_CAP_OVER_IO_URING);
	if (!fs->options.cmdline.foreground)
		background_ready();
	service_tell("READY=1");
	fs->settled = true;
	log_ready(!fs->options.cmdline.foreground, fs->options.cmdline.debug);
}
