/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/object/sums.h"

#include "base/memfd.h"
#include "base/util.h"
#include "bpf/load-once.h"
#include "bpf/loading.h"
#include "census/object/records.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sums.lskel.h" /* it needs those above */

#define TRIES_MAX 4 /* each walks through every file system of the type, while others wait */

struct sums {
	GMutex lock; /* protects what follows, and the program's result until it was copied */
	struct attempt loading;
	struct sums_bpf *skeleton; /* NULL unless loaded */
	const struct seen_super *supers;
};

struct sums *sums_new(void)
{
	struct sums *sums = g_new0(struct sums, 1);

	g_mutex_init(&sums->lock);
	return sums;
}

static void unload(void *data)
{
	struct sums *sums = data;

	if (sums->supers)
		munmap((void *)sums->supers, SUPERS_SHOWN * sizeof *sums->supers);
	sums->supers = NULL;
	g_clear_pointer(&sums->skeleton, sums_bpf__destroy);
}

void sums_free(struct sums *sums)
{
	if (!sums)
		return;
	unload(sums);
	g_mutex_clear(&sums->lock);
	g_free(sums);
}

static int load(void *data)
{
	struct sums *sums = data;
	int r;

	sums->skeleton = sums_bpf__open();
	if (!sums->skeleton)
		return -ENOMEM;
	r = sums_bpf__load(sums->skeleton);
	if (r < 0)
		return r;
	sums->supers = program_map(sums->skeleton->maps.supers.map_fd,
		SUPERS_SHOWN * sizeof *sums->supers);
	return sums->supers ? 0 : -errno;
}

static bool all_summed(const struct seen_super *supers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (supers[i].status != WALK_DONE)
			return false;
	return true;
}

/* Sums all file systems of the same type as the one that `fd` is on: tmpfs, devtmpfs or hugetlbfs. */
static int run(struct sums *sums, int fd, size_t *count)
{
	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		struct super_sums ask = { .fd = fd };
		int r = program_run(sums->skeleton->progs.sum_supers.prog_fd, &ask, sizeof ask);

		if (r < 0)
			return r;
		if (ask.count > SUPERS_SHOWN)
			return -E2BIG;
		*count = ask.count;
		if (all_summed(sums->supers, *count))
			return 0;
	}
	return -EAGAIN;
}

static bool has_sum(const GArray *out, uint64_t dev)
{
	for (guint i = 0; i < out->len; i++)
		if (g_array_index(out, struct super_sum, i).dev == dev)
			return true;
	return false;
}

static int add_sums(struct sums *sums, int fd, bool huge, GArray *out)
{
	size_t count = 0;
	int r = fd < 0 ? 0 : run(sums, fd, &count);

	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct seen_super *seen = &sums->supers[i];
		const struct super_sum sum = {
			.dev = makedev(seen->dev >> 20, seen->dev & 0xfffff),
			.huge_page = huge ? seen->page_size : 0,
			.resident = seen->resident,
			.swapped = seen->swapped,
		};

		if (!has_sum(out, sum.dev))
			g_array_append_val(out, sum);
	}
	return r;
}

/* Called with the lock. 0, -ENOTSUP where it does not work, or another negative errno: not at this moment. */
static int be_loaded(struct sums *sums)
{
	int r = program_load_once(&sums->loading, load, unload, sums);

	return r == 0 || is_shortage(r) ? r : -ENOTSUP;
}

int sums_read(struct sums *sums, GArray *out)
{
	auto_fd memory = memfd_new(0), devices = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_fd huge = memfd_new(MFD_HUGETLB); /* fails where the kernel has no huge pages */
	int r;

	if (memory < 0)
		return memory;
	g_mutex_lock(&sums->lock);
	r = be_loaded(sums);
	if (r == 0)
		r = add_sums(sums, memory, false, out);
	if (r == 0)
		r = add_sums(sums, devices, false, out);
	if (r == 0)
		r = add_sums(sums, huge, true, out);
	g_mutex_unlock(&sums->lock);
	return r;
}
