# SPDX-License-Identifier: GPL-2.0-or-later
"""Python's own shared memory, seen and used through the mount."""
import mmap
import multiprocessing
import os
import sys
from multiprocessing import shared_memory

from harness import equal, check, fails, opened, read, run, test, write
import errno


@test()
def shared_memory_blocks(t):
    block = shared_memory.SharedMemory(name='block', create=True, size=10000)
    try:
        block.buf[:5] = b'hello'
        equal(read(t.root / 'block')[:5], b'hello')
        check(os.stat(t.root / 'block').st_size >= 10000, 'size')
        with opened(t.root / 'block', os.O_RDWR) as fd:
            os.pwrite(fd, b'HELLO', 0)
        equal(bytes(block.buf[:5]), b'HELLO')
    finally:
        block.close()
        block.unlink()
    fails(errno.ENOENT, os.stat, t.root / 'block')


@test()
def attach_to_what_was_made_through_the_mount(t):
    write(t.root / 'made-here', b'made here' + bytes(4087))
    code = '''
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(name="made-here")
print(bytes(block.buf[:9]).decode(), block.size)
block.buf[0:4] = b"MADE"
block.close()
block.unlink()
'''
    with opened(t.root / 'made-here', os.O_RDONLY) as fd:
        equal(run(sys.executable, '-c', code), b'made here 4096\n')
        equal(os.pread(fd, 9, 0), b'MADE here')
    fails(errno.ENOENT, os.stat, t.root / 'made-here')


@test()
def shareable_list(t):
    numbers = shared_memory.ShareableList([1, 'two', 3.0, b'four', None], name='list')
    try:
        copy = t.root / 'copy-of-list'
        write(copy, read(t.root / 'list'))
        other = shared_memory.ShareableList(name='copy-of-list')
        equal(list(other), [1, 'two', 3.0, b'four', None])
        numbers[0] = 42
        equal(list(other)[0], 1, 'a copy is a copy')
        other.shm.close()
        os.unlink(copy)
    finally:
        numbers.shm.close()
        numbers.shm.unlink()


def _count_to(path, cell, limit):
    with open(path, 'r+b') as file, mmap.mmap(file.fileno(), 4096) as mapped:
        for i in range(limit):
            mapped[cell] = i % 256
        mapped[cell] = 200


@test()
def processes_share_a_mapping(t):
    write(t.root / 'cells', bytes(4096))
    if not t.shared_mmap:
        with open(t.root / 'cells', 'r+b') as file:
            fails(errno.ENODEV, mmap.mmap, file.fileno(), 4096)
        return
    fork = multiprocessing.get_context('fork')
    workers = [fork.Process(target=_count_to, args=(place / 'cells', i, 1000))
               for i, place in enumerate((t.root, t.shm, t.root, t.shm))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        equal(worker.exitcode, 0)
    equal(read(t.root / 'cells')[:5], b'\xc8\xc8\xc8\xc8\0')


@test()
def mmap_resize_and_flush(t):
    write(t.root / 'm', bytes(4096))
    if not t.shared_mmap:
        return
    with open(t.root / 'm', 'r+b') as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped.resize(20000)
        mapped[19999] = 7
        mapped.flush()
        equal(os.stat(t.shm / 'm').st_size, 20000)
        equal(read(t.shm / 'm')[-1], 7)
