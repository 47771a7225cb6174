# SPDX-License-Identifier: GPL-2.0-or-later
"""`events` and `log`: what happens to segments, as it happens."""
import errno
import json
import mmap
import os
import pathlib
import select
import signal
import subprocess
import threading
import time

from harness import (MOUNTED, PATIENCE, check, equal, eventually, fails, json_bytes, opened, read, rename2, run,
                     skip, test, write, RENAME_EXCHANGE)
from shortage import without_descriptors
from watching import Reader, in_child, needs_fanotify, nobody_reads, reads

PAGE = mmap.PAGESIZE
USER, OTHER = 12345, 12346
QUIET = ('opened', 'closed', 'mapped', 'unmapped', 'idle')


def told(events, *quiet):
    """What is told of objects, but for what is of no interest and the end."""
    return [(e['event'], e['name'], e['pid']) for e in events
            if e['event'] not in (quiet or QUIET) and e['kind'] == 'posix' and e['name'] != 'the-end']


def some_calls(root):
    fd = os.open(root / 'a', os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600)
    os.ftruncate(fd, PAGE)
    os.close(fd)
    os.rename(root / 'a', root / 'b')
    os.unlink(root / 'b')


@test(MOUNTED)
def what_happens_is_told_once_with_who_did_it(t):
    needs_fanotify(t)
    for root in t.shm, t.root:
        with Reader(t) as reader:
            pid = in_child(lambda: some_calls(root))
            # Through the mount, the daemon hears of the close a moment later.
            reader.until(lambda e: e['event'] == 'closed' and e['name'] in 'ab', 'closed')
            reader.until_told(t)
            events = told(reader.all)
            equal([e for e in events if e[0] != 'resized'],
                  [('created', 'a', pid), ('renamed', 'b', pid), ('removed', 'b', pid)], str(root))
            check(len(events) <= 4, events)
            opens = told(reader.all, *set(QUIET) - {'opened'} | {'created', 'renamed', 'removed', 'resized'})
            equal(opens, [('opened', 'a', pid)], f'{root}: {reader.all}')
            closes = [e for e in reader.all if e['event'] == 'closed' and e['name'] in 'ab']
            equal([e['kind'] for e in closes], ['posix'], closes)


@test(MOUNTED)
def an_event_says_what_and_who(t):
    needs_fanotify(t)
    with Reader(t) as reader:
        write(t.shm / 'x', b'1234')
        reader.until(lambda e: e['event'] == 'created', 'created')
        fd = os.open(t.shm / 'x', os.O_RDONLY)
        os.truncate(t.root / 'x', 3 * PAGE)
        event = reader.until(lambda e: e['event'] == 'resized' and e['size'] == 3 * PAGE, 'resized')
        os.close(fd)
    born = int(pathlib.Path('/proc/self/stat').read_text().rpartition(') ')[2].split()[19])
    wanted = {'event': 'resized', 'kind': 'posix', 'id': 'x', 'name': 'x',
              'inode': os.stat(t.shm / 'x').st_ino, 'size': 3 * PAGE, 'pid': os.getpid(), 'born': born,
              'uid': os.getuid(), 'command': pathlib.Path('/proc/self/comm').read_text()[:-1]}
    equal({k: event[k] for k in wanted}, wanted)
    check(abs(event['time'] - time.time()) < 60, event)
    equal(set(event), set(wanted) | {'time', 'unit'})


@test(MOUNTED)
def it_is_read_in_pieces_of_any_size(t):
    with opened(t.meta / 'events', os.O_RDONLY) as fd:
        for name in 'first', 'second':
            write(t.root / name, b'x')
        text = b''
        while b'"second"' not in text or not text.endswith(b'\n'):
            text += os.read(fd, 7)
    events = [json.loads(line) for line in text.splitlines()]
    # Other processes may create memory without a name meanwhile.
    names = [e['name'] for e in events if (e['event'], e.get('kind')) == ('created', 'posix')]
    equal(names, ['first', 'second'])


@test(MOUNTED)
def names_that_are_hard_to_write(t):
    needs_fanotify(t)
    names = (b'quo"te', b'back\\slash', b'new\nline', b'\xff\xfe', b'x' * 255)
    with Reader(t) as reader:
        for name in names:
            write(os.path.join(os.fsencode(t.root), name), b'')
        reader.until_told(t)
    equal([json_bytes(e, 'name') for e in reader.all if (e['event'], e['kind']) == ('created', 'posix')][:-1],
          list(names))


@test(MOUNTED)
def exchange_link_and_idle_removal(t):
    needs_fanotify(t)
    for name in 'a', 'b':
        write(t.shm / name, name.encode())
    with Reader(t) as reader:
        rename2(t.root / 'a', t.root / 'b', RENAME_EXCHANGE)
        os.link(t.root / 'a', t.root / 'c')
        eventually(lambda: t.attribute('b', 'state') == 'idle', 'b is idle')
        os.rmdir(t.meta / 'posix' / 'b')
        reader.until_told(t)
    pid = os.getpid()
    equal(told(reader.all), [('renamed', 'b', pid), ('renamed', 'a', pid), ('created', 'c', pid),
                             ('removed', 'b', pid)])


def lines_of(process):
    """Collects its lines in the background."""
    lines = []

    def collect():
        for line in process.stdout:
            lines.append(line)
    threading.Thread(target=collect, daemon=True).start()
    return lines


@test(MOUNTED)
def usual_programs_follow_it(t):
    needs_fanotify(t)
    path = os.fspath(t.meta / 'events')
    programs = {
        'cat': ['cat', path],
        'tail': ['tail', '-f', path],
        'python': ['python3', '-uc', f'for line in open({path!r}): print(line, end="", flush=True)'],
        'jq': ['jq', '--unbuffered', '-c', '.', path],
    }
    running = {name: subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
               for name, command in programs.items() if name != 'jq' or run('sh', '-c', 'command -v jq || true')}
    lines = {name: lines_of(process) for name, process in running.items()}
    eventually(lambda: int(t.status()['event_readers']) == len(running), 'all read')
    # tail looks for the end of the file first, and follows after that.
    eventually(lambda: all(waits(p.pid) for p in running.values()), 'all wait')
    for i in range(3):
        write(t.shm / f'object-{i}', b'')
        for name in running:
            eventually(lambda: any(f'object-{i}"'.encode() in line and b'created' in line for line in lines[name]),
                       f'{name} has seen object {i}')
    for name, process in running.items():
        seen = [json.loads(line) for line in lines[name]]
        equal([e['name'] for e in seen if (e['event'], e['kind']) == ('created', 'posix')], [f'object-{i}' for i in range(3)], name)
        process.terminate()
        process.wait()
    nobody_reads(t)
    eventually(lambda: t.status()['events'] == 'off', 'nothing is watched')


def waits(pid):
    return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2][0] in 'SD'


@test(MOUNTED)
def poll_and_signals(t):
    needs_fanotify(t)
    with opened(t.meta / 'events', os.O_RDONLY | os.O_NONBLOCK) as fd:
        poll = select.poll()
        poll.register(fd, select.POLLIN)

        def nothing_to_read():
            try:
                os.read(fd, 1 << 16)
            except BlockingIOError:
                return poll.poll(0) == []
            return False  # what else happens on the machine is told, too
        eventually(nothing_to_read, 'read(2) and poll(2) say that there is nothing')
        threading.Timer(0.05, lambda: write(t.shm / 'x', b'')).start()
        # Unlike poll(2), which asks again at its end, this one returns nothing if nobody has woken it.
        with select.epoll() as waking:
            waking.register(fd, select.EPOLLIN)
            equal(waking.poll(PATIENCE), [(fd, select.EPOLLIN)])
        equal(poll.poll(0), [(fd, select.POLLIN)])
        equal(os.read(fd, 8), b'{"time":')
        equal(poll.poll(0), [(fd, select.POLLIN)], 'there is more of that piece')
        while True:
            try:
                os.read(fd, 1 << 16)
            except BlockingIOError:
                if not poll.poll(100):
                    break
        os.set_blocking(fd, True)

        class Alarm(Exception):
            """The signal has come."""

        def on_alarm(*_):
            raise Alarm
        signal.signal(signal.SIGALRM, on_alarm)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            while True:  # what else happens on the machine is told, too
                os.read(fd, 100)
        except Alarm:
            pass
        os.unlink(t.shm / 'x')
        signal.setitimer(signal.ITIMER_REAL, 30)
        data = b''
        while b'"removed"' not in data:
            data += os.read(fd, 1000)
        signal.setitimer(signal.ITIMER_REAL, 0)


@test(MOUNTED)
def waiting_readers_hold_up_nobody(t):
    """More of them than the daemon has threads; each has a place of its own."""
    needs_fanotify(t)
    children = []
    for _ in range(230):
        pid = os.fork()
        if pid == 0:
            with open(t.meta / 'events', 'rb') as file:
                os._exit(0 if any(b'"wakes-all"' in line for line in file) else 1)
        children.append(pid)
    eventually(lambda: int(t.status()['event_readers']) == len(children), 'all read')
    eventually(lambda: t.waiting() >= len(children), 'all wait')
    write(t.root / 'y', b'1')
    equal(read(t.root / 'y'), b'1')
    equal(t.attribute('y', 'mappings'), '0')
    write(t.shm / 'wakes-all', b'')
    for pid in children:
        equal(os.waitpid(pid, 0)[1], 0, 'status of a reader')
    nobody_reads(t)


@test(MOUNTED, ends_open=True)
def the_end_of_the_daemon_is_that_of_the_file(t):
    process = subprocess.Popen(['cat', t.meta / 'events'], stdout=subprocess.PIPE)
    eventually(lambda: reads(process, t.meta / 'events'), 'cat reads')
    t.status()  # the daemon has taken what came before
    daemon, t.daemon = t.daemon, None
    daemon.send_signal(signal.SIGTERM)
    equal(daemon.wait(30), 0)
    equal(process.wait(30), 0, 'status of cat')
    process.stdout.close()


@test(MOUNTED)
def a_sweep_over_all_files_does_not_meet_it(t):
    check('events' not in os.listdir(t.meta), os.listdir(t.meta))
    check(os.stat(t.meta / 'events').st_size > 0, 'it is there')
    fails(errno.EACCES, os.open, t.meta / 'events', os.O_RDWR)


@test(MOUNTED, ('-o', 'log=3'))
def the_log_has_the_last_events(t):
    needs_fanotify(t)
    for i in range(5):
        os.mknod(t.shm / f'x{i}')
    def three():
        events = [json.loads(line) for line in read(t.meta / 'log').splitlines()]
        check(len(events) <= 3, events)
        return {e['name'] for e in events} & {'x4'}
    eventually(three, 'the last of three')
    equal(t.status()['events'], 'on')
    check('log' in os.listdir(t.meta), 'it is listed')


@test(MOUNTED, ('-o', 'log'))
def names_that_are_not_shown_are_names_outside(t):
    """Also one that begins as the daemon's own, while it removes an object, and the reserved one."""
    needs_fanotify(t)
    hidden = t.shm / '.shmtree-removing.victim'
    os.mknod(hidden)
    os.unlink(hidden)
    os.mknod(t.shm / 'a')
    os.rename(t.shm / 'a', hidden)
    os.rename(hidden, t.shm / 'b')
    os.rename(t.shm / 'b', t.shm / '.shmtree')
    os.unlink(t.shm / '.shmtree')
    os.mknod(t.shm / 'end')

    def told():
        events = [json.loads(line) for line in read(t.meta / 'log').splitlines()]
        named = [(e['event'], e['name']) for e in events if e['event'] in ('created', 'renamed', 'removed')
                 and e['name'] != 'the-beginning']
        return named if ('created', 'end') in named else None
    equal(eventually(told, 'the end'), [('created', 'a'), ('removed', 'a'), ('created', 'b'),
                                        ('removed', 'b'), ('created', 'end')])


@test(MOUNTED)
def without_the_option_there_is_no_log(t):
    check('log' not in os.listdir(t.meta), os.listdir(t.meta))
    fails(errno.ENOENT, os.stat, t.meta / 'log')


@test(MOUNTED)
def who_did_it_is_for_those_who_could_see(t):
    needs_fanotify(t)
    os.chmod(t.shm, 0o1777)
    os.chmod(t.private, 0o755)
    results = {}
    for reader_uid in 0, USER, OTHER:
        # What the reader before was told may be told again: a name for each.
        mine = f'mine-{reader_uid}'
        gate, out = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setresgid(reader_uid, reader_uid, reader_uid)
            os.setresuid(reader_uid, reader_uid, reader_uid)
            fd = os.open(t.meta / 'events', os.O_RDONLY)
            os.write(gate[1], b'r')
            data = b''
            while not any(b'"removed"' in line and mine.encode() in line for line in data.splitlines()):
                data += os.read(fd, 1 << 16)
            os.write(out[1], data)
            os._exit(0)
        os.read(gate[0], 1)
        actor = os.fork()
        if actor == 0:
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            # A new program: what changed its user is not dumpable.
            os.execvp('python3', ['python3', '-c', 'import os, signal\n'
                                  f'os.mknod("{t.shm}/{mine}"); os.unlink("{t.shm}/{mine}"); signal.pause()'])
        results[reader_uid] = ([json.loads(x) for x in os.read(out[0], 1 << 16).splitlines()], actor)
        os.kill(actor, signal.SIGKILL)
        for child in pid, actor:
            os.waitpid(child, 0)
        for fd in gate + out:
            os.close(fd)
    for uid, (events, actor) in results.items():
        # Of what a walk finds meanwhile it is told that it is idle, by nobody.
        seen = {(e['pid'], e['uid'], e['command']) for e in events
                if e.get('name') == f'mine-{uid}' and e['event'] in ('created', 'removed')}
        wanted = {(None, None, None)} if uid == OTHER else {(actor, USER, 'python3')}
        equal(seen, wanted, f'as {uid}')


@test(MOUNTED)
def what_is_lost_is_told(t):
    """A reader that does not read, while more happens than is kept."""
    needs_fanotify(t)

    def much(first):
        for i in range(first, first + 1000):
            os.close(os.open(t.shm / f'{i % 100:0200}', os.O_CREAT | os.O_RDWR))
            if i % 2:
                os.unlink(t.shm / f'{i % 100:0200}')
    with Reader(t) as slow, Reader(t) as fast:
        for first in range(0, 20000, 1000):
            in_child(lambda: much(first))
            fast.until_told(t)  # else the kernel may have to drop some, and the daemon has all that it is told
            fast.all.clear()
        slow.until(lambda e: e['event'] == 'lost', 'the loss')
        slow.until_told(t)
        equal(slow.all[0]['event'], 'lost', 'the first thing told')
    write(t.root / 'z', b'1')
    equal(read(t.root / 'z'), b'1')


def of_kind(reader, kind, event, **wanted):
    return reader.until(lambda e: e['kind'] == kind and e['event'] == event and
                        all(e[k] == v for k, v in wanted.items()), f'{kind} {event} {wanted}')


@test(MOUNTED)
def what_has_no_name_is_found_by_walks(t):
    name = f'walk-{os.getpid()}'
    with Reader(t) as reader:
        fd = os.memfd_create(name)
        inode = of_kind(reader, 'memfd', 'created', name=name)['inode']
        equal(inode, os.fstat(fd).st_ino)
        os.ftruncate(fd, 3 * PAGE)
        of_kind(reader, 'memfd', 'resized', name=name, size=3 * PAGE)
        memory = mmap.mmap(fd, PAGE)
        of_kind(reader, 'memfd', 'mapped', name=name, pid=os.getpid())
        memory.close()
        of_kind(reader, 'memfd', 'unmapped', name=name)
        os.close(fd)
        of_kind(reader, 'memfd', 'removed', name=name, inode=inode)
        equal([e['event'] for e in reader.all if e.get('name') == name and e['kind'] == 'memfd'],
              ['created', 'resized', 'mapped', 'unmapped', 'removed'])


def times_slept(daemon, thread):
    """How often a thread of that name has waited for something."""
    for task in pathlib.Path(f'/proc/{daemon.pid}/task').iterdir():
        if (task / 'comm').read_text() == f'{thread}\n':
            return int((task / 'status').read_text().partition('\nvoluntary_ctxt_switches:')[2].split()[0])
    return 0


@test(MOUNTED)
def what_cannot_be_listed_is_not_gone(t):
    """While no census can be made; a walk waits less than a dozen times."""
    name = f'walk-{os.getpid()}'
    with Reader(t) as reader:
        fd = os.memfd_create(name)
        of_kind(reader, 'memfd', 'created', name=name)
        with without_descriptors(t.daemon):
            slept = times_slept(t.daemon, 'walks')
            # Where walks take long, there are fewer. Of the one that was under way the rest does not count.
            eventually(lambda: times_slept(t.daemon, 'walks') > slept + 24, 'a walk has been tried', 2 * PATIENCE)
        os.ftruncate(fd, PAGE)
        of_kind(reader, 'memfd', 'resized', name=name)
        os.close(fd)
        of_kind(reader, 'memfd', 'removed', name=name)
        equal([e['event'] for e in reader.all if e.get('name') == name and e['kind'] == 'memfd'],
              ['created', 'resized', 'removed'])


@test(MOUNTED)
def system_v_segments_made_and_removed_through_the_mount(t):
    with Reader(t) as reader:
        os.mkdir(t.meta / 'sysv' / 'private:4096')
        event = of_kind(reader, 'sysv', 'created', size=4096, pid=os.getpid())
        os.rmdir(t.meta / 'sysv' / event['id'])
        of_kind(reader, 'sysv', 'removed', id=event['id'], pid=os.getpid())


@test(MOUNTED)
def use_of_an_object_is_told(t):
    if t.status()['object_census'] != 'on':
        skip('nothing tells what is idle')
    write(t.shm / 'x', bytes(PAGE))
    with Reader(t) as reader:
        with opened(t.shm / 'x', os.O_RDWR) as fd:
            memory = mmap.mmap(fd, PAGE)
        of_kind(reader, 'posix', 'mapped', name='x', pid=os.getpid())
        memory.close()
        of_kind(reader, 'posix', 'unmapped', name='x')
        of_kind(reader, 'posix', 'idle', name='x')
