/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: what is read from files and links of a procfs, by the functions that read them. The first
 * byte chooses one; what follows is the content of its file, or where its link leads.
 *
 *	CC=clang meson setup build-fuzz -Dfuzz=true && ninja -C build-fuzz tests/fuzz/procfs
 *	build-fuzz/tests/fuzz/procfs tests/fuzz/corpus-procfs
 */
#include "census/scan/quiescence.h"
#include "kinds/held-namespaces.h"
#include "procfs/proc.h"
#include "procfs/process-facts.h"
#include "procfs/status.h"
#include "procfs/writers.h"
#include "views/limits.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct {
	char *path;
	int fd, process;
} proc;

static void read_stat(void)
{
	struct proc_stat stat;

	if (proc_read_stat(proc.process, &stat) == 0)
		g_assert(memchr(stat.command, 0, sizeof stat.command));
}

static void read_status(void)
{
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	struct proc_status status;

	proc_read_status(proc.process, &status, groups);
}

/* Nothing has changed meanwhile. */
static void read_turns(void)
{
	struct quiescence before = quiescence_observe(proc.process);

	quiescence_held(proc.process, &before);
}

static void read_facts(void)
{
	struct process_facts facts = { 0 };
	struct process_origin origin;
	struct process_identity identity;

	process_facts_read(proc.path, 1, &facts);
	g_assert(memchr(facts.unit, 0, sizeof facts.unit));
	g_assert(memchr(facts.cgroup, 0, sizeof facts.cgroup));
	g_assert(memchr(facts.cmdline, 0, sizeof facts.cmdline));
	process_origin_read(proc.path, 1, &origin);
	g_assert(memchr(origin.unit, 0, sizeof origin.unit));
	if (process_identity_read(proc.path, 1, &identity) == 0)
		g_assert(memchr(identity.command, 0, sizeof identity.command));
}

static void read_links(void)
{
	proc_namespace(proc.process, "ipc");
	held_number(proc.process, 3);
}

static void read_descriptor(void)
{
	process_can_write(proc.path, 1, 0, 0);
}

static void read_sysctls(void)
{
	const struct realm realm = { .proc = proc.path, .shm_fd = -1, .ipc_ns_fd = -1 };
	g_autoptr(GString) text = g_string_new(NULL);
	struct limit limits[LIMITS_MAX];
	unsigned unread;
	size_t n = limits_read(&realm, limits, &unread);

	g_assert(n <= LIMITS_MAX);
	limits_format(limits, n, unread, text);
}

/* Files that are given the text, separated by spaces. */
static const struct reader {
	const char *files, *link;
	void (*read)(void);
} readers[] = {
	{ "1/stat", NULL, read_stat },
	{ "1/status", NULL, read_status },
	{ "1/task/1/schedstat 1/task/1/syscall", NULL, read_turns },
	{ "1/cgroup 1/cmdline 1/comm", NULL, read_facts },
	{ NULL, "1/ns/ipc 1/fd/3", read_links },
	{ "1/fdinfo/3", NULL, read_descriptor },
	{ "sys/kernel/shmmni sys/kernel/shmall sys/kernel/sem sys/kernel/msgmni", NULL,
		read_sysctls },
};

static void make_tree(void)
{
	static const char *const directories[] = { "1/task/1", "1/ns", "1/fd", "1/fdinfo",
		"sys/kernel" };

	proc.path = g_dir_make_tmp("shmtree-fuzz-XXXXXX", NULL);
	g_assert(proc.path);
	for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
		g_autofree char *path = g_build_filename(proc.path, directories[i], NULL);

		g_assert(g_mkdir_with_parents(path, 0755) == 0);
	}
	proc.fd = open(proc.path, O_RDONLY | O_DIRECTORY);
	proc.process = openat(proc.fd, "1", O_RDONLY | O_DIRECTORY);
}

static void give(const char *name, const uint8_t *data, size_t size, bool link)
{
	int fd;

	if (link) {
		g_autofree char *text = g_strndup((const char *)data, MIN(size, 200));

		unlinkat(proc.fd, name, 0);
		if (*text)
			g_assert(symlinkat(text, proc.fd, name) == 0);
		return;
	}
	fd = openat(proc.fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	g_assert(write(fd, data, size) == (ssize_t)size);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_auto(GStrv) names = NULL;
	const struct reader *reader;

	if (!proc.path)
		make_tree();
	if (size < 1)
		return 0;
	reader = &readers[data[0] % G_N_ELEMENTS(readers)];
	names = g_strsplit(reader->files ? reader->files : reader->link, " ", -1);
	for (unsigned i = 0; names[i]; i++)
		give(names[i], data + 1, size - 1, !reader->files);
	reader->read();
	return 0;
}
