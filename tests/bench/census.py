# SPDX-License-Identifier: GPL-2.0-or-later
"""Who maps this segment? Asked of shmtree's census, of lsof and of its kin, on a machine full of
mappings. An answer that is not the truth is an error here, however fast."""

import contextlib
import json
import shutil
import subprocess
import threading
import time

from host import BenchError, run, seconds
from mounts import SHM
from results import Sample, Target, ratio

GROUP = "census"
SEGMENT = "bench.census"
READERS = 64
BACK_ENDS = {"shmtree": "auto", "shmtree query": "query", "shmtree text": "text"}
COLD, WARM, CHANGED = "first question", "again, nothing changed", "again, 10 % of the processes changed"
ALL_CHANGED, CROWD = "again, all processes changed", f"the same, {READERS} readers at once"
CROWD_FLOOR = f"floor: {READERS} readers at once of such a file"
FLOOR = "floor: a file that needs no census"


def readers(results):
    """What so many readers cost beyond what they cost without any census, in passes."""
    samples = [results.get(GROUP, what, "shmtree") for what in (ALL_CHANGED, CROWD, CROWD_FLOOR)]
    if not all(samples):
        return None
    return Sample([(many - floor) / one for one, many, floor in zip(*(s.values for s in samples))])


TARGETS = [
    ratio(GROUP, COLD, "lsof", "shmtree", "first question: faster than lsof", 5),
    ratio(GROUP, COLD, "lsof", "shmtree query", "first question, by PROCMAP_QUERY: faster than lsof", 3),
    ratio(GROUP, COLD, "lsof", "shmtree text", "first question, by text: faster than lsof", 3),
    ratio(GROUP, COLD, "lsof", "shmtree", "nothing changed: faster than lsof", 500, WARM),
    ratio(GROUP, COLD, "lsof", "shmtree", "10 % changed: faster than lsof", 40, CHANGED),
    ratio(GROUP, FLOOR, "shmtree", "shmtree", "a file that asks nothing, of a warm fact", 1 / 1.3, WARM),
    Target(GROUP, f"{READERS} readers at once, in passes", "≤", 2.5, readers),
]


class Load:
    """The processes whose mappings are counted (tests/helpers/census-load.c)."""

    def __init__(self, process):
        self.process = process
        words = self.answer()
        self.processes, self.mappings, self.of_segment = (int(w) for w in words[1:])

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise BenchError("census-load ended: it could not make its processes and mappings")
        return line.split()

    def change(self, processes):
        """That many processes unmap something and map it again: the counts stay, the work does not."""
        self.process.stdin.write(f"change {processes}\n")
        self.process.stdin.flush()
        self.answer()


@contextlib.contextmanager
def loaded(bench, processes, mappings, segment=SEGMENT):
    process = subprocess.Popen([str(bench.tool("census-load")), segment, str(processes), str(mappings)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Load(process)
    finally:
        process.stdin.close()
        process.wait()
        (SHM / segment).unlink(missing_ok=True)


def standard_load(bench):
    return loaded(bench, bench.pick(quick=40, full=400), bench.pick(quick=6000, full=150_000))


def ask(mount, expected=None, segment=SEGMENT):
    """Seconds from the open to the close of one `mappings`."""
    path = mount.facts(segment) / "mappings"
    start = time.monotonic()
    try:
        with open(path, "rb", buffering=0) as f:
            answer = f.read()
    except OSError as error:
        raise BenchError(f"{mount.name}: {error}") from error
    took = time.monotonic() - start
    if expected is not None and int(answer) != expected:
        raise BenchError(f"{mount.name}: counts {int(answer)} mappings where there are {expected}")
    return took


def read_readme(mount):
    (mount.path / ".shmtree" / "README").read_bytes()


def together(question):
    """Seconds until the last of many readers, who all ask at the same moment, has its answer."""
    gate = threading.Barrier(READERS + 1)
    failures = []

    def reader():
        gate.wait()
        try:
            question()
        except (BenchError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=reader) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    gate.wait()
    start = time.monotonic()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.monotonic() - start


def others():
    """The tools that answer the same question, and the exit statuses that mean an answer."""
    path = SHM / SEGMENT
    commands = {
        "lsof": (["lsof", path], (0, 1)),
        "fuser": (["fuser", path], (0,)),
        "lsfd": (["lsfd", "-Q", f'NAME == "{path}"'], (0,)),
        # By a pipe: grep stops at the first match of a file where its output is /dev/null.
        "grep maps": (["sh", "-c", f"grep -hF {path} /proc/[0-9]*/maps | cat"], (0,)),
    }
    return {name: command for name, command in commands.items() if shutil.which(command[0][0])}


class Times:
    """Milliseconds by row and column, collected round by round."""

    def __init__(self, results):
        self.results = results
        self.values = {}

    def add(self, what, column, took):
        self.values.setdefault((what, column), []).append(took * 1e3)

    def finish(self):
        for (what, column), values in self.values.items():
            self.results.add(GROUP, what, column, values, "ms")


def one_round(bench, load, times):
    for name, (argv, statuses) in others().items():
        times.add(COLD, name, seconds(argv, statuses))
    for column, back_end in BACK_ENDS.items():
        bench.attempt(one_back_end, bench, load, times, column, back_end)


def one_back_end(bench, load, times, column, back_end):
    """A daemon started anew has no earlier pass to lean on: its first answer is the cold one."""
    with bench.peers.with_shmtree(f"shmtree {back_end}", [f"census={back_end}"]) as mount:
        expected = load.of_segment
        times.add(COLD, column, ask(mount, expected))
        load.change(max(1, load.processes // 10))
        times.add(CHANGED, column, ask(mount, expected))
        load.change(load.processes)
        times.add(ALL_CHANGED, column, ask(mount, expected))
        load.change(load.processes)
        times.add(CROWD, column, together(lambda: ask(mount, expected)))
        times.add(CROWD_FLOOR, column, together(lambda: read_readme(mount)))


def repeated(bench, load):
    """The warm answer beside the floor, call by call in turn."""
    with contextlib.ExitStack() as stack:
        mounts = {column: bench.peers.enter(stack, bench.peers.with_shmtree, f"shmtree {back_end}",
                                            [f"census={back_end}"])
                  for column, back_end in BACK_ENDS.items()}
        mounts = {column: mount for column, mount in mounts.items() if mount}
        files = []
        for column, mount in mounts.items():
            ask(mount, load.of_segment)
            files += [f"{column}={mount.facts(SEGMENT) / 'mappings'}",
                      f"{column} floor={mount.path / '.shmtree' / 'README'}"]
        output = run([bench.tool("latency"), "-c", "file", "-r", bench.pick(quick=3, full=15), "-n", 10, *files])
        for name, cell in json.loads(output)["calls"]["file"].items():
            what = FLOOR if name.endswith(" floor") else WARM
            values = [v / 1e6 for v in cell["samples"]]
            bench.results.add(GROUP, what, name.removesuffix(" floor"), values, "ms")
        for column, mount in mounts.items():
            note_back_end(bench, column, mount)


def note_back_end(bench, column, mount):
    lines = (mount.path / ".shmtree" / "status").read_text().splitlines()
    for line in lines:
        key, _, value = line.partition("\t")
        if key in ("census", "census_reason"):
            bench.results.note(f"{column}: {key} {value}")


def measure_group(bench):
    times = Times(bench.results)
    with standard_load(bench) as load:
        bench.results.note(f"census: {load.processes} processes with {load.mappings:,} mappings, "
                           f"{load.of_segment:,} of them of the segment")
        for _ in range(bench.pick(quick=3, full=11)):
            one_round(bench, load, times)
        times.finish()
        bench.attempt(repeated, bench, load)
