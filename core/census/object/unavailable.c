/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The object side of a program that was built without BPF: it cannot be opened. */
#include "census/object/charged.h"
#include "census/object/holders.h"
#include "census/object/objects.h"
#include "census/object/sums.h"

#include <errno.h>

int objects_open(bool leave_out_self, struct objects **out, const char **why)
{
	(void)leave_out_self, (void)out;
	*why = "shmtree was built without BPF";
	return -EOPNOTSUPP;
}

void objects_free(struct objects *objects)
{
	(void)objects;
}

int objects_begin(struct objects *objects, const struct devices *devices)
{
	(void)objects, (void)devices;
	return -EOPNOTSUPP;
}

int objects_end(struct objects *objects, const struct devices *devices, bool facts)
{
	(void)objects, (void)devices, (void)facts;
	return -EOPNOTSUPP;
}

void objects_forget(struct objects *objects)
{
	(void)objects;
}

bool objects_find(const struct objects *objects, const struct segment_key *key, struct object *out)
{
	(void)objects, (void)key, (void)out;
	return false;
}

const struct quiet_list *objects_quiet(const struct objects *objects)
{
	(void)objects;
	return NULL;
}

const struct object *objects_find_inode(const struct objects *objects, uint64_t inode)
{
	(void)objects, (void)inode;
	return NULL;
}

size_t objects_count(const struct objects *objects)
{
	(void)objects;
	return 0;
}

const struct object *objects_at(const struct objects *objects, size_t index)
{
	(void)objects, (void)index;
	return NULL;
}

const struct quiet_fact *objects_facts(const struct objects *objects, uint64_t dev, size_t *n)
{
	(void)objects, (void)dev, (void)n;
	return NULL;
}

int objects_describe(struct objects *objects, uint64_t dev, const struct quiet_fact *fact,
	struct seen_detail *out)
{
	(void)objects, (void)dev, (void)fact, (void)out;
	return -EOPNOTSUPP;
}

const struct seen_detail *objects_detail(const struct objects *objects, const struct object *object)
{
	(void)objects, (void)object;
	return NULL;
}

struct sums *sums_new(void)
{
	return NULL;
}

void sums_free(struct sums *sums)
{
	(void)sums;
}

int sums_read(struct sums *sums, GArray *out)
{
	(void)sums, (void)out;
	return -ENOTSUP;
}

int objects_look(struct objects *objects, int fd, struct seen_object *out)
{
	(void)objects, (void)fd, (void)out;
	return -EOPNOTSUPP;
}

int objects_look_sysv(struct objects *objects, int shmid, struct seen_object *out)
{
	(void)objects, (void)shmid, (void)out;
	return -EOPNOTSUPP;
}

int holders_open(struct holders **out)
{
	(void)out;
	return -EOPNOTSUPP;
}

void holders_free(struct holders *holders)
{
	(void)holders;
}

int holders_list(struct holders *holders, GArray *out)
{
	(void)holders, (void)out;
	return -EOPNOTSUPP;
}

int holders_each_namespace(struct holders *holders, void (*visit)(pid_t task, int fd, void *data),
	void *data)
{
	(void)holders, (void)visit, (void)data;
	return -EOPNOTSUPP;
}

struct charged *charged_new(void)
{
	return NULL;
}

void charged_free(struct charged *charged)
{
	(void)charged;
}

int charged_read(struct charged *charged, uint64_t inode, uint64_t ino, uint32_t generation,
	int64_t limit_us, struct charge_sums *out)
{
	(void)charged, (void)inode, (void)ino, (void)generation, (void)limit_us, (void)out;
	return -ENOTSUP;
}
