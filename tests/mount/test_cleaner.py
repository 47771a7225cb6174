# SPDX-License-Identifier: GPL-2.0-or-later
"""Eight processes create, open, send, map and unlink objects, and a cleaner removes whatever is idle:
no process ever loses an object that it has, or that is on its way to it.

SHMTREE_CLEANER_SECONDS says how long; 2 by default."""
import array
import collections
import errno
import json
import mmap
import os
import random
import socket
import time

from harness import MOUNTED, check, eventually, test

WORKERS = 8
NAMES = [f'o{i}' for i in range(24)]


class Lost(Exception):
    pass


class Worker:
    """Workers unlink only what is theirs alone: so an object of the common names that has no name any
    more was removed by the cleaner, and whoever has it must never find it so."""

    def __init__(self, number, ends, places, deadline):
        self.number, self.places, self.deadline = number, places, deadline
        self.receiver, self.sender = ends[number], ends[(number + 1) % WORKERS]
        self.random = random.Random(number)
        self.done = collections.Counter()

    def path(self, name):
        return os.path.join(self.random.choice(self.places), name)

    def still_there(self, fd, name, when):
        if os.fstat(fd).st_nlink == 0:
            raise Lost(f'{name} lost {when}')

    def use(self, fd, name, when):
        self.still_there(fd, name, when)
        with mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapped:
            held = os.dup(fd)
            os.close(fd)
            self.still_there(held, name, f'{when}, mapped')
            os.close(held)  # the mapping alone has it now
            time.sleep(self.random.random() / 2000)
            check(len(mapped) == mmap.PAGESIZE, 'mapped')
        self.done[when] += 1

    def create(self, name):
        try:
            fd = os.open(self.path(name), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        self.still_there(fd, name, 'at once')
        os.pwrite(fd, b'c', mmap.PAGESIZE - 1)
        self.use(fd, name, 'created')

    def open(self, name):
        try:
            fd = os.open(self.path(name), os.O_RDWR)
        except FileNotFoundError:
            return
        if os.fstat(fd).st_nlink == 0:  # opened in the gap that the manual tells of
            self.done['gone when opened'] += 1
            os.close(fd)
        elif os.fstat(fd).st_size == 0:
            os.close(fd)
        else:
            self.use(fd, name, 'opened')

    def send(self, name):
        """The descriptor is in the socket's queue alone until the next worker takes it."""
        try:
            fd = os.open(self.path(name), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):  # removed meanwhile, on the mount
                return
            raise
        if os.fstat(fd).st_nlink > 0:
            os.pwrite(fd, b'c', mmap.PAGESIZE - 1)
            try:
                self.sender.sendmsg([name.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                                       array.array('i', [fd]))])
                self.done['sent'] += 1
            except BlockingIOError:
                pass
        os.close(fd)

    def receive(self, _name):
        try:
            name, fds, _, _ = socket.recv_fds(self.receiver, 64, 1)
        except BlockingIOError:
            return
        self.use(fds[0], name.decode(), 'received')

    def unlink(self, name):
        own = f'{name}.{self.number}'
        fd = os.open(self.path(own), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(fd, mmap.PAGESIZE)
        self.use(fd, own, 'mapped')
        try:
            os.unlink(self.path(own))
            self.done['unlinked'] += 1
        except FileNotFoundError:  # the cleaner came first: nobody had it any more
            pass

    def run(self):
        actions = [self.create, self.open, self.send, self.send, self.receive, self.receive,
                   self.unlink]
        while time.monotonic() < self.deadline:
            self.random.choice(actions)(self.random.choice(NAMES))
        return self.done


def clean(t, deadline):
    """Removes everything that is idle, again and again."""
    done, again = collections.Counter(), True
    while again:
        again = time.monotonic() < deadline
        for name in os.listdir(t.meta / 'posix'):
            try:
                os.rmdir(t.meta / 'posix' / name)
                done['removed'] += 1
            except OSError as error:
                done[errno.errorcode[error.errno]] += 1
    return done


def started(function):
    """A process that runs the function: its pid, and where it tells the result."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            told = dict(function())
        except BaseException as error:  # it must not return into the parent's code
            told = {'error': repr(error)}
        os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    return pid, reading


@test(MOUNTED)
def no_process_loses_an_object(t):
    seconds = float(os.environ.get('SHMTREE_CLEANER_SECONDS', '2'))
    deadline = time.monotonic() + seconds
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(WORKERS)]
    for pair in pairs:
        for end in pair:
            end.setblocking(False)
    places = [os.fspath(t.shm), os.fspath(t.root)]
    running = []
    for i in range(WORKERS):
        ends = [pairs[n][0] if n == i else pairs[n][1] for n in range(WORKERS)]
        running.append(started(Worker(i, ends, places, deadline).run))
    running.append(started(lambda: clean(t, deadline)))
    total = collections.Counter()
    for pid, reading in running:
        with os.fdopen(reading, 'rb') as told:
            facts = json.loads(told.read())
        os.waitpid(pid, 0)
        check('error' not in facts, facts.get('error'))
        total.update(facts)
    for pair in pairs:  # with what is still on its way
        for end in pair:
            end.close()

    def all_gone():
        total.update(clean(t, 0))
        return not os.listdir(t.shm)
    eventually(all_gone, 'what nobody has is removed')
    print(dict(total))
    for what in 'created', 'opened', 'sent', 'received', 'removed', 'EBUSY':
        check(total[what] > 0, f'{what}: {dict(total)}')
