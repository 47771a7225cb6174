# SPDX-License-Identifier: GPL-2.0-or-later
"""What each sort of caller may do to each sort of object: through the mount as on the tmpfs behind it.

Two objects alike, one for the native path and one for the mount; each call is made by the same
caller on both, and must be answered alike. The kernel decides on the one side, so no table of what
is right is needed here.
"""
import collections
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import pathlib
import re
import struct
import subprocess

from harness import MOUNTED, MS_BIND, as_user, call, equal, eventually, mounts_at, skip, test, write
from ipc import CLONE_NEWIPC, Child, new_segment, shm_remove, shmget
from uring import Uring

OWNER, MEMBER, NAMED, OTHER, CREATOR = 4401, 4402, 4403, 4404, 4405
SHM_KEY = 0x1234
GROUP, NAMED_GROUP = 4411, 4412
FIRST, SECOND = 'native', 'mount'
PROTECTED = pathlib.Path('/proc/sys/fs/protected_regular')
SYS_OPENAT2, AT_FDCWD = 437, -100
IN_OPEN = 0x20

BY_DAEMON = ('-o', 'permissions=daemon')
CLONE_NEWUSER, PR_SET_KEEPCAPS = 0x10000000, 8
CAPSET_VERSION = 0x20080522
CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER = 0, 1, 2, 3
ALL = None

# The ids by which it is asked, supplementary groups, the real user where that is another, the capabilities where
# they are not those that go with the user, and the ids of its user namespace where it has one: it is root there.
Caller = collections.namedtuple('Caller', 'uid gid groups real capabilities ids', defaults=[(), None, ALL, ()])
CALLERS = {
    'the owner': Caller(OWNER, OWNER),
    'in the group': Caller(MEMBER, GROUP),
    'in the group by a supplementary one': Caller(MEMBER, MEMBER, (GROUP,)),
    'named by the ACL': Caller(NAMED, NAMED),
    'of a group named by the ACL': Caller(OTHER, OTHER, (NAMED_GROUP,)),
    'another': Caller(OTHER, OTHER),
    'root': Caller(0, 0),
    'another in the name of the owner': Caller(OWNER, OTHER, (GROUP,), OTHER),
}
POWERS = {
    'root without capabilities': Caller(0, 0, capabilities=()),
    'root with one capability': Caller(0, 0, capabilities=(CAP_DAC_READ_SEARCH,)),
    'another who may override': Caller(OTHER, OTHER, capabilities=(CAP_DAC_OVERRIDE,)),
    'another who may read': Caller(OTHER, OTHER, capabilities=(CAP_DAC_READ_SEARCH,)),
    'another who is as the owner': Caller(OTHER, OTHER, capabilities=(CAP_FOWNER,)),
    'another who may give away': Caller(OTHER, OTHER, capabilities=(CAP_CHOWN,)),
}
NAMESPACES = {
    'root where owner and group are known': Caller(OTHER, OTHER, ids=(OTHER, OWNER, GROUP)),
    'root where the owner is known': Caller(OTHER, OTHER, ids=(OTHER, OWNER)),
    'root where the group is known': Caller(OTHER, OTHER, ids=(OTHER, GROUP)),
    'root where neither is known': Caller(OTHER, OTHER, ids=(OTHER,)),
}
MODES = (0o600, 0o640, 0o604, 0o606, 0o060, 0o066, 0o707, 0o111, 0o755, 0o4755, 0o2775, 0o000)
SOME_MODES = (0o600, 0o640, 0o604, 0o4755, 0o2775)
DIRECTORIES = (0o1777, 0o777, 0o1775, 0o775, 0o1755, 0o711, 0o700, 0o705, 0o750, 0o1757, 0o722)
NET_RAW = struct.pack('<5I', 0x02000001, 1 << 13, 0, 0, 0)
SHEBANG = b'#!/bin/true\n'


def acl(*entries):
    """The value of system.posix_acl_access: tag, permissions, id."""
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)


NONE = 0xffffffff
ACLS = {
    'one user and one group may less than others':
        acl((1, 6, NONE), (2, 0, NAMED), (4, 4, NONE), (8, 0, NAMED_GROUP), (16, 6, NONE), (32, 6, NONE)),
    'one user and one group may more than others':
        acl((1, 6, NONE), (2, 6, NAMED), (4, 0, NONE), (8, 4, NAMED_GROUP), (16, 6, NONE), (32, 0, NONE)),
}


def answer(function):
    try:
        result = function()
    except OSError as error:
        return errno.errorcode[error.errno]
    return result if isinstance(result, (bytes, int)) else 'done'


def opens(path, flags):
    os.close(os.open(path, flags | os.O_CLOEXEC, 0o600))


def executes(path):
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(path, [path])
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def reopens(path):
    fd = os.open(path, os.O_PATH)
    try:
        opens(f'/proc/self/fd/{fd}', os.O_RDWR)
    finally:
        os.close(fd)


def watches(path):
    fd = call('inotify_init1', 0)
    try:
        call('inotify_add_watch', fd, path, IN_OPEN)
    finally:
        os.close(fd)


OPERATIONS = {
    'stat': lambda path: os.stat(path).st_mode,
    'open to read': lambda path: opens(path, os.O_RDONLY),
    'open to write': lambda path: opens(path, os.O_WRONLY),
    'open for both': lambda path: opens(path, os.O_RDWR),
    'open to truncate': lambda path: opens(path, os.O_WRONLY | os.O_TRUNC),
    'open to read and truncate': lambda path: opens(path, os.O_RDONLY | os.O_TRUNC),
    'open or create': lambda path: opens(path, os.O_CREAT | os.O_RDWR),
    'open without access time': lambda path: opens(path, os.O_RDWR | os.O_NOATIME),
    'open a path, then the file': reopens,
    'access for existence': lambda path: os.access(path, os.F_OK),
    'access to read': lambda path: os.access(path, os.R_OK),
    'access to write': lambda path: os.access(path, os.W_OK),
    'access to execute': lambda path: os.access(path, os.X_OK),
    'access by effective ids': lambda path: os.access(path, os.R_OK, effective_ids=True),
    'truncate': lambda path: os.truncate(path, 3),
    'touch': lambda path: os.utime(path),
    'set times': lambda path: os.utime(path, (1, 1)),
    'set an attribute': lambda path: os.setxattr(path, 'user.a', b'1'),
    'get an attribute': lambda path: os.getxattr(path, 'user.given'),
    'remove an attribute': lambda path: os.removexattr(path, 'user.given'),
    'get the ACL': lambda path: os.getxattr(path, 'system.posix_acl_access'),
    'set an ACL': lambda path: os.setxattr(path, 'system.posix_acl_access', list(ACLS.values())[0]),
    'chmod': lambda path: os.chmod(path, 0o640),
    'give to a group': lambda path: os.chown(path, -1, GROUP),
    'give away': lambda path: os.chown(path, OTHER, -1),
    'link': lambda path: os.link(path, path.with_name(path.name + '.link')),
    'rename': lambda path: os.rename(path, path.with_name(path.name + '.new')),
    'unlink': os.unlink,
    'execute': executes,
    'watch': watches,
}


def set_capabilities(numbers):
    bits = sum(1 << number for number in numbers)
    header = ctypes.create_string_buffer(struct.pack('<Ii', CAPSET_VERSION, 0))
    sets = ctypes.create_string_buffer(struct.pack('<6I', bits, bits, 0, 0, 0, 0))
    call('capset', header, sets)


def enter_namespace(caller):
    """Whose root is the first of the ids; a process outside maps them."""
    entered_read, entered = os.pipe()
    mapped_read, mapped = os.pipe()
    target = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.read(entered_read, 1)
        lines = ''.join(f'{inside} {outside} 1\n' for inside, outside in enumerate(caller.ids))
        for name in 'uid_map', 'gid_map':
            pathlib.Path(f'/proc/{target}/{name}').write_text(lines)
        os.write(mapped, b'x')
        os._exit(0)
    call('unshare', CLONE_NEWUSER)
    os.write(entered, b'x')
    os.read(mapped_read, 1)
    os.waitpid(pid, 0)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def become(caller):
    """As a login, or a set-user-ID program, has it; the effective ids last."""
    real = caller.uid if caller.real is None else caller.real
    if caller.ids:
        enter_namespace(caller)
        return
    if caller.capabilities is not ALL:
        call('prctl', PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups(list(caller.groups))
    os.setresgid(caller.gid, caller.gid, caller.gid)
    os.setresuid(real, caller.uid, caller.uid)
    if caller.capabilities is not ALL:
        set_capabilities(caller.capabilities)


def ask(caller, questions):
    """What each operation is answered on the one path and on the other; all by one process."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            become(caller)
            answers = [[str(answer(lambda: operation(path))) for path in paths]
                       for operation, *paths in questions]
            os.write(write, json.dumps(answers).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with open(read, 'rb') as f:
        text = f.read()
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, 'the caller')
    return json.loads(text)


def make(t, mode, value, names):
    """The same objects on both sides, by their native paths."""
    for name in names:
        path = t.shm / name
        path.write_bytes(SHEBANG)
        os.chown(path, OWNER, GROUP)
        os.chmod(path, mode)
        try:
            os.setxattr(path, 'user.given', b'value')
        except OSError:
            pass  # tmpfs has such attributes since Linux 6.6
        if value:
            os.setxattr(path, 'system.posix_acl_access', value)


def clear(t):
    for path in t.shm.iterdir():
        path.unlink()


def state(path):
    """What the operation has left of the object."""
    try:
        st = os.stat(path)
    except FileNotFoundError:
        return None
    return oct(st.st_mode), st.st_uid, st.st_gid, st.st_size, sorted(os.listxattr(path))


def excepted(t, who, operation, native, mount):
    """Where the daemon checks, or a namespace's root changes a name: see DIFFERENCES in the manual."""
    if who in NAMESPACES and operation in ('link', 'rename', 'unlink'):
        return (native, mount) == ('done', 'EPERM')
    if not by_daemon(t):
        return False
    return (operation == 'open without access time' and (native, mount) == ('EACCES', 'EPERM') or
            operation == 'watch' and (native, mount) == ('EACCES', 'done') or
            operation == 'execute' and (native, mount) == ('0', str(errno.EACCES)) or
            operation == 'access by effective ids' and POWERS.get(who) and (native, mount) == ('True', 'False'))


def by_daemon(t):
    return t.status()['permissions'] == 'daemon'


@contextlib.contextmanager
def protection(value):
    """fs.protected_regular is the whole machine's: while one test has a value, others wait. None: as it is."""
    try:
        with PROTECTED.open('r' if value is None else 'r+') as file:
            fcntl.flock(file, fcntl.LOCK_SH if value is None else fcntl.LOCK_EX)
            before = file.read()
            if value is not None:
                PROTECTED.write_text(value)
            try:
                yield
            finally:
                if value is not None:
                    PROTECTED.write_text(before)
    except OSError as error:
        skip(f'{PROTECTED}: {error}')


def compare(t, what, callers=CALLERS, operations=OPERATIONS, mode=0o600, value=None, protected=None):
    with protection(protected):
        compare_now(t, what, callers, operations, mode, value)


def compare_now(t, what, callers, operations, mode, value):
    names = [f'{side}{i}' for side in (FIRST, SECOND) for i in range(len(operations))]
    wrong = []
    for who, caller in callers.items():
        make(t, mode, value, names)
        answers = ask(caller, [(operation, t.shm / f'{FIRST}{i}', t.root / f'{SECOND}{i}')
                               for i, operation in enumerate(operations.values())])
        for i, (operation, (native, mount)) in enumerate(zip(operations, answers)):
            left = [state(t.shm / f'{side}{i}') for side in (FIRST, SECOND)]
            if (native != mount or left[0] != left[1]) and not excepted(t, who, operation, native, mount):
                wrong.append(f'{what}: {who}: {operation}: {native} natively, {mount} on the mount; {left}')
        clear(t)
    equal(wrong, [])


def by_mode(t, callers=CALLERS, modes=MODES):
    for mode in modes:
        compare(t, f'{mode:o}', callers, mode=mode)


def by_acl(t, callers=CALLERS):
    for what, value in ACLS.items():
        compare(t, what, callers, mode=0o660, value=value)


def by_directory(t, prepare):
    before = os.stat(t.shm)
    try:
        os.chown(t.shm, OWNER, GROUP)
        for mode in DIRECTORIES:
            os.chmod(t.shm, mode)
            prepare(mode)
            compare(t, f'a directory of mode {mode:o}', mode=0o666)
    finally:
        os.chown(t.shm, before.st_uid, before.st_gid)
        os.chmod(t.shm, before.st_mode & 0o7777)


@test(paths=MOUNTED)
def by_the_modes_of_objects(t):
    by_mode(t)


@test(paths=MOUNTED)
def by_the_acls_of_objects(t):
    by_acl(t)


@test(paths=MOUNTED)
def by_the_mode_of_the_directory(t):
    by_directory(t, lambda mode: None)


@test(paths=MOUNTED)
def by_capabilities(t):
    by_mode(t, POWERS, SOME_MODES)


@test(paths=MOUNTED, options=BY_DAEMON)
def daemon_decides_by_modes(t):
    equal(by_daemon(t), True)
    by_mode(t)


@test(paths=MOUNTED, options=BY_DAEMON)
def daemon_decides_by_acls(t):
    by_acl(t)


@test(paths=MOUNTED, options=BY_DAEMON)
def daemon_decides_by_capabilities(t):
    by_mode(t, POWERS, SOME_MODES)


@test(paths=MOUNTED, options=BY_DAEMON)
def daemon_decides_by_user_namespaces(t):
    """Capabilities of a namespace's root count over a file if both its ids are known there."""
    by_mode(t, NAMESPACES, SOME_MODES)


@test(paths=MOUNTED, options=BY_DAEMON)
def daemon_decides_only_where_all_may_list_and_search(t):
    def again(mode):
        t.stop()
        t.start()
        equal(by_daemon(t), mode & 0o555 == 0o555, f'{mode:o}')
    by_directory(t, again)


def writes(path):
    with open(path, 'r+b', buffering=0) as f:
        f.write(b'x')


STRIPPING = {
    **{name: OPERATIONS[name] for name in (
        'truncate', 'open to truncate', 'chmod', 'touch', 'give to a group', 'give away')},
    'take': lambda path: os.chown(path, os.geteuid(), os.getegid()),
    'write': writes,
    'remove the capabilities': lambda path: os.removexattr(path, 'security.capability'),
}


def strip(t, mode, who, caller):
    """What is different on the mount."""
    names = [f'{side}{i}' for side in (FIRST, SECOND) for i in range(len(STRIPPING))]
    make(t, mode, None, names)
    for name in names:
        os.setxattr(t.shm / name, 'security.capability', NET_RAW)
    answers = ask(caller, [(operation, t.shm / f'{FIRST}{i}', t.root / f'{SECOND}{i}')
                           for i, operation in enumerate(STRIPPING.values())])
    left = [[state(t.shm / f'{side}{i}') for side in (FIRST, SECOND)] for i in range(len(STRIPPING))]
    clear(t)
    told = dict(zip(STRIPPING, answers))
    # Documented: from who could take them by another call, a call that is refused may take them.
    could = 'done' in [told[name][0] for name in ('truncate', 'chmod', 'give away')]
    wrong = []
    for (operation, (native, mount)), (before, after) in zip(told.items(), left):
        if by_daemon(t) and operation == 'truncate' and (native, mount) == ('EACCES', 'EPERM'):
            mount = native
        if by_daemon(t) and could and native != 'done':
            before = *before[:-1], after[-1]
        if native != mount or before != after:
            wrong.append(f'{mode:o}: {who}: {operation}: {native} natively, {mount} on the mount; {before}, {after}')
    return wrong


def capable(t):
    """What the kernel takes from a program before a call that is refused, it must not take."""
    equal([wrong for mode in (0o755, 0o775, 0o757) for who, caller in {**CALLERS, **POWERS}.items()
           for wrong in strip(t, mode, who, caller)], [])


@test(paths=MOUNTED)
def a_call_that_is_refused_takes_no_capabilities(t):
    capable(t)


@test(paths=MOUNTED, options=BY_DAEMON)
def a_call_that_is_refused_takes_no_capabilities_by_the_daemon(t):
    capable(t)


def by_io_uring(t, drop):
    """What a root is told that has a thread of io_uring, then `drop`s its rights: on both paths."""
    make(t, 0o600, None, ['x'])
    os.close(Uring().fd)  # skips here where there is none
    ring = []

    def opens_by_ring(path):
        if not ring:
            ring.append(Uring())
            os.close(ring[0].open('/dev/null', os.O_RDONLY))
            drop()
        os.close(ring[0].open(path, os.O_RDWR))
    return ask(CALLERS['root'], [(opens_by_ring, t.shm / 'x', t.root / 'x')])


@test(paths=MOUNTED)
def a_thread_of_io_uring_has_the_rights_of_its_process(t):
    equal(by_io_uring(t, lambda: None), [['done', 'done']])
    equal(by_io_uring(t, lambda: set_capabilities(())), [['EACCES', 'EACCES']])


@test(paths=MOUNTED, options=BY_DAEMON)
def a_thread_of_io_uring_has_no_rights_by_the_daemon(t):
    """Documented: procfs shows those of the moment at which the kernel made the thread."""
    equal(by_io_uring(t, lambda: set_capabilities(())), [['EACCES', 'EACCES']])
    equal(by_io_uring(t, lambda: None), [['done', 'EACCES']])


@test(paths=MOUNTED)
def who_may_not_search_the_directory_sees_nothing(t):
    """Neither objects nor what is told of them; and it may list the directory no more than natively."""
    (t.shm / 'x').write_bytes(b'x')
    mode = os.stat(t.shm).st_mode & 0o7777
    try:
        os.chmod(t.shm, 0o700)

        def attempts():
            for path in ('x', '.shmtree/status', '.shmtree/posix/x/state', '.shmtree/posix', '.shmtree', '.'):
                equal(answer(lambda: opens(t.root / path, os.O_RDONLY)), 'EACCES', path)
            equal(answer(lambda: os.chdir(t.root)), 'EACCES')
            equal(answer(lambda: os.stat(t.root / 'x')), 'EACCES')
        as_user(OTHER, OTHER, attempts)
    finally:
        os.chmod(t.shm, mode)


def namespaces(t, refused):
    def attempts():
        equal(answer(lambda: os.listdir(t.meta / 'namespaces')), 'EACCES')
        equal(answer(lambda: os.chdir(t.meta / 'namespaces')), 'EACCES')
        equal(answer(lambda: os.stat(t.meta / 'namespaces' / 'x')), refused)
        equal(os.access(t.meta / 'namespaces', os.X_OK), False)
    as_user(OTHER, OTHER, attempts)
    os.chdir(t.meta / 'namespaces')
    os.chdir('/')


@test(paths=MOUNTED)
def namespaces_are_for_root(t):
    namespaces(t, 'EACCES')


@test(paths=MOUNTED, options=BY_DAEMON)
def namespaces_are_for_root_by_the_daemon(t):
    namespaces(t, 'ENOMEM')


def unchangeable(t):
    """As a directory and files of mode 0555 and 0444, which are root's."""
    def attempts():
        for call_it in (lambda: os.mkdir(t.meta / 'new'), lambda: os.unlink(t.meta / 'status'),
                        lambda: os.rename(t.meta / 'status', t.meta / 'other'),
                        lambda: opens(t.meta / 'new', os.O_CREAT | os.O_RDWR),
                        lambda: opens(t.meta / 'status', os.O_RDWR),
                        lambda: os.utime(t.meta / 'status'), lambda: os.truncate(t.meta / 'status', 0)):
            equal(answer(call_it), 'EACCES')
        equal(answer(lambda: os.chmod(t.meta / 'status', 0o666)), 'EPERM')
        equal([os.access(t.meta / 'status', want) for want in (os.R_OK, os.W_OK, os.X_OK)],
              [True, False, False])
    as_user(OTHER, OTHER, attempts)


@test(paths=MOUNTED)
def what_cannot_be_changed_says_so(t):
    unchangeable(t)


@test(paths=MOUNTED, options=BY_DAEMON)
def what_cannot_be_changed_says_so_by_the_daemon(t):
    unchangeable(t)


def sysv_data(t, mode):
    equal(as_user(CREATOR, CREATOR, lambda: new_segment(4096, SHEBANG, key=SHM_KEY)), 0)
    shmid = shmget(SHM_KEY, 0, 0)
    data = t.meta / 'sysv' / str(shmid) / 'data'
    os.chown(data, OWNER, GROUP)
    os.chmod(data, mode)
    return data, lambda: shm_remove(shmid)


def unlinked_data(t, mode):
    make(t, mode, None, ['x'])
    fd = os.open(t.shm / 'x', os.O_RDWR)
    os.unlink(t.shm / 'x')
    return t.meta / 'unlinked' / f'posix-x-{os.fstat(fd).st_ino}' / 'data', lambda: os.close(fd)


def answers_of_data(t, make_data):
    """What each caller is told about the bytes of a segment that has no name."""
    told = {}
    operations = [name for name in OPERATIONS if name not in ('link', 'rename', 'unlink', 'watch')]
    callers = {'the creator': Caller(CREATOR, CREATOR), **CALLERS, **POWERS}
    for mode in 0o640, 0o606, 0o711:
        for who, caller in callers.items():
            data, end = make_data(t, mode)
            answers = ask(caller, [(OPERATIONS[operation], data) for operation in operations])
            for operation, (told_of_it,) in zip(operations, answers):
                # Of two reasons to refuse the one is as good as the other.
                told[f'{mode:o}: {who}: {operation}'] = \
                    'refused' if told_of_it in errno.errorcode.values() else told_of_it
            end()
            t.settle()
    return told


def of_creator(what):
    """The owner of a System V segment may be another; but chmod(2) of `data` is shmctl(2), which lets its creator."""
    return what.endswith((': the creator: chmod', ': the creator: give to a group', ': the creator: give away'))


def data_as_the_kernel_decides(t, make_data):
    call('unshare', CLONE_NEWIPC)
    t.start()
    kernel = answers_of_data(t, make_data)
    t.stop()
    t.start(*BY_DAEMON)
    daemon = answers_of_data(t, make_data)
    equal(by_daemon(t), True)
    equal(set(kernel.values()) >= {'done', 'refused', 'True', 'False'}, True, set(kernel.values()))
    equal([f'{what}: {kernel[what]} by the kernel, {daemon[what]} by the daemon' for what in kernel
           if kernel[what] != daemon[what] and not of_creator(what) and
           not excepted(t, what.split(': ')[1], what.split(': ')[2], kernel[what], daemon[what])], [])


@test(paths=('auto',), start=False)
def data_of_system_v_segments_as_the_kernel_decides(t):
    data_as_the_kernel_decides(t, sysv_data)


@test(paths=('auto',), start=False)
def data_of_unlinked_objects_as_the_kernel_decides(t):
    data_as_the_kernel_decides(t, unlinked_data)


@test(paths=MOUNTED, options=BY_DAEMON)
def what_cannot_be_read_is_not_executed(t):
    """Documented: the kernel would let its user look at the memory of the program."""
    make(t, 0o111, None, ['x'])
    equal(ask(CALLERS['another'], [(executes, t.shm / 'x', t.root / 'x')]), [['0', str(errno.EACCES)]])
    make(t, 0o555, None, ['y'])
    equal(ask(CALLERS['another'], [(executes, t.shm / 'y', t.root / 'y')]), [['0', '0']])


@contextlib.contextmanager
def mounted(what, path):
    """By root, and nobody else may take it off."""
    call('mount', what, path, b'', MS_BIND, 0)
    try:
        yield
        equal(mounts_at(path), 1, f'mounts at {path}')
    finally:
        call('umount2', path, 0)


def refused(path):
    as_user(OTHER, OTHER, lambda: equal(answer(lambda: os.stat(path)), 'ENOMEM', path))


@test(paths=MOUNTED, options=BY_DAEMON)
def a_refusal_unmounts_nothing(t):
    """The kernel drops a name that it may not look up, and what is mounted there: only ENOMEM lets it be."""
    (t.shm / 'x').write_bytes(b'x')
    mode = os.stat(t.shm).st_mode & 0o7777
    os.stat(t.meta / 'posix' / 'x' / 'state')
    with mounted('/proc/self/status', t.root / 'x'):
        try:
            os.chmod(t.shm, 0o700)
            refused(t.root / 'x')
            for known in t.meta, t.meta / 'status', t.meta / 'posix' / 'x' / 'state':
                refused(known)
        finally:
            os.chmod(t.shm, mode)


@test(paths=MOUNTED, options=BY_DAEMON)
def a_refusal_unmounts_nothing_among_namespaces(t):
    with Child(lambda: call('unshare', CLONE_NEWIPC)) as child:
        path = t.meta / 'namespaces' / f"ipc-{os.stat(f'/proc/{child.pid}/ns/ipc').st_ino}"
        with mounted('/proc', path / 'sysv'):
            refused(path)
            refused(path / 'sysv')


@test(paths=MOUNTED, options=BY_DAEMON)
def who_may_not_write_does_not_learn_what_is_hidden(t):
    (t.shm / 'x').write_bytes(b'x')
    (t.shm / 'directory').mkdir()
    os.chmod(t.shm, 0o755)
    as_user(OTHER, OTHER, lambda: equal(answer(lambda: os.rename(t.root / 'x', t.root / 'directory')), 'EACCES'))
    equal(answer(lambda: os.rename(t.root / 'x', t.root / 'directory')), 'EEXIST')


def log_requests(t):
    """Has the daemon write a line for each request."""
    wrapper, log = t.private / 'logged', t.private / 'requests'
    write(wrapper, f'#!/bin/sh\nexec {os.fspath(t.program)} "$@" -d 2>{log}\n'.encode())
    os.chmod(wrapper, 0o755)
    t.program = os.fspath(wrapper)
    return log


def requests(t, log, function):
    """Those that the call makes. What the kernel forgets it tells when it likes."""
    t.settle()
    waiting = t.private / 'connections' / str(os.minor(os.stat(t.root).st_dev)) / 'waiting'
    before = log.read_bytes()
    function()
    eventually(lambda: int(waiting.read_text()) == 0, 'no request is under way')
    lines = re.findall(rb'opcode: (\w+)', log.read_bytes()[len(before):])
    return [line.decode() for line in lines if b'FORGET' not in line]


def count_requests(t, *options):
    log = log_requests(t)
    t.start(*options)
    x, y = t.root / 'x', t.root / 'y'
    (t.shm / 'x').write_bytes(b'x')
    os.chdir('/')

    def cat():
        fd = os.open(x, os.O_RDONLY)
        os.fstat(fd)
        os.read(fd, 10)
        os.close(fd)
    calls = {
        'stat': lambda: os.stat(x),
        'open and close': lambda: opens(x, os.O_RDONLY),
        'cat': cat,
        'create': lambda: opens(y, os.O_RDWR | os.O_CREAT | os.O_EXCL),
        'rename': lambda: os.rename(y, t.root / 'z'),
        'unlink': lambda: os.unlink(t.root / 'z'),
    }
    return {name: len(requests(t, log, function)) for name, function in calls.items()}


@test(paths=('auto',), start=False)
def requests_of_each_call(t):
    equal(count_requests(t), {'stat': 3, 'open and close': 6, 'cat': 7, 'create': 7, 'rename': 7, 'unlink': 4})


@test(paths=('auto',), start=False)
def requests_of_each_call_where_the_daemon_checks(t):
    equal(count_requests(t, *BY_DAEMON),
          {'stat': 2, 'open and close': 4, 'cat': 5, 'create': 4, 'rename': 3, 'unlink': 2})


def by_openat2(path, flags=os.O_CREAT | os.O_RDWR):
    how = struct.pack('QQQ', flags, 0o600 if flags & os.O_CREAT else 0, 0)
    os.close(call('syscall', SYS_OPENAT2, AT_FDCWD, str(path).encode(), how, ctypes.c_size_t(len(how))))


def compare_protected(t):
    """fs.protected_regular: O_CREAT does not open another user's object in a sticky directory."""
    compare(t, 'protected', operations={
        **{name: OPERATIONS[name] for name in OPERATIONS if name.startswith('open')},
        'openat2': by_openat2}, mode=0o666, protected='2')


@test(paths=MOUNTED)
def what_somebody_else_has_put_there_is_not_taken_for_ones_own(t):
    compare_protected(t)


@test(paths=MOUNTED, options=BY_DAEMON)
def what_somebody_else_has_put_there_is_not_taken_for_ones_own_by_the_daemon(t):
    compare_protected(t)


@test(paths=MOUNTED, options=BY_DAEMON)
def what_openat2_wants_of_it_is_not_known(t):
    """Documented: its flags are in memory, which the daemon does not read; without O_CREAT the tmpfs would open it."""
    make(t, 0o666, None, ['x'])
    questions = [(lambda path: by_openat2(path, os.O_RDWR), t.shm / 'x', t.root / 'x')]
    with protection('0'):
        equal(ask(CALLERS['another'], questions), [['done', 'done']])
    with protection('2'):
        equal(ask(CALLERS['another'], questions), [['done', 'EACCES']])
        equal(ask(CALLERS['the owner'], questions), [['done', 'done']])


@test(paths=('auto', 'off'), start=False)
def where_the_daemon_cannot_check_the_kernel_does(t):
    for options, reason in (
            (('-o', 'entry_timeout=1'), 'keeps names'), (('-o', 'watch'), 'keeps names'),
            (('-o', 'permissions=kernel'), None)):
        t.start(*BY_DAEMON, *options)
        status = t.status()
        equal(status['permissions'], 'kernel')
        equal(reason is None or reason in status['permissions_reason'], True, status)
        equal('permissions_reason' in status, reason is not None)
        t.stop()
    result = subprocess.run([t.program, t.root, '-f', '-o', 'permissions=none'], capture_output=True, text=True, check=False)
    equal((result.returncode != 0, result.stderr.count('\n')), (True, 1))
    equal('use kernel or daemon' in result.stderr, True, result.stderr)
