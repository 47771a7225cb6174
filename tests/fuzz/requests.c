/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: the stream of FUSE requests, from a kernel that lies. The daemon's operations run on a tmpfs
 * of their own, with libfuse reading from and writing to this program in place of /dev/fuse. An input is
 * a list of requests: names, flags, sizes, offsets, users and order are any; nodes and handles are those
 * that the daemon has handed out and that were not given back, for these it takes the kernel's word.
 * Each request has one answer, of the length that it says, and none leaves a descriptor.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/requests
 *	build-fuzz/tests/fuzz/requests tests/fuzz/corpus-requests
 */
#include "input.h"
#include "stand-in.h"

#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT 16 /* nodes, and handles, that are known at a time */

/* Headers before Linux 6.6 lack it. */
#define STATX 52
struct statx_in {
	uint32_t getattr_flags, reserved;
	uint64_t fh;
	uint32_t flags, mask;
};

struct handle_of_kernel {
	uint64_t node, fh;
	bool directory;
};

struct kernel {
	struct input input; /* what is left of it */
	uint64_t nodes[KEPT];
	struct handle_of_kernel handles[KEPT];
	unsigned n_nodes, n_handles;
};

static uint8_t byte(struct kernel *k)
{
	return input_byte(&k->input);
}

static uint64_t number(struct kernel *k)
{
	return input_number(&k->input);
}

static const char *name(struct kernel *k)
{
	static const char *const names[] = { "a", "b", "c", "", ".", "..", ".shmtree", "posix", "a",
		"b", "mappings", "segments", "status", "metrics", "info.json", "state", "data",
		"unlinked", "idle", "a/b", "\xff\n\t", "memory", "sem", "msg", "mqueue", "nested",
		"namespaces", "report.html", "graph.dot", "processes", "holders", "last",
		"resident", "README", "segments.json", "limits", "unreadable", "faults", "sysv",
		"1:4096" };
	static char longest[2][258];
	uint8_t which = byte(k);

	if (which < 240)
		return names[which % G_N_ELEMENTS(names)];
	memset(longest[which & 1], 'n', 255 + (which & 1));
	return longest[which & 1];
}

static uint64_t node(struct kernel *k)
{
	uint8_t which = byte(k);

	return k->n_nodes == 0 || which % 4 == 0 ? FUSE_ROOT_ID : k->nodes[which % k->n_nodes];
}

static const struct handle_of_kernel *handle(struct kernel *k, bool directory)
{
	uint8_t which = byte(k);

	for (unsigned i = 0; i < k->n_handles; i++) {
		const struct handle_of_kernel *h = &k->handles[(which + i) % k->n_handles];

		if (h->directory == directory)
			return h;
	}
	return NULL;
}

/* Requests */

static struct request begin(struct kernel *k, uint32_t opcode, uint64_t nodeid)
{
	static const uint32_t users[] = { 0, 0, 4211, 65534 };
	static const uint32_t pids[] = { 0, 1, 999999 };
	uint8_t who = byte(k);
	struct request request = { .header.opcode = opcode, .header.nodeid = nodeid };

	request.header.uid = request.header.gid = users[who % 4];
	request.header.pid = who & 128 ? (uint32_t)getpid() : pids[who / 4 % 3];
	return request;
}

static void add(struct request *request, const void *data, size_t n)
{
	g_assert(request->size + n <= sizeof request->bytes);
	memcpy(request->bytes + request->size, data, n);
	request->size += n;
}

static void add_text(struct request *request, const char *text)
{
	add(request, text, strlen(text) + 1);
}

static void forget(uint64_t nodeid, uint64_t count)
{
	struct request request = { .header = { .opcode = FUSE_FORGET, .nodeid = nodeid } };
	const struct fuse_forget_in in = { .nlookup = count };

	add(&request, &in, sizeof in);
	stand_in_send(&request);
}

static void release(const struct handle_of_kernel *h)
{
	struct request request = {
		.header = { .opcode = h->directory ? FUSE_RELEASEDIR : FUSE_RELEASE,
			.nodeid = h->node },
	};
	const struct fuse_release_in in = { .fh = h->fh, .flags = O_RDWR };

	add(&request, &in, sizeof in);
	stand_in_ask(&request);
}

static void learn_node(struct kernel *k, const struct fuse_entry_out *entry)
{
	if (entry->nodeid == 0)
		return;
	if (k->n_nodes == KEPT)
		forget(entry->nodeid, 1);
	else
		k->nodes[k->n_nodes++] = entry->nodeid;
}

static void learn_handle(struct kernel *k, uint64_t nodeid, uint64_t fh, bool directory)
{
	const struct handle_of_kernel h = { nodeid, fh, directory };

	if (k->n_handles == KEPT)
		release(&h);
	else
		k->handles[k->n_handles++] = h;
}

static void ask_entry(struct kernel *k, const struct request *request)
{
	const struct answer *answer = stand_in_ask(request);

	if (answer->taken && answer->error == 0 && answer->size >= sizeof(struct fuse_entry_out))
		learn_node(k, (const struct fuse_entry_out *)answer->bytes);
}

static void look_up(struct kernel *k)
{
	struct request request = begin(k, FUSE_LOOKUP, node(k));

	add_text(&request, name(k));
	ask_entry(k, &request);
}

static void make(struct kernel *k)
{
	struct request request = begin(k, FUSE_MKNOD, node(k));
	const struct fuse_mknod_in in = { .mode = number(k),
		.rdev = number(k),
		.umask = number(k) };

	add(&request, &in, sizeof in);
	add_text(&request, name(k));
	ask_entry(k, &request);
}

static void link_to(struct kernel *k)
{
	struct request request = begin(k, FUSE_LINK, node(k));
	const struct fuse_link_in in = { .oldnodeid = node(k) };

	add(&request, &in, sizeof in);
	add_text(&request, name(k));
	ask_entry(k, &request);
}

static void learn_created(struct kernel *k, const struct fuse_entry_out *entry)
{
	const struct fuse_open_out *out = (const struct fuse_open_out *)(entry + 1);
	const struct handle_of_kernel h = { entry->nodeid, out->fh, false };

	if (k->n_nodes < KEPT && k->n_handles < KEPT) {
		k->nodes[k->n_nodes++] = h.node;
		k->handles[k->n_handles++] = h;
		return;
	}
	release(&h);
	forget(h.node, 1);
}

static void create(struct kernel *k)
{
	struct request request = begin(k, FUSE_CREATE, node(k));
	const struct fuse_create_in in = {
		.flags = number(k) | O_CREAT,
		.mode = S_IFREG | (number(k) & 07777),
		.umask = byte(k),
	};
	const struct answer *answer;

	add(&request, &in, sizeof in);
	add_text(&request, name(k));
	answer = stand_in_ask(&request);
	if (answer->taken && answer->error == 0)
		learn_created(k, (const struct fuse_entry_out *)answer->bytes);
}

static void open_node(struct kernel *k, bool directory)
{
	struct request request = begin(k, directory ? FUSE_OPENDIR : FUSE_OPEN, node(k));
	const struct fuse_open_in in = { .flags = number(k) };
	const struct answer *answer;

	add(&request, &in, sizeof in);
	answer = stand_in_ask(&request);
	if (answer->taken && answer->error == 0)
		learn_handle(k, request.header.nodeid,
			((const struct fuse_open_out *)answer->bytes)->fh, directory);
}

static void read_or_write(struct kernel *k, uint32_t opcode)
{
	static const char zeros[4096];
	const struct handle_of_kernel *h = handle(k, opcode == FUSE_READDIR);
	struct request request;
	union {
		struct fuse_read_in read;
		struct fuse_write_in write;
	} in = { { 0 } };

	if (!h)
		return;
	request = begin(k, opcode, h->node);
	in.read.fh = h->fh;
	in.read.offset = number(k);
	in.read.size = number(k) % (opcode == FUSE_WRITE ? sizeof zeros : 1 << 20);
	in.read.read_flags = byte(k);
	in.read.lock_owner = byte(k);
	in.read.flags = number(k);
	add(&request, &in, opcode == FUSE_WRITE ? sizeof in.write : sizeof in.read);
	if (opcode == FUSE_WRITE)
		add(&request, zeros, in.write.size);
	stand_in_ask(&request);
}

static void set_attributes(struct kernel *k)
{
	struct request request = begin(k, FUSE_SETATTR, node(k));
	struct fuse_setattr_in in = {
		.valid = number(k) & ~FATTR_FH,
		.size = number(k),
		.atime = number(k),
		.mtime = number(k),
		.atimensec = number(k),
		.mode = number(k),
		.uid = number(k),
		.gid = number(k),
	};

	add(&request, &in, sizeof in);
	stand_in_ask(&request);
}

/* Those that name what they change. */
static void change_name(struct kernel *k)
{
	static const uint32_t opcodes[] = { FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME2, FUSE_MKDIR,
		FUSE_SYMLINK };
	uint32_t opcode = opcodes[byte(k) % G_N_ELEMENTS(opcodes)];
	struct request request = begin(k, opcode, node(k));
	const struct fuse_rename2_in rename = { .newdir = node(k), .flags = number(k) };
	const struct fuse_mkdir_in mkdir = { .mode = number(k), .umask = byte(k) };

	if (opcode == FUSE_RENAME2)
		add(&request, &rename, sizeof rename);
	if (opcode == FUSE_MKDIR)
		add(&request, &mkdir, sizeof mkdir);
	add_text(&request, name(k));
	if (opcode == FUSE_RENAME2 || opcode == FUSE_SYMLINK)
		add_text(&request, name(k));
	if (opcode == FUSE_MKDIR || opcode == FUSE_SYMLINK)
		ask_entry(k, &request);
	else
		stand_in_ask(&request);
}

static void attribute(struct kernel *k)
{
	static const char *const names[] = { "user.a", "user.b", "security.capability",
		"system.posix_acl_access", "trusted.x", "", "nonsense" };
	static const uint32_t opcodes[] = { FUSE_SETXATTR, FUSE_GETXATTR, FUSE_LISTXATTR,
		FUSE_REMOVEXATTR };
	uint32_t opcode = opcodes[byte(k) % G_N_ELEMENTS(opcodes)];
	struct request request = begin(k, opcode, node(k));
	const struct fuse_getxattr_in get = { .size = number(k) % 70000 };
	struct fuse_setxattr_in set = { .size = byte(k) % 64, .flags = byte(k) };
	char value[64] = "";

	if (opcode == FUSE_GETXATTR || opcode == FUSE_LISTXATTR)
		add(&request, &get, sizeof get);
	if (opcode == FUSE_SETXATTR)
		add(&request, &set, FUSE_COMPAT_SETXATTR_IN_SIZE);
	if (opcode != FUSE_LISTXATTR)
		add_text(&request, names[byte(k) % G_N_ELEMENTS(names)]);
	for (unsigned i = 0; opcode == FUSE_SETXATTR && i < set.size; i++)
		value[i] = (char)byte(k);
	if (opcode == FUSE_SETXATTR)
		add(&request, value, set.size);
	stand_in_ask(&request);
}

static void on_handle(struct kernel *k)
{
	const struct handle_of_kernel *h = handle(k, false);
	uint8_t which = byte(k);
	struct request request;

	if (!h)
		return;
	if (which % 4 == 0) {
		const struct fuse_lk_in in = {
			.fh = h->fh,
			.owner = byte(k),
			.lk = { number(k), number(k), byte(k) % 4, 1 },
			.lk_flags = byte(k) & FUSE_LK_FLOCK,
		};

		request = begin(k, which & 4 ? FUSE_SETLK : FUSE_GETLK, h->node);
		add(&request, &in, sizeof in);
	} else if (which % 4 == 1) {
		const struct fuse_fallocate_in in = { h->fh, number(k), number(k), number(k), 0 };

		request = begin(k, FUSE_FALLOCATE, h->node);
		add(&request, &in, sizeof in);
	} else if (which % 4 == 2) {
		const struct fuse_lseek_in in = { h->fh, number(k), byte(k), 0 };

		request = begin(k, FUSE_LSEEK, h->node);
		add(&request, &in, sizeof in);
	} else {
		const struct fuse_flush_in in = { .fh = h->fh, .lock_owner = byte(k) };

		request = begin(k, FUSE_FLUSH, h->node);
		add(&request, &in, sizeof in);
	}
	stand_in_ask(&request);
}

static void look(struct kernel *k)
{
	static const uint32_t opcodes[] = { FUSE_GETATTR, STATX, FUSE_STATFS, FUSE_READLINK, 99 };
	uint32_t opcode = opcodes[byte(k) % G_N_ELEMENTS(opcodes)];
	struct request request = begin(k, opcode, node(k));
	const struct fuse_getattr_in attr = { 0 };
	const struct statx_in statx = { .flags = number(k), .mask = number(k) };

	if (opcode == FUSE_GETATTR)
		add(&request, &attr, sizeof attr);
	if (opcode == STATX)
		add(&request, &statx, sizeof statx);
	stand_in_ask(&request);
}

/* The kernel forgets no node that it has open. */
static bool is_open(const struct kernel *k, uint64_t nodeid)
{
	for (unsigned i = 0; i < k->n_handles; i++)
		if (k->handles[i].node == nodeid)
			return true;
	return false;
}

static void give_back(struct kernel *k)
{
	uint8_t which = byte(k);

	unsigned i = which / 2;

	if (which & 1 && k->n_handles > 0) {
		i %= k->n_handles;
		release(&k->handles[i]);
		k->handles[i] = k->handles[--k->n_handles];
	} else if (k->n_nodes > 0 && !is_open(k, k->nodes[i % k->n_nodes])) {
		i %= k->n_nodes;
		forget(k->nodes[i], 1);
		k->nodes[i] = k->nodes[--k->n_nodes];
	}
}

static void act(struct kernel *k)
{
	uint8_t which = byte(k);

	stand_in_refuse(which >= 250);
	switch (which % 14) {
	case 0:
	case 1:
	case 2:
		look_up(k);
		break;
	case 3:
		make(k);
		break;
	case 4:
		create(k);
		break;
	case 5:
		open_node(k, false);
		break;
	case 6:
		open_node(k, true);
		break;
	case 7:
		read_or_write(k, which & 16 ? FUSE_READ : which & 32 ? FUSE_WRITE : FUSE_READDIR);
		break;
	case 8:
		set_attributes(k);
		break;
	case 9:
		change_name(k);
		break;
	case 10:
		attribute(k);
		break;
	case 11:
		on_handle(k);
		break;
	case 12:
		which & 16 ? link_to(k) : look(k);
		break;
	default:
		give_back(k);
	}
	stand_in_refuse(false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kernel k = { .input = { data, data + size } };

	if (!stand_in_begin())
		return 0;
	while (input_left(&k.input))
		act(&k);
	while (k.n_handles > 0)
		release(&k.handles[--k.n_handles]);
	while (k.n_nodes > 0)
		forget(k.nodes[--k.n_nodes], 1);
	stand_in_end();
	return 0;
}
