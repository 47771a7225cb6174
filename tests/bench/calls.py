# SPDX-License-Identifier: GPL-2.0-or-later
"""The latency of single calls, all file systems in turn within every round (see latency.c)."""

import contextlib
import json
import os
import subprocess
import time

from host import run
from mounts import NATIVE, URING_BY_ITSELF
from results import bound, ratio

GROUP = "calls"
NAMES = ["stat", "open+close", "cat", "create", "rename", "unlink", "ftruncate", "readdir", "ls-l"]
LAG = "an unlink outside, until the mount shows it"
DATA_CALLS = ["pread-4k", "pwrite-4k"]


def label(call):
    return f"{call}, an entry" if call in ("readdir", "ls-l") else call


def transport_targets(call):
    what = label(call)
    uring, hp_uring = "shmtree io_uring", "passthrough_hp io_uring"
    return [
        ratio(GROUP, what, "passthrough_hp", "shmtree", f"{what}: faster than passthrough_hp", 1.3),
        ratio(GROUP, what, hp_uring, uring, f"{what}: faster than passthrough_hp, io_uring both", 1.3),
        ratio(GROUP, what, "bindfs", "shmtree", f"{what}: faster than bindfs", 1.0),
        ratio(GROUP, what, "shmtree", uring, f"{what}: io_uring faster than /dev/fuse", 4),
    ]


TARGETS = ([target for call in NAMES for target in transport_targets(call)] +
           [ratio(GROUP, call, "native", "shmtree", f"{call}, of native", 0.75) for call in DATA_CALLS] +
           [ratio(GROUP, "stat", "shmtree", "shmtree watch", "stat: faster with watch", 1.5),
            bound(GROUP, LAG, "shmtree watch", f"{LAG}, with watch", "<", 1000, "µs")] +
           [bound(GROUP, URING_BY_ITSELF, "shmtree", URING_BY_ITSELF + " (1: yes)", "≥", 1, "")])


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


def lag_once(mount, name):
    """Microseconds. The object keeps a second name, so that only the event takes the first one from
    the kernel; and that was alone when it was looked up, for else the kernel would not keep it."""
    first, second = f"{name}.first", f"{name}.second"
    os.close(os.open(NATIVE.path / first, os.O_CREAT | os.O_WRONLY, 0o600))
    shown = os.path.join(mount.path, first)
    os.stat(shown)
    os.link(NATIVE.path / first, NATIVE.path / second)
    os.stat(mount.path / second)
    os.unlink(NATIVE.path / first)
    start = time.perf_counter_ns()
    while os.path.lexists(shown):
        pass
    elapsed = time.perf_counter_ns() - start
    os.unlink(NATIVE.path / second)
    return elapsed / 1e3


def measure_lag(bench, mount):
    """With what the call costs that shows it; without a watch that is all."""
    values = [lag_once(mount, "bench.lag") for _ in range(bench.pick(quick=50, full=1000))]
    bench.results.add(GROUP, LAG, mount.name, values, "µs")
    bench.results.add(GROUP, f"{LAG}: longest", mount.name, [max(values)], "µs")


def measure_calls(bench, mounts):
    argv = [bench.tool("latency"), "-r", bench.pick(quick=5, full=30),
            "-n", bench.pick(quick=50, full=200), "-e", bench.pick(quick=200, full=1000),
            *(f"{m.name}={m.path}" for m in mounts)]
    measured = json.loads(run(argv))["calls"]
    for call, columns in measured.items():
        for column, cell in columns.items():
            bench.results.add(GROUP, label(call), column, [v / 1e3 for v in cell["samples"]], "µs")


def measure_watch(bench):
    """By itself: its daemon has work to do whenever any of the others changes a name."""
    with bench.peers.with_shmtree("shmtree watch", ["watch"]) as mount:
        measure_calls(bench, [mount])
        measure_lag(bench, mount)


def measure_group(bench):
    with contextlib.ExitStack() as stack:
        mounts = bench.peers.enter_all(stack, uring=True)
        measure_calls(bench, mounts)
        for mount in mounts:
            if mount.process:
                count_instructions(bench, mount)
            if mount.name == "shmtree":
                measure_lag(bench, mount)
    bench.attempt(measure_watch, bench)
