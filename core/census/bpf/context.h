/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the BPF back end have in common. The head of backend.c says how it works. */
#pragma once

#include "census/bpf/programs.h"
#include "census/pass/backend.h"

#include <glib.h>

struct read_pool;

/*
 * How long a pass waits for processes whose lock is held at every try. On a busy machine the thread
 * that holds it may just not get to run; but it may also wait for something itself, for any time.
 */
#define BUSY_WAIT_MAX_NS (40 * 1000 * 1000)

/* What the back end keeps in the backend_data of a space. */
enum { BPF_DATA_MM, BPF_DATA_VERSION, BPF_DATA_ROUND, BPF_DATA_FILES_ROUND, BPF_DATA_BUSY };

struct bpf_census {
	struct programs *programs;
	const struct census_source *source;
	unsigned generation; /* of the devices, at the last pass */
	uint32_t own_ipc;
	uint64_t round; /* over all passes */
	uint64_t spaces_found;
	bool partial; /* as the last walk said */

	/* Processes that are hidden from the walk: hidden.c. */
	bool counted;     /* `hidden` is what was counted when `balance` was that */
	bool checked;     /* the last walk found the same balance */
	uint64_t balance; /* the kernel's number of processes less those that a walk met */
	uint64_t hidden;  /* processes */
	GArray *hidden_pids;
	int shortage; /* why they could not be counted; see struct census_tally */

	/*
	 * The last walk, each version as of when its mappings were read: what the table stands for.
	 */
	GArray *known;
	uint32_t known_pid_cursor;

	/* While a pass runs. */
	struct spaces *spaces;
	struct read_pool *pool; /* of threads that read at the same time */
	GArray *found;          /* descriptors on their way into the table */
	GHashTable *tables; /* descriptor table: index in `found` of what represents it, plus 1 */
};

/* An address space whose mappings are to be read. */
struct reading {
	struct space *space;
	struct mm_version *version; /* of the walk, and then as of the reading */
	int pin;                    /* used meanwhile */
	int status;                 /* READ_*, or a negative errno */
	bool changed;               /* the table was, with READ_DONE and READ_TORN */
};

/* The result of a round. */
struct round {
	uint64_t reread;
	uint64_t unreadable;
	uint64_t gone;      /* what the walk met was not there to be read: the process may be */
	uint64_t uncertain; /* processes that the walk could not get hold of */
	int shortage;       /* see struct census_tally */
	bool busy;          /* others had a lock all the time we tried, and it is worth waiting */
	bool changed;       /* rows did */
};

/* For spaces_each(). */
struct vanishing {
	struct bpf_census *census;
	struct round *round;
};

/* The segment of a file that a program showed, or NULL. */
struct segment *bpf_segment_of(struct bpf_census *census, const struct seen_file *file,
	bool private);

/* Reads them, and puts the mappings of those that can be read into the table. */
void bpf_read(struct bpf_census *census, struct reading *readings, size_t count);
void bpf_read_begin(struct bpf_census *census);
void bpf_read_end(struct bpf_census *census);

/* Monotonic. */
uint64_t bpf_now_ns(void);

/* Updates the table to the versions in `known`, and these to what was read. */
void bpf_update_mappings(struct bpf_census *census, struct round *round);

/* Reads all descriptors anew. A negative errno if the kernel refused. */
int bpf_update_descriptors(struct bpf_census *census, struct round *round);

GArray *bpf_found_new(void);

/*
 * programs_walk(), or programs_walk_at_once(), for the table: takes note of what it says of the
 * machine as a whole.
 */
int bpf_walk(struct bpf_census *census, bool at_once, struct mm_versions *versions);

/* Processes with an address space that no walk meets; looks for them if there may be others now. */
uint64_t bpf_hidden(struct bpf_census *census);
