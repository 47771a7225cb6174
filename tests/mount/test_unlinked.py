# SPDX-License-Identifier: GPL-2.0-or-later
"""Segments without a name as files: unlinked objects, memfds, anonymous shared memory."""
import errno
import fcntl
import json
import mmap
import os
import random
import stat
import threading
import time

from harness import (PATIENCE, as_user, check, equal, eventually, fails, opened, read, run, skip,
                     table, write)
from ipc import (Child, OTHER, USER, anonymous, attribute, ipc_test, map_alone, memfd, row)

PAGE = mmap.PAGESIZE
MINE = f'kinds{os.getpid()}'  # memfds are the whole machine's, and so are other tests'
F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE = 1033, 2, 4, 8
MFD_ALLOW_SEALING, MFD_HUGETLB = 2, 4


def names(t, start):
    """The machine has others' segments: only those that begin so."""
    return [n for n in os.listdir(t.meta / 'unlinked') if n.startswith(start)]


def one(t, start):
    found = names(t, start)
    equal(len(found), 1, f'segments {start}*')
    return t.meta / 'unlinked' / found[0]


@ipc_test
def a_deleted_object_is_rescued(t):
    content = os.urandom(3 * PAGE + 17)
    write(t.shm / 'lost', content)
    inode = os.stat(t.shm / 'lost').st_ino
    equal(names(t, 'posix-lost-'), [])
    with Child(lambda: map_alone(t.shm / 'lost', len(content))) as child:
        os.unlink(t.root / 'lost')
        here = one(t, 'posix-lost-')
        equal(here.name, f'posix-lost-{inode}')
        equal(attribute(here, 'mappings'), '1')
        equal(attribute(here, 'openers'), '0')
        equal(attribute(here, 'state'), 'mapped')
        equal(attribute(here, 'resident'), str(4 * PAGE))
        equal([r['PID'] for r in table(read(here / 'mappers'))[0]], [b'%d' % child.pid])
        run('cp', here / 'data', t.private / 'rescued')
        equal(read(t.private / 'rescued'), content)
        shown = row(t, 'unlinked', here.name)
        equal((shown['NAME'], shown['SIZE'], shown['MAPPINGS']),
              (b'lost', b'%d' % len(content), b'1'))
        write(t.shm / 'lost', b'another')
        equal(read(here / 'data'), content, 'while the name is in use again')
    t.settle()
    # Somebody else may have looked at the process as it ended, and so kept its memory for a moment.
    eventually(lambda: not names(t, 'posix-lost-'), 'it has gone with its last user')
    fails(errno.ENOENT, os.stat, here)
    equal(read(t.root / 'lost'), b'another')


@ipc_test
def an_object_held_by_a_descriptor_alone(t):
    write(t.shm / 'held', b'held')
    with opened(t.shm / 'held', os.O_RDONLY) as fd:
        os.unlink(t.shm / 'held')
        here = one(t, 'posix-held-')
        equal(attribute(here, 'state'), 'open')
        equal(attribute(here, 'openers'), '1')
        rows = table(read(here / 'holders'))[0]
        equal([(r['PID'], r['FD'], r['MODE']) for r in rows],
              [(b'%d' % os.getpid(), b'%d' % fd, b'r')])
        write(here / 'data', b'HELD', 'r+b')
        equal(os.pread(fd, 4, 0), b'HELD')
        os.truncate(here / 'data', 2)
        equal(os.fstat(fd).st_size, 2)
    t.settle()
    equal(names(t, 'posix-held-'), [])


@ipc_test
def a_linked_object_is_not_unlinked(t):
    os.mkdir(t.shm / 'dir')
    write(t.shm / 'a', b'x')
    os.link(t.shm / 'a', t.shm / 'dir' / 'b')
    with opened(t.shm / 'a', os.O_RDONLY):
        os.unlink(t.shm / 'a')
        equal(names(t, 'posix-'), [], 'it has a name still, in a directory')
        os.unlink(t.shm / 'dir' / 'b')
        equal(len(names(t, 'posix-')), 1)


@ipc_test
def memfds_are_read_written_and_mapped(t):
    fd = memfd(f'{MINE}-test', b'from the maker')
    os.ftruncate(fd, 2 * PAGE)
    here = one(t, f'memfd-{MINE}-test-')
    equal(here.name, f'memfd-{MINE}-test-{os.fstat(fd).st_ino}')
    equal((attribute(here, 'mappings'), attribute(here, 'openers')), ('0', '1'))
    equal(read(here / 'data')[:14], b'from the maker')
    write(here / 'data', b'FROM', 'r+b')
    equal(os.pread(fd, 6, 0), b'FROM t')
    os.truncate(here / 'data', 3 * PAGE)
    equal(os.fstat(fd).st_size, 3 * PAGE, 'nothing seals its size')
    with opened(here / 'data', os.O_RDWR) as data, mmap.mmap(fd, PAGE) as memory:
        if t.shared_mmap:
            with mmap.mmap(data, PAGE) as mapped:
                mapped[10:13] = b'map'
                equal(memory[10:13], b'map')
                memory[20:23] = b'own'
                equal(mapped[20:23], b'own')
                equal(attribute(here, 'mappings'), '2')
        else:
            fails(errno.ENODEV, mmap.mmap, data, PAGE)
        equal(attribute(here, 'openers'), '3', 'ours, one of the mount, and one that mmap.mmap keeps')
    os.close(fd)
    t.settle()
    equal(names(t, f'memfd-{MINE}-test-'), [])


@ipc_test
def seals_hold(t):
    fd = memfd(f'{MINE}-sealed', b'sealed', MFD_ALLOW_SEALING)
    fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)
    data = one(t, f'memfd-{MINE}-sealed-') / 'data'
    write(data, b'SEAL', 'r+b')
    fails(errno.EPERM, os.truncate, data, 3)
    fails(errno.EPERM, os.truncate, data, 300)
    with opened(data, os.O_RDWR) as before:
        fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)
        with opened(data, os.O_RDWR) as sealed:
            for each in (before, sealed):
                fails(errno.EPERM, os.pwrite, each, b'x', 0)
                # The kernel would not see the seal on a mapping that the mount makes.
                fails(errno.ENODEV, mmap.mmap, each, 6)
                equal(os.pread(each, 6, 0), b'SEALed')
    os.close(fd)


@ipc_test
def anonymous_memory_has_a_file(t):
    secret = os.urandom(16)
    with Child(lambda: anonymous(secret, 2 * PAGE)) as child:
        def find():
            for name in names(t, 'anon-'):
                here = t.meta / 'unlinked' / name
                try:
                    rows = table(read(here / 'mappers'))[0]
                except FileNotFoundError:
                    continue  # somebody else's
                if b'%d' % child.pid in [r['PID'] for r in rows]:
                    return here
            return None

        here = find()
        check(here, 'the mapping is found')
        equal(read(here / 'data')[:16], secret)
        st = os.stat(here / 'data')
        equal((stat.S_IMODE(st.st_mode), st.st_uid, st.st_size), (0o600, 0, 2 * PAGE))
        fails(errno.EPERM, os.truncate, here / 'data', 0)
        with opened(here / 'data', os.O_RDWR) as data:
            os.pwrite(data, b'written', PAGE)
            fails(errno.EPERM, os.pwrite, data, b'x', 2 * PAGE)
            equal(os.pread(data, 7, PAGE), b'written')
        facts = json.loads(read(here / 'info.json'))
        equal((facts['kind'], facts['name'], facts['mappings']), ('anon', '', 1))


@ipc_test
def whose_they_are(t):
    os.chmod(t.private, 0o755)

    def own():
        os.umask(0)
        return memfd(f'{MINE}-user', b'private')

    with Child(own, user=USER):
        data = one(t, f'memfd-{MINE}-user-') / 'data'
        equal(os.stat(data).st_uid, USER)
        equal(stat.S_IMODE(os.stat(data).st_mode) & 0o077, 0, 'for nobody else')
        equal(as_user(USER, USER, lambda: equal(read(data), b'private')), 0)
        equal(as_user(OTHER, OTHER, lambda: read(data)), errno.EACCES)
        equal(as_user(OTHER, OTHER, lambda: equal(attribute(data.parent, 'openers'), '1')), 0)
        fails(errno.EPERM, os.rmdir, data.parent)
    write(t.shm / 'shared', b'shared')
    os.chmod(t.shm / 'shared', 0o604)
    with opened(t.shm / 'shared', os.O_RDONLY):
        os.unlink(t.shm / 'shared')
        data = one(t, 'posix-shared-') / 'data'
        equal(stat.S_IMODE(os.stat(data).st_mode), 0o604)
        equal(as_user(OTHER, OTHER, lambda: equal(read(data), b'shared')), 0)
        equal(as_user(OTHER, OTHER, lambda: write(data, b'x', 'r+b')), errno.EACCES)


@ipc_test
def names_of_any_bytes(t):
    for tail, wanted in ((b' a/b\n\t\\\xff', '_a_b____-'), (b' (deleted)', '__deleted_-'),
                         (b'n' * (249 - len(MINE)), 'n' * 200)):
        name = MINE.encode() + tail
        fd = memfd(os.fsdecode(name))
        here = one(t, f'memfd-{MINE}{wanted}')
        facts = json.loads(read(here / 'info.json'))
        if 'name_base64' not in facts:
            equal(facts['name'].encode(), name)
        equal(row(t, 'memfd', here.name)['NAME'], name)
        os.close(fd)


@ipc_test
def an_open_data_keeps_the_memory(t):
    write(t.shm / 'kept', b'kept')
    with Child(lambda: os.open(t.shm / 'kept', os.O_RDWR)):
        os.unlink(t.shm / 'kept')
        here = one(t, 'posix-kept-')
        fd = os.open(here / 'data', os.O_RDWR)
        equal(attribute(here, 'openers'), '2')
    # Its last user but for the reader has gone: what the reader holds is listed, and not the
    # daemon, which holds it for the reader.
    equal(os.pread(fd, 4, 0), b'kept')
    rows = table(read(here / 'holders'))[0]
    equal([(r['PID'], r['FD']) for r in rows], [(b'%d' % os.getpid(), b'%d' % fd)])
    equal(read(here / 'data'), b'kept', 'opened anew by way of what is open')
    equal(os.fstat(fd).st_size, 4)
    os.close(fd)
    eventually(lambda: not names(t, 'posix-kept-'), 'it has gone with its last reader')
    t.settle()
    fails(errno.ENOENT, os.open, here / 'data', os.O_RDONLY)


@ipc_test
def what_no_id_is_has_no_file(t):
    fd = memfd(f'{MINE}-real', b'x')
    here = one(t, f'memfd-{MINE}-real-')
    inode = here.name.rsplit('-', 1)[1]
    for name in ('x', 'memfd', f'memfd-{inode}', f'memfd-other-{inode}', f'anon-{inode}',
                 f'posix-{MINE}-real-{inode}', f'hugememfd-{MINE}-real-{inode}', here.name + '0',
                 f'memfd-{MINE}-real-0{inode}'):
        fails(errno.ENOENT, os.stat, t.meta / 'unlinked' / name)
    fails(errno.EPERM, os.mkdir, t.meta / 'unlinked' / 'x')
    os.close(fd)


@ipc_test
def memfds_of_huge_pages(t):
    """Those of each size of page are on a device of their own. An empty one needs no huge page."""
    try:
        fd = os.memfd_create(f'{MINE}-huge', MFD_HUGETLB)
    except OSError as error:
        skip(f'no huge pages here: {error}')
    here = one(t, f'hugememfd-{MINE}-huge-')
    equal(here.name, f'hugememfd-{MINE}-huge-{os.fstat(fd).st_ino}')
    equal(attribute(here, 'openers'), '1')
    fails(errno.ENOENT, os.stat, t.meta / 'unlinked' / f'memfd-{MINE}-huge-{os.fstat(fd).st_ino}')
    os.close(fd)
    eventually(lambda: not names(t, f'hugememfd-{MINE}-huge-'), 'it has gone with its last user')
    fails(errno.ENOENT, os.stat, here)


@ipc_test
def an_inode_number_used_anew_is_another_segment(t):
    """A tmpfs with short inode numbers gives them again; here one that is gone altogether must do:
    a path kept from before leads nowhere, and an open file still to the old bytes."""
    fd = memfd(f'{MINE}-gone', b'old')
    here = one(t, f'memfd-{MINE}-gone-')
    with opened(here / 'data', os.O_RDWR) as data:
        os.close(fd)
        fd = memfd(f'{MINE}-gone', b'new')
        equal(os.pread(data, 3, 0), b'old')
        equal(sorted(read(t.meta / 'unlinked' / n / 'data')
                     for n in names(t, f'memfd-{MINE}-gone-')), [b'new', b'old'])
    os.close(fd)


@ipc_test
def segments_that_die_meanwhile_are_gone_or_themselves(t):
    stop = threading.Event()

    def churn(letter):
        # Some live long enough to be caught however slow the machine, and each dies unforeseen.
        alive = []
        while not stop.is_set():
            if len(alive) > 7:
                os.close(alive.pop(random.randrange(8)))
            alive.append(memfd(f'{MINE}-churn-{letter}', letter.encode() * PAGE))
            time.sleep(random.random() / 10)
        for fd in alive:
            os.close(fd)

    threads = [threading.Thread(target=churn, args=(letter,)) for letter in 'ab']
    for thread in threads:
        thread.start()
    found = 0
    try:
        end = time.monotonic() + PATIENCE / 2
        while found < 60 and time.monotonic() < end:
            for name in names(t, f'memfd-{MINE}-churn-'):
                try:
                    content = read(t.meta / 'unlinked' / name / 'data')
                except OSError as error:
                    check(error.errno in (errno.ENOENT, errno.ESTALE, errno.ENXIO), str(error))
                    continue
                letter = name[len(f'memfd-{MINE}-churn-')].encode()
                check(set(content) <= set(letter), f'{content[:10]} in {name}')
                found += 1
            read(t.meta / 'segments')
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    check(found > 0, 'some were caught alive')
    t.settle()
    equal(names(t, f'memfd-{MINE}-churn-'), [])
