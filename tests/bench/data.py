# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes: fio through each mount and on the tmpfs itself."""

import contextlib
import json

from host import BenchError, need, run
from mounts import SHM
from results import ratio

GROUP = "data"
SIZE_MB = 64

# what, fio's options, bytes or operations a second
STREAMS = [(f"{rw} {label}, {jobs} job{'s' * (jobs > 1)}",
            [f"--rw={rw}", f"--bs={bs}", f"--numjobs={jobs}"], "GB/s")
           for rw in ("read", "write")
           for label, bs in (("1 MiB", "1m"), ("128 KiB", "128k"))
           for jobs in (1, 4)]
SMALL = [
    ("pread 4 KiB", ["--rw=randread", "--bs=4k", "--numjobs=1"], "k/s"),
    ("pwrite 4 KiB", ["--rw=randwrite", "--bs=4k", "--numjobs=1"], "k/s"),
    ("mmap random 4 KiB reads", ["--ioengine=mmap", "--rw=randread", "--bs=4k"], "k/s"),
    ("mmap random 4 KiB writes", ["--ioengine=mmap", "--rw=randwrite", "--bs=4k"], "k/s"),
]
DIRECT = [s for s in STREAMS if s[0].startswith("read")]

SMALL_LIMITS = {"pread 4 KiB": 0.85, "pwrite 4 KiB": 0.8}

PLAIN = "shmtree no passthrough"
PLAIN_HP = "passthrough_hp direct-io"

TARGETS = (
    [ratio(GROUP, what, "shmtree", "native", f"{what}, of native", 0.95) for what, _, _ in STREAMS] +
    [ratio(GROUP, what, "shmtree", "native", f"{what}, of native", SMALL_LIMITS.get(what, 0.98))
     for what, _, _ in SMALL] +
    [ratio(GROUP, what, PLAIN, PLAIN_HP, f"{what} without passthrough, of passthrough_hp direct-io",
           1.5) for what, _, _ in DIRECT])


def fio(mount, options, milliseconds):
    """(bytes, operations) a second."""
    argv = ["fio", "--name=bench", f"--directory={mount.path}", "--filename_format=bench.fio.$jobnum",
            f"--size={SIZE_MB}m", "--time_based", f"--runtime={milliseconds}ms", "--ioengine=psync",
            "--group_reporting", "--fallocate=none", "--overwrite=1", "--norandommap",
            "--output-format=json", *options]
    output = run(argv, cwd="/")
    job = json.loads(output[output.index("{"):])["jobs"][0]
    if job["error"]:
        raise BenchError(f"fio on {mount.name}: error {job['error']}")
    both = job["read"], job["write"]
    return sum(d["bw_bytes"] for d in both), sum(d["iops"] for d in both)


def lay_out():
    """fio's files, whole from the start: a hole would be read faster than data."""
    block = b"\xa5" * (1 << 20)
    for i in range(4):
        with open(SHM / f"bench.fio.{i}", "wb") as f:
            for _ in range(SIZE_MB):
                f.write(block)


def measure(bench, jobs, mounts):
    """Round by round, mount by mount: what disturbs one disturbs all."""
    values = {}
    for _ in range(bench.pick(quick=3, full=7)):
        for what, options, unit in jobs:
            for mount in list(mounts):
                try:
                    nbytes, ops = fio(mount, options, bench.pick(quick=200, full=1000))
                except BenchError as error:
                    bench.results.note(f"{what}: {mount.name} not measured: {error}")
                    mounts.remove(mount)
                    continue
                figure = nbytes / 1e9 if unit == "GB/s" else ops / 1e3
                values.setdefault((what, unit, mount.name), []).append(figure)
    for (what, unit, column), samples in values.items():
        bench.results.add(GROUP, what, column, samples, unit)


def measure_group(bench):
    need("fio")
    lay_out()
    try:
        with contextlib.ExitStack() as stack:
            measure(bench, STREAMS + SMALL, bench.peers.enter_all(stack))
        with contextlib.ExitStack() as stack:
            enter = bench.peers.enter
            mounts = [enter(stack, bench.peers.with_shmtree, PLAIN, ["passthrough=off"]),
                      enter(stack, bench.peers.with_passthrough_hp, PLAIN_HP, "--nopassthrough",
                            "--direct-io")]
            measure(bench, DIRECT, [m for m in mounts if m])
    finally:
        for i in range(4):
            (SHM / f"bench.fio.{i}").unlink(missing_ok=True)
