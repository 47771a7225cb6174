# SPDX-License-Identifier: GPL-2.0-or-later
"""Three users and a container, whose root is one of them: who sees which row of every file."""
import errno
import json
import mmap
import os
import re
import time
import traceback

from harness import call, check, equal, eventually, read, table, write
from ipc import (Attached, Child, OTHER, PR_SET_DUMPABLE, USER, ipc_test, map_alone, memfd, new_segment)
from test_views import each_has_its_own, parse_graph

PAGE = mmap.PAGESIZE
CLONE_NEWUSER = 0x10000000
SAME_FOR_ALL = ('KIND', 'ID', 'NAME', 'PERMS', 'UID', 'GID', 'SIZE', 'ALLOCATED', 'RESIDENT', 'MAPPINGS')
# Unless somebody else on the machine looks at it. SINCE may come later, where a pass had to be given up.
AT_REST = 'PROCESSES', 'OPENERS', 'STATE'


def enter_container():
    """Root of a user namespace; outside it is the user that it was."""
    uid = os.getuid()
    call('unshare', CLONE_NEWUSER)
    write('/proc/self/setgroups', b'deny')
    for name in 'uid_map', 'gid_map':
        write(f'/proc/self/{name}', b'0 %d 1' % uid)
    equal(os.geteuid(), 0)


def told_by(uid, function, container=False):
    """What the function returns in a process of that user, outside or in a container."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if uid:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                call('prctl', PR_SET_DUMPABLE, 1, 0, 0, 0)
            if container:
                enter_container()
            told = function()
        except BaseException:  # it must not return into the parent's code
            told = traceback.format_exc()
        with os.fdopen(writing, 'w') as out:
            json.dump(told, out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        found = json.load(told)
    os.waitpid(pid, 0)
    check(not isinstance(found, str), found)
    return found


def attempt(function, *arguments):
    """0, or the errno."""
    try:
        function(*arguments)
        return 0
    except OSError as error:
        return error.errno


class Machine:
    """What is there to be seen: a process of each user, and what they have left behind."""

    def __init__(self, t):
        self.t = t
        self.guest = f'seen{os.getpid()}'
        for name, owner, mode in (('shared', 0, 0o666), ('left', USER, 0o666), ('roots', 0, 0o600)):
            write(t.shm / name, bytes(PAGE))
            os.chown(t.shm / name, owner, owner)
            os.chmod(t.shm / name, mode)
        with Child(lambda: map_alone('/dev/shm/left', PAGE), USER) as child:
            equal(t.number('left', 'mappings'), 1)  # so that it is seen
        self.dead = child.pid
        t.becomes_idle('left')

    def uses(self):
        return map_alone('/dev/shm/shared', PAGE), open('/dev/shm/shared', 'rb')

    def users_own(self):
        """What has an owner, and no name: of System V, a memfd, an unlinked object."""
        segment = Attached(new_segment(PAGE, b'sysv'))
        write('/dev/shm/gone', bytes(PAGE))
        os.chmod('/dev/shm/gone', 0o600)
        held = map_alone('/dev/shm/gone', PAGE)
        os.unlink('/dev/shm/gone')
        return self.uses(), segment, held, memfd(self.guest, bytes(PAGE))

    def nameless(self):
        names = os.listdir(self.t.meta / 'unlinked')
        return [self.t.meta / 'unlinked' / name / 'data' for name in sorted(names)
                if 'posix-gone-' in name or f'memfd-{self.guest}-' in name]

    def tables(self):
        """Rows of processes: those of ours that are shown, and whether it is said that others are not."""
        shared = self.t.meta / 'posix' / 'shared'
        documents = json.loads(read(shared / 'info.json'))
        found = {}
        for path, members in ((shared / 'mappers', documents['mappers']),
                              (shared / 'holders', documents['holders']),
                              (self.t.meta / 'processes',
                               json.loads(read(self.t.meta / 'processes.json'))['processes'])):
            rows, remarks = table(read(path))
            shown = sorted({int(r['PID']) for r in rows} & self.ours)
            equal(sorted({m['pid'] for m in members} & self.ours), shown, f'JSON of {path.name}')
            found[path.name] = shown, [re.sub(r'\d+', 'N', line) for line in remarks]
        rows, remarks = table(read(self.t.meta / 'cgroups'))
        check(all(int(r['PROCESSES']) > 0 for r in rows), rows)
        found['cgroups'] = bool(rows), [re.sub(r'\d+', 'N', line) for line in remarks]
        nodes, _, _ = parse_graph(read(self.t.meta / 'graph.dot'))
        drawn = sorted(p for p in self.ours if f'p{p}' in nodes)
        found['graph'] = drawn if each_has_its_own(nodes) else found['processes'][0], 'hidden' in nodes
        return found

    def last_users(self):
        found = {}
        for name in 'shared', 'left':
            facts = json.loads(read(self.t.meta / 'posix' / name / 'info.json'))['last']
            found[name] = facts['pid'], facts['not_shown']
        return found

    def looks(self):
        """All that this process sees."""
        rows, _ = table(read(self.t.meta / 'segments'))
        idle = self.t.meta / 'idle' / 'posix'

        def columns(names):
            return [[r[c].decode() for c in names] for r in rows
                    if r['KIND'] in (b'posix', b'sysv', b'unlinked') or self.guest.encode() in r['ID']]
        return {
            'tables': self.tables(),
            'last': self.last_users(),
            'segments': columns(SAME_FOR_ALL),
            'uses': columns(AT_REST),
            'idle': [(name, os.stat(idle / name).st_size) for name in sorted(os.listdir(idle))],
            'data': [attempt(read, data) for data in self.data],
            'removal': attempt(os.rmdir, idle / 'roots') if os.getuid() or in_container() else None,
        }


    def are_right(self, root, owner, stranger, container):
        """What each sees of the processes, each time; and what does not depend on who else looks."""
        mine, theirs = self.pids
        equal(root['tables'], shown(sorted(self.ours), False))
        equal(owner['tables'], shown(mine, True))
        equal(stranger['tables'], shown(theirs, True))
        equal(container['tables'], shown([], True, False), 'of those outside nothing, nor its own user')
        check(len(root['segments']) >= 6, root['segments'])
        for who in owner, stranger, container:
            equal(who['segments'], root['segments'], 'what is the same for all')
        equal([who['removal'] for who in (owner, stranger, container)], [errno.EPERM] * 3)
        # By owner and mode; a memfd, which has a process and no owner that counts, as by that process.
        equal([who['data'] for who in (root, owner, stranger, container)],
              [[0, 0, 0], [0, 0, 0], [errno.EACCES] * 3, [0, errno.EACCES, 0]], 'System V, memfd, unlinked')


def in_container():
    return read('/proc/self/uid_map').split() != b'0 0 4294967295'.split()


def shown(pids, others, cgroups=True):
    """What the tables have for one who sees these processes."""
    remark = ['# N not shown'] if others else []
    return {'mappers': [pids, remark], 'holders': [pids, remark], 'processes': [pids, remark],
            'cgroups': [cgroups, remark], 'graph': [pids, others]}


def younger(*what):
    """A child that was started in a later tick, in which the kernel counts, than all others."""
    def ticks():
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf('SC_CLK_TCK'))
    now = ticks()
    eventually(lambda: ticks() > now, 'another tick')
    return Child(*what)


@ipc_test
def each_sees_what_is_theirs(t):
    os.chmod(t.private, 0o755)
    machine = Machine(t)
    with Child(machine.uses) as roots, younger(machine.users_own, USER) as users, \
            younger(machine.uses, OTHER) as others:
        machine.ours = {roots.pid, users.pid, others.pid}
        machine.pids = [users.pid], [others.pid]
        segment, = os.listdir(t.meta / 'sysv')
        machine.data = [t.meta / 'sysv' / segment / 'data', *machine.nameless()]
        equal(len(machine.data), 3)

        def lookers():
            """What they see; False if somebody else on the machine had looked at an object, for one of them alone."""
            seen = [told_by(uid, machine.looks, inside) for uid, inside in
                    ((0, False), (USER, False), (OTHER, False), (USER, True))]
            machine.are_right(*seen)
            uses = [(who['uses'], who['idle']) for who in seen]
            print(*uses, sep='\n', flush=True)
            return uses == uses[:1] * len(uses) and seen
        root, owner, stranger, container = eventually(lookers, 'uses and states are for all')
    youngest, dead, hidden = [others.pid, 0], [machine.dead, 0], [0, 1]
    equal(root['last'], {'shared': youngest, 'left': dead})
    equal(owner['last'], {'shared': [users.pid, 0], 'left': dead})
    equal(stranger['last'], {'shared': youngest, 'left': hidden})
    equal(container['last'], {'shared': hidden, 'left': hidden})
    equal([name for name, _ in root['idle']], ['left', 'roots'])
