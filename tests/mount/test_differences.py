# SPDX-License-Identifier: GPL-2.0-or-later
"""What the manual lists as different from a tmpfs in locks, leases and watches: it is so, and no more than that."""
import errno
import fcntl
import os
import shutil
import struct
import subprocess

from harness import call, check, equal, eventually, fails, opened, test, write


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


@test()
def a_process_that_locks_by_both_views_is_two(t):
    write(t.shm / 'x', b'')
    with opened(t.shm / 'x', os.O_RDWR) as outside, opened(t.root / 'x', os.O_RDWR) as ours:
        fcntl.lockf(ours, fcntl.LOCK_EX)
        fails(errno.EAGAIN, fcntl.lockf, outside, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(ours, fcntl.LOCK_UN)
        fcntl.lockf(outside, fcntl.LOCK_EX | fcntl.LOCK_NB)


@test()
def a_lease_is_that_of_the_mounts_file(t):
    """Somebody outside has the object open for writing, and then opens it: it is neither refused nor broken."""
    write(t.shm / 'x', b'')
    with opened(t.shm / 'x', os.O_WRONLY), opened(t.root / 'x', os.O_RDONLY) as ours:
        equal(fcntl.fcntl(ours, fcntl.F_SETLEASE, fcntl.F_RDLCK), 0)
        with opened(t.shm / 'x', os.O_WRONLY | os.O_NONBLOCK):
            equal(fcntl.fcntl(ours, fcntl.F_GETLEASE), fcntl.F_RDLCK)


@test()
def a_program_that_runs_is_busy_where_it_was_started(t):
    shutil.copy('/bin/sleep', t.shm / 'x')
    with subprocess.Popen([t.root / 'x', '1000']) as program:
        try:
            fails(errno.ETXTBSY, os.open, t.root / 'x', os.O_WRONLY)
            os.close(os.open(t.shm / 'x', os.O_WRONLY))
        finally:
            program.kill()


@test()
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
