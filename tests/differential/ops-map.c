/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mappings, and loads and stores through them. */
#include "executor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

static const struct choice protections[] = {
	{ "PROT_READ|PROT_WRITE", PROT_READ | PROT_WRITE },
	{ "PROT_READ|PROT_WRITE", PROT_READ | PROT_WRITE },
	{ "PROT_READ", PROT_READ },
	{ "PROT_WRITE", PROT_WRITE },
	{ "PROT_NONE", PROT_NONE },
	{ 0 },
};

static const struct choice sharing[] = {
	{ "MAP_SHARED", MAP_SHARED },
	{ "MAP_SHARED", MAP_SHARED },
	{ "MAP_SHARED", MAP_SHARED },
	{ "MAP_PRIVATE", MAP_PRIVATE },
	{ "MAP_SHARED|MAP_POPULATE", MAP_SHARED | MAP_POPULATE },
	{ "MAP_SHARED_VALIDATE", MAP_SHARED_VALIDATE },
	{ "MAP_SHARED_VALIDATE|MAP_SYNC", MAP_SHARED_VALIDATE | MAP_SYNC },
	{ 0 },
};

static const struct choice sync_kinds[] = {
	{ "MS_SYNC", MS_SYNC },
	{ "MS_ASYNC", MS_ASYNC },
	{ "MS_SYNC|MS_INVALIDATE", MS_SYNC | MS_INVALIDATE },
	{ 0 },
};

static const struct choice advices[] = {
	{ "MADV_REMOVE", MADV_REMOVE },
	{ "MADV_REMOVE", MADV_REMOVE },
	{ "MADV_DONTNEED", MADV_DONTNEED },
	{ "MADV_WILLNEED", MADV_WILLNEED },
	{ "MADV_POPULATE_READ", MADV_POPULATE_READ },
	{ "MADV_POPULATE_WRITE", MADV_POPULATE_WRITE },
	{ "MADV_FREE", MADV_FREE },
	{ "MADV_COLD", MADV_COLD },
	{ "MADV_PAGEOUT", MADV_PAGEOUT },
	{ "999", 999 },
	{ 0 },
};

static void drop(struct mapping *map)
{
	if (map->addr)
		munmap(map->addr, map->len);
	*map = (struct mapping){ 0 };
}

/*
 * An address of its own for each mapping: neighbours that continue one another in the file become
 * one natively, without touching the access time, but not through a mount.
 */
static void *place_of(const struct context *ctx, int64_t slot)
{
	uintptr_t first = ((uintptr_t)1 << 44) + ((uintptr_t)slot << 26),
		  second = first + (1 << 25);

	return (void *)(ctx->maps[slot].addr == (char *)first ? second : first);
}

/*
 * Without passthrough a mapping through the mount is ENODEV once the kernel's own checks have
 * passed. Those checks are repeated here rather than made by mapping, because that would move the
 * access time.
 */
static int foretell_mmap(int fd, int protection, int flags)
{
	int status = fcntl(fd, F_GETFL), access = status & O_ACCMODE;
	bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;

	if (status < 0 || (status & O_PATH))
		return EBADF;
	if (shared && (flags & MAP_SYNC))
		return EOPNOTSUPP;
	if (shared && (protection & PROT_WRITE) && access == O_RDONLY)
		return EACCES;
	if (access != O_RDONLY && access != O_RDWR)
		return EACCES;
	return ENODEV;
}

static void do_mmap(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	int fd = ctx->fds[arg[1]], protection = (int)arg[4], flags = (int)arg[5];
	struct mapping *map = &ctx->maps[arg[0]];
	size_t len = ((size_t)arg[3] % 8 + 1) * PAGE;
	char *addr;

	/* A private mapping is a snapshot there, which is a documented difference. */
	if (ctx->side->no_mmap && (flags & MAP_TYPE) == MAP_PRIVATE) {
		note_error(out, ENODEV);
		return;
	}
	if (ctx->side->no_mmap && (!ctx->side->is_mount || ctx->actor->outside)) {
		note_error(out, foretell_mmap(fd, protection, flags));
		return;
	}
	addr = mmap(place_of(ctx, arg[0]), len, protection, flags, fd, arg[2] * PAGE);
	if (!note(out, addr == MAP_FAILED ? -1 : 0))
		return;
	drop(map);
	*map = (struct mapping){ addr, len };
}

static void do_munmap(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	(void)out;
	drop(&ctx->maps[arg[0]]);
}

static void do_mremap(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct mapping *map = &ctx->maps[arg[0]];
	size_t len = ((size_t)arg[1] % 12 + 1) * PAGE;
	char *addr;

	if (!map->addr)
		return;
	addr = mremap(map->addr, map->len, len, MREMAP_MAYMOVE);
	if (note(out, addr == MAP_FAILED ? -1 : 0))
		*map = (struct mapping){ addr, len };
}

static void do_msync(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct mapping *map = &ctx->maps[arg[0]];

	if (map->addr)
		note(out, msync(map->addr, map->len, (int)arg[1]));
}

/* The part of a mapping from a page on; returns false when there is none. */
static bool part(struct context *ctx, const int64_t *arg, char **addr, size_t *len)
{
	struct mapping *map = &ctx->maps[arg[0]];
	size_t start = (size_t)arg[1] / PAGE * PAGE;

	if (!map->addr || start >= map->len)
		return false;
	*addr = map->addr + start;
	*len = ((size_t)arg[2] + PAGE - 1) / PAGE * PAGE;
	if (*len == 0 || *len > map->len - start)
		*len = map->len - start;
	return true;
}

static void do_madvise(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	char *addr;
	size_t len;

	if (part(ctx, arg, &addr, &len))
		note(out, madvise(addr, len, (int)arg[3]));
}

static void do_mprotect(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	char *addr;
	size_t len;

	if (part(ctx, arg, &addr, &len))
		note(out, mprotect(addr, len, (int)arg[3]));
}

/* The bytes of a load or store, kept inside the mapping. */
static size_t clip(const struct mapping *map, const int64_t *arg)
{
	size_t start = (size_t)arg[1];

	if (!map->addr || start >= map->len)
		return 0;
	return (size_t)arg[2] < map->len - start ? (size_t)arg[2] : map->len - start;
}

/* A fault ends the step: the bytes that were reached until then are the answer. */
static void do_load(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct mapping *map = &ctx->maps[arg[0]];
	size_t count = clip(map, arg);
	volatile unsigned char *p = (volatile unsigned char *)map->addr + arg[1];
	volatile struct outcome *answer = out; /* complete at every fault */

	for (size_t i = 0; i < count; i++) {
		answer->data[i] = p[i];
		answer->len = (uint32_t)i + 1;
	}
}

static void do_store(struct context *ctx, const int64_t *arg, struct outcome *out)
{
	struct mapping *map = &ctx->maps[arg[0]];
	size_t count = clip(map, arg);
	volatile char *p = map->addr + arg[1];
	volatile struct outcome *answer = out;

	fill_pattern(ctx->io, count, arg[3]);
	for (size_t i = 0; i < count; i++) {
		p[i] = ctx->io[i];
		answer->ret = (int64_t)i + 1;
	}
}

const struct op ops_map[] = {
	{ "mmap", 60,
		{ { "map", ARG_MAP_NEW }, { "fd", ARG_FD }, { "offset", ARG_PAGES },
			{ "pages-1 mod 8", ARG_SEED }, { "", ARG_PICK, protections },
			{ "", ARG_PICK, sharing } },
		do_mmap },
	{ "munmap", 15, { { "map", ARG_MAP } }, do_munmap },
	{ "mremap", 12, { { "map", ARG_MAP }, { "pages-1 mod 12", ARG_SEED } }, do_mremap },
	{ "msync", 8, { { "map", ARG_MAP }, { "", ARG_PICK, sync_kinds } }, do_msync },
	{ "madvise", 20,
		{ { "map", ARG_MAP }, { "from", ARG_WITHIN }, { "count", ARG_COUNT },
			{ "", ARG_PICK, advices } },
		do_madvise },
	{ "mprotect", 6,
		{ { "map", ARG_MAP }, { "from", ARG_WITHIN }, { "count", ARG_COUNT },
			{ "", ARG_PICK, protections } },
		do_mprotect },
	{ "load", 40, { { "map", ARG_MAP }, { "from", ARG_WITHIN }, { "count", ARG_COUNT } },
		do_load },
	{ "store", 50,
		{ { "map", ARG_MAP }, { "from", ARG_WITHIN }, { "count", ARG_COUNT },
			{ "pattern", ARG_SEED } },
		do_store },
	{ 0 },
};
