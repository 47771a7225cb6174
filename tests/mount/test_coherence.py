# SPDX-License-Identifier: GPL-2.0-or-later
"""One memory: what one side does the other sees at once, however each of them got at it."""
import ctypes
import mmap
import os
import struct
import threading

import _posixshmem

from harness import call, equal, check, opened, read, test, write

PAGE = mmap.PAGESIZE
MS_SYNC = 4


def shm_open(name, size=0):
    fd = _posixshmem.shm_open('/' + name, os.O_RDWR | os.O_CREAT, mode=0o600)
    if size:
        os.ftruncate(fd, size)
    return fd


@test()
def calls_through_the_mount_and_a_mapping_of_shm_open(t):
    fd = shm_open('c', 4 * PAGE)
    with mmap.mmap(fd, 4 * PAGE) as mapped, opened(t.root / 'c', os.O_RDWR) as ours:
        for i in range(2000):
            at = (i * 7919) % (4 * PAGE - 8)
            if i % 2:
                mapped[at:at + 8] = struct.pack('Q', i)
                equal(os.pread(ours, 8, at), struct.pack('Q', i))
            else:
                equal(os.pwrite(ours, struct.pack('Q', i), at), 8)
                equal(mapped[at:at + 8], struct.pack('Q', i))
    os.close(fd)


@test()
def two_descriptors_of_the_mount(t):
    """Neither has pages, or a size, of its own."""
    with opened(t.root / 'd', os.O_CREAT | os.O_RDWR) as one, opened(t.root / 'd', os.O_RDWR) as two:
        for i in range(500):
            os.pwrite(one, bytes([i % 251]) * (i + 1), i)
            equal(os.pread(two, 1000, i), bytes([i % 251]) * (i + 1))
            os.ftruncate(two, i + 1)
            equal(os.fstat(one).st_size, i + 1)


@test()
def two_mappings(t):
    fd = shm_open('m', 16 * PAGE)
    if t.shared_mmap:
        with opened(t.root / 'm', os.O_RDWR) as ours, mmap.mmap(ours, 16 * PAGE) as here, \
                mmap.mmap(fd, 16 * PAGE) as there:
            for i in range(0, 16 * PAGE, 997):
                here[i] = i % 256
                equal(there[i], i % 256)
                there[i] = 255 - i % 256
                equal(here[i], 255 - i % 256)
            os.ftruncate(fd, 0)
            os.ftruncate(fd, 16 * PAGE)
            equal(here[0:16 * PAGE] == bytes(16 * PAGE), True, 'emptied outside, zeros in the mapping')
    os.close(fd)


@test()
def sizes_follow(t):
    fd = shm_open('s')
    with opened(t.root / 's', os.O_RDWR) as ours:
        for size in (1, PAGE, 0, 5 * PAGE + 1, 3):
            os.ftruncate(fd, size)
            equal(os.fstat(ours).st_size, size)
            equal(os.stat(t.root / 's').st_size, size)
            equal(len(os.pread(ours, 100 * PAGE, 0)), size, 'bytes that read gives')
            os.ftruncate(ours, size + 10)
            equal(os.fstat(fd).st_size, size + 10)
    os.close(fd)


@test()
def names_follow(t):
    for i in range(200):
        name = f'n{i}'
        write(t.shm / name, b'x')
        check(os.path.exists(t.root / name), 'created outside')
        os.rename(t.shm / name, t.shm / f'{name}-renamed')
        check(not os.path.exists(t.root / name), 'renamed outside')
        check(os.path.exists(t.root / f'{name}-renamed'), 'renamed outside')
        os.unlink(t.shm / f'{name}-renamed')
        check(not os.path.exists(t.root / f'{name}-renamed'), 'unlinked outside')
        write(t.root / name, b'y')
        check(os.path.exists(t.shm / name), 'created inside')
        os.unlink(t.root / name)
        check(not os.path.exists(t.shm / name), 'unlinked inside')
    equal(os.listdir(t.shm), [])


@test()
def a_futex_word_in_shared_memory(t):
    """A counter that threads on both sides add to under a lock that is in the memory itself."""
    libpthread = ctypes.CDLL(None, use_errno=True)
    fd = shm_open('lock', PAGE)
    if not t.shared_mmap:
        os.close(fd)
        return
    with opened(t.root / 'lock', os.O_RDWR) as ours:
        maps = [mmap.mmap(ours, PAGE), mmap.mmap(fd, PAGE)]
        bases = [ctypes.addressof(ctypes.c_char.from_buffer(m)) for m in maps]
        equal(libpthread.sem_init(ctypes.c_void_p(bases[0]), 1, 1), 0)

        def add(base):
            cell = ctypes.c_long.from_address(base + 512)
            for _ in range(5000):
                libpthread.sem_wait(ctypes.c_void_p(base))
                cell.value += 1
                libpthread.sem_post(ctypes.c_void_p(base))
        threads = [threading.Thread(target=add, args=(base,)) for base in bases * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(ctypes.c_long.from_address(bases[1] + 512).value, 20000)
    os.close(fd)


@test()
def msync_and_read_after_write_through_a_mapping(t):
    write(t.root / 'm', bytes(PAGE))
    fd = shm_open('m')
    with mmap.mmap(fd, PAGE) as mapped:
        mapped[:4] = b'sync'
        call('msync', ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(mapped))), PAGE,
             MS_SYNC)
        equal(read(t.root / 'm')[:4], b'sync')
    os.close(fd)
