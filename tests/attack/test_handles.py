# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel tells everybody of a file says nothing about the daemon's memory."""
import contextlib
import os

from handles import node_number
from harness import MOUNTED, allow_descriptors, check, equal, opened, read, test, write
from strangers import ATTACKER, in_child

MANY = 9000  # more than two blocks of the daemon's table of nodes
USERS_ADDRESSES = 0x10000  # from here on (vm.mmap_min_addr), a number could be an address


def ranges(pid):
    for line in read(f'/proc/{pid}/maps').decode().splitlines():
        yield [int(end, 16) for end in line.split()[0].split('-')]


@test(paths=MOUNTED)
def a_file_handle_has_no_address(t):
    write(t.shm / 'o', b'x')
    os.chmod(t.shm / 'o', 0o644)
    mapped = list(ranges(t.daemon.pid))

    def look():
        for path in (t.root / 'o', t.meta, t.meta / 'status', t.meta / 'posix/o/mappings'):
            number = node_number(path)
            check(number < USERS_ADDRESSES, f'{path} is node {number:#x}')
            check(not any(a <= number < b for a, b in mapped), f'{number:#x} is mapped')

    in_child(look, ATTACKER)


@test(paths=MOUNTED)
def numbers_are_used_again(t):
    """As many as the kernel knows at a time, each for its own file, and not more with time."""
    names = [f'o{i}' for i in range(MANY)]
    for name in names:
        write(t.shm / name, name.encode())
    allow_descriptors(MANY + 100)
    numbers = set()
    with contextlib.ExitStack() as kept:
        for name in names:
            kept.enter_context(opened(t.root / name, os.O_PATH))
            numbers.add(node_number(t.root / name))
        equal(len(numbers), MANY)
    for name in names[::50]:
        equal(read(t.root / name), name.encode())
    for name in names:
        os.unlink(t.root / name)  # and the kernel forgets each
    t.settle()
    write(t.shm / 'another', b'another')
    check(node_number(t.root / 'another') < 2 * MANY, 'the numbers begin anew')
    equal(read(t.root / 'another'), b'another')
