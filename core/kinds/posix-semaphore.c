/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/posix-semaphore.h"

#include "base/fdpath.h"
#include "caller/effective.h"
#include "base/below.h"
#include "base/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SIZE_32_BIT 16
#define VALUE_MAX 0x7fffffffu
#define SHARED_FLAG 128

static bool is_shared_flag(uint32_t word)
{
	return word == 0 || word == SHARED_FLAG;
}

bool semaphore_parse(const void *bytes, size_t size, struct semaphore *out)
{
	uint32_t words[SEMAPHORE_SIZE / sizeof(uint32_t)];

	if (size < SIZE_32_BIT)
		return false;
	memcpy(words, bytes, MIN(size, sizeof words));
	if (size < SEMAPHORE_SIZE) {
		if (size != SIZE_32_BIT || !is_shared_flag(words[1]))
			return false;
		*out = (struct semaphore){ words[0] >> 1, words[3] };
	} else {
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
		*out = (struct semaphore){ words[0], words[1] };
#else
		*out = (struct semaphore){ words[1], words[0] };
#endif
		if (!is_shared_flag(words[2]))
			return false;
		if (out->waiters > 0)
			out->value &= VALUE_MAX;
	}
	/* No more threads than there can be process ids. */
	return out->value <= VALUE_MAX && out->waiters < 1u << 22;
}

/* Opens the object with the caller's rights: a descriptor or a negative errno. */
static int open_object(const struct view *view)
{
	struct stat st;
	int r;

	/* O_NONBLOCK: by now the name may be that of a fifo, which must not block us. */
	auto_fd place = open_below(view->realm->shm_fd, view->item->name, O_PATH);
	if (place < 0 || fstat(place, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_dev != view->item->key.dev ||
		st.st_ino != view->item->key.ino)
		return -ESTALE;
	r = caller_may_access(&view->caller, place, R_OK);
	if (r < 0)
		return r;
	return fd_reopen(place);
}

/* 1: read; 0: not a semaphore; or a negative errno. */
static int read_semaphore(const struct view *view, struct semaphore *out)
{
	unsigned char bytes[SEMAPHORE_SIZE];
	ssize_t size;

	auto_fd fd = open_object(view);
	if (fd < 0)
		return fd;
	size = pread(fd, bytes, sizeof bytes, 0);
	if (size < 0)
		return -errno;
	return semaphore_parse(bytes, size, out);
}

static int show_semaphore(const struct view *view, const struct attribute *self, GString *out)
{
	struct semaphore semaphore;
	int r = read_semaphore(view, &semaphore);

	(void)self;
	if (r == 0)
		g_string_append(out, "not a semaphore\n");
	else if (r > 0)
		g_string_append_printf(out, "value\t%u\nwaiters\t%u\n", semaphore.value,
			semaphore.waiters);
	return MIN(r, 0);
}

static int json_semaphore(const struct view *view, const struct attribute *self, struct json *json)
{
	struct semaphore semaphore;
	int r = read_semaphore(view, &semaphore);

	if (r < 0)
		return r;
	if (r == 0) {
		format_json_null(json, self->name);
		return 0;
	}
	format_json_object(json, self->name);
	format_json_number(json, "value", semaphore.value);
	format_json_number(json, "waiters", semaphore.waiters);
	format_json_end(json);
	return 0;
}

static bool is_named_so(const struct item *item)
{
	return g_str_has_prefix(item->name, SEMAPHORE_PREFIX);
}

const struct attribute semaphore_attributes[] = {
	{ "semaphore", FORM_OTHER, 0, show_semaphore, .json = json_semaphore,
		.exists = is_named_so },
	{ NULL },
};
