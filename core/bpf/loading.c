/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bpf/loading.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#define LOAD_TRIES 5

int program_load(int (*load)(void *data), void (*undo)(void *data), void *data)
{
	sigset_t all, before;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	for (int tries = 0; tries < LOAD_TRIES; tries++) {
		err = load(data);
		if (err != 0)
			undo(data);
		if (err != -EAGAIN)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

int program_run(int program_fd, void *context, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = context, .ctx_size_in = size);

	return bpf_prog_test_run_opts(program_fd, &options);
}

const void *program_map(int map_fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, map_fd, 0);

	return at == MAP_FAILED ? NULL : at;
}
