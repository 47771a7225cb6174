# SPDX-License-Identifier: GPL-2.0-or-later
"""The latency of single calls, all file systems in turn within every round (see latency.c)."""

import contextlib
import json
import os
import subprocess

from host import make_objects, remove_objects, run, seconds
from mounts import NATIVE
from results import bound, ratio

GROUP = "calls"
PINNED = "pinned"
NAMES = ["stat", "open+close", "cat", "create", "rename", "unlink", "ftruncate", "ls-l"]
DATA_CALLS = ["pread-4k", "pwrite-4k"]
LS = "ls -l of coreutils, an entry"
CPU = "stat: the daemon's processor time a request"
DAEMON = "shmtree permissions:daemon"
PEERS = ("bindfs", "passthrough_hp", "passthrough_hp g++ -O2")


def label(call):
    return f"{call}, an entry" if call in ("readdir", "ls-l") else call


def goal(call, peer):
    """bindfs sends no FLUSH at close(2), and so has no record lock that ends there."""
    return 1.0 if (call, peer) == ("open+close", "bindfs") else 1.3


def targets_of(call, column):
    """Of the group `pinned`, where caller and daemons have one processor: free, the state may differ from run to run."""
    return [ratio(PINNED, label(call), peer, column, f"{label(call)}: {column} faster than {peer}", goal(call, peer))
            for peer in PEERS]


TARGETS = ([target for column in ("shmtree", DAEMON) for call in NAMES for target in targets_of(call, column)] +
           [ratio(GROUP, call, "native", "shmtree", f"{call}, of native", limit)
            for call, limit in zip(DATA_CALLS, (0.85, 0.8))] +
           [bound(PINNED, CPU, column, f"{CPU}, {column}", "≤", 4.4, "µs") for column in ("shmtree", DAEMON)])


def count_instructions(bench, mount, calls=1000):
    """User and kernel instructions of the daemon a stat: no clock drifts there. None where the
    processor's counters are not to be had, as in most virtual machines."""
    if bench.instructions is False:
        return
    argv = ["perf", "stat", "-x,", "-e", "instructions", "-p", str(mount.pid), "--",
            str(bench.tool("latency")), "-r", "1", "-n", str(calls), "-e", "1", "-c", "stat",
            f"x={mount.path}"]
    try:
        done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except OSError:
        done = None
    count = done.stderr.split(",")[0] if done else ""
    if not count.isdigit():
        bench.instructions = False
        bench.results.note("instructions not counted: perf stat has no hardware counter here")
        return
    # The batch that warms up and the one that is kept.
    bench.results.add(GROUP, "stat: the daemon's instructions", mount.name,
                      [int(count) / (2 * calls)], "")


def measure_calls(bench, mounts, group, prefix=()):
    argv = [*prefix, bench.tool("latency"), "-r", bench.pick(quick=5, full=40),
            "-n", bench.pick(quick=20, full=50), "-e", bench.pick(quick=200, full=500),
            *(f"{m.name}={m.path}" + (f"={m.pid}" if m.process else "") for m in mounts)]
    measured = json.loads(run(argv))["calls"]
    for call, columns in measured.items():
        for column, cell in columns.items():
            bench.results.add(group, label(call), column, [v / 1e3 for v in cell["samples"]], "µs",
                              cell.get("together"))


def measure_ls(bench, mounts, group, prefix=()):
    """The command, which asks for more than stat(2) does, mount by mount in each round."""
    objects = make_objects(NATIVE.path, 500)
    values = {}
    try:
        for _ in range(bench.pick(quick=3, full=15)):
            for mount in mounts:
                took = seconds([*prefix, "ls", "-l", mount.path])
                values.setdefault(mount.name, []).append(took / len(objects) * 1e6)
    finally:
        remove_objects(NATIVE.path, objects)
    for name, samples in values.items():
        bench.results.add(group, LS, name, samples, "µs")


def processor_time(pid):
    """Microseconds that all threads have run."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e3


def measure_cpu(bench, mounts, processor):
    """By rounds of stat(2), at as many requests a call as the group `requests` counts."""
    small = NATIVE.path / "bench.cpu"
    small.write_bytes(b"")
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        values = {}
        for _ in range(bench.pick(quick=3, full=15)):
            for mount in mounts:
                path, requests = os.path.join(mount.path, small.name), 2 if mount.name == DAEMON else 3
                before = processor_time(mount.pid)
                for _ in range(500):
                    os.stat(path)
                values.setdefault(mount.name, []).append((processor_time(mount.pid) - before) / 500 / requests)
        for name, samples in values.items():
            bench.results.add(PINNED, CPU, name, samples, "µs")
    finally:
        os.sched_setaffinity(0, here)
        small.unlink()


def pin(mounts, processor):
    for mount in mounts:
        if mount.process:
            run(["taskset", "-a", "-c", "-p", processor, mount.pid])


def measure_group(bench):
    processor = min(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        mounts = bench.peers.enter_all(stack)
        mounts += filter(None, [bench.peers.enter(stack, bench.peers.with_passthrough_hp_o2)])
        measure_calls(bench, mounts, GROUP)
        bench.attempt(measure_ls, bench, mounts, GROUP)
        for mount in mounts:
            if mount.process:
                count_instructions(bench, mount)
        pin(mounts, processor)
        prefix = ("taskset", "-c", processor)
        measure_calls(bench, mounts, PINNED, prefix)
        bench.attempt(measure_ls, bench, mounts, PINNED, prefix)
        measure_cpu(bench, [m for m in mounts if m.name.startswith("shmtree")], processor)
