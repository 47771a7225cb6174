# SPDX-License-Identifier: GPL-2.0-or-later
"""Each call that the daemon makes fails once; see tests/inject/run."""
import collections
import errno
import os
import pathlib
import pickle
import platform
import random
import re
import select
import signal
import struct
import time

import ipc
import operations
from faults import ALLOCATIONS, NUMBERS, Fault, Injector, errors_of
from harness import (MOUNTED, PATIENCE, call, check, default_signals, equal, eventually, need_passthrough, skip,
                     test, wait_for_mount)

HANGS = 20.0  # seconds; what takes longer is called hung
BEGINNINGS = TRIES = 5
SILENT_TRIES = 3  # that reach the fault, of one that gave a silent answer
COUNT = int(os.environ.get('SHMTREE_INJECT_COUNT') or 150)  # faults of one data path without --all
ONLY = re.compile(os.environ.get('SHMTREE_INJECT_ONLY') or '')
LISTED = os.environ.get('SHMTREE_INJECT_FAULTS')  # a file, with faults as a run lists them at its end
LINE = re.compile(r'(?:\d\S+ )?(.+?): (syscall \d+|\w+) (E\w+) #(\d+) in (.+?)(?: \[.*)?$')
ALL = os.environ.get('SHMTREE_INJECT_ALL') == '1' or bool(LISTED)
FIGURES = os.environ.get('SHMTREE_INJECT_FIGURES')
SEED = int(os.environ.get('SHMTREE_INJECT_SEED') or 1)  # the same each time, so that a failure is one's own


class Hung(Exception):
    pass


def say(text):
    """What a test prints is shown at its end; a run of an hour is followed in the file."""
    print(text, flush=True)
    if FIGURES:
        with open(FIGURES, 'a', encoding='utf-8') as file:
            print(time.strftime('%T'), text, file=file)


class Actor:
    """Another process does the operations, so that one that hangs can be given up."""

    def __init__(self, known):
        ask, self.ask = os.pipe()
        self.answers, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.ask)
            os.close(self.answers)
            self.serve(known, ask, answer)
        os.close(ask)
        os.close(answer)

    @staticmethod
    def serve(known, ask, answer):
        try:
            while number := os.read(ask, 4):
                try:
                    said = known[struct.unpack('i', number)[0]][1]()
                except OSError as error:
                    said = f'failed: {error.strerror}'
                except BaseException as error:
                    said = f'other {error!r}'
                data = pickle.dumps(said)
                os.write(answer, struct.pack('i', len(data)) + data)
        finally:
            os._exit(0)

    def take(self, size, deadline):
        data = b''
        while len(data) < size:
            if not select.select([self.answers], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Hung
            piece = os.read(self.answers, size - len(data))
            check(piece, 'the actor lives')
            data += piece
        return data

    def __call__(self, number):
        deadline = time.monotonic() + HANGS
        os.write(self.ask, struct.pack('i', number))
        size, = struct.unpack('i', self.take(4, deadline))
        return pickle.loads(self.take(size, deadline))

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.ask)
        os.close(self.answers)
        eventually(lambda: os.waitpid(self.pid, os.WNOHANG)[0], 'the actor is gone')


class Trial:
    def __init__(self, t, injector, part=1.0, names=()):
        self.t = t
        self.injector = injector
        self.world = operations.World(t)
        self.counts = collections.Counter()
        self.wrong = []
        self.actor = None
        self.right = {}
        self.part = part  # of the operations
        self.names = names  # or these alone
        self.begin()

    def begin(self):
        t, saved = self.t, dict(os.environ)
        os.environ.update(self.injector.environment)
        try:
            # The machine's other segments may be larger than those of this world.
            t.start('-o', 'metrics_segments=1000')
        finally:
            for name in self.injector.environment:
                os.environ.pop(name, None)
            os.environ.update(saved)
        self.known = operations.facts(t, self.world) + operations.actions(t, self.world)
        self.known = random.Random(SEED).sample(self.known, int(len(self.known) * self.part))
        if self.names:
            self.known = [known for known in self.known if known[0] in self.names]
        self.actor = Actor(self.known)
        self.warm_up()
        self.descriptors = self.open_descriptors()

    def begin_again(self):
        """Other processes of the machine may keep an answer from settling for a while."""
        for left in reversed(range(BEGINNINGS)):
            if self.t.daemon:
                self.t.kill()
            self.actor.end()
            call('umount2', self.t.root, 2)
            try:
                self.begin()
                return
            except AssertionError as error:
                say(f'cannot begin again: {error}'[:1000])
                if not left:
                    raise

    def end(self):
        say(dict(self.counts))
        for line in self.wrong:  # as LISTED takes them
            say(line)
        self.actor.end()
        self.world.kept.close()
        check(not self.wrong, f'{len(self.wrong)} went wrong')

    def open_descriptors(self):
        return len(os.listdir(f'/proc/{self.t.daemon.pid}/fd'))

    def warm_up(self):
        """The right answers: nothing must have changed when they are asked for again."""
        for number, _ in enumerate(self.known):
            self.actor(number)
        for number, (name, _) in enumerate(self.known):
            answers = [self.right[number]] if number in self.right else []
            while len(answers) < 6 and (len(answers) < 2 or answers[-1] != answers[-2]):
                answers.append(self.actor(number))
            equal(answers[-1], answers[-2], f'{name}: what it answers is the same each time')
            self.right[number] = answers[-1]

    def points(self):
        """(operation, point): each the first operation that passes it, or all with --all."""
        found, seen = [], set()
        for number in range(len(self.known)):
            for point in self.points_of(number):
                if point.hash not in seen:
                    seen.add(point.hash)
                    found.append((number, point))
        return found

    def faults_of(self, point):
        for error in errors_of(point.function, self.injector.where(point)):
            times = {1} if point.function in ALLOCATIONS else {1, (point.passed + 1) // 2, point.passed}
            for nth in sorted(times):
                yield Fault(point, nth, error)

    def faults(self):
        if LISTED:
            lines = pathlib.Path(LISTED).read_text().splitlines()
            # What was said on the way is said again at the end.
            told = dict.fromkeys(match.groups() for line in lines if (match := LINE.match(line)))
            return [fault for one in told for fault in self.faults_like(*one)]
        return [(number, fault) for number, point in self.points() if ONLY.search(point.function)
                for fault in self.faults_of(point)]

    def points_of(self, number):
        self.injector.count()
        self.actor(number)
        points = self.injector.counted()
        self.injector.learn(points)
        return points

    def faults_like(self, operation, function, error, nth, where):
        """The fault that a line of an earlier run tells of."""
        names = [name for name, _ in self.known]
        if operation not in names:
            return []
        number = names.index(operation)
        return [(number, Fault(point, int(nth), getattr(errno, error))) for point in self.points_of(number)
                if (point.function, self.injector.where(point)) == (function, where)]

    def faults_in(self, operation, function, place):
        """Of one operation, in calls of one function that are made on behalf of another."""
        number = [name for name, _ in self.known].index(operation)
        return [(number, fault) for point in self.points_of(number)
                if point.function == function and re.search(rf'\b{place}:', self.injector.where(point))
                for fault in self.faults_of(point)]

    def line(self, number, fault):
        """By which a fault can be asked for again, of the same program."""
        return f'{self.known[number][0]}: {self.injector.describe(fault)}'

    def complain(self, number, fault, what):
        self.wrong.append(f'{self.line(number, fault)} [{what.split(":")[0]}]')
        say(f'{self.wrong[-1]} {self.injector.measure(fault)}; {what}')

    def again(self, number):
        """The right answer comes again, without a fault. A census that failed is made anew."""
        deadline = time.monotonic() + 3
        while (answer := self.actor(number)) != self.right[number] and time.monotonic() < deadline:
            time.sleep(0.02)
        return answer

    def judge(self, number, answer):
        right = self.right[number]
        if answer == right:
            return 'right'
        if operations.told(answer):
            return 'told'
        # What is listed there is proven to be idle; the lack of a proof is no error.
        if self.known[number][0].startswith('list idle/') and set(answer) < set(right):
            return 'incomplete'
        return 'incomplete' if operations.says_incomplete(answer, right) else 'silent'

    def run(self, number, fault):
        try:
            self.attempt(number, fault)
        except (Hung, AssertionError, OSError) as error:
            self.injector.disarm()
            self.failed(number, fault, error)

    def ask(self, number, fault):
        """With the fault: the answer, and whether it was reached."""
        self.injector.arm(fault)
        answer = self.actor(number)
        return answer, self.injector.disarm()

    def attempt(self, number, fault):
        answer, reached = self.ask(number, fault)
        self.counts['reached' if reached else 'not reached'] += 1
        verdict = self.judge(number, answer)
        later = self.again(number)
        check(self.t.daemon.poll() is None, 'the daemon lives')
        self.counts[verdict] += 1
        if verdict == 'silent' and (answer := self.is_silent_again(number, fault)) is not None:
            self.complain(number, fault, f'silent: {difference(answer, self.right[number])}')
        if later != self.right[number]:
            self.look_whether_it_lasts(number, fault, later)
        self.look_for_leak(number, fault)

    def is_silent_again(self, number, fault):
        """
        Other processes may have changed something meanwhile. But what a fault does now and then, as another thread
        is faster or not, is a defect too.
        """
        tried = 0
        for _ in range(TRIES + SILENT_TRIES):
            if tried == SILENT_TRIES or self.again(number) != self.right[number]:
                break
            answer, reached = self.ask(number, fault)
            if self.judge(number, answer) == 'silent':
                return answer
            tried += reached
        self.counts['silent, but not again'] += 1
        say(f'silent, but not again: {self.line(number, fault)}')
        return None

    def look_whether_it_lasts(self, number, fault, later):
        """Likewise, and with a new daemon."""
        say(f'lasts, perhaps: {difference(later, self.right[number])}: {self.line(number, fault)}')
        self.begin_again()
        for _ in range(TRIES):
            _, reached = self.ask(number, fault)
            if (later := self.again(number)) != self.right[number]:
                self.complain(number, fault, f'lasting: {difference(later, self.right[number])}')
                self.begin_again()
                return
            if reached:
                break
        self.counts['lasting, but not again'] += 1

    def failed(self, number, fault, error):
        ended = self.t.daemon.poll()
        if ended is None:
            try:
                ended = self.t.daemon.wait(0.5)
            except Exception:
                pass
        if ended is None:
            self.complain(number, fault, f'hung ({type(error).__name__})')
        else:
            self.complain(number, fault, f'ended ({ended})')
        self.begin_again()

    def look_for_leak(self, number, fault):
        deadline = time.monotonic() + 2
        while (now := self.open_descriptors()) > self.descriptors and time.monotonic() < deadline:
            time.sleep(0.02)
        if now > self.descriptors:
            self.complain(number, fault, f'{now - self.descriptors} descriptors left')
        self.descriptors = now


def difference(got, wanted):
    """What is in one of them alone; else the first lines that differ."""
    got, wanted = repr(got), repr(wanted)
    parts, others = (re.split(r'\\n|\n|,|\\t', text) for text in (got, wanted))
    only = [f'+{part}' for part in parts if part not in others] + [f'-{part}' for part in others if part not in parts]
    lines = [f'{one} for {other}' for one, other in zip(got.split('\\n'), wanted.split('\\n')) if one != other]
    return ' '.join(only or lines)[:400]


def library():
    if platform.machine() != 'x86_64':
        skip('which system calls are made is told by numbers of x86-64')
    path = pathlib.Path(os.environ['SHMTREE_BUILD'], 'tests', 'inject', 'inject.so')
    if not path.exists():
        skip('the library that injects faults was not built: a sanitizer is in its place')
    return path


@test(MOUNTED, start=False)
def each_call_fails_once(t):
    call('unshare', ipc.CLONE_NEWIPC)
    part = 1.0 if ALL or 'SHMTREE_INJECT_COUNT' in os.environ else 0.3
    trial = Trial(t, Injector(library(), t.program, t.private / 'control'), part)
    if t.path == 'auto':
        need_passthrough(t)
    faults = trial.faults()
    say(f'{t.path}: {len(trial.known)} operations, {len(faults)} faults, seed {SEED}')
    random.Random(SEED).shuffle(faults)
    check(faults or not LISTED, 'a line tells of a fault of this program')
    if not ALL:
        faults = faults[:COUNT]
    for done, (number, fault) in enumerate(faults, 1):
        trial.run(number, fault)
        if done % 200 == 0:
            say(f'{done} {dict(trial.counts)}')
    trial.end()


# Each was once taken for "there is none", ended the daemon, or came out as another number.
MENDED = (
    ('read ./segments.json', 'statx', 'posix_each'),
    ('read ./metrics.segments', 'openat64', 'posix_each'),
    *((f'read ./{name}', 'openat64', 'posix_each')
      for name in ('processes', 'cgroups.json', 'report.html')),
    ('list nested', 'fstat64', 'visit_directory'),
    ('list nested', 'fstat64', 'visit_file'),
    ('list .', 'openat64', 'mqueue_present'),
    ('list mqueue', 'readdir64', 'list_queues'),
    ('list namespaces', 'openat64', 'realms_find'),
    ('list namespaces', 'readlinkat', 'look_at'),
    ('read ./processes', 'openat64', 'realms_find'),
    ('read sysv/0/creator', 'open64', 'past_process_find'),
    ('locks', 'openat64', 'open_for_locks'),
    ('other asks', f'syscall {NUMBERS["setresuid"]}', 'effective_end'),
    ('other asks', f'syscall {NUMBERS["setgroups"]}', 'effective_end'),
    ('other asks', f'syscall {NUMBERS["capset"]}', 'effective_end'),
    ('other makes', 'setfsuid', 'fsuid_begin'),
    ('other makes', 'setfsuid', 'fsuid_end'),
    ('xattr', 'malloc', 'op_getxattr'),
    ('read', 'malloc', 'op_lookup'),
)
# These need passthrough, or BPF and control groups.
MENDED_IF_THERE = (
    ('read', 'ioctl', 'passthrough_unregister'),
    ('read ./metrics', f'syscall {NUMBERS["bpf"]}', 'object_programs_describe'),
    ('read posix/inj-idle/charged', f'syscall {NUMBERS["bpf"]}', 'take_groups'),
    ('read posix/inj-idle/charged', 'open_by_handle_at', 'cgroup_path_of'),
)


@test(MOUNTED, start=False)
def what_was_mended(t):
    call('unshare', ipc.CLONE_NEWIPC)
    trial = Trial(t, Injector(library(), t.program, t.private / 'control'),
                  names={name for name, *_ in (*MENDED, *MENDED_IF_THERE)})
    for where in (*MENDED, *MENDED_IF_THERE):
        faults = trial.faults_in(*where)
        check(faults or where in MENDED_IF_THERE, f'{where} is passed')
        before = trial.counts['reached']
        for number, fault in faults:
            trial.run(number, fault)
        print(*where, len(faults), trial.counts['reached'] - before, flush=True)
    trial.end()


# What these answer needs a census.
COUNTED = 'read ./segments', 'read ./metrics', 'read ./processes', 'read posix/inj-used/info.json'
# One of them is a part of each pass; which is tried so often.
OF_A_PASS = (f'syscall {NUMBERS["bpf"]}', 'programs_descriptors'), ('openat64', 'list_new')
TRIED = 3


def of_passes(trial, operation):
    """The fault of each pass that is made for it, so lasting that the next tries fail, too."""
    faults = [(number, fault._replace(nth=nth, times=TRIED)) for where in OF_A_PASS
              for number, fault in trial.faults_in(operation, *where) if (fault.nth, fault.error) == (1, errno.EMFILE)
              for nth in range(1, fault.point.passed + 1)]
    check(faults, f'{operation} makes a census')
    return faults


@test(MOUNTED, start=False)
def what_needs_a_census_that_cannot_be_made_is_refused(t):
    call('unshare', ipc.CLONE_NEWIPC)
    trial = Trial(t, Injector(library(), t.program, t.private / 'control'), names=COUNTED)
    for operation in COUNTED:
        for number, fault in of_passes(trial, operation):
            answer, reached = trial.ask(number, fault)
            check(reached or fault.nth > 1, f'{trial.line(number, fault)} is passed')
            check(not reached or operations.told(answer), f'{trial.line(number, fault)}: {answer!r}')
            equal(trial.again(number), trial.right[number])
    trial.end()
