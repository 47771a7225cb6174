# SPDX-License-Identifier: GPL-2.0-or-later
"""Segments of other IPC namespaces and of another /dev/shm are not mixed up with ours."""
import contextlib
import ctypes
import errno
import mmap
import os
import socket

from harness import (CLONE_NEWNS, MS_BIND, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_REC, as_user, call, check,
                     equal, eventually, fails, opened, read, table, write)
from ipc import (Attached, CLONE_NEWIPC, Child, OTHER, attribute, ipc_test, map_alone,
                 new_segment, shm_remove)
from mounts import unmount

PAGE = mmap.PAGESIZE


class Elsewhere:
    """What a container is to us: a process in namespaces of its own, with a segment of the same ID
    and an object of the same name as ours."""

    def __init__(self, name='object', shmid=0):
        self.name = name
        self.shmid = shmid

    def __call__(self):
        call('unshare', CLONE_NEWIPC | CLONE_NEWNS)
        call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
        call('mount', 'shm', '/dev/shm', b'tmpfs', MS_NOSUID | MS_NODEV, b'size=1m')
        write(f'/dev/shm/{self.name}', b'elsewhere')
        write('/dev/shm/deleted', b'gone there')
        held = [map_alone('/dev/shm/deleted', PAGE), map_alone(f'/dev/shm/{self.name}', PAGE),
                Attached(self.segment())]
        os.unlink('/dev/shm/deleted')
        return held

    def segment(self):
        """The kernel counts IDs upwards; the daemon's self-test has used the first one of ours."""
        while (shmid := new_segment(2 * PAGE, b'segment elsewhere')) < self.shmid:
            shm_remove(shmid)
        return shmid


def realms_of(t, child):
    ipc = os.stat(f'/proc/{child.pid}/ns/ipc').st_ino
    dev = os.stat(f'/proc/{child.pid}/root/dev/shm').st_dev
    return (t.meta / 'namespaces' / f'ipc-{ipc}',
            t.meta / 'namespaces' / f'shm-{os.major(dev)}:{os.minor(dev)}')


@ipc_test
def each_has_its_own(t):
    ours = new_segment(PAGE, b'segment here')
    write(t.shm / 'object', b'here')
    with Child(Elsewhere(shmid=ours)) as child, Attached(ours):
        ipc, shm = realms_of(t, child)
        check({ipc.name, shm.name} <= set(os.listdir(t.meta / 'namespaces')), 'both are listed')
        equal(sorted(os.listdir(ipc)),
              ['limits', 'mqueue', 'msg', 'segments', 'segments.json', 'segments.jsonl', 'sem', 'sysv'])
        equal(sorted(os.listdir(shm)),
              ['limits', 'nested', 'posix', 'segments', 'segments.json', 'segments.jsonl', 'unlinked'])

        equal(os.listdir(ipc / 'sysv'), [str(ours)], 'the same ID')
        for place, size, content in ((t.meta, PAGE, b'segment here'),
                                     (ipc, 2 * PAGE, b'segment elsewhere')):
            here = place / 'sysv' / str(ours)
            equal(os.stat(here / 'data').st_size, size)
            equal(read(here / 'data')[:len(content)], content)
            equal((attribute(here, 'mappings'), attribute(here, 'nattch')), ('1', '1'))
        rows = table(read(ipc / 'sysv' / str(ours) / 'mappers'))[0]
        equal([r['PID'] for r in rows], [b'%d' % child.pid])

        equal(os.listdir(shm / 'posix'), ['object'])
        equal(read(shm / 'posix' / 'object' / 'data'), b'elsewhere')
        equal(read(t.meta / 'posix' / 'object' / 'data'), b'here')
        equal(attribute(shm / 'posix' / 'object', 'mappings'), '1')
        equal(attribute(t.meta / 'posix' / 'object', 'mappings'), '0')
        unlinked = os.listdir(shm / 'unlinked')
        equal(len(unlinked), 1)
        equal(read(shm / 'unlinked' / unlinked[0] / 'data'), b'gone there')
        check(not [n for n in os.listdir(t.meta / 'unlinked') if 'deleted' in n], 'not among ours')

        kinds = [(r['KIND'], r['ID']) for r in table(read(t.meta / 'segments'))[0]
                 if r['KIND'] in (b'sysv', b'posix')]
        equal(sorted(kinds), [(b'posix', b'object'), (b'sysv', b'%d' % ours)])
        equal([r['SIZE'] for r in table(read(ipc / 'segments'))[0]], [b'%d' % (2 * PAGE)])
        check(int(t.status()['other_ipc_namespaces']) >= 1, 'status counts them')
    # The kernel uses the number again, and another test may have it for a while.
    eventually(lambda: ipc.name not in os.listdir(t.meta / 'namespaces'), 'gone with its processes')
    eventually(lambda: not (ipc / 'sysv').exists(), 'and so is what was in it')


@ipc_test
def they_are_read_only(t):
    with Child(Elsewhere()) as child:
        ipc, shm = realms_of(t, child)
        theirs = ipc / 'sysv' / os.listdir(ipc / 'sysv')[0]
        unlinked = shm / 'unlinked' / os.listdir(shm / 'unlinked')[0]
        for data in theirs / 'data', shm / 'posix' / 'object' / 'data', \
                unlinked / 'data':
            for change in (lambda: os.open(data, os.O_RDWR), lambda: os.open(data, os.O_WRONLY),
                           lambda: os.truncate(data, 0), lambda: os.chmod(data, 0o666),
                           lambda: os.chown(data, OTHER, OTHER), lambda: os.utime(data),
                           lambda: os.setxattr(data, 'trusted.x', b'x'),
                           lambda: os.rmdir(data.parent)):
                fails(errno.EROFS, change)
        fails(errno.EROFS, os.mkdir, ipc / 'sysv' / 'private:1')
        equal(read(f'/proc/{child.pid}/root/dev/shm/object'), b'elsewhere')
        equal(read(theirs / 'data')[:7], b'segment')
        if t.shared_mmap:
            with opened(shm / 'posix' / 'object' / 'data', os.O_RDONLY) as fd, \
                    mmap.mmap(fd, 9, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
                equal(mapped[:4], b'else')
                equal(attribute(shm / 'posix' / 'object', 'mappings'), '2')


@ipc_test
def an_open_file_of_theirs_does_not_keep_the_namespace(t):
    with Child(Elsewhere()) as child:
        ipc, shm = realms_of(t, child)
        read(ipc / 'sysv' / '0' / 'key')
        fd = os.open(ipc / 'sysv' / '0' / 'data', os.O_RDONLY)

        def held():
            for number in os.listdir(f'/proc/{t.daemon.pid}/fd'):
                with contextlib.suppress(FileNotFoundError):  # others come and go
                    yield os.readlink(f'/proc/{t.daemon.pid}/fd/{number}')
        eventually(lambda: not any(n.startswith('ipc:') for n in held()), 'the daemon holds no namespace')
        equal(len(os.listdir(shm / 'posix')), 1)
    equal(os.pread(fd, 7, 0), b'segment')
    os.close(fd)


@ipc_test
def they_are_for_root_alone(t):
    os.chmod(t.private, 0o755)
    equal(as_user(OTHER, OTHER, lambda: os.listdir(t.meta / 'namespaces')), errno.EACCES)
    with Child(Elsewhere()) as child:
        ipc, _ = realms_of(t, child)
        equal(as_user(OTHER, OTHER, lambda: os.stat(ipc / 'limits')), errno.EACCES)
    for name in ('x', 'ipc-1', 'ipc-0', 'shm-0:0', 'ipc-04026531839'):
        fails(errno.ENOENT, os.stat, t.meta / 'namespaces' / name)
    fails(errno.EPERM, os.mkdir, t.meta / 'namespaces' / 'x')
    own = os.stat('/proc/self/ns/ipc').st_ino
    fails(errno.ENOENT, os.stat, t.meta / 'namespaces' / f'ipc-{own}')


@ipc_test
def a_process_that_moved_keeps_what_it_attached(t):
    """It has a segment of its old namespace, and is in ours: its bytes are never taken for ours."""
    ours = new_segment(PAGE, b'ours')
    home = os.open('/proc/self/ns/ipc', os.O_RDONLY)

    def moved():
        call('unshare', CLONE_NEWIPC)
        held = Attached(new_segment(PAGE, b'theirs'))
        check(ctypes.CDLL(None).setns(home, CLONE_NEWIPC) == 0, 'setns')
        return held

    with Child(moved):
        equal(read(t.meta / 'sysv' / str(ours) / 'data')[:6], b'ours\0\0')
        equal(attribute(t.meta / 'sysv' / str(ours), 'nattch'), '0')
    os.close(home)


def leave_a_namespace(keep):
    """Returns the number of a segment in an IPC namespace without processes, and of the namespace, which what
    `keep` did keeps."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            call('unshare', CLONE_NEWIPC)
            shmid = new_segment(2 * PAGE, b'left behind')
            keep()
            os.write(tell, b'%d %d' % (shmid, os.stat('/proc/self/ns/ipc').st_ino))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(tell)
    with open(ready, 'rb') as answer:
        return answer.read().decode().split()


def see_what_was_left(t, shmid, number):
    name = f'ipc-{number}'
    check(name in os.listdir(t.meta / 'namespaces'), 'it is listed')
    here = t.meta / 'namespaces' / name
    equal(os.listdir(here / 'sysv'), [shmid])
    equal(read(here / 'sysv' / shmid / 'data')[:11], b'left behind')
    t.settle()  # or the mount has it open
    equal(attribute(here / 'sysv' / shmid, 'nattch'), '0')
    equal(attribute(here / 'sysv' / shmid, 'state'), 'idle')
    row, = table(read(here / 'segments'))[0]
    equal((row['ID'], row['SIZE']), (shmid.encode(), b'%d' % (2 * PAGE)))
    equal(as_user(OTHER, OTHER, lambda: os.stat(here / 'sysv')), errno.EACCES)
    return name


@ipc_test
def one_that_a_bind_mount_keeps(t):
    """No process is in it: as container engines pin namespaces."""
    place = t.private / 'pinned'
    write(place, b'')
    shmid, number = leave_a_namespace(lambda: call('mount', '/proc/self/ns/ipc', place, 0, MS_BIND, 0))
    name = see_what_was_left(t, shmid, number)
    unmount(place)  # the daemon has let go of it
    eventually(lambda: name not in os.listdir(t.meta / 'namespaces'), 'gone with the mount')


def keep_by_a_descriptor(t):
    here, there = socket.socketpair()
    shmid, number = leave_a_namespace(
        lambda: socket.send_fds(there, [b'x'], [os.open('/proc/self/ns/ipc', os.O_RDONLY)]))
    _, (fd,), _, _ = socket.recv_fds(here, 1, 1)
    name = see_what_was_left(t, shmid, number)
    os.close(fd)
    eventually(lambda: name not in os.listdir(t.meta / 'namespaces'), 'gone with the descriptor')


@ipc_test
def one_that_a_descriptor_keeps(t):
    keep_by_a_descriptor(t)


@ipc_test
def one_that_a_descriptor_keeps_as_procfs_shows(t):
    t.stop()
    t.start('-o', 'census=text,object_census=off')
    keep_by_a_descriptor(t)
