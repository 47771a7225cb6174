/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/attributes.h"

#include "base/libc.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

/* Mount options and what they do to the attributes (MOUNT_ATTR_*) of a mount. */
static const struct {
	const char *name;
	unsigned attributes;
	bool set;
} words[] = {
	{ "rw", MOUNT_ATTR_RDONLY, false },
	{ "ro", MOUNT_ATTR_RDONLY, true },
	{ "suid", MOUNT_ATTR_NOSUID, false },
	{ "nosuid", MOUNT_ATTR_NOSUID, true },
	{ "dev", MOUNT_ATTR_NODEV, false },
	{ "nodev", MOUNT_ATTR_NODEV, true },
	{ "exec", MOUNT_ATTR_NOEXEC, false },
	{ "noexec", MOUNT_ATTR_NOEXEC, true },
	{ "noatime", MOUNT_ATTR_NOATIME, true },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, true },
};

unsigned attributes_of_source(const struct fs *fs)
{
	struct statvfs st;

	if (fstatvfs(fs->shm_fd, &st) < 0)
		return MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	return (st.f_flag & ST_NOSUID ? MOUNT_ATTR_NOSUID : 0) |
		(st.f_flag & ST_NODEV ? MOUNT_ATTR_NODEV : 0) |
		(st.f_flag & ST_NOEXEC ? MOUNT_ATTR_NOEXEC : 0);
}

static bool apply_word(const char *word, unsigned *attributes)
{
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		if (strcmp(word, words[i].name) != 0)
			continue;
		*attributes = words[i].set ? *attributes | words[i].attributes :
					     *attributes & ~words[i].attributes;
		return true;
	}
	/* fuse_parse_cmdline() adds this one. */
	return g_str_has_prefix(word, "subtype=");
}

static bool apply_words(const char *list, unsigned *attributes)
{
	g_auto(GStrv) parts = g_strsplit(list, ",", -1);

	for (char **part = parts; *part; part++)
		if (!apply_word(*part, attributes))
			return false;
	return true;
}

/* What is left of the command line for libfuse: "-o" and a list, as one argument or as two. */
bool attributes_of_options(const struct fuse_args *args, unsigned *attributes)
{
	*attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	for (int i = 1; i < args->argc; i++) {
		const char *list = args->argv[i];

		if (!g_str_has_prefix(list, "-o"))
			return false;
		if (list[2] == '\0' && ++i == args->argc)
			return false;
		if (!apply_words(list[2] ? list + 2 : args->argv[i], attributes))
			return false;
	}
	return true;
}
