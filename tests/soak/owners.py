# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes whose segments are theirs alone, so that they know each mapping, descriptor and open file of
them: objects, files below the root, memfds, anonymous memory and System V segments."""
import array
import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import signal
import socket

from harness import check, die_with_parent, equal, read
from ipc import IPC_CREAT, IPC_PRIVATE, Attached, _checked, _libc, shm_remove, shmget
from load import DEAD, FULL, KILLED, OUTSIDE, Opened, Worker, may_fail, open_by

PAGE = mmap.PAGESIZE
ITEMS = 10   # of one owner, at most
PAGES = 32   # of one item
OPENED = 4   # descriptors of one item, and mappings


def map_shared(fd, size):
    address = _libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED,
                         fd, ctypes.c_long(0))
    return _checked(-1) if address == ctypes.c_void_p(-1).value else address


class Mapped:
    """`file`: the Opened that was mapped; None: none was."""

    def __init__(self, address, size, file, number):
        self.address, self.size, self.file, self.number = address, size, file, number

    def is_stale(self):
        return self.file is not None and self.file.is_stale()

    def end(self):
        _checked(_libc.munmap(ctypes.c_void_p(self.address), ctypes.c_size_t(self.size)))


class Item:
    """A file, with the descriptors and mappings of it that its owner has."""

    def __init__(self, kind, name, inode, pages, content):
        self.kind, self.name, self.inode, self.pages, self.content = kind, name, inode, pages, content
        self.files, self.maps = [], []
        self.size_known = True
        self.sent = None  # the number of the open file that waits in the owner's socket

    def told(self, twins):
        """What the tables have to say of it, where so many processes have the same."""
        return {
            'kind': self.kind, 'name': self.name, 'id': self.inode, 'size': self.pages * PAGE if self.size_known else None,
            'mappings': len(self.maps) * twins, 'processes': twins if self.maps else 0,
            'openers': len(self.files) * twins, 'hidden': int(self.is_hidden()),
        }

    def is_hidden(self):
        """Whether nothing but the socket's queue has the open file that was sent."""
        return self.sent is not None and self.sent not in self.numbers()

    def numbers(self):
        return {x.number for x in self.files + self.maps}

    def give_up(self):
        for x in self.files:
            x.close()
        for x in self.maps:
            x.end()
        self.files, self.maps = [], []


class Owner(Worker):
    def begin(self):
        self.items, self.segments, self.counter, self.twin = [], [], 0, None
        self.receiver, self.sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.directory = f'd-{self.name}'
        os.makedirs(self.world.shm / self.directory, exist_ok=True)

    def act(self):
        self.shed()
        chosen = self.random.random()
        if chosen < 0.15 or not self.items:
            self.make()
        elif chosen < 0.25:
            self.sysv()
        else:
            self.random.choice([self.open, self.open, self.duplicate, self.close, self.map, self.map, self.unmap,
                                self.poke, self.verify, self.resize, self.rename,
                                self.unlink])(self.random.choice(self.items))

    def shed(self):
        """What a killed daemon has taken with it; mappings stay."""
        for item in self.items:
            for file in [f for f in item.files if f.is_stale()]:
                item.files.remove(file)
                file.close()
        self.bury()

    def bury(self):
        """What has neither a name nor a user is gone."""
        self.items = [i for i in self.items if i.name or i.files or i.maps or i.sent]

    # Making

    def make(self):
        kinds = {'posix': self.make_object, 'nested': self.make_nested, 'memfd': self.make_memfd,
                 'anon': self.make_anonymous}
        if len(self.items) < ITEMS:
            kinds[self.random.choice(['posix'] * 5 + ['nested', 'memfd', 'anon'])]()

    def content(self):
        return b'%s %d ' % (self.name.encode(), self.random.randrange(1 << 40))

    def fill(self, item, file):
        """False where there is no room; then it is gone again."""
        number, bytes_ = 0, item.content.ljust(PAGE, b'.') + bytes(PAGE * (item.pages - 1))
        try:
            while number < len(bytes_):
                number += os.pwrite(file.fd, bytes_[number:], number)
            return True
        except OSError as error:
            if error.errno not in FULL and not (file.way == KILLED and error.errno in DEAD):
                raise
        file.close()
        if item.name:
            os.unlink(self.world.shm / item.name)
        return False

    def make_file(self, kind, name, way):
        try:
            file = open_by(self, name, way, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except OSError as error:
            if error.errno not in FULL and not (way == KILLED and error.errno in DEAD):
                raise
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.world.shm / name)  # the daemon may have made it before it was killed
            return
        inode = os.stat(self.world.shm / name).st_ino
        item = Item(kind, name, inode, 1 + self.random.randrange(PAGES), self.content())
        if self.fill(item, file):
            item.files.append(file)
            self.items.append(item)

    def new_name(self):
        self.counter += 1
        return f'o-{self.name}-{self.counter}'

    def make_object(self):
        self.make_file('posix', self.new_name(), self.way())

    def make_nested(self):
        self.make_file('nested', f'{self.directory}/{self.new_name()}', OUTSIDE)

    def make_memfd(self):
        file = Opened(self.world, os.memfd_create(f'soak-{self.name}'), OUTSIDE)
        item = Item('memfd', None, os.fstat(file.fd).st_ino, 1 + self.random.randrange(PAGES), self.content())
        if self.fill(item, file):
            item.files.append(file)
            self.items.append(item)

    def make_anonymous(self):
        pages = 1 + self.random.randrange(PAGES)
        address = _libc.mmap(None, ctypes.c_size_t(pages * PAGE), mmap.PROT_READ | mmap.PROT_WRITE,
                             mmap.MAP_SHARED | mmap.MAP_ANONYMOUS, -1, ctypes.c_long(0))
        check(address != ctypes.c_void_p(-1).value, 'anonymous memory')
        line, = (l for l in read('/proc/self/maps').splitlines() if l.startswith(b'%x-' % address))
        item = Item('anon', None, int(line.split()[4]), pages, b'')
        Opened.count += 1
        item.maps.append(Mapped(address, pages * PAGE, None, Opened.count))
        ctypes.memset(address, 1, pages * PAGE)
        self.items.append(item)

    # Using

    def open(self, item):
        if not item.name or len(item.files) >= OPENED:
            return
        way = self.way() if item.kind == 'posix' else OUTSIDE
        with may_fail(way):
            item.files.append(open_by(self, item.name, way, os.O_RDWR))

    def some(self, item):
        """A descriptor that is not of the daemon that may be killed at any time, or is: then it may fail."""
        return self.random.choice(item.files) if item.files else None

    def duplicate(self, item):
        if (file := self.some(item)) and len(item.files) < OPENED:
            item.files.append(file.duplicate())

    def close(self, item):
        if file := self.some(item):
            item.files.remove(file)
            file.close()
            self.bury()

    def map(self, item):
        file = self.some(item)
        if not file or len(item.maps) >= OPENED or (file.way != OUTSIDE and not self.world.shared_mmap):
            return
        size = PAGE * (1 + self.random.randrange(item.pages))
        with may_fail(file.way, *((errno.ENODEV,) if file.way == KILLED else ())):
            item.maps.append(Mapped(map_shared(file.fd, size), size, file, file.number))

    def unmap(self, item):
        if item.maps:
            item.maps.pop(self.random.randrange(len(item.maps))).end()
            self.bury()

    def poke(self, item):
        """The first page is there, whatever the size: it cannot fail for a lack of memory."""
        if item.maps and item.kind != 'anon':
            item.content = self.content()
            at = self.random.choice(item.maps).address
            ctypes.memmove(at, item.content.ljust(PAGE, b'.'), PAGE)

    def resize(self, item):
        file = self.some(item)
        if not file:
            return
        pages = 1 + self.random.randrange(PAGES)
        with may_fail(file.way):
            os.ftruncate(file.fd, pages * PAGE)
            item.pages, item.size_known = pages, True
            return
        # The daemon was killed, which may have been before or after it had resized it.
        if item.name:
            item.pages = os.stat(self.world.shm / item.name).st_size // PAGE
        else:
            item.size_known = False

    def rename(self, item):
        if item.kind != 'posix' or not item.name:
            return
        way, name = self.way(), self.new_name()
        with may_fail(way):
            os.rename(self.path(item.name, way), self.path(name, way))
            item.name = name
            return
        item.name = name if os.path.exists(self.world.shm / name) else item.name

    def unlink(self, item):
        if not item.name:
            return
        way = self.way() if item.kind == 'posix' else OUTSIDE
        with may_fail(way):
            os.unlink(self.path(item.name, way))
            item.name = None
        if item.name and not os.path.exists(self.world.shm / item.name):
            item.name = None
        self.bury()

    def verify(self, item):
        """Read by any way: what was written, and the size."""
        if item.kind == 'anon':
            return
        file, way = self.some(item), self.way()
        if file:
            with may_fail(file.way):
                equal(os.pread(file.fd, len(item.content), 0), item.content, f'content of {item.name}')
                size = os.fstat(file.fd).st_size
                check(size == item.pages * PAGE or not item.size_known, f'size of {item.name} by {file.way}')
        elif item.kind == 'posix' and item.name:
            with may_fail(way):
                equal(read(self.path(item.name, way))[:len(item.content)], item.content, item.name)

    # System V segments

    def sysv(self):
        chosen = self.random.random()
        if chosen < 0.3 and len(self.segments) < 4:
            size = PAGE * (1 + self.random.randrange(PAGES))
            self.segments.append([shmget(IPC_PRIVATE, size, IPC_CREAT | 0o600), size, [], False])
        elif self.segments:
            segment = self.random.choice(self.segments)
            shmid, _, attached, removed = segment
            if chosen < 0.6 and len(attached) < OPENED and not removed:
                attached.append(Attached(shmid))
                attached[-1].bytes[:5] = b'bytes'
            elif chosen < 0.9 and attached:
                attached.pop().__exit__()
                if removed and not attached:
                    self.segments.remove(segment)
            elif not removed:
                shm_remove(shmid)
                segment[3] = True
                if not attached:
                    self.segments.remove(segment)

    # Resting

    def resume(self):
        if self.twin:
            os.kill(self.twin, signal.SIGKILL)
            os.waitpid(self.twin, 0)
            self.twin = None
        for item in [i for i in self.items if i.sent is not None]:
            _, fds, _, _ = socket.recv_fds(self.receiver, 10, 1)
            file = Opened(self.world, fds[0], OUTSIDE)
            file.number, item.sent = item.sent, None
            item.files.append(file)

    def let_go_of_the_dead(self):
        """
        What is mapped through a dead mount stays, and works; but while anything of that mount is in use, the kernel
        keeps all files that the daemon had given it, of other processes too.
        """
        for item in self.items:
            for mapped in [m for m in item.maps if m.is_stale()]:
                item.maps.remove(mapped)
                mapped.end()

    def rest(self):
        self.let_go_of_the_dead()
        self.shed()
        if self.random.random() < 0.5:
            self.send()
        twins = 1
        if self.random.random() < 0.3:
            self.twin, twins = self.fork(), 2
        for item in self.items:
            self.check_there(item)
        told = [item.told(twins) for item in self.items]
        told += [{'kind': 'sysv', 'name': None, 'id': shmid, 'size': size, 'mappings': len(attached) * twins,
                  'processes': twins if attached else 0, 'openers': 0, 'hidden': 0}
                 for shmid, size, attached, _ in self.segments]
        return {'items': told, 'twins': twins}

    def check_there(self, item):
        """No object is lost, and none has lost its content."""
        if item.name:
            st = os.stat(self.world.shm / item.name)
            equal((st.st_ino, st.st_size), (item.inode, item.pages * PAGE), f'{item.name} of {self.name}')
            equal(read(self.world.shm / item.name)[:len(item.content)], item.content, item.name)

    def send(self):
        """One open file waits in a socket, and has no descriptor any more, unless it was duplicated."""
        able = [(item, file) for item in self.items for file in item.files if file.way == OUTSIDE]
        if able:
            item, file = self.random.choice(able)
            self.sender.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [file.fd]))])
            item.files.remove(file)
            item.sent = file.number
            file.close()

    def fork(self):
        """A process that has what this one has, until the rest ends."""
        pid = os.fork()
        if pid == 0:
            die_with_parent()
            while True:
                signal.pause()
        return pid

    def forget(self):
        self.resume()
        for item in self.items:
            item.give_up()
            if item.name:
                os.unlink(self.world.shm / item.name)
        for shmid, _, attached, removed in self.segments:
            for one in attached:
                one.__exit__()
            if not removed:
                shm_remove(shmid)
        self.items, self.segments = [], []
