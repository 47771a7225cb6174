/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metrics as text that is OpenMetrics 1.0 and can be read as the older Prometheus format as well
 * (node_exporter's textfile collector and promtool read that one alone). So there are only gauges, and
 * counters without a type: where one format wants a counter's type under a name that ends in _total, the
 * other wants it under the name without. Only escapes that both have occur.
 */
#pragma once

#include "views/segments.h"

/*
 * Appends what stands before the samples of a family of gauges. The unit is what the name ends in, or NULL;
 * a family has bytes, or seconds, or a count of something.
 */
void openmetrics_family(GString *out, const char *name, const char *unit, const char *help);

/* Appends a family with one sample without labels. */
void openmetrics_number(GString *out, const char *name, const char *unit, uint64_t value,
	const char *help);

/* Appends a counter, whose name ends in _total. */
void openmetrics_counter(GString *out, const char *name, uint64_t value, const char *help);

/* A family with a sample for each segment, but for those of which the value is not known. */
struct openmetrics_family {
	const char *name, *unit, *help;
	void (*sample)(const struct openmetrics_family *family, const struct segments_row *row,
		GString *out);
	size_t offset; /* for sample(): where in the row the number is */
	bool brief;    /* also where only the largest segments have samples */
};

/* The end has no name. */
extern const struct openmetrics_family openmetrics_of_segments[];

/*
 * The indices (guint32) of the segments, without those whose kind and ID an earlier one has: an object that is
 * removed and made anew while the directory is read may be listed twice, and a series with two samples
 * makes the scrape fail for all. The caller unrefs the array.
 */
GArray *openmetrics_distinct(const struct segments *segments);
