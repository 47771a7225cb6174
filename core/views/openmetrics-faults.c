/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "views/openmetrics-faults.h"

#include "views/openmetrics-format.h"

#include <inttypes.h>

void openmetrics_faults(GString *out, struct faults *faults)
{
	bool seen = !faults_why_not(faults);
	struct fault_counts counts = faults_counts(faults);

	openmetrics_number(out, "shmtree_faults_seen", NULL, seen, "Whether bus errors are seen.");
	if (!seen)
		return;
	g_string_append(out,
		"# HELP shmtree_faults_total Bus errors (SIGBUS) that mappings of segments "
		"raised.\n");
	for (unsigned i = 0; i < FAULT_CAUSES; i++)
		g_string_append_printf(out, "shmtree_faults_total{cause=\"%s\"} %" PRIu64 "\n",
			fault_cause_name(i), (uint64_t)counts.by_cause[i]);
	openmetrics_counter(out, "shmtree_faults_left_out_total", counts.left_out,
		"Of these, those without a row, because there were too many at once.");
	openmetrics_counter(out, "shmtree_faults_not_attributed_total", counts.not_attributed,
		"Bus errors in address spaces that were being changed: on a segment or not.");
}
