# SPDX-License-Identifier: GPL-2.0-or-later
"""idle/: what is proven to be used by nothing, since when, and how it is removed."""
import ctypes
import errno
import json
import mmap
import os
import time

from harness import (MOUNTED, as_user, call, check, equal, eventually, fails, opened, read, run, sh,
                     table, test, write)
from ipc import (Attached, Child, OTHER, USER, ipc_test, map_alone, new_segment, row, shm_stat)
from test_ipc import checked, new_mqueue, new_msg, new_sem
from test_namespaces import Elsewhere
from test_object import in_flight, need_objects
from watching import CLOCK_REALTIME_COARSE

PAGE = mmap.PAGESIZE
TICK = 10_000_000  # ns; a file's times may be so much too early, and are taken for as much later
_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWPID = 0x20000000


def listed(t, kind='posix'):
    return sorted(os.listdir(t.meta / 'idle' / kind))


def becomes_listed(t, name, kind='posix'):
    """
    It alone. What was just closed, or mapped by a process that has just ended, another daemon's census may still
    refer to for a moment.
    """
    eventually(lambda: listed(t, kind) == [name], f'{name} is idle')


def is_past(moment):
    """
    SINCE may be a little in the future, as a file's times are from a clock that goes in steps. What happens once that
    clock too has passed it, is later.
    """
    eventually(lambda: time.clock_gettime_ns(CLOCK_REALTIME_COARSE) > moment, 'that moment is over')


def since(t, name, kind='posix'):
    return os.stat(t.meta / 'idle' / kind / name).st_mtime_ns


def told(t, name):
    """The same time, in `segments` and in JSON."""
    line, = (r for r in table(read(t.meta / 'segments'))[0] if r['NAME'] == name)
    facts, = (s for s in json.loads(read(t.meta / 'segments.json'))['segments']
              if s['name'] == name.decode())
    return line['SINCE'], facts['since']


@test(MOUNTED)
def it_appears_and_disappears(t):
    equal(set(os.listdir(t.meta / 'idle')) - {'mqueue'}, {'posix', 'sysv', 'msg', 'sem'})
    equal(listed(t), [])
    write(t.shm / 'x', bytes(PAGE))
    here = t.meta / 'idle' / 'posix' / 'x'
    becomes_listed(t, 'x')
    equal((os.listdir(here), os.stat(here).st_size), ([], PAGE))
    for use in (lambda: map_alone('/dev/shm/x', PAGE), lambda: open('/dev/shm/x', 'rb')):
        with Child(use):
            equal(listed(t), [])
            fails(errno.ENOENT, os.stat, here)
            fails(errno.ENOENT, os.rmdir, here)
            equal(told(t, b'x'), (b'-', None))
        eventually(lambda: listed(t) == ['x'], 'idle again')
    with opened(t.root / 'x', os.O_RDONLY):
        equal(listed(t), [])
    eventually(lambda: listed(t) == ['x'], 'closed')
    with in_flight(os.open(t.shm / 'x', os.O_RDONLY)):
        equal(listed(t), [])
        fails(errno.ENOENT, os.stat, here)
    becomes_listed(t, 'x')
    fails(errno.EPERM, os.mkdir, t.meta / 'idle' / 'posix' / 'y')
    os.rmdir(here)
    equal((listed(t), os.listdir(t.shm)), ([], []))
    fails(errno.ENOENT, os.rmdir, here)


@test(MOUNTED)
def since_when(t):
    write(t.shm / 'x', bytes(PAGE))
    written = os.stat(t.shm / 'x').st_mtime_ns
    becomes_listed(t, 'x')
    first = since(t, 'x')
    check(written <= first <= time.time_ns() + TICK, 'the first pass that found it')
    listed(t)
    equal(since(t, 'x'), first, 'no later one changes that')
    text, number = told(t, b'x')
    seconds, nanoseconds = text.split(b'.')
    equal(int(seconds) * 10**9 + int(nanoseconds), first, 'SINCE')
    check(abs(number - first / 10**9) < 1e-5, number)
    is_past(first)

    with Child(lambda: map_alone('/dev/shm/x', PAGE)):
        equal(listed(t), [])
    used = time.time_ns()
    eventually(lambda: listed(t) == ['x'], 'idle again')
    second = since(t, 'x')
    check(first < second, 'it was used meanwhile')
    check(second <= time.time_ns() + TICK, (second, used))
    # Its own times, which a mapping changes too, count for a tick longer than they say.
    is_past(second)
    with in_flight(os.open(t.shm / 'x', os.O_RDONLY)):
        equal(listed(t), [])
    becomes_listed(t, 'x')
    third = since(t, 'x')
    check(second < third, 'a use that no process showed')
    is_past(third)
    os.chmod(t.shm / 'x', 0o644)
    listed(t)
    check(third < since(t, 'x'), 'a change of its own')


@test(MOUNTED)
def what_the_state_file_saw_counts(t):
    """Though no pass did."""
    need_objects(t)
    write(t.shm / 'x', bytes(PAGE))
    becomes_listed(t, 'x')
    first = since(t, 'x')
    is_past(first)
    with Child(lambda: map_alone('/dev/shm/x', PAGE)):
        equal(read(t.meta / 'posix' / 'x' / 'state'), b'mapped\n')
    eventually(lambda: read(t.meta / 'posix' / 'x' / 'state') == b'idle\n', 'idle again')
    check(since(t, 'x') > first, 'later')


@test(MOUNTED)
def the_shell_cleans_up(t):
    for name in 'old', 'older', 'used', 'sp ace':
        write(t.shm / name, bytes(PAGE))
    os.link(t.shm / 'old', t.shm / 'link')
    with opened(t.shm / 'used', os.O_RDONLY):
        equal(sh('ls', cwd=t.meta / 'idle' / 'posix'), b'link\nold\nolder\nsp ace\n')
        find = ['find', t.meta / 'idle' / 'posix', '-mindepth', '1']
        rmdir = ['-exec', 'rmdir', '{}', '+']
        run(*find, '-mmin', '+60', *rmdir)
        equal(len(os.listdir(t.shm)), 5, 'the young are spared')
        run(*find, '-mmin', '-60', '-name', 'old*', *rmdir)
        equal(sorted(os.listdir(t.shm)), ['link', 'sp ace', 'used'])
        sh('rmdir idle/posix/*', cwd=t.meta)
        equal(os.listdir(t.shm), ['used'])
    equal(t.number('used', 'mappings'), 0)


@test(MOUNTED)
def it_takes_the_right_to_remove(t):
    os.chmod(t.private, 0o755)
    write(t.shm / 'theirs', b'x')
    os.chown(t.shm / 'theirs', OTHER, OTHER)
    here = t.meta / 'idle' / 'posix' / 'theirs'

    def looks():
        equal(listed(t), ['theirs'])
        equal(os.stat(here).st_uid, OTHER)
        os.rmdir(here)
    equal(as_user(USER, USER, looks), errno.EPERM)
    equal(listed(t), ['theirs'])
    equal(as_user(OTHER, OTHER, looks), 0)
    equal(os.listdir(t.shm), [])


@test(MOUNTED)
def a_long_list_comes_in_pages(t):
    names = [f'{i:04}-' + 'n' * 60 for i in range(1500)]
    for name in names:
        write(t.shm / name, b'')
    with opened(t.shm / names[700], os.O_RDONLY):
        equal(listed(t), names[:700] + names[701:])
    equal(len(run('ls', '-l', t.meta / 'idle' / 'posix').splitlines()), 1501)


@test(MOUNTED)
def without_the_object_census(t):
    t.stop()
    write(t.shm / 'x', bytes(PAGE))
    for options in ('-o', 'object_census=off'), ('-o', 'census=query'), ('-o', 'census=text'):
        t.start(*options)
        becomes_listed(t, 'x')
        first = since(t, 'x')
        equal(listed(t), ['x'])
        equal(since(t, 'x'), first)
        is_past(first)
        with opened(t.shm / 'x', os.O_RDONLY):
            equal(listed(t), [])
            fails(errno.ENOENT, os.stat, t.meta / 'idle' / 'posix' / 'x')
        with in_flight(os.open(t.shm / 'x', os.O_RDONLY)):
            equal(listed(t), [], 'a lease tells')
        becomes_listed(t, 'x')
        check(since(t, 'x') > first, 'it was used meanwhile')
        t.stop()
    t.start()
    os.rmdir(t.meta / 'idle' / 'posix' / 'x')


@ipc_test
def system_v_segments(t):
    shmid = new_segment(PAGE)
    name = str(shmid)
    equal(listed(t, 'sysv'), [name])
    equal(since(t, name, 'sysv'), shm_stat(shmid).ctime * 10**9, 'never attached: since it was made')
    with Child(lambda: Attached(shmid)):
        equal(listed(t, 'sysv'), [])
    becomes_listed(t, name, 'sysv')
    ds = shm_stat(shmid)
    wanted = max(ds.dtime, ds.atime, ds.ctime)
    check(ds.dtime, 'detached')
    equal(since(t, name, 'sysv'), wanted * 10**9)
    equal(row(t, 'sysv', name)['SINCE'], b'%d.000000000' % wanted)
    t.stop()
    t.start()
    equal(since(t, name, 'sysv'), wanted * 10**9, 'the kernel knows, whenever the daemon began')
    os.chmod(t.private, 0o755)
    equal(as_user(USER, USER, lambda: os.rmdir(t.meta / 'idle' / 'sysv' / name)), errno.EPERM)
    os.rmdir(t.meta / 'idle' / 'sysv' / name)
    equal(listed(t, 'sysv'), [])


@ipc_test
def queues_and_sets(t):
    queue, sets = new_msg(), new_sem(2)
    new_mqueue(b'/q')
    for kind in 'msg', 'sem':
        equal(listed(t, kind), [], f'{kind}, never used')
    becomes_listed(t, 'q', 'mqueue')
    found = since(t, 'q', 'mqueue')
    equal(since(t, 'q', 'mqueue'), found)
    is_past(found)
    with Child(lambda: checked(_libc.mq_open(b'/q', os.O_RDWR))):
        equal(listed(t, 'mqueue'), [])
        fails(errno.ENOENT, os.stat, t.meta / 'idle' / 'mqueue' / 'q')
    eventually(lambda: listed(t, 'mqueue') == ['q'], 'closed')
    check(since(t, 'q', 'mqueue') > found, 'used meanwhile')

    def send_and_receive():
        checked(_libc.msgsnd(queue, (1).to_bytes(8, 'little') + b'x', ctypes.c_size_t(1), 0))
        checked(_libc.msgrcv(queue, bytes(64), ctypes.c_size_t(50), 0, 0))
        checked(_libc.semctl(sets, 0, 16, 1))  # SETVAL
    with Child(send_and_receive):
        equal((listed(t, 'msg'), listed(t, 'sem')), ([], []))
    for kind, ident in ('msg', str(queue)), ('sem', str(sets)):
        equal(listed(t, kind), [ident], 'who used it last is dead')
        found = since(t, ident, kind)
        check(abs(found - time.time_ns()) < 3600 * 10**9, found)
        listed(t, kind)
        equal(since(t, ident, kind), found)
        os.rmdir(t.meta / 'idle' / kind / ident)
        equal(listed(t, kind), [])
    os.rmdir(t.meta / 'idle' / 'mqueue' / 'q')
    equal(listed(t, 'mqueue'), [])


@ipc_test
def containers(t):
    """What is theirs is not listed; what they use of ours is not idle."""
    write(t.shm / 'x', bytes(PAGE))
    with Child(Elsewhere()):
        equal((listed(t), listed(t, 'sysv')), (['x'], []))

    def inside():
        call('unshare', CLONE_NEWPID)
        return Child(lambda: map_alone('/dev/shm/x', PAGE))
    with Child(inside):
        equal(listed(t), [])
        fails(errno.EBUSY, os.rmdir, t.meta / 'posix' / 'x')
