/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BPF back end of the census: it reads only the address spaces that have changed, and its
 * result was true of all of them at one instant. This is the proof.
 *
 * The version of an address space is (process, start of the process, execve count, address of the
 * mm_struct, mm_lock_seq). A walk over all processes yields only the versions.
 *
 * 1. An unchanged version proves unchanged mappings.
 *
 * The set of mappings of an mm_struct, and each mapping's addresses, offset, file and permissions,
 * change only while a task holds its mmap_lock for writing: in mmap, munmap, mremap, mprotect
 * (which splits and merges), brk, shmat, shmdt, remap_file_pages, and the madvise and mlock calls
 * that change flags, whichever task makes the call. Since Linux 6.5 this is also true of the growth
 * of a stack, and no file can be mapped as a stack. Page faults, also those that take only a
 * mapping's own lock, and madvise calls that only drop or guard pages do not change the set. A task
 * that takes the lock for writing makes mm_lock_seq odd; when it releases the lock (or turns it
 * into a lock for reading), the number becomes even again. So if the number is even, and the same
 * before and after the mappings are read, it is the number of what was read, whatever the kernel's
 * iterator locks: the mmap_lock for reading all the while, or, in later kernels, one mapping after
 * another, where it may skip one that is being changed. If the number is still the same later, no
 * change has begun since. Before Linux 6.13 the number is a plain one, which changes when the lock
 * is released, and the lock's own word tells whether it is held for writing; there an unchanged
 * number means that no change has been completed, so that no system call that made one has
 * returned. The number has 32 bits: a wrong answer would take two billion changes of one address
 * space between two walks.
 *
 * The number belongs to the mm_struct; the rest of the version identifies that mm_struct:
 *
 * - fork: the child is another process; the kernel copies the address space under the locks of
 *   both, which changes the parent's number although its mappings are unchanged, and costs one
 *   re-reading.
 * - execve: the new mm_struct is allocated while the old one is in use, so its address is another.
 *   After a second execve the address may be the first one again, with any number; but each execve
 *   has incremented the count. The count changes a little later than the mm_struct, which does no
 *   harm: (count, address) is a new pair before and after that.
 * - vfork, CLONE_VM: several processes have one mm_struct. The oldest one represents all; when it
 *   leaves, by exit or execve, the version of another process takes its place.
 * - A pid that is used again, or an mm_struct allocated where another one was: the start times
 *   differ, in ns.
 * - A process whose first thread has exited: the version is that of a live thread. All threads have
 *   the execve count of the thread that began the program. If threads follow one another, none may
 *   live long enough for the walk to find it, or for the back end to read it; then the next round
 *   looks for the process again, and if no round finds it, it is unreadable.
 * - exit: a process that has given up its address space maps nothing, even while the kernel is
 *   still taking that down; the walk finds the process without one. If the process gives it up
 *   while it is read, exit waits for the iterator, or takes the lock for writing and changes the
 *   number.
 *
 * 2. Two walks that agree prove the instant.
 *
 * Processes are read one after another, so if one maps a segment and another unmaps it meanwhile,
 * the segment could be counted twice, or not at all. So after all changed address spaces have been
 * read, the back end walks over the versions again, until a walk finds the versions that the table
 * has. Then no address space in the table has changed between the walk or the reading before and
 * its turn in this walk, and all was as the table says when this walk began. A process that was
 * created in between and ended before its turn is in neither walk: hence every walk notes how far
 * the kernel has got in numbering processes, and two walks agree only if that is the same. (Only
 * checkpoint/restore creates processes with numbers of its choice.) If nothing has changed since
 * the last pass, the walk of that pass is the first of the two, and one is enough.
 *
 * Descriptor tables have no such number. The back end reads them between the two walks, so that a
 * segment that goes from a descriptor to a mapping or back is not lost, and again until two
 * readings find the same.
 *
 * On a machine where some address space changes all the time this would not end. So if reading the
 * changed ones again has found the same mappings as just before, the back end accepts that; and
 * after ROUNDS_MAX rounds it accepts what it found last. Each process's rows then are true of an
 * instant within the pass, but not all of the same one: the number of such processes is in the
 * tally.
 *
 * 3. The address space stays allocated while it is read.
 *
 * The iterator of earlier kernels, 6.18.0 among them, takes the lock of a task's mm_struct without
 * a reference to it; if the task exited between two instructions of the iterator, that would use
 * freed memory. So the back end keeps /proc/PID/maps open meanwhile, which keeps the mm_struct
 * allocated, if not in use.
 */
#include "census/bpf/context.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#define ROUNDS_MAX 8
#define BUSY_NAP_NS 200000
/* bpf_unchanged() must not take long: it walks only if there are at most so many address spaces. */
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

/* Returns whether the walk found the versions that the table has. */
static bool agrees(const struct bpf_census *census, const struct mm_versions *versions)
{
	return census->known->len == versions->count &&
		census->known_pid_cursor == versions->pid_cursor &&
		(versions->count == 0 ||
			memcmp(census->known->data, versions->at,
				versions->count * sizeof *versions->at) == 0);
}

/*
 * Makes one round: reads the descriptors if `facets` has them, walks over the versions, and updates
 * the mappings of the table where the two differ. Returns 1 if the walk agrees with the table, has
 * a version of every process, and the descriptors were as before; 0 if not; or a negative errno.
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

/*
 * Makes the next round read the space again: its rows, read with another set of devices, may lack
 * some.
 */
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
 * Returns whether to make one more round. Not if the last one found the same rows as the one
 * before, although versions have changed; but while other tasks keep a process's lock, until the
 * deadline.
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
		/* Descriptors have no version: finding them as in the last pass proves little. */
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
	/* Unless two walks agree the instant is not proven, even if nothing was read again. */
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

const bool census_bpf_is_built_in = true;
const struct census_backend census_backend_bpf = {
	.name = "bpf",
	.knows_files = true,
	.open = bpf_open,
	.pass = bpf_pass,
	.unchanged = bpf_unchanged,
	.incomplete_view = bpf_incomplete_view,
	.free = bpf_free,
};
