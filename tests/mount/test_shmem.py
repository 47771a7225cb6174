# SPDX-License-Identifier: GPL-2.0-or-later
"""Does it add up: the file memory, files in directories below the tmpfs, and unreadable."""
import errno
import mmap
import os
import re
import subprocess
import sys

from harness import (MOUNTED, as_user, check, equal, eventually, fails, opened, read, run, skip, table, test,
                     write)
from ipc import (Attached, Child, OTHER, SHM_HUGETLB, USER, anonymous, attribute, huge_pages, ipc_test, map_alone,
                 memfd, new_segment, shm_remove)
from shortage import contain

PAGE = mmap.PAGESIZE
MIB = 1 << 20
MFD_HUGETLB, MAP_HUGETLB = 4, 0x40000


def memory(t):
    rows = table(read(t.meta / 'memory'))[0]
    return {(r['OF'].decode(), r['PART'].decode()): int(r['BYTES']) for r in rows}


def used(t):
    fs = os.statvfs(t.shm)
    return (fs.f_blocks - fs.f_bfree) * fs.f_frsize


@test(MOUNTED)
def the_tmpfs_adds_up(t):
    """By kind, each object once; with and without the kernel's list of inodes."""
    write(t.shm / 'x', bytes(3 * PAGE))
    os.link(t.shm / 'x', t.shm / 'y')
    os.mkdir(t.shm / 'below')
    write(t.shm / 'below' / 'deep', bytes(2 * PAGE))
    with opened(t.shm / 'gone', os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, bytes(4 * PAGE))
        os.unlink(t.shm / 'gone')
        for options in ((), ('-o', 'object_census=off')):
            t.stop()
            t.start(*options)
            found = memory(t)
            equal([found['tmpfs', part] // PAGE for part in ('used', 'posix', 'nested', 'unlinked')],
                  [used(t) // PAGE, 3, 2, 4])
            equal(found['tmpfs', 'unexplained'], 0)
            lines = read(t.meta / 'memory').splitlines()
            rows = [line for line in lines if not line.startswith(b'#')]
            check(rows[-1].startswith(b'Shmem\tunexplained\t'), 'the last row')
            without = b"# without the kernel's lists of inodes ("
            equal(any(line.startswith(without) for line in lines[len(rows):]),
                  t.status()['object_census'] != 'on', 'it says what it is made from')


@ipc_test
def huge_pages_add_up(t):
    """By kind, and the files of a hugetlbfs of a user by its mount point; private ones are nobody's files."""
    if t.status()['object_census'] != 'on':
        skip('the object census is off')
    with huge_pages(8):
        before = memory(t)
        place = t.private / 'huge'
        place.mkdir()
        subprocess.run(['mount', '-t', 'hugetlbfs', '-o', 'pagesize=2M', 'x', place], check=True)
        held = []
        for fd, pages in ((os.open(place / 'x', os.O_RDWR | os.O_CREAT), 3), (os.memfd_create('x', MFD_HUGETLB), 2)):
            os.ftruncate(fd, 2 * pages * MIB)
            held.append(mmap.mmap(fd, 2 * pages * MIB))
            os.close(fd)
        held.append(mmap.mmap(-1, 2 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB))
        for area in held:
            for at in range(0, len(area), 2 * MIB):
                area[at] = 1
        shmid = new_segment(2 * MIB, mode=0o600 | SHM_HUGETLB)
        with Attached(shmid) as segment:
            segment[0] = b'x'
            after = memory(t)
            for part, pages in (('used', 7), (f'hugetlbfs:{place}', 3), ('memfd', 2), ('sysv', 1),
                                ('anon', 0), ('free', -7), ('unexplained', 1)):
                what = 'hugepages-2048kB', part
                equal(after[what] - before.get(what, 0), pages * 2 * MIB, part)
        rows = {part: v for (of, part), v in after.items() if of == 'hugepages-2048kB' and part != 'free'}
        equal(sum(rows.values()), 2 * rows['used'], 'they add up')
        equal(list(rows)[0], 'used')
        for area in held:
            area.close()
        shm_remove(shmid)
        subprocess.run(['umount', place], check=True)


@ipc_test
def shmem_adds_up(t):
    """The kernel's own sum, within what it keeps by processor and what others do meanwhile."""
    if t.status()['object_census'] != 'on':
        skip('the object census is off')
    before = memory(t)
    machine = 'sysv', 'memfd', 'anon'  # of which other processes may free some meanwhile
    shmid = new_segment(8 * MIB, b'x' * 8 * MIB)
    small = t.private / 'another'
    small.mkdir()
    subprocess.run(['mount', '-t', 'tmpfs', 'x', small], check=True)
    write(small / 'x', bytes(9 * MIB))
    fd = memfd('big', bytes(10 * MIB))
    memory_of_ours = anonymous(b'x' * 11 * MIB, 11 * MIB)
    write(t.shm / 'x', bytes(2 * MIB))
    after = memory(t)
    grown = {part: after['Shmem', part] - (0 if part in machine else before.get(('Shmem', part), 0))
             for part in ('total', 'sysv', 'memfd', 'anon', 'posix', f'tmpfs:{small}')}
    for part, size in (('sysv', 8), ('memfd', 10), ('anon', 11), ('posix', 2), (f'tmpfs:{small}', 9)):
        check(grown[part] >= size * MIB - MIB, (part, grown))
    equal(sum(v for (of, part), v in after.items() if of == 'Shmem' and part != 'total'),
          after['Shmem', 'total'])
    eventually(lambda: abs(memory(t)['Shmem', 'unexplained']) < 8 * MIB, 'all of it is explained')
    subprocess.run(['umount', small], check=True)
    os.close(fd)
    memory_of_ours.close()
    shm_remove(shmid)


@test(MOUNTED)
def files_in_directories(t):
    place = t.shm / 'joblib_4711'
    os.mkdir(place)
    os.chmod(place, 0o755)
    write(place / 'input', b'x' * PAGE)
    ino = os.stat(place / 'input').st_ino
    here = t.meta / 'nested' / str(ino)
    equal(os.listdir(t.meta / 'nested'), [str(ino)])
    with Child(lambda: map_alone(place / 'input', PAGE)) as child:
        row, = (r for r in table(read(t.meta / 'segments'))[0] if r['KIND'] == b'nested')
        equal((row['ID'].decode(), row['NAME'], row['MAPPINGS'], row['STATE'], int(row['ALLOCATED'])),
              (str(ino), b'joblib_4711/input', b'1', b'mapped', PAGE))
        equal([int(r['PID']) for r in table(read(here / 'mappers'))[0]], [child.pid])
    equal(read(here / 'path'), b'joblib_4711/input\n')
    equal(read(here / 'data'), b'x' * PAGE)
    write(here / 'data', b'y')
    equal(read(place / 'input'), b'y')
    status = t.status()
    equal((status['nested_segments'], status['nested_allocated']), ('1', str(PAGE)))
    fails(errno.EPERM, os.rmdir, here)
    os.link(place / 'input', t.shm / 'named')
    equal(os.listdir(t.meta / 'nested'), [], 'it is an object')
    os.unlink(t.shm / 'named')
    os.rename(place / 'input', place / 'renamed')
    equal(read(here / 'path'), b'joblib_4711/renamed\n')
    for name in ('0', '-1', 'x', '01', '99999999999999999999999', str(ino + 1)):
        fails(errno.ENOENT, os.stat, t.meta / 'nested' / name)
    os.unlink(place / 'renamed')
    fails(errno.ENOENT, os.stat, here)


@test(MOUNTED)
def a_closed_directory_stays_closed(t):
    """Neither names nor bytes come out of it."""
    for p in (t.private, t.shm):
        os.chmod(p, 0o755)
    os.mkdir(t.shm / 'private')
    write(t.shm / 'private' / 'secret', b'secret')
    os.chmod(t.shm / 'private' / 'secret', 0o666)
    os.chown(t.shm / 'private', USER, USER)
    os.chmod(t.shm / 'private', 0o700)
    here = t.meta / 'nested' / str(os.stat(t.shm / 'private' / 'secret').st_ino)
    check(b'secret' not in read(t.meta / 'segments'), 'the name')
    check(b'secret' not in read(t.meta / 'segments.json'), 'the name')
    equal(read(here / 'path'), b'private/secret\n')

    def look():
        equal(os.listdir(t.meta / 'nested'), [])
        for open_it in (lambda: os.stat(here), lambda: read(here / 'info.json'), lambda: read(here / 'path'),
                        lambda: read(here / 'data'), lambda: os.stat(here / 'data'),
                        lambda: write(here / 'data', b'x')):
            fails(errno.ENOENT, open_it)
    equal(as_user(OTHER, OTHER, look), 0)
    equal(as_user(USER, USER, lambda: equal(read(here / 'data'), b'secret')), 0)


STRANGER = OTHER + 1


def rows_of_nested(t):
    return [(r['NAME'], r['PERMS'], r['UID'], r['GID'], r['MTIME'], r['SIZE'])
            for r in table(read(t.meta / 'segments'))[0] if r['KIND'] == b'nested']


@test(MOUNTED)
def facts_of_what_is_in_a_closed_directory(t):
    """Tables tell those of the directory; nested/ tells them to who could list it, and to the owner."""
    for p in (t.private, t.shm):
        os.chmod(p, 0o755)
    door = t.shm / 'door'
    os.makedirs(door / 'inner')
    file = door / 'inner' / 'file'
    write(file, b'secret')
    os.chown(file, OTHER, OTHER)
    os.chmod(file, 0o604)
    os.utime(file, (1, 1))
    os.chown(door, USER, USER)
    name = str(os.stat(file).st_ino)
    here = t.meta / 'nested' / name

    def sees():
        equal(os.listdir(t.meta / 'nested'), [name])
        equal(os.stat(here / 'data').st_mtime, 1)
        equal((os.stat(here).st_uid, read(here / 'state')), (OTHER, b'idle\n'))

    def sees_but_not_by_list():
        equal(os.listdir(door / 'inner'), ['file'])
        sees()

    def sees_nothing():
        equal(os.listdir(t.meta / 'nested'), [])
        fails(errno.ENOENT, os.stat, here)
        fails(errno.ENOENT, os.stat, here / 'data')
        fails(errno.ENOENT, read, here / 'state')
    for mode, who, what in ((0o755, STRANGER, sees), (0o700, USER, sees), (0o700, OTHER, sees_nothing),
                            (0o711, OTHER, sees_but_not_by_list), (0o711, STRANGER, sees_nothing),
                            (0o705, OTHER, sees), (0o744, OTHER, sees_nothing)):
        os.chmod(door, mode)
        equal(as_user(who, who, what), 0, (oct(mode), who))
    os.chmod(door, 0o711)
    info = os.stat(door)
    equal(rows_of_nested(t), [(b'door/', b'0711', str(USER).encode(), str(USER).encode(),
                               b'%d.%09d' % divmod(info.st_mtime_ns, 10**9), b'6')])
    check(f'shmtree_user_segments{{uid="{OTHER}"}}' in read(t.meta / 'metrics').decode(), 'sums are of the owner')
    for table_of in ('segments.json', 'segments.jsonl', 'metrics.segments'):
        check(not re.search(f'uid[=":]+{OTHER}', read(t.meta / table_of).decode()), table_of)
    sees()
    os.chmod(door, 0o755)
    subprocess.run(['setfacl', '-m', f'u:{OTHER}:---', door], check=True)
    equal(as_user(OTHER, OTHER, sees_nothing), 0, 'an ACL')
    equal([r[0] for r in rows_of_nested(t)], [b'door/'])


@test(MOUNTED)
def what_is_mounted_below_is_not_the_tmpfs(t):
    os.mkdir(t.shm / 'other')
    os.mkdir(t.shm / 'deep')
    subprocess.run(['mount', '-t', 'tmpfs', 'x', t.shm / 'other'], check=True)
    write(t.shm / 'other' / 'x', b'x')
    os.symlink('/etc', t.shm / 'deep' / 'link')
    write(t.private / 'bound', b'x')
    write(t.shm / 'deep' / 'place', b'')
    subprocess.run(['mount', '--bind', t.private / 'bound', t.shm / 'deep' / 'place'], check=True)
    equal(os.listdir(t.meta / 'nested'), [])
    subprocess.run(['umount', t.shm / 'other', t.shm / 'deep' / 'place'], check=True)
    equal(len(os.listdir(t.meta / 'nested')), 1)


@test(MOUNTED, start=False)
def unreadable_says_which_and_why(t):
    """A daemon that may trace processes, but not read what it does not own: their mappings count."""
    contain(t, 'dac_override', 'dac_read_search', 'perfmon', 'bpf')
    os.chmod(t.shm, 0o1777)
    script = ('import mmap, os, sys; f = os.open("/dev/shm/used", os.O_RDWR | os.O_CREAT, 0o600); '
              'os.ftruncate(f, 4096); m = mmap.mmap(f, 4096); print("ready", flush=True); '
              'sys.stdin.read()')
    for backend in ('text', 'query'):
        t.start('-o', f'census={backend}')
        with subprocess.Popen(['setpriv', '--reuid=4202', '--clear-groups', sys.executable, '-c',
                               script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            equal(other.stdout.readline(), b'ready\n')
            row = [r for r in table(read(t.meta / 'unreadable'))[0] if int(r['PID']) == other.pid]
            if not row:
                skip('its descriptors can be read here')
            equal((row[0]['UID'], b'descriptors' in row[0]['WHY']), (b'4202', True))
            rows, remarks = table(run('unshare', '--pid', '--fork', 'cat', t.meta / 'unreadable'))
            equal((rows, any(re.fullmatch(r'# [1-9]\d* not shown', line) for line in remarks)), ([], True),
                  f'a pid namespace without them: {remarks}')
            equal(t.attribute('used', 'mappings'), '1')
            equal(t.attribute('used', 'state'), 'mapped')
            equal([int(r['PID']) for r in t.rows('used', 'mappers')], [other.pid])
            other.stdin.close()
        t.stop()
