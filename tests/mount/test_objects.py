# SPDX-License-Identifier: GPL-2.0-or-later
"""What the calls of a program do to objects: the table of semantics, row by row. All of it holds on
a bare tmpfs as well (`--paths native`); what differs there is a mistake of the test."""
import errno
import mmap
import os
import stat
import threading

from harness import (FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, RENAME_EXCHANGE, RENAME_NOREPLACE,
                     as_user, equal, check, fails, fallocate, opened, read, rename2, test, write)

FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_INSERT_RANGE = 8, 16, 32
PAGE = mmap.PAGESIZE


@test()
def create_shows_in_shm(t):
    with opened(t.root / 'a', os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640) as fd:
        equal(os.write(fd, b'hello'), 5)
    equal(read(t.shm / 'a'), b'hello')
    equal(stat.S_IMODE(os.stat(t.shm / 'a').st_mode), 0o640)
    equal(os.listdir(t.shm), ['a'])


@test()
def created_in_shm_shows(t):
    write(t.shm / 'b', b'outside')
    check('b' in os.listdir(t.root), 'an object made outside is listed')
    equal(read(t.root / 'b'), b'outside')
    equal(os.stat(t.root / 'b').st_ino, os.stat(t.shm / 'b').st_ino, 'inode number')


@test()
def open_flags(t):
    fails(errno.ENOENT, os.open, t.root / 'a', os.O_RDWR)
    os.close(os.open(t.root / 'a', os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    fails(errno.EEXIST, os.open, t.root / 'a', os.O_CREAT | os.O_EXCL | os.O_RDWR)
    write(t.root / 'a', b'0123456789')
    with opened(t.root / 'a', os.O_RDONLY) as fd:
        fails(errno.EBADF, os.write, fd, b'x')
        equal(os.read(fd, 100), b'0123456789')
        equal(os.read(fd, 100), b'', 'at the end')
    with opened(t.root / 'a', os.O_WRONLY) as fd:
        fails(errno.EBADF, os.read, fd, 1)
        equal(os.pwrite(fd, b'X', 3), 1)
    equal(read(t.shm / 'a'), b'012X456789')
    with opened(t.root / 'a', os.O_RDWR | os.O_CREAT) as fd:
        equal(os.fstat(fd).st_size, 10, 'O_CREAT of what exists keeps it')
    with opened(t.root / 'a', os.O_RDWR | os.O_TRUNC) as fd:
        equal(os.fstat(fd).st_size, 0)
    equal(os.stat(t.shm / 'a').st_size, 0)
    fails(errno.ENOTDIR, os.open, t.root / 'a', os.O_RDONLY | os.O_DIRECTORY)
    fails(errno.ENOTDIR, os.stat, t.root / 'a' / 'b')


@test()
def umask_and_mode_are_the_callers(t):
    for umask, mode, wanted in ((0o077, 0o666, 0o600), (0, 0o666, 0o666), (0o022, 0o4777, 0o4755)):
        os.umask(umask)
        os.close(os.open(t.root / 'm', os.O_CREAT | os.O_RDWR, mode))
        equal(oct(stat.S_IMODE(os.stat(t.shm / 'm').st_mode)), oct(wanted))
        os.unlink(t.root / 'm')


@test(options=('-o', 'allow_other'))
def created_as_the_caller(t):
    equal(as_user(1234, 2345, lambda: write(t.root / 'theirs', b'x')), 0)
    info = os.stat(t.shm / 'theirs')
    equal((info.st_uid, info.st_gid), (1234, 2345))
    write(t.root / 'private', b'x')
    os.chmod(t.root / 'private', 0o600)
    equal(as_user(1234, 2345, lambda: read(t.root / 'private')), errno.EACCES)
    equal(as_user(1234, 2345, lambda: os.unlink(t.root / 'private')), errno.EPERM,
          'the sticky bit of the directory')
    equal(as_user(4321, 4321, lambda: os.truncate(t.root / 'theirs', 0)), errno.EACCES)
    equal(as_user(1234, 2345, lambda: os.unlink(t.root / 'theirs')), 0)


@test()
def mknod_of_a_regular_file(t):
    os.mknod(t.root / 'n', 0o600 | stat.S_IFREG)
    equal(os.stat(t.shm / 'n').st_size, 0)
    fails(errno.EEXIST, os.mknod, t.root / 'n', 0o600 | stat.S_IFREG)


@test()
def append_after_growth_outside(t):
    with opened(t.root / 'log', os.O_CREAT | os.O_WRONLY | os.O_APPEND) as fd:
        os.write(fd, b'one ')
        write(t.shm / 'log', b'two ', 'ab')
        os.write(fd, b'three')
    equal(read(t.shm / 'log'), b'one two three')


@test()
def truncate_both_ways(t):
    write(t.root / 'a', b'x' * 10000)
    os.truncate(t.root / 'a', 5)
    equal(read(t.shm / 'a'), b'xxxxx')
    os.truncate(t.root / 'a', 9000)
    equal(read(t.shm / 'a'), b'xxxxx' + bytes(8995), 'what grows is zeros')
    with opened(t.root / 'a', os.O_RDWR) as fd:
        os.ftruncate(fd, 3)
        equal(os.fstat(fd).st_size, 3)
        os.truncate(t.shm / 'a', 7)
        equal(os.fstat(fd).st_size, 7, 'size after a change outside')
        equal(os.pread(fd, 100, 0), b'xxx' + bytes(4))
        fails(errno.EINVAL, os.ftruncate, fd, -1)
    with opened(t.root / 'a', os.O_RDONLY) as fd:
        fails(errno.EINVAL, os.ftruncate, fd, 1)


@test()
def big_offsets(t):
    with opened(t.root / 'sparse', os.O_CREAT | os.O_RDWR) as fd:
        os.ftruncate(fd, 1 << 40)
        equal(os.pwrite(fd, b'end', (1 << 40) - 3), 3)
        equal(os.pread(fd, 10, (1 << 40) - 3), b'end')
        equal(os.fstat(fd).st_blocks, PAGE // 512)
    equal(os.stat(t.shm / 'sparse').st_size, 1 << 40)


@test()
def read_and_write_sizes(t):
    for size in (1, PAGE - 1, PAGE, PAGE + 1, 128 << 10, (1 << 20) + 17, 5 << 20):
        data = os.urandom(size)
        write(t.root / 'data', data)
        equal(read(t.shm / 'data') == data, True, f'{size} bytes written through the mount')
        equal(read(t.root / 'data') == data, True, f'{size} bytes read through the mount')
        os.unlink(t.root / 'data')


@test()
def unaligned_reads_and_writes(t):
    expected = bytearray(100000)
    with opened(t.root / 'u', os.O_CREAT | os.O_RDWR) as fd:
        os.ftruncate(fd, len(expected))
        for i, (at, length) in enumerate(((1, 1), (4095, 2), (8191, 12290), (77777, 22223), (0, 3))):
            piece = bytes([i + 1]) * length
            equal(os.pwrite(fd, piece, at), length)
            expected[at:at + length] = piece
            equal(os.pread(fd, length + 2, max(at - 1, 0)),
                  bytes(expected[max(at - 1, 0):max(at - 1, 0) + length + 2]))
    equal(read(t.shm / 'u') == expected, True, 'all bytes')


@test()
def vectors(t):
    with opened(t.root / 'v', os.O_CREAT | os.O_RDWR) as fd:
        equal(os.writev(fd, [b'ab', b'', b'cde']), 5)
        first, second = bytearray(2), bytearray(9)
        equal(os.preadv(fd, [first, second], 1), 4)
        equal((bytes(first), bytes(second[:2])), (b'bc', b'de'))


@test()
def unlink_while_open(t):
    write(t.root / 'u', b'still here')
    with opened(t.root / 'u', os.O_RDWR) as fd:
        os.unlink(t.root / 'u')
        fails(errno.ENOENT, os.stat, t.shm / 'u')
        equal(os.pread(fd, 100, 0), b'still here')
        equal(os.fstat(fd).st_nlink, 0)
        os.pwrite(fd, b'STILL', 0)
        os.ftruncate(fd, 8)
        equal(os.pread(fd, 100, 0), b'STILL he')
    fails(errno.ENOENT, os.unlink, t.root / 'u')


@test()
def unlink_outside_while_open(t):
    write(t.shm / 'u', b'one')
    with opened(t.root / 'u', os.O_RDWR) as fd:
        os.unlink(t.shm / 'u')
        fails(errno.ENOENT, os.stat, t.root / 'u')
        write(t.shm / 'u', b'another')
        equal(os.pread(fd, 100, 0), b'one', 'the object that was opened')
        equal(os.fstat(fd).st_size, 3)
        equal(read(t.root / 'u'), b'another', 'the object of that name now')


@test()
def a_name_that_means_another_object(t):
    write(t.shm / 'old', b'old')
    write(t.shm / 'new', b'the new one')
    equal(os.stat(t.root / 'old').st_size, 3)
    os.rename(t.shm / 'new', t.shm / 'old')
    equal(os.stat(t.root / 'old').st_size, 11)
    equal(read(t.root / 'old'), b'the new one')
    fails(errno.ENOENT, os.stat, t.root / 'new')


@test()
def rename_replaces(t):
    write(t.root / 'a', b'A')
    write(t.root / 'b', b'B')
    os.rename(t.root / 'a', t.root / 'b')
    equal(sorted(os.listdir(t.shm)), ['b'])
    equal(read(t.root / 'b'), b'A')
    fails(errno.ENOENT, os.rename, t.root / 'a', t.root / 'b')


@test()
def rename_flags(t):
    write(t.root / 'a', b'A')
    write(t.root / 'b', b'B')
    fails(errno.EEXIST, rename2, t.root / 'a', t.root / 'b', RENAME_NOREPLACE)
    rename2(t.root / 'a', t.root / 'b', RENAME_EXCHANGE)
    equal((read(t.shm / 'a'), read(t.shm / 'b')), (b'B', b'A'))
    equal((read(t.root / 'a'), read(t.root / 'b')), (b'B', b'A'))
    rename2(t.root / 'a', t.root / 'c', RENAME_NOREPLACE)
    equal(sorted(os.listdir(t.shm)), ['b', 'c'])
    fails(errno.ENOENT, rename2, t.root / 'b', t.root / 'nothing', RENAME_EXCHANGE)
    fails(errno.EINVAL, rename2, t.root / 'b', t.root / 'c', RENAME_EXCHANGE | RENAME_NOREPLACE)


@test()
def rename_while_open(t):
    with opened(t.root / 'a', os.O_CREAT | os.O_RDWR) as fd:
        os.rename(t.root / 'a', t.root / 'b')
        os.write(fd, b'same object')
        equal(read(t.root / 'b'), b'same object')
        os.rename(t.shm / 'b', t.shm / 'c')
        os.write(fd, b' still')
        equal(read(t.root / 'c'), b'same object still')
        equal(os.fstat(fd).st_ino, os.stat(t.shm / 'c').st_ino)


@test()
def links(t):
    write(t.root / 'a', b'one object')
    os.link(t.root / 'a', t.root / 'b')
    equal(os.stat(t.root / 'a').st_nlink, 2)
    equal(os.stat(t.root / 'a').st_ino, os.stat(t.root / 'b').st_ino)
    equal(os.stat(t.shm / 'b').st_nlink, 2)
    fails(errno.EEXIST, os.link, t.root / 'a', t.root / 'b')
    fails(errno.ENOENT, os.link, t.root / 'nothing', t.root / 'c')
    os.unlink(t.root / 'a')
    equal(os.stat(t.root / 'b').st_nlink, 1)
    equal(read(t.root / 'b'), b'one object')


@test()
def chmod_chown_utimens(t):
    write(t.root / 'a', b'')
    os.chmod(t.root / 'a', 0o1640)
    equal(oct(stat.S_IMODE(os.stat(t.shm / 'a').st_mode)), '0o1640')
    os.chown(t.root / 'a', 12, 34)
    info = os.stat(t.shm / 'a')
    equal((info.st_uid, info.st_gid), (12, 34))
    os.chown(t.root / 'a', -1, 35)
    info = os.stat(t.root / 'a')
    equal((info.st_uid, info.st_gid), (12, 35))
    os.utime(t.root / 'a', ns=(1_000_000_001, 2_000_000_002))
    for place in t.root, t.shm:
        info = os.stat(place / 'a')
        equal((info.st_atime_ns, info.st_mtime_ns), (1_000_000_001, 2_000_000_002))
    with opened(t.root / 'a', os.O_RDONLY) as fd:
        os.fchmod(fd, 0o600)
        os.utime(fd, ns=(-1, -1_500_000_000))
    info = os.stat(t.shm / 'a')
    equal((info.st_atime_ns, info.st_mtime_ns), (-1, -1_500_000_000), 'before 1970')
    equal(stat.S_IMODE(info.st_mode), 0o600)


@test()
def attributes_of_the_privileged_are_listed_to_them(t):
    """Names under trusted. are left out for a user, who may not read them either."""
    write(t.root / 'a', b'')
    os.chmod(t.root / 'a', 0o666)
    os.setxattr(t.root / 'a', 'trusted.secret', b'1')
    equal(os.listxattr(t.root / 'a'), ['trusted.secret'])
    equal(as_user(1234, 1234, lambda: equal(os.listxattr(t.root / 'a'), [])), 0)
    equal(as_user(1234, 1234, lambda: os.getxattr(t.root / 'a', 'trusted.secret')), errno.ENODATA)
    os.chown(t.root / 'a', 1234, 1234)
    equal(as_user(1234, 1234, lambda: equal(os.listxattr(t.root / 'a'), [])), 0)
    os.removexattr(t.root / 'a', 'trusted.secret')
    equal(os.listxattr(t.root / 'a'), [])


@test()
def times_and_modes_changed_outside_show_at_once(t):
    write(t.root / 'a', b'')
    os.stat(t.root / 'a')
    os.utime(t.shm / 'a', ns=(5, 7))
    os.chmod(t.shm / 'a', 0o604)
    info = os.stat(t.root / 'a')
    equal((info.st_atime_ns, info.st_mtime_ns, stat.S_IMODE(info.st_mode)), (5, 7, 0o604))


@test()
def writing_moves_mtime(t):
    with opened(t.root / 'a', os.O_CREAT | os.O_RDWR) as fd:
        os.utime(t.root / 'a', ns=(0, 0))
        os.write(fd, b'x')
        check(os.stat(t.shm / 'a').st_mtime_ns > 0, 'mtime in /dev/shm')
        check(os.fstat(fd).st_mtime_ns > 0, 'mtime through the mount')
        equal(os.fstat(fd).st_mtime_ns, os.stat(t.shm / 'a').st_mtime_ns)


@test()
def fallocate_modes(t):
    with opened(t.root / 'f', os.O_CREAT | os.O_RDWR) as fd:
        fallocate(fd, 0, 0, 3 * PAGE)
        equal(os.stat(t.shm / 'f').st_size, 3 * PAGE)
        equal(os.stat(t.shm / 'f').st_blocks, 3 * PAGE // 512)
        fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 5 * PAGE)
        equal(os.fstat(fd).st_size, 3 * PAGE)
        os.pwrite(fd, b'x' * (3 * PAGE), 0)
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE)
        equal(read(t.shm / 'f') == b'x' * PAGE + bytes(PAGE) + b'x' * PAGE, True, 'the hole')
        for mode in (FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_INSERT_RANGE,
                     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE):
            fails(errno.EOPNOTSUPP, fallocate, fd, mode, 0, PAGE)
        fails(errno.EINVAL, fallocate, fd, 0, -1, PAGE)
        fails(errno.EINVAL, fallocate, fd, 0, 0, 0)
        fails(errno.ENOSPC, fallocate, fd, 0, 0, 1 << 30)
        equal(os.fstat(fd).st_size, 3 * PAGE, 'size after a failure')
    with opened(t.root / 'f', os.O_RDONLY) as fd:
        fails(errno.EBADF, fallocate, fd, 0, 0, 1)


@test()
def holes_and_data(t):
    with opened(t.root / 'h', os.O_CREAT | os.O_RDWR) as fd:
        os.ftruncate(fd, 10 * PAGE)
        os.pwrite(fd, b'x' * PAGE, 4 * PAGE)
        equal(os.lseek(fd, 0, os.SEEK_DATA), 4 * PAGE)
        equal(os.lseek(fd, 4 * PAGE, os.SEEK_HOLE), 5 * PAGE)
        equal(os.lseek(fd, 0, os.SEEK_HOLE), 0)
        fails(errno.ENXIO, os.lseek, fd, 5 * PAGE, os.SEEK_DATA)
        fails(errno.ENXIO, os.lseek, fd, 10 * PAGE, os.SEEK_HOLE)
        equal(os.lseek(fd, -3, os.SEEK_END), 10 * PAGE - 3)
        equal(os.lseek(fd, 2, os.SEEK_CUR), 10 * PAGE - 1)
        fails(errno.EINVAL, os.lseek, fd, -1, os.SEEK_SET)


@test()
def seek_end_after_growth_outside(t):
    with opened(t.root / 's', os.O_CREAT | os.O_RDWR) as fd:
        os.truncate(t.shm / 's', 4321)
        equal(os.lseek(fd, 0, os.SEEK_END), 4321)


@test()
def copy_file_range_within_and_out(t):
    data = os.urandom(200_000)
    write(t.root / 'from', data)
    with opened(t.root / 'from', os.O_RDONLY) as source, \
            opened(t.root / 'to', os.O_CREAT | os.O_RDWR) as target:
        copied = 0
        while copied < len(data):
            count = os.copy_file_range(source, target, len(data) - copied)
            check(count > 0, 'something was copied')
            copied += count
        equal(os.copy_file_range(source, target, 1), 0, 'at the end')
        fails(errno.EBADF, os.copy_file_range, target, source, 1)
    equal(read(t.shm / 'to') == data, True, 'the copy')


@test()
def sendfile_and_splice(t):
    data = os.urandom(60_000)
    write(t.root / 'from', data)
    with opened(t.root / 'from', os.O_RDONLY) as source, \
            opened(t.root / 'to', os.O_CREAT | os.O_RDWR) as target:
        sent = 0
        while sent < len(data):
            sent += os.sendfile(target, source, sent, len(data) - sent)
    equal(read(t.shm / 'to') == data, True, 'what sendfile copied')


@test()
def statfs_is_the_tmpfs(t):
    ours, theirs = os.statvfs(t.root), os.statvfs(t.shm)
    equal(ours.f_blocks * ours.f_frsize, theirs.f_blocks * theirs.f_frsize)
    equal(ours.f_files, theirs.f_files)
    equal(ours.f_namemax, 255)
    write(t.root / 'a', bytes(1 << 20))
    after = os.statvfs(t.root)
    equal(ours.f_bfree * ours.f_frsize - after.f_bfree * after.f_frsize, 1 << 20)
    equal(ours.f_ffree - after.f_ffree, 1)


@test()
def fsync_works(t):
    with opened(t.root / 'a', os.O_CREAT | os.O_RDWR) as fd:
        os.write(fd, b'x')
        os.fsync(fd)
        os.fdatasync(fd)
    with opened(t.root, os.O_RDONLY | os.O_DIRECTORY) as fd:
        os.fsync(fd)


@test()
def private_mmap(t):
    write(t.root / 'p', b'original' + bytes(PAGE))
    with opened(t.root / 'p', os.O_RDWR) as fd:
        with mmap.mmap(fd, PAGE, mmap.MAP_PRIVATE) as mapped:
            equal(mapped[:8], b'original')
            mapped[:8] = b'modified'
            equal(read(t.shm / 'p')[:8], b'original')


@test()
def shared_mmap_is_the_object_or_is_refused(t):
    write(t.root / 'm', bytes(3 * PAGE))
    with opened(t.root / 'm', os.O_RDWR) as fd:
        if not t.shared_mmap:
            fails(errno.ENODEV, mmap.mmap, fd, PAGE, mmap.MAP_SHARED,
                  mmap.PROT_READ | mmap.PROT_WRITE)
            return
        with mmap.mmap(fd, 3 * PAGE, mmap.MAP_SHARED) as mapped:
            mapped[PAGE:PAGE + 3] = b'abc'
            equal(os.pread(fd, 3, PAGE), b'abc')
            equal(read(t.shm / 'm')[PAGE:PAGE + 3], b'abc')
            write(t.shm / 'm', b'xyz', 'r+b')
            equal(mapped[:3], b'xyz')
            mapped.flush()
            os.unlink(t.root / 'm')
            mapped[0:1] = b'!'
            equal(os.pread(fd, 3, 0), b'!yz', 'unlinked while mapped')


@test()
def shared_mmap_for_reading_only(t):
    """Without passthrough it either works and stays true, or is refused."""
    write(t.shm / 'm', b'before' + bytes(PAGE))
    with opened(t.root / 'm', os.O_RDONLY) as fd:
        try:
            mapped = mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ)
        except OSError as error:
            equal((t.shared_mmap, error.errno), (False, errno.ENODEV))
            return
        with mapped:
            write(t.shm / 'm', b'behind', 'r+b')
            equal(mapped[:6], b'behind')


@test()
def exclusive_creation_has_one_winner(t):
    winners = []

    def create():
        try:
            os.close(os.open(t.root / 'race', os.O_CREAT | os.O_EXCL | os.O_RDWR))
            winners.append(threading.get_ident())
        except FileExistsError:
            pass
    for _ in range(20):
        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(len(winners), 1)
        winners.clear()
        os.unlink(t.shm / 'race')


@test()
def listing_many(t):
    names = {f'object-{i:05}' for i in range(3000)}
    for name in names:
        os.close(os.open(t.shm / name, os.O_CREAT | os.O_RDWR))
    equal(set(os.listdir(t.root)) - {'.shmtree'}, names)
    with os.scandir(t.root) as entries:
        equal({e.name for e in entries if e.is_file() and e.stat().st_size == 0}, names)


@test()
def listing_while_it_changes(t):
    """What is there all the time is listed exactly once, whatever comes and goes."""
    stable = {f'stable-{i}' for i in range(500)}
    for name in stable:
        write(t.shm / name, b'')
    done = threading.Event()

    def churn():
        while not done.is_set():
            for i in range(100):
                write(t.shm / f'passing-{i}', b'')
            for i in range(100):
                os.unlink(t.shm / f'passing-{i}')
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(30):
            seen = [n for n in os.listdir(t.root) if n.startswith('stable-')]
            equal(len(seen), len(stable))
            equal(set(seen), stable)
    finally:
        done.set()
        thread.join()
