/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "objects.h"

#include "census/census.h"

#include <err.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>

/* The kernel's workers close the last files of rings and sockets: how long they may take. */
#define SETTLE_US 60000000
#define NAP_US 10000

static void note_file(const struct hidden_row *row, void *data)
{
	g_hash_table_add(data, (gpointer)(uintptr_t)row->file);
}

/* Returns a line if the object's own count is not that of its users, or NULL. */
static char *compare_object(struct census *census, const struct segment_key *key, uint64_t inode,
	const char *name)
{
	g_autoptr(GHashTable) files = g_hash_table_new(NULL, NULL);
	struct references references = census_references(census, key, inode);
	struct usage usage = census_usage(census, key);

	census_each_hidden(census, key, inode, note_file, files);
	if (references.known && references.hidden == g_hash_table_size(files) &&
		references.mapped == (usage.mappings > 0))
		return NULL;
	return g_strdup_printf("%s: known %d, mapped %d of %lu mappings, %lu openers, "
			       "%lu references, %lu hidden, %u traced",
		name, references.known, references.mapped, (unsigned long)usage.mappings,
		(unsigned long)usage.openers, (unsigned long)references.count,
		(unsigned long)references.hidden, g_hash_table_size(files));
}

static char *compare_posix(struct census *census, uint64_t shm_dev, unsigned number)
{
	g_autofree char *path = g_strdup_printf("/dev/shm/churn-%u", number);
	struct segment_key key = { .dev = shm_dev, .class = SEGMENT_FILE };
	struct stat st;

	if (stat(path, &st) != 0)
		err(1, "%s", path);
	key.ino = st.st_ino;
	return compare_object(census, &key, 0, path);
}

static char *compare_sysv(struct census *census, int shmid)
{
	g_autofree char *name = g_strdup_printf("System V segment %d", shmid);
	const struct segment_key key = {
		.dev = census_internal_device(census),
		.ino = shmid,
		.class = SEGMENT_SYSV,
	};
	struct object_now now;
	struct shmid_ds ds;
	uint64_t mappings = census_usage(census, &key).mappings;

	if (shmctl(shmid, IPC_STAT, &ds) != 0)
		err(1, "%s", name);
	if (ds.shm_nattch != mappings)
		return g_strdup_printf("%s: %lu mappings, %lu attaches", name,
			(unsigned long)mappings, (unsigned long)ds.shm_nattch);
	if (census_look_sysv(census, shmid, true, &now) != 0)
		return g_strdup_printf("%s: cannot be looked at", name);
	return compare_object(census, &key, now.inode, name);
}

static GPtrArray *find_differences(struct census *census, uint64_t shm_dev, const struct plan *plan,
	uint64_t *hidden)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
	struct hidden_sums sums;
	int error = census_hold(census, CENSUS_ALL);

	if (error)
		errx(1, "census_hold: %s", strerror(-error));
	for (unsigned i = 0; i < CHURN_OBJECTS; i++)
		g_ptr_array_add(lines, compare_posix(census, shm_dev, i));
	for (unsigned i = 0; i < CHURN_SYSV; i++)
		g_ptr_array_add(lines, compare_sysv(census, plan->sysv[i]));
	sums = census_hidden_sums(census, shm_dev);
	*hidden = sums.sockets + sums.rings;
	census_release(census);
	while (g_ptr_array_remove(lines, NULL))
		;
	return lines;
}

unsigned compare_objects(struct census *census, uint64_t shm_dev, const struct plan *plan,
	uint64_t *hidden)
{
	gint64 end = g_get_monotonic_time() + SETTLE_US;
	uint64_t found;
	g_autoptr(GPtrArray) lines = find_differences(census, shm_dev, plan, &found);

	while (lines->len && g_get_monotonic_time() < end) {
		g_usleep(NAP_US);
		g_ptr_array_unref(lines);
		lines = find_differences(census, shm_dev, plan, &found);
	}
	for (guint i = 0; i < lines->len; i++)
		printf("%s\n", (char *)lines->pdata[i]);
	*hidden += found;
	return lines->len;
}
