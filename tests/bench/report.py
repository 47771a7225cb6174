# SPDX-License-Identifier: GPL-2.0-or-later
"""The results as text for people and as JSON for a machine."""

import json


def number(value):
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def cell(sample):
    """p50/p90 of the rounds, and the state."""
    if not sample:
        return "–"
    text = number(sample.median)
    if len(sample.values) == 1:
        return text
    return f"{text}/{number(sample.p90)}" + (f" {sample.state}" if sample.state else "")


def layout(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                      for i, (text, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def group_table(results, group):
    rows = [row for row in results.rows.values() if row.group == group]
    columns = list(dict.fromkeys(column for row in rows for column in row.cells))
    lines = [[f"{group}", "unit"] + columns]
    lines += [[row.what, row.unit] + [cell(row.cells.get(c)) for c in columns] for row in rows]
    return layout(lines)


def quartiles(sample):
    if not sample or len(sample.values) < 2:
        return ""
    return " to ".join(number(q) for q in sample.quartiles)


def verdict(passed):
    return "not measured" if passed is None else "pass" if passed else "MISS"


def target_table(results, targets):
    lines = [["target", "wanted", "measured", "quartiles", ""]]
    for target in targets:
        sample, passed = target.judge(results)
        unit = f" {target.unit}" if target.unit else ""
        lines.append([f"{target.group}: {target.text}", f"{target.op} {number(target.limit)}{unit}",
                      f"{number(sample.median)}{unit}" if sample else "–", quartiles(sample), verdict(passed)])
    return layout(lines)


def head(results):
    machine = results.machine
    return (f"Linux {machine['kernel']}, {machine['cpus']} × {machine['cpu']}, "
            f"{machine['memory_bytes'] >> 30} GiB, load {machine['load_at_start']:.1f}; "
            f"p50/p90 of rounds; one, two: caller and daemon on one processor, or two (tests/bench/state.h)")


def groups(results, names):
    lines = []
    for group in names:
        lines += group_table(results, group) + [""]
    return lines[:-1]


def verdicts(results, targets):
    judged = [target.judge(results)[1] for target in targets]
    return "\n".join(target_table(results, targets) +
                     ["", f"{judged.count(True)} passed, {judged.count(False)} missed, "
                          f"{judged.count(None)} not measured"] +
                     [f"note: {note}" for note in results.notes])


def summary(sample):
    low, high = sample.quartiles
    return {"median": sample.median, "p90": sample.p90, "q1": low, "q3": high}


def as_json(results, targets):
    rows = [{"group": row.group, "what": row.what, "unit": row.unit,
             "columns": {name: dict(summary(s), together=s.together, samples=s.values) for name, s in row.cells.items()}}
            for row in results.rows.values()]
    judged = []
    for target in targets:
        sample, passed = target.judge(results)
        judged.append({"group": target.group, "target": target.text, "op": target.op, "limit": target.limit,
                       "unit": target.unit, "measured": summary(sample) if sample else None,
                       "passed": passed})
    return json.dumps({"machine": results.machine, "rows": rows, "targets": judged,
                       "notes": results.notes}, indent=1, ensure_ascii=False)
