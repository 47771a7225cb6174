# SPDX-License-Identifier: GPL-2.0-or-later
"""More happens at once than the kernel keeps for the daemon, or the daemon for a reader."""
import os
import pathlib
import signal

from harness import MOUNTED, check, equal, eventually, test, write
from test_history import info, known
from test_replay import Replay, compare, inodes_now
from watching import Reader, in_child, needs_fanotify, next_tick

QUEUE = '/proc/sys/fs/fanotify/max_queued_events'


def make(path, size=0):
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    if size:
        os.ftruncate(fd, size)
    os.close(fd)


def some_of_all(shm, count):
    """More records than the queue takes; what is done last is lost for certain."""
    for i in range(count):
        make(shm / f'many-{i}')
    for i in range(0, count, 3):
        os.unlink(shm / f'many-{i}')
    os.truncate(shm / 'longer', 12345)
    os.unlink(shm / 'gone')
    make(shm / 'other', 77)
    os.rename(shm / 'other', shm / 'replaced')
    os.rename(shm / 'moved', shm / 'elsewhere')
    os.unlink(shm / 'again')
    make(shm / 'again', 5)


@test(MOUNTED)
def the_kernels_queue_overflows(t):
    """The daemon gets no processor meanwhile. Readers are told once, and then what is different."""
    needs_fanotify(t)
    count = int(pathlib.Path(QUEUE).read_text()) + 1000
    if count > 60000:
        count = 0
    check(count, f'{QUEUE} is as usual')
    replay = Replay()
    for name in 'longer', 'gone', 'replaced', 'moved', 'again', 'stays':
        make(t.shm / name, 1)
    for name, inode in inodes_now(t).items():
        replay.names[name], replay.sizes[inode] = inode, 1
    with Reader(t) as reader, Reader(t) as second:
        make(t.shm / 'before', 3)
        equal(known(t, 'created', 'before')['pid'], os.getpid())
        t.settle()
        t.daemon.send_signal(signal.SIGSTOP)
        try:
            in_child(lambda: some_of_all(t.shm, count))
        finally:
            t.daemon.send_signal(signal.SIGCONT)
        compare(t, reader, replay)
        equal(replay.lost, 1, 'one event tells of it')
        second.until(lambda e: e['event'] == 'lost', 'the other reader is told')
        check(replay.by_nobody >= 6, 'what is found by a list is told by nobody')
        # What is not certain any more is not said; what comes after that is whole again.
        eventually(lambda: info(t, 'before')['created'] is None, 'a first name may have been lost')
        next_tick()
        pid = in_child(lambda: make(t.shm / 'after'))
        equal(known(t, 'created', 'after')['pid'], pid)
        compare(t, reader, replay)
        equal(replay.lost, 1)
        nobody = replay.by_nobody
        pid = in_child(lambda: os.rename(t.shm / 'after', t.shm / 'stays'))
        compare(t, reader, replay)
        equal(replay.by_nobody, nobody, 'and who does it is known')
    write(t.root / 'z', b'1')


@test(MOUNTED)
def a_burst_is_told_whole_or_its_loss(t):
    """A hundred thousand events: created, opened, closed, removed; the reader reads afterwards."""
    needs_fanotify(t)
    count = 25000

    def burst():
        for i in range(count):
            make(t.shm / f'b{i}')
            os.unlink(t.shm / f'b{i}')
    with Reader(t) as reader:
        in_child(burst)
        reader.until_told(t)
        told = [(e['event'], e['name']) for e in reader.all if e.get('kind') == 'posix' and e['name'][0] == 'b']
        lost = [e for e in reader.all if e['event'] == 'lost']
        for event in 'created', 'removed':
            names = [name for what, name in told if what == event]
            equal(len(names), len(set(names)), f'{event}: each once')
            check(lost or len(names) == count, f'{event}: {len(names)} of {count}, and no loss is told')
        print(f'{len(told)} events told, losses: {[e["lost"] for e in lost]}')
