# SPDX-License-Identifier: GPL-2.0-or-later
"""The mutants of one draw and what has come of each, kept in a file: so many take hours, in parts."""
import json

UNTRIED = 'untried'
OPEN = UNTRIED, 'survived', 'unreached'  # what another try may end otherwise


class Entry:
    """One mutant of the draw."""

    def __init__(self, mutant, word=UNTRIED, by='', passed=()):
        self.mutant, self.word, self.by = mutant, word, by
        self.passed = set(passed)  # the tests that have not noticed it


class Drawn:
    """The draw, as entries in their order."""

    def __init__(self, file, entries):
        self.file, self.entries = file, entries

    @classmethod
    def new(cls, file, mutants):
        return cls(file, [Entry(mutant) for mutant in mutants])

    @classmethod
    def load(cls, file, make):
        """`make`: of the five fields of a mutant."""
        if not file.exists():
            raise SystemExit(f'{file}: there is no draw to go on with')
        return cls(file, [Entry(make(*fields), word, by, passed)
                          for *fields, word, by, passed in json.loads(file.read_text())])

    def save(self):
        kept = [(*e.mutant, e.word, e.by, sorted(e.passed)) for e in self.entries]
        new = self.file.with_suffix('.new')  # whoever ends the run may do so at any time
        new.write_text(json.dumps(kept))
        new.replace(self.file)

    def find_lines(self, tree):
        """The tree may have changed: each is where its line is now, of several where the nearest is."""
        for entry in self.entries:
            mutant = entry.mutant
            path = tree / mutant.file
            lines = path.read_text().splitlines() if path.exists() else []
            places = [n for n, line in enumerate(lines, 1) if line == mutant.old]
            if places:
                nearest = min(places, key=lambda n: abs(n - mutant.line))
                entry.mutant = mutant._replace(line=nearest)
            elif entry.word in OPEN:
                entry.word, entry.by = 'gone', 'the line has changed since'

    def to_try(self, wanted):
        """Those that `wanted` is true of and of which it is not known: first those that were not tried."""
        found = [e for e in self.entries if e.word in OPEN and wanted(e.mutant)]
        return sorted(found, key=lambda e: OPEN.index(e.word) > 0)
