# SPDX-License-Identifier: GPL-2.0-or-later
"""Which test reaches which line.

One build without optimisation calls a function at the beginning of each basic block (GCC's
-fsanitize-coverage=trace-pc; reach.c), and each test runs once in it. The disassembly, whose blocks are
in the order of the source, says which lines a block has. So a line is reached by a test if a block was
in which it has an instruction: exact, also for processes that are killed, and some megabytes in all.

A BPF program is reached by the tests that load it; a line without code, as of a table, by those that
reach anything in its file.

What was recorded is kept, with the sources that it is about. In a tree that has changed since, lines move
with the text around them, a line that is new counts as reached by the tests that reach the one above it,
and tests that are new run once.
"""
import collections
import difflib
import json
import os
import re
import shutil

TIMEOUT = 240  # seconds for one test
CHUNK = 50  # tests after which what is known is saved

Test = collections.namedtuple('Test', 'name kind seconds lines')  # lines: a set of 'file:line'

CODE = 'code'  # not a test: under this name and kind are the lines that have code

MARKER = re.compile(r'^(/\S+):(\d+)(?: \(discriminator \d+\))?$')
INSTRUCTION = re.compile(r'^ +([0-9a-f]+):\t(.*)$')


def blocks_of(disassembly, tree):
    """By the address that follows each block's call: the lines of the block, as 'file:line'."""
    blocks = collections.defaultdict(set)
    pending, block, line, started = set(), None, None, False
    for text in disassembly.splitlines():
        if text.endswith('>:'):  # a function: its first lines come before the call
            pending, block = set(), None
        elif marker := MARKER.match(text):
            file = os.path.relpath(os.path.normpath(marker[1]), tree)
            line = f'{file}:{marker[2]}' if file.startswith(('core/', 'fs/')) else None
        elif instruction := INSTRUCTION.match(text):
            if started:  # the one after the call: where it returns to
                block, started = int(instruction[1], 16), False
                blocks[block] |= pending
                pending = set()
            started = '<__sanitizer_cov_trace_pc>' in instruction[2]
            if line and (block is None or started):
                pending.add(line)
            elif line:
                blocks[block].add(line)
    return blocks


def moved(lines, old, new):
    """The lines of one file, by number, where they are in its new text: {new number: old number}."""
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    where = {}
    for what, a, _, c, d in matcher.get_opcodes():
        for at in range(c, d):
            where[at + 1] = (a + at - c if what == 'equal' else a - 1) + 1
    return {number: lines[was] for number, was in where.items() if was in lines}


class Reach:
    """The tests, by name, and which of them reach a line. Kept in a file."""

    def __init__(self, place, say):
        self.place, self.say = place, say
        self.tree, self.build = place.tree, place.tree / 'build-reach'
        self.file = place.directory / 'reach.json'
        self.sources = place.directory / 'reached'  # core/ and fs/ as they were then
        self.records = place.directory / 'records'
        self.tests = {}
        self.left_out = []  # names of tests that do not pass here without any change

    def ready(self, kinds):
        """Loads what is known, and runs the tests of these kinds of which nothing is."""
        if self.file.exists():
            self.load()
            self.move()
        listed = self.place.tests()
        self.tests = {name: test for name, test in self.tests.items() if name in listed or name == CODE}
        known = {*self.tests, *self.left_out}
        new = {kind: [name for name in listed if listed[name] == kind and name not in known]
               for kind in kinds}
        if any(new.values()):
            self.build_recorder()
            for kind, names in new.items():
                self.record(kind, sorted(names, key=lambda name: name.endswith('[off]')))

    def load(self):
        kept = json.loads(self.file.read_text())
        lines, self.left_out = kept['lines'], kept['left_out']
        for name, (kind, seconds, reached) in kept['tests'].items():
            bits = bin(int(reached, 16))[:1:-1]
            found = {line for line, bit in zip(lines, bits) if bit == '1'}
            self.tests[name] = Test(name, kind, seconds, found)

    def save(self):
        lines = sorted(set().union(*(test.lines for test in self.tests.values())))
        tests = {}
        for test in self.tests.values():
            bits = ''.join('01'[line in test.lines] for line in reversed(lines))
            tests[test.name] = (test.kind, test.seconds, f'{int(bits, 2):x}')
        self.file.write_text(json.dumps({'lines': lines, 'tests': tests, 'left_out': self.left_out}))
        shutil.rmtree(self.sources, ignore_errors=True)
        for part in 'core', 'fs':
            shutil.copytree(self.tree / part, self.sources / part)

    def move(self):
        """Brings the lines of files that have changed to where they are now."""
        for path in self.sources.rglob('*.[ch]'):
            file = str(path.relative_to(self.sources))
            now = self.tree / file
            old, new = path.read_text(), now.read_text() if now.exists() else ''
            if old != new:
                lines = {n: n for n in range(1, old.count('\n') + 2)}
                where = moved(lines, old, new)
                for name, test in self.tests.items():
                    self.tests[name] = test._replace(lines=self.moved_of(test.lines, file, where))

    @staticmethod
    def moved_of(lines, file, where):
        others = {line for line in lines if not line.startswith(f'{file}:')}
        if len(others) == len(lines):
            return lines
        return others | {f'{file}:{new}' for new, old in where.items() if f'{file}:{old}' in lines}

    def build_recorder(self):
        recorder = self.place.directory / 'reach.o'
        self.place.must(['gcc', '-D_GNU_SOURCE', '-O2', '-fPIC', '-c', '-o', recorder,
                         self.tree / 'scripts/mutation/reach.c'])
        self.say('building with records of what is reached')
        self.place.must(['scripts/build', 'build-reach', '-Dtests=enabled', '-Doptimization=0',
                         '-Dc_args=-fsanitize-coverage=trace-pc', f'-Dc_link_args={recorder}'], CC='gcc')
        self.blocks = {}
        for program in self.place.programs:
            text = self.place.must(['objdump', '-d', '-l', '--no-show-raw-insn', self.build / program])
            self.blocks[os.path.basename(program)] = blocks_of(text, self.tree)
        coded = set().union(*(lines for blocks in self.blocks.values() for lines in blocks.values()))
        self.tests[CODE] = Test(CODE, CODE, 0, coded)
        shutil.rmtree(self.records, ignore_errors=True)
        self.records.mkdir()
        self.records.chmod(0o777)

    def record(self, kind, names):
        """Runs the tests, and keeps what is known from time to time: it takes long."""
        if names:
            self.say(f'running {len(names)} tests ({kind}), to know what they reach')
        for at in range(0, len(names), CHUNK):
            some = names[at:at + CHUNK]
            if kind == 'unit':
                for name in some:
                    self.keep(self.place.run_unit(self.build, name, TIMEOUT,
                                                  SHMTREE_REACH=self.records / 'unit'), kind, 'unit')
            else:
                for outcome in self.place.run_mounted(self.build, kind, some, TIMEOUT,
                                                      SHMTREE_REACH=self.records):
                    self.keep(outcome, kind, outcome.name)
            self.save()

    def keep(self, outcome, kind, record):
        """Takes in what one test has left. One that does not pass without any change is no use."""
        reached = set()
        for program, blocks in self.blocks.items():
            file = self.records / f'{record}.{program}'
            if not file.exists():
                continue
            data = file.read_bytes()
            file.unlink()
            for address, lines in blocks.items():
                if address < len(data) and data[address]:
                    reached |= lines
        if outcome.word == 'ok':
            self.tests[outcome.name] = Test(outcome.name, kind, outcome.seconds, reached)
        else:
            self.left_out.append(outcome.name)

    def of_line(self, file, line):
        """The tests that reach the line; of a BPF program, those that reach the line that loads it."""
        file, line = self.loader(file) or (file, line)
        tests = [t for t in self.tests.values() if t.kind != CODE]
        if CODE in self.tests and f'{file}:{line}' not in self.tests[CODE].lines:
            return [t for t in tests if any(reached.startswith(f'{file}:') for reached in t.lines)]
        return [t for t in tests if f'{file}:{line}' in t.lines]

    def in_file(self, file):
        """How much each test is about the file: its lines there, of which one counts the more the fewer tests
        reach it."""
        file, _ = self.loader(file) or (file, 0)
        reached = {t.name: [line for line in t.lines if line.startswith(f'{file}:')]
                   for t in self.tests.values() if t.kind != CODE}
        tests = collections.Counter(line for lines in reached.values() for line in lines)
        return {name: sum(1 / tests[line] for line in lines) for name, lines in reached.items()}

    def loader(self, file):
        """The file and the line that load a BPF program; None for other files."""
        call = f"{os.path.basename(file).removesuffix('.bpf.c')}_bpf__load("
        for path in (self.tree / 'core').rglob('*.c') if file.endswith('.bpf.c') else ():
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if call in line:
                    return str(path.relative_to(self.tree)), number
        return None
