/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tree/shared-open.h"

#include "daemon/identity.h"
#include "tree/file.h"
#include "tree/tree-entry.h"
#include "serve/reply.h"
#include "serve/workers.h"

/* A request that is answered later, and what its caller has paid for that. */
struct waiting {
	struct deferred d;
	struct charge listing;
	guint rank; /* how many requests of the same user are answered before it */
};

/*
 * Those who wait for one listing are answered in portions: each answer wakes a process, which
 * usually sends requests at once, and requests of others would wait behind all of them, and for a
 * processor behind all those processes. There are fewer than PORTIONS pauses, so that nobody waits
 * long for an answer that is there. Those who ask again wait for a few of them, or listings of the
 * file would be made all the time; as others do, who may want the same file, it is no more than
 * PAUSES_BETWEEN. The pauses have threads of their own: other files do not wait for them.
 */
#define PORTION 4
#define PORTIONS 50
#define PAUSES_BETWEEN 10
#define PAUSE_US 2000
#define TURN_ANSWERS turn_of((uid_t)-1, TURN_FILES)

struct shared_opens {
	GMutex lock;
	/*
	 * Under the lock: struct tree_entry to GPtrArray of struct waiting, that no job has taken.
	 * A file has an entry, which may be empty, as long as there is a job for it.
	 */
	GHashTable *waiting;
};

struct job {
	struct fs *fs;
	const struct tree_entry *file;
};

/* A listing, and those who wait for it. */
struct answers {
	struct fs *fs;
	struct job *job;  /* the file's, until the next listing may be made */
	GPtrArray *taken; /* of struct waiting, freed up to `next` */
	guint next, portion;
	struct content *content;
	int made;
	struct payment *payment; /* root's, until those of the first portion have the listing */
	GHashTable *payments;    /* of the users who have it */
};

struct shared_opens *shared_opens_new(void)
{
	struct shared_opens *opens = g_new0(struct shared_opens, 1);

	g_mutex_init(&opens->lock);
	opens->waiting = g_hash_table_new(NULL, NULL);
	return opens;
}

void shared_opens_free(struct shared_opens *opens)
{
	g_assert(g_hash_table_size(opens->waiting) == 0);
	g_hash_table_unref(opens->waiting);
	g_mutex_clear(&opens->lock);
	g_free(opens);
}

static GPtrArray *take_waiting(struct shared_opens *opens, const struct tree_entry *file)
{
	GPtrArray *taken;

	g_mutex_lock(&opens->lock);
	taken = g_hash_table_lookup(opens->waiting, file);
	g_hash_table_insert(opens->waiting, (gpointer)file, g_ptr_array_new());
	g_mutex_unlock(&opens->lock);
	return taken;
}

/* Whether others wait meanwhile, for whom the job has to be done again; if not, there is none now. */
static bool others_wait(struct shared_opens *opens, const struct tree_entry *file)
{
	GPtrArray *waiting;
	bool any;

	g_mutex_lock(&opens->lock);
	waiting = g_hash_table_lookup(opens->waiting, file);
	any = waiting->len > 0;
	if (!any) {
		g_hash_table_remove(opens->waiting, file);
		g_ptr_array_unref(waiting);
	}
	g_mutex_unlock(&opens->lock);
	return any;
}

/* A user who has opened the file several times pays for it once. */
static struct payment *payment_of(struct fs *fs, GHashTable *payments, const struct caller *caller)
{
	struct payment *payment = g_hash_table_lookup(payments, GUINT_TO_POINTER(caller->uid));

	if (!payment) {
		payment = payment_new(fs, caller);
		g_hash_table_insert(payments, GUINT_TO_POINTER(caller->uid), payment);
	}
	return payment;
}

static void free_payment(gpointer payment)
{
	payment_unref(payment);
}

static gint by_rank(gconstpointer a, gconstpointer b)
{
	const struct waiting *one = *(struct waiting *const *)a;
	const struct waiting *other = *(struct waiting *const *)b;

	return (one->rank > other->rank) - (one->rank < other->rank);
}

/* The users take turns: one who waits many times does not delay one who waits once. */
static void order_by_turns(GPtrArray *taken)
{
	g_autoptr(GHashTable) ranks = g_hash_table_new(NULL, NULL);

	for (guint i = 0; i < taken->len; i++) {
		struct waiting *waiting = taken->pdata[i];
		gpointer user = GUINT_TO_POINTER(fuse_req_ctx(waiting->d.req)->uid);

		waiting->rank = GPOINTER_TO_UINT(g_hash_table_lookup(ranks, user));
		g_hash_table_insert(ranks, user, GUINT_TO_POINTER(waiting->rank + 1));
	}
	g_ptr_array_sort(taken, by_rank);
}

static void answer_one(struct answers *answers, struct waiting *waiting)
{
	struct deferred *d = &waiting->d;
	const struct caller caller = identity_caller(d->req);
	struct payment *payment = payment_of(answers->fs, answers->payments, &caller);
	struct content *content = answers->content;

	content_reply(d, content, payment, &waiting->listing,
		answers->made < 0 ? answers->made : payment_cover(payment, content));
	charge_release(&waiting->listing);
	node_unref(answers->fs->nodes, d->node);
	g_free(waiting);
}

static struct answers *answers_new(struct fs *fs, GPtrArray *taken)
{
	static const struct caller root = { 0 };
	struct answers *answers = g_new0(struct answers, 1);
	struct waiting *first = taken->pdata[0];

	answers->fs = fs;
	answers->taken = taken;
	answers->portion = MAX(PORTION, (taken->len + PORTIONS - 1) / PORTIONS);
	answers->content = content_new();
	answers->payment = payment_new(fs, &root);
	answers->payments = g_hash_table_new_full(NULL, NULL, NULL, free_payment);
	answers->made = payment_make(fs, &first->d, answers->payment, answers->content);
	order_by_turns(taken);
	return answers;
}

static void answers_free(struct answers *answers)
{
	g_hash_table_unref(answers->payments);
	content_unref(answers->content);
	g_clear_pointer(&answers->payment, payment_unref);
	g_ptr_array_unref(answers->taken);
	g_free(answers);
}

/* Answers a portion; false if nobody is left. */
static bool answer_some(struct answers *answers)
{
	guint end = MIN(answers->next + answers->portion, answers->taken->len);

	while (answers->next < end)
		answer_one(answers, answers->taken->pdata[answers->next++]);
	return end < answers->taken->len;
}

static void make_for_all(void *data);

static void go_on(struct job *job)
{
	if (others_wait(job->fs->shared_opens, job->file))
		workers_push(job->fs->workers, TURN_SHARED, make_for_all, job);
	else
		g_free(job);
}

static void answer_rest(void *data)
{
	struct answers *answers = data;
	guint pauses = 0;

	do {
		if (pauses++ == PAUSES_BETWEEN)
			go_on(g_steal_pointer(&answers->job));
		if (!fuse_session_exited(answers->fs->session))
			g_usleep(PAUSE_US);
	} while (answer_some(answers));
	if (answers->job)
		go_on(answers->job);
	answers_free(answers);
}

static void make_for_all(void *data)
{
	struct job *job = data;
	struct answers *answers =
		answers_new(job->fs, take_waiting(job->fs->shared_opens, job->file));

	if (answer_some(answers)) {
		/* Several listings of the file may be handed out at a time: root's is for the one that is made. */
		g_clear_pointer(&answers->payment, payment_unref);
		answers->job = job;
		workers_push(job->fs->workers, TURN_ANSWERS, answer_rest, answers);
		return;
	}
	answers_free(answers);
	go_on(job);
}

void shared_open(struct fs *fs, const struct deferred *d)
{
	struct shared_opens *opens = fs->shared_opens;
	const struct tree_entry *file = d->node->entry;
	struct waiting *asking = g_new0(struct waiting, 1);
	GPtrArray *waiting;
	struct job *job = NULL;
	int r = listing_charge(fs, d, &asking->listing);

	if (r < 0) {
		g_free(asking);
		reply_result(d->req, r);
		return;
	}
	asking->d = *d;
	node_ref(fs->nodes, d->node);
	g_mutex_lock(&opens->lock);
	waiting = g_hash_table_lookup(opens->waiting, file);
	if (!waiting) {
		waiting = g_ptr_array_new();
		g_hash_table_insert(opens->waiting, (gpointer)file, waiting);
		job = g_new(struct job, 1);
		*job = (struct job){ fs, file };
	}
	g_ptr_array_add(waiting, asking);
	g_mutex_unlock(&opens->lock);
	if (job)
		workers_push(fs->workers, TURN_SHARED, make_for_all, job);
}
