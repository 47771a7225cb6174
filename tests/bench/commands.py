# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole commands over a great many objects: whether the cost stays linear."""

import contextlib
import json
import shlex

from host import BenchError, make_objects, need, remove_objects, run
from mounts import NATIVE, SHM
from results import Target

GROUP = "commands"
COMMANDS = ["ls -U", "ls -l", "find -size", "du", "rm"]


def shell_words(command, path, names):
    """The command on a mount; rm takes its names from a list, a million do not fit an argv."""
    path = shlex.quote(str(path))
    return {
        "ls -U": f"ls -U {path}",
        "ls -l": f"ls -l {path}",
        "find -size": f"find {path} -maxdepth 1 -size +4k",
        "du": f"du -s --exclude=.shmtree {path}",
        "rm": f"sh -c 'cd {path} && xargs rm -f <{names}'",
    }[command]


def linear(command):
    """How much dearer an object is among ten times as many. Noise alone makes a few per cent."""

    def figure(results):
        small = results.get(GROUP, f"{command}, an object of few", "shmtree")
        large = results.get(GROUP, f"{command}, an object of many", "shmtree")
        return large.over(small) if small and large else None

    return Target(GROUP, f"{command}: cost of an object, ten times as many over as many", "≤", 1.5, figure)


TARGETS = [linear(command) for command in COMMANDS]


def hyperfine(bench, command, mount, names, runs):
    """Seconds, a run each. What rm removes is there again, made natively, before the next run."""
    out = bench.work / "hyperfine.json"
    argv = ["hyperfine", "--shell=none", "--style=none", f"--runs={runs}", f"--export-json={out}"]
    if command == "rm":
        argv.append(f"--prepare=sh -c 'cd {SHM} && xargs touch <{names}'")
    try:
        run(argv + [shell_words(command, mount.path, names)])
    except BenchError as error:
        raise BenchError(f"{command} on {mount.name}: {error}") from error
    return json.loads(out.read_text())["results"][0]["times"]


def measure_one(bench, command, mount, names, count, size, runs):
    times = hyperfine(bench, command, mount, names, runs)
    bench.results.add(GROUP, f"{command}, an object of {size}", mount.name,
                      [t / count * 1e6 for t in times], "µs")


def measure(bench, mounts, count, size, runs):
    names = bench.work / "names"
    objects = make_objects(SHM, count)
    names.write_text("\n".join(objects) + "\n")
    try:
        for command in COMMANDS:
            for mount in mounts:
                bench.attempt(measure_one, bench, command, mount, names, count, size, runs)
    finally:
        remove_objects(SHM, objects)


def measure_group(bench):
    need("hyperfine")
    few = bench.pick(quick=1000, full=100_000)
    bench.results.note(f"commands: few is {few:,} objects, many {10 * few:,}")
    with contextlib.ExitStack() as stack:
        mounts = bench.peers.enter_all(stack)
        measure(bench, mounts, few, "few", 2)
    with contextlib.ExitStack() as stack:
        mounts = [NATIVE, bench.peers.enter(stack, bench.peers.with_shmtree)]
        measure(bench, [m for m in mounts if m], 10 * few, "many", 2)
