# SPDX-License-Identifier: GPL-2.0-or-later
"""What was measured: samples, rows of a table, and the targets that are judged by them."""

import statistics
from dataclasses import dataclass, field


@dataclass
class Sample:
    """The values of one figure, one a round."""

    values: list
    together: float = None  # the share of batches in which caller and daemon had one processor

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def p90(self):
        return sorted(self.values)[len(self.values) * 9 // 10]

    @property
    def state(self):
        """Of caller and daemon: one processor, two, or the share of batches on one."""
        if self.together is None:
            return ""
        return "one" if self.together >= 0.9 else "two" if self.together <= 0.1 else f"{self.together:.0%} one"

    @property
    def quartiles(self):
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def over(self, other):
        """How many times larger than the other. Rounds that ran side by side are compared side by
        side, so that what slowed both of them down cancels out."""
        if not all(other.values):
            return None
        if len(self.values) == len(other.values):
            return Sample([a / b for a, b in zip(self.values, other.values)])
        return Sample([self.median / other.median])


@dataclass
class Row:
    group: str
    what: str
    unit: str
    cells: dict = field(default_factory=dict)


class Results:
    def __init__(self):
        self.rows = {}
        self.curves = {}  # (what grows, line): [(x, y)]
        self.notes = []
        self.machine = {}

    def add(self, group, what, column, values, unit, together=None):
        """Values of one figure for one column (a peer, a back end)."""
        row = self.rows.setdefault((group, what), Row(group, what, unit))
        row.cells[column] = Sample([float(v) for v in values], together)
        return row.cells[column]

    def curve(self, line, x, y):
        self.curves.setdefault(line, []).append((x, y))

    def get(self, group, what, column):
        row = self.rows.get((group, what))
        return row.cells.get(column) if row else None

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def groups(self):
        names = []
        for row in self.rows.values():
            if row.group not in names:
                names.append(row.group)
        return names


@dataclass(frozen=True)
class Target:
    """A figure that has to be reached. `figure` takes it, a Sample, from the results; None where
    it was not measured."""

    group: str
    text: str
    op: str
    limit: float
    figure: callable
    unit: str = "×"

    def judge(self, results):
        """The figure, and True, False or None (not measured)."""
        sample = self.figure(results)
        if sample is None:
            return None, None
        value = sample.median
        compare = {"≥": value >= self.limit, "≤": value <= self.limit, "<": value < self.limit}
        return sample, compare[self.op]


def ratio(group, what, over, under, text, limit, what_under=None):
    """A target: column `over` is at least `limit` times column `under`."""

    def figure(results):
        a = results.get(group, what, over)
        b = results.get(group, what_under or what, under)
        return a.over(b) if a and b else None

    return Target(group, text, "≥", limit, figure)


def bound(group, what, column, text, op, limit, unit):
    """A target: the median of a column is below or above a bound."""

    def figure(results):
        return results.get(group, what, column)

    return Target(group, text, op, limit, figure, unit)
