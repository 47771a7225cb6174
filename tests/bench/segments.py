# SPDX-License-Identifier: GPL-2.0-or-later
"""All segments at once: a thousand of them, beside lsof +D, with the census's load running."""

import contextlib
import json
import os

from calls import DAEMON, pin
from census import standard_load
from host import BenchError, make_objects, need, remove_objects, run, seconds
from mounts import SHM
from results import bound, ratio

GROUP = "segments"
COUNT = 1000
ENOUGH_MS = 10_000  # what takes so long needs no more rounds to be judged
GREP, JSON = "grep . posix/*/mappings", "all segments with their counts"
PINNED = f"{GREP}, daemon and grep on one processor"

TARGETS = [
    *(bound(GROUP, what, column, f"{what}, {COUNT:,} segments, {column}", "<", 150, "ms")
      for what in (GREP, PINNED) for column in ("shmtree", DAEMON)),
    ratio(GROUP, JSON, "lsof +D", "shmtree segments.json", "segments.json: faster than lsof +D", 5),
]


def check_json(mount):
    """The list has every segment, before its speed counts for anything."""
    with open(mount.path / ".shmtree" / "segments.json") as f:
        content = f.read()
    json.loads(content)
    if content.count("bench.segment.") < COUNT:
        raise BenchError("segments.json does not have all segments")


def grep(facts):
    return ["sh", "-c", f"cd {facts} && grep . posix/*/mappings | cat"]


def all_lines(mount):
    lines = run(grep(mount.path / ".shmtree")).splitlines()
    if len(lines) < COUNT:
        raise BenchError(f"grep found {len(lines)} counts of {COUNT}")


def rounds(bench, commands, times):
    for _ in range(bench.pick(quick=3, full=11)):
        for key, (argv, statuses) in commands.items():
            if sum(times.get(key, [])) < ENOUGH_MS:
                times.setdefault(key, []).append(seconds(argv, statuses) * 1e3)


def measure_mounts(bench, mount, by_daemon, times):
    facts = mount.path / ".shmtree"
    check_json(mount)
    for each in (mount, by_daemon):
        all_lines(each)
    rounds(bench, {
        (GREP, "shmtree"): (grep(facts), (0,)),
        (GREP, DAEMON): (grep(by_daemon.path / ".shmtree"), (0,)),
        (JSON, "shmtree segments"): (["cat", facts / "segments"], (0,)),
        (JSON, "shmtree segments.json"): (["cat", facts / "segments.json"], (0,)),
        (JSON, "lsof +D"): (["lsof", "+D", SHM], (0, 1)),
    }, times)
    processor = min(os.sched_getaffinity(0))
    pin([mount, by_daemon], processor)
    rounds(bench, {
        (PINNED, each.name): (["taskset", "-c", str(processor)] + grep(each.path / ".shmtree"), (0,))
        for each in (mount, by_daemon)
    }, times)


def measure_group(bench):
    need("lsof")
    objects = make_objects(SHM, COUNT, "bench.segment.")
    times = {}
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(standard_load(bench))
            mount = stack.enter_context(bench.peers.with_shmtree())
            by_daemon = stack.enter_context(bench.peers.with_shmtree(DAEMON, ["permissions=daemon"]))
            measure_mounts(bench, mount, by_daemon, times)
    finally:
        remove_objects(SHM, objects)
        for (what, column), values in times.items():
            bench.results.add(GROUP, what, column, values, "ms")
