# SPDX-License-Identifier: GPL-2.0-or-later
"""-o watch: the kernel keeps names, and is told when they change."""
import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import pathlib
import random
import signal
import statistics
import struct
import time
import traceback

from harness import (MOUNTED, PATIENCE, as_user, call, check, equal, eventually, fails, mounts_at, opened, read,
                     rename2, skip, test, write, RENAME_EXCHANGE)

WATCH = ('-o', 'watch')
USER = 12345
NAMES = [f'n{i}' for i in range(8)]
MNT_DETACH = 2
SIZE = 16 * mmap.PAGESIZE
SYS_GETDENTS64, SYS_USERFAULTFD = 217, 323
UFFD_API, UFFDIO_API = 0xaa, 0xc018aa3f
UFFDIO_REGISTER, UFFDIO_REGISTER_MODE_MISSING = 0xc020aa00, 1
QUEUE = pathlib.Path('/proc/sys/fs/inotify/max_queued_events')


def number(path):
    """The inode number behind a path; 0 if there is none."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def gone(path):
    """Waits until it is; how long that took."""
    began = time.monotonic()
    eventually(lambda: number(path) == 0, f'{path} is gone')
    return time.monotonic() - began


@contextlib.contextmanager
def frozen(t):
    """The daemon does not answer meanwhile."""
    t.daemon.send_signal(signal.SIGSTOP)
    state = pathlib.Path(f'/proc/{t.daemon.pid}/stat')
    try:
        eventually(lambda: state.read_text().rpartition(') ')[2][0] == 'T', 'the daemon is stopped')
        yield
    finally:
        t.daemon.send_signal(signal.SIGCONT)


def walks_unaided(t, name, patience=0.3):
    """Whether the kernel follows the path without the daemon."""
    with frozen(t):
        child = os.fork()
        if child == 0:
            try:
                os._exit(os.open(t.root / name, os.O_PATH) < 0)
            except OSError:
                os._exit(1)
        deadline = time.monotonic() + patience
        while not (done := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.001)
    if not done[0]:
        done = os.waitpid(child, 0)
        return False
    return done[1] == 0


def looked_up(t, name):
    os.stat(t.root / name)
    return walks_unaided(t, name)


def everything_is_told(t):
    """Changes are told in their order: once this one is, those before it have been."""
    write(t.shm / 'last', b'')
    with opened(t.root / 'last', os.O_RDONLY):
        os.unlink(t.shm / 'last')
        gone(t.root / 'last')


def same_names(t):
    """Each name leads to the same object on both sides, now."""
    for name in NAMES:
        equal(number(t.root / name), number(t.shm / name), f'object called {name}')
    equal(sorted(n for n in os.listdir(t.root) if n != '.shmtree'), sorted(os.listdir(t.shm)))


@test(MOUNTED, start=False)
def names_are_kept_with_it_alone(t):
    write(t.shm / 'x', b'x')
    t.start()
    equal(t.status()['watch'], 'off')
    check(not any(looked_up(t, 'x') for _ in range(3)), 'without it nothing is kept')
    t.stop()
    t.start(*WATCH)
    equal((t.status()['watch'], t.status()['watch_overflows']), ('on', '0'))
    eventually(lambda: looked_up(t, 'x'), 'the name is kept')
    os.link(t.shm / 'x', t.shm / 'y')
    eventually(lambda: not looked_up(t, 'x'), 'a name of several is not')
    check(not any(looked_up(t, 'x') for _ in range(3)), 'nor is it from then on')
    os.unlink(t.shm / 'y')
    eventually(lambda: looked_up(t, 'x'), 'it is the only one again')
    eventually(lambda: not walks_unaided(t, 'x'), 'not longer than its time')


@test(MOUNTED, options=WATCH)
def what_changes_outside_is_seen(t):
    for i in range(100):
        name, other = f'a{i}', f'b{i}'
        equal(number(t.root / name), 0)
        write(t.shm / name, b'1')
        check(number(t.root / name), 'created: at once, for that there is no name is not kept')
        write(t.shm / other, b'22')
        equal(os.stat(t.root / other).st_size, 2)
        os.rename(t.shm / other, t.shm / name)
        equal(os.stat(t.root / name).st_size, 2, 'replaced: at once, if nobody has it open')
        gone(t.root / other)  # its object is there, and has just been looked up as `name`
        os.truncate(t.shm / name, 3)
        equal(os.stat(t.root / name).st_size, 3, 'attributes are not kept')
        os.unlink(t.shm / name)
        equal(number(t.root / name), 0, 'unlinked: likewise')
    equal(os.listdir(t.root), ['.shmtree'])


@test(MOUNTED, options=WATCH)
def what_changes_while_open_is_seen(t):
    """The daemon has the object by a descriptor, whatever has become of the name."""
    lags = []
    for i in range(50):
        write(t.shm / 'x', b'old')
        with opened(t.root / 'x', os.O_RDWR) as fd:
            os.stat(t.root / 'x')
            if i % 3 == 0:
                os.unlink(t.shm / 'x')
                lags.append(gone(t.root / 'x'))
            elif i % 3 == 1:
                os.rename(t.shm / 'x', t.shm / 'y')
                lags.append(gone(t.root / 'x'))
                equal(os.stat(t.root / 'y').st_ino, os.fstat(fd).st_ino)
                os.unlink(t.root / 'y')
            else:
                write(t.shm / 'new', b'newer')
                os.rename(t.shm / 'new', t.shm / 'x')
                eventually(lambda: os.stat(t.root / 'x').st_size == 5, 'the other object')
                equal(read(t.root / 'x'), b'newer')
            equal(os.pread(fd, 10, 0), b'old')
        if i % 3 == 2:
            os.unlink(t.root / 'x')
        equal(number(t.root / 'x'), 0)
    check(statistics.median(lags) < 0.5, f'by events, not because the time was up: {lags}')


@test(MOUNTED, options=WATCH)
def what_has_several_names(t):
    """The name that was alone when it was looked up goes, although the object is there."""
    for _ in range(50):
        write(t.shm / 'a', b'1')
        os.stat(t.root / 'a')
        os.link(t.shm / 'a', t.shm / 'b')
        equal(number(t.root / 'b'), number(t.root / 'a'))
        os.unlink(t.shm / 'a')
        gone(t.root / 'a')
        equal(os.stat(t.root / 'b').st_nlink, 1)
        os.rename(t.shm / 'b', t.shm / 'a')
        check(number(t.root / 'a'), 'by its new name at once')
        gone(t.root / 'b')
        os.unlink(t.root / 'a')


@test(MOUNTED, options=WATCH)
def what_changes_through_the_mount(t):
    """No name is kept that the kernel itself has seen go."""
    for _ in range(100):
        write(t.root / 'a', b'1')
        os.unlink(t.root / 'a')
        write(t.shm / 'a', b'22')
        equal(os.stat(t.root / 'a').st_size, 2)
        write(t.root / 'b', b'333')
        rename2(t.root / 'a', t.root / 'b', RENAME_EXCHANGE)
        equal((os.stat(t.root / 'a').st_size, os.stat(t.root / 'b').st_size), (3, 2))
        os.rename(t.root / 'a', t.root / 'b')
        equal((number(t.root / 'a'), os.stat(t.root / 'b').st_size), (0, 3))
        os.link(t.root / 'b', t.root / 'a')
        os.unlink(t.root / 'b')
        equal((number(t.root / 'b'), os.stat(t.root / 'a').st_nlink), (0, 1))
        os.unlink(t.root / 'a')


@test(MOUNTED, options=WATCH)
def permissions_of_the_directory(t):
    write(t.shm / 'x', b'')

    def may():
        return as_user(USER, USER, lambda: os.stat(t.root / 'x'))
    for _ in range(5):
        equal(may(), 0)
        os.chmod(t.shm, 0o700)
        eventually(lambda: may() == errno.EACCES, 'nobody else may enter')
        os.chmod(t.shm, 0o1777)
        eventually(lambda: may() == 0, 'everybody may again')
        os.chmod(t.root, 0o700)
        equal(may(), errno.EACCES, 'errno after a change through the mount')
        os.chmod(t.root, 0o1777)
        equal(may(), 0, 'errno after a change through the mount')
    before = os.stat(t.root).st_mtime_ns
    os.unlink(t.shm / 'x')
    eventually(lambda: os.stat(t.root).st_mtime_ns == os.stat(t.shm).st_mtime_ns != before,
               'the time of its last change')


@test(MOUNTED, options=WATCH)
def an_owner_in_a_sticky_directory(t):
    """The kernel asks for the owner's permission before anybody asks the daemon."""
    for _ in range(5):
        write(t.shm / 'x', b'')
        os.stat(t.root / 'x')
        equal(as_user(USER, USER, lambda: os.unlink(t.root / 'x')), errno.EPERM)
        os.chown(t.shm / 'x', USER, USER)
        eventually(lambda: as_user(USER, USER, lambda: os.unlink(t.root / 'x')) == 0,
                   'it is theirs now')
        equal(number(t.shm / 'x'), 0)


@test(MOUNTED, options=WATCH)
def lost_events(t):
    """More of them at once than inotify keeps: what was lost is as good as told."""
    limit = int(QUEUE.read_text())
    if limit > 200_000:
        skip(f'{limit} events are too many to lose some')
    write(t.shm / 'x', b'')
    with opened(t.root / 'x', os.O_RDONLY):
        with frozen(t):
            for i in range(limit // 2 + 10):
                os.close(os.open(t.shm / f'many{i % 2}', os.O_CREAT | os.O_WRONLY))
                os.unlink(t.shm / f'many{i % 2}')
            os.unlink(t.shm / 'x')
        gone(t.root / 'x')
    eventually(lambda: t.status()['watch_overflows'] == '1', 'it says so')
    for name in NAMES:
        write(t.shm / name, b'')
    same_names(t)
    equal(t.status()['watch'], 'on')
    eventually(lambda: looked_up(t, 'n1'), 'names are kept as before')
    with opened(t.root / 'n1', os.O_RDONLY):
        os.unlink(t.shm / 'n1')
        gone(t.root / 'n1')


# --- storms

def child(work, *arguments):
    """A process that works until it is killed."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work(*arguments)
    except BaseException:  # it must not return into the parent's code
        traceback.print_exc()
    os._exit(1)


@contextlib.contextmanager
def may_be_gone():
    """An object may be gone again when it is used, and says so; nothing else may happen."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESTALE):
            raise


def change_all_the_time(directory, seed):
    """A few names, so that all have to do with all."""
    choose = random.Random(seed)
    while True:
        one, other = (directory / choose.choice(NAMES) for _ in range(2))
        with may_be_gone(), contextlib.suppress(FileExistsError):
            step = choose.randrange(5)
            if step < 2:
                os.close(os.open(one, os.O_CREAT | os.O_RDWR))
            elif step == 2:
                os.rename(one, other)
            elif step == 3:
                os.link(one, other)
            else:
                os.unlink(one)


def look_all_the_time(root, seed):
    choose = random.Random(seed)
    held = []
    while True:
        path = root / choose.choice(NAMES)
        with may_be_gone():
            os.stat(path)
            held.append(os.open(path, os.O_RDONLY))
        if len(held) > 20:
            os.close(held.pop(choose.randrange(20)))


@contextlib.contextmanager
def storm(t, changers=(3, 1), lookers=3, survives=True):
    """Changes outside and through the mount, and others who look. Whether the mount survives it."""
    children = [child(change_all_the_time, t.shm, i) for i in range(changers[0])]
    children += [child(change_all_the_time, t.root, i) for i in range(changers[1])]
    children += [child(look_all_the_time, t.root, i) for i in range(lookers)]
    try:
        yield
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        ends = [os.waitpid(pid, 0)[1] for pid in children]
    check(not survives or set(ends) == {signal.SIGKILL}, f'nobody met an error: {ends}')


@test(MOUNTED, options=WATCH)
def after_a_storm_all_names_are_right(t):
    for _ in range(8):
        held = []
        with storm(t):
            for _ in range(300):
                with may_be_gone():
                    held.append(os.open(t.root / random.choice(NAMES), os.O_RDONLY))
        everything_is_told(t)
        same_names(t)
        for fd in held:
            os.close(fd)
        same_names(t)


def end_of(t):
    daemon, t.daemon = t.daemon, None
    equal(daemon.wait(PATIENCE), 0, 'exit status of the daemon')
    equal(mounts_at(t.root), 0)


@test(MOUNTED, start=False, ends_open=True)
def a_signal_under_a_storm(t):
    for _ in range(5):
        t.start(*WATCH)
        with storm(t, survives=False):
            everything_is_told(t)
            t.daemon.terminate()
            end_of(t)


def list_into_nowhere(root, told):
    """A listing whose buffer is never there: the kernel waits for it with the root locked."""
    buffer = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    faults = call('syscall', SYS_USERFAULTFD, 0)
    fcntl.ioctl(faults, UFFDIO_API, bytearray(struct.pack('QQQ', UFFD_API, 0, 0)))
    fcntl.ioctl(faults, UFFDIO_REGISTER,
                bytearray(struct.pack('QQQQ', address, SIZE, UFFDIO_REGISTER_MODE_MISSING, 0)))
    directory = os.open(root, os.O_RDONLY)
    os.write(told, b'x')
    call('syscall', SYS_GETDENTS64, directory, ctypes.c_void_p(address), SIZE)


def waits_in(pid, function):
    return any(path.read_text() == function
               for path in pathlib.Path(f'/proc/{pid}/task').glob('*/wchan'))


@test(('auto',), options=WATCH, ends_open=True)
def a_caller_that_hangs(t):
    """Who holds the kernel's lock on the root stops the watch, but not the end of the mount."""
    if os.uname().machine != 'x86_64':
        skip('the numbers of system calls here are those of x86-64')
    write(t.shm / 'x', b'')
    os.stat(t.root / 'x')
    theirs, told = os.pipe()
    pid = child(list_into_nowhere, t.root, told)
    os.close(told)
    try:
        if os.read(theirs, 1) == b'':
            skip('no userfaultfd here')
        eventually(lambda: waits_in(pid, 'handle_userfault'), 'it hangs')
        os.unlink(t.shm / 'x')
        eventually(lambda: waits_in(t.daemon.pid, 'fuse_reverse_inval_entry'), 'so does the watch')
        t.daemon.terminate()
        eventually(lambda: mounts_at(t.root) == 0, 'unmounted')
        fails(errno.ENOENT, os.stat, t.root / 'x')
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    end_of(t)


@test(MOUNTED, start=False, ends_open=True)
def an_unmount_under_a_storm(t):
    for _ in range(5):
        t.start(*WATCH)
        with storm(t, changers=(3, 0), survives=False):  # none would then change what is below
            everything_is_told(t)
            call('umount2', t.root, MNT_DETACH)
        end_of(t)
