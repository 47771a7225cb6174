/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "list/list.h"

#include "daemon/log.h"
#include "list/output.h"
#include "views/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool list_wanted(int argc, char **argv)
{
	static const char *const others[] = { "-h", "--help", "-V", "--version", NULL };
	bool wanted = false;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (g_strv_contains(others, argv[i]))
			return false;
		wanted = wanted || strcmp(argv[i], "--list") == 0;
	}
	return wanted;
}

/* On standard error, whatever the form of the rows. */
static void say_what_is_missing(const struct segments *segments)
{
	g_autofree char *line = g_strdup(segments_incomplete_line(segments));

	g_strchomp(line);
	if (*line)
		log_line("%s", line + strspn(line, "# "));
}

/* How much of the tmpfs is used, of its bytes and of its inodes, in per cent; the larger one. */
static double percent_used(const struct limit *limits, size_t n, const char **of)
{
	double most = 0;

	for (const struct limit *limit = limits; limit < limits + n; limit++) {
		double percent = 0;

		if (!g_str_has_prefix(limit->resource, "TMPFS_") || limit->limit == LIMIT_NONE ||
			limit->limit == 0)
			continue;
		percent = 100.0 * (double)limit->used / (double)limit->limit;
		if (percent > most)
			*of = limit->of == LIMIT_BYTES ? "bytes" : "inodes";
		most = MAX(most, percent);
	}
	return most;
}

/* UINT64_MAX where the tmpfs has no limit, and then does not tell. */
static uint64_t bytes_used(const struct limit *limits, size_t n)
{
	for (const struct limit *limit = limits; limit < limits + n; limit++)
		if (g_str_equal(limit->resource, "TMPFS_BYTES"))
			return limit->used;
	return LIMIT_NONE;
}

/* The exit status: of a tmpfs that is fuller than it may be, after a line that says so. */
static int check_limit(const struct fs *fs, const struct list_request *request)
{
	struct limit limits[LIMITS_MAX];
	unsigned unread;
	size_t n = limits_read(&fs->realm, limits, &unread);
	uint64_t used = bytes_used(limits, n);
	const char *of = "";

	/* Those of the tmpfs come first. */
	if (unread > 0 && (n == 0 || !g_str_has_prefix(limits[0].resource, "TMPFS_")) &&
		(request->bytes >= 0 || request->percent > 0)) {
		log_line("how much of %s is used could not be read", fs->options.source);
		return EXIT_FAILURE;
	}
	if (request->bytes >= 0 && used == LIMIT_NONE) {
		log_line("%s has no limit, and does not tell how much of it is used",
			fs->options.source);
		return EXIT_FAILURE;
	}
	if (request->bytes >= 0 && used > (uint64_t)request->bytes) {
		log_line("%s: %" PRIu64 " bytes are used, more than %" PRId64, fs->options.source,
			used, request->bytes);
		return LIST_OVER_LIMIT;
	}
	if (request->percent > 0 && percent_used(limits, n, &of) > request->percent) {
		log_line("%s: %.1f%% of its %s are used, more than %g%%", fs->options.source,
			percent_used(limits, n, &of), of, request->percent);
		return LIST_OVER_LIMIT;
	}
	return EXIT_SUCCESS;
}

static int list(struct fs *fs, const struct list_request *request)
{
	const struct caller self = { getuid(), getgid(), getpid() };
	struct segments *segments;
	struct timespec now;
	int r;

	if (fs_open_source(fs) < 0 || fs_start_census(fs) < 0)
		return EXIT_FAILURE;
	r = segments_take_full(&fs->realm, &self, NULL, &segments);
	if (r < 0) {
		log_line("the segments cannot be listed: %s", g_strerror(-r));
		return EXIT_FAILURE;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	segments_sort(segments);
	r = list_output(request, segments, &now);
	say_what_is_missing(segments);
	segments_free(segments);
	if (r < 0) {
		log_line("standard output: %s", g_strerror(-r));
		return EXIT_FAILURE;
	}
	return check_limit(fs, request);
}

int list_main(struct fs *fs, int argc, char **argv)
{
	struct list_request request;
	int status = EXIT_FAILURE;

	if (list_request_parse(argc, argv, &request, &fs->options) == 0)
		status = list(fs, &request);
	list_request_clear(&request);
	return status;
}
