/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "options.h"

#include "log.h"

#include <fuse_opt.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_SOURCE "/dev/shm"
#define DEFAULT_LABEL "shmtree"

/* What fuse_opt_parse() fills; strings are malloc'ed by libfuse. */
struct raw {
	char *census;
	char *passthrough;
	char *proc;
	double attr_timeout;
	double entry_timeout;
	int watch;
	int io_uring;     /* asked for */
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
	OPTION("passthrough=%s", passthrough),
	OPTION("proc=%s", proc),
	OPTION("attr_timeout=%lf", attr_timeout),
	OPTION("entry_timeout=%lf", entry_timeout),
	{ "watch", offsetof(struct raw, watch), 1 },
	{ "io_uring", offsetof(struct raw, io_uring), 1 },
	{ "no_io_uring", offsetof(struct raw, io_uring), 0 },
	FUSE_OPT_END,
};

/* What fstab(5) may hold for mount(8) and systemd, none of it for us. */
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
	       "\n"
	       "Mounts the shared memory of this machine as a tree of files. SOURCE is the tmpfs\n"
	       "directory that holds the POSIX objects (" DEFAULT_SOURCE ").\n"
	       "\n"
	       "    -o census=auto|bpf|query|text  how mappings are counted (auto)\n"
	       "    -o passthrough=auto|off        let the kernel serve data (auto)\n"
	       "    -o proc=DIR                    the procfs to read (/proc)\n"
	       "    -o attr_timeout=SECONDS        cache attributes that long (0)\n"
	       "    -o entry_timeout=SECONDS       cache names that long (0)\n"
	       "    -o watch                       cache names until inotify tells of a change\n"
	       "    -o [no_]io_uring               requests by io_uring, if fuse.enable_uring is "
	       "on (no)\n"
	       "\n");
	fuse_cmdline_help();
	fuse_lowlevel_help();
}

static int choose_census(const char *value, enum census_backend_choice *out)
{
	for (enum census_backend_choice i = CENSUS_AUTO; i <= CENSUS_TEXT; i++) {
		if (strcmp(value, census_choice_name(i)) == 0) {
			*out = i;
			return 0;
		}
	}
	log_line("unknown census '%s'; use -o census=auto, bpf, query or text", value);
	return -EINVAL;
}

static int choose_values(const struct raw *raw, struct options *out)
{
	if (raw->census && choose_census(raw->census, &out->census) < 0)
		return -EINVAL;
	if (raw->passthrough && strcmp(raw->passthrough, "auto") != 0) {
		if (strcmp(raw->passthrough, "off") != 0) {
			log_line("unknown value '%s'; use -o passthrough=auto or off",
				raw->passthrough);
			return -EINVAL;
		}
		out->passthrough = false;
	}
	if (!(raw->attr_timeout >= 0) || !(raw->entry_timeout >= 0)) {
		log_line("a timeout is a number of seconds, 0 or more");
		return -EINVAL;
	}
	/* What is kept by time alone nobody takes back. */
	if (raw->watch && (raw->attr_timeout > 0 || raw->entry_timeout > 0)) {
		log_line("watch keeps what it can take back, a timeout the rest as well; use -o "
			 "watch or "
			 "timeouts, not both");
		return -EINVAL;
	}
#ifdef LIBFUSE_RINGS_ARE_SOUND
	out->io_uring = raw->io_uring;
#else
	if (raw->io_uring) {
		log_line("this libfuse may lose requests over io_uring; build with the bundled "
			 "one, or leave "
			 "the option out");
		return -EINVAL;
	}
#endif
	out->attr_timeout = raw->attr_timeout;
	out->entry_timeout = raw->entry_timeout;
	out->watch = raw->watch;
	out->proc = g_strdup(raw->proc ? raw->proc : "/proc");
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
		log_failure("the options make no sense", "see shmtree --help");
		return OPTIONS_WRONG;
	}
	if (out->cmdline.show_help) {
		print_help();
		return OPTIONS_DONE;
	}
	if (out->cmdline.show_version) {
		printf("shmtree " SHMTREE_VERSION "\n");
		fflush(stdout); /* libfuse has fusermount3 tell its own version */
		fuse_lowlevel_version();
		return OPTIONS_DONE;
	}
	if (choose_values(raw, out) < 0 || choose_paths(raw, out) < 0)
		return OPTIONS_WRONG;
	return raw->fake ? OPTIONS_DONE : OPTIONS_MOUNT;
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
	out->passthrough = true;
	for (int i = 0; i < argc; i++)
		fuse_opt_add_arg(&out->fuse, argv[i]);
	if (argc == 0)
		fuse_opt_add_arg(&out->fuse, "shmtree");
	result = parse_all(&raw, out);
	g_ptr_array_unref(raw.paths);
	free(raw.census);
	free(raw.passthrough);
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
