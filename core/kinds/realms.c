/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/realms.h"

#include "caller/rights.h"
#include "caller/sight.h"
#include "procfs/mountinfo.h"
#include "procfs/proc.h"
#include "base/fdpath.h"
#include "base/util.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* How often a path is walked that others may have changed meanwhile. */
#define CACHED_TRIES 100

static void set_name(struct foreign_realm *ns)
{
	if (ns->type == REALM_IPC)
		snprintf(ns->name, sizeof ns->name, "ipc-%u", (unsigned)ns->id);
	else
		snprintf(ns->name, sizeof ns->name, "shm-%u:%u", major(ns->id), minor(ns->id));
}

bool realms_parse_name(const char *name, struct foreign_realm *out)
{
	unsigned first, second;

	*out = (struct foreign_realm){ 0 };
	if (sscanf(name, "ipc-%u", &first) == 1) {
		out->type = REALM_IPC;
		out->id = first;
	} else if (sscanf(name, "shm-%u:%u", &first, &second) == 2) {
		out->type = REALM_SHM;
		out->id = makedev(first, second);
	} else {
		return false;
	}
	/* A name is valid only in the one way in which it is written here. */
	set_name(out);
	return strcmp(out->name, name) == 0;
}

/* A later line of the table is mounted over an earlier one. */
static void pick_shm(const char *point, const struct mount *mount, void *data)
{
	uint64_t *dev = data;

	if (strcmp(point, "/dev/shm") == 0)
		*dev = strcmp(mount->fstype, "tmpfs") == 0 ? mount->dev : 0;
}

bool realms_parse_mountinfo(const char *text, uint64_t *dev)
{
	*dev = 0;
	mountinfo_each(text, pick_shm, dev);
	return *dev != 0;
}

/*
 * Finds the device of a process's /dev/shm in its mount table, without a path walk: a path in
 * another mount namespace can lead through a file system that never answers.
 */
static bool read_shm_dev(int dir, uint64_t *dev)
{
	g_autofree char *path = g_strconcat(fd_path(dir).text, "/mountinfo", NULL);
	g_autofree char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) && realms_parse_mountinfo(text, dev);
}

struct finding {
	const struct realm *own;
	GArray *out;
	GArray *mounts; /* of guint32: mount namespaces that were looked at */
	unsigned *unreadable;
};

static void add(struct finding *finding, enum realm_type type, uint64_t id, pid_t pid)
{
	struct foreign_realm ns = { .type = type, .id = id, .pid = pid };

	for (guint i = 0; i < finding->out->len; i++) {
		const struct foreign_realm *known =
			&g_array_index(finding->out, struct foreign_realm, i);

		if (known->type == type && known->id == id)
			return;
	}
	set_name(&ns);
	g_array_append_val(finding->out, ns);
}

static bool is_new_mount_namespace(struct finding *finding, guint32 mount)
{
	for (guint i = 0; i < finding->mounts->len; i++)
		if (g_array_index(finding->mounts, guint32, i) == mount)
			return false;
	g_array_append_val(finding->mounts, mount);
	return true;
}

static void look_at(struct finding *finding, int dir, pid_t pid)
{
	uint32_t ipc, mount;
	uint64_t dev;

	errno = 0;
	ipc = proc_namespace(dir, "ipc");
	mount = proc_namespace(dir, "mnt");
	if (ipc == 0 || mount == 0) {
		/* A dead process is in no namespace. */
		*finding->unreadable += errno == EACCES || errno == EPERM;
		return;
	}
	if (ipc != finding->own->ipc_ns)
		add(finding, REALM_IPC, ipc, pid);
	if (is_new_mount_namespace(finding, mount) && read_shm_dev(dir, &dev) &&
		dev != finding->own->shm_dev)
		add(finding, REALM_SHM, dev, pid);
}

int realms_find(const struct realm *own, GArray *out, unsigned *unreadable)
{
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	g_autoptr(GArray) mounts = g_array_new(FALSE, FALSE, sizeof(guint32));
	struct finding finding = { own, out, mounts, unreadable };
	struct proc *proc;
	int r = proc_open(own->proc, &proc);

	if (r < 0)
		return r;
	*unreadable = 0;
	r = proc_list(proc, pids);
	for (guint i = 0; r == 0 && i < pids->len; i++) {
		pid_t pid = g_array_index(pids, pid_t, i);
		auto_fd dir = proc_open_pid(proc, pid);

		if (dir >= 0)
			look_at(&finding, dir, pid);
	}
	proc_close(proc);
	return r;
}

static int open_ipc(const struct realm *own, const struct foreign_realm *ns, struct realm *out)
{
	g_autofree char *path = g_strdup_printf("%s/%d/ns/ipc", own->proc, ns->pid);
	struct stat st;

	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	/* The process may have moved on. */
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != ns->id)
		return -ENOENT;
	out->ipc_ns = ns->id;
	out->ipc_ns_fd = steal_fd(&fd);
	return 0;
}

/*
 * Opens /dev/shm as a process with that root would, but without asking any file system: one that
 * the process's root is on, or an overlay of it, may never answer. The kernel keeps in memory
 * whatever leads to a mount point; -EAGAIN, now and then, only says that something changed
 * meanwhile.
 */
static int open_cached_shm(int root)
{
	/* A link there must not lead into our own files. */
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED,
	};
	int fd = -1;

	for (int tries = 0; fd < 0 && tries < CACHED_TRIES; tries++) {
		fd = syscall(SYS_openat2, root, "dev/shm", &how, sizeof how);
		if (fd < 0 && errno != EAGAIN)
			break;
	}
	return fd;
}

static int open_shm(const struct realm *own, const struct foreign_realm *ns, struct realm *out)
{
	g_autofree char *path = g_strdup_printf("%s/%d/root", own->proc, ns->pid);
	struct stat st;

	auto_fd root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -ENOENT;
	auto_fd fd = open_cached_shm(root);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != ns->id)
		return -ENOENT;
	out->shm_dev = ns->id;
	out->shm_fd = steal_fd(&fd);
	return 0;
}

/*
 * A process that was in each realm when it was looked for last. A look at all processes takes
 * long, and one at this process tells whether it is still there.
 */
static struct {
	GMutex lock;
	struct foreign_realm seen[64];
	unsigned next; /* the place that is taken over next */
} hints;

static void remember_realm(const struct foreign_realm *ns)
{
	unsigned place;

	g_mutex_lock(&hints.lock);
	place = hints.next;
	for (unsigned i = 0; i < G_N_ELEMENTS(hints.seen); i++)
		if (hints.seen[i].type == ns->type && hints.seen[i].id == ns->id)
			place = i;
	if (place == hints.next)
		hints.next = (hints.next + 1) % G_N_ELEMENTS(hints.seen);
	hints.seen[place] = *ns;
	g_mutex_unlock(&hints.lock);
}

/* Fills in the pid; false if none was seen. */
static bool recall_realm(struct foreign_realm *ns)
{
	g_mutex_lock(&hints.lock);
	for (unsigned i = 0; i < G_N_ELEMENTS(hints.seen); i++)
		if (hints.seen[i].type == ns->type && hints.seen[i].id == ns->id)
			ns->pid = hints.seen[i].pid;
	g_mutex_unlock(&hints.lock);
	return ns->pid != 0;
}

int realms_open_found(const struct realm *own, const struct foreign_realm *found, struct realm *out)
{
	int r;

	*out = *own;
	out->shm_fd = out->ipc_ns_fd = -1;
	out->shm_dev = out->ipc_ns = 0;
	r = found->type == REALM_IPC ? open_ipc(own, found, out) : open_shm(own, found, out);
	/* So that the census counts its files, from the next pass on. */
	if (r == 0 && found->type == REALM_SHM)
		census_add_device(own->census, found->id);
	return r;
}

/* Finds the realm by a look at all processes. */
static int search_realm(const struct realm *own, const struct foreign_realm *wanted,
	struct realm *out)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct foreign_realm));
	unsigned unreadable;
	int r = realms_find(own, all, &unreadable);

	if (r < 0)
		return r;
	r = -ENOENT;
	for (guint i = 0; i < all->len && r < 0; i++) {
		const struct foreign_realm *ns = &g_array_index(all, struct foreign_realm, i);

		if (ns->type != wanted->type || ns->id != wanted->id)
			continue;
		r = realms_open_found(own, ns, out);
		if (r == 0)
			remember_realm(ns);
	}
	return r;
}

int realms_open(const struct realm *own, const char *name, struct realm *out)
{
	struct foreign_realm wanted;
	int r = -ENOENT;

	if (!realms_parse_name(name, &wanted))
		return r;
	/* The daemon's own realm is not foreign. */
	if (wanted.type == REALM_IPC ? wanted.id == own->ipc_ns : wanted.id == own->shm_dev)
		return r;
	if (recall_realm(&wanted))
		r = realms_open_found(own, &wanted, out);
	if (r < 0)
		r = search_realm(own, &wanted, out);
	return r;
}

/*
 * Whether the caller could enter the realm without the daemon. Into the files of another mount
 * namespace leads /proc/PID/root, and into another IPC namespace /proc/PID/ns/ipc with
 * CAP_SYS_ADMIN, both only of processes whose memory the caller may access.
 */
static bool may_enter(const struct realm *own, const struct foreign_realm *ns,
	const struct caller *caller)
{
	struct caller_rights rights;
	struct caller_sight sight;
	bool may;

	caller_rights_read(caller, &rights);
	may = ns->type == REALM_SHM || rights.effective & CAPABILITY(CAP_SYS_ADMIN);
	caller_rights_clear(&rights);
	if (!may)
		return false;
	caller_sight_begin(&sight, own->proc, caller);
	may = caller_sees_memory(&sight, ns->pid);
	caller_sight_end(&sight);
	return may;
}

int realms_permit(const struct realm *own, const char *name, const struct caller *caller)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct foreign_realm));
	struct foreign_realm wanted;
	struct realm realm;
	unsigned unreadable;
	int r;

	if (!realms_parse_name(name, &wanted))
		return -ENOENT;
	/* Opened last, which shows that the process that was asked about is still in the realm. */
	if (recall_realm(&wanted) && may_enter(own, &wanted, caller) &&
		realms_open_found(own, &wanted, &realm) == 0) {
		realms_close(&realm);
		return 0;
	}
	r = realms_find(own, all, &unreadable);
	for (guint i = 0; i < all->len && r == 0; i++) {
		const struct foreign_realm *ns = &g_array_index(all, struct foreign_realm, i);

		if (ns->type == wanted.type && ns->id == wanted.id)
			return may_enter(own, ns, caller) ? 0 : -EACCES;
	}
	return r < 0 ? r : -ENOENT;
}

static void close_opened(gpointer opened)
{
	realms_close(&((struct opened_realm *)opened)->realm);
}

GArray *realms_open_all(const struct realm *own, const struct caller *caller)
{
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct foreign_realm));
	GArray *opened = g_array_new(FALSE, FALSE, sizeof(struct opened_realm));
	struct opened_realm one;
	unsigned unreadable;

	g_array_set_clear_func(opened, close_opened);
	if (realms_find(own, found, &unreadable) < 0)
		return opened;
	for (guint i = 0; i < found->len; i++) {
		const struct foreign_realm *ns = &g_array_index(found, struct foreign_realm, i);

		if (caller && !may_enter(own, ns, caller))
			continue;
		if (realms_open_found(own, ns, &one.realm) < 0)
			continue;
		g_strlcpy(one.name, ns->name, sizeof one.name);
		g_array_append_val(opened, one);
	}
	return opened;
}

void realms_close(struct realm *realm)
{
	closep(&realm->shm_fd);
	closep(&realm->ipc_ns_fd);
}
