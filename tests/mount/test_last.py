# SPDX-License-Identifier: GPL-2.0-or-later
"""`last`: which process used a segment last, as far as the daemon has seen; and who may see that."""
import json
import mmap
import os
import signal
import subprocess
import time

from harness import CLONE_NEWNS, MOUNTED, MS_PRIVATE, MS_REC, as_user, call, check, equal, eventually, read, skip, test, write
from ipc import Attached, Child, OTHER, USER, attribute, ipc_test, map_alone, new_segment
from test_whose import DIGITS, born, cgroup
from watching import next_tick

PAGE = mmap.PAGESIZE
NOBODY = {'pid': '0', 'command': '', 'state': 'none', 'born': '-', 'uid': '-', 'unit': '-',
          'until': '-'}
PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 4, 8


def of_list(t, path, name, kind):
    """What segments.json or segments.jsonl has of it; these take one object a line, the lists of them aside."""
    lines = [line.rstrip(',') for line in read(t.meta / path).decode().splitlines()]
    rows = [json.loads(line) for line in lines if line.startswith('{"kind":')]
    row, = (r for r in rows if (r['kind'], r['id']) == (kind, name))
    return row['last']


def last(t, name='x', kind='posix'):
    """As the file has it; and the lists have the same, while nothing changes."""
    for path in 'segments.json', 'segments.jsonl':
        eventually(lambda path=path: of_list(t, path, name, kind) ==
                   json.loads(read(t.meta / kind / name / 'info.json'))['last'], f'{path} has the same')
    lines = attribute(t.meta / kind / name, 'last').split('\n')
    facts = dict(line.split('\t', 1) for line in lines if not line.startswith('#'))
    return facts, [line for line in lines if line.startswith('#')]


def maps():
    return map_alone('/dev/shm/x', PAGE)


@ipc_test
def it_is_remembered_with_its_unit(t):
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)
    equal(last(t), (NOBODY, []))
    for use in maps, lambda: open('/dev/shm/x', 'rb'):
        with cgroup('last') as group:
            with Child(use, USER) as child:
                write(f'{group}/cgroup.procs', b'%d' % child.pid)
                start = born(child.pid).decode()
                facts, _ = last(t)
                wanted = {'pid': str(child.pid), 'command': 'python3', 'state': 'alive',
                          'born': start, 'uid': str(USER), 'unit': DIGITS[:12], 'until': 'now'}
                equal(facts, wanted)
                seen = time.time()
            facts, remarks = last(t)
            until = float(facts.pop('until'))
            check(abs(until - seen) < 600 and until <= time.time(), (until, seen))
            wanted.pop('until')
            equal((facts, remarks), ({**wanted, 'state': 'dead'}, []))
    found = json.loads(read(t.meta / 'posix' / 'x' / 'info.json'))['last']
    equal((found['pid'], found['uid'], found['unit'], found['state'], found['now'],
           found['not_shown']), (child.pid, USER, DIGITS[:12], 'dead', False, 0))
    check(abs(found['until'] - until) < 1e-3, found)


@ipc_test
def files_in_directories_have_it_too(t):
    os.mkdir(t.shm / 'deep')
    write(t.shm / 'deep' / 'y', bytes(PAGE))
    inode = str(os.stat(t.shm / 'deep' / 'y').st_ino)
    equal(last(t, inode, 'nested'), (NOBODY, []))
    with Child(lambda: open('/dev/shm/deep/y', 'rb'), USER) as child:
        facts, _ = last(t, inode, 'nested')
        equal((facts['pid'], facts['until'], facts['uid']), (str(child.pid), 'now', str(USER)))
    eventually(lambda: last(t, inode, 'nested')[0]['state'] == 'dead', 'it has ended')
    found = json.loads(read(t.meta / 'nested' / inode / 'info.json'))['last']
    equal((found['pid'], found['now']), (child.pid, False))
    os.chmod(t.private, 0o755)

    def look():
        facts, remarks = last(t, inode, 'nested')
        equal((facts['pid'], facts['uid'], remarks), ('0', '-', ['# 1 not shown']))
    equal(as_user(OTHER, OTHER, look), 0)


@test(MOUNTED)
def what_no_census_saw_is_not_known(t):
    write(t.shm / 'x', bytes(PAGE))
    equal(last(t)[0], NOBODY)
    with Child(maps):
        pass
    eventually(lambda: t.attribute('x', 'state') == 'idle', 'idle')
    equal(last(t)[0], NOBODY)


@test(MOUNTED, options=('-o', 'census_interval=0.1'))
def with_an_interval_it_is_seen_without_a_question(t):
    equal(t.status()['census_interval'], '0.1')
    write(t.shm / 'x', bytes(PAGE))

    def is_seen():
        with Child(maps) as child:
            time.sleep(0.3)
        return last(t)[0]['pid'] == str(child.pid)
    eventually(is_seen, 'a census saw it in time')


@ipc_test
def who_may_see_it(t):
    os.chmod(t.private, 0o755)
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)

    def sees(pid, hidden):
        def look():
            facts, remarks = last(t)
            equal((facts['pid'], remarks), (str(pid), ['# 1 not shown'] if hidden else []))
        return look

    def confined():
        text = subprocess.run(['unshare', '-Ur', 'cat', t.meta / 'posix' / 'x' / 'last'], check=True,
                              capture_output=True).stdout
        check(text.startswith(b'pid\t0\n') and text.endswith(b'# 1 not shown\n'), text)
    for dumpable in 1, 0:
        with Child(maps, USER, dumpable) as child:
            check(b'%d' % child.pid in read(t.meta / 'posix' / 'x' / 'mappers'), 'seen')
            own = child.pid if dumpable else 0
            equal(as_user(USER, USER, sees(own, not dumpable)), 0)
            equal(as_user(OTHER, OTHER, sees(0, True)), 0)
        sees(child.pid, False)()
        equal(as_user(USER, USER, sees(own, not dumpable)), 0, ('its user', dumpable))
        equal(as_user(OTHER, OTHER, sees(0, True)), 0)
        equal(as_user(USER, USER, confined), 0)
        equal(as_user(OTHER, OTHER, confined), 0)


@ipc_test
def who_gave_up_root_is_not_shown_to_the_new_user(t):
    """It was first seen as root, whom nothing is hidden from."""
    os.chmod(t.private, 0o755)
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)

    def prepare():
        signal.signal(signal.SIGUSR1, lambda *_: os.setresuid(USER, USER, USER))
        return maps()
    with Child(prepare) as child:
        equal(last(t)[0]['uid'], '0')
        os.kill(child.pid, signal.SIGUSR1)
        eventually(lambda: b'Uid:\t%d\t' % USER in read(f'/proc/{child.pid}/status'), 'not root')
        equal(last(t)[0]['uid'], str(USER))
    equal(last(t)[0]['pid'], str(child.pid))

    def look():
        facts, remarks = last(t)
        equal((facts['pid'], facts['uid'], remarks), ('0', '-', ['# 1 not shown']))
    equal(as_user(USER, USER, look), 0)


@ipc_test
def who_had_a_capability_is_not_shown_to_its_user(t):
    """Whom the kernel would not have let at its memory either."""
    os.chmod(t.private, 0o755)
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)

    def keeps_capabilities():
        call('prctl', PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        call('prctl', PR_SET_DUMPABLE, 1, 0, 0, 0)
        return maps()

    def look():
        facts, remarks = last(t)
        equal((facts['pid'], facts['uid'], remarks), ('0', '-', ['# 1 not shown']))
    with Child(keeps_capabilities) as child:
        equal(last(t)[0]['uid'], str(USER))
        equal(as_user(USER, USER, look), 0, 'while it lives')
    equal(last(t)[0]['pid'], str(child.pid))
    equal(as_user(USER, USER, look), 0, 'afterwards')


@ipc_test
def the_kernel_notes_more_of_system_v(t):
    name = str(new_segment(PAGE))
    with Child(lambda: Attached(int(name))) as child:
        facts, _ = last(t, name, 'sysv')
        equal((facts['pid'], facts['state'], facts['until'], facts['uid']),
              (str(child.pid), 'alive', 'now', '0'))
        start = facts['born']
    facts, _ = last(t, name, 'sysv')
    equal((facts['pid'], facts['command'], facts['state'], facts['born']),
          (str(child.pid), 'python3', 'dead', start))
    equal(float(facts['until']), float(attribute(t.meta / 'sysv' / name, 'dtime')))
    with Child(lambda: Attached(int(name))) as unseen:
        pass
    facts, _ = last(t, name, 'sysv')
    equal((facts['pid'], facts['state'], facts['born'], facts['unit']),
          (str(unseen.pid), 'dead', '-', '-'))


def fresh_tmpfs(uses):
    """A process with a /dev/shm of its own, in which it made x, and uses it or not; and what stat(2) says."""
    told, tell = os.pipe()

    def prepare():
        call('unshare', CLONE_NEWNS)
        call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
        call('umount2', '/dev/shm', 2)
        call('mount', 'tmpfs', '/dev/shm', b'tmpfs', 0, b'mode=1777')
        write('/dev/shm/x', bytes(PAGE))
        info = os.stat('/dev/shm/x')
        os.write(tell, b'%d %d' % (info.st_dev, info.st_ino))
        return maps() if uses else None
    child = Child(prepare)
    dev, ino = map(int, os.read(told, 64).split())
    for fd in (told, tell):
        os.close(fd)
    return child, dev, ino


@ipc_test
def a_device_number_used_anew(t):
    """A file of a tmpfs that is gone had the numbers of one that is there now."""
    def here(dev):
        return t.meta / 'namespaces' / f'shm-{os.major(dev)}:{os.minor(dev)}'

    def last_there(dev):
        of_lists = of_list(t, here(dev).relative_to(t.meta) / 'segments.json', 'x', 'posix')
        return read(here(dev) / 'posix' / 'x' / 'last').split()[1], of_lists and of_lists['pid']
    child, dev, ino = fresh_tmpfs(True)
    eventually(lambda: last_there(dev) == (b'%d' % child.pid, child.pid), 'who uses it is known')
    child.end()
    read(t.meta / 'segments')
    # A file's time of birth is that of the kernel's last tick: one made at once would seem to have been there.
    next_tick()
    others = []
    for _ in range(100):
        others.append(fresh_tmpfs(False))
        if others[-1][1:] == (dev, ino):
            break
    if others[-1][1:] == (dev, ino):
        equal(last_there(dev), (b'0', None))
    for other, _, _ in others:
        other.end()
    if others[-1][1:] != (dev, ino):
        skip('the kernel gave other numbers')
