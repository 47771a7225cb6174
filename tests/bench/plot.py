# SPDX-License-Identifier: GPL-2.0-or-later
"""The results as one SVG: bars for what is compared, lines for what grows. No library needed."""

import math
from xml.sax.saxutils import escape

from report import number

# Distinguishable by colour-blind readers, and in print (Okabe and Ito).
COLOURS = ["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#999999", "#7f3c8d", "#a5aa99"]
# These keep their colours, whichever groups are measured.
FIRST = ["native", "shmtree", "passthrough_hp", "bindfs", "shmtree permissions:daemon"]
WIDTH, LABELS, BAR, GAP, FIGURES = 1020, 310, 11, 9, 70
STYLE = "font-family='sans-serif' font-size='11'"


class Canvas:
    def __init__(self):
        self.parts = []
        self.y = 20

    def text(self, x, y, text, anchor="start", extra=""):
        self.parts.append(f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {extra}>{escape(text)}</text>")

    def rect(self, x, y, width, height, colour):
        self.parts.append(f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 1):.1f}' height='{height}' "
                          f"fill='{colour}'/>")

    def line(self, x1, y1, x2, y2, colour="#ccc"):
        self.parts.append(f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}'/>")

    def heading(self, text):
        self.y += 22
        self.text(10, self.y, text, extra="font-size='14' font-weight='bold'")
        self.y += 14

    def legend(self, names, colours):
        x = LABELS
        for name in names:
            width = 26 + 6.2 * len(name)
            if x > LABELS and x + width > WIDTH:
                x = LABELS
                self.y += 16
            self.rect(x, self.y - 9, 10, 10, colours[name])
            self.text(x + 14, self.y, name)
            x += width
        self.y += 10

    def svg(self):
        return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{self.y + 20:.0f}' {STYLE}>\n"
                f"<rect width='100%' height='100%' fill='white'/>\n" + "\n".join(self.parts) + "\n</svg>\n")


def decades(low, high):
    return range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)


def bars(canvas, title, rows, colours):
    """A row a figure, a bar a column, on a logarithmic scale: the columns differ by powers of ten."""
    cells = [(row, {n: s for n, s in row.cells.items() if s.median > 0}) for row in rows]
    cells = [(row, row_cells) for row, row_cells in cells if row_cells]
    values = [s.median for _, row_cells in cells for s in row_cells.values()]
    if not values:
        return
    canvas.heading(title)
    canvas.legend(list(dict.fromkeys(n for _, c in cells for n in c)), colours)
    ticks = decades(min(values) / 1.5, max(values))
    scale = (WIDTH - LABELS - FIGURES) / (ticks[-1] - ticks[0])
    at = lambda value: LABELS + (math.log10(value) - ticks[0]) * scale
    top = canvas.y
    height = sum(len(c) * BAR + GAP for _, c in cells)
    for tick in ticks:
        canvas.line(at(10.0 ** tick), top, at(10.0 ** tick), top + height)
        canvas.text(at(10.0 ** tick), top + height + 12, number(10.0 ** tick), "middle")
    for row, row_cells in cells:
        middle = canvas.y + (len(row_cells) * BAR + GAP) / 2
        canvas.text(LABELS - 6, middle + 2, f"{row.what} [{row.unit}]" if row.unit else row.what, "end")
        for name, sample in row_cells.items():
            canvas.rect(LABELS, canvas.y, at(sample.median) - LABELS, BAR - 2, colours[name])
            spread = sample.quartiles
            canvas.line(at(max(spread[0], 10.0 ** ticks[0])), canvas.y + 4.5, at(spread[1]), canvas.y + 4.5, "#fff")
            canvas.text(at(sample.median) + 4, canvas.y + 8, number(sample.median), extra="font-size='9'")
            canvas.y += BAR
        canvas.y += GAP
    canvas.y = top + height + 20


def lines(canvas, title, curves):
    """Both axes logarithmic: what grows in proportion is a line at 45 degrees."""
    points = [p for curve in curves.values() for p in curve if p[0] > 0 and p[1] > 0]
    if len(points) < 2:
        return
    canvas.heading(title)
    colours = dict(zip(curves, COLOURS[1:]))
    canvas.legend(list(curves), colours)
    xs, ys = decades(min(p[0] for p in points), max(p[0] for p in points)), decades(
        min(p[1] for p in points), max(p[1] for p in points))
    unit = 110
    left, bottom = LABELS, canvas.y + unit * (len(ys) - 1)
    at = lambda p: (left + (math.log10(p[0]) - xs[0]) * unit, bottom - (math.log10(p[1]) - ys[0]) * unit)
    for x in xs:
        canvas.line(*at((10.0 ** x, 10.0 ** ys[0])), *at((10.0 ** x, 10.0 ** ys[-1])))
        canvas.text(at((10.0 ** x, 1))[0], bottom + 14, number(10.0 ** x), "middle")
    for y in ys:
        canvas.line(*at((10.0 ** xs[0], 10.0 ** y)), *at((10.0 ** xs[-1], 10.0 ** y)))
        canvas.text(left - 6, at((1, 10.0 ** y))[1] + 4, number(10.0 ** y), "end")
    for name, curve in curves.items():
        path = " ".join("{:.1f},{:.1f}".format(*at(p)) for p in curve if p[1] > 0)
        canvas.parts.append(f"<polyline points='{path}' fill='none' stroke='{colours[name]}' stroke-width='2'/>")
    canvas.y = bottom + 24


def svg(results):
    columns = list(dict.fromkeys(FIRST + [n for row in results.rows.values() for n in row.cells]))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(columns)}
    canvas = Canvas()
    for group in results.groups():
        rows = [row for row in results.rows.values() if row.group == group]
        if group != "scale":
            bars(canvas, group, rows, colours)
    for growing in dict.fromkeys(key[0] for key in results.curves):
        chosen = {name: points for (what, name), points in results.curves.items() if what == growing}
        lines(canvas, f"seconds, and the daemon's MiB, over {growing}", chosen)
    return canvas.svg()
