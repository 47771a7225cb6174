/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the place of the BPF back end where it was not built. */
#include "census/pass/backend.h"

#include <errno.h>

static int open_none(const struct census_source *source, void **out, const char **why)
{
	(void)source;
	(void)out;
	*why = "not built in (needs clang, bpftool and libbpf)";
	return -EOPNOTSUPP;
}

const bool census_bpf_is_built_in = false;
const struct census_backend census_backend_bpf = { .name = "bpf", .open = open_none };
