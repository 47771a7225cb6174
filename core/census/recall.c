/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the census remembers of passes that are over. */
#include "census/census-private.h"

#include "base/units.h"

static struct timespec to_timespec(past_time time)
{
	return (struct timespec){ time / 1000000000, time % 1000000000 };
}

struct timespec census_idle_since(struct census *census, const struct segment_key *key,
	const struct timespec *after, bool exact, bool *passed)
{
	return to_timespec(
		past_idle_since(census->memory.past, key, units_nanoseconds(after), exact, passed));
}

struct timespec census_found_idle(struct census *census, const struct segment_key *key,
	const struct timespec *after)
{
	return to_timespec(
		past_found_idle(census->memory.past, key, units_nanoseconds(after), past_now()));
}

void census_note_use(struct census *census, const struct segment_key *key)
{
	past_note_use(census->memory.past, key, past_now());
}

bool census_last_user(struct census *census, const struct segment_key *key, struct past_user *out,
	struct timespec *when)
{
	past_time time;

	if (!past_last_user(census->memory.past, key, out, &time))
		return false;
	*when = to_timespec(time);
	return true;
}
