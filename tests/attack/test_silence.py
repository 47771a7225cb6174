# SPDX-License-Identifier: GPL-2.0-or-later
"""What could not be seen is said; a count is never smaller in silence."""
import errno
import mmap
import os
import resource

from harness import (CLONE_NEWNS, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_REC, call, check, equal, read, test, write)
from ipc import Child, ipc_test, map_alone

PAGE = mmap.PAGESIZE
MANY = 40


def container():
    call('unshare', CLONE_NEWNS)
    call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
    call('mount', 'shm', '/dev/shm', b'tmpfs', MS_NOSUID | MS_NODEV, b'size=1m')
    write('/dev/shm/used', bytes(PAGE))
    return map_alone('/dev/shm/used', PAGE)


@ipc_test
def any_number_of_other_directories_is_counted(t):
    children = [Child(container) for _ in range(MANY)]
    try:
        for child in children:
            dev = os.stat(f'/proc/{child.pid}/root/dev/shm').st_dev
            here = t.meta / 'namespaces' / f'shm-{os.major(dev)}:{os.minor(dev)}' / 'posix/used'
            equal(read(here / 'mappings'), b'1\n', f'mappings in {here}')
            equal(read(here / 'state'), b'mapped\n')
    finally:
        for child in reversed(children):  # each has the pipes of those before it
            child.end()


def daemon_without_descriptors(t, backend):
    """Whatever a reading lacks descriptors for fails, or tells in the file that it is incomplete."""
    t.start('-o', f'census={backend}')
    write(t.shm / 'o', bytes(PAGE))
    here = t.meta / 'posix/o'
    with Child(lambda: map_alone(t.shm / 'o', PAGE)):
        equal(read(here / 'mappings'), b'1\n')
        used = max(int(fd) for fd in os.listdir(f'/proc/{t.daemon.pid}/fd')) + 1
        soft, hard = resource.prlimit(t.daemon.pid, resource.RLIMIT_NOFILE)
        for spare in range(0, 12):
            resource.prlimit(t.daemon.pid, resource.RLIMIT_NOFILE, (used + spare, hard))
            try:
                said = read(here / 'mappings')
            except OSError as error:
                check(error.errno in (errno.EIO, errno.EMFILE, errno.ENFILE), f'{error}')
                continue
            finally:
                resource.prlimit(t.daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
            equal(said, b'1\n', f'mappings with {spare} descriptors to spare')
        equal(read(here / 'mappings'), b'1\n')


@test(paths=('auto',), start=False)
def a_lack_of_descriptors_shows_with_query(t):
    daemon_without_descriptors(t, 'query')


@test(paths=('auto',), start=False)
def a_lack_of_descriptors_shows_with_text(t):
    daemon_without_descriptors(t, 'text')


@test(paths=('auto',), start=False)
def a_lack_of_descriptors_shows_with_bpf(t):
    daemon_without_descriptors(t, 'bpf')
