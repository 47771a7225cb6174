/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/sysv.h"

#include "kinds/attribute.h"
#include "kinds/charged.h"
#include "base/hash.h"
#include "kinds/inode-generation.h"
#include "kinds/last-user.h"
#include "kinds/past-process.h"
#include "base/util.h"
#include "kinds/nameless.h"

#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

/* linux/shm.h; the C library shows only some of them. */
#define MODE_LOCKED 02000
#define MODE_HUGETLB 04000
#define MODE_NORESERVE 010000
#define MODE_FLAGS (SYSV_DEST | MODE_LOCKED | MODE_HUGETLB | MODE_NORESERVE)

enum shm_column {
	COL_KEY,
	COL_SHMID,
	COL_PERMS,
	COL_SIZE,
	COL_CPID,
	COL_LPID,
	COL_NATTCH,
	COL_UID,
	COL_GID,
	COL_CUID,
	COL_CGID,
	COL_ATIME,
	COL_DTIME,
	COL_CTIME,
	COL_RSS,
	COL_SWAP,
	N_COLUMNS
};

static const struct sysvipc_column columns[N_COLUMNS] = {
	[COL_KEY] = { "key", 10 },
	[COL_SHMID] = { "shmid", 10 },
	[COL_PERMS] = { "perms", 8 },
	[COL_SIZE] = { "size", 10 },
	[COL_CPID] = { "cpid", 10 },
	[COL_LPID] = { "lpid", 10 },
	[COL_NATTCH] = { "nattch", 10 },
	[COL_UID] = { "uid", 10 },
	[COL_GID] = { "gid", 10 },
	[COL_CUID] = { "cuid", 10 },
	[COL_CGID] = { "cgid", 10 },
	[COL_ATIME] = { "atime", 10 },
	[COL_DTIME] = { "dtime", 10 },
	[COL_CTIME] = { "ctime", 10 },
	[COL_RSS] = { "rss", 10, true },
	[COL_SWAP] = { "swap", 10, true },
};

/*
 * The part of a segment that its owner cannot change. An ID comes again after some ten thousand
 * others, or at once by the sysctl kernel.shm_next_id.
 */
static uint64_t identity_of(const struct sysv_segment *s)
{
	uint64_t identity = s->ipc.item.size;

	identity = hash_multiply(identity) + (uint32_t)s->creator;
	identity = hash_multiply(identity) + s->ipc.cuid;
	return hash_multiply(identity) + s->ipc.cgid;
}

/* What follows from the fields that both sources gave. */
static void complete(const struct realm *realm, int shmid, struct sysv_segment *s)
{
	struct item *item = &s->ipc.item;

	sysvipc_complete(&s->ipc, shmid);
	item->kind = &kind_sysv;
	item->label = segment_class_name(SEGMENT_SYSV);
	item->segment = true;
	item->fixed_size = true;
	item->in_use = s->nattch > 0;
	item->key = (struct segment_key){
		.dev = realm->internal_dev,
		.ino = shmid,
		.ns = realm_is_own(realm) ? 0 : realm->ipc_ns,
		.class = SEGMENT_SYSV,
	};
	item->identity = identity_of(s);
}

void sysv_from_ds(const struct realm *realm, int shmid, const struct shmid_ds *ds,
	struct sysv_segment *out)
{
	*out = (struct sysv_segment){
		.ipc.item = {
			.mode = ds->shm_perm.mode & 0777,
			.uid = ds->shm_perm.uid,
			.gid = ds->shm_perm.gid,
			.size = ds->shm_segsz,
			.allocated = BYTES_UNKNOWN,
			.resident = BYTES_UNKNOWN,
			.swapped = BYTES_UNKNOWN,
			.atime.tv_sec = ds->shm_atime,
			.ctime.tv_sec = ds->shm_ctime,
		},
		.ipc.key = ds->shm_perm.__key,
		.ipc.cuid = ds->shm_perm.cuid,
		.ipc.cgid = ds->shm_perm.cgid,
		.creator = ds->shm_cpid,
		.last = ds->shm_lpid,
		.nattch = ds->shm_nattch,
		.dtime = ds->shm_dtime,
		.flags = ds->shm_perm.mode & MODE_FLAGS,
	};
	complete(realm, shmid, out);
}

struct parsing {
	const struct realm *realm;
	item_visitor visit;
	void *data;
};

/* Small pages in a huge one, of the size that is usual. */
#define HUGE_PAGE_PAGES 512
#define HUGE_PAGE_ALIGN (UINT64_C(2) << 20)

/*
 * Corrects how many bytes of a segment of huge pages are in memory: since Linux 6.7 the kernel
 * tells as many times more as a huge page has small ones. Only the inode says that the pages are
 * huge. If that cannot be read, a number greater than the size shows it.
 */
static void correct_huge(const struct realm *realm, struct item *item)
{
	uint64_t size = (item->size + HUGE_PAGE_ALIGN - 1) / HUGE_PAGE_ALIGN * HUGE_PAGE_ALIGN;
	struct object_now now;

	if (item->resident == BYTES_UNKNOWN || item->resident == 0)
		return;
	if (realm_is_own(realm) && realm->census &&
		census_look_sysv(realm->census, (int)item->key.ino, false, &now) == 0) {
		if (now.huge)
			item->resident = now.allocated;
	} else if (item->resident > size) {
		item->resident /= HUGE_PAGE_PAGES;
	}
}

static void visit_row(const uint64_t *v, void *data)
{
	const struct parsing *parsing = data;
	struct sysv_segment s = {
		.ipc.item = {
			.mode = v[COL_PERMS] & 0777,
			.uid = v[COL_UID],
			.gid = v[COL_GID],
			.size = v[COL_SIZE],
			.allocated = BYTES_UNKNOWN,
			.resident = v[COL_RSS],
			.swapped = v[COL_SWAP],
			.atime.tv_sec = v[COL_ATIME],
			.ctime.tv_sec = v[COL_CTIME],
		},
		.ipc.key = v[COL_KEY],
		.ipc.cuid = v[COL_CUID],
		.ipc.cgid = v[COL_CGID],
		.creator = v[COL_CPID],
		.last = v[COL_LPID],
		.nattch = v[COL_NATTCH],
		.dtime = v[COL_DTIME],
		.flags = v[COL_PERMS] & MODE_FLAGS,
	};

	complete(parsing->realm, (int)v[COL_SHMID], &s);
	correct_huge(parsing->realm, &s.ipc.item);
	if (s.ipc.item.resident != BYTES_UNKNOWN && s.ipc.item.swapped != BYTES_UNKNOWN)
		s.ipc.item.allocated = s.ipc.item.resident + s.ipc.item.swapped;
	parsing->visit(&s.ipc.item, parsing->data);
}

int sysv_parse(const struct realm *realm, const char *text, item_visitor visit, void *data)
{
	struct parsing parsing = { realm, visit, data };

	return sysvipc_parse(text, columns, N_COLUMNS, visit_row, &parsing);
}

static int sysv_each(const struct realm *realm, item_visitor visit, void *data)
{
	struct parsing parsing = { realm, visit, data };

	return sysvipc_each(realm, "shm", columns, N_COLUMNS, visit_row, &parsing);
}

struct search {
	int shmid;
	struct sysv_segment *found;
};

static void pick(const struct item *item, void *data)
{
	struct search *search = data;

	if (item->key.ino == (uint64_t)search->shmid && !search->found)
		search->found = g_memdup2(item, sizeof *search->found);
}

struct stat_call {
	int shmid;
	struct shmid_ds ds;
};

static int stat_segment(void *data)
{
	struct stat_call *call = data;

	return shmctl(call->shmid, IPC_STAT, &call->ds) < 0 ? sysvipc_error(errno) : 0;
}

static int sysv_stat(const struct realm *realm, const char *id, struct item **out)
{
	struct stat_call call;
	struct search search = { 0 };
	int r;

	if (!sysvipc_parse_id(id, &call.shmid))
		return -ENOENT;
	/*
	 * One segment this way costs 0.5 us, and by the table as much as the table is long. But the
	 * table tells everyone what shmctl() tells only to those who may read the segment.
	 */
	r = sysvipc_enter(realm, stat_segment, &call);
	if (r == 0) {
		search.found = g_new(struct sysv_segment, 1);
		sysv_from_ds(realm, call.shmid, &call.ds, search.found);
	} else if (r != -ENOENT) {
		search.shmid = call.shmid;
		r = sysv_each(realm, pick, &search);
	}
	if (!search.found)
		return r < 0 ? r : -ENOENT;
	*out = &search.found->ipc.item;
	return 0;
}

static int sysv_residency(const struct realm *realm, struct item *item)
{
	struct search search = { .shmid = (int)item->key.ino };
	int r;

	if (item->resident != BYTES_UNKNOWN)
		return 0;
	r = sysv_each(realm, pick, &search);
	if (!search.found)
		return r < 0 ? r : -ENOENT;
	item->allocated = search.found->ipc.item.allocated;
	item->resident = search.found->ipc.item.resident;
	item->swapped = search.found->ipc.item.swapped;
	g_free(search.found);
	return 0;
}

struct look_call {
	struct census *census;
	int shmid;
	bool wait;
	struct object_now *out;
};

static int look_at_segment(void *data)
{
	const struct look_call *call = data;

	return census_look_sysv(call->census, call->shmid, call->wait, call->out);
}

int sysv_look(const struct realm *realm, const struct item *item, bool wait, struct object_now *out)
{
	struct look_call call = { realm->census, (int)item->key.ino, wait, out };

	return sysvipc_enter(realm, look_at_segment, &call);
}

/* The kernel's own count of attachments. */
static int sysv_is_free(const struct realm *realm, const struct item *item)
{
	(void)realm;
	return ((const struct sysv_segment *)item)->nattch == 0;
}

static int64_t sysv_used(const struct item *item)
{
	return ((const struct sysv_segment *)item)->dtime;
}

static struct past_process creator_of(const struct view *view)
{
	const struct sysv_segment *s = (const struct sysv_segment *)view->item;

	return past_process_seen(view, s->creator, s->ipc.item.ctime.tv_sec);
}

static pid_t sysv_last_pid(const struct item *item, int64_t *when)
{
	const struct sysv_segment *s = (const struct sysv_segment *)item;

	*when = MAX(item->atime.tv_sec, s->dtime);
	return s->last;
}

static int show_creator(const struct view *view, const struct attribute *self, GString *out)
{
	struct past_process process = creator_of(view);

	(void)self;
	past_process_show(&process, out);
	return 0;
}

static int json_creator(const struct view *view, const struct attribute *self, struct json *json)
{
	struct past_process process = creator_of(view);

	past_process_json(&process, self->name, json);
	return 0;
}

/*
 * Whether the segment has huge pages. The kernel shows this only in the file behind a segment, so
 * that without a look at the object it is known only of one that some process has attached; and it
 * shows nowhere whether the segment's swap space is reserved.
 */
static bool has_huge_pages(const struct view *view)
{
	struct object_now now;
	struct item_file file;

	if (sysv_look(view->realm, view->item, true, &now) == 0)
		return now.huge;
	auto_fd fd = nameless_open(view->realm, &view->item->key, NULL, NULL);
	return fd >= 0 && file_identify(fd, &file) == 0 && !file.passthrough;
}

static int show_status(const struct view *view, const struct attribute *self, GString *out)
{
	const struct sysv_segment *s = (const struct sysv_segment *)view->item;
	size_t start = out->len;

	(void)self;
	if (s->flags & SYSV_DEST)
		g_string_append(out, "dest,");
	if (s->flags & MODE_LOCKED)
		g_string_append(out, "locked,");
	if (s->flags & MODE_HUGETLB || has_huge_pages(view))
		g_string_append(out, "hugetlb,");
	if (s->flags & MODE_NORESERVE)
		g_string_append(out, "noreserve,");
	if (out->len > start)
		g_string_truncate(out, out->len - 1);
	g_string_append_c(out, '\n');
	return 0;
}

static const struct attribute attributes[] = {
	{ "nattch", FORM_NUMBER, 0, show_u64, offsetof(struct sysv_segment, nattch) },
	{ "creator", FORM_OTHER, 0, show_creator, .json = json_creator },
	{ "last", FORM_OTHER, LAST_USER_NEEDS, last_user_show, .json = last_user_json },
	{ "status", FORM_TEXT, CENSUS_MAPPINGS, show_status },
	{ "atime", FORM_TIME, 0, show_i64, offsetof(struct item, atime.tv_sec) },
	{ "dtime", FORM_TIME, 0, show_i64, offsetof(struct sysv_segment, dtime) },
	{ NULL },
};

static const struct attribute *const tables[] = { segment_attributes, charged_attributes,
	sysvipc_attributes, attributes, NULL };

const struct kind kind_sysv = {
	.directory = "sysv",
	.item_size = sizeof(struct sysv_segment),
	.data = DATA_FILE,
	.attributes = tables,
	.present = sysvipc_present,
	.each = sysv_each,
	.stat = sysv_stat,
	.open = sysv_open,
	.permit = sysv_permit,
	.residency = sysv_residency,
	.look = sysv_look,
	.is_free = sysv_is_free,
	.used = sysv_used,
	.last_pid = sysv_last_pid,
	.remove = sysv_remove,
	.create = sysv_create,
	.change = sysv_change,
};
