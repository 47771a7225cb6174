# SPDX-License-Identifier: GPL-2.0-or-later
"""What a caller uses up is the caller's, and ends where the caller's own limits are."""
import errno
import os
import pathlib
import threading

from harness import MOUNTED, as_user, check, equal, eventually, fails, read, skip, test, write
from ipc import Child
from test_whose import remove_group

MIB = 1 << 20
LIMIT = 16 * MIB


class MemoryGroup:
    """A control group that may have so many bytes, by version 1 or 2; a process of this test joins it."""

    def __init__(self, size=LIMIT):
        name = f'shmtree-test-{os.getpid()}'
        first = pathlib.Path('/sys/fs/cgroup/memory')
        second = pathlib.Path('/sys/fs/cgroup')
        try:
            if (first / 'memory.limit_in_bytes').exists():
                self.path, limit, self.used = first / name, 'memory.limit_in_bytes', 'memory.usage_in_bytes'
            elif 'memory' in (second / 'cgroup.subtree_control').read_text().split():
                self.path, limit, self.used = second / name, 'memory.max', 'memory.current'
            else:
                skip('the root control group does not account for memory')
            self.path.mkdir()
        except OSError as error:
            skip(f'no control group can be made here: {error}')
        write(self.path / limit, str(size).encode())

    def join(self):
        write(self.path / 'cgroup.procs', b'0')

    def take_in(self, pid):
        write(self.path / 'cgroup.procs', str(pid).encode())

    def let_out(self, pid):
        write(self.path.parent / 'cgroup.procs', str(pid).encode())

    def charged(self):
        return int(read(self.path / self.used))

    def end(self):
        eventually(lambda: remove_group(self.path), 'the group is removed')


def allocate(path, size):
    fd = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)


@test()
def what_fallocate_takes_is_charged_to_the_caller(t):
    write(t.root / 'o', b'')
    group = MemoryGroup()
    try:
        before = group.charged()

        def work():
            group.join()
            allocate(t.root / 'o', LIMIT // 2)
            os.truncate(t.root / 'o', LIMIT)

        Child(work).end()
        equal(os.stat(t.root / 'o').st_blocks * 512, LIMIT // 2)
        check(group.charged() - before > LIMIT // 4, f'{group.charged() - before} bytes are charged')
    finally:
        os.unlink(t.root / 'o')
        group.end()


@test()
def a_limit_of_memory_ends_what_fallocate_takes(t):
    """The kernel ends a process of the group, which may be the one that calls."""
    write(t.root / 'o', b'')
    group = MemoryGroup()
    try:
        pid = os.fork()
        if pid == 0:
            try:
                group.join()
                allocate(t.root / 'o', 3 * LIMIT)
            except OSError:
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        check(status != 0, 'memory beyond the limit was had')
        check(os.stat(t.root / 'o').st_blocks * 512 <= LIMIT, 'no more than the limit is allocated')
    finally:
        os.unlink(t.root / 'o')
        group.end()


def read_all(path):
    with open(path, 'rb') as file:
        while file.read(MIB):
            pass


@test(MOUNTED)
def a_listing_ends_before_the_daemon_does(t):
    """In a control group of its own, with less memory than the names of all objects take."""
    if any(name in read(t.program) for name in (b'__asan_init', b'__tsan_init')):
        skip('a sanitizer takes more')
    for i in range(40_000):
        os.close(os.open(t.shm / f'{i:0240}', os.O_CREAT | os.O_RDWR))
    group = MemoryGroup(10 * MIB)
    try:
        group.take_in(t.daemon.pid)
        fails(errno.ENOMEM, read_all, t.meta / 'segments')
        for name in 'segments', 'segments.json', 'metrics', 'graph.dot', 'report.html':
            enough_or_not(t.meta / name)
        many_at_once(t)
        t.settle()  # the daemon has given up what the listings were
        t.becomes_idle(f'{0:0240}')
        group.let_out(t.daemon.pid)
        read_all(t.meta / 'segments')
    finally:
        group.let_out(t.daemon.pid)
        group.end()


def many_at_once(t):
    """Listings of several users, none of which knows what the others are about to take."""
    names = 'segments', 'segments.json', 'metrics', 'graph.dot', 'report.html', 'processes'
    results = []

    def ask(user, name):
        results.append(as_user(user, user, lambda: [enough_or_not(t.meta / name) for _ in range(2)]))
    os.chmod(t.private, 0o755)
    threads = [threading.Thread(target=ask, args=(7000 + i, names[i % len(names)]))
               for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(results, [0] * len(threads))


def enough_or_not(path):
    try:
        read_all(path)
    except OSError as error:
        equal(error.errno, errno.ENOMEM)
