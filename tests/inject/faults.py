# SPDX-License-Identifier: GPL-2.0-or-later
"""Tells tests/inject/inject.c, in a daemon, which call is to fail; the same structures as there."""
import collections
import ctypes
import errno
import mmap
import os
import pathlib
import re
import subprocess

FRAMES, POINTS, BY_NUMBER = 10, 8192, 0x10000


class Entry(ctypes.Structure):
    _fields_ = [('hash', ctypes.c_uint64), ('function', ctypes.c_uint32), ('largest', ctypes.c_uint32),
                ('passed', ctypes.c_uint32), ('n_frames', ctypes.c_uint32), ('frames', ctypes.c_uint64 * FRAMES)]


class Control(ctypes.Structure):
    _fields_ = [('counting', ctypes.c_uint32), ('armed', ctypes.c_uint32), ('hash', ctypes.c_uint64),
                ('function', ctypes.c_uint32), ('nth', ctypes.c_uint32), ('times', ctypes.c_uint32),
                ('error', ctypes.c_uint32), ('seen', ctypes.c_uint32), ('full', ctypes.c_uint32),
                ('points', Entry * POINTS)]


Point = collections.namedtuple('Point', 'function number hash frames passed largest')
Fault = collections.namedtuple('Fault', 'point nth error times', defaults=(1,))

ALLOCATIONS = ('malloc', 'calloc', 'realloc', 'posix_memalign')
# What each may give, of EINTR, EAGAIN, ENOMEM, EIO and EMFILE.
OPENS = (errno.EMFILE, errno.ENOMEM, errno.EINTR)
MOVES = (errno.EIO, errno.EINTR, errno.ENOMEM)
LOOKS = (errno.ENOMEM, errno.EIO)
ERRORS = {
    **dict.fromkeys(ALLOCATIONS, (errno.ENOMEM,)),
    **dict.fromkeys(('open64', 'openat64', 'open_by_handle_at', 'fopen64', 'opendir'), OPENS),
    **dict.fromkeys(('read', 'pread64', 'write', 'pwrite64', 'pwritev64v2', 'splice', 'ftruncate64', 'truncate64',
                     'fallocate64', 'close'), MOVES),
    **dict.fromkeys(('dup', 'dup2', 'eventfd', 'memfd_create', 'socket', 'socketpair', 'fsmount', 'fsopen',
                     'fanotify_init', 'fdopendir'), (errno.EMFILE, errno.ENOMEM)),
    **dict.fromkeys(('fcntl64', 'flock'), (errno.ENOMEM, errno.EINTR, errno.EAGAIN)),
    **dict.fromkeys(('mmap', 'mmap64'), (errno.ENOMEM, errno.EAGAIN)),
    'poll': (errno.EINTR, errno.ENOMEM),
    'ioctl': (errno.ENOMEM, errno.EINTR, errno.EIO),
    'pthread_create': (errno.EAGAIN,),
    'sendmsg': (errno.EAGAIN, errno.ENOMEM),
    'recvmsg': (errno.EAGAIN, errno.ENOMEM),
    **dict.fromkeys(('setfsuid', 'setfsgid', 'unshare'), (errno.ENOMEM,)),
}
# Of syscall(2) by number, on x86-64.
NUMBERS = {'setgroups': 116, 'setresuid': 117, 'setresgid': 119, 'capget': 125, 'capset': 126, 'bpf': 321,
           'pidfd_open': 434, 'pidfd_getfd': 438}


def errors_of(function, where):
    # On /dev/fuse the kernel gives these nothing else that lets the connection live.
    if re.search(r'\b(read_request|write_answer|passthrough_unregister)\b', where):
        return (errno.EAGAIN, errno.ENOMEM)
    if function == f'syscall {NUMBERS["bpf"]}':
        return (errno.ENOMEM, errno.EMFILE, errno.EINTR, errno.EAGAIN)
    if function in (f'syscall {NUMBERS["pidfd_open"]}', f'syscall {NUMBERS["pidfd_getfd"]}'):
        return (errno.EMFILE, errno.ENOMEM)
    if function in (f'syscall {NUMBERS[name]}' for name in ('setgroups', 'setresuid', 'setresgid', 'capset')):
        return (errno.ENOMEM,)
    if function in (f'syscall {NUMBERS["capget"]}', 'getgroups'):
        return ()  # it cannot fail
    return ERRORS.get(function, LOOKS)


def function_names():
    """As inject.c numbers them."""
    text = (pathlib.Path(__file__).parent / 'inject.c').read_text()
    names = re.findall(r'^\tX\((\w+), ', text, re.M)
    return names + ['syscall', *ALLOCATIONS]


class Injector:
    """`environment` is what a daemon needs; the rest tells it what to do."""

    def __init__(self, library, program, place):
        with open(place, 'wb') as file:
            file.truncate(ctypes.sizeof(Control))
        with open(place, 'r+b') as file:
            self.memory = mmap.mmap(file.fileno(), ctypes.sizeof(Control))
        self.control = Control.from_buffer(self.memory)
        self.environment = {'LD_PRELOAD': os.fspath(library), 'INJECT_CONTROL': os.fspath(place)}
        self.program = program
        self.names = function_names()
        self.symbols = {}

    def count(self):
        ctypes.memset(ctypes.addressof(self.control.points), 0, ctypes.sizeof(Entry) * POINTS)
        self.control.full = 0
        self.control.counting = 1

    def counted(self):
        """The points that were passed since count()."""
        self.control.counting = 0
        if self.control.full:
            raise AssertionError('POINTS is too small')
        found = []
        for entry in self.control.points:
            if entry.hash and entry.n_frames:
                number = entry.function
                name = self.names[number] if number < BY_NUMBER else f'syscall {number - BY_NUMBER}'
                frames = tuple(entry.frames[:entry.n_frames])
                found.append(Point(name, number, entry.hash, frames, entry.passed, entry.largest))
        return sorted(found)

    def arm(self, fault):
        control = self.control
        control.armed = 0
        control.hash, control.function = fault.point.hash, fault.point.number
        control.nth, control.times, control.error, control.seen = fault.nth, fault.times, fault.error, 0
        control.armed = 1

    def disarm(self):
        """Whether the call has failed."""
        failed = self.control.armed == 0
        self.control.armed = 0
        return failed

    def learn(self, points):
        """Finds the names of the functions on the way to these."""
        wanted = sorted({frame for point in points for frame in point.frames} - self.symbols.keys())
        if not wanted:
            return
        # A return address may already be of what follows the call.
        lines = subprocess.run(['addr2line', '-f', '-e', self.program, *(hex(f - 1) for f in wanted)],
                               capture_output=True, check=True, text=True).stdout.splitlines()
        for frame, name, line in zip(wanted, lines[::2], lines[1::2]):
            self.symbols[frame] = f'{name.split(".")[0]}:{line.rsplit(":", 1)[-1].split()[0]}'

    def where(self, point):
        return ' < '.join(self.symbols.get(frame, hex(frame)) for frame in point.frames)

    def describe(self, fault):
        """What is the same in each run of the same program."""
        return f'{fault.point.function} {errno.errorcode[fault.error]} #{fault.nth} in {self.where(fault.point)}'

    def measure(self, fault):
        """What may not be."""
        size = f', up to {fault.point.largest} bytes' if fault.point.function in ALLOCATIONS else ''
        return f'passed {fault.point.passed} times{size}'
