# SPDX-License-Identifier: GPL-2.0-or-later
"""Each call that the daemon makes fails once; see tests/inject/run."""
import collections
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
from harness import (MOUNTED, PATIENCE, call, check, default_signals, equal, eventually, need_passthrough, skip, test,
                     wait_for_mount)

HANGS = 20.0  # seconds; what takes longer is called hung
COUNT = int(os.environ.get('SHMTREE_INJECT_COUNT') or 150)  # faults of one data path without --all
ONLY = re.compile(os.environ.get('SHMTREE_INJECT_ONLY') or '')
ALL = os.environ.get('SHMTREE_INJECT_ALL') == '1'
SEED = int(os.environ.get('SHMTREE_INJECT_SEED') or 1)  # the same each time, so that a failure is one's own


class Hung(Exception):
    pass


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
    def __init__(self, t, injector, part=1.0):
        self.t = t
        self.injector = injector
        self.world = operations.World(t)
        self.counts = collections.Counter()
        self.wrong = []
        self.actor = None
        self.right = {}
        self.part = part  # of the operations
        self.begin()

    def begin(self):
        t, saved = self.t, dict(os.environ)
        os.environ.update(self.injector.environment)
        try:
            t.start()
        finally:
            for name in self.injector.environment:
                os.environ.pop(name, None)
            os.environ.update(saved)
        self.known = operations.facts(t, self.world) + operations.actions(t, self.world)
        self.known = random.Random(SEED).sample(self.known, int(len(self.known) * self.part))
        self.actor = Actor(self.known)
        self.warm_up()
        self.descriptors = self.open_descriptors()

    def begin_again(self):
        if self.t.daemon:
            self.t.kill()
        self.actor.end()
        call('umount2', self.t.root, 2)
        self.begin()

    def end(self):
        print(dict(self.counts))
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
            self.injector.count()
            self.actor(number)
            points = self.injector.counted()
            self.injector.learn(points)
            for point in points:
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
        return [(number, fault) for number, point in self.points() if ONLY.search(point.function)
                for fault in self.faults_of(point)]

    def faults_in(self, operation, function, place):
        """Of one operation, in calls of one function that are made on behalf of another."""
        number = [name for name, _ in self.known].index(operation)
        self.injector.count()
        self.actor(number)
        points = self.injector.counted()
        self.injector.learn(points)
        return [(number, fault) for point in points
                if point.function == function and re.search(rf'\b{place}:', self.injector.where(point))
                for fault in self.faults_of(point)]

    def complain(self, number, fault, what):
        self.wrong.append(what)
        print(f'{what}: {self.known[number][0]}: {self.injector.describe(fault)}', flush=True)

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
        self.injector.arm(fault)
        try:
            answer = self.actor(number)
            reached = self.injector.disarm()
            self.counts['reached' if reached else 'not reached'] += 1
            verdict = self.judge(number, answer)
            later = self.again(number)
            check(self.t.daemon.poll() is None, 'the daemon lives')
        except (Hung, AssertionError, OSError) as error:
            self.injector.disarm()
            self.failed(number, fault, error)
            return
        self.counts[verdict] += 1
        if verdict == 'silent' and self.is_silent_again(number, fault):
            self.complain(number, fault, f'silent: {difference(answer, self.right[number])}')
        if later != self.right[number]:
            self.complain(number, fault, f'lasting: {difference(later, self.right[number])}')
            self.begin_again()
            return
        self.look_for_leak(number, fault)

    def is_silent_again(self, number, fault):
        """What a fault does, it does each time; other processes may have changed something meanwhile."""
        self.again(number)
        self.injector.arm(fault)
        try:
            verdict = self.judge(number, self.actor(number))
        finally:
            self.injector.disarm()
        return verdict == 'silent'

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
    got, wanted = (repr(v).replace('\\n', '\n').splitlines() for v in (got, wanted))
    only = [f'+{line}' for line in got if line not in wanted] + [f'-{line}' for line in wanted if line not in got]
    return ' '.join(only)[:400]


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
    print(f'{len(trial.known)} operations, {len(faults)} faults, seed {SEED}', flush=True)
    random.Random(SEED).shuffle(faults)
    if not ALL:
        faults = faults[:COUNT]
    for done, (number, fault) in enumerate(faults, 1):
        trial.run(number, fault)
        if done % 200 == 0:
            print(time.strftime('%T'), done, dict(trial.counts), flush=True)
    trial.end()


# Each was once taken for "there is none", ended the daemon, or came out as another number.
MENDED = (
    ('read ./segments.json', 'statx', 'posix_each'),
    ('read ./metrics.segments', 'openat64', 'posix_each'),
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
    ('read posix/inj-idle/charged', f'syscall {NUMBERS["bpf"]}', 'take_groups'),
    ('read posix/inj-idle/charged', 'open_by_handle_at', 'cgroup_path_of'),
)


@test(MOUNTED, start=False)
def what_was_mended(t):
    call('unshare', ipc.CLONE_NEWIPC)
    trial = Trial(t, Injector(library(), t.program, t.private / 'control'))
    for where in (*MENDED, *MENDED_IF_THERE):
        faults = trial.faults_in(*where)
        check(faults or where in MENDED_IF_THERE, f'{where} is passed')
        before = trial.counts['reached']
        for number, fault in faults:
            trial.run(number, fault)
        print(*where, len(faults), trial.counts['reached'] - before, flush=True)
    trial.end()
