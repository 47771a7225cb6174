/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two back ends that read every process in each pass; they read /proc/PID/maps differently. */
#include "census/scan/scan.h"

#include <fcntl.h>

static int pass(void *state, struct spaces *spaces, unsigned facets, struct census_tally *tally)
{
	return scan_pass(state, spaces, facets, tally);
}

static int open_text(const struct census_source *source, void **out, const char **why)
{
	(void)why;
	*out = scan_new(source, maps_text_read);
	return 0;
}

static int open_query(const struct census_source *source, void **out, const char **why)
{
	g_autofree char *path = g_build_filename(proc_prefix(source->proc), "self/maps", NULL);
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	int error = fd < 0 ? -errno : maps_query_probe(fd);

	if (!proc_is_live(source->proc)) {
		*why = "it needs a live procfs, and this is not one";
		return -EOPNOTSUPP;
	}
	if (error == -ENOTTY)
		*why = "the kernel has no PROCMAP_QUERY (Linux 6.11)";
	if (error)
		return error;
	*out = scan_new(source, maps_query_read);
	return 0;
}

const struct census_backend census_backend_query = {
	.name = "query",
	.open = open_query,
	.pass = pass,
	.caveat = scan_caveat,
	.incomplete_view = scan_incomplete_view,
	.free = scan_free,
};

const struct census_backend census_backend_text = {
	.name = "text",
	.open = open_text,
	.pass = pass,
	.caveat = scan_caveat,
	.incomplete_view = scan_incomplete_view,
	.free = scan_free,
};
