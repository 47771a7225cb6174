/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The census finds which processes map and which hold each segment, over all address spaces that
 * procfs shows.
 *
 * One pass answers for all segments. A caller that needs the counts calls census_hold(), which
 * returns only after a pass that *began* after the call has ended; callers that arrive together
 * share one. Between census_hold() and census_release() the counts do not change, and describe the
 * machine at an instant after census_hold() was entered.
 *
 * procfs does not show a descriptor that is in a socket's queue or registered with an io_uring.
 * Where BPF programs can be loaded, census_references() and census_look() read what the kernel
 * counts on the object itself, and census_each_hidden() finds what holds it. The back ends `query`
 * and `text` take a System V segment to be of the IPC namespace that its process is in, which is
 * wrong if the process has moved since it attached the segment.
 *
 * Errors are data in the result: a process that could not be read makes the census incomplete,
 * never wrong.
 *
 * Threads: every function may be called from any thread. Only census_hold() must not be called from
 * a thread that serves requests of the mount: a pass may wait for a process that waits for the
 * mount.
 */
#pragma once

#include "census/counts/past.h"
#include "census/counts/segment.h"
#include "census/counts/usage.h"
#include "census/object/charged.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct census;
struct file_seen;

enum census_backend_choice {
	CENSUS_AUTO, /* the best one that works here */
	CENSUS_BPF,
	CENSUS_QUERY, /* PROCMAP_QUERY, Linux 6.11 */
	CENSUS_TEXT,
};

struct census_config {
	const char *proc; /* the procfs to read, usually "/proc" */
	enum census_backend_choice backend;
	uint64_t shm_dev; /* st_dev of the tmpfs that holds the POSIX objects */
	pid_t self;       /* the daemon, left out of every count; 0: none */
	/* NULL, or where census_new() writes what keeps the chosen back end from working: one line,
	   a static string; NULL if it is not the back end that failed. */
	const char **why;
	bool no_objects; /* do not read what the kernel counts on the objects themselves */
	/*
	 * The file by which daemons know each other's mounts of the same tmpfs (mount-register.h),
	 * in which census_set_mount() enters this one's; NULL: none. It is no error if it cannot be
	 * used.
	 */
	const char *mount_register;
};

/* Returns "auto", "bpf", "query" or "text", as the option and `status` have it. */
const char *census_choice_name(enum census_backend_choice choice);

/* Whether this program was built with the BPF back end. */
bool census_has_bpf(void);

enum segment_state {
	STATE_MAPPED,
	STATE_OPEN,    /* no mapping, but a descriptor */
	STATE_HELD,    /* neither, but something that no process shows has it */
	STATE_IDLE,    /* proven: nothing has it */
	STATE_UNKNOWN, /* no user was seen, but there is no proof that there is none */
};
const char *segment_state_name(enum segment_state state);

#define REFERENCES_UNKNOWN UINT64_MAX

/* What the kernel counts on an object, the daemon's own descriptors left out. */
struct references {
	bool known;      /* false: the rest means nothing */
	bool moved;      /* it changed while the pass was made: `count` is the smallest found */
	bool mapped;     /* some address space maps it */
	bool nameless;   /* it has no name any more */
	bool served;     /* the daemon has it open to read or write, for a user of the mount */
	uint64_t count;  /* open files (file descriptions) that refer to it */
	uint64_t hidden; /* of these, those that no row accounts for; REFERENCES_UNKNOWN */
};

/* One object as it is now. */
struct object_now {
	uint64_t inode; /* its address in the kernel: for census_references(), never to be shown */
	uint64_t ino;
	uint32_t generation;
	uint64_t references; /* the daemon's own included, but not that of the question */
	bool mapped;         /* by another process than the daemon */
	bool huge;           /* of huge pages */
	uint64_t allocated;  /* bytes */
};

/* A mapping as a row of `mappers`. Strings belong to the census, valid while it is held. */
struct mapping_row {
	pid_t pid;
	pid_t task;          /* a thread of it whose /proc entries work */
	uid_t uid;           /* effective, as ps(1) shows */
	const char *command; /* /proc/PID/comm, unescaped */
	uint64_t born;       /* clock ticks after boot; 0: not known */
	const char *unit;    /* as it was when a pass first saw the process (UNIT); NULL: none */
	uint64_t start, end; /* addresses */
	uint64_t offset;     /* bytes into the segment */
	char perms[5];       /* "rw-s", as /proc/PID/maps */
};

struct descriptor_row {
	pid_t pid, task;
	uid_t uid;
	const char *command;
	uint64_t born; /* as above */
	const char *unit;
	int fd;
	int flags; /* O_ACCMODE bits (O_PATH as well) of its open file description */
};

/* How the last pass went, and what the census cannot see. */
struct census_report {
	const char *backend;        /* "bpf", "query", "text"; "auto" before the first pass */
	const char *why_not_better; /* one line, or NULL */
	uint64_t passes;
	uint64_t last_pass_ns;  /* duration of the last one */
	int64_t last_pass_time; /* CLOCK_REALTIME, seconds */
	uint64_t spaces;        /* address spaces seen by it */
	uint64_t reread;        /* of these, read anew in it */
	uint64_t unreadable;    /* processes that could not be read, or not all of them */
	/*
	 * Address spaces that changed all the while, or (query, text) may have: the rows of each
	 * were true at an instant of the pass, but not all of the same one; for query and text, a
	 * mapping that was moved may be missing, or be there twice.
	 */
	uint64_t inconsistent;
	bool objects;               /* the object side is on */
	const char *why_no_objects; /* one line; NULL if it is on, or was not asked for yet */
	/* Why whole processes may be invisible (pid namespace, hidepid), or NULL. */
	const char *incomplete_view;
};

/* Creates a census, which the caller frees with census_free(). -EINVAL etc. as open(2) of proc. */
int census_new(const struct census_config *config, struct census **out);
void census_free(struct census *census);

/*
 * census_set_mount() says which device number the mount has, once that is known (from mountinfo:
 * stat(2) of the mount point would ask the daemon itself). What is mapped or opened through the
 * mount then counts as the segment's. census_mount_ino() returns the inode number that the mount
 * reports for a segment: a file of the tmpfs has its own; all others have one with a mark in the
 * top four bits, which no tmpfs inode number reaches.
 */
void census_set_mount(struct census *census, uint64_t dev);
uint64_t census_mount_ino(struct census *census, const struct segment_key *key);

/* Finds the segment of a file; false if it is none (devices_identify()). From any thread. */
bool census_identify(struct census *census, const struct file_seen *file, struct segment_key *key);

/*
 * Adds another tmpfs whose files are POSIX objects (the /dev/shm of another mount namespace): the
 * next pass sees them.
 */
void census_add_device(struct census *census, uint64_t dev);

/* Returns the kernel's own device, of which memfds, anonymous and System V segments are. */
uint64_t census_internal_device(struct census *census);

/*
 * Does in advance what the first census_hold() would wait for: opens the back end, and lets one
 * that remembers what it has read read everything.
 */
void census_prepare(struct census *census);

/*
 * Read what the kernel counts on one object, without a pass, from any thread: of the file that `fd`
 * (an O_PATH descriptor of the caller's) is open on, or of a System V segment of the namespace that
 * the thread is in. `wait`: opens the object side first if that has not been done. A zero was found
 * twice. -ENOTSUP without the object side; -EAGAIN if the object changed meanwhile, and only a pass
 * can tell; -ENOENT.
 */
int census_look(struct census *census, int fd, bool wait, struct object_now *out);
int census_look_sysv(struct census *census, int shmid, bool wait, struct object_now *out);

/*
 * Returns since when a segment, which is idle now, is known to be: past_idle_since(). `after`: its
 * own last change; `exact`: that is when its last use ended. `passed`: whether a pass has found it
 * idle since.
 */
struct timespec census_idle_since(struct census *census, const struct segment_key *key,
	const struct timespec *after, bool exact, bool *passed);

/* The same for an item that passes do not look at: past_found_idle(). */
struct timespec census_found_idle(struct census *census, const struct segment_key *key,
	const struct timespec *after);

/* Notes that something that no process shows was found to use the segment just now. */
void census_note_use(struct census *census, const struct segment_key *key);

/*
 * Finds the process that used a segment last, as far as passes have seen, if no process uses it by
 * now; `when`: when a pass last saw that process use it. False: none is known. `out->unit` is a
 * reference of the caller's.
 */
bool census_last_user(struct census *census, const struct segment_key *key, struct past_user *out,
	struct timespec *when);

/*
 * Tells which memory cgroups pay for the pages of the object that census_look() has found
 * (charged_read()). The caller keeps the object's file open if it can.
 */
int census_charged(struct census *census, const struct object_now *now, int64_t limit_us,
	struct charge_sums *out);

/*
 * Waits for a pass with these facets (enum census_facet), and holds the census: 0, or a negative
 * errno if procfs itself cannot be read; then nothing is held.
 */
int census_hold(struct census *census, unsigned facets);

/*
 * As census_hold(), but never waits for a process, so that a thread that serves the mount may call
 * it: true, and held, if nothing has changed since the last pass. False: nothing is held.
 */
bool census_hold_at_once(struct census *census, unsigned facets);
void census_release(struct census *census);

/* The functions below may be called only while the census is held, but for census_report(). */

/* Returns the counts of a segment: all zero if no process uses it. */
struct usage census_usage(struct census *census, const struct segment_key *key);

/*
 * Returns what the kernel counts on a segment's object. `inode`: of a System V segment, as
 * census_look_sysv() told it; 0 for the others. Needs all facets.
 */
struct references census_references(struct census *census, const struct segment_key *key,
	uint64_t inode);

/* A reference to a segment's file that no process shows, as far as it can be traced. */
enum hidden_type {
	HIDDEN_SOCKET, /* in the queue of a UNIX socket, on its way to another process */
	HIDDEN_RING,   /* registered with an io_uring */
	HIDDEN_LOOP,   /* the backing file of a loop device */
};

#define HIDDEN_NO_NUMBER UINT64_MAX

struct hidden_row {
	enum hidden_type type;
	/*
	 * The socket's inode number, the ring's descriptor, the loop device's number. HIDDEN_NO_NUMBER
	 * of a ring without a descriptor, which `task` has made or used: one that was closed, and that
	 * the kernel keeps until that thread has run, or one that is registered with itself.
	 */
	uint64_t number;
	uint64_t file; /* stands for the open file, never to be shown; 0: not known */
	/* A process that has the socket or ring open; `pid` 0: none has, or it is a loop device. */
	pid_t pid, task;
	uid_t uid;
	char command[16]; /* empty without a process */
	int flags;        /* O_ACCMODE and O_PATH bits of the open file */
	bool swap;        /* the kernel swaps to the loop device */
};

/*
 * Calls `visit` for each such reference that there is now, after the pass; for none if the pass has
 * accounted for all references of the segment. `inode` as for census_references(). May wait for a
 * device.
 */
void census_each_hidden(struct census *census, const struct segment_key *key, uint64_t inode,
	void (*visit)(const struct hidden_row *row, void *data), void *data);

/*
 * Counts the open files that are held in these ways, of all segments but for System V segments of
 * another IPC namespace than the calling thread's, and for the files of another tmpfs than the one
 * with the st_dev `shm_dev`.
 */
struct hidden_sums {
	uint64_t sockets, rings, loops;
};
struct hidden_sums census_hidden_sums(struct census *census, uint64_t shm_dev);

void census_each_segment(struct census *census,
	void (*visit)(const struct segment_key *key, const struct usage *usage, void *data),
	void *data);
void census_each_mapping(struct census *census, const struct segment_key *key,
	void (*visit)(const struct mapping_row *row, void *data), void *data);
void census_each_descriptor(struct census *census, const struct segment_key *key,
	void (*visit)(const struct descriptor_row *row, void *data), void *data);

/*
 * A segment in the kernel's own list of inodes, whether any process has it or not. Those that have
 * a name in the root directory of their file system are left out.
 */
struct object_row {
	struct segment_key key; /* System V: without the namespace */
	const char *name;       /* of its dentry ("x", "memfd:x"); valid while the census is held */
	struct stat st; /* st_mode, st_uid, st_gid, st_size, st_blocks, st_nlink and times */
	uint64_t generation;
	uint64_t references; /* as in struct references */
	uint64_t swapped;    /* bytes */
	bool huge;           /* of huge pages */
};
void census_each_object(struct census *census,
	void (*visit)(const struct object_row *row, void *data), void *data);
/* Finds one of these. False if there is none, or it cannot be known. */
bool census_object(struct census *census, const struct segment_key *key, struct object_row *out);

/*
 * A POSIX object, once, whatever names it has: of those in the root directory of the tmpfs with
 * that st_dev; or a file in the directories below. For sums over all of them: no name is looked up,
 * nor is anything that only few are asked for.
 */
struct named_object {
	struct segment_key key;
	uid_t uid;
	uint64_t size, allocated, swapped; /* bytes */
	bool nested;                       /* it has names, but none in the root directory */
	/* Proven: nothing has it, and no process has been seen to. Else census_references() tells. */
	bool idle;
	uint64_t inode; /* its address in the kernel, for census_describe() */
	uint32_t generation;
};

/* 0; -ENOTSUP where that cannot be known, or the census is not held with CENSUS_FACTS. */
int census_each_named(struct census *census, uint64_t dev,
	void (*visit)(const struct named_object *object, void *data), void *data);

/*
 * Tells what stat(2) would of one that is not nested, and one name; -ENOENT if it is gone. The
 * census is held.
 */
#define CENSUS_NAME 256
int census_describe(struct census *census, const struct named_object *object, struct stat *st,
	char name[CENSUS_NAME]);

/* Whether a segment's file has a name anywhere: 1 or 0; -ENOENT if the kernel's list cannot tell. */
int census_is_named(struct census *census, const struct segment_key *key);

/*
 * Calls `visit` for all that takes memory, from the kernel's own lists of inodes: first for the
 * segments, by file system and kind, then for each tmpfs and hugetlbfs as a whole, of every mount
 * namespace.
 * -ENOTSUP without the object side, -EAGAIN where inodes came and went all the while, -E2BIG for more
 * tmpfs than are looked at.
 */
struct memory_part {
	const char *kind;   /* "posix", "nested", "unlinked" …; NULL: all of that file system */
	uint64_t dev;       /* st_dev of the file system */
	bool huge;          /* of huge pages */
	uint64_t huge_page; /* all of a hugetlbfs: the size of its pages; else 0 */
	uint64_t resident, swapped; /* bytes */
};
int census_memory(struct census *census, void (*visit)(const struct memory_part *part, void *data),
	void *data);

/*
 * Calls `visit` for each descriptor of a namespace, of any type, that some process but the daemon
 * has, with a thread that has it. The census need not be held. -ENOTSUP without the object side.
 */
int census_each_namespace_descriptor(struct census *census,
	void (*visit)(pid_t task, int fd, void *data), void *data);

/*
 * Finds a process through which the file behind a segment can be opened: by a mapping,
 * PROC/task/map_files/START-END, or if there is none by a descriptor, PROC/task/fd/FD. The caller
 * compares device and inode number of what that opens, because the process may have let go of the
 * segment. Returns false if no process maps or (as far as was looked at) holds the segment.
 */
struct segment_user {
	pid_t task;          /* a thread id that /proc knows, even where the first thread is dead */
	uint64_t start, end; /* of the mapping; both 0: use fd */
	int fd;
};
bool census_segment_user(struct census *census, const struct segment_key *key,
	struct segment_user *out);

/*
 * Calls `visit` for each process of which something could not be read, in ascending order of pid;
 * `why` is one line. There may be fewer than `unreadable` of the report says: of some not even the
 * pid is known.
 */
void census_each_unreadable(struct census *census,
	void (*visit)(pid_t pid, const char *why, void *data), void *data);

/*
 * Returns a copy of the report, whose strings are static or live as long as the census. The census
 * need not be held.
 */
struct census_report census_report(struct census *census);
