/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/permit.h"

#include "base/privilege.h"
#include "base/tmpfs.h"
#include "caller/credentials.h"
#include "caller/opening.h"
#include "caller/rights.h"
#include "daemon/log.h"

/*
 * Where not everybody may search and list SOURCE, strangers would see its names, by inotify(7) for instance, which
 * asks the kernel alone.
 */
static bool source_is_open(const struct fs *fs)
{
	const mode_t bits = S_IRUSR | S_IRGRP | S_IROTH | S_IXUSR | S_IXGRP | S_IXOTH;
	struct stat st;

	return fstat(fs->shm_fd, &st) == 0 && (st.st_mode & bits) == bits &&
		!tmpfs_has_acl(fs->shm_fd);
}

static const char *why_not(const struct fs *fs)
{
	const struct options *options = &fs->options;

	if (!fsuid_privileged())
		return "it needs root";
	if (!privilege_of_machine())
		return "it needs root of the machine, not of a user namespace";
	if (!privilege_sees_all_processes())
		return "callers outside this pid namespace are not known";
	if (!opening_is_known())
		return "what a process opens cannot be read (/proc/PID/syscall)";
	/* What the kernel keeps it uses without a question. */
	if (options->attr_timeout > 0 || options->entry_timeout > 0)
		return "the kernel keeps names or attributes (attr_timeout, entry_timeout)";
	return source_is_open(fs) ? NULL : "not everybody may list and search SOURCE";
}

/*
 * Each call asks for the caller's: without BPF procfs tells the same, in 20 times as long. Who wants no BPF for the
 * census gets none here.
 */
static void open_credentials(const struct fs *fs)
{
	bool wanted = fs->options.census == CENSUS_AUTO || fs->options.census == CENSUS_BPF;
	int r = wanted ? credentials_open() : 0;

	if (r < 0 && fs->options.cmdline.debug)
		log_line("callers' rights are read from procfs: %s", g_strerror(-r));
}

void permit_choose(struct fs *fs)
{
	fs->kernel_permits = true;
	if (!fs->options.daemon_permissions)
		return;
	fs->daemon_permits_not = why_not(fs);
	fs->kernel_permits = fs->daemon_permits_not != NULL;
	caller_rights_decide_alone(!fs->kernel_permits);
	if (!fs->kernel_permits)
		open_credentials(fs);
	if (fs->kernel_permits && fs->options.cmdline.debug)
		log_line("the kernel checks permissions: %s", fs->daemon_permits_not);
}

int permit_begin(const struct fs *fs, struct fsuid *id, fuse_req_t req, int fd)
{
	const struct caller caller = identity_caller(req);

	if (!fs->kernel_permits)
		return fsuid_begin_whole(id, &caller, fd);
	fsuid_begin(id, &caller);
	return 0;
}

int permit_search(const struct fs *fs, fuse_req_t req)
{
	return permit_file(fs, req, fs->shm_fd, X_OK);
}

int permit_file(const struct fs *fs, fuse_req_t req, int fd, int want)
{
	const struct caller caller = identity_caller(req);

	return fs->kernel_permits ? 0 : fsuid_may(&caller, fd, want);
}
