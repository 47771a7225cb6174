/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "census/counts/segment.h"

#include "base/hash.h"

#include <string.h>

guint segment_key_hash(gconstpointer key)
{
	const struct segment_key *k = key;
	uint64_t h = hash_multiply(k->ino);

	h ^= (k->dev << 8) ^ k->class ^ ((uint64_t)k->ns << 32);
	return (guint)(h ^ (h >> 32));
}

gboolean segment_key_equal(gconstpointer a, gconstpointer b)
{
	const struct segment_key *x = a, *y = b;

	return x->ino == y->ino && x->dev == y->dev && x->ns == y->ns && x->class == y->class;
}

enum segment_class segment_class_of_name(const char *name)
{
	/* Anonymous memory to which prctl(PR_SET_VMA_ANON_NAME) has given a name. */
	if (strncmp(name, "[anon_shmem:", 12) == 0)
		return SEGMENT_ANON;
	if (*name == '/')
		name++;
	if (strncmp(name, "SYSV", 4) == 0)
		return SEGMENT_SYSV;
	if (strncmp(name, "memfd:", 6) == 0)
		return SEGMENT_MEMFD;
	/* The latter is MAP_ANONYMOUS | MAP_HUGETLB. */
	if (strncmp(name, "dev/zero", 8) == 0 || strncmp(name, "anon_hugepage", 13) == 0)
		return SEGMENT_ANON;
	return SEGMENT_OTHER;
}

const char *segment_class_name(enum segment_class class)
{
	static const char *const names[] = {
		[SEGMENT_FILE] = "posix",
		[SEGMENT_SYSV] = "sysv",
		[SEGMENT_MEMFD] = "memfd",
		[SEGMENT_ANON] = "anon",
		[SEGMENT_OTHER] = "other",
	};

	return names[class];
}
