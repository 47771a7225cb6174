# SPDX-License-Identifier: GPL-2.0-or-later
"""rmdir of an item's directory removes only what nothing uses, and for those who may remove it."""
import array
import ctypes
import errno
import mmap
import os
import signal
import socket
import subprocess

from harness import (MOUNTED, as_user, call, check, equal, eventually, fails, opened, read, run,
                     skip, test, write)
from ipc import Attached, Child, OTHER, USER, ipc_test, map_alone, new_segment, shm_stat
from test_ipc import checked, new_mqueue, new_msg, new_sem
from test_object import in_flight as socket_holds, need_objects
from uring import Ring

PAGE = mmap.PAGESIZE
PREFIX = '.shmtree-removing.'

_libc = ctypes.CDLL(None, use_errno=True)
SETVAL = 16


def in_flight(path):
    """A descriptor that only a message in a socket's queue holds."""
    ends = socket.socketpair(socket.AF_UNIX)
    with opened(path, os.O_RDONLY) as fd:
        ends[0].sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
    return ends


def privately(path):
    with opened(path, os.O_RDONLY) as fd:
        return mmap.mmap(fd, PAGE, mmap.MAP_PRIVATE, mmap.PROT_READ)


def looped(path):
    out = subprocess.run(['losetup', '-f', '--show', path], capture_output=True, check=False)
    return out.stdout.decode().strip() if out.returncode == 0 else None


USES = {
    'a descriptor to read': lambda p: os.fdopen(os.open(p, os.O_RDONLY)),
    'a descriptor to write': lambda p: os.fdopen(os.open(p, os.O_WRONLY), 'w'),
    'a descriptor for both': lambda p: os.fdopen(os.open(p, os.O_RDWR), 'r+b', buffering=0),
    'a private mapping': privately,
    'a socket': in_flight,
}


@test(MOUNTED)
def an_object_in_use_stays(t):
    here = t.meta / 'posix' / 'x'
    for where in t.shm, t.root:
        for name, use in USES.items():
            write(t.shm / 'x', b'x' * PAGE)
            before = os.stat(t.shm / 'x')
            with Child(lambda: use(where / 'x')):
                fails(errno.EBUSY, os.rmdir, here)
                after = os.stat(t.shm / 'x')
                equal((after.st_ino, after.st_mode, after.st_uid, after.st_mtime_ns),
                      (before.st_ino, before.st_mode, before.st_uid, before.st_mtime_ns), name)
                equal(os.listdir(t.shm), ['x'], name)
            t.settle()
            eventually(lambda: removed(here), f'{where}: removed after {name}')
            equal(os.listdir(t.shm), [], name)


def removed(directory):
    """What is closed through the mount, the daemon has closed a moment later."""
    try:
        os.rmdir(directory)
    except OSError as error:
        equal(error.errno, errno.EBUSY)
        return False
    return True


@test(MOUNTED)
def a_mapping_alone_keeps_an_object(t):
    write(t.shm / 'x', b'x' * PAGE)
    with Child(lambda: map_alone('/dev/shm/x', PAGE)):
        fails(errno.EBUSY, os.rmdir, t.meta / 'posix' / 'x')
        equal(read(t.shm / 'x'), b'x' * PAGE)
    # Somebody else may have looked at the process as it ended, and so kept its memory for a moment.
    eventually(lambda: removed(t.meta / 'posix' / 'x'), 'removed when the mapping is gone')


@test(MOUNTED)
def a_loop_device_keeps_an_object(t):
    run('truncate', '-s', '1M', t.shm / 'disk')
    device = looped('/dev/shm/disk')
    if not device:
        skip('no loop device to be had here')
    try:
        fails(errno.EBUSY, os.rmdir, t.meta / 'posix' / 'disk')
    finally:
        run('losetup', '-d', device)
    eventually(lambda: removed(t.meta / 'posix' / 'disk'), 'removed when the device is gone')


@test(MOUNTED)
def it_takes_the_right_to_remove(t):
    os.chmod(t.private, 0o755)
    for uid, mode, told in ((USER, 0o666, errno.EPERM), (OTHER, 0o000, 0), (0, 0o000, 0)):
        (t.shm / 'theirs').unlink(missing_ok=True)  # by fs.protected_regular it may not be opened to create it
        write(t.shm / 'theirs', b'x')
        os.chown(t.shm / 'theirs', OTHER, OTHER)
        os.chmod(t.shm / 'theirs', mode)
        equal(as_user(uid, uid, lambda: os.rmdir(t.meta / 'posix' / 'theirs')), told, (uid, mode))
        equal(os.listdir(t.shm), ['theirs'] if told else [], (uid, mode))
    write(t.shm / 'used', b'x')
    with opened(t.shm / 'used', os.O_RDONLY):
        equal(as_user(USER, USER, lambda: os.rmdir(t.meta / 'posix' / 'used')), errno.EPERM,
              'the permission comes first')
    os.chmod(t.shm, 0o755)
    equal(as_user(USER, USER, lambda: os.rmdir(t.meta / 'posix' / 'used')), errno.EACCES)
    fails(errno.ENOENT, os.rmdir, t.meta / 'posix' / 'nothing')


@test(MOUNTED)
def another_name_is_left_alone(t):
    write(t.shm / 'one', b'kept')
    os.link(t.shm / 'one', t.shm / 'two')
    os.rmdir(t.meta / 'posix' / 'one')
    equal(read(t.shm / 'two'), b'kept')
    with opened(t.shm / 'two', os.O_RDONLY):
        os.link(t.shm / 'two', t.shm / 'three')
        fails(errno.EBUSY, os.rmdir, t.meta / 'posix' / 'three')


@test(MOUNTED)
def long_names(t):
    longest = 'n' * (255 - len(PREFIX))
    write(t.shm / longest, b'x')
    os.rmdir(t.meta / 'posix' / longest)
    write(t.shm / (longest + 'n'), b'x')
    fails(errno.ENAMETOOLONG, os.rmdir, t.meta / 'posix' / (longest + 'n'))
    equal(os.listdir(t.shm), [longest + 'n'])


@test(MOUNTED, start=False)
def what_a_crash_left_hidden_is_put_back(t):
    write(t.shm / (PREFIX + 'lost'), b'found')
    write(t.shm / (PREFIX + 'taken'), b'old')
    write(t.shm / 'taken', b'new')
    os.mkdir(t.shm / PREFIX)
    t.start()
    equal(read(t.root / 'lost'), b'found')
    equal(read(t.root / 'taken'), b'new')
    equal(read(t.root / (PREFIX + 'taken')), b'old', 'neither is harmed, and both are shown')
    equal(sorted(os.listdir(t.meta / 'posix')), [PREFIX + 'taken', 'lost', 'taken'])


@test(MOUNTED)
def a_daemon_in_between_is_killed(t):
    """Killed while it removes, again and again: each object has its name, or is gone."""
    names = [f'x{i}' for i in range(400)]
    for name in names:
        write(t.shm / name, name.encode())
    sweep = subprocess.Popen(['rmdir', *(t.meta / 'posix' / n for n in names)],
                             stderr=subprocess.DEVNULL)
    eventually(lambda: len(os.listdir(t.shm)) < 300, 'the removal is under way')
    t.kill()
    sweep.wait()
    call('umount2', t.root, 2)
    t.start()
    left = os.listdir(t.shm)
    check(not [n for n in left if n.startswith(PREFIX)], 'no hidden name is left')
    for name in left:
        equal(read(t.shm / name), name.encode())


@test(MOUNTED, start=False)
def without_the_right_to_leases(t):
    """Docker's default set of capabilities lacks CAP_LEASE."""
    program = t.private / 'shmtree'
    program.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-lease {t.program} "$@"\n')
    program.chmod(0o755)
    t.program = os.fspath(program)
    t.start()
    for owner in 0, USER:
        write(t.shm / 'x', b'x')
        os.chown(t.shm / 'x', owner, owner)
        with opened(t.shm / 'x', os.O_RDONLY):
            fails(errno.EBUSY, os.rmdir, t.meta / 'posix' / 'x')
        os.rmdir(t.meta / 'posix' / 'x')


@ipc_test
def a_segment_in_use_stays(t):
    shmid = new_segment(PAGE, b'used')
    here = t.meta / 'sysv' / str(shmid)
    with Child(lambda: Attached(shmid)):
        fails(errno.EBUSY, os.rmdir, here)
        fails(errno.EBUSY, os.chmod, here / 'data', 0o666)
        fails(errno.EBUSY, os.chown, here / 'data', USER, USER)
        ds = shm_stat(shmid)
        equal((ds.nattch, ds.mode, ds.uid), (1, 0o600, 0))
    with Child(lambda: open(here / 'data', 'rb')):
        fails(errno.EBUSY, os.rmdir, here)
    if t.shared_mmap:
        with Child(lambda: map_alone(here / 'data', PAGE)):
            fails(errno.EBUSY, os.rmdir, here)
    os.chmod(t.private, 0o755)
    with Attached(shmid):
        equal(as_user(USER, USER, lambda: os.rmdir(here)), errno.EPERM)
        equal(as_user(USER, USER, lambda: os.chmod(here / 'data', 0)), errno.EPERM)
    eventually(lambda: removed(here), 'removed when nobody has it')
    fails(errno.ENOENT, os.rmdir, here)


def segment_file(shmid):
    """A descriptor of the file behind a System V segment, by an attachment that is gone again."""
    with Attached(shmid) as memory:
        start = ctypes.addressof(memory)
        name, = (n for n in os.listdir('/proc/self/map_files') if n.startswith(f'{start:x}-'))
        return os.open(f'/proc/self/map_files/{name}', os.O_RDWR)


@ipc_test
def what_no_process_shows_keeps_a_segment(t):
    need_objects(t)
    shmid = new_segment(PAGE, b'used')
    here = t.meta / 'sysv' / str(shmid)
    with socket_holds(segment_file(shmid)):
        equal(shm_stat(shmid).nattch, 0)
        # Another daemon on the machine may have it open for a moment, to look at it.
        eventually(lambda: read(here / 'state') == b'held\n', 'what no process shows has it')
        fails(errno.EBUSY, os.rmdir, here)
        with Attached(shmid) as memory:
            equal(memory[:4], b'used')
    with os.fdopen(segment_file(shmid)) as file:
        ring = Ring(file.fileno())
    fails(errno.EBUSY, os.rmdir, here)
    ring.close()
    eventually(lambda: removed(here), 'removed when the ring is gone')


@ipc_test
def a_queue_in_use_stays(t):
    if os.uname().machine != 'x86_64':
        skip('the numbers of system calls here are those of x86_64')

    def send(queue):
        checked(_libc.msgsnd(queue, (1).to_bytes(8, 'little') + b'x', ctypes.c_size_t(1), 0))

    def receive(queue):
        checked(_libc.msgrcv(queue, bytes(64), ctypes.c_size_t(50), 0, 0))

    queue = new_msg()
    here = t.meta / 'msg' / str(queue)
    fails(errno.EBUSY, os.rmdir, here)  # never used: whoever made it may be about to use it
    with Child(lambda: send(queue)):
        fails(errno.EBUSY, os.rmdir, here)
    fails(errno.EBUSY, os.rmdir, here)  # a message waits
    with Child(lambda: receive(queue)):
        fails(errno.EBUSY, os.rmdir, here)  # the last receiver lives
    with Waiting(lambda: receive(queue), 'msgrcv'):
        fails(errno.EBUSY, os.rmdir, here)
    os.rmdir(here)
    fails(errno.ENOENT, os.rmdir, here)


class Waiting:
    """A process that waits in a system call until the block ends, which is the end of it."""
    NUMBERS = {'msgrcv': '70', 'semop': '65', 'semtimedop': '220'}

    def __init__(self, function, *calls):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                function()
            finally:
                os._exit(1)
        numbers = [self.NUMBERS[c].encode() for c in calls]
        eventually(lambda: read(f'/proc/{self.pid}/syscall').split(b' ')[0] in numbers,
                   f'waits in {calls}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@ipc_test
def a_set_in_use_stays(t):
    if os.uname().machine != 'x86_64':
        skip('the numbers of system calls here are those of x86_64')
    sets = new_sem(3)
    here = t.meta / 'sem' / str(sets)
    fails(errno.EBUSY, os.rmdir, here)  # never used
    with Child(lambda: checked(_libc.semctl(sets, 1, SETVAL, 5))):
        fails(errno.EBUSY, os.rmdir, here)  # who set it lives
    equal(as_user(0, 0, lambda: checked(_libc.semctl(sets, 0, SETVAL, 1))), 0)
    down = ctypes.create_string_buffer(b'\2\0\xff\xff\0\0')
    with Waiting(lambda: _libc.semop(sets, down, ctypes.c_size_t(1)), 'semop', 'semtimedop'):
        fails(errno.EBUSY, os.rmdir, here)
    os.rmdir(here)
    fails(errno.ENOENT, os.rmdir, here)


@ipc_test
def a_posix_queue_in_use_stays(t):
    here = t.meta / 'mqueue' / 'q'

    def hold():
        return checked(_libc.mq_open(b'/q', os.O_RDWR))
    new_mqueue(b'/q', b'waits')
    fails(errno.EBUSY, os.rmdir, here)
    queue = hold()
    checked(_libc.mq_receive(queue, bytes(100), ctypes.c_size_t(100), None))
    fails(errno.EBUSY, os.rmdir, here)
    os.close(queue)
    with Child(hold):
        fails(errno.EBUSY, os.rmdir, here)
    os.rmdir(here)
    equal(os.listdir(t.meta / 'mqueue'), [])

