# SPDX-License-Identifier: GPL-2.0-or-later
"""What open files and listings cost the daemon, and that it gets it all back."""
import os
import resource

from harness import MOUNTED, check, equal, eventually, opened, read, test, write

MANY = 10_000


def descriptors(t):
    return len(os.listdir(f'/proc/{t.daemon.pid}/fd'))


def allow_descriptors(number):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(number, min(hard, 2 * number)), hard))


@test(MOUNTED)
def one_descriptor_for_each_open_object(t):
    allow_descriptors(MANY + 100)
    before = descriptors(t)
    fds = [os.open(t.root / f'n{i}', os.O_CREAT | os.O_RDWR) for i in range(MANY)]
    check(descriptors(t) <= before + MANY, f'{descriptors(t) - before} descriptors')
    os.pwrite(fds[-1], b'last', 0)
    equal(read(t.shm / f'n{MANY - 1}'), b'last')
    for fd in fds:
        os.close(fd)
    eventually(lambda: descriptors(t) == before, 'all are closed')


@test(MOUNTED)
def one_descriptor_for_each_access_mode(t):
    before = descriptors(t)
    write(t.root / 'a', b'12345')
    modes = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)
    fds = [os.open(t.root / 'a', mode) for mode in modes for _ in range(100)]
    eventually(lambda: descriptors(t) == before + len(modes), 'one descriptor for each')
    equal(os.pread(fds[0], 5, 0), b'12345')
    with opened(t.root / 'a', os.O_RDWR | os.O_TRUNC) as fd:
        equal(os.fstat(fds[0]).st_size, 0, 'size after O_TRUNC with the mode open already')
        equal(os.pwrite(fd, b'xyz', 0), 3)
    os.unlink(t.root / 'a')
    for fd in fds[100:]:
        os.close(fd)
    eventually(lambda: descriptors(t) == before + 1, 'only the one for reading is left')
    equal(os.pread(fds[99], 5, 0), b'xyz')
    os.fchmod(fds[99], 0o604)
    equal(os.fstat(fds[0]).st_mode & 0o777, 0o604)
    for fd in fds[:100]:
        os.close(fd)
    eventually(lambda: descriptors(t) == before, 'all are closed')
