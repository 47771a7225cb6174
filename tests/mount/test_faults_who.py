# SPDX-License-Identifier: GPL-2.0-or-later
"""`faults`: who truncated the segment, and who may see whose bus errors."""
import itertools
import json
import mmap
import os
import pathlib
import re
import signal
import subprocess
import time

from faulter import Faulter
from harness import (MOUNTED, PATIENCE, as_user, check, die_with_parent, equal, eventually, read, run, skip,
                     table, test, write)
from ipc import Child, OTHER, USER, ipc_test
from test_faults import by_whom, counted, faults, make, need_faults, one
from test_whose import DIGITS, born, cgroup

PAGE = mmap.PAGESIZE


def enter(group):
    with open(f'{group}/cgroup.procs', 'w', encoding='ascii') as file:
        file.write(str(os.getpid()))


def make_known(t, name, size):
    """An object whose size the daemon has seen: only then can it tell who makes it smaller."""
    make(t.shm / name, size)
    size_is_known(t, name, size)


def size_is_known(t, name, size):
    """
    With one of these events: a record may stand for its creation and all that was written since. Others have
    a size that is not from the kernel's records, or is not noted.
    """
    wanted = (os.stat(t.shm / name).st_ino, size)
    eventually(lambda: any((e['inode'], e['size']) == wanted and e['event'] in ('created', 'renamed', 'resized')
                           for e in map(json.loads, read(t.meta / 'log').splitlines())), f'the size of {name} is known')


def dies_of(path):
    """A process that maps four pages of it, and writes to the third when it is told; its number, and how to tell."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        with open(path, 'r+b') as file:
            memory = mmap.mmap(file.fileno(), 4 * PAGE)
        os.write(ready[1], b'!')
        os.read(go[0], 1)
        memory[2 * PAGE + 7] = 1
        os._exit(0)
    os.read(ready[0], 1)

    def die():
        os.write(go[1], b'!')
        equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), -signal.SIGBUS)
        for fd in ready + go:
            os.close(fd)
    return pid, die


@test(MOUNTED, ('-o', 'log'))
def one_look_names_both(t):
    """Who died, at which offset, and who truncated the segment: through the mount, and beside it."""
    need_faults(t)
    if t.status().get('events_reason'):
        skip(t.status()['events_reason'])
    for root in t.root, t.shm:
        make_known(t, 'ring', 4 * PAGE)
        pid, die = dies_of(t.shm / 'ring')
        with cgroup('one-look') as group:
            truncator = subprocess.Popen(['sh', '-c', f'echo $$ >{group}/cgroup.procs; exec truncate -s {PAGE} {root}/ring'])
            equal(truncator.wait(), 0)
        die()
        # It waits for the daemon; beside the mount it may have ended before the daemon looks who it is.
        by = rf' by {truncator.pid} uid 0 ' if root == t.root else rf' by {truncator.pid}\b'

        def both():
            line, = (x for x in run('cat', t.meta / 'faults').decode().splitlines() if x.split('\t')[1:2] == [str(pid)])
            return line if re.search(by, line) else None
        line = eventually(both, f'{root}: who truncated it is known').split('\t')
        equal((line[3], line[6], line[8], line[9], line[10], line[11]),
              ('python3', 'posix', 'ring', str(2 * PAGE + 7), str(PAGE), 'truncated'))
        os.unlink(t.shm / 'ring')


@test(MOUNTED, ('-o', 'log'))
def who_removed_it_from_which_container(t):
    """rm by some user in a container: the log says who, when and from which unit; so does the segment's directory."""
    if t.status().get('events_reason'):
        skip(t.status()['events_reason'])
    os.chmod(t.shm, 0o1777)
    for root in t.shm, t.root:
        make(t.shm / 'x', PAGE)
        os.chown(t.shm / 'x', USER, USER)
        with open(t.shm / 'x', 'rb') as file, cgroup('who-removed') as group:
            rm = subprocess.Popen(
                ['setpriv', f'--reuid={USER}', f'--regid={USER}', '--clear-groups', 'rm', root / 'x'],
                preexec_fn=lambda place=group: enter(place))
            equal(rm.wait(), 0)

            def told():
                return [e for e in map(json.loads, read(t.meta / 'log').splitlines())
                        if (e['event'], e['pid']) == ('removed', rm.pid)]
            event, = eventually(told, f'{root}: it is in the log')
            equal((event['name'], event['inode']), ('x', os.fstat(file.fileno()).st_ino))
            equal(len([e for e in map(json.loads, read(t.meta / 'log').splitlines())
                       if e['event'] == 'removed' and e['inode'] == event['inode']]), 1, 'once')
            # It waits for the daemon; beside the mount it may have ended before the daemon looks.
            if root == t.root or event['unit']:
                equal((event['uid'], event['command'], event['unit']), (USER, 'rm', DIGITS[:12]))


@test(MOUNTED)
def who_truncated_through_the_mount(t):
    """By its name, by open(2), and an unlinked object's data; what came after it is another's."""
    need_faults(t)
    make(t.shm / 'x', 4 * PAGE)
    with Faulter((t.root if t.shared_mmap else t.shm) / 'x', 4 * PAGE) as faulter:
        run('truncate', '-s', '100', t.root / 'x')
        row = one(t, faulter, f'touch {2 * PAGE} 1', KIND='posix', ID='x', SIZE='100')
        start, end, who = by_whom(row)
        equal((start, end), (4 * PAGE, 100))
        check(re.fullmatch(r'\d+ uid 0 truncate', who), who)
        entry = [e for e in json.loads(read(t.meta / 'faults.json'))['faults']
                 if e['pid'] == faulter.pid][-1]['truncated']
        equal((entry['from'], entry['to'], entry['uid'], entry['command']),
              (4 * PAGE, 100, 0, 'truncate'))
        check(entry['born'], 'it was asked for while it lived')

        os.truncate(t.shm / 'x', 4 * PAGE)
        os.truncate(t.shm / 'x', 50)
        one(t, faulter, f'touch {2 * PAGE} 1', SIZE='50', DETAIL='beyond the end')

        os.truncate(t.shm / 'x', 4 * PAGE)
        with open(t.root / 'x', 'wb') as file:
            file.write(b'new')
        row = one(t, faulter, f'touch {2 * PAGE} 1', SIZE='3')
        equal(by_whom(row), (4 * PAGE, 0, f'{os.getpid()} uid 0 python3'))

        os.truncate(t.shm / 'x', 4 * PAGE)
        os.unlink(t.shm / 'x')
        data, = (t.meta / 'unlinked' / n / 'data' for n in os.listdir(t.meta / 'unlinked')
                 if n.startswith('posix-x-'))
        os.truncate(data, PAGE)
        row = one(t, faulter, f'touch {2 * PAGE} 1', KIND='unlinked', NAME='x', SIZE=str(PAGE))
        equal(by_whom(row)[:2], (4 * PAGE, PAGE))
        equal(row['ID'], data.parent.name)


@ipc_test
def who_may_see_them(t):
    need_faults(t)
    os.chmod(t.private, 0o755)
    make(t.shm / 'x', PAGE)

    def seen(pid, wanted):
        def look():
            rows, remarks = table(read(t.meta / 'faults'))
            found = [r for r in rows if int(r['PID']) == pid]
            entries = json.loads(read(t.meta / 'faults.json'))
            equal(len(found), wanted)
            equal(len([e for e in entries['faults'] if e['pid'] == pid]), wanted)
            if not wanted:
                check(any(re.fullmatch(r'# \d+ not shown', r) for r in remarks), remarks)
                check(entries['not_shown'] > 0, entries)
        return look

    def confined(pid):
        text = subprocess.run(['unshare', '-Ur', 'cat', t.meta / 'faults'], check=True,
                              capture_output=True).stdout
        check(b'\t%d\t' % pid not in text, text)

    with Faulter(t.shm / 'x', PAGE, user=USER) as own, \
            Faulter(t.shm / 'x', PAGE, user=USER) as secret:
        os.truncate(t.shm / 'x', 0)
        equal(secret('forget'), 0)
        for faulter in own, secret:
            equal(faulter('touch 0 1'), 1)
            seen(faulter.pid, 1)()
        for _ in 'while they live', 'afterwards':
            equal(as_user(USER, USER, seen(own.pid, 1)), 0)
            equal(as_user(USER, USER, seen(secret.pid, 0)), 0)
            equal(as_user(OTHER, OTHER, seen(own.pid, 0)), 0)
            equal(as_user(OTHER, OTHER, lambda: confined(own.pid)), 0)
            if own.process.poll() is None:
                own.end()
                secret.end()
        own.process = secret.process = subprocess.Popen(
            ['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@test(MOUNTED, ('-o', 'log'))
def who_truncated_outside_the_mount(t):
    """The log knows: which process, if no other one changed the object at the time."""
    need_faults(t)
    if t.status().get('events_reason'):
        skip(t.status()['events_reason'])
    make_known(t, 'x', 4 * PAGE)
    with Faulter(t.shm / 'x', 4 * PAGE) as faulter:
        with Child(lambda: os.truncate(t.shm / 'x', 100)) as truncator:
            equal(faulter(f'touch {2 * PAGE} 1'), 1)

            def told():
                row, = faults(t, faulter.pid)
                return row['DETAIL'] != 'beyond the end'
            eventually(told, 'who truncated it is known')
            row, = faults(t, faulter.pid)
            match = re.fullmatch(r'beyond the end; last truncated from (\d+) to (\d+) bytes at [\d.]+ by (.*)',
                                 row['DETAIL'])
            check(match, row['DETAIL'])
            equal(match.groups(), (str(4 * PAGE), '100', f'{truncator.pid} uid 0 python3'))
            entry, = (e for e in json.loads(read(t.meta / 'faults.json'))['faults']
                      if e['pid'] == faulter.pid)
            equal((entry['truncated']['pid'], entry['truncated']['born']),
                  (truncator.pid, int(born(truncator.pid))))
        event, = (e for e in map(json.loads, read(t.meta / 'log').splitlines())
                  if e['event'] == 'faulted' and e['pid'] == faulter.pid)
        equal((event['kind'], event['id'], event['name'], event['inode'], event['size'], event['pid'],
               event['born'], event['uid'], event['command']),
              ('posix', 'x', 'x', os.stat(t.shm / 'x').st_ino, 100, faulter.pid,
               int(born(faulter.pid)), 0, 'faulter'))


def turns_of_thread(pid, name):
    """How often the threads of that name have gone to sleep; None if there is none."""
    tasks = [task for task in pathlib.Path(f'/proc/{pid}/task').iterdir() if read(task / 'comm') == name + b'\n']
    return [re.search(rb'^voluntary_ctxt_switches:\t(\d+)$', read(task / 'status'), re.M)[1] for task in tasks] or None


@test(MOUNTED)
def what_is_not_told_in_time_is_not_waited_for(t):
    """Nothing tells of a truncation outside the mount while nobody watches: the daemon does not look again and again."""
    need_faults(t)
    make(t.shm / 'x', 4 * PAGE)
    with Faulter(t.shm / 'x', 4 * PAGE) as faulter:
        os.truncate(t.shm / 'x', 100)
        one(t, faulter, f'touch {2 * PAGE} 1', DETAIL='beyond the end')

    def state():
        return counted(t), turns_of_thread(t.daemon.pid, b'faults')
    check(state()[1], 'the thread that waits for bus errors')
    before, begin = state(), time.monotonic()
    last = begin
    while time.sleep(0.3) or before != (now := state()):
        if before[0] != now[0]:
            last = time.monotonic()
        if last > begin + PATIENCE:
            skip('other processes of the machine raise bus errors all the while')
        check(time.monotonic() < last + PATIENCE, f'the thread wakes again and again: {before}, {now}')
        before = now


def truncates_on_and_on(path, tell, go):
    """Truncates it and says so; told to, goes on with that for three seconds; and told again, ends."""
    os.truncate(path, PAGE)
    os.write(tell, b'!')
    os.read(go, 1)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        for size in 4 * PAGE, PAGE:
            os.truncate(path, size)
            time.sleep(0.02)
    os.write(tell, b'!')
    os.read(go, 1)


def is_learnt_after_others(t, name):
    """
    A process dies of who truncates it on and on. Then another object is truncated: once it is known who did
    that, what could be known of the one before is known. Returns whether it is.
    """
    other = f'{name}.other'
    for each in name, other:
        make_known(t, each, 4 * PAGE)
    (told, tell), (wait, go) = os.pipe(), os.pipe()
    truncator = os.fork()
    if truncator == 0:
        try:
            die_with_parent()
            truncates_on_and_on(t.shm / name, tell, wait)
        finally:
            os._exit(0)
    with Faulter(t.shm / name, 4 * PAGE) as faulter, Faulter(t.shm / other, 4 * PAGE) as second:
        os.read(told, 1)
        equal(faulter(f'touch {2 * PAGE} 1'), 1)
        size_is_known(t, name, PAGE)
        os.write(go, b'!')
        os.read(told, 1)
        os.truncate(t.shm / other, PAGE)
        equal(second(f'touch {2 * PAGE} 1'), 1)
        eventually(lambda: 'last truncated' in faults(t, second.pid)[0]['DETAIL'], 'it is known of the other one')
        row, = faults(t, faulter.pid)
    os.write(go, b'!')
    os.waitpid(truncator, 0)
    for fd in told, tell, wait, go:
        os.close(fd)
    match = re.fullmatch(r'beyond the end; last truncated from (\d+) to (\d+) bytes at ([\d.]+) by (\d+) .*',
                         row['DETAIL'])
    if match:
        equal(match.group(1, 2, 4), (str(4 * PAGE), str(PAGE), str(truncator)))
        check(float(match[3]) <= float(row['TIME']), row)
    return match


@test(MOUNTED, ('-o', 'log'))
def who_truncated_is_learnt_later_too(t):
    """
    Of a process that truncates on and on it is known only when it has ceased; and not where it made a
    pause, which the machine may have it make.
    """
    need_faults(t)
    if t.status().get('events_reason'):
        skip(t.status()['events_reason'])
    names = (f'x{n}' for n in itertools.count())
    eventually(lambda: is_learnt_after_others(t, next(names)), 'who truncated it on and on is known', 2 * PATIENCE)


def is_learnt_before(t, name, moment):
    """Who truncated it; after so many seconds somebody else does, and that makes the daemon forget who did before."""
    make_known(t, name, 4 * PAGE)
    with Faulter(t.shm / name, 4 * PAGE) as faulter:
        with Child(lambda: os.truncate(t.shm / name, PAGE)) as truncator:
            equal(faulter(f'touch {2 * PAGE} 1'), 1)
            time.sleep(moment)
            os.truncate(t.shm / name, 100)
            size_is_known(t, name, 100)
            row, = faults(t, faulter.pid)
    return f' by {truncator.pid} ' in row['DETAIL']


@test(MOUNTED, ('-o', 'log'))
def who_truncated_is_learnt_before_anybody_asks(t):
    """However long the daemon takes to learn it: the moment becomes longer each time."""
    need_faults(t)
    if t.status().get('events_reason'):
        skip(t.status()['events_reason'])
    moments = itertools.count()
    eventually(lambda: is_learnt_before(t, f'x{(n := next(moments))}', 2 ** n / 2), 'it is learnt', 2 * PATIENCE)


def truncate_by_another_name(t, other):
    """By another name of the object somebody truncates it; who writes next by its name did not."""
    need_faults(t)
    if t.status().get('events_reason'):
        skip(t.status()['events_reason'])
    make(t.shm / 'x', 4 * PAGE)
    os.link(t.shm / 'x', other)
    with Faulter(t.shm / 'x', 4 * PAGE) as faulter:
        os.truncate(t.shm / 'x', 4 * PAGE + 1)
        size_is_known(t, 'x', 4 * PAGE + 1)
        os.truncate(other, 100)
        with open(t.shm / 'x', 'r+b') as file:
            file.write(b'x')
        one(t, faulter, f'touch {2 * PAGE} 1', DETAIL='beyond the end')
        # Of this one it is known, after which the one before could have been told.
        write(t.shm / 'z', b'xy')
        size_is_known(t, 'z', 2)
        with Faulter(t.shm / 'z', PAGE) as second:
            os.truncate(t.shm / 'z', 0)
            equal(second('touch 0 1'), 1)
            eventually(lambda: 'last truncated' in faults(t, second.pid)[-1]['DETAIL'], 'it is known of z')
        equal([r['DETAIL'] for r in faults(t, faulter.pid)], ['beyond the end'])


@test(MOUNTED, ('-o', 'log'))
def who_did_not_truncate_is_not_named(t):
    (t.shm / 'directory').mkdir()
    truncate_by_another_name(t, t.shm / 'directory' / 'y')


@test(MOUNTED, ('-o', 'log'))
def nor_where_the_other_name_is_not_shown(t):
    truncate_by_another_name(t, t.shm / '.shmtree')


@ipc_test
def who_may_see_who_truncated(t):
    """The reader's own process died; who truncated is another user's."""
    need_faults(t)
    os.chmod(t.private, 0o755)
    make(t.shm / 'x', 2 * PAGE)
    with Faulter(t.shm / 'x', 2 * PAGE, user=USER) as faulter:
        equal(as_user(OTHER, OTHER, lambda: os.truncate(t.root / 'x', 0)), 0)
        equal(faulter(f'touch {PAGE} 1'), 1)
        row, = faults(t, faulter.pid)
        check(re.fullmatch(rf'\d+ uid {OTHER} python3', by_whom(row)[2]), row)

        def look():
            row, = faults(t, faulter.pid)
            equal(by_whom(row)[2], 'a process that is not shown')
            entry, = (e for e in json.loads(read(t.meta / 'faults.json'))['faults']
                      if e['pid'] == faulter.pid)
            equal({k: entry['truncated'][k] for k in ('pid', 'uid', 'command', 'born')},
                  {'pid': None, 'uid': None, 'command': '', 'born': None})
        equal(as_user(USER, USER, look), 0)
