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
 * Those who wait for one listing are answered in portions: each answer wakes a process, which usually
 * sends requests at once, and requests of others would wait behind all of them, and for a processor
 * behind all those processes. No more than PORTIONS pauses, so that many who wait for one file do not
 * delay for long those who wait for another.
 */
#define PORTION 4
#define PORTIONS 50
#define PAUSE_US 2000

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

static void answer_one(struct fs *fs, struct waiting *waiting, struct payment *payment,
	struct content *content, int made)
{
	struct deferred *d = &waiting->d;

	content_reply(d, content, payment, &waiting->listing,
		made < 0 ? made : payment_cover(payment, content));
	charge_release(&waiting->listing);
	node_unref(fs->nodes, d->node);
	g_free(waiting);
}

static void answer_all(struct fs *fs, GPtrArray *taken, struct content *content, int made)
{
	g_autoptr(GHashTable) payments = g_hash_table_new_full(NULL, NULL, NULL, free_payment);
	guint portion = MAX(PORTION, taken->len / PORTIONS);

	order_by_turns(taken);
	for (guint i = 0; i < taken->len; i++) {
		struct waiting *waiting = taken->pdata[i];
		const struct caller caller = identity_caller(waiting->d.req);

		if (i > 0 && i % portion == 0 && !fuse_session_exited(fs->session))
			g_usleep(PAUSE_US);
		answer_one(fs, waiting, payment_of(fs, payments, &caller), content, made);
	}
}

/* Until it is handed out, root pays. */
static void make_for_all(void *data)
{
	static const struct caller root = { 0 };
	struct job *job = data;
	struct fs *fs = job->fs;
	GPtrArray *taken = take_waiting(fs->shared_opens, job->file);
	struct payment *payment = payment_new(fs, &root);
	struct content *content = content_new();
	struct waiting *first = taken->pdata[0];
	int r = payment_make(fs, &first->d, payment, content);

	answer_all(fs, taken, content, r);
	content_unref(content);
	payment_unref(payment);
	g_ptr_array_unref(taken);
	if (others_wait(fs->shared_opens, job->file))
		workers_push(fs->workers, TURN_SHARED, make_for_all, job);
	else
		g_free(job);
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
