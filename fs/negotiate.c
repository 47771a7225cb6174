/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "negotiate.h"

#include "background.h"
#include "fs.h"
#include "identity.h"
#include "log.h"

static void want(struct fuse_conn_info *conn, uint64_t flag)
{
	fuse_set_feature_flag(conn, flag); /* false where the kernel has it not: then without */
}

static void choose_passthrough(struct fs *fs, struct fuse_conn_info *conn)
{
	if (!fs->options.passthrough)
		fs->passthrough_missing = "switched off by option";
	else if (!(conn->capable_ext & FUSE_CAP_PASSTHROUGH))
		fs->passthrough_missing = "the kernel has no FUSE passthrough (Linux 6.9)";
	else if (!identity_privileged())
		fs->passthrough_missing = "it needs root";
	else if (!fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH))
		fs->passthrough_missing = "libfuse did not agree";
	else
		fs->passthrough = true;
}

/* What libfuse was told in the options it does only if the kernel is able to. */
static void choose_transport(struct fs *fs, struct fuse_conn_info *conn)
{
	fs->io_uring = fs->options.io_uring && conn->capable_ext & FUSE_CAP_OVER_IO_URING;
	if (!fs->io_uring)
		fuse_unset_feature_flag(conn, FUSE_CAP_OVER_IO_URING);
}

void negotiate(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	choose_passthrough(fs, conn);
	/* Without it the kernel asks for security.capability before every write. */
	want(conn, FUSE_CAP_HANDLE_KILLPRIV_V2);
	/* ACLs decide as on tmpfs; and so default ACLs override the umask, which is ours to apply. */
	want(conn, FUSE_CAP_POSIX_ACL);
	want(conn, FUSE_CAP_DONT_MASK);
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_READ);
	/* A listing with attributes is worth it only if these may be kept for a while. */
	if (fs->options.attr_timeout == 0 || fs->options.entry_timeout == 0)
		fuse_unset_feature_flag(conn, FUSE_CAP_READDIRPLUS);
	choose_transport(fs, conn);
	if (!fs->options.cmdline.foreground)
		background_ready();
	fs->settled = true;
	log_ready(!fs->options.cmdline.foreground, fs->options.cmdline.debug);
}
