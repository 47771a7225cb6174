/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/item.h"

#include "kinds/realm.h"

void item_set_stat(struct item *item, const struct stat *st)
{
	item->mode = st->st_mode & 07777;
	item->uid = st->st_uid;
	item->gid = st->st_gid;
	item->atime = st->st_atim;
	item->mtime = st->st_mtim;
	item->ctime = st->st_ctim;
	if (!item->segment)
		return;
	item->size = st->st_size;
	item->allocated = (uint64_t)st->st_blocks * 512;
	item->resident = item->swapped = BYTES_UNKNOWN;
}

enum segment_state item_state(const struct realm *realm, const struct item *item,
	const struct usage *usage)
{
	enum segment_state state = census_state(realm->census, usage);

	return state == STATE_IDLE && item->in_use ? STATE_UNKNOWN : state;
}
