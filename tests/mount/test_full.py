# SPDX-License-Identifier: GPL-2.0-or-later
"""A full tmpfs, and objects that shrink under those who read and write them: errors, never a dead
daemon, and nothing lost."""
import contextlib
import errno
import mmap
import os
import resource
import signal
import sys
import threading
import time

from harness import (ANYWHERE, MOUNTED, PATIENCE, call, equal, check, eventually, fails, fallocate, opened, read, run,
                     test, write)

MS_REMOUNT = 32
SECONDS = 3.0


def limit_tmpfs(t, options):
    call('mount', 'shm', t.shm, b'tmpfs', MS_REMOUNT, options.encode())


def fill(fd):
    """Writes until the tmpfs is full: the bytes written."""
    total, piece = 0, bytes(1 << 20)
    while True:
        try:
            total += os.pwrite(fd, piece[:1 << 20], total)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            if len(piece) == 1:
                return total
            piece = piece[:1] if len(piece) == 4096 else piece[:4096]


@test(MOUNTED, start=False)
def the_daemons_own_limit_of_size_is_nobody_elses(t):
    limit = 16 << 20
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        t.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with opened(t.root / 'x', os.O_RDWR | os.O_CREAT) as fd:
        equal(os.pwrite(fd, b'x', limit), 1)
    os.truncate(t.root / 'x', 2 * limit)
    equal(os.stat(t.shm / 'x').st_size, 2 * limit)


@test()
def full_of_bytes(t):
    limit_tmpfs(t, 'size=4m')
    write(t.root / 'kept', b'kept')
    with opened(t.root / 'big', os.O_CREAT | os.O_RDWR) as fd:
        total = fill(fd)
        equal(total, (4 << 20) - 4096)
        equal(os.fstat(fd).st_size, total)
        fails(errno.ENOSPC, os.pwrite, fd, b'x' * 5000, total)
        fails(errno.ENOSPC, fallocate, fd, 0, 0, 8 << 20)
        equal(os.fstat(fd).st_size, total, 'size after the failures')
        equal(os.pwrite(fd, b'over', 0), 4, 'what is there can be written')
    equal(read(t.root / 'kept'), b'kept')
    os.close(os.open(t.root / 'empty', os.O_CREAT | os.O_RDWR))
    fails(errno.ENOSPC, write, t.root / 'empty', b'x')
    equal(os.statvfs(t.root).f_bavail, 0)
    os.unlink(t.root / 'big')
    # The daemon hears of a close(2) a moment later.
    eventually(lambda: os.statvfs(t.root).f_bavail > 3, 'room again')
    write(t.root / 'empty', b'x' * 10000)
    equal(read(t.shm / 'empty') == b'x' * 10000, True, 'room again')


@test()
def full_for_the_tools(t):
    limit_tmpfs(t, 'size=1m')
    text = run('dd', 'if=/dev/zero', f'of={t.root}/big', 'bs=64k', 'count=100', status=1)
    equal(text, b'')
    equal(os.stat(t.shm / 'big').st_size, 1 << 20)
    write('source', b'x' * 100)
    run('cp', 'source', t.root / 'copy', status=1)
    run('rm', t.root / 'big')
    # The daemon hears of a close(2) a moment later.
    eventually(lambda: os.statvfs(t.root).f_bavail > 0, 'room again')
    run('cp', 'source', t.root / 'copy')
    equal(read(t.shm / 'copy'), b'x' * 100)


@test()
def full_of_inodes(t):
    used = os.statvfs(t.shm)
    limit_tmpfs(t, f'nr_inodes={used.f_files - used.f_ffree + 5}')
    for i in range(5):
        write(t.root / f'n{i}', b'')
    fails(errno.ENOSPC, os.open, t.root / 'one-more', os.O_CREAT | os.O_RDWR)
    fails(errno.ENOSPC, os.link, t.root / 'n0', t.root / 'linked')
    equal(len(os.listdir(t.shm)), 5)
    os.unlink(t.root / 'n3')
    eventually(lambda: os.statvfs(t.root).f_ffree > 0, 'room again')
    write(t.root / 'one-more', b'now')


def hammer(seconds, *jobs, until=lambda: True):
    """
    Runs the functions in threads, over and over, for a while and until that is true; the first surprise is
    raised.
    """
    surprises, begun = [], time.monotonic()

    def goes_on():
        passed = time.monotonic() - begun
        return passed < seconds or (not until() and passed < PATIENCE)

    def loop(job):
        try:
            while goes_on() and not surprises:
                job()
        except BaseException as surprise:  # it is for the main thread to raise
            surprises.append(surprise)
    threads = [threading.Thread(target=loop, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if surprises:
        raise surprises[0]


@test(ANYWHERE)
def truncated_under_reads_and_writes(t):
    size = 4 << 20
    write(t.shm / 'x', b'x' * size)
    reader, writer = os.open(t.root / 'x', os.O_RDONLY), os.open(t.root / 'x', os.O_RDWR)

    def shrink():
        os.truncate(t.shm / 'x', 0)
        os.truncate(t.shm / 'x', 12345)
        os.truncate(t.shm / 'x', size)

    def read_all():
        data = os.pread(reader, size, 0)
        check(not data.strip(b'x\0'), 'only bytes that were written, and zeros')

    def read_odd():
        data = os.pread(reader, 777_777, 4097)
        check(len(data) <= 777_777, 'length')

    def write_all():
        equal(os.pwrite(writer, b'x' * (1 << 20), 1 << 20), 1 << 20)
    hammer(SECONDS, shrink, read_all, read_odd, write_all)
    os.truncate(t.shm / 'x', 3)
    equal(len(os.pread(reader, 100, 0)), 3)
    os.close(reader)
    os.close(writer)


@test(ANYWHERE)
def filled_under_reads_and_writes(t):
    """Sparse objects: each page that a read or write touches may be the one that is not to be had."""
    limit_tmpfs(t, 'size=2m')
    os.close(os.open(t.shm / 'sparse', os.O_CREAT | os.O_RDWR))
    os.truncate(t.shm / 'sparse', 8 << 20)
    reader, writer = os.open(t.root / 'sparse', os.O_RDONLY), os.open(t.root / 'sparse', os.O_RDWR)
    full = threading.Event()

    def take_all_and_give_it_back():
        with opened(t.shm / 'ballast', os.O_CREAT | os.O_RDWR) as fd:
            fill(fd)
            os.ftruncate(fd, 0)

    def read_all():
        data = os.pread(reader, 8 << 20, 0)
        check(data and not data.strip(b'w\0'), 'zeros and what was written')

    def write_some():
        try:
            count = os.pwrite(writer, b'w' * (3 << 20), 0)
            check(0 < count <= 3 << 20, f'{count} bytes written')
        except OSError as error:
            equal(errno.errorcode[error.errno], 'ENOSPC')
            full.set()

    def punch():
        fallocate(writer, 3, 0, 8 << 20)
    hammer(SECONDS, take_all_and_give_it_back, read_all, write_some, punch, until=full.is_set)
    check(full.is_set(), 'it was full at least once')
    os.close(reader)
    os.close(writer)


@test(ANYWHERE)
def a_mapping_cut_short_is_the_callers_sigbus(t):
    """The process that maps gets the signal, as on tmpfs; the daemon and everybody else go on."""
    if not t.shared_mmap:
        return
    write(t.root / 'x', bytes(4 * mmap.PAGESIZE))
    code = f"""
import mmap, os, resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
with open({str(t.root / 'x')!r}, 'r+b') as file:
    mapped = mmap.mmap(file.fileno(), 4 * mmap.PAGESIZE)
    os.truncate({str(t.shm / 'x')!r}, 0)
    mapped[mmap.PAGESIZE]
"""
    run(sys.executable, '-c', code, status=-signal.SIGBUS)
    write(t.root / 'x', b'alive')
    equal(read(t.shm / 'x'), b'alive')


@contextlib.contextmanager
def others_may_be_faster():
    """ESTALE: between the kernel's look at the name and its request, twice in a row, the name came to
    mean another object."""
    try:
        yield
    except OSError as error:
        check(error.errno in (errno.ENOENT, errno.ESTALE), f'{error}')


@test(ANYWHERE)
def created_and_removed_by_many(t):
    def job(number):
        def churn():
            name = t.root / f'n{number % 3}'
            with others_may_be_faster():
                write(name, b'x' * 100)
                read(name)
                os.rename(name, t.root / 'shared')
                os.unlink(t.root / 'shared')
        return churn

    def outside():
        for name in os.listdir(t.shm):
            with others_may_be_faster():
                os.unlink(t.shm / name)

    def stat_all():
        for name in os.listdir(t.root):
            with others_may_be_faster():
                os.stat(t.root / name)
    hammer(SECONDS, *(job(i) for i in range(6)), outside, stat_all)
    write(t.root / 'after', b'fine')
    equal(read(t.shm / 'after'), b'fine')
