/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pass sharing: census_hold() takes a ticket for the next pass to begin, and waits for that one.
 * The first waiter that finds no pass running, and no holder of the previous result, runs it for
 * all ticket holders. When it ends, all of them hold the table at once, before another pass can
 * begin; the next one begins when the last holder has released it. So at most one pass is running
 * or held, and one is awaited, however many threads ask.
 */
#include "census/census-private.h"

#include "census/object/sums.h"

#include <string.h>
#include <time.h>

/* How often a pass is tried that lacks descriptors or memory, and how long it waits in between. */
#define SHORTAGE_TRIES 3
#define SHORTAGE_WAIT_US 2000

static const struct census_backend *const backends[] = {
	&census_backend_bpf,
	&census_backend_query,
	&census_backend_text,
};

const char *census_choice_name(enum census_backend_choice choice)
{
	static const char *const names[] = {
		[CENSUS_AUTO] = "auto",
		[CENSUS_BPF] = "bpf",
		[CENSUS_QUERY] = "query",
		[CENSUS_TEXT] = "text",
	};

	return names[choice];
}

bool census_has_bpf(void)
{
	return census_bpf_is_built_in;
}

static int open_pass_thread(struct census *census, const struct census_backend *backend,
	const struct devices *devices, const char **why)
{
	int error = pass_thread_new(census->proc, census->self, devices, backend,
		census->stall_detector, &census->pass_thread, why);

	if (!error) {
		census->backend = backend;
		census->spaces = pass_thread_spaces(census->pass_thread);
	}
	return error;
}

static void note_caveat(const struct census *census, GString *missing)
{
	const char *caveat = pass_thread_caveat(census->pass_thread);

	if (caveat)
		g_string_append_printf(missing, "%s%s", missing->len ? "; " : "", caveat);
}

/*
 * Opens the first back end that works, or the one that was chosen. `why` is what the last one that
 * was tried says of its failure.
 */
static int open_backend(struct census *census, const struct devices *devices, const char **why)
{
	const char *chosen =
		census->choice == CENSUS_AUTO ? NULL : census_choice_name(census->choice);
	g_autoptr(GString) missing = g_string_new(NULL);
	int error = -EOPNOTSUPP;

	for (size_t i = 0; i < G_N_ELEMENTS(backends); i++) {
		if (chosen && strcmp(chosen, backends[i]->name) != 0)
			continue;
		error = open_pass_thread(census, backends[i], devices, why);
		if (!error)
			break;
		g_string_append_printf(missing, "%s%s: %s", missing->len ? "; " : "",
			backends[i]->name, *why ? *why : g_strerror(-error));
	}
	if (chosen)
		g_string_assign(missing, "chosen by option");
	if (!error)
		note_caveat(census, missing);
	if (missing->len && !error)
		census->why_not_better = g_string_free(g_steal_pointer(&missing), FALSE);
	return error;
}

/* Writes the back end's part of the report; with the lock once other threads may read it. */
static void report_backend(struct census *census)
{
	census->report.backend = census->backend->name;
	census->report.why_not_better = census->why_not_better;
}

/* It reads this machine's kernel, and goes with the back end that does. */
static struct object_side *make_object_side(const struct census_config *config,
	const struct proc *proc)
{
	const char *why_not = NULL;

	if (config->no_objects)
		why_not = "chosen by option";
	else if (config->backend != CENSUS_AUTO && config->backend != CENSUS_BPF)
		why_not = "goes with census=bpf";
	else if (!proc || !proc_is_own(proc))
		why_not = "knows the objects of this machine, not those of another procfs";
	return object_side_new(!why_not, config->self != 0, why_not);
}

int census_new(const struct census_config *config, struct census **out)
{
	struct census *census = g_new0(struct census, 1);
	struct proc *proc = NULL;
	const char *why = NULL;
	int error = proc_open(config->proc, &proc);

	g_mutex_init(&census->lock);
	g_cond_init(&census->changed);
	census->proc = g_strdup(config->proc);
	census->self = config->self;
	census->stall_detector = stall_detector_new();
	census->memory = (struct memory){ .proc = census->proc, .past = past_new() };
	census->charged = charged_new();
	census->sums = sums_new();
	if (!error)
		error = devices_init(&census->next_devices, config->shm_dev);
	census->object_side = make_object_side(config, proc);
	if (!error && config->mount_register)
		(void)mount_register_open(config->mount_register, config->shm_dev, &census->mounts);
	/* The best that works is found by the first pass: to load BPF takes some 15 ms. */
	census->choice = config->backend;
	census->report.backend = "auto";
	if (!error && census->choice != CENSUS_AUTO)
		error = open_backend(census, &census->next_devices, &why);
	if (config->why)
		*config->why = why;
	if (!error && census->backend)
		report_backend(census);
	proc_close(proc);
	if (error) {
		census_free(census);
		return error;
	}
	*out = census;
	return 0;
}

void census_free(struct census *census)
{
	if (!census)
		return;
	g_assert(!census->holders && !census->awaiting);
	pass_thread_free(census->pass_thread);
	object_side_free(census->object_side);
	mount_register_close(census->mounts);
	stall_detector_unref(census->stall_detector);
	past_free(census->memory.past);
	charged_free(census->charged);
	sums_free(census->sums);
	devices_clear(&census->next_devices);
	g_free(census->proc);
	g_free(census->why_not_better);
	g_cond_clear(&census->changed);
	g_mutex_clear(&census->lock);
	g_free(census);
}

static void add_other_mount(uint64_t mount_dev, uint64_t source_dev, pid_t server, void *data)
{
	struct device mount = {
		.dev = mount_dev,
		.role = DEVICE_OTHER_MOUNT,
		.server = server,
		.source = source_dev,
	};

	g_array_append_val((GArray *)data, mount);
}

/* Called with the lock. Mounts come and go; a register that does not answer changes nothing. */
static void update_other_mounts(struct census *census)
{
	g_autoptr(GArray) mounts = g_array_new(FALSE, FALSE, sizeof(struct device));

	if (census->mounts && mount_register_each(census->mounts, add_other_mount, mounts) == 0)
		devices_set_other_mounts(&census->next_devices, mounts);
}

/* The mounts of other daemons are looked at before: what is seen now came after them. */
static void add_device(struct census *census, uint64_t dev, enum device_role role)
{
	g_mutex_lock(&census->lock);
	if (devices_role(&census->next_devices, dev) != role) {
		update_other_mounts(census);
		devices_add(&census->next_devices, dev, role);
	}
	g_mutex_unlock(&census->lock);
}

void census_set_mount(struct census *census, uint64_t dev)
{
	add_device(census, dev, DEVICE_MOUNT);
	if (census->mounts)
		(void)mount_register_add(census->mounts, dev);
}

void census_add_device(struct census *census, uint64_t dev)
{
	add_device(census, dev, DEVICE_SHM);
}

uint64_t census_mount_ino(struct census *census, const struct segment_key *key)
{
	uint64_t ino;

	g_mutex_lock(&census->lock);
	ino = devices_mount_ino(&census->next_devices, key);
	g_mutex_unlock(&census->lock);
	return ino;
}

bool census_identify(struct census *census, const struct file_seen *file, struct segment_key *key)
{
	bool found;

	g_mutex_lock(&census->lock);
	found = devices_identify(&census->next_devices, file, key);
	g_mutex_unlock(&census->lock);
	return found;
}

uint64_t census_internal_device(struct census *census)
{
	uint64_t dev;

	g_mutex_lock(&census->lock);
	dev = census->next_devices.internal;
	g_mutex_unlock(&census->lock);
	return dev;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Opens the back end in the first pass, because loading BPF takes long. */
static int ensure_backend(struct census *census, const struct devices *devices)
{
	const char *why;

	return census->backend ? 0 : open_backend(census, devices, &why);
}

/* A process that does not answer costs a second, once; it counts as one that could not be read. */
static int read_all(struct census *census, const struct devices *devices, unsigned facets,
	struct pass_result *result)
{
	const char *why;
	int error;

	do {
		if (!census->pass_thread) {
			error = open_pass_thread(census, census->backend, devices, &why);
			if (error)
				return error;
		}
		error = pass_thread_run(census->pass_thread, devices, facets, result);
		if (error == -EBUSY) {
			census->pass_thread = NULL;
			past_forget(census->memory.past,
				past_now()); /* with the table, who was in it */
		}
	} while (!census->pass_thread);
	return error;
}

/* Called with the lock: notes that the pass that began last has ended, with that many holders. */
static void end_pass(struct census *census, int result, unsigned facets, uint64_t start,
	const struct pass_result *found, unsigned holders)
{
	if (!(facets & CENSUS_OBJECTS) || result)
		object_side_skip(census->object_side);
	census->result = result;
	census->facets = facets;
	census->report.passes++;
	census->report.last_pass_ns = now_ns() - start;
	census->report.last_pass_time = time(NULL);
	census->report.spaces = found->tally.spaces;
	census->report.reread = found->tally.reread;
	census->report.unreadable = found->tally.unreadable;
	census->report.inconsistent = found->tally.inconsistent;
	census->report.incomplete_view = found->incomplete_view;
	census->holders = holders;
	census->ended++;
	g_cond_broadcast(&census->changed);
}

/* Descriptors and memory that others have now may be free a moment later. */
static int read_all_patiently(struct census *census, const struct devices *devices, unsigned facets,
	struct pass_result *result)
{
	int error;

	for (unsigned tries = 1;; tries++) {
		error = read_all(census, devices, facets, result);
		if (!is_shortage(error) || tries == SHORTAGE_TRIES)
			return error;
		g_usleep(SHORTAGE_WAIT_US);
	}
}

/* What the kernel counts on the objects is looked at before and after the processes. */
static int read_with_objects(struct census *census, const struct devices *devices, unsigned facets,
	struct pass_result *result)
{
	uint64_t reread = 0;
	int error;

	if (!(facets & CENSUS_OBJECTS))
		return read_all_patiently(census, devices, facets, result);
	object_side_begin(census->object_side, devices);
	do {
		error = read_all_patiently(census, devices, facets, result);
		reread += result->tally.reread;
	} while (!error &&
		object_side_end(census->object_side, devices, census->spaces,
			facets & CENSUS_FACTS));
	result->tally.reread = reread;
	return error;
}

/* Called with the lock, which it gives up while the pass runs: nobody else is at the table then. */
static void run_pass(struct census *census)
{
	struct pass_result found = { 0 };
	struct devices devices;
	unsigned waiting = census->awaiting, facets = census->awaited_facets;
	uint64_t start = now_ns();
	int result;

	census->begun++;
	census->awaiting = 0;
	census->awaited_facets = 0;
	update_other_mounts(census);
	devices = devices_copy(&census->next_devices);
	g_mutex_unlock(&census->lock);

	result = ensure_backend(census, &devices);
	if (!result)
		result = read_with_objects(census, &devices, facets, &found);
	if (!result)
		remember_pass(&census->memory, census->spaces, census->object_side, facets);
	devices_clear(&devices);

	g_mutex_lock(&census->lock);
	if (census->backend)
		report_backend(census);
	end_pass(census, result, facets, start, &found, waiting);
}

int census_hold(struct census *census, unsigned facets)
{
	uint64_t ticket;
	int result;

	g_mutex_lock(&census->lock);
	ticket = census->begun + 1;
	census->awaiting++;
	census->awaited_facets |= facets;
	while (census->ended < ticket) {
		if (census->begun < ticket && census->ended == census->begun && !census->holders)
			run_pass(census);
		else
			g_cond_wait(&census->changed, &census->lock);
	}
	/* No other pass can have begun: we are among the holders of this one. */
	result = census->result;
	g_mutex_unlock(&census->lock);
	if (result)
		census_release(census);
	return result;
}

/* Called with the lock: whether no pass runs, is held or is awaited. */
static bool is_at_rest(const struct census *census)
{
	return census->begun == census->ended && !census->awaiting && !census->holders;
}

void census_prepare(struct census *census)
{
	struct devices devices;
	bool remembers;

	/* First of all: it alone answers some questions. */
	object_side_get(census->object_side, true);
	g_mutex_lock(&census->lock);
	/*
	 * Whoever has asked already had a pass do the same, or waits for one that will. They wait for
	 * the next number of a pass, which this would use up without making one.
	 */
	if (!is_at_rest(census)) {
		g_mutex_unlock(&census->lock);
		return;
	}
	census->begun++;
	devices = devices_copy(&census->next_devices);
	g_mutex_unlock(&census->lock);

	remembers = ensure_backend(census, &devices) == 0 && census->backend->unchanged;
	devices_clear(&devices);

	g_mutex_lock(&census->lock);
	if (census->backend)
		report_backend(census);
	/* Over, without holders: whoever came meanwhile has a ticket for the one after. */
	census->ended++;
	g_cond_broadcast(&census->changed);
	g_mutex_unlock(&census->lock);
	if (remembers && census_hold(census, CENSUS_ALL) == 0)
		census_release(census);
}

/*
 * A pass of its own, which nobody else waits for: who comes while it runs waits for the next. If it
 * finds something changed, it has not been one.
 */
bool census_hold_at_once(struct census *census, unsigned facets)
{
	struct pass_result found;
	struct devices devices;
	uint64_t start = now_ns();
	bool unchanged;

	g_mutex_lock(&census->lock);
	/* Looked at first: while a pass runs, the pass thread is not to be touched. */
	if (!is_at_rest(census) || !census->pass_thread || census->result) {
		g_mutex_unlock(&census->lock);
		return false;
	}
	census->begun++;
	update_other_mounts(census);
	devices = devices_copy(&census->next_devices);
	g_mutex_unlock(&census->lock);

	unchanged = pass_thread_is_unchanged(census->pass_thread, &devices, facets, &found);
	if (unchanged)
		remember_unchanged(&census->memory, facets);
	devices_clear(&devices);

	g_mutex_lock(&census->lock);
	if (unchanged) {
		end_pass(census, 0, facets, start, &found, 1);
	} else {
		/* Over, without holders: whoever came meanwhile has a ticket for the one after. */
		census->ended++;
		g_cond_broadcast(&census->changed);
	}
	g_mutex_unlock(&census->lock);
	return unchanged;
}

void census_release(struct census *census)
{
	g_mutex_lock(&census->lock);
	g_assert(census->holders);
	if (--census->holders == 0) {
		object_side_forget(census->object_side);
		g_cond_broadcast(&census->changed);
	}
	g_mutex_unlock(&census->lock);
}

struct census_report census_report(struct census *census)
{
	struct census_report report;
	bool tried;

	g_mutex_lock(&census->lock);
	report = census->report;
	g_mutex_unlock(&census->lock);
	report.why_no_objects = object_side_why_not(census->object_side, &tried);
	report.objects = tried && !report.why_no_objects;
	return report;
}
