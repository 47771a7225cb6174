/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: the parsers of what the kernel and users write, but for /proc/PID/maps. The first
 * byte, a digit, chooses the parser, and what follows is its text.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/texts
 *	build-fuzz/tests/fuzz/texts tests/fuzz/corpus-texts
 */
#include "texts.h"

#include "caller/opening.h"
#include "procfs/cgroup.h"
#include "procfs/mountinfo.h"
#include "kinds/posix-semaphore.h"
#include "kinds/realms.h"
#include "kinds/posix-mqueue.h"
#include "list/filter.h"
#include "list/request.h"
#include "procfs/proc.h"
#include "procfs/status.h"
#include "kinds/sysv-other.h"
#include "kinds/sysv.h"
#include "kinds/unlinked.h"

#include <string.h>

static void see_item(const struct item *item, void *data)
{
	(void)data;
	g_assert(*item->id && !strchr(item->id, '/') && strlen(item->id) <= NAME_MAX);
	g_assert(strlen(item->name) <= NAME_MAX && !(item->mode & ~07777u));
}

static void see_mount(const char *point, const struct mount *mount, void *data)
{
	(void)data;
	g_assert(point != NULL && memchr(mount->fstype, 0, sizeof(mount->fstype)));
}

static void parse_stat(const char *text)
{
	struct proc_stat stat;

	if (proc_parse_stat(text, &stat))
		g_assert(memchr(stat.command, 0, sizeof(stat.command)) && stat.state);
}

static void parse_status(const char *text)
{
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	struct proc_status status;

	proc_parse_status(text, &status, NULL);
	proc_parse_status(text, &status, groups);
}

static void parse_mounts(const char *text)
{
	uint64_t dev;

	g_free(mqueue_find_mount(text));
	mountinfo_each(text, see_mount, NULL);
	realms_parse_mountinfo(text, &dev);
}

static void parse_ipc(const char *text)
{
	const struct realm realm = { .ipc_ns = 1, .ipc_ns_fd = -1 };

	sysv_parse(&realm, text, see_item, NULL);
	sysv_parse_msg(text, see_item, NULL);
	sysv_parse_sem(text, see_item, NULL);
}

static void parse_names(const char *text)
{
	enum segment_class class;
	struct foreign_realm realm;
	uint64_t ino;
	size_t size;
	key_t key;
	bool huge;
	int id;

	if (realms_parse_name(text, &realm))
		g_assert(g_str_equal(realm.name, text));
	if (sysv_parse_spec(text, &key, &size))
		g_assert(strchr(text, ':'));
	sysvipc_parse_id(text, &id);
	if (strlen(text) <= NAME_MAX)
		unlinked_parse_id(text, &class, &huge, &ino);
}

static void parse_queue(const char *text)
{
	struct mqueue_text queue;

	mqueue_parse(text, &queue);
}

static void parse_shown(const char *text)
{
	char id[NAME_MAX + 1], name[NAME_MAX + 1];
	struct segment_key key = { .ino = 1 };

	for (int class = SEGMENT_FILE; class <= SEGMENT_OTHER; class ++) {
		enum segment_class back;
		uint64_t ino;
		bool huge;

		key.class = class;
		unlinked_name(class, text, name);
		unlinked_format_id(&key, false, name, id);
		if (class != SEGMENT_SYSV)
			g_assert(unlinked_parse_id(id, &back, &huge, &ino) && ino == key.ino);
	}
}

static void parse_cgroup(const char *text)
{
	char path[64], unit[CGROUP_UNIT_MAX];

	cgroup_parse(text, path, sizeof path, unit);
	g_assert(strlen(path) < sizeof path && (*path == '/' || !*path));
	g_assert(*unit && strlen(unit) < sizeof unit && !strchr(unit, '/'));
	cgroup_parse_unit(text, unit);
	g_assert(*unit && strlen(unit) < sizeof unit && !strchr(unit, '/'));
}

/* The thread's name, up to the first newline, and what is in its `syscall`. */
static void parse_opening(const char *text)
{
	const char *end = strchrnul(text, '\n');
	g_autofree char *command = g_strndup(text, end - text);
	opening_parse(*end ? end + 1 : end, command);
}

static void parse_list(const char *text)
{
	g_autofree char *why = NULL;
	g_autofree char *wrong = NULL;
	struct list_filter *filter = list_filter_parse(text, &why);
	g_autoptr(GPtrArray) columns = list_columns_parse(text, &wrong);
	double percent;
	int64_t bytes;

	g_assert(!filter == (why != NULL));
	g_assert(!columns == (wrong != NULL));
	if (list_limit_parse(text, &percent, &bytes))
		g_assert(percent > 0 ? percent <= 100 : bytes >= 0);
	list_filter_free(filter);
}

int fuzz_texts(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(const char *text) = {
		parse_stat,
		parse_mounts,
		parse_ipc,
		parse_names,
		parse_queue,
		parse_shown,
		parse_cgroup,
		parse_status,
		parse_list,
		parse_opening,
	};
	g_autofree char *text = NULL;
	struct semaphore semaphore;

	if (size < 1)
		return 0;
	text = g_strndup((const char *)data + 1, size - 1);
	parsers[(uint8_t)(data[0] - '0') % G_N_ELEMENTS(parsers)](text);
	semaphore_parse(data, size, &semaphore);
	return 0;
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_texts(data, size);
}
#endif
