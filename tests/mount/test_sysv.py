# SPDX-License-Identifier: GPL-2.0-or-later
"""System V shared memory as files."""
import errno
import json
import mmap
import os
import stat
import threading
import time

from harness import (FALLOC_FL_PUNCH_HOLE, FALLOC_FL_KEEP_SIZE, PATIENCE, as_user, check, equal,
                     fails, fallocate, opened, read, run, skip, table, write)
from ipc import (Attached, Child, IPC_PRIVATE, Later, OTHER, SHM_HUGETLB, SHM_LOCK, USER, attribute, huge_pages,
                 ipc_test, new_segment, pairs, row, shm_control, shm_remove, shm_stat, shmget,
                 sysctl)

PAGE = mmap.PAGESIZE


def place(t, shmid):
    return t.meta / 'sysv' / str(shmid)


def listed(t):
    return sorted(os.listdir(t.meta / 'sysv'), key=int)


@ipc_test
def a_segment_shows_with_its_facts(t):
    equal(listed(t), [])
    shmid = new_segment(10000, b'hello', key=0x5282b001, mode=0o640)
    equal(listed(t), [str(shmid)])
    here = place(t, shmid)
    equal(attribute(here, 'key'), '0x5282b001')
    equal(attribute(here, 'nattch'), '0')
    equal(attribute(here, 'perms'), '0640')
    equal(attribute(here, 'status'), '')
    equal(attribute(here, 'state'), 'idle')
    equal(pairs(here, 'creator'), {'pid': str(os.getpid()), 'command': 'python3', 'state': 'alive'})
    held = []
    detach = Later(lambda: [attached.__exit__() for attached in held])

    def attach():
        held.extend([Attached(shmid), Attached(shmid)])
        detach.prepare()
    with Child(attach) as child:
        equal(attribute(here, 'nattch'), '2')
        equal(attribute(here, 'mappings'), '2')
        equal(attribute(here, 'processes'), '1')
        equal(attribute(here, 'openers'), '0')
        equal(attribute(here, 'state'), 'mapped')
        equal(pairs(here, 'last')['pid'], str(child.pid))
        rows = table(read(here / 'mappers'))[0]
        equal([r['PID'] for r in rows], [b'%d' % child.pid] * 2)
        shown = row(t, 'sysv', str(shmid))
        equal((shown['NAME'], shown['PERMS'], shown['SIZE'], shown['MAPPINGS'], shown['STATE']),
              (b'0x5282b001', b'0640', b'10000', b'2', b'mapped'))
        # Not by its end: if somebody else looks at it then, that process is the last to detach.
        detach.now()
    detach.close()
    last = pairs(here, 'last')
    equal((last['pid'], last['state'], last['uid']), (str(child.pid), 'dead', '0'))
    ds = shm_stat(shmid)
    for name in ('atime', 'dtime', 'ctime'):
        equal(attribute(here, name), str(getattr(ds, name)), name)
    equal(attribute(here, 'resident'), str(PAGE))
    st = os.stat(here / 'data')
    equal((stat.S_IMODE(st.st_mode), st.st_size, st.st_blocks), (0o640, 10000, PAGE // 512))
    facts = json.loads(read(here / 'info.json'))
    equal((facts['kind'], facts['size'], facts['nattch'], facts['creator']['pid']),
          ('sysv', 10000, 0, os.getpid()))
    equal(t.status()['sysv_size'], '10000')


@ipc_test
def the_list_has_its_facts_too(t):
    """segments.json: what the attribute files have, for one that waits for its destruction too."""
    shmid, dying = new_segment(PAGE, b'x', key=5), new_segment(PAGE)
    with Child(lambda: Attached(dying)), Attached(dying):
        shm_remove(dying)
        rows = {s['id']: s for s in json.loads(read(t.meta / 'segments.json'))['segments']
                if s['kind'] == 'sysv'}
        for identifier in shmid, dying:
            fact, info = rows[str(identifier)], json.loads(read(place(t, identifier) / 'info.json'))
            ds = shm_stat(identifier)
            equal((fact['nattch'], fact['dtime'], fact['atime'], fact['ctime'], fact['ino']),
                  (ds.nattch, ds.dtime, ds.atime, ds.ctime, identifier))
            equal({k: fact[k] for k in ('key', 'creator', 'last', 'status', 'cuid', 'cgid')},
                  {k: info[k] for k in ('key', 'creator', 'last', 'status', 'cuid', 'cgid')})
            equal(fact['creator'], {'pid': os.getpid(), 'command': 'python3', 'state': 'alive'})
        exact = json.loads(read(place(t, dying) / 'info.json'), parse_float=str, parse_int=int)
        for name in 'atime', 'dtime', 'ctime':
            equal(exact[name], f'{getattr(shm_stat(dying), name)}.000000000', name)
        equal((rows[str(shmid)]['status'], rows[str(shmid)]['key']), ('', '0x00000005'))
        equal((rows[str(dying)]['status'], rows[str(dying)]['nattch']), ('dest', 2))
    shm_remove(shmid)


@ipc_test
def a_dead_creator_is_dead(t):
    pid = os.fork()
    if pid == 0:
        shmget(17, PAGE, 0o1600)
        os._exit(0)
    os.waitpid(pid, 0)
    here = place(t, shmget(17, PAGE, 0))
    equal(pairs(here, 'creator'), {'pid': str(pid), 'command': '', 'state': 'dead'})
    last = pairs(here, 'last')
    equal((last['pid'], last['command'], last['state']), ('0', '', 'none'))


@ipc_test
def reads_and_writes_are_the_segments(t):
    shmid = new_segment(3 * PAGE, b'from shmat')
    data = place(t, shmid) / 'data'
    with Attached(shmid) as memory:
        equal(read(data)[:10], b'from shmat')
        equal(len(read(data)), 3 * PAGE)
        with opened(data, os.O_RDWR) as fd:
            os.pwrite(fd, b'through the mount', PAGE - 5)
            equal(memory[PAGE - 5:PAGE + 12], b'through the mount')
            memory[0:4] = b'back'
            equal(os.pread(fd, 4, 0), b'back')
            if not t.shared_mmap:
                fails(errno.ENODEV, mmap.mmap, fd, PAGE)
                return
            with mmap.mmap(fd, 3 * PAGE) as mapped:
                mapped[100:106] = b'mapped'
                equal(memory[100:106], b'mapped')
                memory[2 * PAGE:2 * PAGE + 3] = b'att'
                equal(mapped[2 * PAGE:2 * PAGE + 3], b'att')
                equal(attribute(place(t, shmid), 'mappings'), '2', 'shmat and one of the mount')
                equal(attribute(place(t, shmid), 'nattch'), '1')


@ipc_test
def opening_disturbs_little_and_listing_nothing(t):
    shmid = new_segment(PAGE, b'x')
    long_ago = shm_stat(shmid)
    time.sleep(1.1 - time.time() % 1)  # the kernel counts these times in seconds
    os.listdir(place(t, shmid))
    for name in os.listdir(place(t, shmid)):
        if name != 'data':
            read(place(t, shmid) / name)
    run('ls', '-l', place(t, shmid))  # asks for ACLs too
    os.access(place(t, shmid) / 'data', os.R_OK | os.W_OK)
    read(t.meta / 'segments')
    now = shm_stat(shmid)
    for name in ('nattch', 'atime', 'dtime', 'ctime', 'lpid', 'cpid'):
        equal(getattr(now, name), getattr(long_ago, name), name)
    with opened(place(t, shmid) / 'data', os.O_RDWR) as fd:
        after = shm_stat(shmid)
        equal((after.nattch, after.ctime, after.lpid), (0, long_ago.ctime, t.daemon.pid))
        check(after.atime > long_ago.atime and after.dtime > long_ago.dtime, 'both times moved')
        time.sleep(1.1 - time.time() % 1)
        os.pread(fd, 1, 0)
        os.pwrite(fd, b'y', 0)
        later = shm_stat(shmid)
        equal((later.nattch, later.atime, later.dtime), (0, after.atime, after.dtime))


@ipc_test
def its_size_cannot_change(t):
    shmid = new_segment(2 * PAGE, b'a' * 2 * PAGE)
    data = place(t, shmid) / 'data'
    for size in (0, PAGE, 3 * PAGE):
        fails(errno.EPERM, os.truncate, data, size)
    with opened(data, os.O_RDWR) as fd:
        fails(errno.EPERM, os.ftruncate, fd, 1)
        equal(os.pwrite(fd, b'z' * PAGE, 2 * PAGE - 7), 7, 'what fits')
        fails(errno.EPERM, os.pwrite, fd, b'z', 2 * PAGE)
        fails(errno.EPERM, fallocate, fd, 0, 0, 3 * PAGE)
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)
    with opened(data, os.O_WRONLY | os.O_APPEND) as fd:
        fails(errno.EPERM, os.write, fd, b'z')
    equal(read(data), bytes(PAGE) + b'a' * (PAGE - 7) + b'z' * 7)
    equal(shm_stat(shmid).size, 2 * PAGE)
    with Attached(shmid) as memory:
        equal(len(memory), 2 * PAGE)


@ipc_test
def opening_to_truncate_is_refused(t):
    shmid = new_segment(PAGE, b'keep')
    fails(errno.EPERM, os.open, place(t, shmid) / 'data', os.O_RDWR | os.O_TRUNC)
    equal(read(place(t, shmid) / 'data')[:4], b'keep')


@ipc_test
def rmdir_removes(t):
    shmid, other = new_segment(PAGE), new_segment(PAGE)
    os.rmdir(place(t, shmid))
    equal(listed(t), [str(other)])
    fails(errno.EINVAL, shm_stat, shmid)
    fails(errno.ENOENT, os.rmdir, place(t, shmid))
    fails(errno.ENOENT, os.stat, place(t, shmid) / 'key')
    for name in ('x', '-1', '007', '99999999999'):
        fails(errno.ENOENT, os.rmdir, t.meta / 'sysv' / name)


@ipc_test
def one_marked_for_destruction_shows_as_such(t):
    shmid = new_segment(PAGE, b'dying', key=5)
    with Attached(shmid):
        fails(errno.EBUSY, os.rmdir, place(t, shmid))
        shm_remove(shmid)
        equal(attribute(place(t, shmid), 'status'), 'dest')
        equal(attribute(place(t, shmid), 'key'), '0x00000000')
        equal(read(place(t, shmid) / 'data')[:5], b'dying')
        equal(attribute(place(t, shmid), 'nattch'), '1')
        shm_control(shmid, SHM_LOCK)
        equal(attribute(place(t, shmid), 'status'), 'dest,locked')
    equal(listed(t), [])


@ipc_test
def who_may_remove_is_for_the_kernel_to_say(t):
    os.chmod(t.private, 0o755)
    mine = new_segment(PAGE, mode=0o666)
    equal(as_user(USER, USER, lambda: os.rmdir(place(t, mine))), errno.EPERM)
    made = []
    equal(as_user(USER, USER, lambda: shmget(7, PAGE, 0o1600)), 0)
    made = shmget(7, PAGE, 0)
    equal(as_user(OTHER, OTHER, lambda: os.rmdir(place(t, made))), errno.EPERM)
    os.chown(place(t, made) / 'data', OTHER, OTHER)
    equal(shm_stat(made).uid, OTHER)
    equal(shm_stat(made).cuid, USER)
    equal(as_user(USER, USER, lambda: os.rmdir(place(t, made))), 0, 'the creator may')
    equal(listed(t), [str(mine)])
    os.chown(place(t, mine) / 'data', USER, -1)
    equal(as_user(USER, USER, lambda: os.rmdir(place(t, mine))), 0, 'the owner may')


@ipc_test
def mkdir_creates_as_the_caller(t):
    def make():
        os.umask(0o027)
        os.mkdir(t.meta / 'sysv' / '0x1234:64K')

    equal(as_user(USER, OTHER, make), 0)
    ds = shm_stat(shmget(0x1234, 0, 0))
    equal((ds.uid, ds.cuid, ds.gid, ds.cgid, ds.size, ds.mode),
          (USER, USER, OTHER, OTHER, 65536, 0o640))
    fails(errno.EEXIST, os.mkdir, t.meta / 'sysv' / '4660:1')
    os.mkdir(t.meta / 'sysv' / 'private:3M')
    os.mkdir(t.meta / 'sysv' / 'private:3M')
    equal([shm_stat(int(i)).size for i in listed(t)], [65536, 3 << 20, 3 << 20])
    for name in ('x', '1:', ':1', '1:1k', '1:-1', '0x:1', 'private', '4294967296:1', '1:0',
                 '1:18446744073709551616', '1:1 '):
        fails(errno.EINVAL, os.mkdir, t.meta / 'sysv' / name)
    equal(len(listed(t)), 3)
    with sysctl('shmmax', 8192):
        fails(errno.EINVAL, os.mkdir, t.meta / 'sysv' / 'private:8193')


@ipc_test
def exhaustion_is_what_shmget_says(t):
    with sysctl('shmmni', 20):
        for _ in range(20):
            os.mkdir(t.meta / 'sysv' / 'private:1')
        fails(errno.ENOSPC, os.mkdir, t.meta / 'sysv' / 'private:1')
        fails(errno.ENOSPC, shmget, IPC_PRIVATE, 1, 0o1600)
        equal(len(listed(t)), 20)
        limits = {r['RESOURCE'].decode(): r for r in table(read(t.meta / 'limits'))[0]}
        equal((limits['SHMMNI']['LIMIT'], limits['SHMMNI']['USED'], limits['SHMMNI']['USE%']),
              (b'20', b'20', b'100.00'))
        for name in listed(t):
            os.rmdir(t.meta / 'sysv' / name)
        equal(listed(t), [])


@ipc_test
def chmod_and_chown_are_ipc_set(t):
    shmid = new_segment(PAGE)
    data = place(t, shmid) / 'data'
    os.chmod(data, 0o644)
    equal(shm_stat(shmid).mode & 0o777, 0o644)
    os.chown(data, USER, OTHER)
    ds = shm_stat(shmid)
    equal((ds.uid, ds.gid, ds.cuid), (USER, OTHER, 0))
    st = os.stat(data)
    equal((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (USER, OTHER, 0o644))
    os.chmod(t.private, 0o755)
    equal(as_user(USER, USER, lambda: os.chmod(data, 0o600)), 0)
    equal(as_user(OTHER, OTHER, lambda: os.chmod(data, 0o666)), errno.EPERM)
    equal(shm_stat(shmid).mode & 0o777, 0o600)


@ipc_test
def three_users(t):
    os.chmod(t.private, 0o755)
    shmid = new_segment(PAGE, b'secret', mode=0o640)
    data = place(t, shmid) / 'data'
    os.chown(data, USER, 100)

    def reads():
        equal(read(data)[:6], b'secret')

    def writes():
        write(data, b'S', 'r+b')

    equal(as_user(USER, USER, writes), 0)
    equal(as_user(USER, USER, lambda: write(data, b's', 'r+b')), 0)
    equal(as_user(OTHER, OTHER, reads, groups=[100]), 0)
    equal(as_user(OTHER, OTHER, writes, groups=[100]), errno.EACCES)
    equal(as_user(OTHER, OTHER, reads), errno.EACCES)
    equal(as_user(OTHER, OTHER, lambda: attribute(place(t, shmid), 'nattch')), 0,
          'facts are for everyone')


@ipc_test
def rows_of_others_are_only_counted(t):
    os.chmod(t.private, 0o755)
    shmid = new_segment(PAGE, mode=0o666)

    def look():
        rows, remarks = table(read(place(t, shmid) / 'mappers'))
        equal(([r['UID'] for r in rows], remarks), ([b'%d' % USER], ['# 1 not shown']))

    with Child(lambda: Attached(shmid)), Child(lambda: Attached(shmid), user=USER):
        equal(len(table(read(place(t, shmid) / 'mappers'))[0]), 2)
        equal(as_user(USER, USER, look), 0)


@ipc_test
def rows_are_seen_as_procfs_shows_them(t):
    os.chmod(t.private, 0o755)
    shmid = new_segment(PAGE, mode=0o666)

    def hidden():
        rows, remarks = table(read(place(t, shmid) / 'mappers'))
        equal((rows, remarks), ([], ['# 1 not shown']))

    with Child(lambda: Attached(shmid), user=USER):
        equal(as_user(USER, OTHER, hidden), 0, 'another group')
    with Child(lambda: Attached(shmid), user=USER, dumpable=0):
        equal(as_user(USER, USER, hidden), 0, 'as after set-user-ID')
        equal(len(table(read(place(t, shmid) / 'mappers'))[0]), 1, 'root')


@ipc_test
def an_id_used_anew_is_another_segment(t):
    shmid = new_segment(PAGE, b'old')
    data = place(t, shmid) / 'data'
    with opened(data, os.O_RDWR) as old:
        shm_remove(shmid)
        fails(errno.ENOENT, os.open, data, os.O_RDONLY)
        write('/proc/sys/kernel/shm_next_id', str(shmid).encode())
        equal(new_segment(PAGE, b'new'), shmid, 'the kernel gives the ID again')
        equal(os.pread(old, 3, 0), b'old')
        equal(read(data)[:3], b'new')
        with opened(data, os.O_RDWR) as new:
            os.pwrite(new, b'NEW', 0)
            os.pwrite(old, b'OLD', 0)
            equal((os.pread(old, 3, 0), os.pread(new, 3, 0)), (b'OLD', b'NEW'))
            with Attached(shmid) as memory:
                equal(memory[:3], b'NEW')
            if t.shared_mmap:
                with mmap.mmap(old, PAGE) as a, mmap.mmap(new, PAGE) as b:
                    equal((a[:3], b[:3]), (b'OLD', b'NEW'))


@ipc_test
def permissions_are_those_of_the_segment_that_is_opened(t):
    """The ID means somebody else's segment between any two calls: never an open of that."""
    os.chmod(t.private, 0o755)
    shmid = new_segment(PAGE, b'public', mode=0o666)
    data = place(t, shmid) / 'data'
    stop = threading.Event()

    def churn():
        secret = False
        while not stop.is_set():
            shm_remove(shmid)
            write('/proc/sys/kernel/shm_next_id', str(shmid).encode())
            secret = not secret
            new = shmget(IPC_PRIVATE, PAGE, 0o1600 if secret else 0o1666)
            with Attached(new) as memory:
                memory[:6] = b'secret' if secret else b'public'

    def look():
        seen = set()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            try:
                seen.add(bytes(read(data)[:6]))
            except OSError as error:
                check(error.errno in (errno.ENOENT, errno.ESTALE, errno.EACCES), str(error))
        # While it is written any of the bytes may still be zero.
        check(all(c in (0, p) for s in seen for c, p in zip(s, b'public')),
              f'never anything but what is public: {seen}')

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        equal(as_user(OTHER, OTHER, look), 0)
    finally:
        stop.set()
        thread.join()


@ipc_test
def segments_that_die_meanwhile_are_gone_or_themselves(t):
    contents, stop, lock = {}, threading.Event(), threading.Lock()

    def churn():
        number = 0
        while not stop.is_set():
            number = number % 250 + 1
            with lock:
                shmid = shmget(IPC_PRIVATE, 2 * PAGE, 0o1600)
                contents.setdefault(shmid, {0}).add(number)
            with Attached(shmid) as memory:
                memory[:] = bytes([number]) * 2 * PAGE
            shm_remove(shmid)

    threads = [threading.Thread(target=churn) for _ in range(2)]
    for thread in threads:
        thread.start()
    found = 0
    try:
        end = time.monotonic() + PATIENCE
        while found < 300 and time.monotonic() < end:
            for name in os.listdir(t.meta / 'sysv'):
                try:
                    seen = set(read(t.meta / 'sysv' / name / 'data'))
                    attribute(t.meta / 'sysv' / name, 'key')
                except OSError as error:
                    check(error.errno in (errno.ENOENT, errno.ESTALE), str(error))
                    continue
                with lock:
                    check(seen <= contents[int(name)], f'{seen} in segment {name}')
                found += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    check(found > 0, 'some were caught alive')
    equal(listed(t), [])


@ipc_test
def a_short_attach_never_ends_a_segment(t):
    shmid = new_segment(PAGE, b'kept')
    with sysctl('shm_rmid_forced', 1):
        # Setting it ends what nobody has attached and whose creator is gone; ours lives.
        fails(errno.EBUSY, os.open, place(t, shmid) / 'data', os.O_RDONLY)
        equal(listed(t), [str(shmid)])
        with Child(lambda: Attached(shmid)):
            equal(read(place(t, shmid) / 'data')[:4], b'kept')
            equal(listed(t), [str(shmid)])


@ipc_test
def an_open_file_outlives_the_segment(t):
    shmid = new_segment(PAGE, b'bytes')
    with opened(place(t, shmid) / 'data', os.O_RDONLY) as fd:
        fails(errno.EBUSY, os.rmdir, place(t, shmid))
        shm_remove(shmid)
        equal(listed(t), [])
        equal(os.pread(fd, 5, 0), b'bytes')
        equal(os.fstat(fd).st_size, PAGE)


@ipc_test
def a_segment_of_huge_pages(t):
    with huge_pages(1):
        look_at_huge_pages(t)


def look_at_huge_pages(t):
    shmid = shmget(IPC_PRIVATE, 2 << 20, 0o1600 | SHM_HUGETLB)
    with Attached(shmid) as memory:
        memory[:4] = b'huge'
        equal(attribute(place(t, shmid), 'status'), 'hugetlb')
        equal(attribute(place(t, shmid), 'mappings'), '1')
        equal(attribute(place(t, shmid), 'resident'), str(2 << 20))
        with opened(place(t, shmid) / 'data', os.O_RDWR) as fd:
            equal(os.pread(fd, 4, 0), b'huge')
            fails(errno.EINVAL, os.pwrite, fd, b'x', 0)
            fails(errno.ENODEV, mmap.mmap, fd, 2 << 20)
    shm_remove(shmid)


@ipc_test
def totals_agree_with_ipcs(t):
    for size in (1, PAGE, 100000):
        new_segment(size, b'x')
    summary = run('ipcs', '-m', '-u').decode().split('\n')
    allocated = next(line.split()[-1] for line in summary if line.startswith('segments allocated'))
    equal(t.status()['sysv_segments'], allocated)
    equal(int(t.status()['sysv_size']), 100000 + PAGE + 1)
    equal(int(t.status()['sysv_allocated']), 3 * PAGE)
