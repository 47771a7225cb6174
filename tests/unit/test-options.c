/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "corpus.h"
#include "unit.h"

#include "../fuzz/options.h"

#include "base/libc.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "mount/attributes.h"

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

static struct options options;
static char message[1024]; /* what options_parse() has printed on stderr */

static void set_up(void)
{
	log_init(); /* as main() does: libfuse's messages are held back */
}

static void tear_down(void)
{
	fuse_set_log_func(NULL);
}

/* Parses "shmtree ARGUMENTS", split at spaces, in the name of `program`. */
static enum options_result parse_as(const char *program, const char *arguments)
{
	g_autofree char *line = g_strjoin(" ", program, arguments, NULL);
	g_auto(GStrv) argv = g_strsplit(line, " ", -1);
	int saved = dup(STDERR_FILENO), captured = memfd_create("stderr", MFD_CLOEXEC);
	enum options_result result;
	ssize_t n;

	fflush(stderr);
	dup2(captured, STDERR_FILENO);
	result = options_parse((int)g_strv_length(argv), argv, &options);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	n = pread(captured, message, sizeof message - 1, 0);
	message[MAX(n, 0)] = '\0';
	close(saved);
	close(captured);
	return result;
}

static enum options_result parse(const char *arguments)
{
	return parse_as("shmtree", arguments);
}

/* That these are refused with one line, which has each of the words. */
static void assert_refused(const char *arguments, const char *word, const char *allowed)
{
	ASSERT_INT(parse(arguments), OPTIONS_WRONG);
	options_free(&options);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, word));
	CU_ASSERT_PTR_NOT_NULL(strstr(message, allowed));
	CU_ASSERT_PTR_EQUAL(strchr(message, '\n'), message + strlen(message) - 1);
	if (!strstr(message, word) || !strstr(message, allowed))
		printf("       %s: %s", arguments, message);
}

static void without_options_there_are_defaults(void)
{
	ASSERT_INT(parse("/mnt"), OPTIONS_MOUNT);
	ASSERT_STRING(options.source, "/dev/shm");
	ASSERT_STRING(options.mountpoint, "/mnt");
	ASSERT_STRING(options.proc, "/proc");
	ASSERT_INT(options.census, CENSUS_AUTO);
	CU_ASSERT(options.passthrough);
	CU_ASSERT(options.attr_timeout == 0 && options.entry_timeout == 0);
	CU_ASSERT(options.census_interval == 0);
	ASSERT_INT(options.max_threads, 0);
	options_free(&options);
}

static void values_are_taken(void)
{
	ASSERT_INT(parse("/tmp/../dev/shm /mnt/x/ -f -o census=text,passthrough=off,proc=/proc/ -o "
			 "attr_timeout=1.5,entry_timeout=2,max_threads=256,census_interval=2.5,ro"),
		OPTIONS_MOUNT);
	ASSERT_STRING(options.source, "/dev/shm");
	ASSERT_STRING(options.mountpoint, "/mnt/x");
	ASSERT_INT(options.census, CENSUS_TEXT);
	CU_ASSERT(!options.passthrough && options.cmdline.foreground);
	CU_ASSERT(options.attr_timeout == 1.5 && options.entry_timeout == 2);
	CU_ASSERT(options.census_interval == 2.5);
	ASSERT_INT(options.max_threads, 256);
	options_free(&options);
}

static void what_is_invalid_is_named_with_what_is_allowed(void)
{
	assert_refused("/mnt -o census=guess", "census=guess", "query");
	assert_refused("/mnt -o passthrough=perhaps", "passthrough=perhaps", "off");
	assert_refused("/mnt -o attr_timeout=-1", "attr_timeout=-1", "0 or more");
	assert_refused("/mnt -o entry_timeout=-0.5", "entry_timeout=-0.5", "0 or more");
	assert_refused("/mnt -o entry_timeout=soon", "entry_timeout=soon", "seconds");
	assert_refused("/mnt -o entry_timeout=1s", "entry_timeout=1s", "seconds");
	assert_refused("/mnt -o attr_timeout=", "attr_timeout=", "seconds");
	assert_refused("/mnt -o attr_timeout=nan", "attr_timeout=nan", "seconds");
	assert_refused("/mnt -o attr_timeout=inf", "attr_timeout=inf", "seconds");
	for (const char *const *value =
			(const char *const[]){ "", "0.01", "-1", "1s", "nan", "86401", NULL };
		*value; value++) {
		g_autofree char *given = g_strconcat("census_interval=", *value, NULL);
		g_autofree char *arguments = g_strconcat("/mnt -o ", given, NULL);

		assert_refused(arguments, given, "0.1 to 86400");
	}
	assert_refused("/mnt -o max_threads=0", "max_threads=0", "1 to 256");
	assert_refused("/mnt -o max_threads=257", "max_threads=257", "1 to 256");
	assert_refused("/mnt -o max_threads=-1", "max_threads=-1", "1 to 256");
	assert_refused("/mnt -o max_threads=all", "max_threads=all", "1 to 256");
	assert_refused("/mnt -o proc=/etc", "proc=/etc", "procfs");
	assert_refused("/mnt -o proc=/nowhere", "proc=/nowhere", "procfs");
	assert_refused("/mnt -o watch", "watch", "permissions=daemon");
}

/* Whatever else is wrong as well. */
static void an_unknown_option_is_named(void)
{
	assert_refused("/mnt -o nonesuch", "nonesuch", "--help");
	assert_refused("-o nonesuch", "nonesuch", "--help");
	assert_refused("/mnt -o nonesuch,proc=/etc", "nonesuch", "--help");
	assert_refused("/nowhere /mnt --nonesuch", "--nonesuch", "--help");
	assert_refused("/mnt -o max_idle_threads=few", "max_idle_threads=few", "--help");
}

static void who_checks_permissions_is_chosen(void)
{
	ASSERT_INT(parse("/mnt -o permissions=kernel"), OPTIONS_MOUNT);
	CU_ASSERT_FALSE(options.daemon_permissions);
	options_free(&options);
	ASSERT_INT(parse("/mnt -o permissions=daemon"), OPTIONS_MOUNT);
	CU_ASSERT_TRUE(options.daemon_permissions);
	options_free(&options);
	assert_refused("/mnt -o permissions=nobody", "permissions=nobody", "kernel or daemon");
}

static void one_or_two_paths_are_named(void)
{
	char *nothing[] = { NULL };

	ASSERT_INT(options_parse(0, nothing, &options), OPTIONS_WRONG);
	options_free(&options);
	assert_refused("-f", "no mount point", "usage");
	assert_refused("a b c", "too many", "usage");
}

static void mount_calls_the_helper_with_options_of_others(void)
{
	ASSERT_INT(parse_as("/sbin/mount.fuse.shmtree",
			   "shmtree /mnt -n -o "
			   "rw,noauto,nofail,x-systemd.automount,X-mount.mkdir,_netdev"),
		OPTIONS_MOUNT);
	ASSERT_STRING(options.source, "/dev/shm"); /* a word without a slash is a label */
	options_free(&options);
	ASSERT_INT(parse_as("/sbin/mount.fuse.shmtree", "/dev/shm /mnt -f"), OPTIONS_DONE);
	options_free(&options);
	ASSERT_INT(parse_as("/sbin/mount.fuse.shmtree", "shmtree /mnt -o nonesuch"), OPTIONS_WRONG);
	options_free(&options);
}

/* Whether all of them are known; and MOUNT_ATTR_*. */
static bool make_attributes(const char *arguments, unsigned *attributes)
{
	bool known;

	ASSERT_INT(parse(arguments), OPTIONS_MOUNT);
	known = attributes_of_options(&options.fuse, attributes);
	options_free(&options);
	return known;
}

/* Of a mount that the daemon makes itself, in a dead one's place. */
static void options_say_what_a_mount_may(void)
{
	const unsigned usual = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	unsigned attributes;

	CU_ASSERT(make_attributes("/mnt", &attributes));
	ASSERT_INT(attributes, usual);
	CU_ASSERT(make_attributes("/mnt -o ro,noexec -o noatime", &attributes));
	ASSERT_INT(attributes, usual | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME);
	CU_ASSERT(make_attributes("/mnt -o ro,noexec,nodiratime,rw,exec", &attributes));
	ASSERT_INT(attributes, usual | MOUNT_ATTR_NODIRATIME);
	CU_ASSERT(make_attributes("/mnt -o suid,dev", &attributes));
	ASSERT_INT(attributes, 0);
	CU_ASSERT(make_attributes("/mnt -o suid,dev,nosuid,nodev", &attributes));
	ASSERT_INT(attributes, usual);
	CU_ASSERT(!make_attributes("/mnt -o max_read=4096", &attributes));
}

/* What is wrong with each goes to /dev/null. */
static void the_corpus_of_the_fuzzer_finds_nothing(void)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO);
	CU_ASSERT(corpus_replay("corpus-options", "\n,=-", fuzz_options) >= 3);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
}

static enum census_backend_choice look_with(char *const *given, int expected)
{
	struct options look;
	enum census_backend_choice census;

	ASSERT_INT(options_for_look("/x", given, &look), expected);
	census = look.census;
	ASSERT_STRING(look.source, "/x");
	options_free(&look);
	return census;
}

static void a_look_takes_what_says_how_to_count(void)
{
	char text[] = "census=text", both[] = "object_census=off,census=query", other[] = "log";

	ASSERT_INT(look_with(NULL, 0), CENSUS_AUTO);
	ASSERT_INT(look_with((char *[]){ text, NULL }, 0), CENSUS_TEXT);
	ASSERT_INT(look_with((char *[]){ text, both, NULL }, 0), CENSUS_QUERY);
	look_with((char *[]){ other, NULL }, -EINVAL);
	look_with((char *[]){ text, other, NULL }, -EINVAL);
}

static CU_TestInfo tests[] = {
	{ "a look takes what says how to count", a_look_takes_what_says_how_to_count },
	{ "without options there are defaults", without_options_there_are_defaults },
	{ "values are taken", values_are_taken },
	{ "what is invalid is named, with what is allowed",
		what_is_invalid_is_named_with_what_is_allowed },
	{ "an unknown option is named, whatever else is wrong", an_unknown_option_is_named },
	{ "who checks permissions is chosen", who_checks_permissions_is_chosen },
	{ "one or two paths are named", one_or_two_paths_are_named },
	{ "mount(8) calls the helper with options of others",
		mount_calls_the_helper_with_options_of_others },
	{ "options say what a mount may", options_say_what_a_mount_may },
	{ "the corpus of the fuzzer finds nothing", the_corpus_of_the_fuzzer_finds_nothing },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo options_suite = { "options", NULL, NULL, set_up, tear_down, tests };
