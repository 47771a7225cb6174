/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether the census counts the same, and the truth, by process, by object and by the text of /proc,
 * about processes that change all the time.
 *
 *	census-churn [SECONDS [SEED [WORKERS]]]
 *
 * Workers do to their address spaces and descriptors whatever a program can. Again and again they
 * are let run, while censuses are taken; then stopped in the middle of it; and a census by each
 * back end, all of which have been following the workers since they began, is compared row by row
 * with a fresh one by text. What the kernel counts on each object is compared with the open files of
 * which those rows come, and with those in sockets and io_urings (objects.h). Exit status 1 if
 * anything differs, 77 where BPF cannot be tried.
 */
#include "census/census.h"

#include "churn.h"
#include "group.h"
#include "objects.h"

#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000
#define RUN_NS 30000000 /* for which the workers run between two comparisons */

enum { BACKENDS = 3 };

static struct plan *plan;
static uint64_t shm_dev;

/* What a census tells of the group, as lines of text in an order of their own. */
struct account {
	struct census *census;
	const struct segment_key *key;
	GHashTable *pids;
	GPtrArray *lines;
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + (double)now.tv_nsec / NS_PER_S;
}

static int census_of(enum census_backend_choice backend, struct census **out)
{
	const struct census_config config = {
		.proc = "/proc",
		.backend = backend,
		.shm_dev = shm_dev,
		.self = getpid(),
	};

	return census_new(&config, out);
}

static void add_line(struct account *account, char *line)
{
	const struct segment_key *key = account->key;

	g_ptr_array_add(account->lines,
		g_strdup_printf("%s\t%s %lx:%lu", line, segment_class_name(key->class),
			(unsigned long)key->dev, (unsigned long)key->ino));
	g_free(line);
}

static void account_mapping(const struct mapping_row *row, void *data)
{
	struct account *account = data;

	if (!g_hash_table_contains(account->pids, GINT_TO_POINTER(row->pid)))
		return;
	add_line(account,
		g_strdup_printf("%d %s %u map %lx-%lx %s %lx", row->pid, row->command, row->uid,
			(unsigned long)row->start, (unsigned long)row->end, row->perms,
			(unsigned long)row->offset));
}

static void account_descriptor(const struct descriptor_row *row, void *data)
{
	struct account *account = data;

	if (!g_hash_table_contains(account->pids, GINT_TO_POINTER(row->pid)))
		return;
	add_line(account,
		g_strdup_printf("%d %s %u fd %d %x", row->pid, row->command, row->uid, row->fd,
			row->flags));
}

static void account_segment(const struct segment_key *key, const struct usage *usage, void *data)
{
	struct account *account = data;

	account->key = key;
	census_each_mapping(account->census, key, account_mapping, account);
	census_each_descriptor(account->census, key, account_descriptor, account);
	/* The group alone has the objects: the sums are known as well. */
	if (key->dev == shm_dev)
		add_line(account,
			g_strdup_printf("sums %lu %lu %lu", (unsigned long)usage->mappings,
				(unsigned long)usage->processes, (unsigned long)usage->openers));
}

static int compare_lines(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *take_account(struct census *census, GHashTable *pids)
{
	struct account account = {
		.census = census,
		.pids = pids,
		.lines = g_ptr_array_new_with_free_func(g_free),
	};
	int error = census_hold(census, CENSUS_MAPPINGS | CENSUS_DESCRIPTORS);

	if (error)
		errx(1, "census_hold: %s", strerror(-error));
	census_each_segment(census, account_segment, &account);
	census_release(census);
	g_ptr_array_sort(account.lines, compare_lines);
	return account.lines;
}

static const char *line_at(const GPtrArray *lines, guint i)
{
	return i < lines->len ? lines->pdata[i] : NULL;
}

/* Prints the lines that only one has; their number. */
static unsigned differences(const char *name, const GPtrArray *lines, const GPtrArray *truth)
{
	unsigned count = 0;

	for (guint i = 0, j = 0; i < lines->len || j < truth->len;) {
		const char *line = line_at(lines, i), *true_line = line_at(truth, j);
		int order = !line ? 1 : !true_line ? -1 : strcmp(line, true_line);

		i += order <= 0;
		j += order >= 0;
		if (order != 0 && count++ < 20)
			printf("%s %s: %s\n", name, order < 0 ? "has" : "lacks",
				order < 0 ? line : true_line);
	}
	return count;
}

static void start_worker(pid_t group, unsigned seed)
{
	char number[16];
	pid_t pid;

	atomic_fetch_add(&plan->workers, 1);
	pid = fork();
	if (pid != 0) {
		/* Here too, or it could be born into a group that has been stopped. */
		if (pid > 0)
			setpgid(pid, group);
		return;
	}
	setpgid(0, group);
	snprintf(number, sizeof number, "%u", seed);
	execl("/proc/self/exe", "census-churn", "worker", number, NULL);
	_exit(1);
}

/* Those whose parents have gone come to us. */
static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		atomic_fetch_sub(&plan->workers, 1);
}

/* Lets them run while the back ends follow: what is told then nobody can check. */
static void let_run(pid_t group, struct census **censuses, unsigned *seed)
{
	double end = seconds() + (double)RUN_NS / NS_PER_S;

	group_continue(group);
	while (seconds() < end) {
		reap();
		while (atomic_load(&plan->workers) < plan->workers_max / 2)
			start_worker(group, ++*seed);
		for (unsigned i = 0; i < BACKENDS; i++) {
			if (rand_r(seed) % 4 == 0 || census_hold(censuses[i], 1 + rand_r(seed) % 3))
				continue;
			census_release(censuses[i]);
		}
	}
}

static void print_unreadable(pid_t pid, const char *why, void *data)
{
	printf("%s could not read %d: %s\n", (const char *)data, pid, why);
}

static unsigned compare(pid_t group, struct census **censuses, uint64_t *rows)
{
	g_autoptr(GHashTable) pids = g_hash_table_new(NULL, NULL);
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(int));
	g_autoptr(GPtrArray) truth = NULL;
	struct census *fresh;
	unsigned count = 0;

	group_stop(group);
	group_list(group, list);
	atomic_store(&plan->workers, list->len);
	for (guint i = 0; i < list->len; i++)
		g_hash_table_add(pids, GINT_TO_POINTER(g_array_index(list, int, i)));
	if (census_of(CENSUS_TEXT, &fresh))
		errx(1, "no census by text");
	truth = take_account(fresh, pids);
	census_free(fresh);
	for (unsigned i = 0; i < BACKENDS; i++) {
		g_autoptr(GPtrArray) lines = take_account(censuses[i], pids);
		struct census_report report = census_report(censuses[i]);
		unsigned found;

		found = differences(report.backend, lines, truth);
		if (found) {
			printf("%s: %lu unreadable, %lu inconsistent\n", report.backend,
				(unsigned long)report.unreadable,
				(unsigned long)report.inconsistent);
			census_each_unreadable(censuses[i], print_unreadable,
				(void *)report.backend);
		}
		count += found;
	}
	*rows += truth->len;
	return count;
}

static pid_t start_group(void)
{
	pid_t keeper = fork();

	if (keeper == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (keeper < 0 || setpgid(keeper, keeper) != 0)
		err(1, "keeper");
	return keeper;
}

/*
 * Pids, a /dev/shm and System V segments of our own. Our death is that of all processes in there,
 * and the processes of the machine do not slow down those back ends that read them all.
 */
static void enter_own_world(void)
{
	int status;
	pid_t child;

	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID) != 0) {
		warn("skipped: needs namespaces of its own");
		exit(77);
	}
	child = fork();
	if (child < 0)
		err(1, "fork");
	if (child > 0) {
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
			errx(1, "killed");
		exit(WEXITSTATUS(status));
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("proc", "/proc", "proc", 0, NULL) != 0 ||
		mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL) != 0)
		err(1, "mount");
}

static void make_socket(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0 || dup2(ends[0], CHURN_SEND_FD) < 0 ||
		dup2(ends[1], CHURN_RECEIVE_FD) < 0)
		err(1, "socket");
	close(ends[0]);
	close(ends[1]);
}

static void make_segments(unsigned workers)
{
	struct stat st;
	int fd;

	stat("/dev/shm", &st);
	shm_dev = st.st_dev;
	for (int i = 0; i < CHURN_OBJECTS; i++) {
		g_autofree char *name = g_strdup_printf("/churn-%d", i);

		fd = shm_open(name, O_RDWR | O_CREAT, 0600);
		if (fd < 0 || ftruncate(fd, CHURN_PAGES * sysconf(_SC_PAGESIZE)) != 0)
			err(1, "%s", name);
		close(fd);
	}
	fd = memfd_create("plan", 0);
	if (fd < 0 || ftruncate(fd, CHURN_PAGES * sysconf(_SC_PAGESIZE)) != 0 ||
		dup2(fd, CHURN_PLAN_FD) < 0)
		err(1, "plan");
	close(fd);
	plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, CHURN_PLAN_FD, 0);
	if (plan == MAP_FAILED)
		err(1, "plan");
	plan->workers_max = workers;
	make_socket();
	for (int i = 0; i < CHURN_SYSV; i++)
		plan->sysv[i] = shmget(IPC_PRIVATE, CHURN_PAGES * sysconf(_SC_PAGESIZE), 0600);
}

static int churn(double length, unsigned seed)
{
	static const enum census_backend_choice choices[BACKENDS] = {
		CENSUS_BPF,
		CENSUS_QUERY,
		CENSUS_TEXT,
	};
	struct census *censuses[BACKENDS];
	double end = seconds() + length;
	unsigned wrong = 0, comparisons = 0;
	uint64_t rows = 0, hidden = 0;
	bool objects;
	pid_t group;

	for (unsigned i = 0; i < BACKENDS; i++)
		if (census_of(choices[i], &censuses[i]) != 0) {
			printf("skipped: no back end of number %u here\n", i);
			return 77;
		}
	census_prepare(censuses[0]);
	objects = census_report(censuses[0]).objects;
	if (!objects)
		printf("not compared with the objects' own counts: %s\n",
			census_report(censuses[0]).why_no_objects);
	group = start_group();
	while (seconds() < end && wrong == 0) {
		let_run(group, censuses, &seed);
		wrong += compare(group, censuses, &rows);
		if (objects)
			wrong += compare_objects(censuses[0], shm_dev, plan, &hidden);
		comparisons++;
	}
	group_kill(group);
	for (unsigned i = 0; i < BACKENDS; i++)
		census_free(censuses[i]);
	printf("%u comparisons of %lu rows and %lu hidden files, %lu changes, %u differences\n",
		comparisons, (unsigned long)rows, (unsigned long)hidden,
		(unsigned long)atomic_load(&plan->changes), wrong);
	return wrong != 0;
}

int main(int argc, char **argv)
{
	unsigned seed = argc > 2 ? strtoul(argv[2], NULL, 10) : (unsigned)time(NULL);

	if (argc == 3 && strcmp(argv[0], "census-churn") == 0 && strcmp(argv[1], "worker") == 0)
		return churn_worker(seed);
	if (argc == 3 && strcmp(argv[1], "again") == 0) {
		execl("/proc/self/exe", "census-churn", "worker", argv[2], NULL);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %u\n", seed);
	enter_own_world();
	make_segments(argc > 3 ? atoi(argv[3]) : 32);
	return churn(argc > 1 ? atof(argv[1]) : 5, seed);
}
