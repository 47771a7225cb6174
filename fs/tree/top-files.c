/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes the files directly under .shmtree. */
#include "tree/top-files.h"

#include "base/fdpath.h"
#include "events/events.h"
#include "kinds/realms.h"
#include "views/event-rows.h"
#include "serve/event-stream.h"
#include "views/dot.h"
#include "views/fault-rows.h"
#include "views/limits.h"
#include "views/memory.h"
#include "views/openmetrics.h"
#include "views/openmetrics-segments.h"
#include "views/processes.h"
#include "views/report.h"
#include "views/unreadable.h"
#include "views/segments-format.h"

#include <inttypes.h>
#include <string.h>

static const char readme[] =
	"This is the shared memory of this machine, as files. (shmtree " SHMTREE_VERSION ")\n"
	"\n"
	"The directory above holds the POSIX shared memory objects: creating, resizing, reading,\n"
	"writing, mapping and deleting a file there is shm_open, ftruncate, mmap and shm_unlink.\n"
	"This directory tells who uses them, and shows the segments that have no name there.\n"
	"\n"
	"  status          the daemon: how data and counts are got, and what it cannot see\n"
	"  unreadable      processes that could not be read, and why\n"
	"  segments        a table of all segments, one row each; tab-separated\n"
	"  segments.json   the same and more, as JSON; segments.jsonl: one object a line\n"
	"  metrics         sums and limits for Prometheus; metrics.segments: all segments\n"
	"  report.html     a page to look at: open a copy; graph.dot: the same for Graphviz\n"
	"  processes       who uses shared memory, one row each; cgroups: the same by control "
	"group\n"
	"  faults          who got SIGBUS from a segment, and why; also as .json\n"
	"  posix/NAME/     facts about one object, one value a file:\n"
	"    mappings      how many times it is mapped, in all address spaces\n"
	"    processes     how many address spaces map it\n"
	"    openers       how many descriptors refer to it\n"
	"    resident      bytes of it in memory; swapped: bytes in swap\n"
	"    references    open files that the kernel counts for it; hidden: those of them that\n"
	"                  no process shows: in a socket, io_uring, a loop device\n"
	"    state         mapped; open (a descriptor only); held (by what no process shows);\n"
	"                  idle (proven: nothing has it); unknown (there is no proof)\n"
	"    mappers       a row for each mapping: who, where; holders: for each descriptor\n"
	"    last          who used it last; charged: bytes by the memory cgroup that pays\n"
	"    data          the bytes; info.json: all the facts but charged\n"
	"  sysv/SHMID/     the same for a System V segment, with nattch, creator, status ...\n"
	"  unlinked/ID/    the same for memfds, anonymous memory, and deleted objects in use\n"
	"  nested/INODE/   the same for files in directories below the tmpfs\n"
	"  mqueue/ msg/ sem/   message queues and semaphore sets, as lsipc shows them\n"
	"  idle/           those of posix, sysv, mqueue, msg and sem that nothing uses, as empty\n"
	"                  directories; the time of each is since when, as far as is known\n"
	"  memory          does it add up? Shmem and the tmpfs by kind, and what stays "
	"unexplained\n"
	"  events, log     what happens, as it happens (JSON; reading waits), and the last of it\n"
	"  limits          what the machine allows, and how much of it is used\n"
	"  namespaces/     the segments of containers and the like, for root\n"
	"\n"
	"Try:\n"
	"  column -t -s \"$(printf '\\t')\" segments\n"
	"  grep . posix/*/mappings\n"
	"  dot -Tsvg graph.dot >/tmp/shm.svg\n"
	"  rmdir posix/NAME          removes the object if nothing uses it; rm ../NAME in any "
	"case\n"
	"  rmdir sysv/SHMID          removes the segment if nothing uses it; ipcrm -m in any case\n"
	"  rmdir idle/posix/*        removes what nothing uses; ls idle/posix shows what that is\n"
	"  mkdir sysv/KEY:SIZE       creates one: 0x1234:64K, private:1M\n"
	"  cp unlinked/ID/data FILE  rescues a deleted object\n"
	"\n"
	"A file's content is made when it is opened. See shmtree(8).\n";

static int show_readme(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs, (void)view;
	g_string_append(out->text, readme);
	return 0;
}

/* Counts the entries of SOURCE that are no objects, and tells whether one has the reserved name. */
static void count_hidden(struct fs *fs, unsigned *hidden, bool *reserved)
{
	g_autofree char *path = g_strdup(fd_path(fs->shm_fd).text);
	GDir *dir = g_dir_open(path, 0, NULL);
	struct stat st;
	const char *name;

	*hidden = 0;
	*reserved = false;
	while (dir && (name = g_dir_read_name(dir))) {
		if (strcmp(name, TREE_NAME) == 0)
			*reserved = true;
		else if (fstatat(fs->shm_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			!S_ISREG(st.st_mode))
			++*hidden;
	}
	if (dir)
		g_dir_close(dir);
}

static void show_data_path(struct fs *fs, GString *out)
{
	g_string_append_printf(out, "data_path\t%s\n", fs->passthrough ? "passthrough" : "direct");
	if (!fs->passthrough)
		g_string_append_printf(out, "data_path_reason\t%s\n", fs->passthrough_missing);
	else
		g_string_append_printf(out, "passthrough_failures\t%d\n",
			g_atomic_int_get(&fs->passthrough_failures));
}

static void show_permissions(struct fs *fs, GString *out)
{
	g_string_append_printf(out, "permissions\t%s\n", fs->kernel_permits ? "kernel" : "daemon");
	if (fs->daemon_permits_not)
		g_string_append_printf(out, "permissions_reason\t%s\n", fs->daemon_permits_not);
}

static void show_events(struct fs *fs, GString *out)
{
	const char *missing = events_missing(fs->events);

	g_string_append_printf(out, "events\t%s\nevent_readers\t%u\n",
		events_on(fs->events) ? "on" : "off", event_streams_readers(fs));
	if (missing)
		g_string_append_printf(out, "events_reason\t%s\n", missing);
}

static void show_census(const struct census_report *report, GString *out)
{
	g_string_append_printf(out, "census\t%s\n", report->backend);
	if (report->why_not_better)
		g_string_append_printf(out, "census_reason\t%s\n", report->why_not_better);
	g_string_append_printf(out,
		"census_passes\t%" PRIu64 "\ncensus_last_time\t%" PRId64
		"\ncensus_last_ns\t%" PRIu64 "\naddress_spaces\t%" PRIu64
		"\naddress_spaces_reread\t%" PRIu64 "\naddress_spaces_inconsistent\t%" PRIu64
		"\nunreadable_processes\t%" PRIu64 "\n",
		report->passes, report->last_pass_time, report->last_pass_ns, report->spaces,
		report->reread, report->inconsistent, report->unreadable);
	if (report->incomplete_view)
		g_string_append_printf(out, "invisible_processes\t%s\n", report->incomplete_view);
	g_string_append_printf(out, "object_census\t%s\n", report->objects ? "on" : "off");
	if (report->why_no_objects)
		g_string_append_printf(out, "object_census_reason\t%s\n", report->why_no_objects);
}

static void show_whether_faults(struct fs *fs, GString *out)
{
	const char *why_not = faults_why_not(fs->faults);

	g_string_append_printf(out, "faults\t%s\n", why_not ? "off" : "on");
	if (why_not)
		g_string_append_printf(out, "faults_reason\t%s\n", why_not);
}

/* Tells how many foreign realms there are, which `segments` and the totals leave out. */
static void show_namespaces(const struct realm *realm, GString *out)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct foreign_realm));
	unsigned unreadable = 0, counts[] = { [REALM_IPC] = 0, [REALM_SHM] = 0 };

	if (realms_find(realm, all, &unreadable) < 0)
		return;
	for (guint i = 0; i < all->len; i++)
		counts[g_array_index(all, struct foreign_realm, i).type]++;
	g_string_append_printf(out,
		"other_ipc_namespaces\t%u\nother_shm_directories\t%u\nprocesses_in_unknown_"
		"namespaces\t%u\n",
		counts[REALM_IPC], counts[REALM_SHM], unreadable);
}

static void show_total(const struct segments_total *total, void *data)
{
	g_string_append_printf(data,
		"%s_segments\t%" PRIu64 "\n%s_size\t%" PRIu64 "\n%s_allocated\t%" PRIu64 "\n",
		total->label, total->segments, total->label, total->size, total->label,
		total->allocated);
}

static void add_hidden(const struct segments_total *total, void *data)
{
	*(uint64_t *)data += total->hidden;
}

/* References that no process shows, and where those are that can be found. */
struct hidden {
	const struct realm *realm;
	uint64_t references;
	struct hidden_sums sums;
};

static void find_hidden(const struct segments *segments, void *data)
{
	struct hidden *hidden = data;

	segments_each_total(segments, add_hidden, &hidden->references);
	if (hidden->references > 0)
		hidden->sums = census_hidden_sums(hidden->realm->census, hidden->realm->shm_dev);
}

static void show_hidden(const struct hidden *hidden, GString *out)
{
	g_string_append_printf(out,
		"hidden_references\t%" PRIu64 "\nhidden_in_flight\t%" PRIu64
		"\nhidden_io_uring\t%" PRIu64 "\nhidden_loop\t%" PRIu64 "\n",
		hidden->references, hidden->sums.sockets, hidden->sums.rings, hidden->sums.loops);
}

#define UNPRIVILEGED                                                                               \
	"unprivileged: processes of others cannot be read, nor the data of System V segments and " \
	"of "                                                                                      \
	"what has no name and is only mapped"

static void show_objects(struct fs *fs, GString *out)
{
	unsigned others;
	bool reserved;

	count_hidden(fs, &others, &reserved);
	g_string_append_printf(out, "not_objects\t%u\n", others);
	if (reserved)
		g_string_append(out,
			"reserved_name\tan object named " TREE_NAME
			" exists; it is not shown, rename it to see it\n");
}

static void show_user_limits(struct fs *fs, GString *out)
{
	g_string_append_printf(out,
		"user_descriptors_limit\t%" PRIu64 "\nuser_listings_limit\t%" PRIu64
		"\nuser_listing_bytes_limit\t%" PRIu64 "\n",
		charges_limit(fs->charges, CHARGE_DESCRIPTORS),
		charges_limit(fs->charges, CHARGE_LISTINGS),
		charges_limit(fs->charges, CHARGE_BYTES));
}

static int show_status(struct fs *fs, const struct view *view, struct content *out)
{
	struct hidden hidden = { .realm = view->realm };
	const struct segments_also also = { .end = find_hidden, .data = &hidden };
	struct segments *segments;
	GString *text = out->text;
	int r = segments_take(view->realm, view->budget, &also, &segments);

	if (r < 0)
		return r;
	g_string_append(text, "version\t" SHMTREE_VERSION "\n");
	g_string_append_printf(text, "pid\t%d\nsource\t%s\nuser\t%s\n", getpid(),
		fs->options.source, geteuid() == 0 ? "root" : UNPRIVILEGED);
	show_data_path(fs, text);
	show_permissions(fs, text);
	show_events(fs, text);
	show_census(segments_report(segments), text);
	show_whether_faults(fs, text);
	g_string_append_printf(text, "census_interval\t%g\n", fs->options.census_interval);
	show_objects(fs, text);
	show_user_limits(fs, text);
	segments_each_total(segments, show_total, text);
	show_hidden(&hidden, text);
	if (segments_failures(segments) > 0)
		g_string_append_printf(text, "unlisted_kinds\t%u\n", segments_failures(segments));
	show_namespaces(view->realm, text);
	segments_free(segments);
	return 0;
}

static int show_segments(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	return segments_view(view->realm, &view->caller, SEGMENTS_TABLE, view->budget, &out->rows);
}

static int show_segments_json(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	return segments_view(view->realm, &view->caller, SEGMENTS_JSON, view->budget, &out->rows);
}

static int show_segments_json_lines(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	return segments_view(view->realm, &view->caller, SEGMENTS_JSON_LINES, view->budget,
		&out->rows);
}

static int show_metrics(struct fs *fs, const struct view *view, struct content *out)
{
	return openmetrics_show(view->realm, fs->faults, fs->options.metrics_segments, view->budget,
		out->text);
}

static int show_metrics_segments(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	return openmetrics_segments(view->realm, view->budget, &out->rows);
}

static int show_graph(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	return dot_take(view->realm, &view->caller, view->budget, &out->rows);
}

static int show_report(struct fs *fs, const struct view *view, struct content *out)
{
	return report_take(view->realm, fs->options.source, &view->caller, view->budget,
		&out->rows);
}

static int show_processes(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	return processes_take(view->realm, &view->caller, PROCESSES_TABLE, view->budget,
		&out->rows);
}

static int show_processes_json(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	return processes_take(view->realm, &view->caller, PROCESSES_JSON, view->budget, &out->rows);
}

static int show_cgroups(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	return processes_take(view->realm, &view->caller, CGROUPS_TABLE, view->budget, &out->rows);
}

static int show_cgroups_json(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	return processes_take(view->realm, &view->caller, CGROUPS_JSON, view->budget, &out->rows);
}

static int show_memory(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	return memory_show(view, out->text);
}

static int show_unreadable(struct fs *fs, const struct view *view, struct content *out)
{
	(void)fs;
	unreadable_show(view, out->text);
	return 0;
}

static int show_faults(struct fs *fs, const struct view *view, struct content *out)
{
	fault_rows_show(view, fs->faults, out->text);
	return 0;
}

static int show_faults_json(struct fs *fs, const struct view *view, struct content *out)
{
	fault_rows_json(view, fs->faults, out->text);
	return 0;
}

static int show_limits(struct fs *fs, const struct view *view, struct content *out)
{
	struct limit limits[LIMITS_MAX];
	unsigned unread;
	size_t n = limits_read(view->realm, limits, &unread);

	(void)fs;
	limits_format(limits, n, unread, out->text);
	return 0;
}

static bool has_log(const struct fs *fs)
{
	return fs->options.log > 0;
}

/* So many bytes of text are charged at a time. */
#define LOG_PIECE (256 * 1024)

static int show_log(struct fs *fs, const struct view *view, struct content *out)
{
	struct event_ring *ring = events_ring(fs->events);
	struct event_cursor cursor = event_ring_back(ring, fs->options.log);
	const uint64_t until = cursor.number + fs->options.log; /* more may come meanwhile */

	while (budget_use(view->budget, LOG_PIECE) &&
		event_rows_append(ring, &cursor, until, &view->caller, out->text->len + LOG_PIECE,
			out->text))
		;
	return view->budget->error;
}

const struct tree_entry tree_files[] = {
	{ TREE_FILE, "README", .show = show_readme },
	{ TREE_FILE, "status", .for_all = true, .show = show_status },
	{ TREE_FILE, "unreadable", .needs = CENSUS_ALL, .show = show_unreadable },
	{ TREE_FILE, "segments", .names = true, .each_realm = true, .for_all = true,
		.show = show_segments },
	{ TREE_FILE, "segments.json", .names = true, .each_realm = true,
		.show = show_segments_json },
	{ TREE_FILE, "segments.jsonl", .names = true, .each_realm = true,
		.show = show_segments_json_lines },
	{ TREE_FILE, "metrics", .names = true, .for_all = true, .show = show_metrics },
	{ TREE_FILE, "metrics.segments", .names = true, .for_all = true,
		.show = show_metrics_segments },
	{ TREE_FILE, "graph.dot", .names = true, .show = show_graph },
	{ TREE_FILE, "report.html", .names = true, .show = show_report },
	{ TREE_FILE, "memory", .show = show_memory },
	{ TREE_FILE, "processes", .show = show_processes },
	{ TREE_FILE, "processes.json", .show = show_processes_json },
	{ TREE_FILE, "cgroups", .show = show_cgroups },
	{ TREE_FILE, "cgroups.json", .show = show_cgroups_json },
	{ TREE_FILE, "faults", .show = show_faults },
	{ TREE_FILE, "faults.json", .show = show_faults_json },
	{ TREE_FILE, "limits", .each_realm = true, .show = show_limits },
	{ TREE_FILE, "events", .names = true, .stream = true },
	{ TREE_FILE, "log", .names = true, .present = has_log, .show = show_log },
	{ 0 },
};
