/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System V message queues and semaphore sets: .shmtree/msg/MSQID and .shmtree/sem/SEMID. */
#include "kinds/sysv-other.h"

#include "kinds/attribute.h"
#include "kinds/ipc-waiters.h"
#include "kinds/past-process.h"
#include "kinds/semaphores.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>

enum {
	MSG_KEY,
	MSG_ID,
	MSG_PERMS,
	MSG_BYTES,
	MSG_COUNT,
	MSG_LSPID,
	MSG_LRPID,
	MSG_UID,
	MSG_GID,
	MSG_CUID,
	MSG_CGID,
	MSG_STIME,
	MSG_RTIME,
	MSG_CTIME,
	MSG_COLUMNS
};

static const struct sysvipc_column msg_columns[MSG_COLUMNS] = {
	[MSG_KEY] = { "key", 10 },
	[MSG_ID] = { "msqid", 10 },
	[MSG_PERMS] = { "perms", 8 },
	[MSG_BYTES] = { "cbytes", 10 },
	[MSG_COUNT] = { "qnum", 10 },
	[MSG_LSPID] = { "lspid", 10 },
	[MSG_LRPID] = { "lrpid", 10 },
	[MSG_UID] = { "uid", 10 },
	[MSG_GID] = { "gid", 10 },
	[MSG_CUID] = { "cuid", 10 },
	[MSG_CGID] = { "cgid", 10 },
	[MSG_STIME] = { "stime", 10 },
	[MSG_RTIME] = { "rtime", 10 },
	[MSG_CTIME] = { "ctime", 10 },
};

enum {
	SEM_KEY,
	SEM_ID,
	SEM_PERMS,
	SEM_NSEMS,
	SEM_UID,
	SEM_GID,
	SEM_CUID,
	SEM_CGID,
	SEM_OTIME,
	SEM_CTIME,
	SEM_COLUMNS
};

static const struct sysvipc_column sem_columns[SEM_COLUMNS] = {
	[SEM_KEY] = { "key", 10 },
	[SEM_ID] = { "semid", 10 },
	[SEM_PERMS] = { "perms", 8 },
	[SEM_NSEMS] = { "nsems", 10 },
	[SEM_UID] = { "uid", 10 },
	[SEM_GID] = { "gid", 10 },
	[SEM_CUID] = { "cuid", 10 },
	[SEM_CGID] = { "cgid", 10 },
	[SEM_OTIME] = { "otime", 10 },
	[SEM_CTIME] = { "ctime", 10 },
};

struct msg_queue {
	struct sysvipc_item ipc;
	uint64_t bytes, messages;
	pid_t sender, receiver;
	int64_t sent, received; /* seconds; 0: never */
};

struct sem_set {
	struct sysvipc_item ipc;
	uint64_t count;
	int64_t operated; /* seconds; 0: never */
};

struct visiting {
	item_visitor visit;
	void *data;
};

static void visit_msg(const uint64_t *v, void *data)
{
	const struct visiting *visiting = data;
	struct msg_queue queue = {
		.ipc = {
			.item = {
				.kind = &kind_msg,
				.label = "msg",
				.mode = v[MSG_PERMS] & 0777,
				.uid = v[MSG_UID],
				.gid = v[MSG_GID],
				.ctime.tv_sec = v[MSG_CTIME],
			},
			.key = v[MSG_KEY],
			.cuid = v[MSG_CUID],
			.cgid = v[MSG_CGID],
		},
		.bytes = v[MSG_BYTES],
		.messages = v[MSG_COUNT],
		.sender = v[MSG_LSPID],
		.receiver = v[MSG_LRPID],
		.sent = v[MSG_STIME],
		.received = v[MSG_RTIME],
	};

	sysvipc_complete(&queue.ipc, (int)v[MSG_ID]);
	visiting->visit(&queue.ipc.item, visiting->data);
}

static void visit_sem(const uint64_t *v, void *data)
{
	const struct visiting *visiting = data;
	struct sem_set set = {
		.ipc = {
			.item = {
				.kind = &kind_sem,
				.label = "sem",
				.mode = v[SEM_PERMS] & 0777,
				.uid = v[SEM_UID],
				.gid = v[SEM_GID],
				.ctime.tv_sec = v[SEM_CTIME],
			},
			.key = v[SEM_KEY],
			.cuid = v[SEM_CUID],
			.cgid = v[SEM_CGID],
		},
		.count = v[SEM_NSEMS],
		.operated = v[SEM_OTIME],
	};

	sysvipc_complete(&set.ipc, (int)v[SEM_ID]);
	visiting->visit(&set.ipc.item, visiting->data);
}

int sysv_parse_msg(const char *text, item_visitor visit, void *data)
{
	struct visiting visiting = { visit, data };

	return sysvipc_parse(text, msg_columns, MSG_COLUMNS, visit_msg, &visiting);
}

int sysv_parse_sem(const char *text, item_visitor visit, void *data)
{
	struct visiting visiting = { visit, data };

	return sysvipc_parse(text, sem_columns, SEM_COLUMNS, visit_sem, &visiting);
}

static int msg_each(const struct realm *realm, item_visitor visit, void *data)
{
	struct visiting visiting = { visit, data };

	return sysvipc_each(realm, "msg", msg_columns, MSG_COLUMNS, visit_msg, &visiting);
}

static int sem_each(const struct realm *realm, item_visitor visit, void *data)
{
	struct visiting visiting = { visit, data };

	return sysvipc_each(realm, "sem", sem_columns, SEM_COLUMNS, visit_sem, &visiting);
}

struct search {
	const char *id;
	size_t size; /* of the kind's structure */
	struct item *found;
};

static void pick(const struct item *item, void *data)
{
	struct search *search = data;

	if (!search->found && g_str_equal(item->id, search->id))
		search->found = g_memdup2(item, search->size);
}

static int msg_stat(const struct realm *realm, const char *id, struct item **out)
{
	struct search search = { id, sizeof(struct msg_queue), NULL };
	int r = msg_each(realm, pick, &search);

	if (!search.found)
		return r < 0 ? r : -ENOENT;
	*out = search.found;
	return 0;
}

static int sem_stat(const struct realm *realm, const char *id, struct item **out)
{
	struct search search = { id, sizeof(struct sem_set), NULL };
	int r = sem_each(realm, pick, &search);

	if (!search.found)
		return r < 0 ? r : -ENOENT;
	*out = search.found;
	return 0;
}

/*
 * Users of a message queue are the threads that wait for a message, and the processes that sent and
 * received the last one, as long as these live. The kernel shows no others. A queue that no process
 * has used yet may be about to be used. Whether a thread waits is yet to be seen.
 */
static bool msg_may_be_idle(const struct realm *realm, const struct msg_queue *queue)
{
	bool used = queue->sender != 0 || queue->receiver != 0;

	return queue->messages == 0 && used &&
		!past_process_may_live(realm, queue->sender, queue->sent) &&
		!past_process_may_live(realm, queue->receiver, queue->received);
}

static gpointer id_of(const struct item *item)
{
	return GINT_TO_POINTER((int)strtol(item->id, NULL, 10));
}

static int msg_check_idle(const struct realm *realm, const struct item *item)
{
	g_autoptr(GHashTable) ids = g_hash_table_new(NULL, NULL);

	if (!msg_may_be_idle(realm, (const struct msg_queue *)item))
		return -EBUSY;
	g_hash_table_add(ids, id_of(item));
	return ipc_leave_out_awaited(realm, SYS_msgrcv, ids) == 0 && g_hash_table_size(ids) > 0 ?
		0 :
		-EBUSY;
}

static int msg_is_free(const struct realm *realm, const struct item *item)
{
	return msg_check_idle(realm, item) == 0;
}

struct candidates {
	const struct realm *realm;
	GHashTable *ids;
	GPtrArray *queues; /* of struct msg_queue, owned */
};

static void take_candidate(const struct item *item, void *data)
{
	const struct candidates *candidates = data;

	if (!msg_may_be_idle(candidates->realm, (const struct msg_queue *)item))
		return;
	g_hash_table_add(candidates->ids, id_of(item));
	g_ptr_array_add(candidates->queues, g_memdup2(item, sizeof(struct msg_queue)));
}

/* All threads are looked at once, not for each queue. */
static int msg_each_free(const struct realm *realm, item_visitor visit, void *data)
{
	g_autoptr(GHashTable) ids = g_hash_table_new(NULL, NULL);
	g_autoptr(GPtrArray) queues = g_ptr_array_new_with_free_func(g_free);
	struct candidates candidates = { realm, ids, queues };
	int r = msg_each(realm, take_candidate, &candidates);

	if (r == 0)
		r = ipc_leave_out_awaited(realm, SYS_msgrcv, ids);
	for (guint i = 0; r == 0 && i < queues->len; i++)
		if (g_hash_table_contains(ids, id_of(queues->pdata[i])))
			visit(queues->pdata[i], data);
	return 0; /* a process that cannot be read may wait for each of them */
}

static int64_t msg_used(const struct item *item)
{
	const struct msg_queue *queue = (const struct msg_queue *)item;

	return MAX(queue->sent, queue->received);
}

/*
 * To look at all threads takes longer than to send a message. If the daemon may not look at the queue
 * (EACCES: a root without CAP_IPC_OWNER), what it saw before has to do.
 */
static int msg_check_unused(int id, const struct item *seen)
{
	const struct msg_queue *queue = (const struct msg_queue *)seen;
	struct msqid_ds now;

	if (msgctl(id, IPC_STAT, &now) < 0)
		return errno == EACCES ? 0 : sysvipc_error(errno);
	return now.msg_qnum == 0 && now.msg_lspid == queue->sender &&
			now.msg_lrpid == queue->receiver ?
		0 :
		-EBUSY;
}

static int end_queue(int id)
{
	return msgctl(id, IPC_RMID, NULL);
}

static const struct sysvipc_removal msg_removal = {
	.check_idle = msg_check_idle,
	.check_unused = msg_check_unused,
	.end = end_queue,
};

static int msg_remove(const struct realm *realm, const char *id, const struct caller *caller)
{
	return sysvipc_remove(realm, &kind_msg, id, caller, &msg_removal);
}

struct set_check {
	const struct realm *realm;
	const struct sem_set *set;
	int id;
};

/* Whether a thread waits for that semaphore, and the process that changed it last. */
static int look_at_semaphore(int id, int number, pid_t *last)
{
	int waiting = semctl(id, number, GETNCNT), for_zero = semctl(id, number, GETZCNT);

	*last = semctl(id, number, GETPID);
	if (waiting < 0 || for_zero < 0 || *last < 0)
		return sysvipc_error(errno);
	return waiting + for_zero > 0 ? -EBUSY : 0;
}

/*
 * Users of a set are the threads that wait for it, and the processes that changed one of its
 * semaphores last, as long as these live. A set that no process has changed yet may be about to be
 * used.
 */
static int check_set(void *data)
{
	const struct set_check *check = data;
	int64_t then = MAX(check->set->operated, check->set->ipc.item.ctime.tv_sec);
	pid_t last, gone = 0;

	for (uint64_t i = 0; i < check->set->count; i++) {
		int r = look_at_semaphore(check->id, i, &last);

		if (r < 0)
			return r;
		if (last == 0 || last == gone)
			continue;
		if (past_process_may_live(check->realm, last, then))
			return -EBUSY;
		gone = last;
	}
	return gone == 0 ? -EBUSY : 0;
}

static int sem_check_idle(const struct realm *realm, const struct item *item)
{
	struct set_check check = { realm, (const struct sem_set *)item,
		(int)strtol(item->id, NULL, 10) };

	return sysvipc_enter(realm, check_set, &check);
}

static int sem_is_free(const struct realm *realm, const struct item *item)
{
	return sem_check_idle(realm, item) == 0;
}

static int64_t sem_used(const struct item *item)
{
	return ((const struct sem_set *)item)->operated;
}

static int end_set(int id)
{
	return semctl(id, 0, IPC_RMID);
}

static const struct sysvipc_removal sem_removal = { .check_idle = sem_check_idle, .end = end_set };

static int sem_remove(const struct realm *realm, const char *id, const struct caller *caller)
{
	return sysvipc_remove(realm, &kind_sem, id, caller, &sem_removal);
}

static struct semaphore_set semaphores_of(const struct view *view)
{
	const struct sem_set *set = (const struct sem_set *)view->item;

	return (struct semaphore_set){
		.id = (int)strtol(view->item->id, NULL, 10),
		.count = set->count,
		.then = MAX(set->operated, set->ipc.item.ctime.tv_sec),
	};
}

static int show_semaphores(const struct view *view, const struct attribute *self, GString *out)
{
	struct semaphore_set set = semaphores_of(view);

	(void)self;
	return semaphores_show(view, &set, out);
}

static int json_semaphores(const struct view *view, const struct attribute *self, struct json *json)
{
	struct semaphore_set set = semaphores_of(view);

	return semaphores_json(view, &set, self->name, json);
}

static const struct attribute msg_attributes[] = {
	{ "usedbytes", FORM_NUMBER, 0, show_u64, offsetof(struct msg_queue, bytes) },
	{ "msgs", FORM_NUMBER, 0, show_u64, offsetof(struct msg_queue, messages) },
	{ "lspid", FORM_NUMBER, 0, show_pid, offsetof(struct msg_queue, sender) },
	{ "lrpid", FORM_NUMBER, 0, show_pid, offsetof(struct msg_queue, receiver) },
	{ "send", FORM_TIME, 0, show_i64, offsetof(struct msg_queue, sent) },
	{ "recv", FORM_TIME, 0, show_i64, offsetof(struct msg_queue, received) },
	{ NULL },
};

static const struct attribute sem_attributes[] = {
	{ "nsems", FORM_NUMBER, 0, show_u64, offsetof(struct sem_set, count) },
	{ "otime", FORM_TIME, 0, show_i64, offsetof(struct sem_set, operated) },
	{ "semaphores", FORM_OTHER, 0, show_semaphores, .json = json_semaphores, .slow = true },
	{ NULL },
};

static const struct attribute *const msg_tables[] = { sysvipc_attributes, msg_attributes,
	plain_attributes, NULL };
static const struct attribute *const sem_tables[] = { sysvipc_attributes, sem_attributes,
	plain_attributes, NULL };

const struct kind kind_msg = {
	.directory = "msg",
	.item_size = sizeof(struct msg_queue),
	.attributes = msg_tables,
	.present = sysvipc_present,
	.each = msg_each,
	.stat = msg_stat,
	.permit = sysvipc_permit,
	.is_free = msg_is_free,
	.each_free = msg_each_free,
	.used = msg_used,
	.remove = msg_remove,
};

const struct kind kind_sem = {
	.directory = "sem",
	.item_size = sizeof(struct sem_set),
	.attributes = sem_tables,
	.present = sysvipc_present,
	.each = sem_each,
	.stat = sem_stat,
	.permit = sysvipc_permit,
	.is_free = sem_is_free,
	.used = sem_used,
	.remove = sem_remove,
};
