/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text of /proc/PID/maps:
 *
 *	7f6c64a00000-7f6c64a21000 rw-s 00002000 00:19 5        /dev/shm/with\012newline (deleted)
 *
 * The kernel escapes the newline in a name and nothing else, not even the backslash.
 */
#include "procfs/maps.h"

#include "base/util.h"

#include <glib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define READ_SIZE (32 * 1024)
/* Longer than any path that the kernel can print. */
#define LINE_MAX_SIZE (1024 * 1024)

/* A pass spends most of its time in user mode here. -1: no digit. */
static inline int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Reads digits and the one character that must follow. */
static inline bool take_number(const char **at, unsigned base, char follows, uint64_t *out)
{
	const char *p = *at;
	uint64_t value = 0;
	int digit;

	for (; (digit = digit_value(*p)) >= 0 && (unsigned)digit < base; p++) {
		if (__builtin_mul_overflow(value, base, &value) ||
			__builtin_add_overflow(value, (unsigned)digit, &value))
			return false;
	}
	if (p == *at || *p != follows)
		return false;
	*at = p + 1;
	*out = value;
	return true;
}

static bool take_perms(const char **at, char perms[5])
{
	static const char *const letters[] = { "r-", "w-", "x-", "sp" };

	for (int i = 0; i < 4; i++) {
		perms[i] = (*at)[i];
		if (!perms[i] || !strchr(letters[i], perms[i]))
			return false;
	}
	perms[4] = '\0';
	if ((*at)[4] != ' ')
		return false;
	*at += 5;
	return true;
}

/* Undoes "\012" in place. */
static void unescape(char *name)
{
	char *to = name;

	for (const char *from = name; *from;) {
		if (strncmp(from, "\\012", 4) == 0) {
			*to++ = '\n';
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

/* A line, with NUL in place of the newline. Sets all but the name, which is left in `name`. */
static bool parse(char *line, struct vma *vma, char **name)
{
	const char *at = line;
	uint64_t major, minor;

	if (!take_number(&at, 16, '-', &vma->start) || !take_number(&at, 16, ' ', &vma->end) ||
		vma->end <= vma->start || !take_perms(&at, vma->perms) ||
		!take_number(&at, 16, ' ', &vma->offset) || !take_number(&at, 16, ':', &major) ||
		!take_number(&at, 16, ' ', &minor))
		return false;
	/* A line without a name ends after the number, in one space on most kernels. */
	if (!take_number(&at, 10, ' ', &vma->ino) && !take_number(&at, 10, '\0', &vma->ino))
		return false;
	if (at[-1] == '\0')
		at--;
	vma->dev = makedev(major, minor);
	vma->name = NULL;
	*name = line + (at - line) + strspn(at, " ");
	return true;
}

ssize_t maps_text_lines(char *text, size_t size, const struct maps_sink *sink)
{
	char *at = text, *newline;

	while ((newline = memchr(at, '\n', text + size - at))) {
		enum vma_interest interest;
		struct vma vma;
		char *name;

		*newline = '\0';
		if (!parse(at, &vma, &name))
			return -EPROTO;
		at = newline + 1;
		interest = sink->look(&vma, sink->data);
		if (interest == VMA_SKIP)
			continue;
		if (interest == VMA_NAMED) {
			unescape(name);
			vma.name = name;
		}
		sink->row(&vma, sink->data);
	}
	return at - text;
}

/* A read gives no more than a page, and may end in the middle of a line. */
int maps_text_read(int fd, const struct maps_sink *sink)
{
	size_t size = READ_SIZE, filled = 0;
	g_autofree char *text = g_malloc(size);
	bool any = false;

	for (;;) {
		ssize_t n = read(fd, text + filled, size - filled), used;

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		any = true;
		filled += n;
		used = maps_text_lines(text, filled, sink);
		if (used < 0)
			return (int)used;
		filled -= used;
		memmove(text, text + used, filled);
		if (filled == size) {
			size *= 2;
			if (size > LINE_MAX_SIZE)
				return -EPROTO;
			text = g_realloc(text, size);
		}
	}
	if (filled)
		return -EPROTO;
	return any ? 0 : -ESRCH;
}
