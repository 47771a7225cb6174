# SPDX-License-Identifier: GPL-2.0-or-later
"""What open files and listings cost the daemon, and that it gets it all back."""
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import pathlib
import platform
import resource
import time
import traceback

from handles import handle_of, open_handle
from harness import (MOUNTED, allow_descriptors, as_user, call, check, equal, eventually, fails, opened, read,
                     skip, test, write)

MANY = 10_000
USER, OTHER = 12345, 12346
PR_CAPBSET_DROP, CAP_SYS_RESOURCE = 24, 24


def descriptors(t):
    """Those of objects: it has others that come and go."""
    count = 0
    for number in os.listdir(place := f'/proc/{t.daemon.pid}/fd'):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f'{place}/{number}').startswith('/dev/shm/')
    return count


def processor_time(t):
    """Of all its threads, in ns, as of when each went to sleep."""
    total = 0
    for task in pathlib.Path(f'/proc/{t.daemon.pid}/task').iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int(read(task / 'schedstat').split()[0])
    return total


@test(MOUNTED)
def without_requests_it_sleeps(t):
    for _ in range(5000):
        os.stat(t.root / '.shmtree')

    def asleep():
        before = processor_time(t)
        time.sleep(0.1)
        return processor_time(t) - before < 10_000_000  # a sanitizer's own thread may run a little
    eventually(asleep, 'no thread runs')


@test(MOUNTED, start=False)
def it_may_open_as_much_as_the_system_allows(t):
    """Whatever the process might that started it; the hard limit, where it may not raise that."""
    allowed = int(read('/proc/sys/fs/nr_open'))
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, 1000))
    t.start()
    limits = resource.prlimit(t.daemon.pid, resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (500, allowed))
        equal(limits, (allowed, allowed))
    except ValueError:
        equal(limits, (1000, 1000))


def is_remembered(mount, handle):
    """Whether the kernel has the file's inode."""
    try:
        os.close(open_handle(mount, handle, os.O_PATH))
    except OSError as error:
        equal(error.errno, errno.ESTALE)
        return False
    return True


@test(paths=['auto'])
def what_nobody_uses_is_forgotten(t):
    """After half a minute, by kernel and daemon; what somebody has open, and what is below it, is not."""
    if tuple(int(part) for part in platform.release().split('.')[:2]) < (6, 18):
        skip('needs Linux 6.18')
    names = [f'o{i}' for i in range(5000)]
    for name in names:
        write(t.shm / name, b'')
    gone, used = t.meta / 'posix/o0/mappings', t.meta / 'posix/o1/mappings'
    files = [gone, gone.parent, t.root / 'o0']
    with opened(t.root, os.O_RDONLY | os.O_DIRECTORY) as mount, opened(used, os.O_PATH):
        forgotten = [handle_of(path) for path in files]
        kept = handle_of(used)
        check(is_remembered(mount, forgotten[0]), 'it was looked up just now')
        os.unlink(t.shm / 'o0')
        for name in names[1:]:
            os.stat(t.root / name)

        def all_forgotten():
            read(t.meta / 'status')  # an idle daemon does nothing
            return not any(is_remembered(mount, handle) for handle in forgotten)
        eventually(all_forgotten, 'the kernel has forgotten what is gone', patience=120)
        check(is_remembered(mount, kept), 'what is open is kept')
        equal(os.stat(used).st_size, 0)
    for name in names[1:]:
        os.stat(t.root / name)


@test(MOUNTED)
def one_descriptor_for_each_open_object(t):
    allow_descriptors(MANY + 100)
    before = descriptors(t)
    fds = [os.open(t.root / f'n{i}', os.O_CREAT | os.O_RDWR) for i in range(MANY)]
    check(descriptors(t) <= before + MANY, f'{descriptors(t) - before} descriptors')
    os.pwrite(fds[-1], b'last', 0)
    equal(read(t.shm / f'n{MANY - 1}'), b'last')
    for fd in fds:
        os.close(fd)
    eventually(lambda: descriptors(t) == before, 'all are closed')


@test(MOUNTED)
def what_is_unlinked_is_freed_whatever_the_kernel_remembers(t):
    """It still knows the object by the name that it had before it was renamed outside."""
    write(t.shm / 'old', bytes(1 << 20))
    os.stat(t.root / 'old')
    os.rename(t.shm / 'old', t.shm / 'new')
    free = os.statvfs(t.shm).f_bfree
    os.unlink(t.root / 'new')
    eventually(lambda: os.statvfs(t.shm).f_bfree == free + (1 << 20) // os.statvfs(t.shm).f_bsize,
               'its memory comes back')
    equal(descriptors(t), 0)


@test(MOUNTED)
def one_descriptor_for_each_access_mode(t):
    before = descriptors(t)
    write(t.root / 'a', b'12345')
    modes = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)
    fds = [os.open(t.root / 'a', mode) for mode in modes for _ in range(100)]
    eventually(lambda: descriptors(t) == before + len(modes), 'one descriptor for each')
    equal(os.pread(fds[0], 5, 0), b'12345')
    with opened(t.root / 'a', os.O_RDWR | os.O_TRUNC) as fd:
        equal(os.fstat(fds[0]).st_size, 0, 'size after O_TRUNC with the mode open already')
        equal(os.pwrite(fd, b'xyz', 0), 3)
    os.unlink(t.root / 'a')
    for fd in fds[100:]:
        os.close(fd)
    eventually(lambda: descriptors(t) == before + 1, 'only the one for reading is left')
    equal(os.pread(fds[99], 5, 0), b'xyz')
    os.fchmod(fds[99], 0o604)
    equal(os.fstat(fds[0]).st_mode & 0o777, 0o604)
    for fd in fds[:100]:
        os.close(fd)
    eventually(lambda: descriptors(t) == before, 'all are closed')


def start_with_descriptors(t, number):
    """A daemon that cannot have more than so many, though it runs as root."""
    call('prctl', PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))
    t.start()
    return int(t.status()['user_descriptors_limit'])


def use_up(open_one, limit, number):
    """Opens until it fails, which is to be with that errno, and after `limit` times."""
    for _ in range(limit):
        open_one()
    fails(number, open_one)


@contextlib.contextmanager
def holding(greedy, user=USER):
    """While a user has what that function has opened, and not closed."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(go[1])
            os.setresuid(user, user, user)
            held = greedy()
            os.write(ready[1], b'x')
            os.read(go[0], 1)
            del held
            status = 0
        except BaseException:  # it must not return into the parent's code
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(ready[1])
    equal(os.read(ready[0], 1), b'x', 'what the user who takes all says')
    yield
    os.close(go[1])
    equal(os.waitpid(pid, 0)[1], 0)


@test(MOUNTED, start=False)
def a_user_gets_part_of_the_descriptors(t):
    limit = start_with_descriptors(t, 2048)
    # Less what is kept for the daemon, for root, and for those who have little.
    equal(limit, (2048 - 2048 // 16 - 2 * 256) // 2)
    before = descriptors(t)
    names = iter(range(limit + 1))

    def greedy():
        use_up(lambda: os.open(t.root / f'n{next(names)}', os.O_CREAT | os.O_RDWR), limit,
               errno.EMFILE)
        equal((t.shm / f'n{limit}').exists(), False, 'created nevertheless')
    equal(as_user(USER, USER, greedy), 0)
    eventually(lambda: descriptors(t) == before, 'all are closed')
    equal(as_user(USER, USER, lambda: write(t.root / 'n0', b'again')), 0)


@test(MOUNTED, start=False)
def several_users_leave_something(t):
    limit = start_with_descriptors(t, 2048)
    write(t.shm / 'other', b'')
    os.chown(t.shm / 'other', OTHER, OTHER)

    def greedy():
        fds = []
        with contextlib.suppress(OSError):
            for i in range(limit + 1):
                fds.append(os.open(t.root / f'{os.getuid()}-{i}', os.O_CREAT | os.O_RDWR))
        check(0 < len(fds) <= limit, f'{len(fds)} descriptors')
        return fds

    def frugal():
        os.close(os.open(t.root / 'other', os.O_RDWR))
        os.listdir(t.root)
        read(t.meta / 'posix/other/info.json')
        read(t.meta / 'segments')
    with contextlib.ExitStack() as stack:
        for user in range(100_000, 100_012):
            stack.enter_context(holding(greedy, user))
        equal(as_user(OTHER, OTHER, frugal), 0)
        equal(as_user(0, 0, frugal), 0)


MAPPINGS = 30_000


def map_often(path):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    fd = os.open(path, os.O_RDWR)
    for i in range(MAPPINGS):  # of two sorts, or the kernel would join them
        address = libc.mmap(None, ctypes.c_size_t(4096), 1 + 2 * (i & 1), mmap.MAP_SHARED, fd,
                            ctypes.c_long(0))
        check(address != ctypes.c_void_p(-1).value, 'mmap failed')
    return fd


def peak_memory(t):
    return int(read(f'/proc/{t.daemon.pid}/status').decode().split('VmHWM:')[1].split()[0]) << 10


@test(MOUNTED)
def tables_of_many_rows_take_little_memory(t):
    if any(name in read(t.program) for name in (b'__asan_init', b'__tsan_init')):
        skip('a sanitizer takes more')
    write(t.shm / 'many', bytes(4096))
    os.chmod(t.shm / 'many', 0o666)
    with holding(lambda: map_often(t.shm / 'many')):
        equal(t.number('many', 'mappings'), MAPPINGS)
        before = peak_memory(t)
        equal(len(t.rows('many', 'mappers')), MAPPINGS)
        info = json.loads(read(t.meta / 'posix/many/info.json'))
        equal(len(info['mappers']), MAPPINGS)
        check(peak_memory(t) - before < 8 << 20, f'{(peak_memory(t) - before) >> 20} MiB more')
        with open(t.meta / 'posix/many/info.json', 'rb') as file:
            whole = file.read()
            for offset in (len(whole) - 100, 0, 1 << 20, 64 << 10, 1):
                equal(os.pread(file.fileno(), 100, offset), whole[offset:offset + 100])


@test(MOUNTED)
def a_user_gets_so_many_bytes_of_listings(t):
    """Charged while a listing is made, so that it fails where it begins to be too much."""
    limit = int(t.status()['user_listing_bytes_limit'])
    write(t.shm / 'many', bytes(4096))
    os.chmod(t.shm / 'many', 0o666)

    def greedy():
        fds = [map_often(t.shm / 'many')]
        for _ in range(limit // (8 * MAPPINGS)):  # a row takes more than eight bytes
            try:
                fds.append(os.open(t.meta / 'posix/many/mappers', os.O_RDONLY))
            except OSError as error:
                equal(error.errno, errno.ENOMEM)
                return fds
        return check(False, f'{len(fds)} listings')
    with holding(greedy):
        equal(as_user(OTHER, OTHER, lambda: equal(len(t.rows('many', 'mappers')), 0)), 0)
        equal(len(t.rows('many', 'mappers')), MAPPINGS)
    equal(as_user(USER, USER, lambda: read(t.meta / 'segments')), 0)


@test(MOUNTED, start=False)
def so_many_unlinked_objects_are_kept(t):
    """Who has seen an object, without opening it, could make the daemon keep it."""
    limit = start_with_descriptors(t, 2048) // 4  # of a quarter, half
    before = descriptors(t)


    def greedy():
        fds = []
        for i in range(limit + 100):
            write(t.shm / f'n{i}', b'')
            fds.append(os.open(t.root / f'n{i}', os.O_PATH))
            os.unlink(t.root / f'n{i}')
        equal(os.fstat(fds[0]).st_nlink, 0)
        fails(errno.ESTALE, os.fstat, fds[-1])
        return fds
    for _ in range(2):
        with holding(greedy):
            equal(descriptors(t) - before, limit)
            equal(as_user(USER, USER, lambda: write(t.root / 'another', b'can be made')), 0)
        eventually(lambda: descriptors(t) == before, 'all are closed')


@test(MOUNTED, start=False)
def lock_owners_count_as_descriptors(t):
    limit = start_with_descriptors(t, 2048)
    before = descriptors(t)
    write(t.root / 'a', b'')
    os.chmod(t.root / 'a', 0o666)

    def greedy():
        fds = iter([os.open(t.root / 'a', os.O_RDWR) for _ in range(limit)])
        use_up(lambda: fcntl.flock(next(fds), fcntl.LOCK_SH), limit - 1, errno.ENOLCK)
    equal(as_user(USER, USER, greedy), 0)
    eventually(lambda: descriptors(t) == before, 'all are closed')


@test(MOUNTED)
def a_user_gets_so_many_listings(t):
    limit = int(t.status()['user_listings_limit'])
    allow_descriptors(limit + 100)

    def greedy():
        use_up(lambda: os.open(t.meta / 'README', os.O_RDONLY), limit, errno.EMFILE)
        fails(errno.EMFILE, os.open, t.root, os.O_RDONLY | os.O_DIRECTORY)
    with holding(greedy):
        equal(as_user(OTHER, OTHER, lambda: read(t.meta / 'segments')), 0, 'another user')
        equal(os.listdir(t.root), ['.shmtree'])

        def refused():
            for _ in range(20):
                for name in 'status', 'memory':
                    fails(errno.EMFILE, os.open, t.meta / name, os.O_RDONLY)
        before = int(t.status()['census_passes'])
        equal(as_user(USER, USER, refused), 0)
        check(int(t.status()['census_passes']) - before < 20, 'nothing is made for who is refused')
    eventually(lambda: as_user(USER, USER, lambda: os.listdir(t.root)) == 0, 'listings again')


@test(MOUNTED)
def questions_that_need_a_pass_are_given_back(t):
    """More of them, one after another, than one user may have open at a time."""
    write(t.root / 'x', b'x')
    os.chmod(t.root / 'x', 0o644)

    def ask():
        fd = os.open(t.root / 'x', os.O_RDONLY)  # so that the object alone does not tell its state
        for _ in range(1100):
            equal(read(t.root / '.shmtree/posix/x/state'), b'open\n')
        os.close(fd)
    equal(as_user(USER, USER, ask), 0)
