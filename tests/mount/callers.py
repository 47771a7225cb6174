# SPDX-License-Identifier: GPL-2.0-or-later
"""Sorts of callers, what they may do, and the comparison of the mount with the tmpfs behind it."""
import collections
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import pathlib
import struct

from harness import MOUNTED, call, equal, skip, test, write

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
        path.unlink(missing_ok=True)  # fs.protected_regular lets not even root create over another's file
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
        file = PROTECTED.open('r' if value is None else 'r+')
    except OSError as error:
        skip(f'{PROTECTED}: {error}')
    with file:
        fcntl.flock(file, fcntl.LOCK_SH if value is None else fcntl.LOCK_EX)
        before = file.read()
        if value is not None:
            PROTECTED.write_text(value)
        try:
            yield
        finally:
            if value is not None:
                PROTECTED.write_text(before)


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


def whoever_checks(function):
    """A test where the kernel checks permissions, and another one where the daemon does."""
    def by_the_daemon(t):
        equal(by_daemon(t), True)
        function(t)
    by_the_daemon.__name__ = f'{function.__name__}_by_the_daemon'
    function.__globals__[by_the_daemon.__name__] = by_the_daemon
    test(paths=MOUNTED)(function)
    test(paths=MOUNTED, options=BY_DAEMON)(by_the_daemon)
    return function
