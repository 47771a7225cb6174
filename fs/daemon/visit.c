/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/visit.h"

#include "base/util.h"
#include "kinds/realms.h"

int visit_error(int error)
{
	return is_shortage(error) ? -EIO : error;
}

int visit_enter(struct fs *fs, const char *realm, unsigned needs, struct visit *out)
{
	int r = 0;

	*out = (struct visit){ fs->realm, needs };
	if (*realm)
		r = realms_open(&fs->realm, realm, &out->realm);
	if (r < 0 || !needs)
		return r;
	r = visit_error(census_hold(fs->census, needs));
	if (r < 0) {
		out->needs = 0;
		visit_leave(fs, out);
	}
	return r;
}

void visit_leave(struct fs *fs, struct visit *visit)
{
	if (visit->needs)
		census_release(fs->census);
	if (visit->realm.shm_fd != fs->realm.shm_fd)
		realms_close(&visit->realm);
}
