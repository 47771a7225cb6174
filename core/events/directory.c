/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/directory.h"

#include "base/util.h"
#include "events/handles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Names that may be noted. */
#define UNSETTLED_MAX 4096

/* Sizes that are doubted are looked at so often at most, in microseconds, and for a hundredth of the time. */
#define DOUBT_US (100 * 1000)
#define REST 100
#define DOUBTED_MAX 1024

/* How long records may come without one that explains a name, in microseconds. */
#define OVERDUE_US G_USEC_PER_SEC

struct directory {
	struct directory_config config; /* constant */
	GHashTable *unsettled;          /* name: the inode number that was told, 0 for none */
	gint64 since;                   /* the first of these; monotonic, in us */
	struct names *names;            /* as they were told last */
	unsigned listing;               /* the last one, by which `names` are marked */
	gint64 listed;                  /* when it ended; monotonic, in us */
	bool late;  /* records may not be handled yet that were made before it ended */
	bool again; /* records were lost */
	GHashTable
		*doubted; /* inode numbers: their size may be another one; if many, that of all */
	gint64 next;      /* when they are looked at, at the earliest; monotonic, in us */
};

static GHashTable *new_unsettled(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

struct directory *directory_new(const struct directory_config *config)
{
	struct directory *directory = g_new0(struct directory, 1);

	directory->config = *config;
	directory->unsettled = new_unsettled();
	directory->names = names_new();
	directory->doubted = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	return directory;
}

void directory_free(struct directory *directory)
{
	names_free(directory->names);
	g_hash_table_unref(directory->doubted);
	g_hash_table_unref(directory->unsettled);
	g_free(directory);
}

bool directory_is_hidden(const struct directory *directory, const char *name)
{
	return g_str_has_prefix(name, directory->config.hidden_prefix);
}

bool directory_is_object(const struct directory *directory, const char *name)
{
	return strcmp(name, directory->config.reserved) != 0 &&
		!directory_is_hidden(directory, name);
}

uint64_t directory_look(const struct directory *directory, const char *name, uint64_t *size)
{
	struct stat st;

	if (fstatat(directory->config.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode))
		return 0;
	*size = st.st_size;
	return st.st_ino;
}

/* What was told */

static void add_unsettled(struct directory *directory, const char *name, uint64_t inode)
{
	if (g_hash_table_size(directory->unsettled) == 0)
		directory->since = g_get_monotonic_time();
	g_hash_table_insert(directory->unsettled, g_strdup(name), g_memdup2(&inode, sizeof inode));
}

static void note(struct directory *directory, const char *name, uint64_t inode)
{
	add_unsettled(directory, name, inode);
	if (g_hash_table_size(directory->unsettled) > UNSETTLED_MAX)
		directory_settle(directory);
}

void directory_told(struct directory *directory, const char *name, const struct named *named,
	uint64_t now)
{
	uint64_t inode = named ? named->inode : 0;

	if (named)
		names_set(directory->names, name, named);
	else
		names_unset(directory->names, name);
	if (inode == now)
		g_hash_table_remove(directory->unsettled, name);
	else
		note(directory, name, inode);
}

void directory_told_size(struct directory *directory, const char *name, uint64_t inode,
	uint64_t size)
{
	struct named *named = names_get(directory->names, name);

	if (named && named->inode == inode)
		named->size = size;
}

bool directory_had(const struct directory *directory, const char *name, const struct named **out)
{
	*out = names_get(directory->names, name);
	return !directory->late && (*out || names_complete(directory->names));
}

/* Listing */

static void tell(const struct directory *directory, enum event_type type, const char *name,
	const struct named *named)
{
	const struct difference difference = { type, name, *named };

	directory->config.differs(&difference, directory->config.data);
}

/* What has another inode number than was told is noted; another size is told. */
static void compare(struct directory *directory, const char *name, const struct named *found)
{
	struct named *named = names_get(directory->names, name);

	if (named)
		named->seen = directory->listing;
	if (!named || named->inode != found->inode) {
		note(directory, name, named ? named->inode : 0);
	} else if (named->size != found->size) {
		named->size = found->size;
		tell(directory, EVENT_RESIZED, name, found);
	}
}

/* Fills in what has the name now. -ENOENT, or an errno that leaves open what has it. */
static int find(const struct directory *directory, const char *name, struct named *out)
{
	uint8_t handle[TMPFS_HANDLE_BYTES];
	int r;

	*out = (struct named){ .size = EVENT_UNKNOWN, .seen = directory->listing };
	errno = 0;
	out->inode = directory_look(directory, name, &out->size);
	r = out->inode ? handle_of(directory->config.fd, name, handle) : -errno;
	if (r < 0 || !out->inode)
		return is_failure(r) ? r : -ENOENT;
	out->generation = handle_generation(handle);
	return 0;
}

/* False: it could not be looked at. */
static bool list_name(struct directory *directory, const char *name)
{
	struct named found;
	int r = directory_is_object(directory, name) ? find(directory, name, &found) : -ENOENT;

	if (r < 0)
		return r == -ENOENT;
	if (directory->again)
		compare(directory, name, &found);
	else
		names_set(directory->names, name, &found);
	return true;
}

static bool list(struct directory *directory)
{
	int fd = openat(directory->config.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool whole = true;

	if (!dir) {
		closep(&fd);
		return false;
	}
	while (errno = 0, (entry = readdir(dir)))
		whole &= list_name(directory, entry->d_name);
	whole &= errno == 0;
	closedir(dir);
	return whole;
}

/* Forgets what was told, which is not what is there any more, and lists what is. */
static void list_anew(struct directory *directory)
{
	names_clear(directory->names, true);
	if (!list(directory))
		names_clear(directory->names, false);
}

void directory_list(struct directory *directory)
{
	list_anew(directory);
	directory->listed = g_get_monotonic_time();
	directory->late = true;
}

void directory_lost(struct directory *directory)
{
	directory->late = directory->again = true;
}

struct search {
	unsigned listing;
	GPtrArray *unseen; /* names, which it owns */
};

static void add_unseen(const char *name, struct named *named, void *data)
{
	const struct search *search = data;

	if (named->seen != search->listing)
		g_ptr_array_add(search->unseen, g_strdup(name));
}

static void note_gone(struct directory *directory)
{
	g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
	struct search search = { directory->listing, gone };

	names_each(directory->names, add_unseen, &search);
	for (guint i = 0; i < gone->len; i++) {
		const struct named *named = names_get(directory->names, gone->pdata[i]);

		if (named)
			note(directory, gone->pdata[i], named->inode);
	}
}

/* Where not all names are known, or the directory cannot be listed, nothing can be made good. */
static void list_again(struct directory *directory)
{
	bool made_good;

	directory->listing++;
	made_good = names_complete(directory->names) && list(directory);
	if (made_good)
		note_gone(directory);
	directory->again = false;
	if (!made_good)
		list_anew(directory);
	directory->listed = g_get_monotonic_time();
}

/* Sizes that are doubted */

void directory_doubt(struct directory *directory, uint64_t inode)
{
	if (g_hash_table_size(directory->doubted) < DOUBTED_MAX)
		g_hash_table_add(directory->doubted, g_memdup2(&inode, sizeof inode));
}

static void look_at_size(const char *name, struct named *named, void *data)
{
	struct directory *directory = data;
	uint64_t size;

	if (g_hash_table_size(directory->doubted) < DOUBTED_MAX &&
		!g_hash_table_contains(directory->doubted, &named->inode))
		return;
	if (directory_look(directory, name, &size) != named->inode || size == named->size)
		return;
	named->size = size;
	tell(directory, EVENT_RESIZED, name, named);
}

static void look_at_doubted(struct directory *directory)
{
	gint64 began = g_get_monotonic_time(), ended;

	names_each(directory->names, look_at_size, directory);
	g_hash_table_remove_all(directory->doubted);
	ended = g_get_monotonic_time();
	directory->next = ended + MAX(DOUBT_US, REST * (ended - began));
}

/* Settling */

void directory_drained(struct directory *directory, gint64 when)
{
	if (directory->again)
		list_again(directory);
	else if (when > directory->listed)
		directory->late = false;
	if (g_hash_table_size(directory->doubted) > 0 && when > directory->next)
		look_at_doubted(directory);
	if (g_hash_table_size(directory->unsettled) > 0 && when - directory->since > OVERDUE_US)
		directory_settle(directory);
}

bool directory_unsettled(const struct directory *directory)
{
	return g_hash_table_size(directory->unsettled) > 0 || directory->late ||
		g_hash_table_size(directory->doubted) > 0;
}

static void settle(struct directory *directory, const char *name, uint64_t inode)
{
	const struct named *before = names_get(directory->names, name);
	struct named was = before ? *before : (struct named){ .inode = inode };
	struct named found;
	int r = find(directory, name, &found);

	if (is_failure(r))
		add_unsettled(directory, name, inode);
	if (is_failure(r) || found.inode == inode)
		return;
	if (inode) {
		names_unset(directory->names, name);
		tell(directory, EVENT_REMOVED, name, &was);
	}
	if (r == 0) {
		names_set(directory->names, name, &found);
		tell(directory, EVENT_CREATED, name, &found);
	}
}

void directory_settle(struct directory *directory)
{
	g_autoptr(GHashTable) unsettled = g_steal_pointer(&directory->unsettled);
	GHashTableIter iter;
	gpointer name, inode;

	directory->unsettled = new_unsettled();
	g_hash_table_iter_init(&iter, unsettled);
	while (g_hash_table_iter_next(&iter, &name, &inode))
		settle(directory, name, *(uint64_t *)inode);
}
