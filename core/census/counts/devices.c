/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inode numbers of the mount, from the highest bit down:
 *
 *	0 (4)  ino (60)                  a file of the tmpfs of the mount's root
 *	class (4)  minor (20)  ino (40)  a file of another device: memfds, anonymous memory, other
 *	                                 tmpfs mounts; their devices have major number 0
 *	class (4)  ns (28)  shmid (32)   a System V segment; ns is 0 for the daemon's own
 *
 * Numbers with another class are nobody's segment. The kernel numbers the inodes of a tmpfs one
 * after the other, so that 40 bits last; and namespaces from NS_FIRST on, with those that exist
 * from the start just below.
 */
#include "census/counts/devices.h"

#include "base/memfd.h"
#include "base/util.h"

#include <errno.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define CLASS_SHIFT 60
#define CLASS_ELSEWHERE 5 /* SEGMENT_FILE on another tmpfs */
#define MINOR_SHIFT 40
#define MINOR_BITS 20
#define NS_SHIFT 32
#define NS_BITS 28
#define NS_FIRST 0xf0000000u
#define NS_INITIAL_IPC 0xefffffffu

#define MASK(bits) ((UINT64_C(1) << (bits)) - 1)

/* -ENODEV, -ENOENT: there are no pages of this size (a power of two; 0: small ones). */
static int internal_device(unsigned page_shift, uint64_t *dev)
{
	unsigned huge = page_shift ? MFD_HUGETLB | page_shift << MFD_HUGE_SHIFT : 0;
	struct stat st;

	auto_fd fd = memfd_new(huge);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	*dev = st.st_dev;
	return 0;
}

int devices_init(struct devices *devices, uint64_t shm_dev)
{
	uint64_t dev = 0, internal;
	int error = internal_device(0, &internal);

	if (error)
		return error;
	*devices = (struct devices){
		.set = g_array_new(FALSE, FALSE, sizeof(struct device)),
		.shm = shm_dev,
		.internal = internal,
	};
	devices_add(devices, shm_dev, DEVICE_SHM);
	devices_add(devices, internal, DEVICE_INTERNAL);
	/* Every size of huge page has a mount of its own; from 16 KiB to 16 GiB there are some. */
	for (unsigned shift = 14; shift <= 34; shift++)
		if (internal_device(shift, &dev) == 0)
			devices_add(devices, dev, DEVICE_INTERNAL);
	return 0;
}

struct devices devices_copy(const struct devices *devices)
{
	struct devices copy = *devices;

	/* None, where a back end looks at no device. */
	if (copy.set)
		g_array_ref(copy.set);
	return copy;
}

void devices_clear(struct devices *devices)
{
	g_clear_pointer(&devices->set, g_array_unref);
}

/* The index of the first device that is not below that number. */
static guint find(const struct devices *devices, uint64_t dev)
{
	guint low = 0, high = devices->set->len;

	while (low < high) {
		guint middle = (low + high) / 2;

		if (g_array_index(devices->set, struct device, middle).dev < dev)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void replace(struct devices *devices, GArray *set)
{
	g_array_unref(devices->set);
	devices->set = set;
	devices->generation++;
}

static const struct device *device_at(const GArray *set, guint i)
{
	return &g_array_index(set, struct device, i);
}

/* The device of that number; NULL: none. */
static const struct device *device_of(const struct devices *devices, uint64_t dev)
{
	guint at = find(devices, dev);

	return at < devices->set->len && device_at(devices->set, at)->dev == dev ?
		device_at(devices->set, at) :
		NULL;
}

enum device_role devices_role(const struct devices *devices, uint64_t dev)
{
	const struct device *device = device_of(devices, dev);

	return device ? device->role : DEVICE_NONE;
}

/* A number that a mount of another daemon had is free once it is unmounted, and given away again. */
void devices_add(struct devices *devices, uint64_t dev, enum device_role role)
{
	const struct device *known = device_of(devices, dev);
	struct device device = known ? *known : (struct device){ .dev = dev };
	guint at = find(devices, dev);
	GArray *set;

	if (known && known->role != DEVICE_OTHER_MOUNT)
		return;
	device.role = role;
	set = g_array_copy(devices->set);
	if (known)
		g_array_remove_index(set, at);
	g_array_insert_val(set, at, device);
	replace(devices, set);
}

static bool is_same_mount(const struct device *a, const struct device *b)
{
	return a->dev == b->dev && a->server == b->server && a->source == b->source;
}

/*
 * Whether that number is the mount's now. Not if a tmpfs was found under the number of this very
 * mount: its daemon, which has not ended yet, is unmounted.
 */
static bool is_valid(const struct devices *devices, const struct device *mount)
{
	const struct device *known = device_of(devices, mount->dev);

	if (!known || known->role == DEVICE_OTHER_MOUNT)
		return true;
	return known->role == DEVICE_SHM && known->dev != devices->shm &&
		!is_same_mount(known, mount);
}

static GArray *valid_mounts(const struct devices *devices, const GArray *mounts)
{
	GArray *valid = g_array_new(FALSE, FALSE, sizeof(struct device));

	for (guint i = 0; i < mounts->len; i++)
		if (is_valid(devices, device_at(mounts, i)))
			g_array_append_vals(valid, device_at(mounts, i), 1);
	return valid;
}

static bool has_number(const GArray *set, uint64_t dev)
{
	for (guint i = 0; i < set->len; i++)
		if (device_at(set, i)->dev == dev)
			return true;
	return false;
}

static bool has_other_mounts(const struct devices *devices, const GArray *mounts)
{
	guint count = 0;

	for (guint i = 0; i < devices->set->len; i++)
		count += device_at(devices->set, i)->role == DEVICE_OTHER_MOUNT;
	if (count != mounts->len)
		return false;
	for (guint i = 0; i < mounts->len; i++) {
		const struct device *mount = device_at(mounts, i);
		const struct device *known = device_of(devices, mount->dev);

		if (!known || known->role != DEVICE_OTHER_MOUNT || !is_same_mount(known, mount))
			return false;
	}
	return true;
}

static int by_number(gconstpointer a, gconstpointer b)
{
	const struct device *x = a, *y = b;

	return (x->dev > y->dev) - (x->dev < y->dev);
}

void devices_set_other_mounts(struct devices *devices, const GArray *mounts)
{
	g_autoptr(GArray) valid = valid_mounts(devices, mounts);
	GArray *set;

	if (has_other_mounts(devices, valid))
		return;
	set = g_array_copy(valid);
	for (guint i = 0; i < devices->set->len; i++) {
		const struct device *device = device_at(devices->set, i);

		if (device->role != DEVICE_OTHER_MOUNT && !has_number(valid, device->dev))
			g_array_append_vals(set, device, 1);
	}
	g_array_sort(set, by_number);
	replace(devices, set);
}

static bool identify_internal(const struct devices *devices, const struct file_seen *file,
	struct segment_key *key)
{
	const char *name = file->name ? file->name : "";

	*key = (struct segment_key){
		.dev = file->dev,
		.ino = file->ino,
		.class = segment_class_of_name(name),
	};
	if (key->class == SEGMENT_SYSV) {
		key->dev = devices->internal;
		key->ns = file->ipc_ns;
	}
	/* Private anonymous huge pages come from a file too, which nobody can share. */
	return !(key->class == SEGMENT_ANON && file->private);
}

/* A file of another daemon's mount: a plain number is that of a file of the tmpfs at its root. */
static bool identify_elsewhere(const struct devices *devices, const struct file_seen *file,
	struct segment_key *key)
{
	if (!devices_of_mount_ino(devices, file->ino, key))
		return false;
	if (file->ino >> CLASS_SHIFT == SEGMENT_FILE)
		key->dev = device_of(devices, file->dev)->source;
	return true;
}

bool devices_identify(const struct devices *devices, const struct file_seen *file,
	struct segment_key *key)
{
	switch (devices_role(devices, file->dev)) {
	case DEVICE_SHM:
		*key = (struct segment_key){
			.dev = file->dev,
			.ino = file->ino,
			.class = SEGMENT_FILE,
		};
		return true;
	case DEVICE_INTERNAL:
		return identify_internal(devices, file, key);
	case DEVICE_MOUNT:
		return devices_of_mount_ino(devices, file->ino, key);
	case DEVICE_OTHER_MOUNT:
		return identify_elsewhere(devices, file, key);
	case DEVICE_NONE:
		break;
	}
	return false;
}

uint64_t devices_mount_ino(const struct devices *devices, const struct segment_key *key)
{
	uint64_t class = key->class;

	if (key->class == SEGMENT_SYSV)
		return class << CLASS_SHIFT | (key->ns & MASK(NS_BITS)) << NS_SHIFT |
			(key->ino & MASK(NS_SHIFT));
	if (key->class == SEGMENT_FILE) {
		if (key->dev == devices->shm)
			return key->ino & MASK(CLASS_SHIFT);
		class = CLASS_ELSEWHERE;
	}
	return class << CLASS_SHIFT | (uint64_t)minor(key->dev) << MINOR_SHIFT |
		(key->ino & MASK(MINOR_SHIFT));
}

static uint32_t namespace_of(uint32_t low)
{
	if (low == 0)
		return 0;
	if (low == (NS_INITIAL_IPC & MASK(NS_BITS)))
		return NS_INITIAL_IPC;
	return NS_FIRST | low;
}

bool devices_of_mount_ino(const struct devices *devices, uint64_t ino, struct segment_key *key)
{
	uint64_t class = ino >> CLASS_SHIFT;

	memset(key, 0, sizeof(*key));
	switch (class) {
	case SEGMENT_FILE:
		key->dev = devices->shm;
		key->ino = ino;
		return true;
	case SEGMENT_SYSV:
		key->class = SEGMENT_SYSV;
		key->dev = devices->internal;
		key->ns = namespace_of(ino >> NS_SHIFT & MASK(NS_BITS));
		key->ino = ino & MASK(NS_SHIFT);
		return true;
	case SEGMENT_MEMFD:
	case SEGMENT_ANON:
	case SEGMENT_OTHER:
	case CLASS_ELSEWHERE:
		key->class = class == CLASS_ELSEWHERE ? SEGMENT_FILE : (enum segment_class) class;
		key->dev = makedev(0, ino >> MINOR_SHIFT & MASK(MINOR_BITS));
		key->ino = ino & MASK(MINOR_SHIFT);
		return true;
	default:
		return false;
	}
}
