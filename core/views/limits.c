/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/limits.h"

#include "kinds/posix-mqueue.h"
#include "kinds/sysvipc.h"
#include "base/util.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/statvfs.h>

struct reading {
	const struct realm *realm;
	struct limit *out;
	size_t n;
	unsigned unread;
};

static void add(struct reading *reading, const char *resource, enum limit_of of, uint64_t limit,
	uint64_t used)
{
	g_assert(reading->n < LIMITS_MAX);
	reading->out[reading->n++] = (struct limit){ resource, limit, used, of };
}

/* Notes a call that failed, with this errno: ENOSYS, this kernel has no such limits; ENOENT, the namespace is gone. */
static void note(struct reading *reading, int error)
{
	reading->unread += error != ENOSYS && error != ENOENT;
}

/* Numbers of a sysctl; how many there are, 0 if there is no such file, or it could not be read. */
static int read_sysctl(struct reading *reading, const char *name, uint64_t values[4])
{
	g_autofree char *path = g_strdup_printf("%s/sys/%s", reading->realm->proc, name);
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	int n;

	if (!g_file_get_contents(path, &text, NULL, &error)) {
		reading->unread += !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
		return 0;
	}
	n = sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &values[0], &values[1],
		&values[2], &values[3]);
	return MAX(n, 0);
}

static void add_sysctl(struct reading *reading, const char *resource, enum limit_of of,
	const char *name, uint64_t used)
{
	uint64_t values[4];

	if (read_sysctl(reading, name, values) > 0)
		add(reading, resource, of, values[0], used);
}

static void read_shm(struct reading *reading)
{
	struct shm_info info;

	if (shmctl(0, SHM_INFO, (struct shmid_ds *)&info) < 0) {
		note(reading, errno);
		return;
	}
	add_sysctl(reading, "SHMMNI", LIMIT_COUNT, "kernel/shmmni", info.used_ids);
	add_sysctl(reading, "SHMMAX", LIMIT_BYTES, "kernel/shmmax", LIMIT_NONE);
	add_sysctl(reading, "SHMALL", LIMIT_PAGES, "kernel/shmall", info.shm_tot);
}

static void read_msg(struct reading *reading)
{
	struct msginfo info;

	/* MSG_INFO: msgpool is the number of queues. */
	if (msgctl(0, MSG_INFO, (struct msqid_ds *)&info) < 0) {
		note(reading, errno);
		return;
	}
	add_sysctl(reading, "MSGMNI", LIMIT_COUNT, "kernel/msgmni", info.msgpool);
	add_sysctl(reading, "MSGMAX", LIMIT_BYTES, "kernel/msgmax", LIMIT_NONE);
	add_sysctl(reading, "MSGMNB", LIMIT_BYTES, "kernel/msgmnb", LIMIT_NONE);
}

static void read_sem(struct reading *reading)
{
	struct seminfo info;
	union {
		struct seminfo *info;
	} argument = { &info };
	uint64_t values[4];

	/* SEM_INFO: semusz is the number of sets, semaem that of semaphores in them. */
	if (semctl(0, 0, SEM_INFO, argument) < 0) {
		note(reading, errno);
		return;
	}
	if (read_sysctl(reading, "kernel/sem", values) != 4)
		return;
	add(reading, "SEMMNI", LIMIT_COUNT, values[3], info.semusz);
	add(reading, "SEMMNS", LIMIT_COUNT, values[1], info.semaem);
	add(reading, "SEMMSL", LIMIT_COUNT, values[0], LIMIT_NONE);
	add(reading, "SEMOPM", LIMIT_COUNT, values[2], LIMIT_NONE);
	add(reading, "SEMVMX", LIMIT_COUNT, info.semvmx, LIMIT_NONE);
}

static void count_queue(const struct item *item, void *data)
{
	uint64_t *count = data;

	(void)item;
	++*count;
}

static void read_mqueue(struct reading *reading)
{
	uint64_t queues = 0;

	if (kind_mqueue.each(reading->realm, count_queue, &queues) < 0)
		queues = LIMIT_NONE;
	add_sysctl(reading, "MQ_QUEUES_MAX", LIMIT_COUNT, "fs/mqueue/queues_max", queues);
	add_sysctl(reading, "MQ_MSG_MAX", LIMIT_COUNT, "fs/mqueue/msg_max", LIMIT_NONE);
	add_sysctl(reading, "MQ_MSGSIZE_MAX", LIMIT_BYTES, "fs/mqueue/msgsize_max", LIMIT_NONE);
}

/* A tmpfs without a limit says 0 of 0. */
static void read_tmpfs(struct reading *reading)
{
	struct statvfs fs;

	if (reading->realm->shm_fd < 0)
		return;
	if (fstatvfs(reading->realm->shm_fd, &fs) < 0) {
		note(reading, errno);
		return;
	}
	add(reading, "TMPFS_BYTES", LIMIT_BYTES,
		fs.f_blocks ? (uint64_t)fs.f_blocks * fs.f_frsize : LIMIT_NONE,
		fs.f_blocks ? (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize : LIMIT_NONE);
	add(reading, "TMPFS_INODES", LIMIT_COUNT, fs.f_files ? fs.f_files : LIMIT_NONE,
		fs.f_files ? fs.f_files - fs.f_ffree : LIMIT_NONE);
}

/* Both the numbers and the sysctls are those of the namespace that the thread is in. */
static int read_namespace(void *data)
{
	struct reading *reading = data;

	read_shm(reading);
	read_msg(reading);
	read_sem(reading);
	return 0;
}

size_t limits_read(const struct realm *realm, struct limit *out, unsigned *unread)
{
	struct reading reading = { realm, out, 0, 0 };
	int r;

	read_tmpfs(&reading);
	if (realm->ipc_ns) {
		r = sysvipc_enter(realm, read_namespace, &reading);
		if (r < 0)
			note(&reading, -r);
		read_mqueue(&reading);
	}
	*unread = reading.unread;
	return reading.n;
}

static void append(GString *out, uint64_t value, const char *none)
{
	if (value == LIMIT_NONE)
		g_string_append(out, none);
	else
		g_string_append_printf(out, "%" PRIu64, value);
	g_string_append_c(out, '\t');
}

void limits_format(const struct limit *limits, size_t n, unsigned unread, GString *out)
{
	g_string_append(out, "RESOURCE\tLIMIT\tUSED\tUSE%\n");
	for (const struct limit *l = limits; l < limits + n; l++) {
		g_string_append_printf(out, "%s\t", l->resource);
		append(out, l->limit, "unlimited");
		append(out, l->used, "-");
		if (l->limit == LIMIT_NONE || l->limit == 0 || l->used == LIMIT_NONE)
			g_string_append(out, "-\n");
		else
			g_string_append_printf(out, "%.2f\n", 100.0 * l->used / l->limit);
	}
	if (unread > 0)
		g_string_append_printf(out, "# not read: %u or more limits\n", unread);
}
