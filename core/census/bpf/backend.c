/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The census by BPF: only address spaces that have changed are read, and what comes of it was true
 * of all of them at one instant.
 *
 * The version of an address space is (process, start of the process, execve count, address of the
 * mm_struct, mm_lock_seq). A walk over all processes yields the versions alone.
 *
 * 1. An unchanged version proves unchanged mappings.
 *
 * The set of mappings of an mm_struct, and each mapping's addresses, offset, file and permissions,
 * change only under its mmap_lock held for writing: mmap, munmap, mremap, mprotect (which splits
 * and merges), brk, shmat, shmdt, remap_file_pages, the madvise and mlock calls that change flags,
 * and likewise when another task does it. The growth of a stack too, since Linux 6.5, and no file
 * can be mapped as one. Page faults, also those under a mapping's own lock, and madvise calls that
 * only drop or guard pages leave the set alone. Taking the lock for writing makes mm_lock_seq odd,
 * and giving it back (or turning it into a lock for reading) makes it even again. So a number that
 * is even and the same before and after the mappings are read is that of what was read, whatever
 * the kernel's iterator locks: the mmap_lock for reading all the while, or, as later kernels do,
 * one mapping after another, where it may pass over one that is being changed. And a number that
 * is still the same later means that no change has begun since. Before Linux 6.13 the number is a
 * plain one, which moves when the lock is given back, and the lock's own word tells whether it is
 * held for writing; there a number still the same means that no change has been completed, so that
 * no system call that made one has returned. It has 32 bits: two billion changes of one address
 * space between two looks would be needed to deceive.
 *
 * The number belongs to the mm_struct, and what makes the mm_struct that very one is the rest:
 *
 * - fork: the child is another process; its copy is made under both locks, which moves the parent's
 *   number without need, and costs a re-reading.
 * - execve: the new mm_struct is allocated while the old one is in use, so that its address is
 *   another. After a second execve it may be the first address again, with any number: but the
 *   count has moved, once for each. It moves a little later than the mm_struct changes, which does
 *   no harm: (count, address) is a new pair before and after.
 * - vfork, CLONE_VM: several processes with one mm_struct. The eldest stands for all; when it
 *   leaves, by exit or execve, another process's version takes its place.
 * - A pid used anew, or an mm_struct allocated where another one was: start times differ, in ns.
 * - A process whose first thread has exited: the version is of a thread that lives. All threads have
 *   the execve count of the one that began the program. Where threads follow one another, none may
 *   live long enough to be met, or to be read after; then the process is looked for in another
 *   round, and if it is never found, it is unreadable.
 * - exit: a process that has given up its address space maps nothing, even while the kernel is
 *   still taking it down; the walk finds it without one. If it does so while it is read, exit waits
 *   for the iterator, or takes the lock for writing and moves the number.
 *
 * 2. Two walks that agree prove the instant.
 *
 * Read one after another, processes that hand a segment on (one maps it, another unmaps it) could
 * be counted twice, or not at all. So after all moved ones have been read, the versions are walked
 * again, until a walk finds what the table has. Then no address space in the table has changed
 * between the walk or the reading before and its turn in this walk, and all was as the table says
 * when this walk began. A process that was born in between and died before its turn is in neither
 * walk: hence every walk notes how far the kernel has got in numbering processes, and the two agree
 * only if that is the same. (Only checkpoint/restore makes processes with numbers of its choice.)
 * When nothing has changed since the last question, the walk of the last question is the first of
 * the two, and one is enough.
 *
 * Descriptor tables have no such number. They are read between the two walks, so that a segment
 * which goes from a descriptor to a mapping or back is not lost, and again until two readings find
 * the same.
 *
 * On a machine where some address space changes all the time this would have no end. When reading
 * the moved ones again has found the same mappings as just before, that is taken; and after
 * ROUNDS_MAX rounds what was found last. Each process's rows then are true of an instant within the
 * pass, but not all of the same one: the count of such processes is in the tally.
 *
 * 3. The address space stays allocated while it is read.
 *
 * The iterator of earlier kernels, 6.18.0 among them, takes the lock of a task's mm_struct without a
 * reference to it; a task exiting between two instructions of it would leave it with freed memory.
 * So we hold /proc/PID/maps open meanwhile, which keeps the mm_struct allocated, if not in use.
 */
#include "census/bpf/context.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#define ROUNDS_MAX 8
#define BUSY_NAP_NS 200000
/* What must not take long looks at so many address spaces at most. */
#define GLANCE_MAX 2000

struct segment *bpf_segment_of(struct bpf_census *census, const struct seen_file *file,
	bool private)
{
	struct file_seen seen = {
		.dev = makedev(file->dev >> 20, file->dev & 0xfffff),
		.ino = file->ino,
		.name = file->name,
		.private = private,
		.ipc_ns = file->ipc_ns == census->own_ipc ? 0 : file->ipc_ns,
	};
	struct segment_key key;

	if (!devices_identify(census->source->devices, &seen, &key))
		return NULL;
	return spaces_segment(census->spaces, &key);
}

/* Whether the walk found what the table has. */
static bool agrees(const struct bpf_census *census, const struct mm_versions *versions)
{
	return census->known->len == versions->count &&
		census->known_pid_cursor == versions->pid_cursor &&
		memcmp(census->known->data, versions->at, versions->count * sizeof *versions->at) ==
		0;
}

/*
 * One round: descriptors if asked, and then the walk. 1 if the walk found all as the table has it,
 * and the descriptors were as before; 0 if not; or a negative errno.
 */
static int go_round(struct bpf_census *census, unsigned facets, struct round *round)
{
	struct mm_versions versions;
	int err;

	*round = (struct round){ 0 };
	census->round++;
	if (facets & CENSUS_DESCRIPTORS) {
		err = bpf_update_descriptors(census, round);
		if (err != 0)
			return err;
	}
	err = bpf_walk(census, false, &versions);
	if (err != 0)
		return err;
	round->uncertain = versions.uncertain;
	if (agrees(census, &versions))
		return !round->changed && !round->uncertain;
	g_array_set_size(census->known, 0);
	g_array_append_vals(census->known, versions.at, versions.count);
	census->known_pid_cursor = versions.pid_cursor;
	bpf_update_mappings(census, round);
	return 0;
}

uint64_t bpf_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = BUSY_NAP_NS }, NULL);
}

/* Rows that were read when the devices were others may lack some. */
static void forget(struct space *space, void *data)
{
	(void)data;
	space->backend_data[BPF_DATA_MM] = 0;
}

static void bpf_begin(struct bpf_census *census, struct spaces *spaces)
{
	census->spaces = spaces;
	spaces_see_all(spaces);
	if (census->generation == census->source->devices->generation)
		return;
	spaces_each(spaces, forget, NULL);
	g_array_set_size(census->known, 0);
	census->generation = census->source->devices->generation;
}

/*
 * One more round? Not when the last found the same rows as the one before, although versions moved;
 * but a process that others keep locked gets some time.
 */
static bool worth_a_round(const struct round *round, unsigned rounds, uint64_t deadline)
{
	if (round->busy && bpf_now_ns() < deadline)
		return true;
	return rounds < ROUNDS_MAX &&
		(rounds < 2 || round->changed || round->gone || round->uncertain);
}

static int bpf_pass(void *state, struct spaces *spaces, unsigned facets, struct census_tally *tally)
{
	struct bpf_census *census = state;
	uint64_t deadline = bpf_now_ns() + BUSY_WAIT_MAX_NS;
	struct round round;
	int agreed;

	bpf_begin(census, spaces);
	for (unsigned rounds = 1;; rounds++) {
		agreed = go_round(census, facets, &round);
		tally->reread += round.reread;
		if (agreed < 0)
			return agreed;
		/* Descriptors have no version: that they are as in the last pass proves little. */
		if (agreed == 1 && (rounds > 1 || !(facets & CENSUS_DESCRIPTORS)))
			break;
		if (!worth_a_round(&round, rounds, deadline))
			break;
		if (round.busy)
			nap();
	}
	tally->spaces = census->spaces_found;
	tally->unreadable = round.unreadable + round.gone + round.uncertain + bpf_hidden(census);
	tally->shortage = round.shortage ? round.shortage : census->shortage;
	/* Without two walks that agree the instant is not proven, even if nothing was read again. */
	tally->inconsistent = agreed ? 0 : MAX(1, round.reread);
	return 0;
}

static bool bpf_unchanged(void *state, unsigned facets, struct census_tally *tally)
{
	struct bpf_census *census = state;
	struct mm_versions versions;

	/* Descriptors have no version. */
	if (facets != CENSUS_MAPPINGS || census->known->len > GLANCE_MAX ||
		census->generation != census->source->devices->generation ||
		bpf_walk(census, true, &versions) != 0 || !census->counted || !census->checked ||
		versions.uncertain || !agrees(census, &versions))
		return false;
	tally->spaces = census->spaces_found;
	tally->unreadable = census->hidden;
	return true;
}

static const char *bpf_incomplete_view(void *state)
{
	const struct bpf_census *census = state;

	return census->partial ? "processes outside the pid namespace are not seen" : NULL;
}

static void bpf_free(void *state)
{
	struct bpf_census *census = state;

	bpf_read_end(census);
	programs_free(census->programs);
	g_array_unref(census->known);
	g_array_unref(census->found);
	g_array_unref(census->hidden_pids);
	g_hash_table_unref(census->tables);
	g_free(census);
}

static uint32_t own_ipc_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/ipc", &st) == 0 ? st.st_ino : 0;
}

static int bpf_open(const struct census_source *source, void **out, const char **why)
{
	struct programs *programs;
	struct bpf_census *census;
	int err;

	if (!proc_is_own(source->proc)) {
		*why = "it sees the processes of this machine, not those of another procfs";
		return -EOPNOTSUPP;
	}
	err = programs_load(source->self, &programs, why);
	if (err != 0)
		return err;
	census = g_new0(struct bpf_census, 1);
	census->programs = programs;
	census->source = source;
	census->own_ipc = own_ipc_namespace();
	census->known = g_array_new(FALSE, FALSE, sizeof(struct mm_version));
	bpf_read_begin(census);
	census->found = bpf_found_new();
	census->hidden_pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	census->tables = g_hash_table_new(NULL, NULL);
	*out = census;
	return 0;
}

const struct census_backend census_backend_bpf = {
	.name = "bpf",
	.knows_files = true,
	.open = bpf_open,
	.pass = bpf_pass,
	.unchanged = bpf_unchanged,
	.incomplete_view = bpf_incomplete_view,
	.free = bpf_free,
};
