# SPDX-License-Identifier: GPL-2.0-or-later
"""Files opened by io_uring: by a thread that the kernel makes for that."""
import ctypes
import mmap
import os
import struct

from harness import call, skip

SETUP, ENTER = 425, 426
AT_SQES = 0x10000000
OPENAT, ASYNC, GETEVENTS = 18, 1 << 4, 1
AT_FDCWD, SQE_SIZE, CQE_SIZE = -100, 64, 16


class Uring:
    """One request at a time."""

    def __init__(self):
        parameters = ctypes.create_string_buffer(120)
        try:
            self.fd = call('syscall', SETUP, 1, parameters)
        except OSError as error:
            skip(f'io_uring: {error.strerror}')
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
