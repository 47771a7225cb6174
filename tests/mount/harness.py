# SPDX-License-Identifier: GPL-2.0-or-later
"""What mounted tests are written with.

    @test()                             once in each data path, and natively by --paths native
    def truncate_makes_zeros(t):
        write(t.root / 'a', b'12345')   # t.root: the mount, or /dev/shm itself
        os.truncate(t.root / 'a', 8)
        equal(read(t.shm / 'a'), b'12345\\0\\0\\0')

A test fails by raising, and passes by returning, if the daemon then also ends well: with status 0,
and with nothing from a sanitizer in its log. It is skipped by skip(reason). Never sleep and hope:
eventually() waits for a condition, and helper processes say when they have done what they were told.
"""
import base64
import contextlib
import ctypes
import errno
import faulthandler
import importlib
import os
import pathlib
import re
import resource
import select
import signal
import subprocess
import sys
import time
import traceback

SKIPPED = 77
LOG_LINES = 60
PATIENCE = 30.0  # seconds; generous, for a machine under load and a daemon under a sanitizer

TESTS = []
MOUNTED = ('auto', 'off')
ANYWHERE = ('auto', 'off', 'native')


class Test:
    """A function with the data paths that it is to run in."""

    def __init__(self, function, paths, options, start, ends_open):
        self.function = function
        self.module = function.__module__
        self.name = f'{self.module.removeprefix("test_")}.{function.__name__}'
        self.paths = paths
        self.options = options
        self.start = start
        self.ends_open = ends_open


def test(paths=ANYWHERE, options=(), start=True, ends_open=False):
    """paths: of auto, off, native. options: more of them for the daemon. start=False: the test
    starts what it needs itself. ends_open: the daemon is ended while files are open, whose handles
    a leak checker would find."""
    def register(function):
        function.test = Test(function, paths, tuple(options), start, ends_open)
        TESTS.append(function.test)
        return function
    return register


class Skip(Exception):
    """The machine lacks what the test is about."""


def skip(reason):
    raise Skip(reason)


# --- Linux, where Python 3.9 has no wrapper

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV, MS_BIND = 0x4000, 1 << 18, 2, 4, 0x1000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
AT_FDCWD = -100


def call(name, *arguments):
    """A function of libc that returns -1 and sets errno when it fails."""
    result = getattr(_libc, name)(*[
        os.fsencode(a) if isinstance(a, (str, os.PathLike)) else
        ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


def become_subreaper():
    call('prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(number=signal.SIGKILL):
    call('prctl', PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def fallocate(fd, mode, offset, length):
    call('fallocate', fd, mode, offset, length)


def rename2(old, new, flags):
    call('renameat2', AT_FDCWD, old, AT_FDCWD, new, flags)


# --- assertions

def equal(got, wanted, what=''):
    if got != wanted:
        raise AssertionError(f'{what or "value"}: got {got!r}, wanted {wanted!r}')


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def fails(number, function, *arguments, **keywords):
    """The call fails, with exactly this errno."""
    try:
        result = function(*arguments, **keywords)
    except OSError as error:
        equal(errno.errorcode.get(error.errno), errno.errorcode[number],
              f'errno of {getattr(function, "__name__", function)}{arguments}')
    else:
        raise AssertionError(f'{function.__name__}{arguments} gave {result!r}, '
                             f'wanted {errno.errorcode[number]}')


def eventually(condition, what, patience=PATIENCE):
    """Waits until the condition holds; what it returned."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f'never came true: {what}')
        time.sleep(0.01)
    return value


# --- files and programs

def allow_descriptors(number):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(number, min(hard, 2 * number)), hard))


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def write(path, data, mode='wb'):
    with open(path, mode, buffering=0) as file:
        equal(file.write(data), len(data), f'bytes written to {path}')


@contextlib.contextmanager
def opened(path, flags, mode=0o600):
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def run(*command, status=0, stdin=b'', **keywords):
    """Runs a program; its standard output. English messages, and the status must be as said."""
    done = subprocess.run([os.fspath(a) for a in command], input=stdin, capture_output=True,
                          check=False, **keywords)
    equal(done.returncode, status,
          f'status of {" ".join(map(str, command))} ({done.stderr.decode(errors="replace").strip()})')
    return done.stdout


def sh(script, **keywords):
    return run('/bin/sh', '-e', '-c', script, **keywords)


def as_user(uid, gid, function, groups=()):
    """Runs the function in a child process with that identity; its errno, 0 if it succeeded."""
    pid = os.fork()
    if pid == 0:
        status = 255
        try:
            os.setgroups(list(groups))
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            function()
            status = 0
        except OSError as error:
            status = error.errno
        except BaseException:  # it must not return into the parent's code
            traceback.print_exc()
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    check(0 <= status < 255, f'child of another user failed otherwise: {status}')
    return status


def close_dead(fd):
    """Closes a descriptor whose daemon is gone, which close(2) may report, and does all the same."""
    try:
        os.close(fd)
    except OSError as error:
        equal(errno.errorcode[error.errno], 'ENOTCONN')


class Mapper:
    """tests/helpers/mapper: a process that maps, holds and forks as it is told."""

    def __init__(self, path, flags='rw', user=None):
        def drop():
            if user is not None:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
        self.process = subprocess.Popen(
            [os.path.join(os.environ['SHMTREE_HELPERS'], 'mapper'), os.fspath(path), flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=drop)
        self.pid = int(self._answer())

    def _answer(self):
        line = self.process.stdout.readline().decode().split()
        if not line or line[0] != 'ok':
            raise AssertionError(f'mapper answered {line}')
        return line[1] if len(line) > 1 else 0

    def __call__(self, command):
        """Gives a command and waits until it is done; the number that it answers."""
        self.process.stdin.write(command.encode() + b'\n')
        self.process.stdin.flush()
        return int(self._answer())

    def end(self):
        self.process.stdin.close()
        equal(self.process.wait(PATIENCE), 0, 'status of mapper')
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.end()


# --- tables

def unescape(text):
    return re.sub(rb'\\([0-7]{3})', lambda m: bytes([int(m[1], 8)]), text)


def table(text):
    """The rows of a table as dictionaries of bytes, and the lines that are no rows (at its end)."""
    lines = text.split(b'\n')
    equal(lines.pop(), b'', 'what follows the last newline')
    columns = lines.pop(0).decode().split('\t')
    rows, remarks = [], []
    for line in lines:
        fields = line.split(b'\t')
        if line.startswith(b'# not read: '):
            continue  # of the machine's other processes; tests/attack/test_silence.py looks at it
        if len(fields) == len(columns):
            rows.append({c: unescape(f) for c, f in zip(columns, fields)})
        else:
            remarks.append(line.decode())
    return rows, remarks


def json_bytes(entry, key):
    """A name out of JSON: exact bytes, whether it is UTF-8 or not."""
    exact = entry.get(key + '_base64')
    return base64.b64decode(exact) if exact is not None else entry[key].encode()


# --- the mount

class Tree:
    """The place under test. Natively root and shm are the same directory, and there is no daemon."""

    shm = pathlib.Path('/dev/shm')

    def __init__(self, path, options=()):
        self.path = path
        self.options = options
        self.private = pathlib.Path(os.environ['SHMTREE_SCRATCH'])
        self.program = os.environ['SHMTREE']
        self.daemon = None
        if path == 'native':
            self.root = self.shm
        else:
            self.root = self.private / 'mnt'
            self.root.mkdir(exist_ok=True)

    @property
    def meta(self):
        return self.root / '.shmtree'

    def status(self):
        lines = read(self.meta / 'status').decode().splitlines()
        return dict(line.split('\t', 1) for line in lines)

    def attribute(self, name, attribute):
        """Of an object, without its newline."""
        text = read(self.meta / 'posix' / name / attribute)
        equal(text[-1:], b'\n', f'end of {attribute}')
        return text[:-1].decode()

    def number(self, name, attribute):
        return int(self.attribute(name, attribute))

    def unreadable(self):
        return int(self.status()['unreadable_processes'])

    def becomes_idle(self, name):
        """A process that has ended lets go of its files a moment later."""
        eventually(lambda: self.attribute(name, 'state') == 'idle', f'{name} is idle')

    def rows(self, name, attribute):
        return table(read(self.meta / 'posix' / name / attribute))[0]

    @property
    def shared_mmap(self):
        """Whether a file here can be mapped shared: not without passthrough."""
        return self.path != 'off'

    def start(self, *options, root=None):
        """Starts a daemon in the foreground; returns when the mount is there."""
        root = root or self.root
        arguments = ['-f', '-o', f'passthrough={self.path}', *self.options, *options]
        self.daemon = subprocess.Popen([self.program, os.fspath(root), *arguments],
                                       stdin=subprocess.DEVNULL)
        wait_for_mount(root, self.daemon)

    def connection(self):
        """The kernel's files about the connection of the mount that is uppermost there."""
        connections = self.private / 'connections'
        if not connections.exists():
            connections.mkdir()
            call('mount', 'fusectl', connections, b'fusectl', 0, b'')
        return connections / str(minor_at(self.root))

    def waiting(self):
        """How many requests the kernel has not had an answer to."""
        return int(read(self.connection() / 'waiting'))

    def settle(self):
        """What close(2) tells the daemon, asynchronously, it has heard."""
        eventually(lambda: self.waiting() == 0, 'no request is under way')

    def stop(self, number=signal.SIGTERM):
        before = mounts_at(self.root)
        self.settle()
        daemon, self.daemon = self.daemon, None
        daemon.send_signal(number)
        equal(daemon.wait(PATIENCE), 0, 'exit status of the daemon')
        equal(mounts_at(self.root), before - 1, 'mounts left')

    def kill(self):
        """Its mount is dead then: also where another daemon's census still refers to its /dev/fuse."""
        daemon, self.daemon = self.daemon, None
        connection = self.connection() if mounted_at(self.root) else None
        daemon.kill()
        daemon.wait(PATIENCE)
        if connection:
            write(connection / 'abort', b'1')


def mounted_at(path):
    """What /proc/self/mountinfo says of each file system that is mounted on exactly this path."""
    with open('/proc/self/mountinfo', 'rb') as file:
        return [line for line in map(bytes.split, file) if unescape(line[4]) == os.fsencode(path)]


def mounts_at(path):
    """How many file systems are mounted on exactly this path."""
    return len(mounted_at(path))


def minor_at(path):
    """The minor device number of the uppermost one."""
    return int(mounted_at(path)[-1][2].split(b':')[1])


def alive(root):
    """Whether a daemon answers there. To a dead mount that is still in its place, it does not."""
    try:
        return os.path.isdir(root / '.shmtree')
    except OSError:
        return False


def wait_for_mount(root, daemon):
    """Waits until the daemon answers; the kernel tells of each change of the mounts."""
    deadline = time.monotonic() + PATIENCE
    with open('/proc/self/mountinfo', 'rb') as changes:
        poll = select.poll()
        poll.register(changes, select.POLLERR | select.POLLPRI)
        while not alive(root):
            check(daemon.poll() is None, f'the daemon ended with status {daemon.returncode}')
            check(time.monotonic() < deadline, f'nothing was mounted on {root}')
            poll.poll(50)


# --- the process of one test

def need_capabilities(path):
    if os.geteuid() != 0:
        skip('needs root, for mount namespaces')
    try:
        call('unshare', CLONE_NEWNS)
        call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
    except OSError as error:
        skip(f'no mount namespaces here: {error}')
    if path != 'native':
        try:
            os.close(os.open('/dev/fuse', os.O_RDWR))
        except OSError as error:
            skip(f'no FUSE here: {error}')


def private_world():
    """A tmpfs of its own on /dev/shm, and another to work in."""
    for place, size in (('/dev/shm', '64m'), (os.environ['SHMTREE_SCRATCH'], '64m')):
        call('mount', 'shm' if place == '/dev/shm' else 'work', place, b'tmpfs',
             MS_NOSUID | MS_NODEV, f'size={size},mode=1777'.encode())
    os.umask(0o022)
    os.chdir(os.environ['SHMTREE_SCRATCH'])


def need_passthrough(tree):
    """Skips where this kernel has none, so that no test passes in one data path under two names."""
    status = tree.status()
    if status['data_path'] != 'passthrough':
        skip(f"no passthrough here: {status['data_path_reason']}")


def default_signals():
    """Whoever runs the tests in the background may have them ignored, and a daemon would inherit that."""
    for number in signal.SIGHUP, signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)


def say_how_it_ended(daemon):
    """A test that fails since its daemon has ended says so; its own errors are of no use then."""
    if daemon is None:
        return
    try:
        status = daemon.wait(1)  # its connection ends a moment before its process does
    except subprocess.TimeoutExpired:
        return
    print(f'the daemon has ended with status {status}', file=sys.stderr)


def perform(case):
    default_signals()
    need_capabilities(case.path)
    private_world()
    if case.ends_open:
        os.environ['ASAN_OPTIONS'] = os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'
    tree = Tree(case.path, case.options)
    if case.path != 'native' and case.start:
        tree.start()
        if case.path == 'auto':
            need_passthrough(tree)
    try:
        case.function(tree)
        if tree.daemon:
            tree.stop()
    except BaseException:
        say_how_it_ended(tree.daemon)
        raise


def main(module, function, path, timeout):
    """Ends the process with the test's status."""
    faulthandler.dump_traceback_later(timeout * 0.9)
    status = 1
    try:
        case = getattr(importlib.import_module(module), function).test
        case.path = path
        perform(case)
        status = 0
    except Skip as reason:
        print(reason)
        status = SKIPPED
    except BaseException:  # whatever it is, the status must say so
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
