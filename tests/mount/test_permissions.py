# SPDX-License-Identifier: GPL-2.0-or-later
"""What each sort of caller may do to each sort of object: through the mount as on the tmpfs behind it.

Two objects alike, one for the native path and one for the mount; each call is made by the same
caller on both, and must be answered alike. The kernel decides on the one side, so no table of what
is right is needed here.
"""
import collections
import ctypes
import errno
import fcntl
import json
import os
import pathlib
import struct

from harness import MOUNTED, as_user, call, equal, skip, test

OWNER, MEMBER, NAMED, OTHER = 4401, 4402, 4403, 4404
GROUP, NAMED_GROUP = 4411, 4412
FIRST, SECOND = 'native', 'mount'
PROTECTED = pathlib.Path('/proc/sys/fs/protected_regular')
SYS_OPENAT2, AT_FDCWD = 437, -100
IN_OPEN = 0x20

# The ids by which it is asked, supplementary groups, and the real user where that is another.
Caller = collections.namedtuple('Caller', 'uid gid groups real', defaults=[(), None])
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
MODES = (0o600, 0o640, 0o604, 0o606, 0o060, 0o066, 0o707, 0o111, 0o755, 0o4755, 0o2775, 0o000)
DIRECTORIES = (0o1777, 0o777, 0o1775, 0o711, 0o700, 0o705, 0o750, 0o1757, 0o722)
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


def become(caller):
    """As a login, or a set-user-ID program, has it; the effective ids last."""
    real = caller.uid if caller.real is None else caller.real
    os.setgroups(list(caller.groups))
    os.setresgid(caller.gid, caller.gid, caller.gid)
    os.setresuid(real, caller.uid, caller.uid)


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


def compare(t, what, callers=CALLERS, operations=OPERATIONS, mode=0o600, value=None):
    names = [f'{side}{i}' for side in (FIRST, SECOND) for i in range(len(operations))]
    wrong = []
    for who, caller in callers.items():
        make(t, mode, value, names)
        answers = ask(caller, [(operation, t.shm / f'{FIRST}{i}', t.root / f'{SECOND}{i}')
                               for i, operation in enumerate(operations.values())])
        for i, (operation, (native, mount)) in enumerate(zip(operations, answers)):
            left = [state(t.shm / f'{side}{i}') for side in (FIRST, SECOND)]
            if native != mount or left[0] != left[1]:
                wrong.append(f'{what}: {who}: {operation}: {native} natively, {mount} on the mount; {left}')
        clear(t)
    equal(wrong, [])


@test(paths=MOUNTED)
def by_the_modes_of_objects(t):
    for mode in MODES:
        compare(t, f'{mode:o}', mode=mode)


@test(paths=MOUNTED)
def by_the_acls_of_objects(t):
    for what, value in ACLS.items():
        compare(t, what, mode=0o660, value=value)


@test(paths=MOUNTED)
def by_the_mode_of_the_directory(t):
    before = os.stat(t.shm)
    try:
        os.chown(t.shm, OWNER, GROUP)
        for mode in DIRECTORIES:
            os.chmod(t.shm, mode)
            compare(t, f'a directory of mode {mode:o}', mode=0o666)
    finally:
        os.chown(t.shm, before.st_uid, before.st_gid)
        os.chmod(t.shm, before.st_mode & 0o7777)


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


@test(paths=MOUNTED)
def namespaces_are_for_root(t):
    def attempts():
        equal(answer(lambda: os.listdir(t.meta / 'namespaces')), 'EACCES')
        equal(answer(lambda: os.chdir(t.meta / 'namespaces')), 'EACCES')
        equal(answer(lambda: os.stat(t.meta / 'namespaces' / 'x')), 'EACCES')
        equal(os.access(t.meta / 'namespaces', os.X_OK), False)
    as_user(OTHER, OTHER, attempts)
    os.chdir(t.meta / 'namespaces')
    os.chdir('/')


@test(paths=MOUNTED)
def what_cannot_be_changed_says_so(t):
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
def what_somebody_else_has_put_there_is_not_taken_for_ones_own(t):
    """fs.protected_regular: O_CREAT does not open another user's object in a sticky directory."""
    try:
        lock = PROTECTED.open('r+')
        fcntl.flock(lock, fcntl.LOCK_EX)  # of all processes of this test: it is the whole machine's
        before = lock.read()
        PROTECTED.write_text('2')
    except OSError as error:
        skip(f'{PROTECTED}: {error}')
    try:
        how = struct.pack('QQQ', os.O_CREAT | os.O_RDWR, 0o600, 0)

        def by_openat2(path):
            os.close(call('syscall', SYS_OPENAT2, AT_FDCWD, str(path).encode(), how, ctypes.c_size_t(len(how))))
        operations = {**{name: OPERATIONS[name] for name in OPERATIONS if name.startswith('open')},
                      'openat2': by_openat2}
        compare(t, 'protected', operations=operations, mode=0o666)
    finally:
        PROTECTED.write_text(before)
        lock.close()
