# SPDX-License-Identifier: GPL-2.0-or-later
"""A file system that answers until it is told to stop: directories all the way down."""
import os
import select
import stat
import struct
import threading

from harness import call

LOOKUP, FORGET, GETATTR, INIT, BATCH_FORGET, INTERRUPT = 1, 2, 3, 26, 42, 36
HEADER = struct.Struct('IIQQIIII')  # len, opcode, unique, nodeid, uid, gid, pid, padding
BUFFER = 1 << 20


def attributes(ino):
    # ino size blocks atime mtime ctime, nanoseconds of each, mode nlink uid gid rdev blksize flags
    return struct.pack('QQQQQQIIIIIIIIII', ino, 0, 0, 0, 0, 0, 0, 0, 0, stat.S_IFDIR | 0o755, 2, 0, 0, 0, 4096, 0)


class StalledFuse:
    """Mounted on `path` by a thread of this process, in the mount namespace of this process."""

    def __init__(self, path):
        self.device = os.open('/dev/fuse', os.O_RDWR | os.O_CLOEXEC)
        self.names = {}
        self.ended, self.end_pipe = os.pipe()
        options = f'fd={self.device},rootmode=40000,user_id=0,group_id=0'
        call('mount', 'stalled', path, b'fuse', 0, options.encode())
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            ready, _, _ = select.select([self.device, self.ended], [], [])
            if self.ended in ready:
                return
            self.answer(os.read(self.device, BUFFER))

    def answer(self, request):
        _, opcode, unique, node, *_ = HEADER.unpack_from(request)
        body = b''
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        error = 0
        if opcode == INIT:
            major, minor = struct.unpack_from('II', request, HEADER.size)
            body = struct.pack('IIIIHHIIHHIII', major, min(minor, 31), 0, 0, 0, 0, 4096, 0, 0, 0, 0, 0, 0)
            body = body.ljust(64, b'\0')
        elif opcode == LOOKUP:
            name = request[HEADER.size:].rstrip(b'\0')
            child = self.names.setdefault((node, name), len(self.names) + 2)
            body = struct.pack('QQQQII', child, 0, 0, 0, 0, 0) + attributes(child)
        elif opcode == GETATTR:
            body = struct.pack('QII', 0, 0, 0) + attributes(node)
        else:
            error = -38  # ENOSYS
        os.write(self.device, struct.pack('IiQ', 16 + len(body), error, unique) + body)

    def stop_answering(self):
        os.write(self.end_pipe, b'!')
        self.thread.join()

    def end(self):
        """Whoever waits for an answer gets ENOTCONN."""
        os.close(self.device)
