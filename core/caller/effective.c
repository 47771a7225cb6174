/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "caller/effective.h"

#include "base/patience/patience.h"
#include "base/util.h"
#include "caller/rights.h"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

/* getgroups(2), or the end of the process: without its own groups a thread could not come back from a caller's. */
static int own_groups(int n, gid_t *groups)
{
	n = getgroups(n, groups);
	if (n < 0)
		g_error("getgroups: %s", g_strerror(errno));
	return n;
}

static void remember(struct effective *out)
{
	*out = (struct effective){
		.changed = true,
		.fsuid = setfsuid(-1),
		.fsgid = setfsgid(-1),
		.egid = getegid(),
		.capabilities = thread_capabilities(),
		.n_groups = own_groups(0, NULL),
	};
	out->groups = g_new(gid_t, out->n_groups);
	out->n_groups = own_groups(out->n_groups, out->groups);
}

/* One of setresuid(2) and setresgid(2), for the effective id of this thread alone. */
static int set_effective(long call, unsigned id)
{
	struct patience p = { 0 };
	int r;

	while ((r = syscall(call, -1, id, -1) < 0 ? -errno : 0) < 0 && patience_waits(&p, -r))
		;
	return r;
}

static bool take_on(struct effective *ids, const struct caller *caller,
	const struct caller_rights *rights)
{
	bool other = caller->uid != 0 || caller->gid != getegid();

	ids->in_groups =
		thread_set_groups((const gid_t *)rights->groups->data, rights->groups->len) == 0;
	/* A user namespace may forbid it; then only its own root user is served. */
	if (!ids->in_groups && other)
		return false;
	if (set_effective(SYS_setresgid, caller->gid) < 0 ||
		set_effective(SYS_setresuid, caller->uid) < 0)
		return false;
	thread_set_capabilities(rights->effective);
	return true;
}

int effective_begin(struct effective *ids, const struct caller *caller)
{
	auto_rights rights = { 0 };
	bool known, taken;

	*ids = (struct effective){ 0 };
	if (geteuid() != 0)
		return caller->uid == geteuid() && caller->gid == getegid() ? 0 : -EPERM;
	remember(ids);
	caller_rights_read_here(caller, &rights);
	/* Without its groups a caller would be let in where the group may less than others. */
	known = rights.known || !caller_rights_must_be_known();
	taken = known && take_on(ids, caller, &rights);
	if (taken)
		return 0;
	effective_end(ids);
	return known ? -EPERM : -EACCES;
}

void effective_end(struct effective *ids)
{
	int saved = errno;

	if (!ids->changed)
		return;
	thread_set_capabilities(UINT64_MAX);
	/* A thread that stayed another user's would do harm: better none at all. */
	if (set_effective(SYS_setresuid, 0) < 0 ||
		(getegid() != ids->egid && set_effective(SYS_setresgid, ids->egid) < 0))
		g_error("cannot become root again");
	/* Fails where they could not be changed in the first place. The next caller must not have them. */
	if (thread_set_groups(ids->groups, ids->n_groups) < 0 && ids->in_groups)
		g_error("cannot leave a caller's groups");
	/* The effective ids took those of the file system along, and these some capabilities. */
	thread_set_file_ids(ids->fsuid, ids->fsgid);
	thread_set_capabilities(ids->capabilities);
	g_free(ids->groups);
	*ids = (struct effective){ 0 };
	errno = saved;
}

int caller_may_access(const struct caller *caller, int fd, int want)
{
	struct effective ids;
	int r = effective_begin(&ids, caller);

	if (r < 0)
		return r;
	r = faccessat(fd, "", want, AT_EACCESS | AT_EMPTY_PATH) < 0 ? -errno : 0;
	effective_end(&ids);
	return r;
}
