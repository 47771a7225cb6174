# SPDX-License-Identifier: GPL-2.0-or-later
"""`created` and `removed` in info.json: who gave a segment its name, who took it away, as the events tell."""
import json
import mmap
import os
import subprocess
import time

from harness import MOUNTED, as_user, check, equal, eventually, opened, read, run, skip, test, write
from ipc import Child, OTHER, USER, memfd
from test_whose import DIGITS, born, cgroup
from watching import Reader, in_child, needs_fanotify, watches

PAGE = mmap.PAGESIZE
WHO = ('pid', 'born', 'uid', 'command', 'unit', 'not_shown')


def info(t, name, kind='posix'):
    return json.loads(read(t.meta / kind / name / 'info.json'))


def nameless(t, name):
    """The directory in unlinked/ of the object that had that name."""
    found = [n for n in os.listdir(t.meta / 'unlinked') if n.startswith(f'posix-{name}-')]
    equal(len(found), 1, found)
    return found[0]


def known(t, member, name, kind='posix'):
    """It is known when its records have been handled."""
    return eventually(lambda: info(t, name, kind)[member], f'{member} of {kind}/{name} is known')


def settled(t, *names):
    """All that has happened to objects before this has been handled: what is not known then will not be."""
    make(t.shm / 'last')
    known(t, 'created', 'last')
    os.unlink(t.shm / 'last')
    return [info(t, name) for name in names]


def make(path):
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o666))


def needs_birth(t):
    needs_fanotify(t)
    make(t.shm / 'birth')
    try:
        if run('stat', '-c', '%W', t.shm / 'birth').strip() in (b'0', b'-'):
            skip('this tmpfs notes no time of birth (Linux 5.18)')
    finally:
        os.unlink(t.shm / 'birth')


@test(MOUNTED, ('-o', 'log'))
def who_created_and_who_removed(t):
    """Through the mount and beside it; by a process that lives, in a unit, and by one that is gone."""
    needs_birth(t)
    for root in t.shm, t.root:
        before = time.time()
        with Child(lambda: make(root / 'x'), user=USER) as maker, cgroup('history') as group:
            created = known(t, 'created', 'x')
            check(before - 1 < created['time'] < time.time() + 1, created)
            equal({k: created[k] for k in WHO if k != 'unit'},
                  {'pid': maker.pid, 'born': int(born(maker.pid)), 'uid': USER,
                   'command': 'python3', 'not_shown': 0}, str(root))
            equal(info(t, 'x')['removed'], None)

            def remove():
                write(f'{group}/cgroup.procs', b'%d' % os.getpid())
                os.unlink(root / 'x')
            with opened(t.shm / 'x', os.O_RDWR):
                with Child(remove) as remover:  # which lives until the daemon has looked who it is
                    removed = known(t, 'removed', nameless(t, 'x'), 'unlinked')
                pid = remover.pid
                equal(info(t, nameless(t, 'x'), 'unlinked')['removed'], removed, 'also when it is gone')
                equal((removed['pid'], removed['uid'], removed['unit']), (pid, 0, DIGITS[:12]), str(root))
                equal(info(t, nameless(t, 'x'), 'unlinked')['created'], created)
                # The log says the same.
                told, = (e for e in map(json.loads, read(t.meta / 'log').splitlines())
                         if (e['event'], e['pid']) == ('removed', pid))
                equal({k: told[k] for k in WHO[:-1] + ('time',)}, {k: removed[k] for k in WHO[:-1] + ('time',)})


@test(MOUNTED, ('-o', 'log'))
def further_names_are_not_its_first(t):
    """Hard links, renamed objects, and those that lose one name of several."""
    needs_birth(t)
    (t.shm / 'directory').mkdir()
    maker = in_child(lambda: make(t.shm / 'x'))
    equal(known(t, 'created', 'x')['pid'], maker)
    for i, root in enumerate((t.shm, t.root)):
        in_child(lambda: os.link(root / 'x', root / f'y{i}'))
        in_child(lambda: os.rename(root / f'y{i}', root / f'z{i}'))
        equal(settled(t, f'z{i}')[0]['created']['pid'], maker, str(root))
    in_child(lambda: os.link(t.shm / 'x', t.shm / 'directory' / 'x'))
    with opened(t.shm / 'x', os.O_RDWR):
        for name in 'x', 'z0', 'z1':
            in_child(lambda: os.unlink(t.shm / name))
        settled(t)
        inode = str(os.stat(t.shm / 'directory' / 'x').st_ino)
        nested = info(t, inode, 'nested')
        equal((nested['created'], nested['removed']), (None, None), 'to find it would take a walk')
        pid = in_child(lambda: os.unlink(t.shm / 'directory' / 'x'))
        last = known(t, 'removed', nameless(t, 'x'), 'unlinked')
        equal(last['pid'], pid, 'who took the last name, wherever it was')


@test(MOUNTED, ('-o', 'log'))
def an_object_that_another_one_replaces(t):
    needs_birth(t)
    for root in t.shm, t.root:
        make(t.shm / 'x')
        make(t.shm / 'new')
        settled(t)
        with opened(t.shm / 'x', os.O_RDWR):
            pid = in_child(lambda: os.rename(root / 'new', root / 'x'))
            equal(known(t, 'removed', nameless(t, 'x'), 'unlinked')['pid'], pid, str(root))
        equal(settled(t, 'x')[0]['created']['pid'], os.getpid())
        os.unlink(t.shm / 'x')


@test(MOUNTED, ('-o', 'log'))
def a_name_that_is_used_anew(t):
    """Each object has its own; what was done to the one before is not told of the next."""
    needs_birth(t)
    held = []
    for _ in range(3):
        maker = in_child(lambda: make(t.shm / 'x'))
        equal(known(t, 'created', 'x')['pid'], maker)
        held.append((os.open(t.shm / 'x', os.O_RDWR), maker, in_child(lambda: os.unlink(t.shm / 'x'))))
    settled(t)
    for fd, maker, remover in held:
        name, = (n for n in os.listdir(t.meta / 'unlinked') if n.endswith(f'-{os.fstat(fd).st_ino}'))
        found = info(t, name, 'unlinked')
        equal((found['created']['pid'], known(t, 'removed', name, 'unlinked')['pid']), (maker, remover))
        os.close(fd)


@test(MOUNTED)
def what_was_before_anybody_looked_is_not_known(t):
    """Objects made before the events were read, further names of them, and memory that no event names."""
    needs_birth(t)
    eventually(lambda: not watches(t.daemon), 'nobody watches any more')
    make(t.shm / 'old')
    fd = memfd('history')
    equal(info(t, 'old')['created'], None, 'nobody reads events')
    with Reader(t) as reader:
        os.link(t.shm / 'old', t.shm / 'link')
        make(t.shm / 'new')
        reader.until_told(t)
        eventually(lambda: info(t, 'new')['created'], 'who made the new one')
        equal([info(t, name)['created'] for name in ('old', 'link')], [None, None])
        inode = os.fstat(fd).st_ino
        memory = eventually(lambda: [n for n in os.listdir(t.meta / 'unlinked') if n.endswith(f'-{inode}')], 'memfd')
        found = info(t, memory[0], 'unlinked')
        equal((found['created'], found['removed']), (None, None))
        with opened(t.shm / 'old', os.O_RDWR):
            os.unlink(t.shm / 'link')
            os.unlink(t.shm / 'old')
            equal(known(t, 'removed', nameless(t, 'old'), 'unlinked')['pid'], os.getpid(), 'that was seen')
            equal(info(t, nameless(t, 'old'), 'unlinked')['created'], None)
    os.close(fd)
    eventually(lambda: info(t, 'new')['created'] is None, 'nobody reads events any more')


@test(MOUNTED, ('-o', 'log'))
def a_daemon_that_is_started_again_knows_nothing(t):
    needs_birth(t)
    make(t.shm / 'x')
    equal(known(t, 'created', 'x')['pid'], os.getpid())
    with opened(t.shm / 'x', os.O_RDWR) as fd:
        os.link(t.shm / 'x', t.shm / 'y')
        os.unlink(t.shm / 'x')
        t.stop()
        in_child(lambda: os.unlink(t.shm / 'y'))
        t.start()
        with Reader(t):
            make(t.shm / 'z')
        known(t, 'created', 'z')
        name, = (n for n in os.listdir(t.meta / 'unlinked') if n.endswith(f'-{os.fstat(fd).st_ino}'))
        found = info(t, name, 'unlinked')
        equal((found['created'], found['removed']), (None, None))


@test(MOUNTED, ('-o', 'log'))
def who_did_it_is_for_those_who_could_see(t):
    needs_birth(t)
    os.chmod(t.shm, 0o1777)
    os.chmod(t.private, 0o755)
    for alive in True, False:
        actor = subprocess.Popen(
            ['python3', '-c', 'import os, sys\n'
             f'os.close(os.open("{t.shm}/x", os.O_CREAT | os.O_RDWR, 0o666)); print(flush=True); sys.stdin.read()'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=USER, group=USER, extra_groups=[])
        actor.stdout.readline()
        if not alive:
            known(t, 'created', 'x')
            actor.communicate()

        def look(wanted):
            created = info(t, 'x')['created']
            check(created['time'], 'when it was, everybody may know')
            equal({k: created[k] for k in ('pid', 'uid', 'command', 'not_shown')}, wanted)

        shown = {'pid': actor.pid, 'uid': USER, 'command': 'python3', 'not_shown': 0}
        hidden = {'pid': None, 'uid': None, 'command': None, 'not_shown': 1}
        equal(known(t, 'created', 'x')['pid'], actor.pid, 'root sees it')
        equal(as_user(USER, USER, lambda: look(shown)), 0, f'{alive}')
        equal(as_user(OTHER, OTHER, lambda: look(hidden)), 0, f'{alive}')
        text = subprocess.run(['unshare', '-Ur', 'cat', t.meta / 'posix/x/info.json'], capture_output=True,
                              user=OTHER, group=OTHER, extra_groups=[], check=False).stdout
        check(not text or json.loads(text)['created']['not_shown'] == 1, text)
        if alive:
            actor.communicate()
        os.unlink(t.shm / 'x')


@test(MOUNTED, ('-o', 'log'))
def many_objects_that_go_away_push_out_none_that_stay(t):
    """More than are kept of objects that nobody can ask for any more."""
    needs_birth(t)
    maker = in_child(lambda: make(t.shm / 'stays'))
    equal(known(t, 'created', 'stays')['pid'], maker)

    def churn():
        for _ in range(1000):
            make(t.shm / 'c')
            os.unlink(t.shm / 'c')
    for _ in range(12):
        in_child(churn)
        settled(t)  # else the kernel may drop records, of which it keeps 16,384
    equal(settled(t, 'stays')[0]['created']['pid'], maker)
