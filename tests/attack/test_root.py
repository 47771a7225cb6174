# SPDX-License-Identifier: GPL-2.0-or-later
"""Root is not always root: without capabilities, in a container, user 0 gets what the kernel gives it."""
import ctypes
import errno
import os
import pathlib
import stat
import struct
import subprocess
import time

from harness import (CLONE_NEWNS, MOUNTED, PATIENCE, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_REC, as_user, call, check, equal,
                     fails, opened, read, skip, table, test,
                     write)
from ipc import Attached, CLONE_NEWIPC, Child, ShmidDs, ipc_test, map_alone, new_segment, shm_remove
from stalled_fuse import StalledFuse
from strangers import ATTACKER, GROUP, VICTIM, drop_capabilities, in_child, in_pid_namespace

IPC_SET = 1
MS_REMOUNT, MS_BIND, MS_NOEXEC = 32, 4096, 8
_libc = ctypes.CDLL(None, use_errno=True)


def bare(function):
    """In a root that has no capability."""
    def child():
        drop_capabilities()
        function()
    in_child(child)


def private_object(t, name='o'):
    write(t.shm / name, b'secret')
    os.chmod(t.shm / name, 0o600)
    os.chown(t.shm / name, VICTIM, VICTIM)


@ipc_test
def objects_of_others_are_closed_to_a_bare_root(t):
    private_object(t)
    for root in (t.shm, t.root):
        def attempts():
            fails(errno.EACCES, os.open, root / 'o', os.O_RDONLY)
            fails(errno.EACCES, os.open, root / 'o', os.O_CREAT | os.O_RDWR, 0o600)
            fails(errno.EACCES, os.truncate, root / 'o', 0)
            fails(errno.EPERM, os.chmod, root / 'o', 0o666)
            fails(errno.EPERM, os.chown, root / 'o', 0, 0)
            fails(errno.EPERM, os.utime, root / 'o', (1, 1))
        bare(attempts)
    equal(read(t.shm / 'o'), b'secret')


@ipc_test
def an_object_that_comes_into_being_is_closed_to_a_bare_root(t):
    """O_CREAT of a name that another process makes and removes all the while."""
    def victim():
        os.setresgid(VICTIM, VICTIM, VICTIM)
        os.setresuid(VICTIM, VICTIM, VICTIM)
        while True:
            try:
                os.close(os.open(t.shm / 'key', os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
                os.unlink(t.shm / 'key')
            except OSError:
                pass

    def attempts():
        met, tries, deadline = 0, 0, time.monotonic() + PATIENCE
        while tries < 800 or not met:
            tries += 1
            check(time.monotonic() < deadline, f'the victim was met {met} times in {tries}')
            try:
                fd = os.open(t.root / 'key', os.O_CREAT | os.O_RDWR, 0o600)
            except OSError as error:
                check(error.errno in (errno.EACCES, errno.ENOENT, errno.ESTALE, errno.EEXIST),
                      f'refused: {error}')
                met += 1
                continue
            check(os.fstat(fd).st_uid == 0, 'it is none but our own')
            os.close(fd)
            os.unlink(t.root / 'key')

    pid = os.fork()
    if pid == 0:
        victim()
    try:
        bare(attempts)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@ipc_test
def what_changed_hands_is_closed_to_a_bare_root(t):
    write(t.shm / 'o', b'x')
    os.chmod(t.shm / 'o', 0o644)
    turn, go = os.pipe()
    ready, tell = os.pipe()

    def attempts():
        drop_capabilities()
        with opened(t.root / 'o', os.O_RDONLY) as fd:
            os.write(tell, b'!')
            os.read(turn, 1)
            fails(errno.EPERM, os.fchmod, fd, 0o666)
            fails(errno.EPERM, os.fchown, fd, 0, 0)
    pid = os.fork()
    if pid == 0:
        try:
            attempts()
            os._exit(0)
        finally:
            os._exit(1)
    os.read(ready, 1)
    os.chown(t.shm / 'o', VICTIM, VICTIM)
    os.chmod(t.shm / 'o', 0o600)
    os.write(go, b'!')
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
    equal(os.stat(t.shm / 'o').st_mode & 0o777, 0o600)


@ipc_test
def removal_by_rmdir_is_removal(t):
    """In a directory that is another user's, as SOURCE may be: only its owner may remove."""
    private_object(t)
    os.chown(t.shm, VICTIM, VICTIM)
    os.chmod(t.shm, 0o755)

    def attempts():
        fails(errno.EACCES, os.unlink, t.root / 'o')
        fails(errno.EACCES, os.rmdir, t.meta / 'posix/o')
    bare(attempts)
    in_child(attempts, ATTACKER)
    check((t.shm / 'o').exists(), 'it is still there')


def container():
    """Another container: a root with namespaces of its own, an object and a System V segment."""
    call('unshare', CLONE_NEWNS | CLONE_NEWIPC)
    call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
    call('mount', 'shm', '/dev/shm', b'tmpfs', MS_NOSUID | MS_NODEV, b'size=1m,mode=1777')
    write('/dev/shm/secret', b'secret')
    os.chmod('/dev/shm/secret', 0o600)
    return Attached(new_segment(4096, b'secret')), os.open('/dev/shm/secret', os.O_RDWR)


@ipc_test
def other_containers_are_closed(t):
    """For a root without capabilities, and for one with all of them whose procfs shows nobody."""
    with Child(container) as other:
        ipc = os.stat(f'/proc/{other.pid}/ns/ipc').st_ino
        dev = os.stat(f'/proc/{other.pid}/root/dev/shm').st_dev
        places = [t.meta / 'namespaces' / f'ipc-{ipc}',
                  t.meta / 'namespaces' / f'shm-{os.major(dev)}:{os.minor(dev)}']

        def attempts():
            for place in places:
                fails(errno.EACCES, os.listdir, place)
                fails(errno.EACCES, os.open, place / 'segments', os.O_RDONLY)
            fails(errno.EACCES, os.open, places[1] / 'posix/secret/data', os.O_RDONLY)

        bare(attempts)
        in_child(lambda: in_pid_namespace(attempts))
        equal(read(places[1] / 'posix/secret/data'), b'secret')
        check('sysv' in os.listdir(places[0]), 'root itself may')


@ipc_test
def segments_of_another_ipc_namespace_are_not_made_nor_removed(t):
    """Of a container that shares the mount: it could not touch the host's segments without it."""
    mode = 0o666
    shmid = new_segment(4096, b'secret', mode=mode)
    here = t.meta / 'sysv' / str(shmid)

    def attempts():
        fails(errno.EACCES, os.mkdir, t.meta / 'sysv/private:4K')
        fails(errno.EACCES, os.rmdir, here)
        fails(errno.EACCES, os.chmod, here / 'data', 0o600)
        for flags in (os.O_RDONLY, os.O_RDWR):
            fails(errno.EACCES, os.open, here / 'data', flags)

    def elsewhere():
        call('unshare', CLONE_NEWIPC)
        drop_capabilities()
        attempts()

    def privileged_elsewhere():
        call('unshare', CLONE_NEWIPC)
        in_pid_namespace(attempts)

    in_child(elsewhere)
    in_child(privileged_elsewhere)
    in_child(lambda: equal(read(here / 'data')[:6], b'secret'), ATTACKER)
    shm_remove(shmid)


@ipc_test
def data_is_open_to_whom_shmat_lets(t):
    """Owner and creator, group and creator's group: shmat(2) and the file agree for all of them."""
    shmid = None
    turn, tell = os.pipe()

    def create():
        os.setgroups([])
        os.setresgid(GROUP, GROUP, GROUP)
        os.setresuid(VICTIM, VICTIM, VICTIM)
        os.write(tell, b'%d\n' % new_segment(4096, b'secret'))
    in_child(create)
    shmid = int(os.read(turn, 20))
    data = t.meta / 'sysv' / str(shmid) / 'data'
    callers = [(ATTACKER, GROUP), (ATTACKER, 4304), (VICTIM, VICTIM), (4305, 4306)]

    def attach(flags):
        with Attached(shmid, flags):
            pass

    for mode in (0o606, 0o660):
        ds = ShmidDs()
        _libc.shmctl(shmid, 2, ctypes.byref(ds))
        ds.uid, ds.gid, ds.mode = 4305, 4304, mode
        equal(_libc.shmctl(shmid, IPC_SET, ctypes.byref(ds)), 0)
        for uid, gid in callers:
            for shm_flags, flags in ((0o10000, os.O_RDONLY), (0, os.O_RDWR)):
                native = as_user(uid, gid, lambda: attach(shm_flags))
                mount = as_user(uid, gid, lambda: os.close(os.open(data, flags)))
                # The mount shows one owner and one group; what they are refused, it refuses.
                check(mount == native or (mount == errno.EACCES and uid == VICTIM) or
                      (mount == errno.EACCES and gid == GROUP),
                      f'mode {mode:o}, uid {uid}, gid {gid}: shmat {native}, data {mount}')
    shm_remove(shmid)


@ipc_test
def looking_at_attributes_attaches_nothing(t):
    """file_getattr(2) opens a file without a check of its permissions."""
    shmid = new_segment(4096, b'secret')
    here = t.meta / 'sysv' / str(shmid)
    before = read(here / 'atime'), read(here / 'last')
    buffer = ctypes.create_string_buffer(24)

    def look():
        try:
            call('syscall', 468, -100, os.fspath(here / 'data').encode(), buffer,
                 ctypes.c_size_t(24), ctypes.c_uint(0))
        except OSError as error:
            check(error.errno in (errno.ENOSYS, errno.EACCES, errno.ENOTTY, errno.EOPNOTSUPP),
                  f'{error}')
    in_child(look, ATTACKER)
    equal((read(here / 'atime'), read(here / 'last')), before)
    shm_remove(shmid)


@ipc_test
def an_acl_decides_after_the_name_has_gone(t):
    private_object(t)
    try:
        subprocess.run(['setfacl', '-m', f'u:{ATTACKER}:r', t.shm / 'o'], check=True)
    except FileNotFoundError:
        return
    with Child(lambda: os.open(t.shm / 'o', os.O_RDWR)):
        os.unlink(t.shm / 'o')
        name, = [n for n in os.listdir(t.meta / 'unlinked') if n.startswith('posix-o-')]
        data = t.meta / 'unlinked' / name / 'data'
        in_child(lambda: equal(read(data), b'secret'), ATTACKER)
        equal(as_user(ATTACKER, ATTACKER, lambda: os.open(data, os.O_RDWR)), errno.EACCES)
        equal(as_user(4307, 4307, lambda: os.open(data, os.O_RDONLY)), errno.EACCES)


CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SETGID, SETUID, LINUX_IMMUTABLE = 0, 1, 2, 3, 4, 6, 7, 9
IPC_LOCK, IPC_OWNER, SYS_CHROOT, SYS_PTRACE, SYS_ADMIN = 14, 15, 18, 19, 21
MKNOD, LEASE, SETFCAP, PERFMON, BPF = 27, 28, 31, 38, 39
KEPT = (CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SETGID, SETUID, LINUX_IMMUTABLE, IPC_LOCK,
        IPC_OWNER, SYS_CHROOT, SYS_PTRACE, SYS_ADMIN, MKNOD, LEASE, SETFCAP, PERFMON, BPF)


@test(paths=('auto', 'off'))
def the_daemon_has_the_rights_that_it_needs_and_no_others(t):
    """In each of its threads, and whatever it might execute."""
    kept = sum(1 << number for number in KEPT)
    read(t.meta / 'status')  # some more threads
    looked = 0
    for task in pathlib.Path(f'/proc/{t.daemon.pid}/task').iterdir():
        try:
            text = read(task / 'status').decode()
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has ended
        looked += 1
        said = dict(line.split(':\t', 1) for line in text.splitlines() if ':\t' in line)
        for held in ('CapPrm', 'CapBnd'):
            equal(int(said[held], 16) & ~kept, 0, f'{held} beyond what is needed')
        for none in ('CapInh', 'CapAmb'):
            equal(int(said[none], 16), 0, none)
        equal(said['NoNewPrivs'], '1')
    check(looked > 0, 'no thread')


@test(paths=('auto', 'off'), start=False)
def what_source_forbids_the_mount_forbids(t):
    """However it is mounted: mount(8) gives its helpers suid and dev. A mount that replaces a dead one too."""
    call('mount', 'none', t.shm, 0, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)
    for _ in range(2):
        t.start('-o', 'suid,dev,exec')
        equal(os.statvfs(t.root).f_flag & ~os.ST_RELATIME, MS_NOSUID | MS_NODEV | MS_NOEXEC, 'flags of the mount')
        t.kill()
    t.start()


@test(paths=('auto', 'off'))
def a_container_whose_root_never_answers_holds_up_nobody(t):
    def container():
        """In a root directory on a file system of its own, which serves until the container is made."""
        call('unshare', CLONE_NEWNS)
        call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
        root = t.private / 'root'
        root.mkdir()
        server = StalledFuse(root)
        call('mount', 'shm', root / 'dev' / 'shm', b'tmpfs', MS_NOSUID | MS_NODEV, b'size=1m')
        write(root / 'dev' / 'shm' / 'x', b'1')
        dev = os.stat(root / 'dev' / 'shm').st_dev
        os.chroot(root)
        server.stop_answering()
        os.write(tell, f'{os.major(dev)}:{os.minor(dev)}'.encode())
        return server

    told, tell = os.pipe()
    with Child(container):
        name = 'shm-' + os.read(told, 100).decode()
        check(name in os.listdir(t.meta / 'namespaces'), 'it is listed')
        fails(errno.ENOENT, os.listdir, t.meta / 'namespaces' / name)
        for name in 'status', 'processes', 'cgroups', 'metrics', 'report.html':
            check(read(t.meta / name), 'others are answered')


@ipc_test
def what_a_container_mounts_in_its_directory_is_no_object(t):
    """Another file system is not asked, which may never answer, nor shown."""
    def container():
        call('unshare', CLONE_NEWNS)
        call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
        call('umount2', '/dev/shm', 2)
        call('mount', 'shm', '/dev/shm', b'tmpfs', MS_NOSUID | MS_NODEV, b'mode=1777')
        shm = pathlib.Path('/dev/shm')
        for name in ('mine', 'bound'):
            write(shm / name, b'1')
        write(t.private / 'other', b'secret')
        call('mount', t.private / 'other', shm / 'bound', 0, MS_BIND, 0)
        (shm / 'stalled').mkdir()
        dev = os.stat(shm).st_dev
        server = StalledFuse(shm / 'stalled')
        server.stop_answering()
        held = map_alone(shm / 'mine', 1)
        os.write(tell, f'{os.major(dev)}:{os.minor(dev)}'.encode())
        return server, held

    told, tell = os.pipe()
    with Child(container) as child:
        here = t.meta / 'namespaces' / ('shm-' + os.read(told, 100).decode())
        equal(os.listdir(here / 'posix'), ['mine'])
        for name in ('bound', 'stalled'):
            fails(errno.ENOENT, os.stat, here / 'posix' / name)
        rows = table(read(here / 'segments'))[0]
        equal([r['NAME'] for r in rows], [b'mine'])
        rows, remarks = table(read(t.meta / 'processes'))
        check(b'%d' % child.pid in [r['PID'] for r in rows], (rows, remarks))


@test(paths=('auto', 'off'), start=False)
def names_in_a_directory_that_may_not_be_listed_stay_unknown(t):
    """Who may search SOURCE but not list it can use what they know the name of, and no more."""
    write(t.shm / 'secret', bytes(1))
    os.chmod(t.shm, 0o711)
    t.start()

    def stranger():
        for directory in (t.root, t.meta / 'posix', t.meta / 'idle/posix', t.meta / 'unlinked'):
            fails(errno.EACCES, os.listdir, directory)
        for listing in ('segments', 'segments.json', 'metrics', 'graph.dot'):
            fails(errno.EACCES, read, t.meta / listing)
        for entry in os.listdir(t.meta):
            if (t.meta / entry).is_file() and os.access(t.meta / entry, os.R_OK):
                check(b'secret' not in read(t.meta / entry), f'the name is in {entry}')
        equal(read(t.meta / 'posix/secret/mappings'), b'0\n', 'of one whose name is known')

    in_child(stranger, ATTACKER)
    check('secret' in os.listdir(t.meta / 'posix'), 'root may')
    os.chmod(t.shm, 0o1777)


@test(paths=('auto', 'off'), start=False)
def an_acl_on_the_directory_denies_listing_too(t):
    """Its mode alone would let everyone else."""
    write(t.shm / 'secret', bytes(1))
    os.chmod(t.shm, 0o1777)
    # owner rwx, the attacker search alone, group rwx, mask rwx, others rwx
    entries = (1, 7, 0xffffffff), (2, 1, ATTACKER), (4, 7, 0xffffffff), (16, 7, 0xffffffff), (32, 7, 0xffffffff)
    try:
        os.setxattr(t.shm, 'system.posix_acl_access',
                    struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries))
    except OSError as error:
        skip(f'no ACL here: {error}')
    t.start()

    def stranger():
        for directory in (t.shm, t.meta / 'posix', t.meta / 'idle/posix'):
            fails(errno.EACCES, os.listdir, directory)
        for listing in ('segments', 'segments.json', 'metrics', 'graph.dot'):
            fails(errno.EACCES, read, t.meta / listing)

    in_child(stranger, ATTACKER)
    check('secret' in os.listdir(t.meta / 'posix'), 'root may')
    os.removexattr(t.shm, 'system.posix_acl_access')


@test(MOUNTED)
def a_stranger_does_not_clear_set_ids(t):
    """While somebody has the file open for writing, chown(-1, -1) looks to the daemon as a write does."""
    for p in (t.private, t.shm):
        os.chmod(p, 0o777)
    os.close(os.open(t.shm / 'o', os.O_CREAT | os.O_RDWR))
    os.chown(t.shm / 'o', VICTIM, VICTIM)

    def set_ids():
        os.chmod(t.shm / 'o', 0o6755)

    def tries():
        fails(errno.EPERM, os.chown, t.root / 'o', -1, -1)
        with opened(t.root / 'o', os.O_RDONLY) as reader:
            fails(errno.EPERM, os.fchown, reader, -1, -1)

    def writes(fd):
        equal(os.pwrite(fd, b'x', 0), 1)
    set_ids()
    with opened(t.root / 'o', os.O_RDWR) as fd:
        in_child(lambda: (os.close(fd), tries()), ATTACKER)
        equal(stat.S_IMODE(os.stat(t.root / 'o').st_mode), 0o6755)
        in_child(lambda: writes(fd), ATTACKER)
        equal(stat.S_IMODE(os.stat(t.root / 'o').st_mode), 0o755, 'who has a descriptor may write, which clears them')
