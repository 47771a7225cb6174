# SPDX-License-Identifier: GPL-2.0-or-later
"""What each sort of caller may do to each sort of object: through the mount as on the tmpfs behind it.

Two objects alike, one for the native path and one for the mount; each call is made by the same
caller on both, and must be answered alike. The kernel decides on the one side, so no table of what
is right is needed here.
"""
import contextlib
import ctypes
import errno
import os
import re
import struct
import subprocess

from callers import (ACLS, AT_FDCWD, BY_DAEMON, CALLERS, CREATOR, Caller, DIRECTORIES, FIRST, GROUP, MODES,
                     NAMESPACES, NET_RAW, OPERATIONS, OTHER, OWNER, POWERS, SECOND, SHEBANG, SHM_KEY,
                     SOME_MODES, SYS_OPENAT2, answer, ask, by_daemon, clear, compare, excepted, executes, make,
                     opens, protection, set_capabilities, state, whoever_checks)
from harness import MOUNTED, MS_BIND, as_user, call, equal, eventually, fails, mounts_at, opened, test, write
from ipc import CLONE_NEWIPC, Child, new_segment, shm_remove, shmget
from mounts import unmount
from uring import Uring


def by_mode(t, callers=CALLERS, modes=MODES):
    for mode in modes:
        compare(t, f'{mode:o}', callers, mode=mode)


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


@whoever_checks
def by_the_modes_of_objects(t):
    by_mode(t)


@whoever_checks
def by_the_acls_of_objects(t):
    for what, value in ACLS.items():
        compare(t, what, CALLERS, mode=0o660, value=value)


@test(paths=MOUNTED)
def by_the_mode_of_the_directory(t):
    by_directory(t, lambda mode: None)


@whoever_checks
def by_capabilities(t):
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


@whoever_checks
def a_call_that_is_refused_takes_no_capabilities(t):
    """What the kernel takes from a program before a call that is refused, it must not take."""
    equal([wrong for mode in (0o755, 0o775, 0o757) for who, caller in {**CALLERS, **POWERS}.items()
           for wrong in strip(t, mode, who, caller)], [])


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


@whoever_checks
def namespaces_are_for_root(t):
    def attempts():
        equal(answer(lambda: os.listdir(t.meta / 'namespaces')), 'EACCES')
        equal(answer(lambda: os.chdir(t.meta / 'namespaces')), 'EACCES')
        equal(answer(lambda: os.stat(t.meta / 'namespaces' / 'x')), 'ENOMEM' if by_daemon(t) else 'EACCES')
        equal(os.access(t.meta / 'namespaces', os.X_OK), False)
    as_user(OTHER, OTHER, attempts)
    os.chdir(t.meta / 'namespaces')
    os.chdir('/')


@whoever_checks
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
        unmount(path)


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

    def create_again():
        fails(errno.EEXIST, os.open, x, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    calls = {
        'stat': lambda: os.stat(x),
        'create what is there': create_again,
        'open and close': lambda: opens(x, os.O_RDONLY),
        'cat': cat,
        'create': lambda: opens(y, os.O_RDWR | os.O_CREAT | os.O_EXCL),
        'rename': lambda: os.rename(y, t.root / 'z'),
        'unlink': lambda: os.unlink(t.root / 'z'),
    }
    return {name: len(requests(t, log, function)) for name, function in calls.items()}


@test(paths=('auto',), start=False)
def requests_of_each_call(t):
    equal(count_requests(t), {'create what is there': 2, 'stat': 3, 'open and close': 6, 'cat': 7, 'create': 7,
                              'rename': 7, 'unlink': 4})


@test(paths=('auto',), start=False)
def requests_of_each_call_where_the_daemon_checks(t):
    equal(count_requests(t, *BY_DAEMON),
          {'create what is there': 1, 'stat': 2, 'open and close': 4, 'cat': 5, 'create': 4, 'rename': 3, 'unlink': 2})


def count_requests_of_facts(t, log, *options):
    t.start(*options)
    (t.shm / 'x').write_bytes(b'x')
    os.chdir(t.meta)  # the root's own permissions are asked for on the way from there

    def read():
        fd = os.open('posix/x/mappings', os.O_RDONLY)
        while os.read(fd, 10):
            pass
        os.close(fd)
    calls = {'a fact': read, 'stat': lambda: os.stat('posix/x'), 'of an item': lambda: os.stat('posix/x/state')}
    found = {name: [len(requests(t, log, function)) for _ in range(2)] for name, function in calls.items()}
    os.chdir('/')
    t.stop()
    return found


# A fact: LOOKUP of the item, OPEN, READ twice, RELEASE; the first time LOOKUP of `posix` and of its file too.
REQUESTS_OF_FACTS = {'a fact': [7, 5], 'stat': [1, 1], 'of an item': [2, 1]}


def takes_no_more_requests(t, *options):
    """The kernel believes what it was told of an item's directory for a tick. Not always is the caller as slow as that."""
    log = log_requests(t)

    def count():
        found = count_requests_of_facts(t, log, *options)
        print(found, flush=True)
        return found == REQUESTS_OF_FACTS
    eventually(count, f'{REQUESTS_OF_FACTS} requests')


@test(paths=('auto',), start=False)
def requests_of_facts(t):
    takes_no_more_requests(t)


@test(paths=('auto',), start=False)
def requests_of_facts_where_the_daemon_checks(t):
    takes_no_more_requests(t, *BY_DAEMON)


@test(paths=MOUNTED)
def the_owner_of_an_item_is_that_of_its_object(t):
    """The kernel keeps an item's attributes for a moment, but asks for them on each way through it."""
    (t.shm / 'x').write_bytes(b'x')
    for uid in range(1000, 1200):
        os.chown(t.shm / 'x', uid, -1)
        equal(os.stat(t.meta / 'posix' / 'x').st_uid, uid)
    os.unlink(t.shm / 'x')
    equal(answer(lambda: os.stat(t.meta / 'posix' / 'x')), 'ENOENT')


def by_openat2(path, flags=os.O_CREAT | os.O_RDWR):
    how = struct.pack('QQQ', flags, 0o600 if flags & os.O_CREAT else 0, 0)
    os.close(call('syscall', SYS_OPENAT2, AT_FDCWD, str(path).encode(), how, ctypes.c_size_t(len(how))))


@whoever_checks
def what_somebody_else_has_put_there_is_not_taken_for_ones_own(t):
    """fs.protected_regular: O_CREAT does not open another user's object in a sticky directory."""
    compare(t, 'protected', operations={
        **{name: OPERATIONS[name] for name in OPERATIONS if name.startswith('open')},
        'openat2': by_openat2}, mode=0o666, protected='2')


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
            (('-o', 'entry_timeout=1'), 'keeps names'),
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


@test(MOUNTED, ('-o', 'permissions=daemon'))
def who_may_write_does_not_own(t):
    """A request that sets nothing comes before a write, for which the daemon clears set-ID bits whoever owns the file."""
    write(t.shm / 'x', b'')
    os.chmod(t.shm / 'x', 0o666)
    os.chmod(t.private, 0o755)

    def change():
        with opened(t.root / 'x', os.O_RDWR):
            fails(errno.EPERM, os.chown, t.root / 'x', 1234, -1)
            fails(errno.EPERM, os.chown, t.root / 'x', -1, 1234)
            fails(errno.EPERM, os.chmod, t.root / 'x', 0o600)
            fails(errno.EPERM, os.utime, t.root / 'x', (1, 2))
            os.truncate(t.root / 'x', 5)
    equal(as_user(1234, 1234, change), 0)
    found = os.stat(t.shm / 'x')
    equal((found.st_uid, found.st_gid, found.st_mode & 0o7777, found.st_size), (0, 0, 0o666, 5))
