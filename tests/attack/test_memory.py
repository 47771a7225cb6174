# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory of processes, and what is told of processes, is for those whom the kernel lets at it."""
import ctypes
import errno
import json
import mmap
import os

from harness import as_user, call, check, equal, fails, opened, read, table, write
from ipc import Child, Later, anonymous, ipc_test, map_alone, memfd
from strangers import (ATTACKER, CLONE_NEWUSER, GROUP, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, VICTIM,
                       drop_capabilities, enter_landlock, in_child, in_pid_namespace, set_capabilities)
from test_views import each_has_its_own, parse_graph
from uring import Uring

PAGE = mmap.PAGESIZE
MINE = f'attack{os.getpid()}'
CAP_SYS_PTRACE, CAP_NET_RAW = 19, 13


def enter_user_namespace(of):
    fd = os.open(f'/proc/{of.pid}/ns/user', os.O_RDONLY)
    call('setns', fd, CLONE_NEWUSER)
    os.close(fd)


def segments_of(t, child):
    """The `data` files of what the child has, one a memfd and one anonymous."""
    found = []
    for name in os.listdir(t.meta / 'unlinked'):
        here = t.meta / 'unlinked' / name
        try:
            rows = table(read(here / 'mappers'))[0] + table(read(here / 'holders'))[0]
        except FileNotFoundError:
            continue  # somebody else's
        if b'%d' % child.pid in [r['PID'] for r in rows]:
            found.append(here / 'data')
    equal(len(found), 2, f'segments of process {child.pid}')
    return found


def private_memory():
    os.umask(0)
    fd = memfd(f'{MINE}-keys', b'secret')
    return fd, anonymous(b'secret')


def more_private_memory(how):
    def prepare():
        held = private_memory()
        how()
        return held
    return prepare


def assert_closed(data):
    for path in data:
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
            fails(errno.EACCES, os.open, path, flags)
        if 'memfd' in str(path):
            fails(errno.EACCES, os.truncate, path, 0)


def assert_open(data):
    for path in data:
        with opened(path, os.O_RDWR) as fd:
            equal(os.pread(fd, 6, 0), b'secret')


@ipc_test
def memory_of_ones_own_processes_is_open(t):
    with Child(private_memory, user=ATTACKER) as child:
        data = segments_of(t, child)
        in_child(lambda: assert_open(data), ATTACKER)
        in_child(lambda: assert_closed(data), VICTIM)
        assert_open(data)


@ipc_test
def memory_of_an_undumpable_process_is_closed(t):
    with Child(private_memory, user=ATTACKER, dumpable=0) as child:
        data = segments_of(t, child)
        in_child(lambda: assert_closed(data), ATTACKER)
        assert_open(data)


@ipc_test
def memory_of_an_undumpable_process_that_enters_a_container_is_closed_to_its_root(t):
    """As a container's runtime is, while it enters: the capabilities of root there are not about where it comes from."""
    def enters(dumpable):
        enter_user_namespace(container)
        call('prctl', PR_SET_DUMPABLE, dumpable, 0, 0, 0)
        return private_memory()

    def looks():
        enter_user_namespace(container)
        if dumpable:
            read(f'/proc/{child.pid}/maps')
            assert_open(data)
        else:
            fails(errno.EACCES, read, f'/proc/{child.pid}/maps')
            assert_closed(data)

    with Child(lambda: call('unshare', CLONE_NEWUSER), user=ATTACKER) as container:
        for dumpable in 1, 0:
            with Child(lambda: enters(dumpable), user=ATTACKER) as child:
                data = segments_of(t, child)
                in_child(looks, ATTACKER)


@ipc_test
def joining_an_open_file_asks_again(t):
    """The daemon has the segment open already, for root; and has answered for its user before."""
    with Child(more_private_memory(lambda: call('prctl', PR_SET_DUMPABLE, 0, 0, 0, 0)),
               user=ATTACKER) as child:
        data = segments_of(t, child)
        with Child(lambda: [os.open(path, os.O_RDWR) for path in data]):
            in_child(lambda: assert_closed(data), ATTACKER)


def becomes_undumpable():
    return Later(lambda: call('prctl', PR_SET_DUMPABLE, 0, 0, 0, 0))


@ipc_test
def memory_closes_when_its_process_becomes_undumpable(t):
    """What is open stays open, as a descriptor of /proc/PID/mem does, and its holder may open it again."""
    later = becomes_undumpable()

    def looks():
        assert_open(data)
        fds = [os.open(path, os.O_RDWR) for path in data]
        mem = os.open(f'/proc/{child.pid}/mem', os.O_RDONLY)
        later.now()
        fails(errno.EACCES, os.open, f'/proc/{child.pid}/mem', os.O_RDONLY)
        assert_open(data)
        for fd in fds:
            equal(os.pread(fd, 6, 0), b'secret')
            os.close(fd)
        assert_closed(data)
        equal(os.pread(mem, 6, address), b'secret')
        for path in data:
            equal(table(read(path.parent / 'mappers'))[0] + table(read(path.parent / 'holders'))[0], [])
    told, tell = os.pipe()

    def prepare():
        held = private_memory()
        os.write(tell, b'%d' % ctypes.addressof(ctypes.c_char.from_buffer(held[1])))
        later.prepare()
        return held
    with Child(prepare, user=ATTACKER) as child:
        address = int(os.read(told, 64))
        data = segments_of(t, child)
        in_child(looks, ATTACKER)
    later.close()


@ipc_test
def last_tells_who_was_dumpable_at_the_first_sight(t):
    """What changes later is not followed: the manual says so, and what it tells of such a process."""
    os.chmod(t.private, 0o755)
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)
    later = becomes_undumpable()

    def prepare():
        later.prepare()
        return map_alone('/dev/shm/x', PAGE)

    def sees(pid):
        equal(read(t.meta / 'posix' / 'x' / 'last').splitlines()[0], b'pid\t%d' % pid)
    with Child(prepare, user=ATTACKER) as child:
        equal(read(t.meta / 'posix' / 'x' / 'mappings'), b'1\n')
        later.now()
        in_child(lambda: sees(0), ATTACKER)
    equal(read(t.meta / 'posix' / 'x' / 'mappings'), b'0\n')
    in_child(lambda: sees(child.pid), ATTACKER)
    in_child(lambda: sees(0), VICTIM)
    later.close()


def dumpable_with(gid, capabilities=0):
    """What a process of the attacker's uid does that has this group and these capabilities."""
    def become():
        call('prctl', PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(ATTACKER, ATTACKER, ATTACKER)
        set_capabilities(0, capabilities)
        call('prctl', PR_SET_DUMPABLE, 1, 0, 0, 0)
        return private_memory()
    return become


def assert_closed_to_attacker(t, become):
    with Child(become) as child:
        data = segments_of(t, child)
        in_child(lambda: assert_closed(data), ATTACKER)


@ipc_test
def memory_of_a_set_group_id_process_is_closed(t):
    assert_closed_to_attacker(t, dumpable_with(GROUP))


@ipc_test
def memory_of_a_more_privileged_process_is_closed(t):
    assert_closed_to_attacker(t, dumpable_with(ATTACKER, 1 << CAP_NET_RAW))


@ipc_test
def a_user_namespace_is_closed_to_what_is_outside(t):
    def inside(data):
        call('unshare', CLONE_NEWUSER)
        assert_closed(data)
        # What it has itself it may open, as it could without us.
        own = os.memfd_create(f'{MINE}-own')
        os.write(own, b'secret')
        ino = os.fstat(own).st_ino
        fd = os.open(t.meta / 'unlinked' / f'memfd-{MINE}-own-{ino}' / 'data', os.O_RDWR)
        equal(os.pread(fd, 6, 0), b'secret')

    with Child(private_memory, user=ATTACKER) as child:
        data = segments_of(t, child)
        in_child(lambda: inside(data), ATTACKER)


@ipc_test
def a_landlock_domain_is_closed_to_what_is_outside(t):
    def inside(data):
        enter_landlock()
        assert_closed(data)

    with Child(private_memory, user=ATTACKER) as child:
        data = segments_of(t, child)
        in_child(lambda: inside(data), ATTACKER)


def rows(t, name):
    """PIDs of the object's mappers and holders, and how many are not shown; in each form."""
    here = t.meta / 'posix' / name
    pids, remarks = [], []
    for attribute in ('mappers', 'holders'):
        shown, more = table(read(here / attribute))
        pids.append([int(r['PID']) for r in shown])
        remarks += more
    facts = json.loads(read(here / 'info.json'))
    equal([[r['pid'] for r in facts[a]] for a in ('mappers', 'holders')], pids)
    graph = read(t.meta / 'graph.dot').decode()
    if each_has_its_own(parse_graph(graph.encode())[0]):
        for pid in pids[0] + pids[1]:
            check(f'\tp{pid} [' in graph, f'process {pid} is in the graph')
    return pids, remarks, graph


def assert_hidden(t, pid):
    pids, remarks, graph = rows(t, 'seg')
    equal(pids, [[], []])
    equal(remarks, ['# 1 not shown', '# 1 not shown'])
    check(f'p{pid} ' not in graph, 'nor in the graph')


def assert_shown(t, pid):
    pids, remarks, _ = rows(t, 'seg')
    equal((pids, remarks), ([[pid], [pid]], []))


def uses_object():
    fd = os.open('/dev/shm/seg', os.O_RDWR)
    return fd, map_alone('/dev/shm/seg', PAGE)


@ipc_test
def rows_are_shown_as_procfs_shows_them(t):
    write(t.shm / 'seg', bytes(PAGE))
    os.chmod(t.shm / 'seg', 0o666)

    def in_user_namespace():
        call('unshare', CLONE_NEWUSER)
        assert_hidden(t, child.pid)

    def in_landlock_domain():
        enter_landlock()
        assert_hidden(t, child.pid)

    def in_a_container():
        call('unshare', CLONE_NEWUSER)
        in_pid_namespace(lambda: assert_hidden(t, child.pid))

    with Child(uses_object, user=ATTACKER) as child:
        in_child(lambda: assert_shown(t, child.pid), ATTACKER)
        in_child(lambda: assert_hidden(t, child.pid), VICTIM)
        in_child(in_user_namespace, ATTACKER)
        in_child(in_landlock_domain, ATTACKER)
        in_child(in_a_container, ATTACKER)
        assert_shown(t, child.pid)
        # Root with all capabilities, but a procfs in which there is nobody else.
        in_child(lambda: in_pid_namespace(lambda: assert_hidden(t, child.pid)))


@ipc_test
def rows_are_not_shown_to_a_thread_of_io_uring(t):
    """Which the kernel has made while its process had all capabilities, and /proc goes on to say so."""
    write(t.shm / 'seg', bytes(PAGE))
    os.chmod(t.shm / 'seg', 0o666)
    ring = Uring()

    def looks():
        os.close(ring.open('/dev/null', os.O_RDONLY))
        drop_capabilities()
        for attribute in 'mappers', 'holders':
            with open(ring.open(t.meta / 'posix' / 'seg' / attribute, os.O_RDONLY), 'rb') as f:
                equal(table(f.read()), ([], ['# 1 not shown']), attribute)

    with Child(uses_object, user=ATTACKER):
        in_child(looks)


@ipc_test
def a_container_sees_its_own_processes(t):
    write(t.shm / 'seg', bytes(PAGE))
    os.chmod(t.shm / 'seg', 0o666)

    def container():
        call('unshare', CLONE_NEWUSER)
        with Child(uses_object) as child:
            assert_shown(t, child.pid)

    in_child(container, ATTACKER)
