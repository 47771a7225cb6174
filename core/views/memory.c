/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/memory.h"

#include "base/format.h"
#include "caller/sight.h"
#include "kinds/incomplete.h"
#include "procfs/mountinfo.h"
#include "views/segments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#define HUGE_PAGES "/sys/kernel/mm/hugepages"

struct making {
	const struct realm *realm;
	const struct caller *caller;
	struct budget *budget; /* of the rows, while they are looked at */
	GArray *parts;         /* of struct memory_part: those of segments */
	GArray *whole;         /* of struct memory_part: each tmpfs and hugetlbfs */
	GString *out;
};

bool memory_parse_meminfo(const char *text, const char *name, uint64_t *bytes)
{
	size_t length = strlen(name);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 && line[length] == ':' &&
			sscanf(line + length + 1, "%" SCNu64 " kB", bytes) == 1) {
			*bytes *= 1024;
			return true;
		}
	}
	return false;
}

static void write_row(GString *out, const char *of, const char *part, int64_t bytes)
{
	g_string_append_printf(out, "%s\t", of);
	format_escaped(out, part);
	g_string_append_printf(out, "\t%" PRId64 "\n", bytes);
}

static void keep_part(const struct memory_part *part, void *data)
{
	struct making *making = data;

	g_array_append_vals(part->kind ? making->parts : making->whole, part, 1);
}

/* Without the kernel's lists: what the rows of `segments` say. Their IDs tell huge pages apart. */
static void keep_row(const struct making *making, const struct segments_row *row)
{
	bool posix = g_str_equal(row->label, "posix") || g_str_equal(row->label, "nested") ||
		g_str_equal(row->label, "unlinked");
	struct memory_part part = {
		.kind = row->label,
		.dev = posix ? making->realm->shm_dev : making->realm->internal_dev,
		.huge = !posix && g_str_has_prefix(row->id, "huge"),
		.swapped = row->swapped == BYTES_UNKNOWN ? 0 : row->swapped,
	};

	if (row->allocated == BYTES_UNKNOWN)
		return;
	part.swapped = MIN(part.swapped, row->allocated);
	part.resident = row->allocated - part.swapped;
	g_array_append_val(making->parts, part);
}

static const char *cause_of(int error)
{
	switch (error) {
	case -EAGAIN:
		return "they changed all the while";
	case -E2BIG:
		return "there are too many tmpfs";
	case -ENOTSUP:
		return "no object census";
	}
	return g_strerror(-error);
}

/* What makes the rest of the file say something else than it says of the kernel's lists. */
static int take_rows(struct making *making, int error, GString *remarks)
{
	struct segments *segments;
	struct segments_row row;
	int r = segments_take(making->realm, making->budget, NULL, &segments);

	if (r < 0)
		return r;
	for (size_t i = 0; i < segments_count(segments); i++) {
		segments_get(segments, i, &row);
		if (!row.repeated)
			keep_row(making, &row);
	}
	g_string_append_printf(remarks,
		"# without the kernel's lists of inodes (%s): other tmpfs and huge pages are "
		"unexplained\n",
		cause_of(error));
	g_string_append(remarks, segments_incomplete_line(segments));
	segments_free(segments);
	return 0;
}

/* The kernel's lists need a pass, which is let go before the rows of `segments` need another. */
static int take_parts(struct making *making, GString *remarks)
{
	struct census *census = making->realm->census;
	int r = census_hold(census, CENSUS_ALL);

	if (r < 0)
		return r;
	r = census_memory(census, keep_part, making);
	census_release(census);
	return r < 0 ? take_rows(making, r, remarks) : 0;
}

static const struct memory_part *whole_of(const struct making *making, uint64_t dev)
{
	for (guint i = 0; i < making->whole->len; i++)
		if (g_array_index(making->whole, struct memory_part, i).dev == dev)
			return &g_array_index(making->whole, struct memory_part, i);
	return NULL;
}

/* Of one file system, which has either small pages or huge ones. */
static uint64_t sum_of(const struct making *making, const char *kind, uint64_t dev, bool with_swap)
{
	const struct memory_part *whole = whole_of(making, dev);
	bool huge = whole && whole->huge;
	uint64_t sum = 0;

	for (guint i = 0; i < making->parts->len; i++) {
		const struct memory_part *part =
			&g_array_index(making->parts, struct memory_part, i);

		if (part->huge == huge && part->dev == dev &&
			(!kind || g_str_equal(part->kind, kind)))
			sum += part->resident + (with_swap ? part->swapped : 0);
	}
	return sum;
}

/* A tmpfs without a limit says 0 of 0: then the kernel's list of its inodes is asked. */
static bool tmpfs_used(const struct making *making, uint64_t *used)
{
	const struct memory_part *whole = whole_of(making, making->realm->shm_dev);
	struct statvfs fs;

	if (fstatvfs(making->realm->shm_fd, &fs) == 0 && fs.f_blocks > 0)
		*used = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	else if (whole)
		*used = whole->resident + whole->swapped;
	else
		return false;
	return true;
}

static const char *const tmpfs_kinds[] = { "posix", "nested", "unlinked" };
static const char *const internal_kinds[] = { "sysv", "memfd", "anon", "other" };
static const char *const huge_kinds[] = { "sysv", "memfd", "anon" };

static void write_tmpfs(struct making *making)
{
	uint64_t used, dev = making->realm->shm_dev;
	int64_t left;

	if (making->realm->shm_fd < 0 || !tmpfs_used(making, &used))
		return;
	left = used;
	write_row(making->out, "tmpfs", "used", used);
	for (size_t i = 0; i < G_N_ELEMENTS(tmpfs_kinds); i++) {
		uint64_t bytes = sum_of(making, tmpfs_kinds[i], dev, true);

		write_row(making->out, "tmpfs", tmpfs_kinds[i], bytes);
		left -= bytes;
	}
	write_row(making->out, "tmpfs", "unexplained", left);
}

struct naming {
	const char *type;
	uint64_t dev;
	char *name;
};

static void name_by_mount(const char *point, const struct mount *mount, void *data)
{
	struct naming *naming = data;

	if (!naming->name && mount->dev == naming->dev)
		naming->name = g_strdup_printf("%s:%s", naming->type, point);
}

/* By its mount point, or by its device number where it is not mounted here. */
static char *name_of(const char *type, const char *mounts, uint64_t dev)
{
	struct naming naming = { type, dev, NULL };

	if (mounts)
		mountinfo_each(mounts, name_by_mount, &naming);
	return naming.name ? naming.name :
			     g_strdup_printf("%s:%u:%u", type, major(dev), minor(dev));
}

static char *tmpfs_name(const struct making *making, const char *mounts, uint64_t dev)
{
	return dev == making->realm->internal_dev ? g_strdup("other namespaces, kernel") :
						    name_of("tmpfs", mounts, dev);
}

/* A confined caller finds the mounts of the daemon's namespace in no /proc of its own. */
static bool may_see_mounts(const struct making *making)
{
	struct caller_sight sight;
	bool may;

	caller_sight_begin(&sight, making->realm->proc, making->caller);
	may = sight.proc >= 0 && !sight.confined;
	caller_sight_end(&sight);
	return may;
}

/* The mount table, or NULL where the caller is not to see it. */
static char *read_mounts(const struct making *making)
{
	g_autofree char *path = g_build_filename(making->realm->proc, "self/mountinfo", NULL);
	char *mounts = NULL;

	if (may_see_mounts(making))
		g_file_get_contents(path, &mounts, NULL, NULL);
	return mounts;
}

static uint64_t read_number(const char *size, const char *name)
{
	g_autofree char *path = g_build_filename(HUGE_PAGES, size, name, NULL);
	g_autofree char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? strtoull(text, NULL, 10) : 0;
}

/* The sum over all file systems with pages of that size: the kernel's own mount has one a size. */
static uint64_t sum_of_pool(const struct making *making, const char *kind, uint64_t huge_page)
{
	uint64_t sum = 0;

	for (guint i = 0; i < making->whole->len; i++) {
		const struct memory_part *whole =
			&g_array_index(making->whole, struct memory_part, i);

		if (whole->huge_page == huge_page)
			sum += sum_of(making, kind, whole->dev, false);
	}
	return sum;
}

/* Of each hugetlbfs with pages of that size, what no kind has: the files of its users. */
static int64_t write_huge_files(struct making *making, const char *mounts, const char *size,
	uint64_t huge_page)
{
	int64_t sum = 0;

	for (guint i = 0; i < making->whole->len; i++) {
		const struct memory_part *whole =
			&g_array_index(making->whole, struct memory_part, i);
		int64_t rest = whole->resident - sum_of(making, NULL, whole->dev, false);
		g_autofree char *name = NULL;

		if (whole->huge_page != huge_page || rest == 0)
			continue;
		name = name_of("hugetlbfs", mounts, whole->dev);
		write_row(making->out, size, name, rest);
		sum += rest;
	}
	return sum;
}

static void write_pool(struct making *making, const char *mounts, const char *size,
	uint64_t huge_page)
{
	uint64_t all = read_number(size, "nr_hugepages");
	uint64_t free = MIN(read_number(size, "free_hugepages"), all);
	int64_t left = (all - free) * huge_page;

	if (all == 0)
		return;
	write_row(making->out, size, "used", left);
	for (size_t i = 0; i < G_N_ELEMENTS(huge_kinds); i++) {
		uint64_t bytes = sum_of_pool(making, huge_kinds[i], huge_page);

		write_row(making->out, size, huge_kinds[i], bytes);
		left -= bytes;
	}
	left -= write_huge_files(making, mounts, size, huge_page);
	write_row(making->out, size, "free", free * huge_page);
	write_row(making->out, size, "unexplained", left);
}

/* Pages of a pool that somebody has; they are no part of Shmem. */
static void write_huge_pages(struct making *making, const char *mounts)
{
	g_autoptr(GDir) dir = g_dir_open(HUGE_PAGES, 0, NULL);
	const char *size;
	uint64_t kib;

	while (dir && (size = g_dir_read_name(dir)))
		if (sscanf(size, "hugepages-%" SCNu64 "kB", &kib) == 1)
			write_pool(making, mounts, size, kib * 1024);
}

/* Of each tmpfs, the kernel's own mount too, what no kind above has. */
static int64_t write_others(struct making *making, const char *mounts)
{
	int64_t sum = 0;

	for (guint i = 0; i < making->whole->len; i++) {
		const struct memory_part *whole =
			&g_array_index(making->whole, struct memory_part, i);
		bool shown = whole->dev == making->realm->shm_dev ||
			whole->dev == making->realm->internal_dev;
		int64_t rest =
			whole->resident - (shown ? sum_of(making, NULL, whole->dev, false) : 0);
		g_autofree char *name = NULL;

		if (whole->huge || rest == 0)
			continue;
		name = tmpfs_name(making, mounts, whole->dev);
		write_row(making->out, "Shmem", name, rest);
		sum += rest;
	}
	return sum;
}

static int64_t write_kinds(struct making *making, const char *const *names, size_t n, uint64_t dev)
{
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t bytes = sum_of(making, names[i], dev, false);

		write_row(making->out, "Shmem", names[i], bytes);
		sum += bytes;
	}
	return sum;
}

static void write_shmem(struct making *making, const char *mounts, uint64_t total)
{
	const struct realm *realm = making->realm;
	int64_t left = total;

	write_row(making->out, "Shmem", "total", total);
	left -= write_kinds(making, tmpfs_kinds, G_N_ELEMENTS(tmpfs_kinds), realm->shm_dev);
	left -= write_kinds(making, internal_kinds, G_N_ELEMENTS(internal_kinds),
		realm->internal_dev);
	left -= write_others(making, mounts);
	write_row(making->out, "Shmem", "unexplained", left);
}

int memory_show(const struct view *view, GString *out)
{
	g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(struct memory_part));
	g_autoptr(GArray) whole = g_array_new(FALSE, FALSE, sizeof(struct memory_part));
	struct making making = { view->realm, &view->caller, view->budget, parts, whole, out };
	g_autofree char *path = g_build_filename(view->realm->proc, "meminfo", NULL);
	g_autofree char *text = NULL, *mounts = read_mounts(&making);
	g_autoptr(GString) remarks = g_string_new(NULL);
	int r = take_parts(&making, remarks);
	uint64_t total;

	if (r < 0)
		return r;
	g_string_append(out, "OF\tPART\tBYTES\n");
	write_tmpfs(&making);
	write_huge_pages(&making, mounts);
	if (g_file_get_contents(path, &text, NULL, NULL) &&
		memory_parse_meminfo(text, "Shmem", &total))
		write_shmem(&making, mounts, total);
	g_string_append_len(out, remarks->str, remarks->len);
	return 0;
}
