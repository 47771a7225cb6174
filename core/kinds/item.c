/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/item.h"

#include "kinds/realm.h"

void item_set_stat(struct item *item, const struct stat *st)
{
	item->mode = st->st_mode & 07777;
	item->uid = st->st_uid;
	item->gid = st->st_gid;
	item->links = st->st_nlink;
	item->atime = st->st_atim;
	item->mtime = st->st_mtim;
	item->ctime = st->st_ctim;
	if (!item->segment)
		return;
	item->size = st->st_size;
	item->allocated = (uint64_t)st->st_blocks * 512;
	item->resident = item->swapped = BYTES_UNKNOWN;
}
