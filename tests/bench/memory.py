# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon holds: memory and descriptors for objects that were looked at, opened, forgotten."""

import contextlib
import json
import subprocess

from host import (BenchError, descriptors, drop_dentries, make_objects, remove_objects, run,
                  status_kib, wait_until)
from mounts import NATIVE, SHM
from results import bound

GROUP = "memory"
MIB = 1024


def large(bench):
    return bench.pick(quick=10_000, full=1_000_000)


TARGETS = [
    bound(GROUP, "bytes an object remembered, many", "shmtree", "bytes an object that the kernel remembers",
          "<", 150, "B"),
    bound(GROUP, "resident after few were listed and dropped", "shmtree",
          "resident after 100,000 objects were listed and dropped", "<", 10, "MiB"),
    bound(GROUP, "resident after many were listed and dropped", "shmtree",
          "resident after 1,000,000 objects were listed and dropped", "<", 12, "MiB"),
    bound(GROUP, "descriptors held for objects that are not open", "shmtree",
          "descriptors for objects that are not open", "≤", 0, ""),
    bound(GROUP, "objects open at once", "shmtree", "objects open at once in one process", "≥", 10_000, ""),
    bound(GROUP, "processes at work at once", "shmtree", "processes at work at once, none failing", "≥",
          1000, ""),
]


def settled_rss(pid):
    """The daemon forgets as the messages of the kernel come in: wait until nothing more changes."""
    seen = []

    def stands_still():
        seen.append(status_kib(pid, "VmRSS"))
        return len(seen) >= 30 and len(set(seen[-30:])) == 1

    wait_until(stands_still, "the daemon's memory settles", timeout=120, pause=0.1)
    return seen[-1]


def settle(mount):
    """What shmtree loads behind the mount (BPF) is no price of an object."""
    status = mount.path / ".shmtree" / "status"
    if status.exists():
        status.read_bytes()


def list_and_drop(bench, make, count, size):
    objects = []
    try:
        with make() as mount:
            settle(mount)
            objects = make_objects(SHM, count)
            add = lambda what, value, unit: bench.results.add(GROUP, what, mount.name, [value], unit)
            fds, start = descriptors(mount.pid), status_kib(mount.pid, "VmRSS")
            run(["sh", "-c", f"ls -l {mount.path} >{bench.work}/listing"])
            listed = status_kib(mount.pid, "VmRSS")
            add("descriptors held for objects that are not open", descriptors(mount.pid) - fds, "")
            drop_dentries()
            add(f"bytes an object remembered, {size}", (listed - start) * 1024 / count, "B")
            add(f"resident after {size} were listed", listed / MIB, "MiB")
            add(f"resident after {size} were listed and dropped", settled_rss(mount.pid) / MIB, "MiB")
    finally:
        (bench.work / "listing").unlink(missing_ok=True)
        remove_objects(SHM, objects)


def hold_open(bench, mount, count):
    """Opens many objects in one process, and counts what the daemon needs for them."""
    before = descriptors(mount.pid) if mount.process else 0
    crowd = subprocess.Popen([str(bench.tool("crowd")), "open", str(mount.path), str(count)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = crowd.stdout.readline()
    if line and mount.process:
        bench.results.add(GROUP, "descriptors of the daemon an open object", mount.name,
                          [(descriptors(mount.pid) - before) / count], "")
    message = crowd.communicate()[1].strip()
    if crowd.returncode or not line:
        raise BenchError(f"{mount.name}: {count:,} objects open: {message}")
    bench.results.add(GROUP, "objects open at once", mount.name, [json.loads(line)["done"]], "")
    bench.results.add(GROUP, "opening one of them, all the while", mount.name,
                      [json.loads(line)["seconds"] / count * 1e6], "µs")


def crowd_of(bench, mount, mode, processes, n):
    done = json.loads(run([bench.tool("crowd"), mode, mount.path, processes, n]))
    if done["failed"]:
        raise BenchError(f"{mount.name}: {done['failed']} of {processes} processes failed ({mode})")
    return done


def crowds(bench, mount):
    processes = bench.pick(quick=50, full=1000)
    names, rounds = bench.pick(quick=50, full=1000), bench.pick(quick=2, full=10)
    done = crowd_of(bench, mount, "work", processes, rounds)
    bench.results.add(GROUP, "processes at work at once", mount.name, [processes], "")
    bench.results.add(GROUP, "create, write, map, read, unlink by all", mount.name,
                      [done["seconds"] / done["done"] * 1e6], "µs")
    if mount.name.startswith("passthrough_hp") and not bench.quick:
        return  # the race takes it many minutes: each O_EXCL creation pays a lookup first
    done = crowd_of(bench, mount, "race", processes, names)
    if done["done"] != names:
        raise BenchError(f"{mount.name}: {names} names were created {done['done']} times with O_EXCL")
    bench.results.add(GROUP, f"{processes} race to create {names} names", mount.name, [done["seconds"]], "s")


def clear(directory):
    """What a failed crowd has left would make the next one fail as well."""
    for path in directory.glob("crowd.*"):
        path.unlink()


def measure_group(bench):
    peers = bench.peers
    few = bench.pick(quick=2000, full=100_000)
    bench.results.note(f"memory: few is {few:,} objects, many {large(bench):,}")
    for make, count, size in ((peers.with_shmtree, few, "few"), (peers.with_passthrough_hp, few, "few"),
                              (peers.with_shmtree, large(bench), "many")):
        bench.attempt(list_and_drop, bench, make, count, size)
    with contextlib.ExitStack() as stack:
        mounts = [NATIVE, peers.enter(stack, peers.with_shmtree),
                  peers.enter(stack, peers.with_passthrough_hp)]
        for mount in filter(None, mounts):
            for function, *args in ((hold_open, bench.pick(quick=1000, full=10_000)), (crowds,)):
                bench.attempt(function, bench, mount, *args)
                clear(SHM)
