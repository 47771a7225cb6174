# SPDX-License-Identifier: GPL-2.0-or-later
"""What processes do with shared memory of each kind, while another one removes whatever is idle; and
how they notice that they lost something.

A process that opens an item while its removal is under way may come too late: that is the one gap,
which the manual tells of. So who finds an item gone asks when its removal began: if that was after the
item had been opened, it is lost."""
import ctypes
import errno
import mmap
import os
import struct
import time

from harness import check
from ipc import Attached, IPC_CREAT, IPC_EXCL, IPC_STAT, shm_remove, shm_stat, shmget
from test_ipc import MqAttr, checked

PAGE = mmap.PAGESIZE
SHM_DEST = 0o1000
IPC_NOWAIT = 0o4000
GONE = errno.EINVAL, errno.EIDRM, errno.ENOENT, errno.ESTALE

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p


class Lost(Exception):
    """A process had the item before anybody asked to remove it, and it was removed."""


class Late(Exception):
    """The item was opened while its removal was under way."""


class Removals:
    """The last removals of one cleaner, for other processes to look at."""
    ENTRY = struct.Struct('=40sdd')
    SLOTS = 1 << 16  # more than come up while a process that notices a loss has no turn, as a rule
    NEVER = float('inf')

    def __init__(self):
        self.memory = mmap.mmap(-1, self.SLOTS * self.ENTRY.size)
        self.next = 0

    def _set(self, name, began, ended):
        self.ENTRY.pack_into(self.memory, self.next % self.SLOTS * self.ENTRY.size, name.encode(),
                             began, ended)

    def begin(self, name):
        self.began = time.monotonic()
        self._set(name, self.began, self.NEVER)

    def end(self, name, removed):
        self._set(name if removed else '', self.began, time.monotonic())
        self.next += removed

    def overlap(self, name, began, had):
        """
        Whether a removal of that name was under way at a moment of that interval, or may have been: then
        those that were are not kept any more.
        """
        wanted = name.encode().ljust(40, b'\0')
        entries = list(self.ENTRY.iter_unpack(self.memory))
        return (any(entry == wanted and start <= had and end >= began for entry, start, end in entries)
                or min(start for _, start, _ in entries) > began)


class Item:
    """One that this process has: opened or attached between `began` and `had`."""

    def __init__(self, world, name, began):
        self.world, self.name, self.began, self.had = world, name, began, time.monotonic()
        self.ring_name = f'{self.directory}/{self.identity()}'

    def identity(self):
        return self.name

    def check(self, when):
        if not self.is_there():
            self.world.was_removed(self.ring_name, self.began, self.had, when)


class ByDescriptor(Item):
    def __init__(self, world, name, began, fd):
        self.fd = fd
        super().__init__(world, name, began)

    def is_there(self):
        return os.fstat(self.fd).st_nlink > 0

    def sent(self):
        """What the receiver is told, and the descriptor for it."""
        return f'{self.directory} {self.name} {self.began!r} {self.had!r}', self.fd

    @classmethod
    def received(cls, world, name, began, had, fd):
        item = cls(world, name, began, fd)
        item.had = had
        return item

    def release(self):
        os.close(self.fd)


class Object(ByDescriptor):
    """In /dev/shm and through the mount."""
    directory = 'posix'

    @classmethod
    def open(cls, world, name, flags):
        began = time.monotonic()
        fd = os.open(world.path(name), os.O_RDWR | flags, 0o600)
        return cls(world, name, began, fd)

    def use(self, when):
        if os.fstat(self.fd).st_size == 0:
            os.pwrite(self.fd, b'c', PAGE - 1)
        address = _libc.mmap(None, ctypes.c_size_t(PAGE), mmap.PROT_READ, mmap.MAP_PRIVATE, self.fd,
                             ctypes.c_long(0))
        check(address != ctypes.c_void_p(-1).value, 'mapped')
        os.close(self.fd)
        self.world.pause()  # the mapping alone has it now
        self.fd = os.open(map_file(address), os.O_RDONLY)
        checked(_libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(PAGE)))
        self.check(f'{when}, mapped')

    def remove(self):
        os.unlink(self.world.path(self.name))


def map_file(address):
    """Where the file behind a mapping of this process is to be opened."""
    name, = (n for n in os.listdir('/proc/self/map_files') if n.startswith(f'{address:x}-'))
    return f'/proc/self/map_files/{name}'


class Queue(ByDescriptor):
    """A POSIX message queue."""
    directory = 'mqueue'

    @classmethod
    def open(cls, world, name, flags):
        began = time.monotonic()
        if flags & os.O_CREAT:
            fd = checked(_libc.mq_open(f'/{name}'.encode(), os.O_RDWR | flags, 0o600,
                                       ctypes.byref(MqAttr(0, 4, 100))))
        else:
            fd = checked(_libc.mq_open(f'/{name}'.encode(), os.O_RDWR))
        return cls(world, name, began, fd)

    def use(self, when):
        held = os.dup(self.fd)
        os.close(self.fd)
        self.fd = held
        self.world.pause()
        self.check(f'{when}, duplicated')

    def remove(self):
        checked(_libc.mq_unlink(f'/{self.name}'.encode()))

    @classmethod
    def leave_a_message(cls, world, name):
        """Nobody has the queue open, but a message waits in it."""
        queue = cls.open(world, name, os.O_CREAT)
        queue.check('created')
        checked(_libc.mq_send(queue.fd, b'x', ctypes.c_size_t(1), 0))
        queue.had = time.monotonic()
        queue.release()
        world.pause()
        try:
            again = cls.open(world, name, 0)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            world.was_removed(queue.ring_name, queue.began, queue.had, 'with a message in it')
        checked(_libc.mq_receive(again.fd, bytes(100), ctypes.c_size_t(100), None))
        again.release()


class Segment(Item):
    """Of System V, attached; or received: then as a descriptor of its file."""
    directory = 'sysv'

    def __init__(self, world, shmid, began, held):
        self.shmid, self.held = shmid, held
        super().__init__(world, str(shmid), began)

    @classmethod
    def open(cls, world, name, flags):
        began = time.monotonic()
        exclusive = IPC_EXCL if flags & os.O_EXCL else 0
        create = IPC_CREAT if flags & os.O_CREAT else 0
        shmid = shmget(world.key(name), PAGE, create | exclusive | 0o600)
        return cls(world, shmid, began, Attached(shmid))

    def is_there(self):
        try:
            return not shm_stat(self.shmid).mode & SHM_DEST
        except OSError as error:
            if error.errno not in GONE:
                raise
            return False

    def use(self, when):
        if isinstance(self.held, Attached):
            twice = Attached(self.shmid)
            self.held.__exit__()
            self.held = twice
        else:
            self.held, copy = os.dup(self.held), self.held
            os.close(copy)
        self.world.pause()
        self.check(f'{when}, once more')

    def sent(self):
        fd = os.open(map_file(self.held.address), os.O_RDWR)
        self.held.__exit__()
        self.held = fd
        self.had = time.monotonic()
        return f'{self.directory} {self.shmid} {self.began!r} {self.had!r}', fd

    @classmethod
    def received(cls, world, name, began, had, fd):
        item = cls(world, int(name), began, fd)
        item.had = had
        return item

    def release(self):
        if isinstance(self.held, Attached):
            self.held.__exit__()
        else:
            os.close(self.held)

    def remove(self):
        shm_remove(self.shmid)


class Messages:
    """A System V message queue: in use while who used it last lives, or waits, or a message does."""
    directory, waits_in = 'msg', (b'70',)

    @staticmethod
    def get(key):
        return checked(_libc.msgget(key, IPC_CREAT | 0o600))

    @staticmethod
    def give(ident):
        checked(_libc.msgsnd(ident, (1).to_bytes(8, 'little') + b'x', ctypes.c_size_t(1), IPC_NOWAIT))

    @staticmethod
    def take(ident, flags=IPC_NOWAIT):
        checked(_libc.msgrcv(ident, bytes(64), ctypes.c_size_t(50), ctypes.c_long(0), flags))

    @staticmethod
    def check(ident):
        checked(_libc.msgctl(ident, IPC_STAT, bytes(256)))


class Semaphores:
    """A set: in use while who changed it last lives, or a thread waits."""
    directory, waits_in = 'sem', (b'65', b'220')

    @staticmethod
    def get(key):
        return checked(_libc.semget(key, 2, IPC_CREAT | 0o600))

    @staticmethod
    def operate(ident, change, flags):
        operation = struct.pack('Hhh', 1, change, flags)
        checked(_libc.semop(ident, operation, ctypes.c_size_t(1)))

    @classmethod
    def give(cls, ident):
        cls.operate(ident, 1, IPC_NOWAIT)

    @classmethod
    def take(cls, ident, flags=IPC_NOWAIT):
        cls.operate(ident, -1, flags)

    @staticmethod
    def check(ident):
        checked(_libc.semctl(ident, 0, IPC_STAT, bytes(256)))
