# SPDX-License-Identifier: GPL-2.0-or-later
"""What the manual lists as different from a tmpfs in locks, leases and watches: it is so, and no more than that."""
import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import sqlite3
import struct
import subprocess

from harness import AT_FDCWD, MOUNTED, call, check, equal, eventually, fails, opened, read, skip, test, write

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL = 0x80086601, 0x40086602, 0x10
STATX_ATTR_IMMUTABLE = 0x10


def free(fd):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True


@test()
def a_lock_given_up_by_close_is_free_outside_a_moment_later(t):
    write(t.shm / 'x', b'')
    with opened(t.shm / 'x', os.O_RDWR) as outside:
        for _ in range(50):
            with opened(t.root / 'x', os.O_RDWR) as ours:
                fcntl.flock(ours, fcntl.LOCK_EX)
                check(not free(outside), 'a lock that is held is not seen outside')
            eventually(lambda: free(outside), 'the lock ends with its open file')


@test()
def a_lock_given_up_by_a_call_is_free_outside_at_once(t):
    write(t.shm / 'x', b'')
    whole = struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    none = struct.pack('hhqqi4x', fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0)
    with opened(t.shm / 'x', os.O_RDWR) as outside, opened(t.root / 'x', os.O_RDWR) as ours:
        for _ in range(200):
            fcntl.flock(ours, fcntl.LOCK_EX)
            fcntl.flock(ours, fcntl.LOCK_UN)
            check(free(outside), 'LOCK_UN has not ended the lock')
            fcntl.fcntl(ours, fcntl.F_OFD_SETLK, whole)
            fails(errno.EAGAIN, fcntl.fcntl, outside, fcntl.F_OFD_SETLK, whole)
            fcntl.fcntl(ours, fcntl.F_OFD_SETLK, none)
            fcntl.fcntl(outside, fcntl.F_OFD_SETLK, whole)
            fcntl.fcntl(outside, fcntl.F_OFD_SETLK, none)


@test(paths=MOUNTED)
def a_process_that_locks_by_both_views_is_two(t):
    write(t.shm / 'x', b'')
    with opened(t.shm / 'x', os.O_RDWR) as outside, opened(t.root / 'x', os.O_RDWR) as ours:
        fcntl.lockf(ours, fcntl.LOCK_EX)
        fails(errno.EAGAIN, fcntl.lockf, outside, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(ours, fcntl.LOCK_UN)
        fcntl.lockf(outside, fcntl.LOCK_EX | fcntl.LOCK_NB)


@test(paths=MOUNTED)
def a_lease_is_that_of_the_mounts_file(t):
    """Somebody outside has the object open for writing, and then opens it: it is neither refused nor broken."""
    write(t.shm / 'x', b'')
    with opened(t.shm / 'x', os.O_WRONLY), opened(t.root / 'x', os.O_RDONLY) as ours:
        equal(fcntl.fcntl(ours, fcntl.F_SETLEASE, fcntl.F_RDLCK), 0)
        with opened(t.shm / 'x', os.O_WRONLY | os.O_NONBLOCK):
            equal(fcntl.fcntl(ours, fcntl.F_GETLEASE), fcntl.F_RDLCK)


@test(paths=MOUNTED)
def a_program_that_runs_is_busy_where_it_was_started(t):
    shutil.copy('/bin/sleep', t.shm / 'x')
    with subprocess.Popen([t.root / 'x', '1000']) as program:
        try:
            fails(errno.ETXTBSY, os.open, t.root / 'x', os.O_WRONLY)
            os.close(os.open(t.shm / 'x', os.O_WRONLY))
        finally:
            program.kill()


@test(paths=MOUNTED)
def a_watch_tells_what_passes_through_the_mount(t):
    fd = call('inotify_init1', os.O_NONBLOCK)
    try:
        call('inotify_add_watch', fd, bytes(t.root), 0x100)  # IN_CREATE
        write(t.shm / 'outside', b'')
        write(t.root / 'inside', b'')
        told = os.read(fd, 4096)
        check(b'inside' in told, 'what is created through the mount is not told')
        check(b'outside' not in told, 'the manual says that this is not told')
    finally:
        os.close(fd)


def change_immutable(path, flag):
    with opened(path, os.O_RDONLY) as fd:
        try:
            flags, = struct.unpack('l', fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8)))
            fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack('l', flags & ~FS_IMMUTABLE_FL | flag))
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP):
                raise
            skip('no object of this tmpfs can be immutable')


def statx_attributes(path):
    record = bytearray(256)
    call('statx', AT_FDCWD, path, 0, 0x7ff, (ctypes.c_char * len(record)).from_buffer(record))
    return struct.unpack_from('Q', record, 8)[0]


@test(paths=MOUNTED)
def an_immutable_object_is_refused_but_not_told(t):
    write(t.shm / 'x', b'12')
    change_immutable(t.shm / 'x', FS_IMMUTABLE_FL)
    try:
        check(statx_attributes(t.shm / 'x') & STATX_ATTR_IMMUTABLE, 'the tmpfs tells')
        equal(statx_attributes(t.root / 'x') & STATX_ATTR_IMMUTABLE, 0)
        check(os.access(t.root / 'x', os.W_OK), 'access(2) says yes, as the manual has it')
        fails(errno.EPERM, os.open, t.root / 'x', os.O_WRONLY)
        fails(errno.EPERM, os.truncate, t.root / 'x', 0)
        fails(errno.EPERM, os.unlink, t.root / 'x')
        fails(errno.EPERM, os.rename, t.root / 'x', t.root / 'y')
        equal(read(t.shm / 'x'), b'12')
    finally:
        change_immutable(t.shm / 'x', 0)
    os.unlink(t.root / 'x')


def has_shared_mappings(t):
    return t.status()['data_path'] == 'passthrough'


@test(paths=MOUNTED)
def a_shared_mapping_is_the_memory_or_refused(t):
    """Never a private copy, which would be neither a semaphore nor SQLite's index of its log."""
    write(t.root / 'x', bytes(4096))
    with opened(t.root / 'x', os.O_RDWR) as fd:
        if not has_shared_mappings(t):
            fails(errno.ENODEV, mmap.mmap, fd, 4096)
            return
        with mmap.mmap(fd, 4096) as memory:
            memory[0] = 7
            equal(read(t.shm / 'x')[0], 7)


@test(paths=MOUNTED)
def the_write_ahead_log_of_sqlite(t):
    """Works where there are shared mappings; where not, transactions fail, and what was written before is whole."""
    path = t.root / 'x.db'
    with contextlib.closing(sqlite3.connect(path)) as ours:
        ours.execute('create table rows (value)')
        ours.commit()
        equal(ours.execute('pragma journal_mode = wal').fetchone(), ('wal',))
        if has_shared_mappings(t):
            with contextlib.closing(sqlite3.connect(t.shm / 'x.db')) as theirs:
                theirs.execute('insert into rows values (1)')
                theirs.commit()
                equal(ours.execute('select value from rows').fetchall(), [(1,)])
            return
        try:
            ours.execute('insert into rows values (1)')
            raise AssertionError('a transaction without shared memory')
        except sqlite3.OperationalError:
            pass
    with contextlib.closing(sqlite3.connect(t.shm / 'x.db')) as theirs:
        equal(theirs.execute('pragma integrity_check').fetchone(), ('ok',))
        equal(theirs.execute('select count(*) from rows').fetchone(), (0,))


@test()
def memory_of_an_unlinked_object_comes_back(t):
    """Not at once, as the manual says, but without anybody else's doing anything."""
    before = os.statvfs(t.shm).f_bfree
    for _ in range(20):
        with opened(t.root / 'x', os.O_RDWR | os.O_CREAT) as fd:
            os.posix_fallocate(fd, 0, 8 << 20)
        os.unlink(t.root / 'x')
        eventually(lambda: os.statvfs(t.shm).f_bfree >= before, 'the memory is free again')
