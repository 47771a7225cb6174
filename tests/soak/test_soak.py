# SPDX-License-Identifier: GPL-2.0-or-later
"""Mixed load on two mounts of one small tmpfs, whose daemon is killed each minute on the one, and lives on on the
other. The load rests each minute: then every count that the mounts show is what the processes have, and no
object is lost. Each hour all of them give up what they have: then the daemon that lives on is as small as it was,
and has no more descriptors. See tests/soak/run."""
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import time

import load
import others
import owners
from harness import (MOUNTED, Tree, call, check, equal, eventually, need_passthrough, read, run, test)
from ipc import CLONE_NEWIPC

OWNERS = 4
SANITIZED = b'__asan_init', b'__tsan_init'
HOURS_TO_JUDGE = 6
MORE_PATIENCE = 5
LEAVE = 16 << 10  # bytes of the tmpfs that are not filled


def setting(name, default):
    return type(default)(os.environ.get(f'SHMTREE_SOAK_{name}', default))


class Plan:
    """How long, in seconds."""

    def __init__(self):
        self.minute = setting('MINUTE', 5.0)  # of load, from one rest to the next
        self.minutes = setting('MINUTES', 4)
        self.hour = setting('HOUR', 2)  # minutes
        self.pace = setting('PACE', 0.02)
        self.seed = setting('SEED', 1)
        self.figures = setting('FIGURES', '')


class Daemon:
    """What a daemon takes."""

    def __init__(self, tree):
        self.tree = tree
        self.starts = 0

    def start(self):
        self.starts += 1
        self.tree.start()

    def lives(self):
        status = self.tree.daemon.poll()
        check(status is None, f'the daemon of {self.tree.root} has ended with status {status}')

    def turns(self):
        """Seconds that its threads ran, or waited for a processor."""
        total = 0
        for task in pathlib.Path(f'/proc/{self.tree.daemon.pid}/task').iterdir():
            with contextlib.suppress(OSError):
                total += sum(int(word) for word in read(task / 'schedstat').split()[:2])
        return total / 1e9

    def is_at_work(self):
        before = self.turns()
        time.sleep(2)
        return self.turns() - before > 0.5

    def say_where(self):
        """Where its threads are, if there is a debugger to tell."""
        with contextlib.suppress(OSError):
            subprocess.run(['gdb', '-p', str(self.tree.daemon.pid), '-batch', '-ex', 'thread apply all bt'],
                           stdin=subprocess.DEVNULL, check=False)

    def memory(self):
        """MiB in memory, but for files."""
        return int(read(f'/proc/{self.tree.daemon.pid}/status').split(b'RssAnon:')[1].split()[0]) / 1024

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.tree.daemon.pid}/fd'))


class Soak:
    def __init__(self, t, plan):
        self.plan, self.patience = plan, 60.0
        self.sanitized = any(name in read(t.program) for name in SANITIZED)
        if self.sanitized:
            self.patience *= 4
        other = Tree(t.path, t.options)
        other.root = t.private / 'killed'
        other.root.mkdir()
        self.steady, self.killed = Daemon(t), Daemon(other)
        self.steady.start()
        self.killed.start()
        self.world = load.World(t, other, plan.seed, plan.pace)
        self.control = self.world.control
        self.workers = [owners.Owner(self.world, f'owner{i}') for i in range(OWNERS)] + others.start(self.world)
        self.began = time.monotonic()
        self.compared, self.looked_again, self.slowest, self.full, self.events = 0, 0, 0.0, 0.0, 0
        self.hours = []  # what the daemon that lives on takes at the end of each

    def say(self, text):
        line = f'{(time.monotonic() - self.began) / 60:7.1f} min  {text}'
        print(line, flush=True)
        if self.plan.figures:
            with open(self.plan.figures, 'a', encoding='utf-8') as file:
                file.write(line + '\n')

    # Load

    def run_minute(self):
        """A part of it with a full tmpfs; then the daemon is killed, while the load goes on."""
        end = time.monotonic() + self.plan.minute
        self.control.running = 1
        self.tell(b'g')
        time.sleep(self.plan.minute * 0.2)
        self.fill(time.monotonic() + self.plan.minute * 0.25)
        time.sleep(self.plan.minute * 0.1)
        self.kill()
        time.sleep(max(0, end - time.monotonic()))
        self.control.running = 0

    def tell(self, command):
        for worker in self.workers:
            worker.tell(command)

    def answers(self):
        return [self.answer(worker) for worker in self.workers]

    def answer(self, worker):
        """On a machine that gives the daemons few turns it may take long; at last it is a hang."""
        for patience in range(MORE_PATIENCE, -1, -1):
            try:
                return worker.answer(self.patience)
            except load.Hangs as hang:
                if patience and (self.steady.is_at_work() or self.killed.is_at_work()):
                    self.say(f'the machine is slow: {worker.name} waits')
                    continue
                self.steady.say_where()
                self.killed.say_where()
                raise hang

    def fill(self, until):
        """Takes what the others leave, again and again."""
        ballast = self.world.shm / 'ballast'
        with open(ballast, 'wb', buffering=0) as file:
            while (now := time.monotonic()) < until:
                room = os.statvfs(ballast)
                size = os.fstat(file.fileno()).st_size
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), size, max(1, room.f_bavail * room.f_bsize - LEAVE))
                time.sleep(0.05)
                self.full += time.monotonic() - now
        os.unlink(ballast)

    def kill(self):
        self.killed.lives()
        self.control.generation += 1
        self.killed.tree.kill()
        self.control.generation += 1  # what was opened since the last time is of this one, too
        self.control.killed += 1
        self.killed.start()

    # Rest

    def rest(self):
        answers = self.answers()
        for answer in answers:
            self.slowest = max(self.slowest, answer.get('slowest', 0.0))
            self.events += answer.get('events', 0)
        items = [item for answer in answers for item in answer.get('items', ())]
        for daemon in self.steady, self.killed:
            daemon.lives()
            daemon.tree.settle()
            self.compare(daemon, items)
        names = {item['name'] for item in items if item['kind'] == 'posix' and item['name']}
        for name in os.listdir(self.world.shm):
            check(name in names or name.startswith(('s', 'lock-', 'd-')), f'{name} is nobody\'s')
        return items

    def compare(self, daemon, items):
        """What the tables show with what the processes have; the kernel may take a moment to end what it ends."""
        looks = []

        def agrees():
            looks.append(differences(daemon.tree.meta, items))
            return not looks[-1]
        try:
            eventually(agrees, 'counts are right', self.patience / 3)
        except AssertionError:
            print(read(daemon.tree.meta / 'status').decode(), read(daemon.tree.meta / 'segments').decode())
            raise AssertionError(f'{daemon.tree.root.name}: ' + '\n'.join(looks[-1][:10])) from None
        self.looked_again += len(looks) - 1
        self.compared += len(items)

    def forget(self):
        """All give up what they have."""
        self.tell(b'f')
        items = [item for answer in self.answers() for item in answer.get('items', ())]
        for daemon in self.steady, self.killed:
            daemon.tree.settle()
            self.compare(daemon, items)
        eventually(lambda: self.steady.descriptors() <= self.least(), 'the daemon has its descriptors back',
                   self.patience)
        self.hours.append((self.steady.memory(), self.steady.descriptors()))
        self.say(f'all given up: {self.hours[-1][0]:.1f} MiB, {self.hours[-1][1]} descriptors')

    def least(self):
        """Descriptors that the daemon had before, and some of threads that are about to end."""
        return self.hours[0][1] + 8 if self.hours else 200

    def end(self):
        for worker in self.workers:
            worker.end(self.patience)
        for daemon in self.steady, self.killed:
            daemon.lives()
            daemon.tree.settle()
            self.compare(daemon, [])

    def judge(self):
        """
        Memory is flat if the last third of the hours has no more than the third before, but for a tenth; a few
        hours tell nothing.
        """
        third = max(1, len(self.hours) // 3)
        before = statistics.median(memory for memory, _ in self.hours[third:2 * third] or self.hours[:1])
        after = statistics.median(memory for memory, _ in self.hours[-third:])
        check(len(self.hours) < HOURS_TO_JUDGE or after <= before * 1.1 + 4,
              f'{after:.1f} MiB at last, {before:.1f} MiB before')


def entries(meta):
    return json.loads(read(meta / 'segments.json'))['segments']


def key_of(entry):
    """By what the processes know it."""
    if entry['kind'] == 'sysv':
        return 'sysv', int(entry['id'])
    return ('internal' if entry['id'].startswith(('memfd-', 'anon-')) else 'file'), entry['ino']


def key_of_item(item):
    return ({'sysv': 'sysv', 'memfd': 'internal', 'anon': 'internal'}.get(item['kind'], 'file')), item['id']


def state_of(item):
    return ('mapped' if item['mappings'] else 'open' if item['openers'] else 'held' if item['hidden'] else 'idle')


def differences(meta, items):
    """What is not as it should be, in words."""
    shown = {key_of(entry): entry for entry in entries(meta)}
    wrong = []
    for item in items:
        entry = shown.pop(key_of_item(item), None)
        if not entry:
            wrong.append(f'{item} is not there')
            continue
        wanted = {name: item[name] for name in ('mappings', 'processes', 'openers')}
        wanted['state'] = state_of(item)
        if entry['hidden'] is not None:
            wanted['hidden'] = item['hidden']
        if item['size'] is not None:
            wanted['size'] = item['size']
        got = {name: entry[name] for name in wanted}
        if got != wanted:
            wrong.append(f'{item}: shown {got}, is {wanted}')
    # Of other processes of the machine are memfds and anonymous memory.
    wrong += [f'{entry} is nobody\'s' for (where, _), entry in shown.items()
              if where != 'internal' and (entry['mappings'] or entry['openers'] or entry['hidden'] or
                                          entry['kind'] == 'unlinked' or where == 'sysv')]
    return wrong


@test(MOUNTED, start=False)
def counts_are_right_all_the_time(t):
    plan = Plan()
    call('unshare', CLONE_NEWIPC)
    t.options = tuple(os.environ.get('SHMTREE_SOAK_OPTIONS', '').split())
    soak = Soak(t, plan)
    if t.path == 'auto':
        need_passthrough(t)
    for minute in range(1, plan.minutes + 1):
        soak.run_minute()
        items = soak.rest()
        soak.say(f'{len(items)} segments, {sum(i["mappings"] for i in items)} mappings, '
                 f'{sum(i["openers"] for i in items)} descriptors; '
                 f'{soak.steady.memory():.1f} MiB, {soak.steady.descriptors()} descriptors; killed every minute: '
                 f'{soak.killed.memory():.1f} MiB, {soak.killed.descriptors()} descriptors')
        if minute % plan.hour == 0:
            soak.forget()
    soak.end()
    soak.judge()
    soak.say(f'{soak.control.acts} acts, {soak.control.killed} daemons killed, {soak.compared} segments compared, '
             f'{soak.looked_again} times again, {soak.full:.0f} s full, {soak.control.signals} bus errors, '
             f'{soak.control.ended} processes ended by their group, {soak.control.removed} idle removed, '
             f'{soak.events} events, slowest file {soak.slowest:.2f} s')
    soak.killed.tree.stop()
