# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine that is measured: its programs, its description, and how commands are run on it."""

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path


class BenchError(Exception):
    """Why something could not be measured: one line."""


def run(argv, **options):
    """Runs a command and returns what it printed; BenchError names what went wrong."""
    argv = [str(a) for a in argv]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise BenchError(f"{os.path.basename(argv[0])}: {last} (status {done.returncode})")
    return done.stdout


def seconds(argv, allowed=(0,), **options):
    """How long a command took. Its output goes nowhere: a terminal would be measured as well."""
    start = time.monotonic()
    status = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options).returncode
    elapsed = time.monotonic() - start
    if status not in allowed:
        raise BenchError(f"{argv[0]}: status {status}")
    return elapsed


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise BenchError(f"{program} is not installed")


def wait_until(condition, what, timeout=30.0, pause=0.002):
    """Waits for a condition and returns what made it true; never for a time."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise BenchError(f"waited {timeout:.0f} s in vain: {what}")
        time.sleep(pause)


def version(argv):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError:
        return None
    return next((line.strip() for line in done.stdout.splitlines() if any(c.isdigit() for c in line)), None)


def describe():
    """What a reader has to know to compare these figures with others."""
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    return {
        "kernel": platform.release(),
        "cpu": model,
        "cpus": os.cpu_count(),
        "memory_bytes": memory,
        "load_at_start": os.getloadavg()[0],
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "fio": version(["fio", "--version"]),
        "hyperfine": version(["hyperfine", "--version"]),
        "bindfs": version(["bindfs", "--version"]),
        "lsof": version(["lsof", "-v"]),
    }


def status_kib(pid, key):
    """A number of /proc/PID/status, in KiB: VmRSS and the like."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise BenchError(f"/proc/{pid}/status has no {key}")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def make_objects(directory, count, prefix="bench.object."):
    """Creates empty objects, natively, and returns their names. The fastest way from Python."""
    names = [f"{prefix}{i:07d}" for i in range(count)]
    dir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in names:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=dir_fd))
    finally:
        os.close(dir_fd)
    return names


def remove_objects(directory, names):
    dir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in names:
            try:
                os.unlink(name, dir_fd=dir_fd)
            except FileNotFoundError:
                pass
    finally:
        os.close(dir_fd)


def drop_dentries():
    """Makes the kernel forget names and inodes that nobody uses."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("2\n")
