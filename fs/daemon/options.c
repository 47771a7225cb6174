/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/options.h"

#include "daemon/log.h"
#include "views/openmetrics.h"

#include <fuse_opt.h>
#include <errno.h>
#include <glib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_SOURCE "/dev/shm"
#define DEFAULT_LABEL "shmtree"

/* Each costs a stack, and more than there are processors are of no use. */
#define MAX_THREADS 256

/* `metrics` is made in memory as a whole. */
#define MAX_METRICS_SEGMENTS 10000

/* Events in `log`: without a number, and at most. */
#define LOG_EVENTS 10000
#define LOG_EVENTS_MAX 100000

/* What fuse_opt_parse() fills; strings are malloc'ed by libfuse. */
struct raw {
	int io_uring; /* given: libfuse would take it */
	char *census;
	char *object_census;
	char *passthrough;
	char *permissions;
	char *proc;
	char *census_interval;
	char *attr_timeout;
	char *entry_timeout;
	char *max_threads;
	char *log_events;
	int log; /* asked for */
	char *metrics_segments;
	int watch;
	GPtrArray *paths; /* of char *: SOURCE and MOUNTPOINT */
	bool helper;      /* called as mount.fuse.shmtree by mount(8) */
	bool fake;        /* mount -f: everything but the mount itself */
};

#define OPTION(template, field)                                                                    \
	{                                                                                          \
		template, offsetof(struct raw, field), 0                                           \
	}
enum { KEY_IGNORE, KEY_SLOPPY, KEY_FAKE };

static const struct fuse_opt option_spec[] = {
	OPTION("census=%s", census),
	OPTION("object_census=%s", object_census),
	OPTION("passthrough=%s", passthrough),
	OPTION("permissions=%s", permissions),
	OPTION("proc=%s", proc),
	OPTION("census_interval=%s", census_interval),
	OPTION("attr_timeout=%s", attr_timeout),
	OPTION("entry_timeout=%s", entry_timeout),
	OPTION("max_threads=%s", max_threads),
	OPTION("log=%s", log_events),
	{ "log", offsetof(struct raw, log), 1 },
	OPTION("metrics_segments=%s", metrics_segments),
	{ "watch", offsetof(struct raw, watch), 1 },       /* refused */
	{ "io_uring", offsetof(struct raw, io_uring), 1 }, /* refused, as the next */
	{ "io_uring_q_depth=", offsetof(struct raw, io_uring), 1 },
	FUSE_OPT_END,
};

/* Those that say how processes and objects are counted, without a mount too. */
static const struct fuse_opt look_spec[] = {
	OPTION("census=%s", census),
	OPTION("object_census=%s", object_census),
	OPTION("proc=%s", proc),
	FUSE_OPT_END,
};

/* What fstab(5) may hold for mount(8) and systemd, none of it for the daemon. */
static const struct fuse_opt helper_spec[] = {
	FUSE_OPT_KEY("-s", KEY_IGNORE),
	FUSE_OPT_KEY("-n", KEY_IGNORE),
	FUSE_OPT_KEY("-v", KEY_IGNORE),
	FUSE_OPT_KEY("-w", KEY_IGNORE),
	FUSE_OPT_KEY("-f", KEY_FAKE),
	FUSE_OPT_KEY("-t ", KEY_IGNORE),
	FUSE_OPT_KEY("defaults", KEY_IGNORE),
	FUSE_OPT_KEY("auto", KEY_IGNORE),
	FUSE_OPT_KEY("noauto", KEY_IGNORE),
	FUSE_OPT_KEY("nofail", KEY_IGNORE),
	FUSE_OPT_KEY("user", KEY_IGNORE),
	FUSE_OPT_KEY("nouser", KEY_IGNORE),
	FUSE_OPT_KEY("users", KEY_IGNORE),
	FUSE_OPT_KEY("user=", KEY_IGNORE),
	FUSE_OPT_KEY("_netdev", KEY_IGNORE),
	FUSE_OPT_KEY("comment=", KEY_IGNORE),
	FUSE_OPT_KEY("x-", KEY_IGNORE),
	FUSE_OPT_KEY("X-", KEY_IGNORE),
	FUSE_OPT_END,
};

static int process_option(void *data, const char *arg, int key, struct fuse_args *outargs)
{
	struct raw *raw = data;

	(void)outargs;
	if (key == FUSE_OPT_KEY_NONOPT) {
		g_ptr_array_add(raw->paths, g_strdup(arg));
		return 0;
	}
	return 1;
}

static int process_helper_option(void *data, const char *arg, int key, struct fuse_args *outargs)
{
	struct raw *raw = data;

	(void)outargs;
	if (key == KEY_FAKE)
		raw->fake = true;
	if (key == KEY_IGNORE || key == KEY_FAKE)
		return 0;
	/* fuse_opt matches "x-" only whole; comments of mount(8) carry a tail. */
	if (key == FUSE_OPT_KEY_OPT && (g_str_has_prefix(arg, "x-") || g_str_has_prefix(arg, "X-")))
		return 0;
	return 1;
}

static void print_help(void)
{
	printf("usage: shmtree [SOURCE] MOUNTPOINT [options]\n"
	       "       shmtree --list [SOURCE] [options]\n"
	       "\n"
	       "Mounts the shared memory of this machine as a tree of files. SOURCE is the tmpfs\n"
	       "directory that holds the POSIX objects (" DEFAULT_SOURCE ").\n"
	       "\n"
	       "    -o census=auto|bpf|query|text  how mappings are counted (auto)\n"
	       "    -o object_census=auto|off      ask the kernel what it counts on each object "
	       "(auto)\n"
	       "    -o passthrough=auto|off        let the kernel serve data (auto)\n"
	       "    -o permissions=kernel|daemon   who checks them; the daemon: a third of the "
	       "requests less (kernel)\n"
	       "    -o proc=DIR                    the procfs to read (/proc)\n"
	       "    -o census_interval=SECONDS     count that often without being asked (0: "
	       "never)\n"
	       "    -o attr_timeout=SECONDS        cache attributes that long (0)\n"
	       "    -o entry_timeout=SECONDS       cache names that long (0)\n"
	       "    -o log[=N]                     keep the last N events, of all that happens "
	       "(10000)\n"
	       "    -o metrics_segments=NUMBER     how many segments `metrics` has one by one "
	       "(50)\n"
	       "\n"
	       "    --list                 print the segments without a mount; of -o it takes "
	       "census,\n"
	       "                           object_census and proc\n"
	       "    --json                 as JSON\n"
	       "    --human                for people: aligned, names of users, units\n"
	       "    --columns=NAMES        these columns, separated by commas\n"
	       "    --sort=[-]COLUMN       in this order: large numbers first; -: the other way "
	       "round\n"
	       "    --where=CONDITIONS     those that meet all: "
	       "STATE=idle,AGE>1h,SIZE>=10M,NAME=psm_*\n"
	       "    --fail-over=LIMIT      exit status 2 if the tmpfs is fuller: 90%%, 500M\n"
	       "\n");
	fuse_cmdline_help();
	fuse_lowlevel_help();
}

static void print_version(void)
{
	printf("shmtree " SHMTREE_VERSION "\nlibfuse %s\n", fuse_pkgversion());
	printf("census by BPF: %s\n", census_has_bpf() ? "built in" : "not built in");
	fflush(stdout); /* libfuse has fusermount3 tell its own version */
	fuse_lowlevel_version();
}

/* Says which option is wrong and what it takes. */
static int invalid(const char *option, const char *value, const char *allowed)
{
	log_line("invalid option %s=%s: %s", option, value, allowed);
	return -EINVAL;
}

static int choose_census(const char *value, enum census_backend_choice *out)
{
	for (enum census_backend_choice i = CENSUS_AUTO; value && i <= CENSUS_TEXT; i++) {
		if (strcmp(value, census_choice_name(i)) == 0) {
			*out = i;
			return 0;
		}
	}
	return value ? invalid("census", value, "use auto, bpf, query or text") : 0;
}

/* "auto" leaves it on. */
static int choose_switch(const char *option, const char *value, bool *out)
{
	*out = !value || strcmp(value, "auto") == 0;
	return *out || strcmp(value, "off") == 0 ? 0 : invalid(option, value, "use auto or off");
}

static int choose_permissions(const char *value, bool *daemon)
{
	*daemon = value && strcmp(value, "daemon") == 0;
	return !value || *daemon || strcmp(value, "kernel") == 0 ?
		0 :
		invalid("permissions", value, "use kernel or daemon");
}

static int choose_timeout(const char *option, const char *value, double *out)
{
	char *end;

	*out = 0;
	if (!value)
		return 0;
	*out = g_ascii_strtod(value, &end);
	if (end == value || *end || !isfinite(*out) || *out < 0)
		return invalid(option, value, "use a number of seconds, 0 or more");
	return 0;
}

/* To look all the time would keep a processor busy for nothing. */
#define MIN_INTERVAL 0.1
#define MAX_INTERVAL 86400

static int choose_interval(const char *value, double *out)
{
	static const char allowed[] = "use 0, or a number of seconds from " G_STRINGIFY(
		MIN_INTERVAL) " to " G_STRINGIFY(MAX_INTERVAL);
	char *end;

	*out = 0;
	if (!value)
		return 0;
	*out = g_ascii_strtod(value, &end);
	if (end == value || *end || *out < 0 || (*out > 0 && *out < MIN_INTERVAL) ||
		!(*out <= MAX_INTERVAL))
		return invalid("census_interval", value, allowed);
	return 0;
}

/* A number from `least` to `most`; `otherwise` where none is given. */
static int choose_number(const char *option, const char *value, unsigned least, unsigned most,
	unsigned otherwise, unsigned *out)
{
	guint64 number = otherwise;

	if (value && !g_ascii_string_to_unsigned(value, 10, least, most, &number, NULL)) {
		g_autofree char *allowed =
			g_strdup_printf("use a number from %u to %u", least, most);

		return invalid(option, value, allowed);
	}
	*out = number;
	return 0;
}

static int choose_log(const struct raw *raw, unsigned *out)
{
	guint64 events = raw->log ? LOG_EVENTS : 0;

	if (raw->log_events &&
		!g_ascii_string_to_unsigned(raw->log_events, 10, 1, LOG_EVENTS_MAX, &events, NULL))
		return invalid("log", raw->log_events,
			"use a number from 1 to " G_STRINGIFY(LOG_EVENTS_MAX));
	*out = events;
	return 0;
}

/* Whether the directory lists any process. */
static bool is_procfs(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (strspn(name, "0123456789") == strlen(name))
			return true;
	return false;
}

static int choose_proc(const char *value, char **out)
{
	*out = g_strdup(value ? value : "/proc");
	return !value || is_procfs(value) ?
		0 :
		invalid("proc", value, "it is no procfs; name a directory where one is mounted");
}

static int refuse_io_uring(bool given)
{
	if (!given)
		return 0;
	log_line("invalid option io_uring: requests come by /dev/fuse; leave it out");
	return -EINVAL;
}

static int choose_values(const struct raw *raw, struct options *out)
{
	if (refuse_io_uring(raw->io_uring) < 0 || choose_census(raw->census, &out->census) < 0 ||
		choose_switch("passthrough", raw->passthrough, &out->passthrough) < 0 ||
		choose_permissions(raw->permissions, &out->daemon_permissions) < 0 ||
		choose_switch("object_census", raw->object_census, &out->object_census) < 0 ||
		choose_timeout("attr_timeout", raw->attr_timeout, &out->attr_timeout) < 0 ||
		choose_timeout("entry_timeout", raw->entry_timeout, &out->entry_timeout) < 0 ||
		choose_interval(raw->census_interval, &out->census_interval) < 0 ||
		choose_log(raw, &out->log) < 0 ||
		choose_number("max_threads", raw->max_threads, 1, MAX_THREADS, 0,
			&out->max_threads) < 0 ||
		choose_number("metrics_segments", raw->metrics_segments, 0, MAX_METRICS_SEGMENTS,
			OPENMETRICS_LARGEST, &out->metrics_segments) < 0 ||
		choose_proc(raw->proc, &out->proc) < 0)
		return -EINVAL;
	if (raw->watch) {
		log_line("invalid option watch: it kept names that could mislead, and is no more; "
			 "permissions=daemon saves requests without that");
		return -EINVAL;
	}
	return 0;
}

/*
 * What is left after ours must be libfuse's or the kernel's: a session that is made for nothing else
 * tells, before anything else can fail.
 */
static int check_others(const struct fuse_args *args)
{
	static const struct fuse_lowlevel_ops no_ops;
	struct fuse_args copy = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session;

	for (int i = 0; i < args->argc; i++)
		fuse_opt_add_arg(&copy, args->argv[i]);
	session = fuse_session_new(&copy, &no_ops, sizeof no_ops, NULL);
	fuse_opt_free_args(&copy);
	if (!session)
		return -EINVAL;
	fuse_session_destroy(session);
	return 0;
}

/*
 * One path is the mount point, two are the source and the mount point. fstab(5) wants a first
 * field whatever it means, so that from mount(8) a source which is no path ("shmtree", "none") is
 * a label.
 *
 * The list of mounts shows the label or path that was given: `mount -a` compares it with fstab(5).
 * The default is no path, because systemd takes every source below /dev for a device.
 */
static int choose_paths(const struct raw *raw, struct options *out)
{
	const GPtrArray *paths = raw->paths;
	const char *mountpoint, *label;

	if (paths->len < 1 || paths->len > 2) {
		log_line("%s; usage: shmtree [SOURCE] MOUNTPOINT [options]",
			paths->len < 1 ? "no mount point given" : "too many arguments");
		return -EINVAL;
	}
	mountpoint = g_ptr_array_index(paths, paths->len - 1);
	out->mountpoint = g_canonicalize_filename(mountpoint, NULL);
	label = paths->len == 2 ? g_ptr_array_index(paths, 0) : DEFAULT_LABEL;
	if (paths->len == 2 && (!raw->helper || strchr(label, '/'))) {
		out->source = g_canonicalize_filename(label, NULL);
		out->label = g_strdup(out->source);
	} else {
		out->source = g_strdup(DEFAULT_SOURCE);
		out->label = g_strdup(label);
	}
	return 0;
}

static enum options_result parse_all(struct raw *raw, struct options *out)
{
	struct fuse_args *args = &out->fuse;

	if (raw->helper && fuse_opt_parse(args, raw, helper_spec, process_helper_option) < 0)
		return OPTIONS_WRONG;
	if (fuse_opt_parse(args, raw, option_spec, process_option) < 0 ||
		fuse_parse_cmdline(args, &out->cmdline) < 0) {
		log_failure("invalid options", "see shmtree --help");
		return OPTIONS_WRONG;
	}
	if (out->cmdline.show_help) {
		print_help();
		return OPTIONS_DONE;
	}
	if (out->cmdline.show_version) {
		print_version();
		return OPTIONS_DONE;
	}
	if (check_others(args) < 0) {
		log_failure("invalid options", "see shmtree --help");
		return OPTIONS_WRONG;
	}
	if (choose_values(raw, out) < 0 || choose_paths(raw, out) < 0)
		return OPTIONS_WRONG;
	return raw->fake ? OPTIONS_DONE : OPTIONS_MOUNT;
}

int options_for_look(const char *source, char *const *given, struct options *out)
{
	struct raw raw = { 0 };
	int r;

	memset(out, 0, sizeof *out);
	fuse_opt_add_arg(&out->fuse, "shmtree");
	for (; given && *given; given++) {
		fuse_opt_add_arg(&out->fuse, "-o");
		fuse_opt_add_arg(&out->fuse, *given);
	}
	r = fuse_opt_parse(&out->fuse, &raw, look_spec, NULL);
	if (r == 0 && out->fuse.argc > 2) {
		log_line("invalid option %s: without a mount there are census, object_census and "
			 "proc",
			out->fuse.argv[2]);
		r = -EINVAL;
	}
	if (r == 0)
		r = choose_values(&raw, out);
	out->source = g_canonicalize_filename(source ? source : DEFAULT_SOURCE, NULL);
	free(raw.census);
	free(raw.object_census);
	free(raw.proc);
	return r < 0 ? -EINVAL : 0;
}

enum options_result options_parse(int argc, char **argv, struct options *out)
{
	g_autofree char *program = g_path_get_basename(argc > 0 ? argv[0] : "shmtree");
	struct raw raw = {
		.paths = g_ptr_array_new_with_free_func(g_free),
		.helper = g_str_has_prefix(program, "mount."),
	};
	enum options_result result;

	memset(out, 0, sizeof *out);
	for (int i = 0; i < argc; i++)
		fuse_opt_add_arg(&out->fuse, argv[i]);
	if (argc == 0)
		fuse_opt_add_arg(&out->fuse, "shmtree");
	result = parse_all(&raw, out);
	g_ptr_array_unref(raw.paths);
	free(raw.attr_timeout);
	free(raw.census);
	free(raw.census_interval);
	free(raw.entry_timeout);
	free(raw.log_events);
	free(raw.max_threads);
	free(raw.metrics_segments);
	free(raw.object_census);
	free(raw.passthrough);
	free(raw.permissions);
	free(raw.proc);
	return result;
}

void options_free(struct options *options)
{
	g_free(options->source);
	g_free(options->label);
	g_free(options->mountpoint);
	g_free(options->proc);
	free(options->cmdline.mountpoint);
	fuse_opt_free_args(&options->fuse);
}
