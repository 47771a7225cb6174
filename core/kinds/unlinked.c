/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/unlinked.h"

#include "kinds/charged.h"
#include "caller/sight.h"
#include "kinds/inode-generation.h"
#include "kinds/last-user.h"
#include "kinds/residency.h"
#include "base/util.h"
#include "kinds/nameless.h"

#include <dirent.h>
#include <inttypes.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void unlinked_format_id(const struct segment_key *key, bool huge, const char *name,
	char id[NAME_MAX + 1])
{
	char inode[24];
	int inode_length = snprintf(inode, sizeof inode, "-%" PRIu64, key->ino);
	size_t at = snprintf(id, NAME_MAX + 1, "%s%s", huge ? "huge" : "",
		segment_class_name(key->class));

	if (*name)
		id[at++] = '-';
	for (; *name && at + inode_length < NAME_MAX; name++)
		id[at++] = g_ascii_isalnum(*name) || strchr("._+:@%-", *name) ? *name : '_';
	strcpy(id + at, inode);
}

static bool parse_inode(const char *text, uint64_t *ino)
{
	uint64_t value = 0;

	if (!*text || (*text == '0' && text[1]))
		return false;
	for (; *text; text++) {
		unsigned digit = (unsigned char)*text - '0';

		if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, digit, &value))
			return false;
	}
	*ino = value;
	return true;
}

bool unlinked_parse_id(const char *id, enum segment_class *class, bool *huge, uint64_t *ino)
{
	static const enum segment_class classes[] = { SEGMENT_FILE, SEGMENT_MEMFD, SEGMENT_ANON,
		SEGMENT_OTHER };
	const char *last = strrchr(id, '-');

	if (!last || !parse_inode(last + 1, ino))
		return false;
	*huge = strncmp(id, "huge", 4) == 0;
	if (*huge)
		id += 4;
	for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
		const char *kind = segment_class_name(classes[i]);
		size_t length = strlen(kind);

		if (strncmp(id, kind, length) == 0 && id[length] == '-') {
			*class = classes[i];
			return true;
		}
	}
	return false;
}

/*
 * The name of the file, cut out of `shown` in place. An object that is not deleted but whose name
 * ends in " (deleted)" loses that: the kernel does not tell the two apart.
 */
static char *bare_name(enum segment_class class, char *shown)
{
	char *slash = strrchr(shown, '/');

	if (g_str_has_suffix(shown, " (deleted)"))
		shown[strlen(shown) - strlen(" (deleted)")] = '\0';
	/* A memfd's name may contain slashes: only the root's slash is cut off. */
	if (class == SEGMENT_FILE)
		return slash ? slash + 1 : shown;
	return *shown == '/' ? shown + 1 : shown;
}

void unlinked_name(enum segment_class class, const char *shown, char name[NAME_MAX + 1])
{
	g_autofree char *copy = g_strdup(shown);
	const char *bare = bare_name(class, copy);

	if (class == SEGMENT_ANON)
		bare = "";
	else if (class == SEGMENT_MEMFD && g_str_has_prefix(bare, "memfd:"))
		bare += strlen("memfd:");
	g_strlcpy(name, bare, NAME_MAX + 1);
}

/* Who may open it: see the head of unlinked.h. */
static mode_t mode_of(enum segment_class class, mode_t mode)
{
	switch (class) {
	case SEGMENT_FILE:
		return mode & 07777;
	case SEGMENT_MEMFD:
		return mode & S_IRWXU;
	default:
		return S_IRUSR | S_IWUSR;
	}
}

static const char *label_of(enum segment_class class)
{
	/* Next to the named objects of the same class it must not look like one of them. */
	return class == SEGMENT_FILE ? "unlinked" : segment_class_name(class);
}

static void fill_item(const struct segment_key *key, const struct stat *st,
	const struct item_file *file, const char *shown, struct item *out)
{
	*out = (struct item){
		.kind = &kind_unlinked,
		.label = label_of(key->class),
		.segment = true,
		.fixed_size = key->class == SEGMENT_ANON || key->class == SEGMENT_OTHER,
		.key = *key,
		.identity = file->generation,
	};
	item_set_stat(out, st);
	out->mode = mode_of(key->class, st->st_mode);
	unlinked_name(key->class, shown, out->name);
	unlinked_format_id(key, !file->passthrough, out->name, out->id);
}

/* Which file is the right one, and what was seen of it. */
struct choice {
	const struct segment_key *key;
	const char *id;    /* the one that is asked for; NULL: any */
	uint64_t identity; /* likewise; 0: any */
	struct item item;
	struct item_file file; /* its descriptor is the finder's result */
};

static enum nameless_verdict choose(int fd, const char *name, void *data)
{
	struct choice *choice = data;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return NAMELESS_NEXT;
	/* It has a name after all, where that is not listed: in a directory, or since then. */
	if (!S_ISREG(st.st_mode) || st.st_nlink > 0)
		return NAMELESS_STOP;
	if (file_identify(fd, &choice->file) < 0)
		return NAMELESS_NEXT;
	fill_item(choice->key, &st, &choice->file, name, &choice->item);
	if ((choice->id && strcmp(choice->id, choice->item.id) != 0) ||
		(choice->identity && choice->identity != choice->item.identity))
		return NAMELESS_NEXT;
	return NAMELESS_ACCEPT;
}

/* Inode numbers of the files that do have a name in the realm's directory. */
static GHashTable *named_files(const struct realm *realm)
{
	GHashTable *named = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	int fd = realm->shm_fd < 0 ? -1 :
				     openat(realm->shm_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		gint64 ino = (gint64)entry->d_ino;

		g_hash_table_add(named, g_memdup2(&ino, sizeof ino));
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return named;
}

static bool in_realm(const struct realm *realm, const struct segment_key *key)
{
	switch (key->class) {
	case SEGMENT_FILE:
		return realm->shm_fd >= 0 && key->dev == realm->shm_dev;
	case SEGMENT_SYSV:
		return false;
	default:
		return realm_is_own(realm);
	}
}

struct collection {
	const struct realm *realm;
	GHashTable *named; /* by named_files(); NULL: not read yet */
	GArray *keys;      /* of struct segment_key */
};

/* Of what a process shows, most files are objects, which the kernel's list tells at once. */
static bool has_name(struct collection *collection, const struct segment_key *key)
{
	int named = census_is_named(collection->realm->census, key);
	gint64 ino = (gint64)key->ino;

	if (named >= 0)
		return named;
	if (!collection->named)
		collection->named = named_files(collection->realm);
	return g_hash_table_contains(collection->named, &ino);
}

static void collect(const struct segment_key *key, const struct usage *usage, void *data)
{
	struct collection *collection = data;

	(void)usage;
	if (in_realm(collection->realm, key) &&
		(key->class != SEGMENT_FILE || !has_name(collection, key)))
		g_array_append_val(collection->keys, *key);
}

/*
 * Whether an object that no process shows is listed. One to which only the daemon refers is being
 * destroyed, or is the daemon's own. Private huge pages of a process have a file too; shared ones
 * are known by a process's mapping.
 */
static bool is_listed(const struct realm *realm, const struct object_row *row)
{
	return row->st.st_nlink == 0 && row->references > 0 && in_realm(realm, &row->key) &&
		(row->key.class != SEGMENT_ANON || !row->huge);
}

/* Collects an object of which no process shows anything. */
static void collect_object(const struct object_row *row, void *data)
{
	struct collection *collection = data;
	struct usage usage = census_usage(collection->realm->census, &row->key);

	if (!usage.mappings && !usage.openers && is_listed(collection->realm, row))
		g_array_append_val(collection->keys, row->key);
}

/* Keys of all that may be without a name; the files among them still have to prove it. */
static GArray *candidates(const struct realm *realm)
{
	struct collection collection = { realm, NULL,
		g_array_new(FALSE, FALSE, sizeof(struct segment_key)) };

	census_each_segment(realm->census, collect, &collection);
	census_each_object(realm->census, collect_object, &collection);
	if (collection.named)
		g_hash_table_unref(collection.named);
	return collection.keys;
}

/* A file as the kernel's list of inodes shows it, which need not be opened for that. */
static bool choose_object(const struct realm *realm, struct choice *choice)
{
	struct item *item = &choice->item;
	g_autofree char *shown = NULL;
	struct object_row row;

	if (!census_object(realm->census, choice->key, &row) || !is_listed(realm, &row))
		return false;
	choice->file = (struct item_file){
		.fd = -1,
		/* hugetlbfs has no handles, and its files no time of birth: inode-generation.c. */
		.generation = row.huge ? 0 : row.generation,
		.passthrough = !row.huge,
	};
	shown = g_strconcat(row.name, " (deleted)", NULL); /* as procfs shows it */
	fill_item(choice->key, &row.st, &choice->file, shown, item);
	item->swapped = MIN(row.swapped, item->allocated);
	item->resident = item->allocated - item->swapped;
	return (!choice->id || strcmp(choice->id, item->id) == 0) &&
		(!choice->identity || choice->identity == item->identity);
}

static int unlinked_each(const struct realm *realm, item_visitor visit, void *data)
{
	g_autoptr(GArray) keys = candidates(realm);

	for (guint i = 0; i < keys->len; i++) {
		struct choice choice = { .key = &g_array_index(keys, struct segment_key, i) };
		bool listed = choose_object(realm, &choice);
		auto_fd fd = listed ? -1 : nameless_open(realm, choice.key, choose, &choice);

		if (listed || fd >= 0)
			visit(&choice.item, data);
	}
	return 0;
}

/*
 * The choice's descriptor; -ENXIO, and the choice all the same, if there is such a segment but no
 * way to it; or -ENOENT.
 */
static int find(const struct realm *realm, const struct segment_key *key, const char *id,
	uint64_t identity, struct choice *out)
{
	int fd = -ENOENT;

	*out = (struct choice){ .key = key, .id = id, .identity = identity };
	if (!in_realm(realm, key))
		return -ENOENT;
	fd = nameless_open(realm, key, choose, out);
	if (fd >= 0 || !choose_object(realm, out))
		return fd;
	fd = nameless_open_by_handle(realm, key, out->file.generation);
	return fd >= 0 ? fd : -ENXIO;
}

struct same_number {
	const struct segment_key *like;
	GArray *keys;
};

static void collect_same(const struct segment_key *key, const struct usage *usage, void *data)
{
	struct same_number *same = data;

	(void)usage;
	if (key->class == same->like->class && key->ino == same->like->ino &&
		key->dev != same->like->dev)
		g_array_append_val(same->keys, *key);
}

static void collect_same_object(const struct object_row *row, void *data)
{
	collect_same(&row->key, NULL, data);
}

/* The devices of huge pages are several: ask all segments of that class and number. */
static int find_elsewhere(const struct realm *realm, const struct segment_key *like, const char *id,
	struct choice *choice)
{
	g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(struct segment_key));
	struct same_number same = { like, keys };
	int fd = -ENOENT;

	census_each_segment(realm->census, collect_same, &same);
	census_each_object(realm->census, collect_same_object, &same);
	for (guint i = 0; i < keys->len && fd < 0 && fd != -ENXIO; i++)
		fd = find(realm, &g_array_index(keys, struct segment_key, i), id, 0, choice);
	return fd;
}

static int unlinked_stat(const struct realm *realm, const char *id, struct item **out)
{
	struct segment_key key = { 0 };
	struct choice choice;
	auto_fd fd = -1;
	bool huge;

	if (!unlinked_parse_id(id, &key.class, &huge, &key.ino))
		return -ENOENT;
	key.dev = key.class == SEGMENT_FILE ? realm->shm_dev : realm->internal_dev;
	fd = huge ? find_elsewhere(realm, &key, id, &choice) : find(realm, &key, id, 0, &choice);
	if (fd < 0 && fd != -ENXIO)
		return -ENOENT;
	*out = g_memdup2(&choice.item, sizeof choice.item);
	return 0;
}

static int unlinked_open(const struct realm *realm, const struct item *seen, struct item_file *out)
{
	struct choice choice;
	auto_fd fd = find(realm, &seen->key, seen->id, 0, &choice);

	if (fd < 0)
		return fd;
	if (!item_same(&choice.item, seen) || !item_same_access(&choice.item, seen))
		return -ESTALE;
	*out = choice.file;
	if (seen->key.class == SEGMENT_MEMFD && file_is_sealable(fd))
		out->passthrough = false;
	out->fd = steal_fd(&fd);
	return 0;
}

struct access {
	struct caller_sight sight;
	bool shown;   /* some process has it */
	bool granted; /* by the way to it through one process */
};

/* By /proc/PID/mem. */
static void try_memory(const struct mapping_row *row, void *data)
{
	struct access *access = data;

	access->shown = true;
	if (!access->granted)
		access->granted = caller_reaches_memory(&access->sight, row->pid);
}

/* By /proc/PID/fd/FD. */
static void try_descriptor(const struct descriptor_row *row, void *data)
{
	struct access *access = data;

	access->shown = true;
	if (!access->granted)
		access->granted = caller_sees_memory(&access->sight, row->pid);
}

/*
 * Decides for all but unlinked POSIX objects, whose owner, mode and ACL were meant for other users.
 * Memory that no process shows cannot be reached by a caller at all: -ENXIO, as where there is no
 * way to it.
 */
static int unlinked_permit(const struct realm *realm, const struct item *item,
	const struct caller *caller, int want)
{
	struct access access = { 0 };

	(void)want;
	if (!item || item->key.class == SEGMENT_FILE)
		return 0;
	caller_sight_begin(&access.sight, realm->proc, caller);
	census_each_mapping(realm->census, &item->key, try_memory, &access);
	census_each_descriptor(realm->census, &item->key, try_descriptor, &access);
	caller_sight_end(&access.sight);
	if (!access.shown)
		return -ENXIO;
	return access.granted ? 0 : -EACCES;
}

static int unlinked_residency(const struct realm *realm, struct item *item)
{
	struct choice choice;
	auto_fd fd = -1;

	if (item->resident != BYTES_UNKNOWN)
		return 0;
	fd = find(realm, &item->key, item->id, item->identity, &choice);
	if (fd == -ENXIO) {
		item->resident = choice.item.resident;
		item->swapped = choice.item.swapped;
		return 0;
	}
	return fd < 0 ? fd : residency_of(fd, &item->resident, &item->swapped);
}

static bool unlinked_present(const struct realm *realm)
{
	return realm->shm_fd >= 0;
}

static const struct attribute *const tables[] = { segment_attributes, last_user_attributes,
	charged_attributes, NULL };

const struct kind kind_unlinked = {
	.directory = "unlinked",
	.item_size = sizeof(struct item),
	.data = DATA_FILE,
	.needs = CENSUS_ALL,
	.attributes = tables,
	.present = unlinked_present,
	.each = unlinked_each,
	.stat = unlinked_stat,
	.open = unlinked_open,
	.permit = unlinked_permit,
	.residency = unlinked_residency,
};
