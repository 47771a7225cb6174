/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/charged.h"

#include "base/util.h"
#include "bpf/load-once.h"
#include "bpf/loading.h"
#include "census/object/charged-records.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "charged.lskel.h" /* it needs those above */

#include <bpf/bpf.h>

struct charged {
	GMutex lock; /* protects what follows until it is loaded; then that is constant */
	struct attempt loading;
	struct charged_bpf *skeleton;
	uint64_t requests; /* atomic */
};

struct charged *charged_new(void)
{
	struct charged *charged = g_new0(struct charged, 1);

	g_mutex_init(&charged->lock);
	return charged;
}

static void unload(void *data)
{
	struct charged *charged = data;

	g_clear_pointer(&charged->skeleton, charged_bpf__destroy);
}

void charged_free(struct charged *charged)
{
	if (!charged)
		return;
	unload(charged);
	g_mutex_clear(&charged->lock);
	g_free(charged);
}

static int load(void *data)
{
	struct charged *charged = data;

	charged->skeleton = charged_bpf__open();
	return charged->skeleton ? charged_bpf__load(charged->skeleton) : -ENOMEM;
}

/* 0, -ENOTSUP where it does not work, or another negative errno: not at this moment. */
static int be_loaded(struct charged *charged)
{
	int r;

	g_mutex_lock(&charged->lock);
	r = program_load_once(&charged->loading, load, unload, charged);
	g_mutex_unlock(&charged->lock);
	return r == 0 || is_shortage(r) ? r : -ENOTSUP;
}

/*
 * Moves the elements of the request from the map to `out`. The others belong to requests of other
 * threads; where these are deleted meanwhile, the kernel shows some keys again, which have been moved
 * by then. 0 or a negative errno: then some are missing.
 */
static int take_groups(int map, uint64_t request, uint64_t page, GArray *out)
{
	g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(struct charge_key));
	struct charge_key key, *previous = NULL;
	int error, r = 0;

	while ((error = bpf_map_get_next_key(map, previous, &key)) == 0) {
		if (key.request == request)
			g_array_append_val(keys, key);
		previous = &key;
	}
	for (guint i = 0; i < keys->len; i++) {
		const struct charge_key *own = &g_array_index(keys, struct charge_key, i);
		struct charge_of_group group = { .group = own->group };
		uint64_t pages;
		int found = bpf_map_lookup_elem(map, own, &pages);

		if (found == 0) {
			group.bytes = pages * page;
			g_array_append_val(out, group);
			bpf_map_delete_elem(map, own);
		} else if (found != -ENOENT) {
			r = found;
		}
	}
	return error != -ENOENT ? error : r;
}

static int walk_all(const struct charged *charged, struct charge_walk *walk, int64_t limit_us)
{
	int64_t end = g_get_monotonic_time() + limit_us;
	int r;

	do
		r = program_run(charged->skeleton->progs.walk_charges.prog_fd, walk, sizeof *walk);
	while (r == 0 && walk->status == CHARGE_MORE && g_get_monotonic_time() < end);
	if (r == 0 && walk->status == CHARGE_BLIND)
		r = -ENOTSUP;
	return r == 0 && walk->status == CHARGE_OTHER ? -ESTALE : r;
}

int charged_read(struct charged *charged, uint64_t inode, uint64_t ino, uint32_t generation,
	int64_t limit_us, struct charge_sums *out)
{
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(struct charge_of_group));
	struct charge_walk walk = { .inode = inode, .ino = ino, .generation = generation };
	uint64_t page = sysconf(_SC_PAGESIZE);
	int r = be_loaded(charged), taken;

	if (r < 0)
		return r;
	walk.request = __atomic_add_fetch(&charged->requests, 1, __ATOMIC_RELAXED);
	r = walk_all(charged, &walk, limit_us);
	taken = take_groups(charged->skeleton->maps.charges.map_fd, walk.request, page, groups);
	if (r < 0 || taken < 0)
		return MIN(r, taken);
	*out = (struct charge_sums){
		.n = groups->len,
		.bytes = walk.pages * page,
		.swapped = walk.swapped * page,
		.lost = walk.lost * page,
		.stopped = walk.status == CHARGE_MORE,
		.stopped_at = walk.at * page,
	};
	out->groups =
		(struct charge_of_group *)(void *)g_array_free(g_steal_pointer(&groups), FALSE);
	return 0;
}
