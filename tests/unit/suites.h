/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The suites, in the order in which they run. */
SUITE(render)
SUITE(devices)
SUITE(maps)
SUITE(spaces)
SUITE(proc)
SUITE(recorded)
SUITE(sysvipc)
SUITE(kinds)
SUITE(follow_bpf)
SUITE(follow_query)
SUITE(follow_text)
