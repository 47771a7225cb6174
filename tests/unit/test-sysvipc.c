/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/ipc-waiters.h"
#include "kinds/sysv-other.h"
#include "kinds/sysv.h"
#include "kinds/sysvipc.h"

#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/shm.h>

/* As Linux 6.18 prints it: a segment with a key, and one to be destroyed that is locked. */
static const char shm_table[] =
	"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  "
	"cgid"
	"      atime      dtime      ctime                   rss                  swap\n"
	"1384301249         32  1777                 10000 19428 19430      2  1000   100     0    "
	" 1"
	" 1795442591 1795442592 1795442590                  8192                  4096\n"
	"-1431655766      32769  3600                  4096 19429     0      0     0     0  1001  "
	"1002"
	"          0          0 1795442591                     0                     0\n";

static const char msg_table[] =
	"       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid"
	"      stime      rtime      ctime\n"
	"       119          0   600           3          1 20415     0  1000   100     1     2"
	" 1795444606          0 1795444605\n";

static const char sem_table[] =
	"       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"
	"       153         65   640          5  1000   100     1     2          0 1795444606\n";

static const struct realm realm = { .proc = "/proc",
	.shm_fd = -1,
	.internal_dev = 1,
	.ipc_ns = 4026531839u,
	.ipc_ns_fd = -1 };

struct seen {
	struct sysv_segment segments[4];
	struct item items[4];
	unsigned n;
};

static void see_segment(const struct item *item, void *data)
{
	struct seen *seen = data;

	if (seen->n < 4)
		seen->segments[seen->n] = *(const struct sysv_segment *)item;
	seen->n++;
}

static void see_item(const struct item *item, void *data)
{
	struct seen *seen = data;

	if (seen->n < 4)
		seen->items[seen->n] = *item;
	seen->n++;
}

static void reads_every_column_of_a_segment(void)
{
	struct seen seen = { 0 };
	const struct sysv_segment *s = &seen.segments[0];

	ASSERT_INT(sysv_parse(&realm, shm_table, see_segment, &seen), 0);
	ASSERT_INT(seen.n, 2);
	ASSERT_STRING(s->ipc.item.id, "32");
	ASSERT_STRING(s->ipc.item.name, "0x5282c2c1");
	ASSERT_STRING(s->ipc.item.label, "sysv");
	ASSERT_INT(s->ipc.key, 1384301249);
	ASSERT_INT(s->ipc.item.mode, 0777);
	ASSERT_INT(s->flags, SHM_DEST);
	ASSERT_INT(s->ipc.item.size, 10000);
	ASSERT_INT(s->creator, 19428);
	ASSERT_INT(s->last, 19430);
	ASSERT_INT(s->nattch, 2);
	ASSERT_INT(s->ipc.item.uid, 1000);
	ASSERT_INT(s->ipc.item.gid, 100);
	ASSERT_INT(s->ipc.cuid, 0);
	ASSERT_INT(s->ipc.cgid, 1);
	ASSERT_INT(s->ipc.item.atime.tv_sec, 1795442591);
	ASSERT_INT(s->dtime, 1795442592);
	ASSERT_INT(s->ipc.item.ctime.tv_sec, 1795442590);
	ASSERT_INT(s->ipc.item.resident, 8192);
	ASSERT_INT(s->ipc.item.swapped, 4096);
	ASSERT_INT(s->ipc.item.allocated, 12288);
	CU_ASSERT(s->ipc.item.segment && s->ipc.item.fixed_size);
}

static void keys_are_unsigned_and_flags_no_permissions(void)
{
	struct seen seen = { 0 };
	const struct sysv_segment *s = &seen.segments[1];

	ASSERT_INT(sysv_parse(&realm, shm_table, see_segment, &seen), 0);
	ASSERT_STRING(s->ipc.item.name, "0xaaaaaaaa");
	ASSERT_INT(s->ipc.item.mode, 0600);
	ASSERT_INT(s->flags, SHM_DEST | SHM_LOCKED);
}

static void segments_of_another_namespace_have_it_in_their_keys(void)
{
	struct realm foreign = realm;
	struct seen own = { 0 }, other = { 0 };

	foreign.ipc_ns = 4026532000u;
	foreign.ipc_ns_fd = 5;
	sysv_parse(&realm, shm_table, see_segment, &own);
	sysv_parse(&foreign, shm_table, see_segment, &other);
	ASSERT_INT(own.segments[0].ipc.item.key.ns, 0);
	ASSERT_INT(other.segments[0].ipc.item.key.ns, 4026532000u);
	ASSERT_INT(other.segments[0].ipc.item.key.ino, 32);
}

static void columns_may_lack_and_change_places(void)
{
	static const char old[] =
		"shmid key cgid cuid gid uid perms size cpid lpid nattch ctime dtime atime future\n"
		"7 1 14 13 12 11 600 4096 21 22 3 33 32 31 x\n";
	struct seen seen = { 0 };
	const struct sysv_segment *s = &seen.segments[0];

	ASSERT_INT(sysv_parse(&realm, old, see_segment, &seen), 0);
	ASSERT_INT(seen.n, 1);
	ASSERT_INT(s->ipc.item.uid, 11);
	ASSERT_INT(s->ipc.cgid, 14);
	ASSERT_INT(s->ipc.item.atime.tv_sec, 31);
	CU_ASSERT(s->ipc.item.resident == BYTES_UNKNOWN && s->ipc.item.allocated == BYTES_UNKNOWN);
}

static void a_text_that_is_no_table_is_refused(void)
{
	static const char *const texts[] = {
		"",
		"\n",
		"key shmid\n",
		"       key      msqid perms\n 1 2 3\n",
		("key key key key key key key key key key key key key key key key key key key key "
		 "key key"
		 " key key key\n"),
	};
	struct seen seen = { 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		ASSERT_INT(sysv_parse(&realm, texts[i], see_segment, &seen), -EPROTO);
	ASSERT_INT(seen.n, 0);
}

static void a_row_that_is_none_ends_the_table(void)
{
	static const char *const rows[] = {
		"\n",
		"1 2 3\n",
		"1 2 600 4096 1 1 0 0 0 0 0 0 0 0 0 0 17\n",
		"x 2 600 4096 1 1 0 0 0 0 0 0 0 0 0 0\n",
		"1 2 608 4096 1 1 0 0 0 0 0 0 0 0 0 0\n",
		"1 2 600 99999999999999999999999999 1 1 0 0 0 0 0 0 0 0 0 0\n",
		"1 - 600 4096 1 1 0 0 0 0 0 0 0 0 0 0\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *text = g_strconcat(shm_table, rows[i], NULL);
		struct seen seen = { 0 };

		ASSERT_INT(sysv_parse(&realm, text, see_segment, &seen), -EPROTO);
		ASSERT_INT(seen.n, 2);
	}
}

static void count(const struct item *item, void *data)
{
	unsigned *n = data;

	CU_ASSERT_FATAL(*item->id != 0 && strlen(item->id) < 12);
	++*n;
}

/* Cut anywhere and changed anywhere, it is read or refused, and nothing else happens. */
static void any_damage_is_survived(void)
{
	GRand *rand = g_rand_new_with_seed(1);

	for (unsigned round = 0; round < 20000; round++) {
		g_autofree char *text = g_strdup(shm_table);
		unsigned n = 0;
		int r;

		for (int i = g_rand_int_range(rand, 0, 6); i > 0; i--)
			text[g_rand_int_range(rand, 0, sizeof shm_table - 1)] =
				" \n0-79axk\t"[g_rand_int_range(rand, 0, 10)];
		text[g_rand_int_range(rand, 0, sizeof shm_table)] = 0;
		r = sysv_parse(&realm, text, count, &n);
		CU_ASSERT_FATAL(r == 0 || r == -EPROTO);
	}
	g_rand_free(rand);
}

static void reads_queues_and_sets(void)
{
	struct seen seen = { 0 };

	ASSERT_INT(sysv_parse_msg(msg_table, see_item, &seen), 0);
	ASSERT_INT(sysv_parse_sem(sem_table, see_item, &seen), 0);
	ASSERT_INT(seen.n, 2);
	ASSERT_STRING(seen.items[0].id, "0");
	ASSERT_STRING(seen.items[0].name, "0x00000077");
	ASSERT_INT(seen.items[0].mode, 0600);
	ASSERT_INT(seen.items[0].uid, 1000);
	ASSERT_STRING(seen.items[1].id, "65");
	ASSERT_INT(seen.items[1].gid, 100);
	ASSERT_INT(seen.items[1].ctime.tv_sec, 1795444606);
	CU_ASSERT(!seen.items[0].segment && !seen.items[1].segment);
	ASSERT_INT(sysv_parse_msg(sem_table, see_item, &seen), -EPROTO);
	ASSERT_INT(sysv_parse_sem(msg_table, see_item, &seen), -EPROTO);
}

static void ids_are_plain_numbers(void)
{
	static const char *const wrong[] = { "", "-1", "+1", "01", "1 ", " 1", "0x1", "2147483648",
		"99999999999999999999", "18446744073709551616", "1a", "-", "--1",
		"-18446744073709551615", "private:4096" };
	int id;

	CU_ASSERT(sysvipc_parse_id("0", &id) && id == 0);
	CU_ASSERT(sysvipc_parse_id("2147483647", &id) && id == 2147483647);
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		CU_ASSERT(!sysvipc_parse_id(wrong[i], &id));
}

static void specs_name_key_and_size(void)
{
	static const struct {
		const char *spec;
		unsigned key;
		size_t size;
	} right[] = {
		{ "private:1", IPC_PRIVATE, 1 },
		{ "0x5282b001:4096", 0x5282b001, 4096 },
		{ "0xFFFFFFFF:1K", 0xffffffff, 1024 },
		{ "4294967295:3M", 0xffffffff, 3 << 20 },
		{ "17:2G", 17, (size_t)2 << 30 },
		{ "0:0", 0, 0 },
		{ "1:18446744073709551615", 1, SIZE_MAX },
	};
	static const char *const wrong[] = { "", ":", "1", "1:", ":1", "private",
		"private:", "priv:1", "Private:1", "0x:1", "0xg:1", "0x100000000:1", "4294967296:1",
		"-1:1", "1:-1", "1:+1", "1: 1", " 1:1", "1:1k", "1:1KB", "1:K", "1:1KK", "1:1.5M",
		"1:0x10", "1:18446744073709551616", "1:99999999999999999999",
		"1:18014398509481984K", "1:17179869184G", "1:1:1", "1a:1" };
	key_t key;
	size_t size;

	for (size_t i = 0; i < G_N_ELEMENTS(right); i++) {
		CU_ASSERT(sysv_parse_spec(right[i].spec, &key, &size));
		ASSERT_INT((unsigned)key, right[i].key);
		CU_ASSERT(size == right[i].size);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		CU_ASSERT(!sysv_parse_spec(wrong[i], &key, &size));
}

static void another_segment_of_the_same_id_has_another_stamp(void)
{
	struct shmid_ds ds = { .shm_segsz = 4096, .shm_cpid = 7 }, other = ds;
	struct sysv_segment a, b;

	sysv_from_ds(&realm, 5, &ds, &a);
	other.shm_nattch = 3;
	other.shm_ctime = 99;
	other.shm_perm.mode = 0644;
	sysv_from_ds(&realm, 5, &other, &b);
	CU_ASSERT(item_same(&a.ipc.item, &b.ipc.item));
	CU_ASSERT(!item_same_access(&a.ipc.item, &b.ipc.item));
	other.shm_cpid = 8;
	sysv_from_ds(&realm, 5, &other, &b);
	CU_ASSERT(!item_same(&a.ipc.item, &b.ipc.item));
	ds.shm_segsz = 8192;
	sysv_from_ds(&realm, 5, &ds, &b);
	CU_ASSERT(!item_same(&a.ipc.item, &b.ipc.item));
}

static bool waits_for(const char *text, long number, int id)
{
	int found;

	return ipc_parse_syscall(text, number, &found) && found == id;
}

static void a_thread_that_waits_is_told_by_its_system_call(void)
{
	static const char waits[] = "70 0x8000 0x7ffe 0x2000 0x0 0x0 0x0 0x7ffe 0x7f22\n";

	CU_ASSERT(waits_for(waits, 70, 0x8000));
	CU_ASSERT(!waits_for(waits, 70, 0x800));
	CU_ASSERT(!waits_for(waits, 7, 0x8000));
	/* The upper half of a register means nothing where an int is expected. */
	CU_ASSERT(waits_for("70 0xffffffff00000003 0x0", 70, 3));
	CU_ASSERT(!waits_for("running\n", 70, 0));
	CU_ASSERT(!waits_for("-1 0x7ffe 0x7f22\n", 70, 0));
	CU_ASSERT(!waits_for("70\n", 70, 0));
	CU_ASSERT(!waits_for("", 70, 0));
}

static CU_TestInfo tests[] = {
	{ "reads every column of a segment", reads_every_column_of_a_segment },
	{ "keys are unsigned, flags no permissions", keys_are_unsigned_and_flags_no_permissions },
	{ "segments of another namespace have it in their keys",
		segments_of_another_namespace_have_it_in_their_keys },
	{ "columns may lack and change places", columns_may_lack_and_change_places },
	{ "a text that is no table is refused", a_text_that_is_no_table_is_refused },
	{ "a row that is none ends the table", a_row_that_is_none_ends_the_table },
	{ "any damage is survived", any_damage_is_survived },
	{ "reads queues and sets", reads_queues_and_sets },
	{ "IDs are plain numbers", ids_are_plain_numbers },
	{ "specs name key and size", specs_name_key_and_size },
	{ "another segment of the same ID has another stamp",
		another_segment_of_the_same_id_has_another_stamp },
	{ "a thread that waits is told by its system call",
		a_thread_that_waits_is_told_by_its_system_call },
	CU_TEST_INFO_NULL,
};

const CU_SuiteInfo sysvipc_suite = { "sysvipc", NULL, NULL, NULL, NULL, tests };
