# SPDX-License-Identifier: GPL-2.0-or-later
"""File handles: what name_to_handle_at(2) tells of a file, and open_by_handle_at(2) finds again."""
import ctypes
import struct

from harness import AT_FDCWD, call

HANDLE_MAX = 128


def handle_of(path):
    buffer = ctypes.create_string_buffer(struct.pack('Ii', HANDLE_MAX, 0), 8 + HANDLE_MAX)
    mount = ctypes.c_int()
    call('name_to_handle_at', AT_FDCWD, path, buffer, ctypes.byref(mount), 0)
    return buffer


def node_number(path):
    """The first word of a FUSE file handle, which is the node's number."""
    high, low = struct.unpack_from('II', handle_of(path).raw, 8)
    return high << 32 | low


def open_handle(mount, handle, flags):
    """On the file system of the descriptor `mount`. ESTALE if the kernel does not know the file any more."""
    return call('open_by_handle_at', mount, handle, flags)
