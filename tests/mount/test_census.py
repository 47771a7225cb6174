# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts are the truth: helper processes map and hold a known number of times."""
import errno
import fcntl
import functools
import json
import mmap
import os
import signal
import struct
import subprocess
import threading

from harness import (MOUNTED, Mapper, as_user, equal, check, eventually, fails, opened, read, run, table,
                     test, write)

PAGE = mmap.PAGESIZE
BACKENDS = ('bpf', 'query', 'text')
PROCMAP_QUERY = 0xC0686611


def counts(t, name):
    return tuple(t.number(name, a) for a in ('mappings', 'processes', 'openers'))


@test(MOUNTED)
def three_processes_come_and_go(t):
    write(t.shm / 'x', bytes(PAGE))
    equal(counts(t, 'x'), (0, 0, 0))
    t.becomes_idle('x')
    mappers = []
    for i in range(3):
        mappers.append(Mapper(t.shm / 'x'))
        equal(counts(t, 'x'), (sum(range(i + 1)), i, i + 1))
        equal(mappers[-1](f'map {i + 1}'), i + 1)
        equal(t.attribute('x', 'state'), 'mapped')
    equal(counts(t, 'x'), (6, 3, 3))
    mappers[2]('unmap 2')
    equal(counts(t, 'x'), (4, 3, 3))
    mappers[2]('unmap 1')
    equal(counts(t, 'x'), (3, 2, 3))
    for left, mapper in ((2, mappers[0]), (0, mappers[1]), (0, mappers[2])):
        mapper.end()
        equal(t.number('x', 'mappings'), left)
    t.becomes_idle('x')


def has_procmap_query():
    """As the kernel itself answers: with an address of nobody's, or that it has no such request."""
    question = struct.pack('=13Q', 104, 0, 2**63, *[0] * 10)
    with open('/proc/self/maps', 'rb') as maps:
        try:
            fcntl.ioctl(maps, PROCMAP_QUERY, question)
        except OSError as error:
            return error.errno != errno.ENOTTY
    return True


@functools.cache
def works(t, backend):
    """Whether this machine has that back end; if not, the program must say what is missing."""
    place = t.private / 'elsewhere'
    place.mkdir(exist_ok=True)
    done = subprocess.run([t.program, place, '-o', f'census={backend}'], capture_output=True, check=False)
    if done.returncode == 0:
        run('umount', place)
    else:
        check(done.stderr.startswith(b'shmtree: census=%s does not work here: ' % backend.encode()), done.stderr)
    if backend != 'bpf':  # of which nothing else tells
        equal(done.returncode == 0, backend == 'text' or has_procmap_query(), f'census={backend} works')
    return done.returncode == 0


@test(MOUNTED)
def each_back_end_counts_the_same(t):
    write(t.shm / 'x', bytes(3 * PAGE))
    t.stop()
    with Mapper(t.shm / 'x') as one, Mapper(t.shm / 'x', 'r') as two:
        one('map 3')
        one('private 2')
        one('split')
        two('map 4')
        two('dup 3')
        for backend in BACKENDS:
            if not works(t, backend):
                continue
            t.start('-o', f'census={backend}')
            equal(t.status()['census'], backend)
            equal(counts(t, 'x'), (12, 2, 5), f'census={backend}')
            equal(len(t.rows('x', 'mappers')), 12)
            t.stop()
        t.start()
        equal(counts(t, 'x'), (12, 2, 5))
        equal(t.status()['census'], next(filter(lambda b: works(t, b), BACKENDS)), 'the best that works')


@test(MOUNTED)
def mappings_through_the_mount_count(t):
    write(t.shm / 'x', bytes(PAGE))
    with Mapper(t.root / 'x') as inside, Mapper(t.shm / 'x') as outside:
        inside('private 2')
        outside('map 1')
        if t.shared_mmap:
            inside('map 3')
        equal(counts(t, 'x'), (6 if t.shared_mmap else 3, 2, 2))
        pids = {int(row['PID']) for row in t.rows('x', 'mappers')}
        equal(pids, {inside.pid, outside.pid})
        inside('close')
        equal(counts(t, 'x'), (6 if t.shared_mmap else 3, 2, 1))


@test(MOUNTED)
def the_daemon_does_not_count(t):
    """Not its descriptors, nor those of passthrough, nor its mappings, whatever it does for others."""
    write(t.root / 'x', bytes(PAGE))
    with opened(t.root / 'x', os.O_RDWR) as one, opened(t.root / 'x', os.O_RDONLY):
        os.pwrite(one, b'abc', 0)
        os.pread(one, 3, 0)
        equal(counts(t, 'x'), (0, 0, 2))
        equal(t.attribute('x', 'state'), 'open')
        equal({int(row['PID']) for row in t.rows('x', 'holders')}, {os.getpid()})
    equal(counts(t, 'x'), (0, 0, 0))
    t.becomes_idle('x')


@test(MOUNTED)
def fork_exec_vfork_threads(t):
    write(t.shm / 'x', bytes(PAGE))
    with Mapper(t.shm / 'x') as mapper:
        mapper('map 5')
        mapper('threads 8')
        equal(counts(t, 'x'), (5, 1, 1), 'threads are one address space')
        mapper('vfork')
        equal(t.number('x', 'mappings'), 5, 'a vforked child is in the same one')
        equal(t.number('x', 'processes'), 1)
        mapper('fork')
        equal(t.number('x', 'mappings'), 10, 'a forked child has its own')
        equal(t.number('x', 'processes'), 2)
    eventually(lambda: counts(t, 'x') == (0, 0, 0), 'the children of a mapper end after it')
    with Mapper(t.shm / 'x') as mapper:
        mapper('map 7')
        equal(mapper('exec'), mapper.pid)
        equal(counts(t, 'x'), (0, 0, 1), 'exec leaves none')
        mapper('map 2')
        equal(counts(t, 'x'), (2, 1, 1), 'and the process is read anew')


@test(MOUNTED)
def a_process_whose_first_thread_has_exited(t):
    write(t.shm / 'x', bytes(PAGE))
    with Mapper(t.shm / 'x') as mapper:
        mapper('map 3')
        mapper('retire')
        stat = f'/proc/{mapper.pid}/stat'
        eventually(lambda: read(stat).rsplit(b')', 1)[1].split()[0] == b'Z', 'the leader is a zombie')
        equal(counts(t, 'x'), (3, 1, 1))
        equal(t.attribute('x', 'state'), 'mapped')
        mapper('map 1')
        equal(counts(t, 'x'), (4, 1, 1))
        equal({int(row['PID']) for row in t.rows('x', 'mappers')}, {mapper.pid})


@test(MOUNTED)
def many_mappings_of_one_process(t):
    """More than a page of /proc/PID/maps, many times over."""
    write(t.shm / 'x', bytes(PAGE))
    with Mapper(t.shm / 'x') as mapper:
        mapper('map 20000')
        equal(counts(t, 'x'), (20000, 1, 1))
        rows = t.rows('x', 'mappers')
        equal(len(rows), 20000)
        equal(len({row['START'] for row in rows}), 20000, 'each once')
        mapper('unmap 19999')
        equal(counts(t, 'x'), (1, 1, 1))


@test(MOUNTED)
def a_thousand_mappings_made_and_undone_meanwhile(t):
    """What stays is counted each time, what comes and goes at most as often as it is there."""
    write(t.shm / 'x', bytes(PAGE))
    write(t.shm / 'y', bytes(PAGE))
    with Mapper(t.shm / 'x') as steady, Mapper(t.shm / 'x') as churning, Mapper(t.shm / 'y') as other:
        steady('map 17')
        other('map 5')
        churning('map 4')
        churning('churn 1000')
        for _ in range(60):
            got = t.number('x', 'mappings')
            check(21 <= got <= 1021, f'{got} mappings, of which 21 stay and 1000 come and go')
            equal(t.number('x', 'processes'), 2)
            equal(t.number('y', 'mappings'), 5)
        check(churning('calm') > 0, 'it did come and go')
        equal(counts(t, 'x'), (21, 2, 2))


@test(MOUNTED)
def a_mapping_made_before_the_open_is_in_it(t):
    write(t.shm / 'x', bytes(PAGE))
    with Mapper(t.shm / 'x') as mapper:
        for i in range(1, 200):
            mapper('map 1')
            equal(t.number('x', 'mappings'), i)


@test(MOUNTED)
def readers_at_once_all_get_the_truth(t):
    write(t.shm / 'x', bytes(PAGE))
    with Mapper(t.shm / 'x') as mapper:
        for i in range(1, 20):
            mapper('map 1')
            got = []
            threads = [threading.Thread(target=lambda: got.append(t.number('x', 'mappings')))
                       for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            equal(got, [i] * 16)  # a reader that failed is missing


@test(MOUNTED)
def names_that_lie(t):
    names = [b'x (deleted)', b'two  words', b'new\nline', b'tab\tbed', b'back\\slash', b'\xff\xfe',
             b'-', b'sem.like', b'SYSV00000000 (deleted)', b'memfd:x', 'ünïcode'.encode(), b'n' * 255,
             b'x']
    shm = os.fsencode(t.shm)
    mappers = []
    for i, name in enumerate(names, 1):
        write(os.path.join(shm, name), bytes(PAGE))
        mappers.append(Mapper(os.fsdecode(os.path.join(shm, name))))
        mappers[-1](f'map {i}')
    posix = os.fsencode(t.meta / 'posix')
    equal(set(os.listdir(posix)), set(names))
    for i, name in enumerate(names, 1):
        equal(read(os.path.join(posix, name, b'mappings')), b'%d\n' % i, name)
        equal(read(os.path.join(posix, name, b'processes')), b'1\n', name)
    rows = [r for r in table(read(t.meta / 'segments'))[0] if r['KIND'] == b'posix']
    equal({r['NAME']: int(r['MAPPINGS']) for r in rows}, {n: i for i, n in enumerate(names, 1)})
    for mapper in mappers:
        mapper.end()


@test(MOUNTED)
def a_deleted_namesake_does_not_count(t):
    write(t.shm / 'x', bytes(PAGE))
    with Mapper(t.shm / 'x') as old:
        old('map 9')
        os.unlink(t.shm / 'x')
        fails(errno.ENOENT, read, t.meta / 'posix' / 'x' / 'mappings')
        write(t.shm / 'x', bytes(PAGE))
        equal(counts(t, 'x'), (0, 0, 0))
        t.becomes_idle('x')
        write(t.shm / 'x (deleted)', bytes(PAGE))
        equal(counts(t, 'x (deleted)'), (0, 0, 0))


@test(MOUNTED)
def two_names_of_one_object(t):
    write(t.shm / 'a', bytes(PAGE))
    os.link(t.shm / 'a', t.shm / 'b')
    with Mapper(t.shm / 'a') as one, Mapper(t.shm / 'b') as two:
        one('map 1')
        two('map 2')
        equal(counts(t, 'a'), (3, 2, 2))
        equal(counts(t, 'b'), (3, 2, 2))


@test(MOUNTED)
def renamed_while_mapped(t):
    write(t.shm / 'a', bytes(PAGE))
    with Mapper(t.shm / 'a') as mapper:
        mapper('map 2')
        os.rename(t.root / 'a', t.root / 'b')
        fails(errno.ENOENT, read, t.meta / 'posix' / 'a' / 'mappings')
        equal(counts(t, 'b'), (2, 1, 1))


@test(MOUNTED)
def rows_of_mappers(t):
    write(t.shm / 'x', bytes(3 * PAGE))
    with Mapper(t.shm / 'x') as mapper, Mapper(t.shm / 'x', 'r', user=None) as reader:
        mapper('split')
        reader('map 1')
        wanted = set()
        for pid in mapper.pid, reader.pid:
            for line in read(f'/proc/{pid}/maps').decode().splitlines():
                if line.endswith('/dev/shm/x'):
                    place, perms, offset = line.split()[:3]
                    start, end = place.split('-')
                    wanted.add((pid, 0, 'mapper', int(start, 16), int(end, 16), perms,
                                int(offset, 16)))
        equal(len(wanted), 4)
        rows = t.rows('x', 'mappers')
        equal(list(rows[0]), 'PID UID COMMAND START END PERMS OFFSET BORN UNIT CMDLINE'.split())
        got = {(int(r['PID']), int(r['UID']), r['COMMAND'].decode(), int(r['START'], 16),
                int(r['END'], 16), r['PERMS'].decode(), int(r['OFFSET'])) for r in rows}
        equal(got, wanted)


@test(MOUNTED)
def rows_of_holders(t):
    write(t.shm / 'x', b'')
    with opened(t.shm / 'x', os.O_RDONLY) as one, opened(t.root / 'x', os.O_RDWR) as two, \
            opened(t.shm / 'x', os.O_WRONLY) as three:
        rows = t.rows('x', 'holders')
        equal(list(rows[0]), 'PID UID COMMAND FD MODE BORN UNIT CMDLINE'.split())
        equal({int(r['PID']) for r in rows}, {os.getpid()})
        equal({int(r['FD']): r['MODE'].decode() for r in rows}, {one: 'r', two: 'rw', three: 'w'})


@test(MOUNTED)
def resident_bytes(t):
    write(t.shm / 'x', bytes(5 * PAGE))
    os.truncate(t.shm / 'x', 100 * PAGE)
    equal(t.number('x', 'resident'), 5 * PAGE)
    equal(t.number('x', 'swapped'), 0)
    equal(os.stat(t.shm / 'x').st_blocks, 5 * PAGE // 512, 'looking brought no page in')


@test(MOUNTED)
def what_has_a_name_in_a_directory_is_not_unlinked(t):
    (t.shm / 'directory').mkdir()
    write(t.shm / 'directory' / 'x', bytes(PAGE))
    with Mapper(t.shm / 'directory' / 'x') as mapper:
        mapper('map 3')
        identity = f"posix-x-{os.stat(t.shm / 'directory' / 'x').st_ino}"
        check(identity not in os.listdir(t.meta / 'unlinked'), 'it has a name')
        os.unlink(t.shm / 'directory' / 'x')
        check(identity in os.listdir(t.meta / 'unlinked'), 'it has none')


@test(MOUNTED)
def a_lease_outlives_the_question_what_is_resident(t):
    with open('/proc/meminfo', encoding='ascii') as file:
        swap = dict(line.split()[:2] for line in file)
    write(t.shm / 'x', bytes(PAGE))
    with opened(t.shm / 'x', os.O_RDWR) as fd:
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        if swap['SwapTotal:'] == swap['SwapFree:']:
            equal(t.number('x', 'resident'), PAGE)
            equal(fcntl.fcntl(fd, fcntl.F_GETLEASE), fcntl.F_WRLCK, 'nobody was asked for it')
        else:
            equal(t.attribute('x', 'resident'), 'unknown')
            equal(json.loads(read(t.meta / 'posix' / 'x' / 'info.json'))['resident'], None)


@test(MOUNTED)
def counts_are_for_everyone_rows_for_their_own(t):
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)
    with Mapper(t.shm / 'x') as roots, Mapper(t.shm / 'x', user=1234) as theirs:
        roots('map 3')
        theirs('map 2')
        equal(len(t.rows('x', 'mappers')), 5)

        def look():
            equal(t.number('x', 'mappings'), 5)
            rows, remarks = table(read(t.meta / 'posix' / 'x' / 'mappers'))
            equal([int(r['PID']) for r in rows], [theirs.pid] * 2)
            check(len(remarks) == 1 and '3' in remarks[0], f'a last line counts the others: {remarks}')
            rows, remarks = table(read(t.meta / 'posix' / 'x' / 'holders'))
            equal([int(r['PID']) for r in rows], [theirs.pid])
            check(len(remarks) == 1 and '1' in remarks[0], f'a last line counts the others: {remarks}')
        equal(as_user(1234, 1234, look), 0)
