# SPDX-License-Identifier: GPL-2.0-or-later
"""io_uring: files that it has, and files that it opens, by a thread that the kernel makes for that."""
import ctypes
import mmap
import os
import struct

from harness import call, skip

SETUP, ENTER, REGISTER = 425, 426, 427
REGISTER_FILES = 2
AT_SQES = 0x10000000
OPENAT, ASYNC, GETEVENTS = 18, 1 << 4, 1
AT_FDCWD, SQE_SIZE, CQE_SIZE = -100, 64, 16


def set_up(entries):
    """The descriptor of a ring, and its parameters."""
    parameters = ctypes.create_string_buffer(120)
    try:
        return call('syscall', SETUP, entries, parameters), parameters
    except OSError as error:
        skip(f'io_uring: {error.strerror}')


class Ring:
    """An io_uring of this process in which one file is registered."""

    def __init__(self, fd):
        self.fd, _ = set_up(4)
        call('syscall', REGISTER, self.fd, REGISTER_FILES, struct.pack('i', fd), 1)

    def close(self):
        os.close(self.fd)


class Uring:
    """One request at a time."""

    def __init__(self):
        self.fd, parameters = set_up(1)
        entries, cq_entries = struct.unpack_from('II', parameters)
        self.sq_offsets = struct.unpack_from('7I', parameters, 40)
        self.cq_offsets = struct.unpack_from('6I', parameters, 80)
        size = max(self.sq_offsets[6] + 4 * entries, self.cq_offsets[5] + CQE_SIZE * cq_entries)
        # Both rings are in one mapping (IORING_FEAT_SINGLE_MMAP).
        self.rings = mmap.mmap(self.fd, size)
        self.requests = mmap.mmap(self.fd, SQE_SIZE * entries, offset=AT_SQES)

    def open(self, path, flags):
        """As open(2): a descriptor."""
        name = ctypes.create_string_buffer(os.fsencode(path))
        self.requests[:SQE_SIZE] = struct.pack(
            'BBHiQQIIQHHi16x', OPENAT, ASYNC, 0, AT_FDCWD, 0, ctypes.addressof(name), 0, flags, 0, 0, 0, 0)
        tail, array = self.sq_offsets[1], self.sq_offsets[6]
        struct.pack_into('I', self.rings, array, 0)
        struct.pack_into('I', self.rings, tail, struct.unpack_from('I', self.rings, tail)[0] + 1)
        call('syscall', ENTER, self.fd, 1, 1, GETEVENTS, None, 0)
        head, completions = self.cq_offsets[0], self.cq_offsets[5]
        seen, mask = (struct.unpack_from('I', self.rings, self.cq_offsets[i])[0] for i in (0, 2))
        result = struct.unpack_from('Qi', self.rings, completions + CQE_SIZE * (seen & mask))[1]
        struct.pack_into('I', self.rings, head, seen + 1)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result
