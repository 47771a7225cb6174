# SPDX-License-Identifier: GPL-2.0-or-later
"""What could not be seen is said; a count is never smaller in silence."""
import errno
import json
import mmap
import os
import resource
import signal

from harness import (CLONE_NEWNS, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_REC, Mapper, Tree, call, check, equal,
                     eventually, fails, need_passthrough, opened, read, skip, test, write)
from ipc import Child, ipc_test, map_alone, memfd, new_segment
from shortage import lacks_descriptors_for, without_descriptors
from strangers import in_pid_namespace

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


def counts_through_another_mount(t, backend):
    """What goes through another daemon's mount of the same tmpfs is its users', not the daemon's."""
    other = Tree('auto')
    other.root = t.private / 'other'
    other.root.mkdir()
    options = ('-o', f'census={backend}')
    t.start(*options)
    need_passthrough(t)
    other.start(*options)
    write(t.shm / 'o', bytes(PAGE))
    for here, there in ((t, other), (other, t)):
        with Mapper(there.root / 'o') as mapper:
            mapper('map 3')
            eventually(lambda: (here.number('o', 'mappings'), here.number('o', 'openers')) == (3, 1),
                       'through the other mount there are three mappings and one descriptor')
            equal(here.number('o', 'processes'), 1)
            equal({int(row['PID']) for row in here.rows('o', 'holders')}, {mapper.pid})
        here.becomes_idle('o')
    with open(t.shm / 'o', 'rb'):
        other.kill()
        call('umount2', other.root, 2)
        eventually(lambda: t.number('o', 'openers') == 1, 'a daemon that has ended serves nobody')
    t.becomes_idle('o')


@test(paths=('auto',), start=False)
def another_mount_is_counted_with_query(t):
    counts_through_another_mount(t, 'query')


@test(paths=('auto',), start=False)
def another_mount_is_counted_with_text(t):
    counts_through_another_mount(t, 'text')


@test(paths=('auto',), start=False)
def another_mount_is_counted_with_bpf(t):
    counts_through_another_mount(t, 'bpf')


def container_on(dev):
    """Its /dev/shm has that device number, which the kernel gives to the next that fits."""
    call('unshare', CLONE_NEWNS)
    call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
    call('mount', 'shm', '/dev/shm', b'tmpfs', MS_NOSUID | MS_NODEV, b'size=1m')
    while os.stat('/dev/shm').st_dev < dev:
        call('mount', 'shm', '/dev/shm', b'tmpfs', MS_NOSUID | MS_NODEV, b'size=1m')
    write('/dev/shm/used', bytes(PAGE))
    return map_alone('/dev/shm/used', PAGE)


@test(paths=('auto',), start=False)
def a_device_number_of_another_mount_is_used_again(t):
    """A daemon that has been unmounted, but has not ended, does not hide what has its number now."""
    other = Tree('auto')
    other.root = t.private / 'other'
    other.root.mkdir()
    t.start()
    need_passthrough(t)
    other.start()
    write(t.shm / 'o', bytes(PAGE))
    dev = os.stat(other.root).st_dev
    with Mapper(other.root / 'o') as mapper:
        mapper('map 1')
        eventually(lambda: t.number('o', 'mappings') == 1, 'the other mount is known')
    os.kill(other.daemon.pid, signal.SIGSTOP)
    call('umount2', other.root, 2)
    try:
        with Child(lambda: container_on(dev)) as child:
            if os.stat(f'/proc/{child.pid}/root/dev/shm').st_dev != dev:
                skip('something else has the number')
            used = t.meta / 'namespaces' / f'shm-{os.major(dev)}:{os.minor(dev)}' / 'posix/used'
            equal(read(used / 'mappings'), b'1\n', 'mappings while the other daemon stands still')
            other.kill()
            equal(read(used / 'mappings'), b'1\n', 'mappings after its end')
    finally:
        if other.daemon:
            other.kill()


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


@ipc_test
def a_directory_that_cannot_be_read_does_not_seem_empty(t):
    write(t.shm / 'o', b'')
    for path in t.root, t.meta / 'posix':
        def shows(path=path):
            names = os.listdir(path)
            check('o' in names, f'{path}: {names}')
        eventually(lambda act=shows: lacks_descriptors_for(t, act), f'{path} is refused')
        shows()


@ipc_test
def what_cannot_be_looked_at_has_not_gone(t):
    """A file that is open is opened anew, to see whether it still is the same: the daemon may lack a descriptor for that."""
    data = t.meta / 'sysv' / str(new_segment(PAGE, b'content')) / 'data'
    with opened(data, os.O_RDONLY) as fd:
        number = os.fstat(fd).st_ino

        def opens_again():
            with opened(f'/proc/self/fd/{fd}', os.O_RDONLY) as again:
                equal(os.fstat(again).st_ino, number)
        eventually(lambda: lacks_descriptors_for(t, opens_again), 'it is refused')
        opens_again()


@ipc_test
def who_may_read_memory_is_not_asked_of_an_old_census(t):
    """Whose memfd it is only the processes tell that have it."""
    name = f'silence-{os.getpid()}'
    with Child(lambda: memfd(name, b'content')):
        item, = (n for n in os.listdir(t.meta / 'unlinked') if name in n)
        data = t.meta / 'unlinked' / item / 'data'
        with opened(data, os.O_PATH) as fd:
            with without_descriptors(t.daemon):
                fails(errno.EIO, os.open, f'/proc/self/fd/{fd}', os.O_RDONLY)
            equal(read(f'/proc/self/fd/{fd}'), b'content')


@ipc_test
def what_was_not_read_is_said(t):
    """By the last line of tables and a member in JSON, if and only if `status` has something to say."""
    def unread():
        status = t.status()
        return int(status['unreadable_processes']), 'invisible_processes' in status

    def consistent():
        """False if others came or went meanwhile."""
        processes, invisible = before = unread()
        lines = {path: [line.split(';')[0] for line in read(t.meta / path).decode().splitlines()
                        if line.startswith('# not read')]
                 for path in ('segments', 'processes', 'cgroups', 'posix/o/mappers', 'posix/o/holders')}
        members = {path: json.loads(read(t.meta / path))['incomplete']
                   for path in ('segments.json', 'processes.json', 'cgroups.json', 'posix/o/info.json')}
        if unread() != before:
            return False
        said = processes or invisible
        for path, line in lines.items():
            equal(line, [f'# not read: {processes} processes, 0 kinds'] if said else [], path)
        for path, member in members.items():
            equal(member, {'processes': processes, 'kinds': 0, 'invisible': invisible} if said
                  else None, path)
        return True

    write(t.shm / 'o', bytes(PAGE))
    with Child(lambda: map_alone(t.shm / 'o', PAGE)):
        eventually(consistent, 'nobody came or went')


@ipc_test
def a_pid_namespace_says_that_it_is_one(t):
    """A daemon that sees a part of the processes says so in each file that shows counts."""
    t.stop()

    def inside():
        t.start()
        write(t.shm / 'o', bytes(PAGE))
        for name in 'segments', 'processes', 'cgroups':
            lines = read(t.meta / name).decode().splitlines()
            check(any(line.startswith('# not read: ') for line in lines), f'{name}: {lines}')
            check(json.loads(read(t.meta / f'{name}.json'))['incomplete']['invisible'], f'{name} in JSON too')
        equal(read(t.meta / 'posix/o/state'), b'idle\n')  # the object itself proves it
        t.stop()
    in_pid_namespace(inside)
