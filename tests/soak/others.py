# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads that share objects, lock them, read all files of the mounts, remove what is idle, raise bus errors, and
fill a memory control group up to its limit."""
import contextlib
import errno
import fcntl
import json
import os
import pathlib
import signal
import time
import traceback

from faulter import Faulter
from harness import check, die_with_parent, equal, fallocate, read, table
from ipc import IPC_CREAT, IPC_PRIVATE, USER, shm_remove, shm_stat, shmget
from load import FULL, KILLED, OUTSIDE, STEADY, Worker, may_fail

MIB = 1 << 20
PAGE = 4096
GONE = errno.ENOENT, errno.ESTALE


class Contender(Worker):
    """Creates, resizes, renames and removes what others do the same to, and has it open for a moment."""

    NAMES = [f's{i}' for i in range(6)]

    def act(self):
        way, name, other = self.way(), self.random.choice(self.NAMES), self.random.choice(self.NAMES)
        kind = self.random.randrange(8)
        with may_fail(way, errno.EEXIST, *GONE, *FULL):
            if kind < 4:
                self.use(name, way)
            elif kind < 6:
                os.unlink(self.path(name, way))
            elif kind == 6:
                os.rename(self.path(name, way), self.path(other, way))
            else:
                os.truncate(self.path(name, way), self.random.randrange(64) * PAGE)

    def use(self, name, way):
        fd = os.open(self.path(name, way), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, bytes(self.random.randrange(4 * PAGE)), self.random.randrange(8 * PAGE))
            os.pread(fd, 8 * PAGE, 0)
            if self.random.random() < 0.3:
                fallocate(fd, 0, 0, self.random.randrange(1, 32) * PAGE)
            os.ftruncate(fd, self.random.randrange(32) * PAGE)
        finally:
            with may_fail(way):
                os.close(fd)

    def forget(self):
        for name in self.NAMES:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.world.shm / name)


class Locker(Worker):
    """
    One at a time has the lock of an object, by flock(2) or of a range, outside or through the mount that lives
    on. Locks through the other mount are of other objects: they end when its daemon is killed.
    """

    def act(self):
        if self.random.random() < 0.3:
            with may_fail(KILLED, errno.EINTR):
                self.hold('killed', KILLED)
        else:
            self.hold('steady', self.way(OUTSIDE, STEADY))

    def hold(self, which, way):
        kind = self.random.choice(['record', 'flock'])
        lock = fcntl.lockf if kind == 'record' else fcntl.flock
        fd = os.open(self.path(f'lock-{which}-{kind}', way), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock(fd, fcntl.LOCK_EX)
            if which == 'steady':
                self.be_alone(f'in_{kind}')
            lock(fd, fcntl.LOCK_UN)
        finally:
            with may_fail(way):
                os.close(fd)

    def be_alone(self, cell):
        equal(getattr(self.control, cell), 0, f'who is {cell} of a lock that {self.name} has')
        setattr(self.control, cell, os.getpid())
        time.sleep(self.random.random() / 1000)
        equal(getattr(self.control, cell), os.getpid(), f'who is {cell} of a lock that {self.name} has')
        setattr(self.control, cell, 0)


class Reader(Worker):
    """Reads every file of `.shmtree`, as root or as a user; what has a form has it."""

    TOP = ('README', 'status', 'unreadable', 'segments', 'segments.json', 'segments.jsonl', 'metrics',
           'metrics.segments', 'graph.dot', 'report.html', 'processes', 'processes.json', 'cgroups', 'cgroups.json',
           'memory', 'faults', 'faults.json', 'limits')
    KINDS = 'posix', 'sysv', 'unlinked', 'nested', 'mqueue', 'msg', 'sem'
    # ENXIO: there is no way to the bytes; EOPNOTSUPP: nobody notes who pays.
    MISSING = (*GONE, errno.ENXIO, errno.EOPNOTSUPP, errno.EACCES)

    def __init__(self, world, name, user=None):
        self.user = user
        super().__init__(world, name)

    def begin(self):
        if self.user:
            os.setgroups([])
            os.setresgid(self.user, self.user, self.user)
            os.setresuid(self.user, self.user, self.user)
        self.slowest = 0.0

    def act(self):
        way = self.way(STEADY, STEADY, KILLED)
        meta = self.world.meta(way)
        with may_fail(way, *self.MISSING):
            if self.random.random() < 0.4:
                self.look(meta / self.random.choice(self.TOP))
            else:
                kind = meta / self.random.choice(self.KINDS + ('idle',) * 2)
                self.look_below(kind, way)

    def look_below(self, directory, way):
        names = os.listdir(directory)
        for name in self.random.sample(names, min(3, len(names))):
            path = directory / name
            if directory.name == 'idle' and path.is_dir():
                path = path / self.random.choice(os.listdir(path) or ['.'])
            for file in (os.listdir(path) if path.is_dir() else ()):
                if not self.control.running:  # so that what is waited for at a rest is one file
                    return
                if not (path / file).is_dir():
                    with may_fail(way, *self.MISSING):
                        self.look(path / file)

    def look(self, path):
        began = time.monotonic()
        try:
            text = read(path)
        except OSError as error:
            error.filename = str(path)  # read(2) does not tell
            raise
        self.slowest = max(self.slowest, time.monotonic() - began)
        if path.name.endswith('.json'):
            json.loads(text)
        elif path.name.endswith('.jsonl'):
            for line in text.splitlines():
                json.loads(line)
        elif path.name.startswith('metrics'):
            check(text.endswith(b'# EOF\n'), f'{path} has no end')
        elif path.name == 'report.html':
            check(text.rstrip().endswith(b'</html>'), f'{path} has no end')
        elif path.name in ('segments', 'mappers', 'holders', 'processes'):
            table(text)

    def rest(self):
        slowest, self.slowest = self.slowest, 0.0
        return {'slowest': slowest}


class Listener(Worker):
    """Has `events` of the daemon that lives on open, and reads what it is told."""

    def begin(self):
        self.fd = os.open(self.world.meta(STEADY) / 'events', os.O_RDONLY | os.O_NONBLOCK)
        self.rest_of_line, self.told = b'', 0

    def act(self):
        with contextlib.suppress(BlockingIOError):
            while text := os.read(self.fd, 1 << 16):
                *lines, self.rest_of_line = (self.rest_of_line + text).split(b'\n')
                for line in lines:
                    json.loads(line)
                self.told += len(lines)

    def rest(self):
        self.act()
        told, self.told = self.told, 0
        return {'events': told}


class Remover(Worker):
    """Removes by rmdir(2) what it has made: what it has open stays, and what is idle goes unless it is busy."""

    def begin(self):
        self.counter = 0

    def act(self):
        way = self.way(STEADY, KILLED)
        if self.random.random() < 0.3:
            self.remove_segment(way)
        else:
            self.remove_object(way)

    def remove_object(self, way):
        self.counter += 1
        name = f'idle-{self.name}-{self.counter}'
        fd = os.open(self.world.shm / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with may_fail(way, errno.EBUSY):
                os.rmdir(self.world.meta(way) / 'posix' / name)
            equal(os.fstat(fd).st_nlink, 1, f'names of {name}, which was open')
        finally:
            os.close(fd)
        with may_fail(way, errno.EBUSY):
            os.rmdir(self.world.meta(way) / 'posix' / name)
            self.control.removed += 1
            check(not (self.world.shm / name).exists(), f'{name} was removed')
            return
        self.clear(name)

    def clear(self, name):
        """It was busy; or its removal was under way: then the next daemon gives it its name back."""
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.world.shm / name)
                return
            time.sleep(0.01)

    def remove_segment(self, way):
        shmid = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0o600)
        with may_fail(way, errno.EBUSY):
            os.rmdir(self.world.meta(way) / 'sysv' / str(shmid))
            self.control.removed += 1
            return
        with contextlib.suppress(OSError):
            shm_stat(shmid)
            shm_remove(shmid)


class Cut(Worker):
    """Raises bus errors: touches pages beyond the end of an object, and of a full tmpfs."""

    PAGES = 64

    def begin(self):
        self.raised = 0
        path = self.world.shm / f'cut-{self.name}'
        path.write_bytes(bytes(PAGE))
        os.truncate(path, self.PAGES * PAGE)
        self.path_, self.inode = path, os.stat(path).st_ino
        self.faulter = Faulter(path, self.PAGES * PAGE)

    def act(self):
        kind = self.random.randrange(4)
        if kind == 0:
            os.truncate(self.path_, self.random.randrange(1, self.PAGES) * PAGE)
        elif kind == 1:
            os.truncate(self.path_, self.PAGES * PAGE)
        else:
            self.raised += self.faulter(f'touch {self.random.randrange(self.PAGES) * PAGE} 1')
        time.sleep(self.random.random() / 10)

    def rest(self):
        self.control.signals = self.raised
        return {'items': [{'kind': 'posix', 'name': self.path_.name, 'id': self.inode, 'size': None, 'mappings': 1,
                           'processes': 1, 'openers': 1, 'hidden': 0}]}

    def forget(self):
        os.truncate(self.path_, PAGE)

    def finish(self):
        self.faulter.end()
        os.unlink(self.path_)


class Group(Worker):
    """Has processes fill a memory control group, which end them, or refuse the memory."""

    LIMIT, MOST = 12 * MIB, 24 * MIB

    def begin(self):
        self.group = self.make_group()

    @staticmethod
    def remove_left(top):
        """Those of runs that failed: their processes have ended."""
        for left in pathlib.Path(top).glob('shmtree-soak.*'):
            if not os.path.exists(f'/proc/{left.suffix[1:]}'):
                with contextlib.suppress(OSError):
                    left.rmdir()

    def make_group(self):
        for top, limit in (('/sys/fs/cgroup/memory', 'memory.limit_in_bytes'), ('/sys/fs/cgroup', 'memory.max')):
            group = f'{top}/shmtree-soak.{os.getpid()}'
            self.remove_left(top)
            with contextlib.suppress(OSError):
                os.mkdir(group)
                if os.path.exists(f'{group}/{limit}'):
                    with open(f'{group}/{limit}', 'w', encoding='ascii') as file:
                        file.write(str(self.LIMIT))
                    return group
                os.rmdir(group)
        return None

    def act(self):
        way = self.way()
        pid = os.fork()
        if pid == 0:
            self.fill(way)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        check(status in (0, -signal.SIGKILL, -signal.SIGBUS), f'who fills a group, {way}: {status}')
        self.control.ended += status == -signal.SIGKILL
        self.clear()
        time.sleep(self.random.random())

    def fill(self, way):
        status = 1
        try:
            die_with_parent()
            if self.group:
                with open(f'{self.group}/cgroup.procs', 'w', encoding='ascii') as file:
                    file.write(str(os.getpid()))
            with may_fail(way, errno.ENOMEM, *FULL):
                fd = os.open(self.path(f'group-{self.name}', way), os.O_RDWR | os.O_CREAT, 0o600)
                by_call = self.random.random() < 0.5
                for at in range(0, self.MOST, MIB // 2):
                    if by_call:
                        fallocate(fd, 0, at, MIB // 2)
                    else:
                        os.pwrite(fd, bytes(MIB // 2), at)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def clear(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.world.shm / f'group-{self.name}')

    forget = clear

    def finish(self):
        if self.group:
            deadline = time.monotonic() + 10
            while os.path.exists(self.group) and time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    os.rmdir(self.group)
                time.sleep(0.01)


EVERYONE = (Contender, Contender, Locker, Locker, Locker, Reader, Listener, Remover, Cut, Group)


def start(world):
    workers = [kind(world, f'{kind.__name__.lower()}{i}') for i, kind in enumerate(EVERYONE)]
    return [*workers, Reader(world, 'user', USER)]
