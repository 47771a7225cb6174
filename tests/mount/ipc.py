# SPDX-License-Identifier: GPL-2.0-or-later
"""System V and other memory without a name, for the tests of its files."""
import contextlib
import ctypes
import fcntl
import functools
import mmap
import os
import signal
import threading
import traceback

import harness

CLONE_NEWIPC = 0x08000000
IPC_CREAT, IPC_EXCL, IPC_RMID, IPC_SET, IPC_STAT, IPC_PRIVATE = 0o1000, 0o2000, 0, 1, 2, 0
SHM_RDONLY, SHM_LOCK, SHM_HUGETLB = 0o10000, 11, 0o4000
USER, OTHER = 4201, 4202
PR_SET_DUMPABLE = 4

_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = _libc.mmap.restype = ctypes.c_void_p


class ShmidDs(ctypes.Structure):
    _fields_ = [('key', ctypes.c_int), ('uid', ctypes.c_uint), ('gid', ctypes.c_uint),
                ('cuid', ctypes.c_uint), ('cgid', ctypes.c_uint), ('mode', ctypes.c_ushort),
                ('pad1', ctypes.c_ushort), ('seq', ctypes.c_ushort), ('pad2', ctypes.c_ushort),
                ('unused1', ctypes.c_ulong), ('unused2', ctypes.c_ulong),
                ('size', ctypes.c_size_t), ('atime', ctypes.c_long), ('dtime', ctypes.c_long),
                ('ctime', ctypes.c_long), ('cpid', ctypes.c_int), ('lpid', ctypes.c_int),
                ('nattch', ctypes.c_ulong), ('unused4', ctypes.c_ulong),
                ('unused5', ctypes.c_ulong)]


def _checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def shmget(key, size, flags):
    return _checked(_libc.shmget(ctypes.c_int(key), ctypes.c_size_t(size), ctypes.c_int(flags)))


def shm_stat(shmid):
    ds = ShmidDs()
    _checked(_libc.shmctl(shmid, IPC_STAT, ctypes.byref(ds)))
    return ds


def shm_control(shmid, command):
    _checked(_libc.shmctl(shmid, command, None))


def shm_remove(shmid):
    shm_control(shmid, IPC_RMID)


class Attached:
    """A segment in this process's address space; a buffer of its bytes."""

    def __init__(self, shmid, flags=0):
        self.address = _libc.shmat(shmid, None, flags)
        if self.address == ctypes.c_void_p(-1).value:
            _checked(-1)
        self.bytes = (ctypes.c_char * shm_stat(shmid).size).from_address(self.address)

    def __enter__(self):
        return self.bytes

    def __exit__(self, *_):
        del self.bytes
        _checked(_libc.shmdt(ctypes.c_void_p(self.address)))


def new_segment(size, content=b'', key=IPC_PRIVATE, mode=0o600):
    shmid = shmget(key, size, IPC_CREAT | IPC_EXCL | mode)
    if content:
        with Attached(shmid) as memory:
            memory[:len(content)] = content
    return shmid


def memfd(name, content=b'', flags=0):
    fd = os.memfd_create(name, flags)
    os.write(fd, content)
    return fd


def anonymous(content, size=mmap.PAGESIZE):
    memory = mmap.mmap(-1, size)  # shared
    memory[:len(content)] = content
    return memory


def map_alone(path, size):
    """Maps a file, shared, and keeps no descriptor of it, as mmap.mmap would."""
    with harness.opened(path, os.O_RDWR) as fd:
        address = _libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_WRITE,
                             mmap.MAP_SHARED, fd, ctypes.c_long(0))
    if address == ctypes.c_void_p(-1).value:
        _checked(-1)
    return address


class Later:
    """Has a Child do something else while it lives: prepare() starts the wait, now() has it done."""

    def __init__(self, action):
        self.action = action
        self.wait, self.tell = os.pipe()
        self.done, self.say = os.pipe()

    def prepare(self):
        def act():
            os.read(self.wait, 1)
            self.action()
            os.write(self.say, b'!')
        threading.Thread(target=act, daemon=True).start()

    def now(self):
        os.write(self.tell, b'!')
        harness.equal(os.read(self.done, 1), b'!', 'done')

    def close(self):
        for fd in (self.wait, self.tell, self.done, self.say):
            os.close(fd)


class Child:
    """A process in a state that `prepare` made, until the block ends. What it holds, it holds by
    what `prepare` returns."""

    def __init__(self, prepare, user=None, dumpable=1):
        ready, tell = os.pipe()
        wait, self.release = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self.release)
                os.close(ready)
                if user is not None:
                    os.setgroups([])
                    os.setresgid(user, user, user)
                    os.setresuid(user, user, user)
                    # As after an exec: without one, /proc shows it to nobody but root.
                    harness.call('prctl', PR_SET_DUMPABLE, dumpable, 0, 0, 0)
                held = prepare()
                os.write(tell, b'!')
                os.read(wait, 1)
                del held
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(tell)
        os.close(wait)
        said = os.read(ready, 1)
        os.close(ready)
        harness.equal(said, b'!', 'child is ready')

    def end(self):
        os.write(self.release, b'!')  # children that began later have it open as well: no end of file
        os.close(self.release)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        harness.equal(status, 0, 'status of child')

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.end()
        else:
            os.close(self.release)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def ipc_test(function):
    """A test of the mount in an IPC namespace of its own, which goes with its last process."""
    @harness.test(paths=harness.MOUNTED, start=False)
    @functools.wraps(function)
    def isolated(t):
        harness.call('unshare', CLONE_NEWIPC)
        t.start()
        if t.path == 'auto':
            harness.need_passthrough(t)
        function(t)
    return isolated


@contextlib.contextmanager
def sysctl(name, value):
    """One that belongs to this IPC namespace."""
    path = f'/proc/sys/kernel/{name}'
    before = harness.read(path)
    harness.write(path, str(value).encode())
    try:
        yield
    finally:
        harness.write(path, before.strip())


HUGE_PAGES = '/sys/kernel/mm/hugepages/hugepages-2048kB'


@contextlib.contextmanager
def huge_pages(count):
    """A pool of that many free huge pages, which is the machine's: one test at a time has it."""
    try:
        pool = os.open(HUGE_PAGES, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        harness.skip(f'no huge pages here: {error}')
    fcntl.flock(pool, fcntl.LOCK_EX)

    def pages(which):
        return int(harness.read(f'{HUGE_PAGES}/{which}_hugepages'))

    # Without those that the kernel added to the pool while they are in use.
    before = pages('nr') - pages('surplus')
    try:
        harness.write(f'{HUGE_PAGES}/nr_hugepages', b'%d' % (pages('nr') - pages('free') + count))
        if pages('free') < count:
            harness.skip('the kernel finds no memory for huge pages')
        yield
        # The kernel frees those of a segment a moment after its namespace.
        harness.eventually(lambda: pages('free') == count, 'the huge pages are free again')
    finally:
        harness.write(f'{HUGE_PAGES}/nr_hugepages', b'%d' % before)
        os.close(pool)


def attribute(directory, name):
    text = harness.read(directory / name)
    harness.equal(text[-1:], b'\n', f'end of {name}')
    return text[:-1].decode()


def pairs(directory, name):
    return dict(line.split('\t', 1) for line in attribute(directory, name).split('\n'))


def row(t, kind, identity):
    """Of `segments`; None if it is not there."""
    rows = [r for r in harness.table(harness.read(t.meta / 'segments'))[0]
            if r['KIND'] == kind.encode() and r['ID'] == identity.encode()]
    harness.check(len(rows) < 2, f'{kind} {identity} has one row at most')
    return rows[0] if rows else None
