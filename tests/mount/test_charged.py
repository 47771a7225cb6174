# SPDX-License-Identifier: GPL-2.0-or-later
"""`charged`: bytes of a segment by the memory cgroup that pays for them."""
import contextlib
import errno
import mmap
import os

from harness import as_user, call, check, equal, fails, fallocate, opened, read, skip, table, write
from ipc import Attached, Child, OTHER, USER, ipc_test, memfd, new_segment
from test_object import need_objects
from test_whose import DIGITS, cgroup

MIB = 1 << 20
MS_REMOUNT = 32
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2


@contextlib.contextmanager
def memory_group(name):
    """A group that pays for memory, and its path below the root of its hierarchy."""
    with cgroup(name) as place:
        if not any(os.path.exists(f'{place}/{f}') for f in ('memory.usage_in_bytes',
                                                            'memory.current')):
            skip('no control group here pays for memory')
        yield place, place.removeprefix('/sys/fs/cgroup').removeprefix('/memory')


def paid_by(group, work):
    """The work is done by a process of that group, which has ended by now."""
    def in_group():
        write(f'{group}/cgroup.procs', b'%d' % os.getpid())
        work()
    with Child(in_group):
        pass


def charged(directory):
    rows, remarks = table(read(directory / 'charged'))
    return {r['CGROUP'].decode(): int(r['BYTES']) for r in rows}, remarks


def fill(path, start, size):
    with opened(path, os.O_RDWR) as fd:
        equal(os.pwrite(fd, b'\1' * size, start), size)


@ipc_test
def a_known_split(t):
    need_objects(t)
    write(t.shm / 'x', b'')
    os.truncate(t.shm / 'x', 32 * MIB)
    shmid = new_segment(8 * MIB)

    def attach(start, size):
        with Attached(shmid) as memory:
            memory[start:start + size] = b'\2' * size
    with memory_group('one') as (one, one_path), memory_group('two') as (two, two_path):
        paid_by(one, lambda: fill('/dev/shm/x', 0, 12 * MIB))
        paid_by(two, lambda: fill('/dev/shm/x', 16 * MIB, 4 * MIB))
        equal(charged(t.meta / 'posix' / 'x'), ({one_path: 12 * MIB, two_path: 4 * MIB}, []))
        paid_by(one, lambda: attach(0, 3 * MIB))
        paid_by(two, lambda: attach(5 * MIB, mmap.PAGESIZE))
        paid_by(two, lambda: attach(7 * MIB, MIB))
        equal(charged(t.meta / 'sysv' / str(shmid)),
              ({one_path: 3 * MIB, two_path: MIB + mmap.PAGESIZE}, []))
        rows, _ = table(read(t.meta / 'posix' / 'x' / 'charged'))
        equal({r['UNIT'].decode() for r in rows}, {DIGITS[:12]})

        guest = memfd(f'charged{os.getpid()}')
        os.truncate(guest, 2 * MIB)
        paid_by(two, lambda: os.pwrite(guest, b'\1' * MIB, MIB))
        name, = (n for n in os.listdir(t.meta / 'unlinked') if f'charged{os.getpid()}-' in n)
        equal(charged(t.meta / 'unlinked' / name), ({two_path: MIB}, []))
        os.close(guest)
        os.mkdir(t.shm / 'deep')
        write(t.shm / 'deep' / 'file', b'')
        paid_by(one, lambda: fill('/dev/shm/deep/file', MIB, MIB))
        inode = str(os.stat(t.shm / 'deep' / 'file').st_ino)
        equal(charged(t.meta / 'nested' / inode), ({one_path: MIB}, []))
    found, _ = charged(t.meta / 'posix' / 'x')
    equal(sorted(found.values()), [4 * MIB, 12 * MIB])
    check(not {one_path, two_path} & set(found), 'the groups are gone')


@ipc_test
def who_may_see_who_pays(t):
    need_objects(t)
    os.chmod(t.private, 0o755)
    write(t.shm / 'x', b'')
    os.truncate(t.shm / 'x', MIB)
    with memory_group('mine') as (mine, path), memory_group('theirs') as (theirs, _):
        paid_by(mine, lambda: fill('/dev/shm/x', 0, mmap.PAGESIZE))
        paid_by(theirs, lambda: fill('/dev/shm/x', mmap.PAGESIZE, 2 * mmap.PAGESIZE))

        def look():
            equal(charged(t.meta / 'posix' / 'x'),
                  ({path: mmap.PAGESIZE}, [f'# {2 * mmap.PAGESIZE} bytes not shown']))

        def in_group():
            write(f'{mine}/cgroup.procs', b'%d' % os.getpid())
            equal(as_user(USER, USER, look), 0)
        with Child(in_group):
            pass

        def nothing():
            equal(charged(t.meta / 'posix' / 'x'),
                  ({}, [f'# {3 * mmap.PAGESIZE} bytes not shown']))
        equal(as_user(OTHER, OTHER, nothing), 0)


@ipc_test
def shapes_of_the_page_cache(t):
    """Empty, one page, holes, and far apart; the sum is what stat(1) shows."""
    need_objects(t)
    with opened(t.shm / 'x', os.O_RDWR | os.O_CREAT) as fd:
        for size, offsets in (0, ()), (1, (0,)), (4, (0, 3)), (70, (0, 63, 64, 69)), \
                (1 << 24, (0, 1, 4095, 4096, (1 << 24) - 1)):
            os.truncate(fd, 0)
            os.truncate(fd, size * mmap.PAGESIZE)
            for page in offsets:
                os.pwrite(fd, b'\1', page * mmap.PAGESIZE)
            found, remarks = charged(t.meta / 'posix' / 'x')
            equal((sum(found.values()), remarks), (len(offsets) * mmap.PAGESIZE, []), offsets)
            equal(os.fstat(fd).st_blocks * 512, len(offsets) * mmap.PAGESIZE)


@ipc_test
def large_folios(t):
    need_objects(t)
    try:
        call('mount', 'tmpfs', t.shm, 0, MS_REMOUNT, b'huge=always')
    except OSError as error:
        skip(f'no huge pages in tmpfs: {error}')
    with memory_group('large') as (group, path):
        write(t.shm / 'x', b'')
        os.truncate(t.shm / 'x', 8 * MIB)
        paid_by(group, lambda: fill('/dev/shm/x', 0, 5 * MIB))
        size = os.stat(t.shm / 'x').st_blocks * 512
        check(size >= 5 * MIB, size)
        equal(charged(t.meta / 'posix' / 'x'), ({path: size}, []))
        with opened(t.shm / 'x', os.O_RDWR) as fd:  # small and large ones below one node of the tree
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * mmap.PAGESIZE, mmap.PAGESIZE)
            size = os.fstat(fd).st_blocks * 512
        equal(charged(t.meta / 'posix' / 'x'), ({path: size}, []))


@ipc_test
def without_bpf_it_is_not_told(t):
    t.stop()
    t.start('-o', 'object_census=off')
    write(t.shm / 'x', b'x')
    fails(errno.EOPNOTSUPP, read, t.meta / 'posix' / 'x' / 'charged')
