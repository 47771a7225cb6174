# SPDX-License-Identifier: GPL-2.0-or-later
"""What uses an object, from the object's own side: what no process shows counts as well."""
import array
import contextlib
import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys

from harness import (CLONE_NEWNS, MOUNTED, MS_PRIVATE, MS_REC, Mapper, as_user, call, check,
                     equal, eventually, fails, opened, read, skip, table, test, write)
from ipc import Attached, Child, ipc_test, new_segment, shm_remove
from shortage import contain
from test_command import HERE, USER, start_as_user
from uring import REGISTER, Ring

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)


def need_objects(t):
    status = t.status()
    if status['object_census'] != 'on':
        skip(status.get('object_census_reason', 'the object census is off'))


def facts(t, name):
    return tuple(t.attribute(name, a) for a in ('references', 'hidden', 'state'))


def rows(t):
    return {(r['KIND'].decode(), r['NAME'].decode()): r for r in table(read(t.meta / 'segments'))[0]}


@contextlib.contextmanager
def in_flight(fd):
    """The descriptor is closed, and a copy of it is in a socket's queue."""
    one, two = socket.socketpair()
    with one, two:
        one.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
        os.close(fd)
        yield


@test(MOUNTED)
def references_are_open_files(t):
    """One for each open(2), whatever was made of it since."""
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    equal(facts(t, 'x'), ('0', '0', 'idle'))
    with opened(t.shm / 'x', os.O_RDWR) as fd:
        equal(facts(t, 'x'), ('1', '0', 'open'))
        copy = os.dup(fd)
        equal(facts(t, 'x'), ('1', '0', 'open'))
        os.close(copy)
        with opened(t.shm / 'x', os.O_RDONLY):
            equal(facts(t, 'x'), ('2', '0', 'open'))
        memory = mmap.mmap(fd, PAGE)  # keeps a copy of the descriptor
        equal(facts(t, 'x'), ('1', '0', 'mapped'))
    equal(facts(t, 'x'), ('1', '0', 'mapped'))
    memory.close()
    equal(facts(t, 'x'), ('0', '0', 'idle'))
    with Mapper(t.shm / 'x') as mapper:
        mapper('map 3')
        mapper('close')
        equal(facts(t, 'x'), ('1', '0', 'mapped'))


@test(MOUNTED)
def references_through_the_mount(t):
    """With passthrough the kernel opens the object once for each open(2); without, not at all."""
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    wanted = 1 if t.shared_mmap else 0
    with opened(t.root / 'x', os.O_RDWR):
        equal(facts(t, 'x'), (str(wanted), '0', 'open'))
        with opened(t.root / 'x', os.O_RDONLY):
            equal(facts(t, 'x'), (str(2 * wanted), '0', 'open'))
    t.settle()
    if t.shared_mmap:
        with Mapper(t.root / 'x') as mapper:
            mapper('map 2')
            equal(facts(t, 'x'), ('1', '0', 'mapped'))
            mapper('close')
            equal(facts(t, 'x'), ('1', '0', 'mapped'))
    t.settle()
    eventually(lambda: facts(t, 'x') == ('0', '0', 'idle'), 'the daemon has closed it')
    with in_flight(os.open(t.root / 'x', os.O_RDWR)):
        equal(t.attribute('x', 'state'), 'held')


@test(MOUNTED)
def two_names_of_one_object(t):
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    os.link(t.shm / 'x', t.shm / 'y')
    equal((facts(t, 'x'), facts(t, 'y')), ((('0', '0', 'idle')),) * 2)
    with opened(t.shm / 'y', os.O_RDONLY):
        equal((facts(t, 'x'), facts(t, 'y')), ((('1', '0', 'open')),) * 2)
        os.unlink(t.shm / 'y')
        equal(facts(t, 'x'), ('1', '0', 'open'))
    equal(facts(t, 'x'), ('0', '0', 'idle'))
    os.link(t.shm / 'x', t.shm / 'y')
    status = t.status()
    equal((status['posix_segments'], status['posix_allocated']), ('1', str(PAGE)))
    equal({name for kind, name in rows(t) if kind == 'posix'}, {'x', 'y'})


@test(MOUNTED)
def what_a_socket_holds(t):
    """Every segment is a row, and everything that takes space of the tmpfs is in one."""
    need_objects(t)
    guest = f'guest{os.getpid()}'  # other tests have memfds too
    memfd = os.memfd_create(guest)
    os.truncate(memfd, 3 * PAGE)
    os.write(memfd, bytes(2 * PAGE))
    write(t.shm / 'x', bytes(PAGE))
    write(t.shm / 'gone', bytes(4 * PAGE))
    with contextlib.ExitStack() as stack:
        for fd in memfd, os.open(t.shm / 'x', os.O_RDWR), os.open(t.shm / 'gone', os.O_RDWR):
            stack.enter_context(in_flight(fd))
        os.unlink(t.shm / 'gone')
        equal(facts(t, 'x'), ('1', '1', 'held'))
        found = rows(t)
        for key, size, allocated in ((('posix', 'x'), 1, 1), (('memfd', guest), 3, 2),
                                     (('unlinked', 'gone'), 4, 4)):
            row = found[key]
            equal((row['STATE'], row['REFERENCES'], row['HIDDEN'], row['OPENERS']),
                  (b'held', b'1', b'1', b'0'), key)
            equal((int(row['SIZE']), int(row['ALLOCATED'])), (size * PAGE, allocated * PAGE), key)
        check(3 <= int(t.status()['hidden_references']) < 1 << 32, 'status counts them')
        used = os.statvfs(t.shm)
        shown = sum(int(r['ALLOCATED']) for (kind, _), r in found.items()
                    if kind in ('posix', 'unlinked'))
        equal(shown, (used.f_blocks - used.f_bfree) * used.f_frsize, 'bytes of the tmpfs')
        here = t.meta / 'unlinked' / found['unlinked', 'gone']['ID'].decode()
        equal(read(here / 'state'), b'held\n')
        equal(os.stat(here / 'data').st_size, 4 * PAGE)
        fails(errno.ENXIO, read, here / 'data')
    equal(set(rows(t)) & {('memfd', guest), ('unlinked', 'gone'), ('posix', 'x')},
          {('posix', 'x')})
    equal(facts(t, 'x'), ('0', '0', 'idle'))


@test(MOUNTED)
def data_that_was_reached_before(t):
    """Once the mount has looked at a file, it finds it again when no process has it any more."""
    need_objects(t)
    write(t.shm / 'gone', b'precious')
    fd = os.open(t.shm / 'gone', os.O_RDWR)
    os.unlink(t.shm / 'gone')
    here = t.meta / 'unlinked' / f'posix-gone-{os.fstat(fd).st_ino}'
    equal(read(here / 'data'), b'precious')
    t.settle()
    with in_flight(fd):
        equal(read(here / 'state'), b'held\n')
        equal(read(here / 'data'), b'precious')


@test(MOUNTED)
def what_a_ring_holds(t):
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    with opened(t.shm / 'x', os.O_RDWR) as fd:
        ring = Ring(fd)
        equal(facts(t, 'x'), ('1', '0', 'open'))
    equal(facts(t, 'x'), ('1', '1', 'held'))
    ring.close()
    eventually(lambda: facts(t, 'x') == ('0', '0', 'idle'), 'the ring is gone')


def holders(t, name):
    return [(r['FD'].decode(), int(r['PID']), r['MODE'].decode()) for r in t.rows(name, 'holders')]


def send(one, fds):
    one.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))])


@test(MOUNTED)
def holders_name_sockets(t):
    """Those in whose queue a descriptor is, with the processes that have the socket open."""
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    one, two = socket.socketpair()
    name = f'socket:[{os.fstat(two.fileno()).st_ino}]'
    with one, two, open(t.shm / 'x', 'rb') as file:
        send(one, [file.fileno()])
        equal(holders(t, 'x'), [(str(file.fileno()), os.getpid(), 'r')], 'it is open, and not hidden')
        file.close()
        equal(holders(t, 'x'), [(name, os.getpid(), 'r')])
        with Child(lambda: None) as child:  # has the socket as well
            equal(holders(t, 'x'), [(name, pid, 'r') for pid in sorted((os.getpid(), child.pid))])
            row, other = json.loads(read(t.meta / 'posix' / 'x' / 'info.json'))['holders']
            equal((row['fd'], row['mode'], {row['pid'], other['pid']}),
                  (name, 'r', {os.getpid(), child.pid}))
        status = t.status()
        check(int(status['hidden_in_flight']) >= 1, status)
        check(int(status['hidden_references']) >= int(status['hidden_in_flight']), status)
    equal(holders(t, 'x'), [])


@test(MOUNTED)
def holders_name_sockets_in_sockets(t):
    """One that no process has, because it is in flight itself; and one that nobody has accepted."""
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    outer, outside = socket.socketpair()
    inner, inside = socket.socketpair()
    number = os.fstat(inside.fileno()).st_ino
    with outer, outside:
        with opened(t.shm / 'x', os.O_RDWR) as fd:
            send(inner, [fd])
        send(outer, [inside.fileno()])
        inner.close()
        inside.close()
        equal(holders(t, 'x'), [(f'socket:[{number}]', os.getpid(), 'rw')])
    eventually(lambda: holders(t, 'x') == [], 'the sockets are closed')
    place = os.fspath(t.private / 'listener')
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(place)
        listener.listen()
        client.connect(place)
        with opened(t.shm / 'x', os.O_RDONLY) as fd:
            send(client, [fd])
        number = os.fstat(listener.fileno()).st_ino
        equal(holders(t, 'x'), [(f'socket:[{number}]', os.getpid(), 'r')])
    os.unlink(place)


@test(MOUNTED)
def holders_name_rings(t):
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    with opened(t.shm / 'x', os.O_RDWR) as fd:
        ring = Ring(fd)
    equal(holders(t, 'x'), [(f'io_uring:{ring.fd}', os.getpid(), 'rw')])
    check(int(t.status()['hidden_io_uring']) >= 1, 'status counts it')
    ring.close()
    eventually(lambda: holders(t, 'x') == [], 'the ring is gone')


def send_elsewhere(count):
    """In a child: objects of another /dev/shm, each in a socket's queue."""
    call('unshare', CLONE_NEWNS)
    call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
    call('mount', 'shm', '/dev/shm', b'tmpfs', 0, b'size=1m')
    write('/dev/shm/y', b'elsewhere')
    one, two = socket.socketpair()
    for _ in range(count):
        with opened('/dev/shm/y', os.O_RDONLY) as fd:
            send(one, [fd])
    return one, two


@test(MOUNTED)
def what_nothing_has_needs_no_census(t):
    """One look at the object tells it, however many objects and processes there are."""
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    passes = int(t.status()['census_passes'])
    for _ in range(10):
        equal(facts(t, 'x'), ('0', '0', 'idle'))
    check(int(t.status()['census_passes']) - passes < 10, 'answered without a pass')
    with opened(t.shm / 'x', os.O_RDONLY):
        equal(facts(t, 'x'), ('1', '0', 'open'))


@test(MOUNTED)
def status_traces_own_references(t):
    """Of those that it sums up, not of another /dev/shm's."""
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    one, two = socket.socketpair()
    with one, two:
        with opened(t.shm / 'x', os.O_RDONLY) as fd:
            send(one, [fd])
        with Child(lambda: send_elsewhere(100)):
            eventually(lambda: 1 <= int(t.status()['hidden_in_flight']) < 100, 'our own are counted')


def ring_kept_by_stopped(path, keep):
    """In a child: its ring lives on in a child of its own alone, until `keep` is closed; then it stops."""
    with opened(path, os.O_RDWR) as fd:
        ring = Ring(fd)
    if os.fork() == 0:
        os.read(keep, 1)
        os._exit(0)
    ring.close()
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)


@test(MOUNTED)
def holders_name_threads_that_keep_a_closed_ring(t):
    """The kernel frees the files of a closed ring only when the thread that made it has run."""
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    with opened(t.shm / 'x', os.O_RDWR) as fd:
        Ring(fd).close()  # or the test is skipped
    eventually(lambda: facts(t, 'x') == ('0', '0', 'idle'), 'the kernel has freed that ring')
    keep, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        ring_kept_by_stopped(t.shm / 'x', keep)
    os.waitpid(pid, os.WUNTRACED)
    try:
        eventually(lambda: [row[0] for row in holders(t, 'x')] not in ([], ['io_uring:-']), 'a ring is open')
        os.close(end)
        eventually(lambda: holders(t, 'x') == [('io_uring:-', pid, 'rw')], 'closed, it is kept')
        equal(facts(t, 'x'), ('1', '1', 'held'))
    finally:
        os.kill(pid, signal.SIGCONT)
        os.waitpid(pid, 0)
        os.close(keep)
    eventually(lambda: facts(t, 'x') == ('0', '0', 'idle'), 'and gone when it has run')


@test(MOUNTED)
def holders_name_threads_that_have_registered_their_ring(t):
    """With IORING_REGISTER_RING_FDS a ring needs no descriptor."""
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    with opened(t.shm / 'x', os.O_RDWR) as fd:
        ring = Ring(fd)
    if _libc.syscall(REGISTER, ring.fd, 20, struct.pack('IIQ', 0xffffffff, 0, ring.fd), 1) != 1:
        ring.close()
        skip('the kernel does not register rings (Linux 5.18)')
    ring.close()
    try:
        equal(holders(t, 'x'), [('io_uring:-', os.getpid(), 'rw')])
        equal(facts(t, 'x'), ('1', '1', 'held'))
    finally:
        other = Ring(0)  # any ring can be used to give up another
        equal(_libc.syscall(REGISTER, other.fd, 21, struct.pack('IIQ', 0, 0, 0), 1), 1, 'given up')
        other.close()
    eventually(lambda: facts(t, 'x') == ('0', '0', 'idle'), 'nothing has it')


@contextlib.contextmanager
def loop_device(path):
    result = subprocess.run(['losetup', '--find', '--show', os.fspath(path)], capture_output=True,
                            text=True, check=False)
    if result.returncode != 0:
        skip(f'losetup: {result.stderr.strip()}')
    device = result.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(['losetup', '--detach', device], check=True)


@test(MOUNTED)
def holders_name_loop_devices(t):
    """Of an object, and of a memfd; without BPF as well."""
    write(t.shm / 'x', bytes(1 << 20))
    with loop_device(t.shm / 'x') as device:
        wanted = [(f'loop:{device.removeprefix("/dev/loop")}', 0, 'rw')]
        if t.status()['object_census'] == 'on':
            equal(facts(t, 'x'), ('1', '1', 'held'))
            check(int(t.status()['hidden_loop']) >= 1, 'status counts it')
        equal(holders(t, 'x'), wanted)
        row, = t.rows('x', 'holders')
        equal((row['COMMAND'], row['CMDLINE']), (b'-', b'-'))
        if subprocess.run(['mkswap', device], capture_output=True, check=False).returncode == 0 and \
                subprocess.run(['swapon', device], capture_output=True, check=False).returncode == 0:
            row, = t.rows('x', 'holders')
            subprocess.run(['swapoff', device], check=True)
            equal(row['CMDLINE'], b'swap')
        t.stop()
        t.start('-o', 'census=text')
        equal(holders(t, 'x'), wanted)
    eventually(lambda: holders(t, 'x') == [], 'the device has let go of it')


@test(MOUNTED)
def holders_are_seen_as_procfs_shows_them(t):
    """A user sees own sockets; those of others are counted."""
    need_objects(t)
    os.chmod(t.shm, 0o1777)
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)

    def sent():
        one, two = socket.socketpair()
        with opened(t.shm / 'x', os.O_RDWR) as fd:
            send(one, [fd])
        return one, two

    def look():
        with in_flight(os.open(t.shm / 'x', os.O_RDONLY)):
            rows, remarks = table(read(t.meta / 'posix' / 'x' / 'holders'))
            equal([(int(r['PID']), r['MODE']) for r in rows], [(os.getpid(), b'r')])
            check(any('not shown' in line for line in remarks), remarks)
    with Child(sent):
        equal(as_user(USER, USER, look), 0)


@test(MOUNTED)
def without_it_a_lease_is_the_proof(t):
    """Of a named object; of what it proves nothing, nothing is said."""
    t.stop()
    write(t.shm / 'x', bytes(PAGE))
    for options in (('-o', 'object_census=off'), ('-o', 'census=query'), ('-o', 'census=text')):
        t.start(*options)
        equal(t.status()['object_census'], 'off')
        check(t.status()['object_census_reason'], 'why')
        equal(facts(t, 'x'), ('unknown', 'unknown', 'idle'))
        with in_flight(os.open(t.shm / 'x', os.O_RDONLY)):
            equal(facts(t, 'x'), ('unknown', 'unknown', 'held'))
        with opened(t.shm / 'x', os.O_RDONLY):
            equal(facts(t, 'x'), ('unknown', 'unknown', 'open'))
        # A lease of ours would end somebody's wait for nothing.
        with opened(t.shm / 'x', os.O_RDONLY | os.O_NONBLOCK):
            pass
        equal(rows(t)['posix', 'x']['STATE'], b'idle')
        t.stop()


@ipc_test
def system_v_by_the_kernels_own_count(t):
    shmid = new_segment(10000)
    here = t.meta / 'sysv' / str(shmid)
    for options in ((), ('-o', 'census=text')):
        t.stop()
        t.start(*options)
        known = t.status()['object_census'] == 'on'  # another test's daemon may have it open for a moment
        eventually(lambda: [read(here / a).decode().strip() for a in ('references', 'hidden', 'state')] ==
                   (['0', '0', 'idle'] if known else ['unknown', 'unknown', 'idle']), 'it is idle')
        with Child(lambda: [Attached(shmid), Attached(shmid)]):
            got = [read(here / a).decode().strip() for a in ('references', 'hidden', 'state')]
            equal(got, ['2', '0', 'mapped'] if known else ['unknown', 'unknown', 'mapped'])
        eventually(lambda: read(here / 'state') == b'idle\n', 'the process has ended')
        with opened(here / 'data', os.O_RDONLY):
            check(read(here / 'state') in (b'open\n', b'held\n'), 'the mount has it open')
    shm_remove(shmid)


@test(HERE, start=False)
def a_normal_user_knows_its_own(t):
    """Though most processes cannot be read: by a lease and by nattch. Nothing of others' objects."""
    start_as_user(t)
    os.chmod(t.shm, 0o1777)
    write(t.shm / 'roots', bytes(PAGE))

    def work():
        write(t.shm / 'leftover', bytes(PAGE))
        write(t.shm / 'sent', bytes(PAGE))
        with in_flight(os.open(t.shm / 'sent', os.O_RDWR)):
            status = t.status()
            equal(status['object_census'], 'off')
            equal(t.attribute('leftover', 'state'), 'idle')
            equal(t.attribute('sent', 'state'), 'held')
            equal(t.attribute('roots', 'state'), 'unknown')
            with Mapper(t.shm / 'leftover') as mapper:
                mapper('map 1')
                equal(t.attribute('leftover', 'state'), 'mapped')
        eventually(lambda: t.attribute('leftover', 'state') == 'idle', 'nobody has it')
        os.rmdir(t.meta / 'posix' / 'leftover')
    equal(as_user(USER, USER, work), 0)


@test(MOUNTED, start=False)
def without_cap_sys_ptrace(t):
    """As in a container: root there cannot read other users' processes, and still is not wrong."""
    contain(t, 'sys_ptrace', 'perfmon', 'bpf')
    t.start()
    os.chmod(t.shm, 0o1777)
    write(t.shm / 'leftover', bytes(PAGE))
    script = ('import mmap, os, sys; f = os.open("/dev/shm/used", os.O_RDWR | os.O_CREAT, 0o600); '
              'os.ftruncate(f, 4096); m = mmap.mmap(f, 4096); print("ready", flush=True); '
              'sys.stdin.read()')
    with subprocess.Popen(['setpriv', '--reuid=4202', '--clear-groups', sys.executable, '-c',
                           script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        equal(other.stdout.readline(), b'ready\n')
        check(t.unreadable() > 0, 'the other user cannot be read')
        check(t.attribute('used', 'state') in ('held', 'mapped'), 'in use')
        equal(t.attribute('leftover', 'state'), 'idle')
        other.stdin.close()
    eventually(lambda: t.attribute('used', 'state') == 'idle', 'the other user has ended')
