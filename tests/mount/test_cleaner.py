# SPDX-License-Identifier: GPL-2.0-or-later
"""Eight processes create, open, send, map and remove shared memory of every kind, and two others remove
whatever is idle: no process ever loses an item that it has, or that is on its way to it.

    SHMTREE_CLEANER_SECONDS=3600 tests/mount/run --timeout 4200 --verbose cleaner.

is an hour of it; 2 seconds by default."""
import array
import collections
import errno
import json
import os
import random
import socket
import time
import traceback

from harness import PATIENCE, check, die_with_parent, equal, eventually, read
from ipc import ipc_test
from uses import GONE, Late, Lost, Messages, Object, Queue, Removals, Segment, Semaphores

WORKERS = 8
LOOKS = 60000  # ten minutes, where looking takes no time
NAMES = [f'o{i}' for i in range(12)]
KEYS = 0x7a000000
OPENED = {kind.directory: kind for kind in (Object, Segment, Queue)}
BY_KEY = Messages, Semaphores
KINDS = 'posix', 'sysv', 'mqueue', 'msg', 'sem'
X86_64 = os.uname().machine == 'x86_64'


class Worker:
    """Workers remove only what is theirs alone: so what else is gone, a cleaner has removed."""

    def __init__(self, number, ends, places, removals, deadline):
        self.number, self.places, self.deadline = number, places, deadline
        self.receiver, self.sender = ends[number], ends[(number + 1) % WORKERS]
        self.removals = removals
        self.random = random.Random(number)
        self.done = collections.Counter()

    # What items ask of their world

    def path(self, name):
        return os.path.join(self.random.choice(self.places), name)

    @staticmethod
    def key(name):
        """Of a System V item: o3, or o3.5 that is worker 5's own."""
        number, _, owner = name[1:].partition('.')
        return KEYS + int(number) + 100 * (1 + int(owner or -1))

    def pause(self):
        time.sleep(self.random.random() / 2000)

    def was_removed(self, ring_name, began, had, when):
        if any(r.overlap(ring_name, began, had) for r in self.removals):
            raise Late(ring_name)
        raise Lost(f'{ring_name} {when}')

    # What a worker does with what can be opened

    def opened(self, kind, name, flags):
        """None if it is not there, or was there already."""
        try:
            return kind.open(self, name, flags)
        except OSError as error:
            if error.errno in GONE or error.errno == errno.EEXIST:
                return None
            raise

    def use(self, item, what):
        item.check(what)
        item.use(what)
        item.release()
        self.done[f'{item.directory} {what}'] += 1

    def create(self, kind, name):
        if item := self.opened(kind, name, os.O_CREAT | os.O_EXCL):
            self.use(item, 'created')

    def open(self, kind, name):
        if item := self.opened(kind, name, 0):
            self.use(item, 'opened')

    def send(self, kind, name):
        """The descriptor is in the socket's queue alone until the next worker takes it."""
        item = self.opened(kind, name, os.O_CREAT)
        if not item:
            return
        item.check('before it is sent')
        text, fd = item.sent()
        try:
            self.sender.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                                   array.array('i', [fd]))])
            self.done[f'{kind.directory} sent'] += 1
        except BlockingIOError:
            pass
        item.release()

    def receive(self, _kind, _name):
        try:
            text, fds, _, _ = socket.recv_fds(self.receiver, 200, 1)
        except BlockingIOError:
            return
        directory, name, began, had = text.decode().split()
        self.use(OPENED[directory].received(self, name, float(began), float(had), fds[0]), 'received')

    def remove(self, kind, name):
        item = self.opened(kind, f'{name}.{self.number}', os.O_CREAT | os.O_EXCL)
        if item:
            item.check('its own')
            item.use('its own')
            item.release()
            try:
                item.remove()
                self.done[f'{kind.directory} its own removed'] += 1
            except OSError as error:  # a cleaner came first: no process had it any more
                check(error.errno in GONE, error)

    # And with what has a key only: whoever used it last, by its process

    def child(self, function):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                die_with_parent()  # else one that waits for ever keeps a failed worker's pipe open
                status = 0 if function() is None else 2
            except Late:
                status = 3
            except OSError as error:
                status = 4 if error.errno in GONE else 1
                if status == 1:
                    traceback.print_exc()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        return pid

    def ended(self, pid, what):
        """Whether the child did it: not if the item was removed before it had used it."""
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        check(status in (0, 2, 3, 4), f'{what}: status {status}')
        self.done[f'{what} {("", "", "gone before", "late", "gone before")[status]}'.strip()] += 1
        return status == 0

    def hold(self, kind, name):
        """A child uses it, and has it as long as it lives."""
        def function():
            began = time.monotonic()
            ident = kind.get(self.key(name))
            kind.give(ident)
            kind.take(ident)
            had = time.monotonic()
            for _ in range(3):
                self.pause()
                self.still_there(kind, ident, began, had, 'used by a process that lives')
        self.ended(self.child(function), f'{kind.directory} used')

    def still_there(self, kind, ident, began, had, when):
        try:
            kind.check(ident)
        except OSError as error:
            check(error.errno in GONE, error)
            self.was_removed(f'{kind.directory}/{ident}', began, had, when)

    def used_by_the_dead(self, kind, name, *what):
        def function():
            ident = kind.get(self.key(name))
            for act in what:
                act(ident)
        return self.ended(self.child(function), f'{kind.directory} used and left')

    def wait(self, kind, name):
        """A child waits in it, who used it last is dead."""
        if not X86_64 or not self.used_by_the_dead(kind, name, kind.give, kind.take):
            return
        began = time.monotonic()
        ident = kind.get(self.key(name))
        pid = self.child(lambda: kind.take(ident, 0))
        waits = waits_or_has_ended(pid, kind)
        had = time.monotonic()
        self.pause()
        self.used_by_the_dead(kind, name, kind.give)
        if not self.ended(pid, f'{kind.directory} waited for') and waits != 'ended':
            self.was_removed(f'{kind.directory}/{ident}', began, had, 'waited for')

    def leave_a_message(self, kind, name):
        if kind is Queue:
            Queue.leave_a_message(self, name)
            self.done['mqueue message left'] += 1
            return
        began = time.monotonic()
        if not self.used_by_the_dead(Messages, name, Messages.give):
            return
        ident, had = Messages.get(self.key(name)), time.monotonic()
        self.pause()
        self.still_there(Messages, ident, began, had, 'with a message in it')
        check(self.used_by_the_dead(Messages, name, Messages.take), 'the message is there')
        self.done['msg message left'] += 1

    def act(self, action, kind, own):
        name = self.random.choice(NAMES)
        try:
            action(kind, f'{name}.{self.number}' if own else name)
        except Late:
            self.done[f'{kind.directory} late'] += 1

    def run(self):
        """Each of the actions comes up in each round, and there are as many rounds as time allows."""
        actions = [(a, kind, False) for kind in OPENED.values() for a in
                   2 * [self.create, self.open, self.send, self.send, self.receive, self.receive,
                        self.remove]]
        actions += [(self.hold, kind, False) for kind in BY_KEY]
        actions += [(self.wait, kind, True) for kind in BY_KEY]
        actions += [(self.leave_a_message, kind, True) for kind in (Queue, Messages)]
        while True:
            self.random.shuffle(actions)
            for action in actions:
                self.act(*action)
            if time.monotonic() > self.deadline:
                return self.done


def waits_or_has_ended(pid, kind):
    """'waits' or 'ended'. Of a child that does neither for LOOKS looks it is said that it hangs: the
    limit is no time, for on a machine that gives these processes no turn time passes all the same."""
    for _ in range(LOOKS):
        if has_ended(pid):
            return 'ended'
        if waits_in(pid, kind):
            return 'waits'
        time.sleep(0.01)
    raise AssertionError(f'{kind.directory}: {pid} neither waits nor has ended')


def has_ended(pid):
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def waits_in(pid, kind):
    return read(f'/proc/{pid}/syscall').split(b' ')[0] in kind.waits_in


def clean(t, places, removals, deadline):
    """Removes everything in those directories that may go, again and again."""
    done, again = collections.Counter(), True
    while again:
        again = time.monotonic() < deadline
        for place in places:
            for kind in KINDS:
                for name in os.listdir(place / kind):
                    remove(place / kind / name, f'{kind}/{name}', removals, done)
    return done


def remove(path, name, removals, done):
    removals.begin(name)
    kind = name.split('/')[0]
    try:
        os.rmdir(path)
        removals.end(name, True)
        done[f'{kind} removed'] += 1
    except OSError as error:
        removals.end(name, False)
        done[f'{kind} {errno.errorcode[error.errno]}'] += 1


def started(function):
    """A process that runs the function: its pid, and where it tells the result."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            told = dict(function())
        except BaseException as error:  # it must not return into the parent's code
            traceback.print_exc()
            told = {'error': repr(error)}
        os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    return pid, reading


def ended(pid, reading):
    with os.fdopen(reading, 'rb') as told:
        facts = json.loads(told.read())
    os.waitpid(pid, 0)
    check('error' not in facts, facts.get('error'))
    return facts


def run_all(t, deadline):
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(WORKERS)]
    for pair in pairs:
        for end in pair:
            end.setblocking(False)
    places = [os.fspath(t.shm), os.fspath(t.root)]
    removals = [Removals(), Removals()]
    running = [started(lambda: clean(t, [t.meta / 'idle'], removals[0], deadline)),
               started(lambda: clean(t, [t.meta, t.meta / 'idle'], removals[1], deadline))]
    for i in range(WORKERS):
        ends = [pairs[n][0] if n == i else pairs[n][1] for n in range(WORKERS)]
        running.append(started(Worker(i, ends, places, removals, deadline).run))
    total = collections.Counter()
    for process in running:
        total.update(ended(*process))
    for pair in pairs:  # with what is still on its way
        for end in pair:
            end.close()
    return total


WANTED = [f'{kind} {what}' for kind in OPENED for what in
          ('created', 'opened', 'sent', 'received', 'its own removed', 'removed')]
WANTED += [f'{kind} {what}' for kind in ('msg', 'sem') for what in ('used', 'removed')]
WANTED += ['msg waited for', 'sem waited for'] if X86_64 else []
WANTED += ['mqueue message left', 'msg message left']
ROUNDS = 20  # of them, for a machine on which a process that was started has no turn for long


@ipc_test
def no_process_loses_an_item(t):
    seconds = float(os.environ.get('SHMTREE_CLEANER_SECONDS', '2'))
    total = run_all(t, time.monotonic() + seconds)
    for _ in range(ROUNDS):
        if any(not total[what] for what in WANTED):
            total.update(run_all(t, time.monotonic()))

    def all_gone():
        total.update(clean(t, [t.meta / 'idle'], Removals(), 0))
        return not any(os.listdir(t.meta / kind) for kind in ('posix', 'sysv', 'mqueue'))
    eventually(all_gone, 'what no process has is removed', patience=20 * PATIENCE)
    for what, count in sorted(total.items()):
        print(f'{count:10} {what}')
    equal([what for what in WANTED if not total[what]], [], 'what did not come up')
