# SPDX-License-Identifier: GPL-2.0-or-later
"""A fixed world, and operations on a mount of it whose answers do not change while nothing fails.

An operation is a function of the tree. It gives back what it saw, as text and numbers; an OSError, or
`failed` in what it saw, means that the caller was told. What it makes it removes again, on the tmpfs itself.
"""
import contextlib
import errno
import fcntl
import mmap
import os
import re
import select
import struct
import time

import ipc
from harness import (FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, RENAME_EXCHANGE, RENAME_NOREPLACE, Mapper,
                     call, fallocate, read, rename2, write)
from test_ipc import new_mqueue, new_msg, new_sem

MARK = f'inj{os.getpid()}'  # in the name of all that belongs to the world of this test
USER = 4211
PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
PAGE = mmap.PAGESIZE


class World:
    """Objects, segments and processes that use them, in namespaces of this process."""

    pids = set()

    def __init__(self, t):
        self.kept = contextlib.ExitStack()
        for name, size in ('used', 2 * PAGE), ('idle', 5000), ('linked', 100), ('gone', PAGE):
            write(t.shm / f'{MARK}-{name}', b'x' * size)
        os.link(t.shm / f'{MARK}-linked', t.shm / f'{MARK}-second')
        os.setxattr(t.shm / f'{MARK}-used', 'user.inj', b'value')
        os.mkdir(t.shm / f'{MARK}-directory')
        write(t.shm / f'{MARK}-directory' / f'{MARK}-nested', b'n' * 77)
        semaphore = struct.pack('<QQII', 3, 0, 0, 0)
        write(t.shm / f'sem.{MARK}', semaphore + bytes(32 - len(semaphore)))
        for name in f'{MARK}-used', f'{MARK}-gone', f'{MARK}-linked':
            mapper = self.kept.enter_context(Mapper(t.shm / name))
            self.pids.add(mapper.pid)
            mapper('map 2')
        os.unlink(t.shm / f'{MARK}-gone')
        self.sysv = ipc.new_segment(PAGE, b'sysv', key=0x1234, mode=0o644)
        self.idle_sysv = ipc.new_segment(PAGE, b'idle', key=0x1235, mode=0o644)
        # To attach one changes who had it last, which is asked of the others.
        self.read_sysv = ipc.new_segment(PAGE, b'read', key=0x1237, mode=0o644)
        self.attached = self.kept.enter_context(ipc.Child(lambda: ipc.Attached(self.sysv)))
        self.held = self.kept.enter_context(ipc.Child(lambda: ipc.memfd(f'{MARK}-memfd', b'memfd')))
        new_sem(2), new_msg()
        new_mqueue(f'/{MARK}-queue'.encode())
        self.away = self.kept.enter_context(ipc.Child(self.elsewhere))
        self.pids.update(child.pid for child in (self.attached, self.held, self.away))
        number = os.stat(f'/proc/{self.away.pid}/ns/ipc').st_ino
        self.realms = [f'ipc-{number}']

    @staticmethod
    def elsewhere():
        call('unshare', ipc.CLONE_NEWIPC)
        return ipc.new_segment(PAGE, b'away', key=0x1236)


# --- what is read

VOLATILE = re.compile(r'\b\d{10}(\.\d{1,9})?\b')
SUMS = re.compile(r'kind="(posix|sysv|nested|sem|msg|mqueue|unlinked)"')
ABOUT_THE_MACHINE = ('shmtree_limit_bytes{', 'shmtree_limit_objects{', 'census\t', 'source\t', 'data_path\t', 'posix_',
                     'nested_', 'sysv_')
# By these an answer says how much it does not know. The machine's other processes may add to them at any time.
REMARKS = [re.compile(pattern, re.S) for pattern in (
    r'# not read: (?:(\d+) processes, )?(\d+) kinds\n', r'"incomplete" ?: ?(?:null|\{[^}]*?(\d+)[^}]*?(\d+)[^}]*\})',
    r'could not be read: (\d+)', r'changed all the while: (\d+)', r'could not be listed: (\d+)', r'not_shown" ?: ?(\d+)',
    r'# not read: (\d+) or more limits', r'limits_not_read (\d+)', r'unreadable_processes\t(\d+)',
    r'unlisted_kinds[\t ](\d+)',
    r'"unreadable":(\d+),"inconsistent":(\d+),"unlisted_kinds":(\d+)',
    r'census_unreadable_processes (\d+)', r'_not_read" ?: ?(\d+)', r'# (\d+) (?:bytes )?not shown',
    r'census_inconsistent\w* (\d+)')]


def is_own(line):
    """Whether a line of a file about the whole machine is about this world, whatever could be read of a process."""
    pid = re.search(r'^(\d+)\t|^\[(\d+),\d+,"|"pid" ?: ?(\d+)', line)
    return MARK in line or bool(pid) and int(pid[1] or pid[2] or pid[3]) in World.pids


def steady(text, path=''):
    """Without times, and in files about the whole machine without what is not of this world; and what it says of
    itself."""
    remarks = []
    for pattern in REMARKS:
        # Of each number its own sum: one may become less at any time, as other processes end.
        found = zip(*(match.groups() for match in pattern.finditer(text)))
        remarks += [sum(int(n or 0) for n in numbers) for numbers in found] or [0] * pattern.groups
        text = pattern.sub('', text)
    text = VOLATILE.sub('TIME', text)
    # The daemon of another mount may have an object open for a moment, to look at it, or has had it.
    text = re.sub(r'"last" ?: ?(null|\{[^}]*"now" ?: ?false[^}]*\})', '"last"', text)
    if path.endswith('/last') and 'until\tnow' not in text and not path.startswith('sysv/'):
        text = 'not now'
    if path == 'report.html':
        rows = (line.split(',[')[0] for line in text.splitlines())
        text = '\n'.join(sorted(row.rstrip(',') for row in rows if row.startswith('[') and is_own(row)))
    elif path == 'graph.dot':
        # What is alike is drawn once, and the machine's other segments may be like those of this world.
        text = text.rstrip()[-1:]
    elif path.endswith('limits'):
        text = '\n'.join(line.rpartition('\t')[0].rpartition('\t')[0] for line in text.splitlines())  # not what is used
    elif '/' not in path:
        text = '\n'.join(line.rstrip(',') for line in text.splitlines() if is_own(line) or
                         line.startswith(ABOUT_THE_MACHINE) and 'namespace=' not in line or
                         SUMS.search(line) and not line.startswith('#'))
    if path == 'metrics':
        # Of an object with two names it has one; where the kernel's list cannot be had, it lists the directory.
        lines = text.replace(f'{MARK}-second', f'{MARK}-linked').splitlines()
        text = '\n'.join(sorted(set(lines)))
    # No command: that process is not shown to whoever asks.
    nothing = r'^command\t$|"command" ?: ?""|\t-(?=[\t\n])|"-"|"cmdline" ?: ?""|,"",\d'
    remarks.append(len(re.findall(nothing, text, re.M)))
    return Shown(text, (*remarks, text.count('unknown'), text.count('null')))


class Shown(str):
    """Text, with the numbers by which it says how much it does not know."""

    def __new__(cls, text, remarks):
        shown = super().__new__(cls, text)
        shown.remarks = remarks
        return shown

    def __getnewargs__(self):
        return str(self), self.remarks


def told(answer):
    """Whether some step of it was an error."""
    return 'failed' in repr(answer)


def shown_in(answer):
    if isinstance(answer, Shown):
        yield answer
    elif isinstance(answer, (list, tuple)):
        for part in answer:
            yield from shown_in(part)


def says_incomplete(answer, right):
    return any(now > then for got, wanted in zip(shown_in(answer), shown_in(right))
               for now, then in zip(got.remarks, wanted.remarks))


def facts(t, world):
    """One operation for each file of .shmtree/ that shows this world."""
    found = []
    for directory, subdirectories, names in os.walk(t.meta):
        inside = os.path.relpath(directory, t.meta)
        subdirectories.sort()
        kind, _, item = inside.partition('/')
        if item and '/' not in item and MARK not in item and kind in ('unlinked', 'namespaces'):
            subdirectories.clear()
            continue
        if inside == f'sysv/{world.read_sysv}':
            continue
        found.append((f'list {inside}'.replace(MARK, 'inj'),
                      lambda path=directory, inside=inside: listing(path, inside, world.realms)))
        for name in sorted(names):
            path = os.path.join(inside, name)
            if name not in ('events', 'log', 'README') and not (name == 'data' and inside.startswith('sysv/')):
                found.append((f'read {path}'.replace(MARK, 'inj'), lambda path=path: show(t, path)))
    return found


def listing(path, inside, own=()):
    names = sorted(os.listdir(path))
    if inside in ('unlinked', 'namespaces'):
        names = [n for n in names if MARK in n or n in own]
    return names


def show(t, path):
    return steady(read(t.meta / path).decode(errors='surrogateescape'), os.path.normpath(path))


# --- what is done

@contextlib.contextmanager
def scratch(t, *names):
    """Objects that are there for one operation, made and removed on the tmpfs itself."""
    for name in names:
        write(t.shm / name, b'0123456789')
        os.chmod(t.shm / name, 0o644)
    try:
        yield
    finally:
        for name in os.listdir(t.shm):
            if name.startswith('w-'):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(t.shm / name)


def step(function, *arguments):
    try:
        return function(*arguments)
    except OSError as error:
        return f'failed {errno.errorcode[error.errno]}'


def state(t):
    """What the tmpfs has of the objects of an operation."""
    seen = []
    for name in sorted(os.listdir(t.shm)):
        if name.startswith('w-'):
            st = os.lstat(t.shm / name)
            seen.append((name, oct(st.st_mode), st.st_uid, st.st_gid, st.st_size, st.st_nlink, read(t.shm / name)[:32]))
    return seen


def make(path, data):
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
    try:
        return os.write(fd, data), os.pread(fd, 100, 0), os.fstat(fd).st_size
    finally:
        os.close(fd)


def on_fd(path, flags, function):
    fd = os.open(path, flags)
    try:
        return function(fd)
    finally:
        os.close(fd)


def stat_of(path):
    st = os.stat(path)
    return st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_nlink, st.st_ino, st.st_blocks


def map_shared(t, path):
    if not t.shared_mmap:
        return 'not here'

    def change(fd):
        with mmap.mmap(fd, PAGE) as memory:
            memory[0:4] = b'MMAP'
            return bytes(memory[0:10])
    return on_fd(path, os.O_RDWR, change)


def locks(path):
    fd, other = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    try:
        return [step(fcntl.flock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
                step(fcntl.flock, other, fcntl.LOCK_SH | fcntl.LOCK_NB),
                step(fcntl.flock, fd, fcntl.LOCK_UN), step(fcntl.flock, other, fcntl.LOCK_SH | fcntl.LOCK_NB),
                step(fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10),
                step(fcntl.lockf, fd, fcntl.LOCK_UN, 10)]
    finally:
        os.close(fd)
        os.close(other)


def waits_for_lock(t, path):
    """Another process has it for a moment, on the tmpfs itself."""
    native = os.open(t.shm / 'w-a', os.O_RDWR)
    fcntl.flock(native, fcntl.LOCK_EX)
    pid = os.fork()
    if pid == 0:
        time.sleep(0.01)
        os._exit(0)
    os.close(native)
    try:
        return on_fd(path, os.O_RDWR, lambda fd: step(fcntl.flock, fd, fcntl.LOCK_EX))
    finally:
        os.waitpid(pid, 0)


def as_other(function):
    """The same by a user without rights; its result as text."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            os.write(theirs, repr(step(function)).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    try:
        with os.fdopen(ours, 'rb') as file:
            return file.read().decode()
    finally:
        os.waitpid(pid, 0)


def first_event(t):
    """The creation of an object, as `events` tells it."""
    fd = os.open(t.meta / 'events', os.O_RDONLY | os.O_NONBLOCK)
    text = b''
    try:
        write(t.shm / 'w-event', b'')
        deadline = time.monotonic() + 5
        while b'w-event' not in text and b'"lost"' not in text and time.monotonic() < deadline:
            select.select([fd], [], [], 0.5)
            with contextlib.suppress(BlockingIOError):
                text += os.read(fd, 65536)
        if b'"lost"' in text:
            return 'failed: it tells of a loss'
        return 'told' if b'w-event' in text else 'never told'
    finally:
        os.close(fd)


def unlinked_while_open(t):
    fd = os.open(t.root / 'w-a', os.O_RDWR)
    try:
        os.unlink(t.root / 'w-a')
        return os.pread(fd, 10, 0), os.fstat(fd).st_nlink, os.path.exists(t.shm / 'w-a')
    finally:
        os.close(fd)


def copy(t):
    a, b = os.open(t.root / 'w-a', os.O_RDONLY), os.open(t.root / 'w-b', os.O_RDWR)
    try:
        return os.copy_file_range(a, b, 5, 0, 0)
    finally:
        os.close(a)
        os.close(b)


def sysv_data(t, shmid):
    return on_fd(t.meta / 'sysv' / str(shmid) / 'data', os.O_RDONLY, lambda fd: os.pread(fd, 8, 0))


def actions(t, world):
    """Name, and the function."""
    a, b = t.root / 'w-a', t.root / 'w-b'

    def changing(function, *names):
        def run():
            with scratch(t, *names):
                result = step(function)
                return [result, state(t)]
        return run
    changes = {
        'make': lambda: make(a, b'content'),
        'mknod': lambda: os.mknod(a, 0o600),
    }
    of_one = {
        'read': lambda: read(a),
        'overwrite': lambda: on_fd(a, os.O_WRONLY, lambda fd: os.pwrite(fd, b'abc', 2)),
        'append': lambda: on_fd(a, os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, b'abc')),
        'open and truncate': lambda: on_fd(a, os.O_WRONLY | os.O_TRUNC, lambda fd: 0),
        'truncate': lambda: os.truncate(a, 4),
        'ftruncate': lambda: on_fd(a, os.O_RDWR, lambda fd: os.ftruncate(fd, 5)),
        'chmod': lambda: os.chmod(a, 0o604),
        'chown': lambda: os.chown(a, USER, USER),
        'fchown nothing': lambda: on_fd(a, os.O_RDWR, lambda fd: os.fchown(fd, -1, -1)),
        'utimens': lambda: (os.utime(a, (5, 6)), os.stat(a).st_mtime),
        'rename': lambda: os.rename(a, b),
        'link': lambda: os.link(a, b),
        'unlink': lambda: os.unlink(a),
        'unlink while open': lambda: unlinked_while_open(t),
        'remove by item': lambda: os.rmdir(t.meta / 'posix' / 'w-a'),
        'fallocate': lambda: on_fd(a, os.O_RDWR, lambda fd: fallocate(fd, 0, 0, 8192)),
        'punch': lambda: on_fd(a, os.O_RDWR, lambda fd: fallocate(fd, PUNCH, 0, 5)),
        'seek': lambda: on_fd(a, os.O_RDWR, lambda fd: os.lseek(fd, 0, os.SEEK_HOLE)),
        'xattr': lambda: [step(os.setxattr, a, 'user.k', b'v'), step(os.getxattr, a, 'user.k'), step(os.listxattr, a),
                          step(os.removexattr, a, 'user.k'), step(os.listxattr, a)],
        'map': lambda: map_shared(t, a),
        'locks': lambda: locks(a),
        'wait for a lock': lambda: waits_for_lock(t, a),
        'fsync': lambda: on_fd(a, os.O_RDWR, os.fsync),
        'state of open': lambda: on_fd(a, os.O_RDWR, lambda fd: show(t, 'posix/w-a/state')),
        'openers of open': lambda: on_fd(t.shm / 'w-a', os.O_RDWR, lambda fd: show(t, 'posix/w-a/openers')),
        'data of item': lambda: read(t.meta / 'posix' / 'w-a' / 'data'),
        'other reads': lambda: as_other(lambda: read(a)),
        'other writes': lambda: as_other(lambda: write(a, b'X')),
        'other chmods': lambda: as_other(lambda: os.chmod(a, 0o777)),
        'other removes': lambda: as_other(lambda: os.unlink(a)),
        'other makes': lambda: as_other(lambda: make(b, b'theirs')),
        'other lists': lambda: as_other(lambda: listing(t.meta / 'posix', 'posix')),
        'other asks': lambda: as_other(lambda: show(t, f'posix/{MARK}-used/mappers')),
    }
    of_two = {
        'rename over': lambda: os.rename(a, b),
        'rename not over': lambda: rename2(a, b, RENAME_NOREPLACE),
        'exchange': lambda: rename2(a, b, RENAME_EXCHANGE),
        'copy': lambda: copy(t),
    }
    looks = {
        'list': lambda: sorted(os.listdir(t.root)),
        'stat': lambda: stat_of(t.root / f'{MARK}-used'),
        'statfs': lambda: os.statvfs(t.root).f_blocks,
        'xattr of used': lambda: os.getxattr(t.root / f'{MARK}-used', 'user.inj'),
        'absent': lambda: os.path.exists(t.root / 'w-nothing'),
        'sysv data': lambda: sysv_data(t, world.read_sysv),
        'remove used sysv': lambda: step(os.rmdir, t.meta / 'sysv' / str(world.sysv)),
        'remove used item': lambda: step(os.rmdir, t.meta / 'posix' / f'{MARK}-used'),
        'event': lambda: first_event(t),
    }
    result = [(name, changing(f)) for name, f in changes.items()]
    result += [(name, changing(f, 'w-a')) for name, f in of_one.items()]
    result += [(name, changing(f, 'w-a', 'w-b')) for name, f in of_two.items()]

    def looking(function):
        def run():
            with scratch(t):
                return function()
        return run
    return result + [(name, looking(f)) for name, f in looks.items()]
