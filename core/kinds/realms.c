/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kinds/realms.h"

#include "caller/rights.h"
#include "caller/sight.h"
#include "kinds/held-namespaces.h"
#include "procfs/cached-path.h"
#include "procfs/mountinfo.h"
#include "procfs/proc.h"
#include "base/file-text.h"
#include "base/fdpath.h"
#include "base/util.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

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

/* Namespaces that a bind mount or a descriptor keeps; more are not looked at. */
#define HELD_MAX 1024

struct finding {
	const struct realm *own;
	GArray *out;
	GArray *held;   /* of struct foreign_realm: of these, some may have members too */
	GArray *mounts; /* of guint32: mount namespaces that were looked at */
	unsigned *unreadable;
	struct proc *proc;
	pid_t pid; /* the process that is looked at */
	int error; /* what says nothing of a process: then namespaces may be missing */
};

static void note_failure(struct finding *finding, int error)
{
	if (is_failure(error))
		finding->error = error;
}

static void add(GArray *out, const struct foreign_realm *ns)
{
	for (guint i = 0; i < out->len; i++) {
		const struct foreign_realm *known = &g_array_index(out, struct foreign_realm, i);

		if (known->type == ns->type && known->id == ns->id)
			return;
	}
	g_array_append_vals(out, ns, 1);
	set_name(&g_array_index(out, struct foreign_realm, out->len - 1));
}

/*
 * A process can make any number of namespaces and keep them open. Those that are too many are counted as
 * something that could not be read.
 */
static void add_held(struct finding *finding, const struct foreign_realm *ns)
{
	if (ns->id == finding->own->ipc_ns)
		return;
	if (finding->held->len < HELD_MAX)
		add(finding->held, ns);
	else
		(*finding->unreadable)++;
}

static void add_mounted(uint32_t id, void *data)
{
	struct finding *finding = data;

	add_held(finding,
		&(struct foreign_realm){ REALM_IPC, REACH_MOUNT, id, finding->pid, -1, "" });
}

static void add_opened(uint32_t id, int fd, void *data)
{
	struct finding *finding = data;

	add_held(finding,
		&(struct foreign_realm){ REALM_IPC, REACH_DESCRIPTOR, id, finding->pid, fd, "" });
}

/*
 * Finds what is mounted in a process's mount table, without a path walk: a path in another mount
 * namespace can lead through a file system that never answers.
 */
static void look_at_mounts(struct finding *finding, int dir)
{
	g_autofree char *path = g_strconcat(fd_path(dir).text, "/mountinfo", NULL);
	g_autofree char *text = NULL;
	struct foreign_realm shm = { .type = REALM_SHM, .pid = finding->pid };

	int r = file_text(path, &text);

	if (r < 0) {
		note_failure(finding, r);
		return;
	}
	if (realms_parse_mountinfo(text, &shm.id) && shm.id != finding->own->shm_dev)
		add(finding->out, &shm);
	held_each_mounted(text, add_mounted, finding);
}

static bool is_new_mount_namespace(struct finding *finding, guint32 mount)
{
	for (guint i = 0; i < finding->mounts->len; i++)
		if (g_array_index(finding->mounts, guint32, i) == mount)
			return false;
	g_array_append_val(finding->mounts, mount);
	return true;
}

static void look_at(struct finding *finding, int dir)
{
	struct foreign_realm ipc = { .type = REALM_IPC, .pid = finding->pid };
	uint32_t mount;

	errno = 0;
	ipc.id = proc_namespace(dir, "ipc");
	mount = proc_namespace(dir, "mnt");
	if (ipc.id == 0 || mount == 0) {
		/* A dead process is in no namespace. */
		*finding->unreadable += errno == EACCES || errno == EPERM;
		note_failure(finding, -errno);
		return;
	}
	if (ipc.id != finding->own->ipc_ns)
		add(finding->out, &ipc);
	if (is_new_mount_namespace(finding, mount))
		look_at_mounts(finding, dir);
}

static void add_candidate(pid_t task, int fd, void *data)
{
	struct finding *finding = data;
	auto_fd dir = proc_open_pid(finding->proc, task);
	uint32_t id = dir < 0 ? 0 : held_number(dir, fd);

	note_failure(finding, dir);
	finding->pid = task;
	if (id)
		add_opened(id, fd, finding);
}

/*
 * Finds IPC namespaces that processes have open. The kernel lists these descriptors in a few ms where BPF
 * is; else all descriptors of all processes are looked at. The daemon itself has some open for a request,
 * which keep nothing.
 */
static void look_at_descriptors(struct finding *finding, const GArray *pids)
{
	pid_t self = proc_pid_here(finding->proc, getpid());

	if (census_each_namespace_descriptor(finding->own->census, add_candidate, finding) == 0)
		return;
	for (guint i = 0; i < pids->len; i++) {
		finding->pid = g_array_index(pids, pid_t, i);
		auto_fd dir = proc_open_pid(finding->proc, finding->pid);

		if (dir >= 0 && finding->pid != self)
			held_each_descriptor(dir, add_opened, finding);
	}
}

int realms_find(const struct realm *own, GArray *out, unsigned *unreadable)
{
	g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	g_autoptr(GArray) mounts = g_array_new(FALSE, FALSE, sizeof(guint32));
	g_autoptr(GArray) held = g_array_new(FALSE, FALSE, sizeof(struct foreign_realm));
	struct finding finding = { own, out, held, mounts, unreadable, NULL, 0, 0 };
	int r = proc_open(own->proc, &finding.proc);

	if (r < 0)
		return r;
	*unreadable = 0;
	r = proc_list(finding.proc, pids);
	for (guint i = 0; r == 0 && i < pids->len; i++) {
		finding.pid = g_array_index(pids, pid_t, i);
		auto_fd dir = proc_open_pid(finding.proc, finding.pid);

		note_failure(&finding, dir);
		if (dir >= 0)
			look_at(&finding, dir);
		r = finding.error;
	}
	if (r == 0) {
		look_at_descriptors(&finding, pids);
		r = finding.error;
	}
	proc_close(finding.proc);
	for (guint i = 0; r == 0 && i < held->len; i++)
		add(out, &g_array_index(held, struct foreign_realm, i));
	return r;
}

static int open_member(int dir, uint64_t id)
{
	struct stat st;

	auto_fd fd = openat(dir, "ns/ipc", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* The process may have moved on. */
	return st.st_ino != id ? -ENOENT : steal_fd(&fd);
}

static int open_ipc(const struct realm *own, const struct foreign_realm *ns, struct realm *out)
{
	g_autofree char *path = g_strdup_printf("%s/%d", own->proc, ns->pid);
	auto_fd dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd fd = dir < 0              ? -errno :
		ns->reach == REACH_MEMBER ? open_member(dir, ns->id) :
		ns->reach == REACH_MOUNT  ? held_open_mounted(dir, ns->id) :
					    held_open_descriptor(dir, ns->fd, ns->id);

	if (fd < 0)
		return is_failure(fd) ? fd : -ENOENT;
	out->ipc_ns = ns->id;
	out->ipc_ns_fd = steal_fd(&fd);
	return 0;
}

static int open_shm(const struct realm *own, const struct foreign_realm *ns, struct realm *out)
{
	g_autofree char *path = g_strdup_printf("%s/%d/root", own->proc, ns->pid);
	struct stat st;

	auto_fd root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return is_failure(-errno) ? -errno : -ENOENT;
	auto_fd fd = cached_path_open(root, "dev/shm", O_RDONLY | O_DIRECTORY);
	if (is_failure(fd))
		return fd;
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != ns->id)
		return -ENOENT;
	out->shm_dev = ns->id;
	out->shm_fd = steal_fd(&fd);
	return 0;
}

/*
 * A process that led to each realm when it was looked for last. A look at all processes takes
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

/* Fills in the process that leads to it; false if none was seen. */
static bool recall_realm(struct foreign_realm *ns)
{
	g_mutex_lock(&hints.lock);
	for (unsigned i = 0; i < G_N_ELEMENTS(hints.seen); i++)
		if (hints.seen[i].type == ns->type && hints.seen[i].id == ns->id)
			*ns = hints.seen[i];
	g_mutex_unlock(&hints.lock);
	return ns->pid != 0;
}

int realms_open_found(const struct realm *own, const struct foreign_realm *found, struct realm *out)
{
	int r;

	*out = *own;
	out->shm_fd = out->ipc_ns_fd = -1;
	out->shm_dev = out->ipc_ns = 0;
	out->events =
		NULL; /* they are of this mount's objects, whose inode numbers others have too */
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
 * CAP_SYS_ADMIN, both only of processes whose memory the caller may access. What a bind mount or a
 * descriptor keeps may be of any user namespace, and is for callers that are not confined.
 */
static bool may_enter(const struct realm *own, const struct foreign_realm *ns,
	const struct caller *caller)
{
	auto_rights rights = { 0 };
	struct caller_sight sight;
	bool may;

	caller_rights_read_here(caller, &rights);
	may = ns->type == REALM_SHM || rights.effective & CAPABILITY(CAP_SYS_ADMIN);
	if (!may)
		return false;
	caller_sight_begin(&sight, own->proc, caller);
	may = (ns->reach == REACH_MEMBER || !sight.confined) && caller_sees_memory(&sight, ns->pid);
	caller_sight_end(&sight);
	return may;
}

bool realms_at_hand(const struct realm *own, const char *name, const struct caller *caller)
{
	struct foreign_realm wanted;
	struct realm realm;

	/* Opened last, which shows that the process that was asked about still leads to the realm. */
	if (!realms_parse_name(name, &wanted) || !recall_realm(&wanted) ||
		wanted.reach == REACH_MOUNT || /* a mount table may be long */
		(caller && !may_enter(own, &wanted, caller)) ||
		realms_open_found(own, &wanted, &realm) < 0)
		return false;
	realms_close(&realm);
	return true;
}

int realms_permit(const struct realm *own, const char *name, const struct caller *caller)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct foreign_realm));
	struct foreign_realm wanted;
	unsigned unreadable;
	int r;

	if (!realms_parse_name(name, &wanted))
		return -ENOENT;
	if (realms_at_hand(own, name, caller))
		return 0;
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

int realms_open_all(const struct realm *own, const struct caller *caller, GArray **out)
{
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(struct foreign_realm));
	g_autoptr(GArray) opened = g_array_new(FALSE, FALSE, sizeof(struct opened_realm));
	struct opened_realm one;
	unsigned unreadable;
	int r;

	g_array_set_clear_func(opened, close_opened);
	r = realms_find(own, found, &unreadable);
	if (r < 0)
		return r;
	for (guint i = 0; i < found->len; i++) {
		const struct foreign_realm *ns = &g_array_index(found, struct foreign_realm, i);

		if (caller && !may_enter(own, ns, caller))
			continue;
		r = realms_open_found(own, ns, &one.realm);
		if (is_failure(r))
			return r;
		if (r < 0)
			continue;
		g_strlcpy(one.name, ns->name, sizeof one.name);
		g_array_append_val(opened, one);
	}
	*out = g_steal_pointer(&opened);
	return 0;
}

void realms_close(struct realm *realm)
{
	closep(&realm->shm_fd);
	closep(&realm->ipc_ns_fd);
}
