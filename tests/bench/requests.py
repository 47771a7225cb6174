# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests that the kernel makes for one call, counted in the log of the daemon itself (-d)."""

import contextlib
import os
import re
import subprocess

from host import BenchError, run, wait_until
from mounts import SHM, mounted_at
from results import bound

GROUP = "requests"
GOALS = {"stat": 2, "open+close": 4, "cat": 5, "create": 4, "rename": 3, "unlink": 2}
DAEMON = "shmtree permissions:daemon"
REQUEST = re.compile(r"opcode: (\w+)")

TARGETS = [bound(GROUP, call, column, f"{call}: requests of {column}", "≤", goal, "")
           for call, goal in GOALS.items() for column in ("shmtree", DAEMON)]


def cat(path):
    fd = os.open(path, os.O_RDONLY)
    os.fstat(fd)
    while os.read(fd, 4096):
        pass
    os.close(fd)


def calls(root, kept):
    """`kept`: the small object, open for writing."""
    small, new, renamed = (os.path.join(root, name) for name in ("bench.small", "bench.new", "bench.renamed"))
    return {
        "stat": lambda: os.stat(small),
        "open+close": lambda: os.close(os.open(small, os.O_RDONLY)),
        "cat": lambda: cat(small),
        "create": lambda: os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR)),
        "rename": lambda: os.rename(new, renamed),
        "unlink": lambda: os.unlink(renamed),
        "ftruncate": lambda: os.ftruncate(kept.fileno(), 4096),
        "ls -l of coreutils, an entry": lambda: subprocess.run(["ls", "-l", small], check=True, stdout=subprocess.DEVNULL),
    }


def count(log, root, function):
    """What the kernel forgets it tells when it likes; when a file is closed, it may tell a moment later."""
    waiting = root.parent / "connections" / str(os.minor(os.stat(root).st_dev)) / "waiting"

    def quiet():
        return int(waiting.read_text()) == 0

    wait_until(quiet, "no request is under way")
    before = os.path.getsize(log)
    function()
    wait_until(quiet, "no request is under way")
    with open(log) as f:
        f.seek(before)
        return [name for name in REQUEST.findall(f.read()) if "FORGET" not in name]


def note_lacks(bench, column, call, made):
    if call == "open+close" and "FLUSH" not in made:
        bench.results.note(f"{column}: does less: no FLUSH at close(2), where record locks would end")
    if call == "ftruncate" and "GETXATTR" not in made:
        bench.results.note(f"{column}: does less: no extended attributes, and with them no capabilities of files")


def measure(bench, column, argv):
    path = bench.peers.mount_point(f"requests {column}")
    log = bench.work / "requests.log"
    (SHM / "bench.small").write_bytes(b"a small object\n")
    debug = "--debug-fuse" if "passthrough_hp" in column else "-d"
    with open(log, "w") as out:
        process = subprocess.Popen([str(a) for a in argv(path)] + [debug], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_until(lambda: mounted_at(path) or process.poll() is not None, f"{column} mounts")
        if process.poll() is not None:
            raise BenchError(f"requests of {column}: {log.read_text().strip()}")
        cat(path / "bench.small")  # after the first close(2) the kernel knows whether FLUSH is wanted
        with open(path / "bench.small", "r+b") as kept:
            for call, function in calls(path, kept).items():
                made = count(log, path, function)
                bench.results.add(GROUP, call, column, [len(made)], "")
                note_lacks(bench, column, call, made)
    finally:
        subprocess.run(["umount", "-l", str(path)], stderr=subprocess.DEVNULL)
        process.wait()
        (SHM / "bench.small").unlink(missing_ok=True)


@contextlib.contextmanager
def connections(bench):
    """The kernel's files about FUSE mounts, which tell how many requests wait."""
    path = bench.work / "connections"
    path.mkdir()
    run(["mount", "-t", "fusectl", "fusectl", path])
    try:
        yield
    finally:
        run(["umount", path])


def measure_group(bench):
    peers = bench.peers
    columns = {"shmtree": peers.shmtree_argv,
               DAEMON: lambda path: peers.shmtree_argv(path, ["permissions=daemon"]),
               "passthrough_hp": lambda path: peers.passthrough_hp_argv(path, "--foreground"),
               "bindfs": peers.bindfs_argv}
    with connections(bench):
        for column, argv in columns.items():
            bench.attempt(measure, bench, column, argv)
