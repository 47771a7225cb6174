# SPDX-License-Identifier: GPL-2.0-or-later
"""What one user makes the daemon wait for, the others do not wait for."""
import contextlib
import fcntl
import os
import platform
import signal
import subprocess
import threading
import time
import traceback

from harness import MOUNTED, as_user, check, equal, eventually, opened, read, skip, test, write
from watching import watches

BUSY, OTHER = 12345, 12346
# More than the daemon has threads; each would wait until the kernel breaks the lease, for 45 s.
MANY = 300
FEW = 50  # more than the queue of one user has threads, and the daemon request threads
SOON = 2.0  # seconds; a hundred times what it takes


@contextlib.contextmanager
def running(function, uid):
    """Runs the function in a process of that user until the end of the block."""
    ready, begun = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            function(lambda: os.write(begun, b'.'))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(begun)
    try:
        equal(os.read(ready, 1), b'.', 'the process has begun')
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)


def leased(fd):
    """Not while a census, any daemon's, still refers to the open file for writing that was just closed."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        return True
    except BlockingIOError:
        return False


@contextlib.contextmanager
def leases(t, count):
    """Objects of a user whose readers have not yet agreed that somebody writes."""
    def hold(ready):
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        for i in range(count):
            fd = os.open(t.shm / f'leased{i}', os.O_CREAT | os.O_RDWR, 0o600)
            os.ftruncate(fd, 8192)
            os.close(fd)
            fd = os.open(t.shm / f'leased{i}', os.O_RDONLY)
            eventually(lambda: leased(fd), 'leased')
        ready()
        signal.pause()
    with running(hold, BUSY):
        yield


@contextlib.contextmanager
def truncating(t, count):
    """A user who truncates all of them at once, and waits."""
    def truncate(ready):
        def one(i):
            with contextlib.suppress(OSError):
                os.truncate(t.root / f'leased{i}', 1)
        for i in range(count):
            threading.Thread(target=one, args=(i,), daemon=True).start()
        ready()
        signal.pause()
    with running(truncate, BUSY) as pid:
        eventually(lambda: t.waiting() >= count, 'all truncations wait')
        yield pid


def soon(t, count, what, function, user=OTHER):
    """
    The function comes to an end while so many requests of others wait, although it is not known when they
    do; and at once: on a busy machine not each time.
    """
    def is_quick():
        begun = time.monotonic()
        equal(as_user(user, user, function), 0, what)
        took = time.monotonic() - begun
        # Some may be about to look up names, as they were at the beginning.
        eventually(lambda: t.waiting() >= count, f'{count} others wait after {what}, which took {took:.1f} s')
        return took < SOON
    eventually(is_quick, f'{what} takes less than {SOON} s')


def create_and_remove(t):
    path = t.root / f'new{os.getpid()}'
    os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    os.unlink(path)


@test(MOUNTED)
def truncations_that_wait_hold_up_nobody_else(t):
    write(t.shm / 'other', b'')
    os.chown(t.shm / 'other', OTHER, OTHER)
    with leases(t, MANY):
        with truncating(t, MANY):
            soon(t, MANY, 'stat', lambda: os.stat(t.root / 'other'))
            soon(t, MANY, 'open', lambda: os.close(os.open(t.root / 'other', os.O_RDWR)))
            soon(t, MANY, 'a count', lambda: equal(read(t.meta / 'posix/other/mappings'), b'0\n'))
            soon(t, MANY, 'truncate', lambda: os.truncate(t.root / 'other', 4096))
            soon(t, MANY, 'create and unlink', lambda: create_and_remove(t))
            threads = len(os.listdir(f'/proc/{t.daemon.pid}/task'))
            check(threads < 100, f'{threads} threads')
        equal(os.stat(t.root / 'other').st_size, 4096)


@test(MOUNTED)
def names_do_not_wait_behind_truncations(t):
    """The kernel locks the directory until the daemon has removed the name."""
    def remove():
        name = f'own{os.getpid()}'
        os.close(os.open(t.shm / name, os.O_CREAT | os.O_EXCL))
        os.unlink(t.root / name)
    with leases(t, MANY):
        with truncating(t, MANY):
            soon(t, MANY, 'unlink by the user whose truncations wait', remove, BUSY)
            soon(t, MANY, 'create and unlink', lambda: create_and_remove(t))


def rests(daemon):
    """Whether its main thread sleeps until it is woken: in poll(2), or ppoll(2), without a time."""
    call, *arguments = read(f'/proc/{daemon.pid}/syscall').split()
    if len(arguments) < 3:
        return False
    timeout = int(arguments[2], 16) & 0xffffffff
    ppoll = b'271' if platform.machine() == 'x86_64' else b'73'
    poll = b'7' if platform.machine() == 'x86_64' else None
    return call == poll and timeout == 0xffffffff or call == ppoll and timeout == 0


@test(MOUNTED, options=('-s',))
def a_daemon_at_rest_is_woken(t):
    """The only thread that answers comes to wait with the first request: another one takes its place."""
    write(t.shm / 'other', b'')
    with leases(t, 1):
        eventually(lambda: rests(t.daemon), 'nobody asks anything')
        with truncating(t, 1):
            soon(t, 1, 'stat', lambda: os.stat(t.root / 'other'))


@test(MOUNTED)
def a_signal_ends_the_wait_for_ones_turn(t):
    with leases(t, MANY):
        with truncating(t, MANY) as pid:
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: t.waiting() == 0, 'nothing waits any more')


@test(MOUNTED, ends_open=True)
def events_that_never_cease_hold_up_neither_the_end_of_their_use_nor_that_of_the_daemon(t):
    with opened(t.meta / 'events', os.O_RDONLY):
        if t.status().get('events_reason'):
            skip(t.status()['events_reason'])
    os.chmod(t.shm, 0o1777)

    def rename_on_and_on(ready):
        # Always to another name, so that the kernel merges nothing.
        names = [os.fspath(t.shm / f'{os.getpid()}-{i:0200}') for i in range(1000)]
        os.mknod(names[0])
        ready()
        while True:
            for i, name in enumerate(names):
                os.rename(name, names[(i + 1) % len(names)])

    with running(rename_on_and_on, BUSY), running(rename_on_and_on, BUSY):
        with opened(t.meta / 'events', os.O_RDONLY):
            check(watches(t.daemon), 'it is watched')
        eventually(lambda: not watches(t.daemon), 'nothing is watched')
        reader = subprocess.Popen(['cat', t.meta / 'events'], stdout=subprocess.DEVNULL)
        eventually(lambda: watches(t.daemon), 'cat has it open')
        daemon, t.daemon = t.daemon, None
        daemon.send_signal(signal.SIGTERM)
        equal(daemon.wait(30), 0, 'exit status of the daemon')
        reader.wait(30)


def is_locked(fd):
    """By somebody else; if not, it is by this process now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True


def lock_ends_while_the_close_waits(t):
    """False if the close did not wait: the queue of its user was not full yet."""
    write(t.root / 'x', bytes(9 << 20))
    os.chown(t.root / 'x', BUSY, BUSY)

    def lock(ready):
        fcntl.flock(os.open(t.root / 'x', os.O_RDWR), fcntl.LOCK_EX)
        ready()
        signal.pause()
    # Who opened it first is whose turn it is.
    with leases(t, FEW), running(lock, BUSY) as holder, opened(t.root / 'x', os.O_RDWR) as fd:
        os.unlink(t.root / 'x')
        check(is_locked(fd), 'it is locked')
        with truncating(t, FEW):
            os.kill(holder, signal.SIGKILL)
            eventually(lambda: not is_locked(fd), 'the lock is gone')
            return t.waiting() > FEW


@test(MOUNTED)
def a_lock_ends_before_much_memory_is_freed(t):
    """The last close of a large unlinked object waits for its user's turn; the flock is gone before."""
    eventually(lambda: lock_ends_while_the_close_waits(t), 'the lock is gone while the close waits')
