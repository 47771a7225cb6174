# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures shmtree beside its peers. Started by scripts/bench, in a mount namespace of its own."""

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

import calls
import census
import commands
import data
import memory
import plot
import report
import requests
import scale
import segments
import start
from host import BenchError, describe
from mounts import SHM, Peers
from results import Results

ROOT = Path(__file__).resolve().parents[2]
GROUPS = {m.GROUP: m for m in (data, calls, requests, commands, memory, start, census, segments, scale)}


class Bench:
    """What every group is given: how thorough to be, where things are, where results go."""

    def __init__(self, quick, build, work):
        self.quick = quick
        self.build = build
        self.work = work
        self.results = Results()
        self.peers = Peers(ROOT, build, work, self.results)
        self.instructions = None

    def pick(self, quick, full):
        return quick if self.quick else full

    def tool(self, name):
        """A program of the project's own, from the tests."""
        found = [p for d in ("bench", "helpers") if (p := self.build / "tests" / d / name).exists()]
        if not found:
            raise BenchError(f"{name} has not been built")
        return found[0]

    def attempt(self, function, *args):
        """One failed measurement is a line among the notes, not the end of the run."""
        try:
            function(*args)
        except BenchError as error:
            self.results.note(str(error))


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and short: whether it works, not how fast")
    parser.add_argument("--only", action="append", metavar="GROUP", choices=list(GROUPS), help=", ".join(GROUPS))
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: bench.json in the build directory")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="default: bench.svg in the build directory")
    options = parser.parse_args()
    options.json = options.json or options.build / "bench.json"
    options.svg = options.svg or options.build / "bench.svg"
    return options


def check_namespace():
    """Everything below writes to /dev/shm: it has to be the tmpfs that scripts/bench has mounted."""
    source = next((line.split(" - ")[1].split()[1] for line in
                   reversed(Path("/proc/self/mountinfo").read_text().splitlines())
                   if line.split()[4] == str(SHM)), None)
    if source != "shmtree-bench":
        sys.exit("tests/bench: start scripts/bench, which keeps the machine's own /dev/shm out of this")


def new_groups(results, shown):
    return [group for group in results.groups() if group not in shown]


def measure(bench, names):
    print(report.head(bench.results), end="\n\n", flush=True)
    shown = set()
    for name in names:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        try:
            GROUPS[name].measure_group(bench)
        except BenchError as error:
            bench.results.note(f"{name} cut short: {error}")
        except Exception:  # a fault of this program: the other groups' figures are still good
            traceback.print_exc()
            bench.results.note(f"{name} cut short by a fault of scripts/bench")
        # At once: the whole takes more than an hour, and a run that is stopped shall not have been for nothing.
        print("\n".join(report.groups(bench.results, new_groups(bench.results, shown)) + [""]), flush=True)
        shown.update(bench.results.groups())


def main():
    options = arguments()
    check_namespace()
    names = options.only or list(GROUPS)
    with tempfile.TemporaryDirectory(prefix="shmtree-bench.") as work:
        bench = Bench(options.quick, options.build, Path(work))
        bench.results.machine = describe()
        if options.quick:
            bench.results.note("quick: small sizes and few rounds, which the targets are not meant for")
        measure(bench, names)
    targets = [target for name in names for target in GROUPS[name].TARGETS]
    print(report.verdicts(bench.results, targets))
    options.json.write_text(report.as_json(bench.results, targets) + "\n")
    options.svg.write_text(plot.svg(bench.results))
    print(f"\n{options.json}\n{options.svg}")


if __name__ == "__main__":
    main()
