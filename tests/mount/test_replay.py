# SPDX-License-Identifier: GPL-2.0-or-later
"""Several processes make, resize, rename, link and remove objects, through the mount and beside it: who replays
`events` has what is there, names, inode numbers and sizes, each time that they pause.

    SHMTREE_REPLAY_SECONDS=3600 tests/mount/run --timeout 4200 --verbose replay.

is an hour of it; 2 seconds by default, and with SHMTREE_REPLAY_NAP, in seconds, a process naps so long after
each call."""
import contextlib
import json
import os
import random
import signal
import time

from harness import (MOUNTED, PATIENCE, check, die_with_parent, equal, eventually, read, rename2, table, test,
                     RENAME_EXCHANGE, RENAME_NOREPLACE)
from watching import Reader, needs_fanotify

NAMES = [f'n{i}' for i in range(8)]
BETWEEN = 1.0  # seconds from one pause to the next


class Replay:
    """What the events that were told so far leave."""

    def __init__(self):
        self.names, self.sizes = {}, {}  # name: inode number; that: bytes
        self.told, self.by_nobody, self.lost = 0, 0, 0

    def add(self, e):
        if e['event'] == 'lost':
            self.lost += 1
            check(e['lost'] is None, f'the reader was too slow: {e}')
        if e.get('kind') != 'posix' or e['event'] not in ('created', 'resized', 'renamed', 'removed'):
            return
        name, inode = e['name'], e['inode']
        self.told += 1
        self.by_nobody += e['pid'] is None
        if e['event'] == 'removed':
            if self.names.get(name) == inode:
                del self.names[name]
        elif e['event'] == 'renamed':
            if self.names.get(e['from']) == inode:
                del self.names[e['from']]
            self.names[name] = inode
        elif e['event'] == 'created':
            self.names[name] = inode
        if e['size'] is not None:
            self.sizes[inode] = e['size']

    def objects(self):
        return {name: self.sizes.get(inode) for name, inode in self.names.items()}


def replayed(events):
    replay = Replay()
    for e in events:
        replay.add(e)
    return replay


def objects_now(t):
    rows, _ = table(read(t.meta / 'segments'))
    return {r['ID'].decode(): int(r['SIZE']) for r in rows if r['KIND'] == b'posix' and r['NAME'] == r['ID']}


def inodes_now(t):
    return {entry.name: entry.inode() for entry in os.scandir(t.shm) if entry.is_file()}


def resize(rng, path):
    with open(path, 'ab', buffering=0) as file:
        file.truncate(rng.randrange(1 << 20))


def one_call(rng, root):
    """Some of them by names in another directory."""
    a, b = (root / rng.choice(NAMES) for _ in range(2))
    elsewhere = root / 'directory' / rng.choice(NAMES)
    rng.choice((
        lambda: resize(rng, a),
        lambda: resize(rng, b),
        lambda: os.truncate(a, rng.randrange(1 << 20)),
        lambda: os.close(os.open(a, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)),
        lambda: os.rename(a, b),
        lambda: rename2(a, b, rng.choice((RENAME_EXCHANGE, RENAME_NOREPLACE))),
        lambda: os.link(a, b),
        lambda: os.unlink(a),
        lambda: os.rename(a, elsewhere),
        lambda: os.rename(elsewhere, a),
        lambda: os.link(a, elsewhere),
        lambda: os.link(elsewhere, a),
        lambda: os.truncate(elsewhere, rng.randrange(1 << 20)),
        lambda: os.unlink(elsewhere),
    ))()


def work(root, seed, nap):
    """Until it is told to end; SIGUSR1 makes it pause, between two calls, until SIGUSR2."""
    rng = random.Random(seed)
    while True:
        if signal.SIGUSR1 in signal.sigpending():
            signal.sigwait({signal.SIGUSR1})
            os.kill(os.getppid(), signal.SIGUSR2)
            signal.sigwait({signal.SIGUSR2})
        with contextlib.suppress(OSError):
            one_call(rng, root)
        if nap:
            time.sleep(nap)


@contextlib.contextmanager
def workers(roots):
    """Their processes, which end with the block."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
    nap = float(os.environ.get('SHMTREE_REPLAY_NAP', '0'))
    pids = []
    try:
        for seed, root in enumerate(roots):
            pid = os.fork()
            if pid == 0:
                die_with_parent()
                try:
                    work(root, seed + int(time.time()), nap)
                finally:
                    os._exit(1)
            pids.append(pid)
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def pause(pids):
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)
        check(signal.sigtimedwait({signal.SIGUSR2}, PATIENCE), f'process {pid} pauses')


def compare(t, reader, replay):
    def same():
        while reader.more():
            pass
        for e in reader.all:
            replay.add(e)
        reader.all.clear()
        return (replay.names, replay.objects()) == (inodes_now(t), objects_now(t))
    try:
        eventually(same, 'the events add up')
    except AssertionError as error:
        raise AssertionError(f'{error}: {replay.names} {replay.objects()}\n'
                             f'there is: {inodes_now(t)} {objects_now(t)}') from error


@test(MOUNTED)
def the_events_add_up_to_what_is_there(t):
    needs_fanotify(t)
    (t.shm / 'directory').mkdir()
    deadline = time.monotonic() + float(os.environ.get('SHMTREE_REPLAY_SECONDS', '2'))
    replay, pauses = Replay(), 0
    with Reader(t) as reader, workers((t.shm, t.root, t.shm, t.root)) as pids:
        while True:
            until = min(deadline, time.monotonic() + BETWEEN)
            while time.monotonic() < until:
                for e in reader.all:
                    replay.add(e)
                reader.all.clear()
                if not reader.more():
                    time.sleep(0.005)
            pause(pids)
            compare(t, reader, replay)
            pauses += 1
            if time.monotonic() >= deadline:
                break
            for pid in pids:
                os.kill(pid, signal.SIGUSR2)
    print(f'{replay.told} events, {replay.by_nobody} by nobody, {replay.lost} losses of the kernel\'s; '
          f'{pauses} comparisons, all equal')
    check(replay.told > 0, 'something has happened')


@test(MOUNTED, ('-o', 'log=100000'))
def the_log_adds_up_to_what_is_there(t):
    """By several processes, outside and through the mount, on the same few names."""
    needs_fanotify(t)
    (t.shm / 'directory').mkdir()
    children = []
    for seed, root in enumerate((t.shm, t.root, t.shm, t.root)):
        pid = os.fork()
        if pid == 0:
            rng = random.Random(seed)
            for _ in range(400):
                with contextlib.suppress(OSError):
                    one_call(rng, root)
            os._exit(0)
        children.append(pid)
    for pid in children:
        equal(os.waitpid(pid, 0)[1], 0, 'status of a child')

    def same():
        replay = replayed(map(json.loads, read(t.meta / 'log').splitlines()))
        return replay.lost == 0 and (replay.names, replay.objects()) == (inodes_now(t), objects_now(t))
    eventually(same, 'the log adds up')
