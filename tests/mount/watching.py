# SPDX-License-Identifier: GPL-2.0-or-later
"""Readers of `events`, for the tests of what they are told."""
import contextlib
import json
import os
import pathlib
import platform
import time

from harness import equal, eventually, read, skip, write

CLOCK_REALTIME_COARSE = 5
READ_CALL = b'0' if platform.machine() == 'x86_64' else b'63'  # as /proc/PID/syscall has it


def next_tick():
    """
    Waits until an object that is created then is known to be younger than what has happened by now: the kernel takes
    its time of birth from a clock that goes in steps of milliseconds.
    """
    now = time.time_ns()
    eventually(lambda: time.clock_gettime_ns(CLOCK_REALTIME_COARSE) > now, 'the next tick')


class Reader:
    """Reads `events` on and on, from the moment that it was made."""

    def __init__(self, t):
        self.path = t.meta / 'events'
        self.fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.rest = b''
        self.all = []
        # What happened just before may be told too, where another one has just stopped reading.
        self.until_told(t, 'the-beginning')
        self.all.clear()
        next_tick()

    def more(self):
        """Takes what there is; whether there was anything."""
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return False
        *lines, self.rest = (self.rest + data).split(b'\n')
        self.all += [json.loads(line) for line in lines]
        return True

    def until(self, condition, what):
        """Reads until an event meets the condition; that event."""
        def look():
            while self.more():
                pass
            return [e for e in self.all if condition(e)]
        return eventually(look, what)[-1]

    def until_told(self, t, name='the-end'):
        """All that has happened to objects before this is read then."""
        write(t.shm / name, b'')
        os.unlink(t.shm / name)
        self.until(lambda e: e['event'] == 'removed' and e['name'] == name, f'{name} is removed')

    def close(self):
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def needs_fanotify(t):
    with Reader(t):
        reason = t.status().get('events_reason')
    if reason:
        skip(reason)
    nobody_reads(t)


def nobody_reads(t):
    """The daemon hears of a close(2) a moment later."""
    eventually(lambda: t.status()['event_readers'] == '0', 'nobody reads')


def watches(daemon):
    """Whether it has a fanotify group."""
    for fd in pathlib.Path(f'/proc/{daemon.pid}/fd').iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if 'fanotify' in os.readlink(fd):
                return True
    return False


def reads(process, path):
    """Whether it waits in read(2) for more of that file."""
    call, *arguments = read(f'/proc/{process.pid}/syscall').split()
    if call != READ_CALL:
        return False
    with contextlib.suppress(FileNotFoundError):
        return os.readlink(f'/proc/{process.pid}/fd/{int(arguments[0], 16)}') == os.fspath(path)
    return False


def in_child(function):
    """Has another process do it; its number."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            os._exit(1)
    equal(os.waitpid(pid, 0)[1], 0, 'status of the child')
    return pid
