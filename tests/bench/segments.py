# SPDX-License-Identifier: GPL-2.0-or-later
"""All segments at once: a thousand of them, beside lsof +D, with the census's load running."""

import json

from census import standard_load
from host import BenchError, make_objects, need, remove_objects, run, seconds
from mounts import SHM
from results import bound, ratio

GROUP = "segments"
COUNT = 1000
ENOUGH_MS = 10_000  # what takes so long needs no more rounds to be judged
GREP, JSON = "grep . posix/*/mappings", "all segments with their counts"

TARGETS = [
    bound(GROUP, GREP, "shmtree", f"{GREP}, {COUNT:,} segments", "<", 150, "ms"),
    ratio(GROUP, JSON, "lsof +D", "shmtree segments.json", "segments.json: faster than lsof +D", 5),
]


def check_json(mount):
    """The list has every segment, before its speed counts for anything."""
    with open(mount.path / ".shmtree" / "segments.json") as f:
        content = f.read()
    json.loads(content)
    if content.count("bench.segment.") < COUNT:
        raise BenchError("segments.json does not have all segments")


def measure_group(bench):
    need("lsof")
    objects = make_objects(SHM, COUNT, "bench.segment.")
    times = {}
    try:
        with standard_load(bench), bench.peers.with_shmtree() as mount:
            facts = mount.path / ".shmtree"
            check_json(mount)
            lines = run(["sh", "-c", f"grep . {facts}/posix/*/mappings"]).splitlines()
            if len(lines) < COUNT:
                raise BenchError(f"grep found {len(lines)} counts of {COUNT}")
            commands = {
                (GREP, "shmtree"): (["sh", "-c", f"cd {facts} && grep . posix/*/mappings | cat"], (0,)),
                (JSON, "shmtree segments"): (["cat", facts / "segments"], (0,)),
                (JSON, "shmtree segments.json"): (["cat", facts / "segments.json"], (0,)),
                (JSON, "lsof +D"): (["lsof", "+D", SHM], (0, 1)),
            }
            for _ in range(bench.pick(quick=3, full=11)):
                for key, (argv, statuses) in commands.items():
                    if sum(times.get(key, [])) < ENOUGH_MS:
                        times.setdefault(key, []).append(seconds(argv, statuses) * 1e3)
    finally:
        remove_objects(SHM, objects)
        for (what, column), values in times.items():
            bench.results.add(GROUP, what, column, values, "ms")
