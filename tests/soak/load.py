# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes that load the mounts: each acts at random until it is told to rest, and says then what it
has, so that all counts can be compared."""
import contextlib
import ctypes
import errno
import json
import mmap
import os
import pathlib
import random
import select
import signal
import time
import traceback

from harness import check, die_with_parent

OUTSIDE, STEADY, KILLED = 'outside', 'steady', 'killed'
# What a mount says whose daemon has been killed. EIO: it was about to read the request, and its memory was not at
# hand, as after a fork.
DEAD = errno.ENOTCONN, errno.ECONNABORTED, errno.EIO
FULL = errno.ENOSPC,
PACE = 0.02  # seconds; how long a worker rests between two acts, at most


class Hangs(Exception):
    """A process does not answer."""


class Control:
    """What all processes see."""

    # `generation`: of the daemon that is killed; it changes before and after that.
    _FIELDS = 'running', 'killed', 'generation', 'in_record', 'in_flock', 'acts', 'signals', 'ended', 'removed'

    def __init__(self):
        self._cells = (ctypes.c_long * len(self._FIELDS)).from_buffer(mmap.mmap(-1, mmap.PAGESIZE))

    def __getattr__(self, name):
        return self._cells[self._FIELDS.index(name)]

    def __setattr__(self, name, value):
        if name in self._FIELDS:
            self._cells[self._FIELDS.index(name)] = value
        else:
            super().__setattr__(name, value)


class World:
    """The tmpfs, and two mounts of it: one daemon is killed again and again, the other one lives on."""

    def __init__(self, steady, killed, seed, pace):
        self.shm, self.scratch = steady.shm, steady.private
        self.ways = {OUTSIDE: steady.shm, STEADY: steady.root, KILLED: killed.root}
        self.shared_mmap = steady.shared_mmap
        self.seed, self.pace = seed, pace
        self.control = Control()

    def meta(self, way):
        return self.ways[way] / '.shmtree'


@contextlib.contextmanager
def may_fail(way, *numbers):
    """An error that is to be expected: one of these, or that the daemon has just been killed."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers and not (way == KILLED and error.errno in DEAD):
            raise


class Worker:
    """One process. A kind of load says what act() does, and what rest() tells; forget() gives all up."""

    def __init__(self, world, name):
        self.world, self.name, self.control = world, name, world.control
        self.random = random.Random(f'{world.seed} {name}')
        commands, self._tell = os.pipe()
        self._answers, self._say = os.pipe()
        self._text = b''
        self.pid = os.fork()
        if self.pid == 0:
            self._live(commands)
        os.close(commands)
        os.close(self._say)

    def _live(self, commands):
        status = 1
        try:
            die_with_parent()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            os.close(self._tell)
            self.begin()
            while (command := os.read(commands, 1)) not in (b'', b'e'):
                self._obey(command)
            self.forget()
            self.finish()
            status = 0
        except BaseException:  # it must not return into the parent's code
            self._answer({'failed': f'{self.name}: {traceback.format_exc()}'})
        finally:
            os._exit(status)

    def _obey(self, command):
        if command == b'f':
            self.forget()
            self._answer(self.rest())
            return
        self.resume()
        while self.control.running:
            self.act()
            self.control.acts += 1  # of several at once some are not counted
            time.sleep(self.random.random() * self.world.pace)
        self._answer(self.rest())

    def _answer(self, value):
        text = json.dumps(value).encode() + b'\n'
        while text:
            text = text[os.write(self._say, text):]

    # What the main process calls

    def tell(self, command):
        os.write(self._tell, command)

    def answer(self, patience):
        """What it said; a worker that says nothing hangs."""
        deadline = time.monotonic() + patience
        while not self._text.endswith(b'\n'):
            ready, _, _ = select.select([self._answers], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise Hangs(f'{self.name} (process {self.pid}) hangs: {self._where()}')
            piece = os.read(self._answers, 1 << 16)
            check(piece, f'{self.name} has ended')
            self._text += piece
        value, self._text = json.loads(self._text), b''
        check('failed' not in value, value.get('failed'))
        return value

    def _where(self):
        with contextlib.suppress(OSError):
            return pathlib.Path(f'/proc/{self.pid}/stack').read_text()

    def end(self, patience):
        self.tell(b'e')
        deadline = time.monotonic() + patience
        while (done := os.waitpid(self.pid, os.WNOHANG)) == (0, 0):
            check(time.monotonic() < deadline, f'{self.name} does not end: {self._where()}')
            time.sleep(0.01)
        check(os.waitstatus_to_exitcode(done[1]) == 0, f'{self.name} ended with {done[1]}')
        os.close(self._tell)
        os.close(self._answers)

    # What a kind of load may replace

    def begin(self):
        """Once, in its process."""

    def resume(self):
        """Before it acts again."""

    def rest(self):
        return {}

    def forget(self):
        """Gives up all that it has."""

    def finish(self):
        """Before its process ends."""

    # What they use

    def way(self, *among):
        return self.random.choice(among or tuple(self.world.ways))

    def path(self, name, way):
        return self.world.ways[way] / name


class Opened:
    """A descriptor, and through what it was opened: a killed daemon takes its descriptors with it."""

    count = 0

    def __init__(self, world, fd, way):
        self.fd, self.way, self.control = fd, way, world.control
        self.generation = self.control.generation
        Opened.count += 1
        self.number = Opened.count  # of the open file: descriptors that were duplicated share it

    def duplicate(self):
        copy = object.__new__(Opened)
        copy.__dict__.update(self.__dict__)
        copy.fd = os.dup(self.fd)
        return copy

    def is_stale(self):
        return self.way == KILLED and self.generation != self.control.generation

    def close(self):
        with may_fail(self.way):  # and closes it all the same
            os.close(self.fd)


def open_by(worker, name, way, flags):
    """An Opened. Its generation is noted before: a daemon that is killed meanwhile makes it stale."""
    before = worker.control.generation
    file = Opened(worker.world, os.open(worker.path(name, way), flags | os.O_CLOEXEC, 0o600), way)
    file.generation = before
    return file
