# SPDX-License-Identifier: GPL-2.0-or-later
"""More and more segments, more and more processes: time and memory have to grow with them, no faster."""

from pathlib import Path

from census import ask, loaded
from host import BenchError, make_objects, remove_objects, seconds, status_kib
from mounts import SHM
from results import Sample, Target

GROUP = "scale"
LISTS = ("segments", "segments.json")
MAPPINGS_A_PROCESS = 30
SEGMENT = "bench.scale"


def growth(curve):
    """How much dearer one of them is at the end of a curve than a step before."""

    def figure(results):
        points = results.curves.get(curve, [])
        if len(points) < 2:
            return None
        (x0, y0), (x1, y1) = points[-2:]
        return Sample([(y1 / x1) / (y0 / x0)])

    return figure


def json_over_text(results):
    """At the last step of the curves: as many segments in both."""
    text, as_json = (results.curves.get(("segments", name), []) for name in LISTS)
    return Sample([as_json[-1][1] / text[-1][1]]) if text and len(text) == len(as_json) else None


TARGETS = ([Target(GROUP, "segments.json, of the time of segments", "≤", 2, json_over_text)] +
           [Target(GROUP, f"{name}: cost of one among many, over one among fewer", "≤", 1.05,
                   growth(("segments", name))) for name in LISTS] +
           [Target(GROUP, "first census: cost of a process among many, over one among fewer", "≤", 1.5,
                   growth(("processes", "first census")))])


def peak_reset(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5\n")


def segments(bench, count):
    objects = make_objects(SHM, count, "bench.scale.")
    try:
        for name in LISTS:
            with bench.peers.with_shmtree() as mount:
                path = mount.path / ".shmtree" / name
                before = status_kib(mount.pid, "VmRSS")
                peak_reset(mount.pid)
                times = [seconds(["cat", path]) for _ in range(bench.pick(quick=2, full=3))]
                peak = (status_kib(mount.pid, "VmHWM") - before) / 1024
            sample = bench.results.add(GROUP, f"{name}, {count:,} segments", "seconds", times, "")
            bench.results.add(GROUP, f"{name}, {count:,} segments", "daemon MiB more", [peak], "")
            bench.results.curve(("segments", name), count, sample.median)
            bench.results.curve(("segments", f"{name}: MiB"), count, peak)
    finally:
        remove_objects(SHM, objects)


def processes(bench, count):
    with loaded(bench, count, count * MAPPINGS_A_PROCESS, SEGMENT) as load:
        times = []
        for _ in range(bench.pick(quick=2, full=3)):
            with bench.peers.with_shmtree() as mount:
                times.append(ask(mount, load.of_segment, SEGMENT))
    sample = bench.results.add(GROUP, f"first census, {count:,} processes", "seconds", times, "")
    bench.results.curve(("processes", "first census"), count, sample.median)


def as_many_as_it_takes(bench, measure, counts):
    """Up to where the machine gives out; where that is gets said."""
    for count in counts:
        try:
            measure(bench, count)
        except BenchError as error:
            bench.results.note(f"scale: {measure.__name__} end before {count:,}: {error}")
            return


def measure_group(bench):
    as_many_as_it_takes(bench, segments, bench.pick(quick=(100, 1000), full=(1000, 10_000, 100_000)))
    as_many_as_it_takes(bench, processes, bench.pick(quick=(20, 100), full=(100, 1000, 10_000)))
