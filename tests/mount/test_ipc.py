# SPDX-License-Identifier: GPL-2.0-or-later
"""Message queues, semaphores, semaphore sets, and the limits of it all."""
import ctypes
import errno
import grp
import json
import os
import stat
import subprocess
import threading

from harness import as_user, call, check, equal, eventually, fails, read, run, table, write
from ipc import Child, IPC_PRIVATE, OTHER, USER, attribute, ipc_test, new_segment, pairs, row
from test_whose import born

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_FILES = 0x400
_libc.sem_open.restype = ctypes.c_void_p


def checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def without_capabilities(*command):
    """What root can do that has been left with none, as in many a container: its exit status."""
    return subprocess.run(['setpriv', '--bounding-set=-all', '--inh-caps=-all', *command],
                          stderr=subprocess.DEVNULL, check=False).returncode


def remove(path):
    """Once nobody refers to it: a census, any daemon's, may do so for a moment."""
    def is_removed():
        try:
            os.rmdir(path)
        except OSError as error:
            equal(errno.errorcode[error.errno], 'EBUSY')
            return False
        return True
    eventually(is_removed, f'{path} is removed')


def new_msg(key=IPC_PRIVATE, mode=0o600, text=b''):
    queue = checked(_libc.msgget(key, 0o1000 | mode))
    if text:
        message = (1).to_bytes(8, 'little') + text
        checked(_libc.msgsnd(queue, message, ctypes.c_size_t(len(text)), 0))
    return queue


def new_sem(count, key=IPC_PRIVATE, mode=0o600):
    return checked(_libc.semget(key, count, 0o1000 | mode))


class MqAttr(ctypes.Structure):
    _fields_ = [(n, ctypes.c_long) for n in ('flags', 'maxmsg', 'msgsize', 'curmsgs', 'a', 'b', 'c',
                                             'd')]


def new_mqueue(name, text=b''):
    attr = MqAttr(0, 4, 100)
    queue = checked(_libc.mq_open(name, os.O_CREAT | os.O_RDWR, 0o640, ctypes.byref(attr)))
    if text:
        checked(_libc.mq_send(queue, text, ctypes.c_size_t(len(text)), 0))
    os.close(queue)


@ipc_test
def message_queues(t):
    queue = new_msg(0x77, 0o640, b'three')
    here = t.meta / 'msg' / str(queue)
    equal(os.listdir(t.meta / 'msg'), [str(queue)])
    equal([attribute(here, n) for n in ('key', 'perms', 'msgs', 'usedbytes', 'lspid', 'lrpid')],
          ['0x00000077', '0640', '1', '5', str(os.getpid()), '0'])
    facts = json.loads(read(here / 'info.json'))
    equal((facts['kind'], facts['msgs'], facts['cuid']), ('msg', 1, 0))
    equal(row(t, 'msg', str(queue)), None, 'it is no memory')
    os.chmod(t.private, 0o755)
    equal(as_user(USER, USER, lambda: os.rmdir(here)), errno.EPERM)
    fails(errno.EBUSY, os.rmdir, here)
    equal(os.listdir(t.meta / 'msg'), [str(queue)])


@ipc_test
def holders_of_a_queue(t):
    """Processes that have it open; a queue of the same name elsewhere is another one."""
    new_mqueue(b'/mine')
    here = t.meta / 'mqueue' / 'mine'
    equal(table(read(here / 'holders'))[0], [])
    with Child(lambda: checked(_libc.mq_open(b'/mine', os.O_WRONLY))) as child:
        row, = table(read(here / 'holders'))[0]
        equal((row['PID'], row['UID'], row['COMMAND'], row['MODE']),
              (b'%d' % child.pid, b'0', b'python3', b'w'))
        equal(row['BORN'], born(child.pid))
        fact, = json.loads(read(here / 'info.json'))['holders']
        equal((fact['pid'], fact['mode'], fact['fd'], fact['born'], fact['unit']),
              (child.pid, 'w', int(row['FD']), int(row['BORN']), row['UNIT'].decode()))
        os.chmod(t.private, 0o755)
        os.chown(t.private, USER, USER)

        def look():
            rows, remarks = table(read(here / 'holders'))
            equal((rows, remarks), ([], ['# 1 not shown']))
        equal(as_user(USER, USER, look), 0)
    equal(table(read(here / 'holders'))[0], [])
    remove(here)


def open_in_a_thread_alone(name):
    """In a thread with a descriptor table of its own."""
    ready = threading.Event()

    def alone():
        call('unshare', CLONE_FILES)
        checked(_libc.mq_open(name, os.O_RDONLY))
        ready.set()
        threading.Event().wait()

    threading.Thread(target=alone, daemon=True).start()
    ready.wait()


@ipc_test
def holders_of_a_queue_in_threads(t):
    """The queue is not in the table of the process's first thread; what all share is one row."""
    new_mqueue(b'/mine')
    here = t.meta / 'mqueue' / 'mine'
    with Child(lambda: open_in_a_thread_alone(b'/mine')) as child:
        row, = table(read(here / 'holders'))[0]
        equal((row['PID'], row['MODE']), (b'%d' % child.pid, b'r'))
    with Child(lambda: (threading.Thread(target=threading.Event().wait, daemon=True).start(),
                        checked(_libc.mq_open(b'/mine', os.O_WRONLY)))) as child:
        row, = table(read(here / 'holders'))[0]
        equal((row['PID'], row['MODE']), (b'%d' % child.pid, b'w'))
    remove(here)


@ipc_test
def who_used_a_set_last(t):
    sets = new_sem(3)
    here = t.meta / 'sem' / str(sets)

    def rows():
        return [tuple(r[c].decode() for c in ('SEMNUM', 'VALUE', 'PID', 'COMMAND', 'STATE'))
                for r in table(read(here / 'semaphores'))[0]]
    equal(rows(), [(str(n), '0', '0', '-', 'none') for n in range(3)])
    up = (ctypes.c_short * 3)(1, 2, 0)
    checked(_libc.semop(sets, up, ctypes.c_size_t(1)))
    equal(rows()[1], ('1', '2', str(os.getpid()), 'python3', 'alive'))
    with Child(lambda: checked(_libc.semop(sets, up, ctypes.c_size_t(1)))) as child:
        equal(rows()[1], ('1', '4', str(child.pid), 'python3', 'alive'))
        fact = json.loads(read(here / 'info.json'))['semaphores'][1]
        equal((fact['value'], fact['last']['pid'], fact['last']['state']), (4, child.pid, 'alive'))
    equal(rows()[1], ('1', '4', str(child.pid), '-', 'dead'))
    os.chmod(t.private, 0o755)
    equal(as_user(USER, USER, lambda: read(here / 'semaphores')), errno.EACCES)
    equal(as_user(USER, USER, lambda: equal(json.loads(read(here / 'info.json'))['semaphores'], None)), 0)
    os.rmdir(here)


@ipc_test
def semaphore_sets(t):
    sets = new_sem(5, 0x99, 0o604)
    here = t.meta / 'sem' / str(sets)
    equal([attribute(here, n) for n in ('key', 'perms', 'nsems', 'otime', 'user')],
          ['0x00000099', '0604', '5', '0', 'root'])
    os.chmod(t.private, 0o755)
    equal(as_user(USER, USER, lambda: os.rmdir(here)), errno.EPERM)
    fails(errno.EBUSY, os.rmdir, here)
    fails(errno.EPERM, os.mkdir, t.meta / 'sem' / 'x')


@ipc_test
def posix_queues(t):
    new_mqueue(b'/kinds', b'hello')
    here = t.meta / 'mqueue' / 'kinds'
    equal(os.listdir(t.meta / 'mqueue'), ['kinds'])
    equal([attribute(here, n) for n in ('perms', 'msgs', 'maxmsg', 'msgsize', 'usedbytes')],
          ['0640', '1', '4', '100', '5'])
    os.chmod(t.private, 0o755)
    equal(as_user(USER, USER, lambda: os.rmdir(here)), errno.EPERM)
    equal(as_user(USER, USER, lambda: new_mqueue(b'/mine')), 0)
    equal(as_user(OTHER, OTHER, lambda: os.rmdir(t.meta / 'mqueue' / 'mine')), errno.EPERM)
    equal(as_user(USER, USER, lambda: remove(t.meta / 'mqueue' / 'mine')), 0)
    fails(errno.EBUSY, os.rmdir, here)
    checked(_libc.mq_unlink(b'/kinds'))
    equal(os.listdir(t.meta / 'mqueue'), [])
    fails(errno.ENOENT, os.stat, here / 'msgs')


@ipc_test
def posix_queues_are_for_their_readers(t):
    os.chmod(t.private, 0o755)
    new_mqueue(b'/.hidden', b'hello')
    here = t.meta / 'mqueue' / '.hidden'
    equal(os.listdir(t.meta / 'mqueue'), ['.hidden'])
    for name in ('msgs', 'usedbytes', 'notify_pid'):
        equal(as_user(USER, USER, lambda: read(here / name)), errno.EACCES, name)
        equal(as_user(USER, USER, lambda: read(here / name), groups=[0]), 0, name)

    def facts():
        told = json.loads(read(here / 'info.json'))
        equal((told['perms'], told['usedbytes'], told['notify_pid']), ('0640', None, None))
    equal(as_user(USER, USER, facts), 0)
    equal(json.loads(read(here / 'info.json'))['usedbytes'], 5)
    checked(_libc.mq_unlink(b'/.hidden'))
    new_mqueue(b'/.hidden')
    eventually(lambda: without_capabilities('rmdir', here) == 0, 'it is removed')
    equal(os.listdir(t.meta / 'mqueue'), [])


@ipc_test
def named_semaphores(t):
    semaphore = ctypes.c_void_p(_libc.sem_open(b'kinds', os.O_CREAT, 0o600, 7))
    check(semaphore.value, 'sem_open')
    here = t.meta / 'posix' / 'sem.kinds'
    equal(pairs(here, 'semaphore'), {'value': '7', 'waiters': '0'})
    equal(json.loads(read(here / 'info.json'))['semaphore'], {'value': 7, 'waiters': 0})
    checked(_libc.sem_trywait(semaphore))
    equal(pairs(here, 'semaphore')['value'], '6')
    for name, content in (('empty', b''), ('short', bytes(31)), ('odd', b'x' * 32)):
        write(t.shm / f'sem.{name}', content)
        equal(attribute(t.meta / 'posix' / f'sem.{name}', 'semaphore'), 'not a semaphore')
    write(t.shm / 'other', bytes(32))
    fails(errno.ENOENT, os.stat, t.meta / 'posix' / 'other' / 'semaphore')
    check('semaphore' not in os.listdir(t.meta / 'posix' / 'other'), 'only of what is named so')


@ipc_test
def named_semaphores_are_for_their_readers(t):
    write(t.shm / 'sem.theirs', bytes(32))
    os.chown(t.shm / 'sem.theirs', USER, 7)
    os.chmod(t.shm / 'sem.theirs', 0o640)
    os.chmod(t.private, 0o755)
    here = t.meta / 'posix' / 'sem.theirs'

    def facts():
        if json.loads(read(here / 'info.json'))['semaphore'] is not None:
            raise OSError(errno.EEXIST, 'shown')
    for uid, groups, told in ((USER, (), 0), (OTHER, (7,), 0), (OTHER, (), errno.EACCES)):
        equal(as_user(uid, OTHER, lambda: read(here / 'semaphore'), groups), told, (uid, groups))
        equal(as_user(uid, OTHER, facts, groups), 0 if told else errno.EEXIST, 'in info.json')
    equal(read(here / 'semaphore'), b'value\t0\nwaiters\t0\n', 'root')
    equal(without_capabilities('cat', here / 'semaphore'), 1, 'root in name only')


def used_sem():
    checked(_libc.semctl(new_sem(1), 0, 16, 1))  # SETVAL


def used_msg():
    """Made, used and emptied by a process that then ends."""
    checked(_libc.msgrcv(new_msg(text=b'x'), bytes(16), ctypes.c_size_t(1), 0, 0))


@ipc_test
def root_without_capabilities_removes_its_own_alone(t):
    os.chmod(t.private, 0o755)
    for kind, make in (('sem', used_sem), ('msg', used_msg), ('sysv', lambda: new_segment(1))):
        check(as_user(0, 0, make) == 0, 'made one')
        own, = (int(i) for i in os.listdir(t.meta / kind))
        check(as_user(USER, USER, make) == 0, 'made one')
        other, = {int(i) for i in os.listdir(t.meta / kind)} - {own}
        equal(without_capabilities('rmdir', t.meta / kind / str(other)), 1, kind)
        equal(without_capabilities('rmdir', t.meta / kind / str(own)), 0, kind)
        equal(os.listdir(t.meta / kind), [str(other)])
        os.rmdir(t.meta / kind / str(other))
        equal(os.listdir(t.meta / kind), [])


@ipc_test
def owners_and_creators_are_those_of_lsipc(t):
    """`cgroup` is what lsipc(1) calls CGROUP: the creator's group."""
    groups = []
    uid, gid = 1, 2  # they have names: for others 2.38 may leave columns empty
    equal(as_user(uid, gid, lambda: [new_segment(4096), new_msg(), new_sem(1)]), 0)
    columns = 'cuid', 'cuser', 'cgroup', 'user', 'group'
    for kind, option in ('sysv', '-m'), ('msg', '-q'), ('sem', '-s'):
        ident, = os.listdir(t.meta / kind)
        told = run('lsipc', option, '--raw', '--noheadings', '-o',
                   ','.join(columns).upper()).decode().split()
        shown = [attribute(t.meta / kind / ident, column) for column in columns]
        info = json.loads(read(t.meta / kind / ident / 'info.json'))
        equal((shown, [str(info[column]) for column in columns]), (told, told), kind)
        groups.append(shown[2])
    equal(groups, [grp.getgrgid(gid).gr_name] * 3)


@ipc_test
def limits_are_those_of_lsipc(t):
    new_msg()
    new_sem(5)
    new_segment(5000)
    new_mqueue(b'/one')
    limits = {r['RESOURCE'].decode(): r for r in table(read(t.meta / 'limits'))[0]}
    told = run('lsipc', '-g', '-b', '--raw', '--noheadings', '-o', 'RESOURCE,LIMIT,USED').decode()
    compared = 0
    for line in told.splitlines():
        resource, limit, used = line.split()
        if resource in limits and used.isdigit() and resource != 'SHMALL':
            equal((limits[resource]['LIMIT'], limits[resource]['USED']),
                  (limit.encode(), used.encode()), resource)
            compared += 1
    check(compared >= 4, f'{compared} limits compared')
    equal(limits['SHMALL']['USED'], b'2', 'pages')
    equal(limits['MQ_QUEUES_MAX']['USED'], b'1')
    fs = os.statvfs(t.shm)
    equal(limits['TMPFS_BYTES']['LIMIT'], b'%d' % (fs.f_blocks * fs.f_frsize))
    equal(limits['TMPFS_INODES']['LIMIT'], b'%d' % fs.f_files)
    equal(stat.S_IMODE(os.stat(t.meta / 'limits').st_mode), 0o444)
