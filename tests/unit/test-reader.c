/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that gives no answer: nobody waits for it, and whoever asked is not lost. */
#include "census/pass-thread.h"

#include "unit.h"

#define STUCK 42
#define WELL 43

/* A back end that asks about both; STUCK answers when it is told to. */
static GMutex lock;
static GCond changed;
static bool answers;
static int open_states, asked;

static int open_state(const struct census_source *source, void **out, const char **why)
{
	(void)source;
	(void)why;
	*out = &open_states;
	g_mutex_lock(&lock);
	open_states++;
	g_mutex_unlock(&lock);
	return 0;
}

static void free_state(void *state)
{
	(void)state;
	g_mutex_lock(&lock);
	open_states--;
	g_cond_broadcast(&changed);
	g_mutex_unlock(&lock);
}

static void await_answer(void)
{
	g_mutex_lock(&lock);
	asked++;
	while (!answers)
		g_cond_wait(&changed, &lock);
	g_mutex_unlock(&lock);
}

static int ask_both(void *state, struct spaces *spaces, unsigned facets, struct census_tally *tally)
{
	(void)state;
	(void)spaces;
	(void)facets;
	for (pid_t pid = STUCK; pid <= WELL; pid++) {
		if (!patience_begin(pid, 0)) {
			tally->unreadable++;
			continue;
		}
		if (pid == STUCK)
			await_answer();
		tally->spaces++;
		patience_end();
	}
	return 0;
}

static const char *not_blind(void *state)
{
	(void)state;
	return NULL;
}

static const struct census_backend backend = {
	.name = "test",
	.open = open_state,
	.pass = ask_both,
	.blind = not_blind,
	.free = free_state,
};

static struct devices devices;
static struct patience *patience;

static struct reader *new_reader(void)
{
	struct reader *reader = NULL;
	const char *why;

	g_assert(reader_new("/proc", 0, &devices, &backend, patience, &reader, &why) == 0);
	return reader;
}

static void assert_pass(struct reader *reader, uint64_t read, uint64_t unreadable)
{
	struct reader_result result;

	ASSERT_INT(reader_run(reader, &devices, CENSUS_MAPPINGS, &result), 0);
	ASSERT_INT(result.tally.spaces, read);
	ASSERT_INT(result.tally.unreadable, unreadable);
}

static void who_gives_no_answer_is_not_waited_for(void)
{
	struct reader_result result;
	struct reader *reader;

	patience = patience_new();
	ASSERT_INT(reader_run(new_reader(), &devices, CENSUS_MAPPINGS, &result), -EBUSY);
	reader = new_reader();
	assert_pass(reader, 1, 1);
	assert_pass(reader, 1, 1);
	ASSERT_INT(asked, 1);

	g_mutex_lock(&lock);
	answers = true;
	g_cond_broadcast(&changed);
	/* The one that was left behind frees what it has. */
	while (open_states > 1)
		g_cond_wait(&changed, &lock);
	g_mutex_unlock(&lock);
	assert_pass(reader, 2, 0);
	reader_free(reader);
	patience_unref(patience);
	ASSERT_INT(open_states, 0);
}

static CU_TestInfo tests[] = {
	{ "who gives no answer is not waited for", who_gives_no_answer_is_not_waited_for },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo reader_suite = { "reader", NULL, NULL, NULL, NULL, tests };
