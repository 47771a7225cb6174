/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BPF back end reads address spaces: several at once, for it is the kernel that takes its time,
 * a quarter of a microsecond a mapping.
 */
#include "census/bpf/context.h"

#include "census/stall.h"
#include "base/util.h"

#include <fcntl.h>
#include <sched.h>

#define BUSY_TRIES 16

/* So many are kept allocated at once, by a descriptor each. */
#define BATCH 64

/* It does not pay to wake somebody up for fewer. */
#define LONE_MAX 4

/* As linux/mm.h has them. */
enum { VM_READ = 1, VM_WRITE = 2, VM_EXEC = 4, VM_MAYSHARE = 0x80 };

/* Who reads: the thread of the pass and, when called, helpers; each in a lane of its own. */
struct lane {
	struct team *team;
	unsigned number;
	bool taken;              /* under the team's lock */
	GArray *rows;            /* struct mapping, of the space being read */
	struct segment *segment; /* of the row before; NULL: it was of no segment */
};

struct team {
	struct bpf_census *census;
	GMutex filling; /* of the table */
	GThreadPool *helpers;

	/* A batch: fixed while it is being read. */
	struct reading *readings;
	gint count, next; /* `next`: the first that nobody has begun; atomic */

	GMutex lock;
	GCond left;
	/* Under the lock. */
	bool reading;     /* or a helper comes too late */
	unsigned helping; /* helpers that have come */
	unsigned n;       /* constant: lanes, of which the first is the pass's */
	struct lane lanes[];
};

static void find_segment(struct lane *lane, const struct seen_mapping *seen)
{
	g_mutex_lock(&lane->team->filling);
	lane->segment =
		bpf_segment_of(lane->team->census, &seen->file, !(seen->flags & VM_MAYSHARE));
	g_mutex_unlock(&lane->team->filling);
}

static void add_mapping(const struct seen_mapping *seen, void *data)
{
	struct lane *lane = data;
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
		find_segment(lane, seen);
	row.segment = lane->segment;
	if (row.segment != NULL)
		g_array_append_val(lane->rows, row);
}

/*
 * What keeps the address space of a thread allocated. -ENOENT, -ESRCH: there is none; -EBUSY: it must
 * not be asked for (stall.h). The directory of a thread is not listed beside those of processes, but it is there.
 */
static int open_pin(const struct bpf_census *census, pid_t thread)
{
	g_autofree char *path =
		g_strdup_printf("%s/%d/maps", proc_prefix(census->source->proc), (int)thread);
	int fd;

	if (!patience_begin(thread, 0))
		return -EBUSY;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	patience_end();
	return fd;
}

static void read_one(struct lane *lane, struct reading *reading)
{
	struct bpf_census *census = lane->team->census;

	for (int tries = 0; tries < BUSY_TRIES; tries++) {
		g_array_set_size(lane->rows, 0);
		reading->status = programs_read(census->programs, lane->number, reading->stamp,
			add_mapping, lane);
		if (reading->status != READ_BUSY && reading->status != READ_TORN)
			break;
		sched_yield();
	}
	if (reading->status != READ_DONE)
		return;
	g_mutex_lock(&lane->team->filling);
	reading->changed = space_set_mappings(census->spaces, reading->space,
		(void *)lane->rows->data, lane->rows->len);
	g_mutex_unlock(&lane->team->filling);
}

/* Until nothing is left that nobody has begun. */
static void read_some(struct lane *lane)
{
	struct team *team = lane->team;
	gint i;

	while ((i = g_atomic_int_add(&team->next, 1)) < team->count)
		if (team->readings[i].pin >= 0)
			read_one(lane, &team->readings[i]);
}

/* The lock is held. There are no more helpers at a time than lanes. */
static struct lane *take_lane(struct team *team)
{
	struct lane *lane = &team->lanes[1];

	while (lane->taken)
		lane++;
	g_assert(lane < team->lanes + team->n);
	lane->taken = true;
	team->helping++;
	return lane;
}

/* It may be called in one batch and come in another, or in none. */
static void help(gpointer data, gpointer user)
{
	struct team *team = user;
	struct lane *lane;

	(void)data;
	g_mutex_lock(&team->lock);
	if (team->reading) {
		lane = take_lane(team);
		g_mutex_unlock(&team->lock);
		read_some(lane);
		g_mutex_lock(&team->lock);
		lane->taken = false;
		team->helping--;
		g_cond_signal(&team->left);
	}
	g_mutex_unlock(&team->lock);
}

static void read_batch(struct team *team, struct reading *readings, size_t count)
{
	g_mutex_lock(&team->lock);
	team->readings = readings;
	team->count = count;
	team->next = 0;
	team->reading = true;
	g_mutex_unlock(&team->lock);
	for (unsigned i = g_thread_pool_unprocessed(team->helpers);
		i + 1 < team->n && count > LONE_MAX; i++)
		g_thread_pool_push(team->helpers, team, NULL);
	read_some(&team->lanes[0]);
	g_mutex_lock(&team->lock);
	team->reading = false;
	while (team->helping > 0)
		g_cond_wait(&team->left, &team->lock);
	g_mutex_unlock(&team->lock);
}

/* Only the thread of the pass asks processes, which may not answer; its helpers ask the programs. */
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
		read_batch(census->team, &readings[from], to - from);
		for (size_t i = from; i < to; i++)
			if (readings[i].pin >= 0)
				close(readings[i].pin);
	}
}

void bpf_read_begin(struct bpf_census *census)
{
	unsigned n = programs_lanes(census->programs);
	struct team *team = g_malloc0(sizeof *team + n * sizeof(struct lane));

	team->census = census;
	team->n = n;
	g_mutex_init(&team->filling);
	g_mutex_init(&team->lock);
	g_cond_init(&team->left);
	for (unsigned i = 0; i < n; i++) {
		team->lanes[i].team = team;
		team->lanes[i].number = i;
		team->lanes[i].rows = g_array_new(FALSE, FALSE, sizeof(struct mapping));
	}
	team->helpers = g_thread_pool_new(help, team, MAX(n - 1, 1), FALSE, NULL);
	census->team = team;
}

void bpf_read_end(struct bpf_census *census)
{
	struct team *team = census->team;

	/* A call that no thread could be had for is dropped: nobody waits for it. */
	g_thread_pool_free(team->helpers, TRUE, TRUE);
	for (unsigned i = 0; i < team->n; i++)
		g_array_unref(team->lanes[i].rows);
	g_cond_clear(&team->left);
	g_mutex_clear(&team->lock);
	g_mutex_clear(&team->filling);
	g_free(team);
}
