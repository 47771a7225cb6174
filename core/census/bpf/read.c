/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads address spaces for the BPF back end, several at once: the kernel takes a quarter of a
 * microsecond for each mapping, on the processor of the thread that asks.
 *
 * What the pool gives, measured in turn with and without it on two busy processors: a first reading
 * of 1,000,000 mappings in 2,000 processes took 1.37 s with it, and 2.29 s without (medians of 9).
 */
#include "census/bpf/context.h"

#include "census/pass/stall.h"
#include "base/util.h"

#include <fcntl.h>
#include <sched.h>

#define BUSY_TRIES 16

/* Address spaces that are kept allocated at once, by a descriptor each. */
#define BATCH 64

/* The memory of so many rows is kept for the next space. */
#define ROWS_KEPT 4096

/* For so few the pass thread wakes no other. */
#define ALONE_MAX 4

/* As linux/mm.h has them. */
enum { VM_READ = 1, VM_WRITE = 2, VM_EXEC = 4, VM_MAYSHARE = 0x80 };

/* One for each thread that reads: the pass thread and, when called, threads of the pool. */
struct read_slot {
	struct read_pool *pool;
	unsigned number;
	bool taken;              /* protected by the pool's lock */
	GArray *rows;            /* struct mapping, of the space being read */
	struct segment *segment; /* of the row before; NULL: it was of no segment */
	uint64_t file;           /* likewise */
};

struct read_pool {
	struct bpf_census *census;
	GMutex filling; /* protects the table of address spaces */
	GThreadPool *threads;

	/* A batch: fixed while it is being read. */
	struct reading *readings;
	gint count, next; /* `next`: the first that no thread has begun; atomic */

	GMutex lock;
	GCond left;
	/* Protected by the lock: */
	bool reading; /* a batch; false: a thread of the pool that comes now has nothing to do */
	unsigned busy_slots; /* taken by threads of the pool */
	unsigned n;          /* constant: slots, of which the first is the pass's */
	struct read_slot slots[];
};

static void find_segment(struct read_slot *slot, const struct seen_mapping *seen)
{
	g_mutex_lock(&slot->pool->filling);
	slot->segment =
		bpf_segment_of(slot->pool->census, &seen->file, !(seen->flags & VM_MAYSHARE));
	g_mutex_unlock(&slot->pool->filling);
	slot->file = seen->file.file;
}

static void add_mapping(const struct seen_mapping *seen, void *data)
{
	struct read_slot *slot = data;
	struct mapping row = {
		.start = seen->start,
		.end = seen->end,
		.offset = seen->pgoff * sysconf(_SC_PAGESIZE),
		.perms = {
			seen->flags & VM_READ ? 'r' : '-',
			seen->flags & VM_WRITE ? 'w' : '-',
			seen->flags & VM_EXEC ? 'x' : '-',
			seen->flags & VM_MAYSHARE ? 's' : 'p',
		},
	};

	if (!seen->same_file)
		find_segment(slot, seen);
	row.segment = slot->segment;
	row.file = slot->file;
	if (row.segment != NULL)
		g_array_append_val(slot->rows, row);
}

/*
 * Opens a descriptor that keeps the address space of a thread allocated. -ENOENT, -ESRCH: it has
 * none; -EBUSY: the process must not be asked (stall.h). procfs does not list /proc/TID, but has
 * it.
 */
static int open_pin(const struct bpf_census *census, pid_t thread)
{
	g_autofree char *path =
		g_strdup_printf("%s/%d/maps", proc_prefix(census->source->proc), (int)thread);
	int fd;

	if (!stall_enter(thread, 0))
		return -EBUSY;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	stall_leave();
	return fd;
}

static void read_one(struct read_slot *slot, struct reading *reading)
{
	struct bpf_census *census = slot->pool->census;

	for (int tries = 1; tries <= BUSY_TRIES; tries++) {
		g_array_set_size(slot->rows, 0);
		/* What the last reading found may be gone: the first record has a file of its own. */
		slot->segment = NULL;
		slot->file = 0;
		reading->status = programs_read(census->programs, slot->number, reading->version,
			tries == BUSY_TRIES, add_mapping, slot);
		if (reading->status != READ_BUSY && reading->status != READ_TORN)
			break;
		sched_yield();
	}
	if (reading->status != READ_DONE && reading->status != READ_TORN)
		return;
	g_mutex_lock(&slot->pool->filling);
	reading->changed = space_set_mappings(census->spaces, reading->space,
		(void *)slot->rows->data, slot->rows->len);
	g_mutex_unlock(&slot->pool->filling);
	if (slot->rows->len > ROWS_KEPT) {
		g_array_unref(slot->rows);
		slot->rows = g_array_new(FALSE, FALSE, sizeof(struct mapping));
	}
}

/* Until nothing is left that nobody has begun. */
static void read_some(struct read_slot *slot)
{
	struct read_pool *pool = slot->pool;
	gint i;

	while ((i = g_atomic_int_add(&pool->next, 1)) < pool->count)
		if (pool->readings[i].pin >= 0)
			read_one(slot, &pool->readings[i]);
}

/* The lock is held. The pool has one thread less than there are slots. */
static struct read_slot *take_slot(struct read_pool *pool)
{
	struct read_slot *slot = &pool->slots[1];

	while (slot->taken)
		slot++;
	g_assert(slot < pool->slots + pool->n);
	slot->taken = true;
	pool->busy_slots++;
	return slot;
}

/* Runs in a thread of the pool, which may begin only in a later batch than the one that woke it. */
static void read_in_slot(gpointer data, gpointer user)
{
	struct read_pool *pool = user;
	struct read_slot *slot;

	(void)data;
	g_mutex_lock(&pool->lock);
	if (pool->reading) {
		slot = take_slot(pool);
		g_mutex_unlock(&pool->lock);
		read_some(slot);
		g_mutex_lock(&pool->lock);
		slot->taken = false;
		pool->busy_slots--;
		g_cond_signal(&pool->left);
	}
	g_mutex_unlock(&pool->lock);
}

static void read_batch(struct read_pool *pool, struct reading *readings, size_t count)
{
	g_mutex_lock(&pool->lock);
	pool->readings = readings;
	pool->count = count;
	pool->next = 0;
	pool->reading = true;
	g_mutex_unlock(&pool->lock);
	for (unsigned i = g_thread_pool_unprocessed(pool->threads);
		i + 1 < pool->n && count > ALONE_MAX; i++)
		g_thread_pool_push(pool->threads, pool, NULL);
	read_some(&pool->slots[0]);
	g_mutex_lock(&pool->lock);
	pool->reading = false;
	while (pool->busy_slots > 0)
		g_cond_wait(&pool->left, &pool->lock);
	g_mutex_unlock(&pool->lock);
}

/*
 * Only the pass thread asks processes, which may not answer; threads of the pool ask the programs.
 */
static void pin(const struct bpf_census *census, struct reading *reading)
{
	reading->pin = open_pin(census, reading->space->task);
	reading->status =
		reading->pin == -ENOENT || reading->pin == -ESRCH ? READ_GONE : reading->pin;
}

void bpf_read(struct bpf_census *census, struct reading *readings, size_t count)
{
	for (size_t from = 0; from < count; from += BATCH) {
		size_t to = MIN(from + BATCH, count);

		for (size_t i = from; i < to; i++)
			pin(census, &readings[i]);
		read_batch(census->pool, &readings[from], to - from);
		for (size_t i = from; i < to; i++)
			if (readings[i].pin >= 0)
				close(readings[i].pin);
	}
}

void bpf_read_begin(struct bpf_census *census)
{
	unsigned n = programs_slots(census->programs);
	struct read_pool *pool = g_malloc0(sizeof *pool + n * sizeof(struct read_slot));

	pool->census = census;
	pool->n = n;
	g_mutex_init(&pool->filling);
	g_mutex_init(&pool->lock);
	g_cond_init(&pool->left);
	for (unsigned i = 0; i < n; i++) {
		pool->slots[i].pool = pool;
		pool->slots[i].number = i;
		pool->slots[i].rows = g_array_new(FALSE, FALSE, sizeof(struct mapping));
	}
	pool->threads = g_thread_pool_new(read_in_slot, pool, MAX(n - 1, 1), FALSE, NULL);
	census->pool = pool;
}

void bpf_read_end(struct bpf_census *census)
{
	struct read_pool *pool = census->pool;

	/* Drops calls for which no thread could be started: no thread waits for them. */
	g_thread_pool_free(pool->threads, TRUE, TRUE);
	for (unsigned i = 0; i < pool->n; i++)
		g_array_unref(pool->slots[i].rows);
	g_cond_clear(&pool->left);
	g_mutex_clear(&pool->lock);
	g_mutex_clear(&pool->filling);
	g_free(pool);
}
