# SPDX-License-Identifier: GPL-2.0-or-later
"""`faults`: each SIGBUS that a mapping of a segment raised, and why; and what is none of these.

A daemon sees the bus errors of the whole machine, other tests' too: rows are told apart by their pid.
"""
import contextlib
import json
import mmap
import os
import re
import signal
import time

from faulter import Faulter
from harness import MOUNTED, call, check, equal, eventually, read, skip, table, test, write
from ipc import OTHER, USER, huge_pages, ipc_test, new_segment
from mounts import unmount
from test_charged import memory_group
from test_whose import DIGITS, born, cgroup, remove_group
from test_metrics import parse_metrics

PAGE = mmap.PAGESIZE
MIB = 1 << 20
MS_REMOUNT = 32
SHM_HUGETLB, SHM_NORESERVE = 0o4000, 0o10000
COLUMNS = ['TIME', 'PID', 'UID', 'COMMAND', 'UNIT', 'ADDRESS', 'KIND', 'ID', 'NAME', 'OFFSET',
           'SIZE', 'CAUSE', 'BORN', 'DETAIL']
CAUSES = {'truncated', 'no space', 'no huge page', 'memory cgroup', 'other'}


def need_faults(t):
    status = t.status()
    if status['faults'] != 'on':
        skip(f"bus errors are not seen here: {status['faults_reason']}")


def faults(t, pid):
    """The rows of a process, as text."""
    rows, _ = table(read(t.meta / 'faults'))
    return [{c: v.decode() for c, v in r.items()} for r in rows if int(r['PID']) == pid]


def counted(t):
    """shmtree_faults_total by cause."""
    families = parse_metrics(read(t.meta / 'metrics'))
    return {labels['cause']: value for labels, value in families['shmtree_faults_total']}


def one(t, faulter, command, **wanted):
    """The command raises one bus error; its row has these values."""
    cause = wanted.get('CAUSE', 'truncated')
    total, before = counted(t)[cause], len(faults(t, faulter.pid))
    equal(faulter(command), 1, command)
    row, = faults(t, faulter.pid)[before:]
    for column, value in wanted.items():
        equal(row[column], value, column)
    check(counted(t)[cause] >= total + 1, f'{cause} is counted')
    return row


def device(path):
    dev = os.stat(path).st_dev
    return f'{os.major(dev)}:{os.minor(dev)}'


def make(path, size, mode=0o666):
    write(path, b'')
    os.truncate(path, size)
    os.chmod(path, mode)


@test(MOUNTED)
def another_process_truncates(t):
    """What every column says."""
    need_faults(t)
    make(t.shm / 'x', 4 * PAGE)
    with cgroup('faults') as group:
        before = time.time()
        faulter = Faulter(t.shm / 'x', 4 * PAGE,
                          prepare=lambda: write(f'{group}/cgroup.procs', b'%d' % os.getpid()))
        with faulter:
            equal(faulter(f'touch {3 * PAGE} 1'), 0, 'nothing is wrong yet')
            os.truncate(t.shm / 'x', PAGE)
            row = one(t, faulter, f'touch {3 * PAGE + 5} 1', UID='0', COMMAND='faulter',
                      UNIT=DIGITS[:12], KIND='posix', ID='x', NAME='x', OFFSET=str(3 * PAGE + 5),
                      SIZE=str(PAGE), CAUSE='truncated', DETAIL='beyond the end')
            equal(list(row), COLUMNS)
            check(before - 1 <= float(row['TIME']) <= time.time() + 1, row['TIME'])
            equal(row['BORN'], born(faulter.pid).decode())
            start, = (r['START'] for r in t.rows('x', 'mappers') if int(r['PID']) == faulter.pid)
            equal(int(row['ADDRESS'], 16), int(start, 16) + 3 * PAGE + 5)
    equal(faults(t, faulter.pid), [row], 'a process that is gone keeps its row')
    entry, = (e for e in json.loads(read(t.meta / 'faults.json'))['faults']
              if e['pid'] == faulter.pid)
    equal({k: entry[k] for k in ('uid', 'command', 'unit', 'born', 'address', 'kind', 'id', 'name',
                                 'offset', 'size', 'cause', 'truncated', 'space', 'left_out')},
          {'uid': 0, 'command': 'faulter', 'unit': DIGITS[:12], 'born': int(row['BORN']),
           'address': row['ADDRESS'], 'kind': 'posix', 'id': 'x', 'name': 'x',
           'offset': 3 * PAGE + 5, 'size': PAGE, 'cause': 'truncated', 'truncated': None,
           'space': None, 'left_out': 0})


@test(MOUNTED)
def a_process_that_dies_of_it(t):
    need_faults(t)
    make(t.shm / 'x', PAGE)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        with open(t.shm / 'x', 'r+b') as file:
            memory = mmap.mmap(file.fileno(), PAGE)
        os.truncate(t.shm / 'x', 0)
        memory[0] = 1
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), -signal.SIGBUS)
    row, = faults(t, pid)
    equal((row['CAUSE'], row['OFFSET'], row['SIZE']), ('truncated', '0', '0'))


def by_whom(row):
    match = re.fullmatch(r'beyond the end; last truncated through the mount '
                         r'from (\d+) to (\d+) bytes at ([\d.]+) by (.*)', row['DETAIL'])
    check(match, row['DETAIL'])
    check(float(match[3]) <= float(row['TIME']), row)
    return int(match[1]), int(match[2]), match[4]


@test(MOUNTED)
def a_full_tmpfs(t):
    """That of the objects, and another one."""
    need_faults(t)
    call('mount', 'tmpfs', t.shm, 0, MS_REMOUNT, b'size=%d' % (16 * PAGE))
    make(t.shm / 'x', 32 * PAGE)
    with Faulter(t.shm / 'x', 32 * PAGE) as faulter:
        equal(faulter('touch 0 1'), 0)
        write(t.shm / 'fills', b'1' * 15 * PAGE)
        row = one(t, faulter, f'read {20 * PAGE} 1', CAUSE='no space', KIND='posix',
                  DETAIL=f'tmpfs {device(t.shm)} has {16 * PAGE} of {16 * PAGE} bytes')
        equal((row['OFFSET'], row['SIZE']), (str(20 * PAGE), str(32 * PAGE)))
        os.unlink(t.shm / 'fills')
        equal(faulter(f'touch {20 * PAGE} 1'), 0, 'there is space again')
    elsewhere = t.private / 'elsewhere'
    elsewhere.mkdir()
    call('mount', 'tmpfs', elsewhere, b'tmpfs', 0, b'size=%d' % (4 * PAGE))
    make(elsewhere / 'y', 8 * PAGE)
    with Faulter(elsewhere / 'y', 8 * PAGE) as faulter:
        for page in range(4):
            equal(faulter(f'touch {page * PAGE} 1'), 0, page)
        one(t, faulter, f'touch {7 * PAGE} 1', CAUSE='no space', KIND='tmpfs', NAME='y',
            ID=f"{device(elsewhere)}-{os.stat(elsewhere / 'y').st_ino}",
            DETAIL=f'tmpfs {device(elsewhere)} has {4 * PAGE} of {4 * PAGE} bytes')
    unmount(elsewhere)


@test(MOUNTED)
def memory_without_a_name(t):
    need_faults(t)
    with Faulter('memfd', 2 * PAGE) as faulter:
        equal(faulter('cut 0'), 0)
        row = one(t, faulter, f'touch {PAGE} 1', KIND='memfd', NAME='fault', SIZE='0')
        check(row['ID'] in os.listdir(t.meta / 'unlinked'), row['ID'])
    with Faulter('anon', PAGE) as faulter:
        equal(faulter(f'grow {2 * PAGE}'), 0)
        row = one(t, faulter, f'touch {PAGE} 1', KIND='anon', NAME='', SIZE=str(PAGE),
                  DETAIL='beyond the end')
        check(row['ID'] in os.listdir(t.meta / 'unlinked'), row['ID'])
    make(t.shm / 'gone', 2 * PAGE)
    with Faulter(t.shm / 'gone', 2 * PAGE) as faulter:
        os.truncate(t.shm / 'gone', 0)
        os.unlink(t.shm / 'gone')
        row = one(t, faulter, 'read 0 1', KIND='unlinked', NAME='gone')
        check(row['ID'] in os.listdir(t.meta / 'unlinked'), row['ID'])
    (t.shm / 'directory').mkdir()
    make(t.shm / 'directory' / 'x', 2 * PAGE)
    with Faulter(t.shm / 'directory' / 'x', 2 * PAGE, 'private') as faulter:
        os.truncate(t.shm / 'directory' / 'x', 0)
        one(t, faulter, 'read 0 1', KIND='nested', NAME='x',
            ID=str(os.stat(t.shm / 'directory' / 'x').st_ino))


@ipc_test
def system_v(t):
    need_faults(t)
    shmid = new_segment(PAGE)
    with Faulter(f'sysv:{shmid}', PAGE) as faulter:
        equal(faulter('touch 0 1'), 0)
        equal(faulter(f'grow {3 * PAGE}'), 0)
        one(t, faulter, f'touch {2 * PAGE} 1', KIND='sysv', ID=str(shmid), SIZE=str(PAGE),
            OFFSET=str(2 * PAGE))


@test(MOUNTED)
def private_mappings_through_the_mount(t):
    """Without passthrough too, where the kernel maps pages of the mount's own."""
    need_faults(t)
    make(t.shm / 'x', 4 * PAGE)
    with Faulter(t.root / 'x', 4 * PAGE, 'private') as faulter:
        os.truncate(t.root / 'x', PAGE)
        row = one(t, faulter, f'read {2 * PAGE} 1', KIND='posix', ID='x', NAME='x',
                  SIZE=str(PAGE))
        equal(by_whom(row)[:2], (4 * PAGE, PAGE))


def free_huge_pages():
    text = read('/proc/meminfo').decode()
    found = re.search(r'HugePages_Free: *(\d+)\nHugePages_Rsvd: *(\d+)', text)
    size = re.search(r'Hugepagesize: *(\d+)', text)
    if not size:
        skip('no huge pages here')
    return int(found[1]) - int(found[2]), int(size[1]) << 10


@ipc_test
def no_huge_page(t):
    need_faults(t)
    with huge_pages(0):
        see_that_there_is_no_huge_page(t)


def see_that_there_is_no_huge_page(t):
    free, size = free_huge_pages()
    if free:
        skip('there are free huge pages')
    with Faulter('memfd', size, 'huge') as faulter:
        one(t, faulter, 'touch 12345 1', CAUSE='no huge page', KIND='memfd', NAME='fault',
            OFFSET='12345', SIZE=str(size))
        equal(faulter('cut 0'), 0)
        one(t, faulter, 'touch 12345 1', CAUSE='truncated')
    shmid = new_segment(size, mode=0o600 | SHM_HUGETLB | SHM_NORESERVE)
    with Faulter(f'sysv:{shmid}', size) as faulter:
        one(t, faulter, 'touch 0 1', CAUSE='no huge page', KIND='sysv', ID=str(shmid))
    with Faulter('anon', size, 'private', 'huge') as faulter:
        equal(faulter('touch 0 1'), 1)
        equal(faults(t, faulter.pid), [], 'no other process could share it')


def controller_is_free():
    line, = (l.split() for l in read('/proc/cgroups').decode().splitlines()
             if l.startswith('hugetlb\t'))
    return line[1] == '0'


def unmount_controller(place):
    """Its hierarchy stays if the last group in it was not quite gone: then it is mounted once more."""
    call('umount2', place, 0)
    for _ in range(5):
        try:
            eventually(controller_is_free, 'the controller is free again', 5)
            return
        except AssertionError:
            call('mount', 'cgroup', place, b'cgroup', 0, b'hugetlb')
            call('umount2', place, 0)
    eventually(controller_is_free, 'the controller is free again')


@test(MOUNTED)
def a_control_group_limits_huge_pages(t):
    need_faults(t)
    with huge_pages(1):
        see_that_a_group_limits_huge_pages(t)


def see_that_a_group_limits_huge_pages(t):
    _, size = free_huge_pages()
    place = t.private / 'hugetlb'
    place.mkdir()
    try:
        call('mount', 'cgroup', place, b'cgroup', 0, b'hugetlb')
    except OSError as error:
        skip(f'no controller of huge pages here: {error}')
    group = place / f'faults.{os.getpid()}'
    group.mkdir()
    try:
        write(group / f'hugetlb.{size >> 20}MB.limit_in_bytes', b'0')
        with Faulter('memfd', size, 'huge',
                     prepare=lambda: write(group / 'cgroup.procs', b'%d' % os.getpid())) as faulter:
            one(t, faulter, 'touch 0 1', CAUSE='memory cgroup', KIND='memfd',
                DETAIL=f'limit of the hugetlb controller (hugetlb.{size >> 20}MB)')
    finally:
        eventually(lambda: remove_group(group), 'the group is removed')
        unmount_controller(place)


@test(MOUNTED)
def a_memory_cgroup_kills(t):
    """Of ordinary memory it raises no SIGBUS: there is no row, and none is made up."""
    need_faults(t)
    make(t.shm / 'x', 32 * MIB)
    with memory_group('faults') as (group, _):
        limit, = (f for f in ('memory.limit_in_bytes', 'memory.max')
                  if os.path.exists(f'{group}/{f}'))
        write(f'{group}/{limit}', b'%d' % (8 * MIB))
        pid = os.fork()
        if pid == 0:
            write(f'{group}/cgroup.procs', b'%d' % os.getpid())
            with open(t.shm / 'x', 'r+b') as file:
                memory = mmap.mmap(file.fileno(), 32 * MIB)
            for page in range(0, 32 * MIB, PAGE):
                memory[page] = 1
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == 0:
            skip('the group had swap to go to')
        equal(status, -signal.SIGKILL)
        equal(faults(t, pid), [])
        os.unlink(t.shm / 'x')


@test(MOUNTED)
def what_is_none_of_these(t):
    need_faults(t)
    make(t.shm / 'x', 2 * PAGE)
    with Faulter(t.shm / 'x', 2 * PAGE) as faulter:
        os.truncate(t.shm / 'x', PAGE)
        faulter('forge 5000')
        os.kill(faulter.pid, signal.SIGBUS)
        if os.uname().machine == 'x86_64':
            equal(faulter('unaligned 0'), 1)
        equal(faults(t, faulter.pid), [])
    disk = f'/var/tmp/shmtree-faults-{os.getpid()}'
    make(disk, 2 * PAGE)
    try:
        with Faulter(disk, 2 * PAGE) as faulter:
            os.truncate(disk, 0)
            equal(faulter('touch 0 1'), 1)
            equal(faults(t, faulter.pid), [])
    finally:
        os.unlink(disk)


@test(MOUNTED)
def a_process_that_raises_them_without_end(t):
    """It gets some rows, and the rest is counted; others lose none."""
    need_faults(t)
    make(t.shm / 'x', PAGE)
    many = 5000
    with Faulter(t.shm / 'x', PAGE) as other, Faulter(t.shm / 'x', PAGE) as faulter:
        os.truncate(t.shm / 'x', 0)
        equal(other('touch 0 1'), 1)
        before = counted(t)['truncated']
        equal(faulter(f'touch 0 {many}'), many)
        rows = len(faults(t, faulter.pid))
        check(16 <= rows < 200, rows)
        check(counted(t)['truncated'] >= before + many, 'all are counted')
        _, remarks = table(read(t.meta / 'faults'))
        left, = (int(r.split()[1]) for r in remarks if ' left out: ' in r)
        check(left >= many - rows, (left, rows))

        def again():
            faulter('touch 0 1')
            return len(faults(t, faulter.pid)) > rows
        eventually(again, 'some time later there is a row again')
        found = faults(t, faulter.pid)
        more = sum(int(m[1]) for r in found if (m := re.search(r'(\d+) more before', r['DETAIL'])))
        total = json.loads(read(t.meta / 'faults.json'))['faults']
        equal(more, sum(e['left_out'] for e in total if e['pid'] == faulter.pid))
        check(more >= many - rows, (more, rows))
        equal(len(faults(t, other.pid)), 1)


@test(MOUNTED)
def users_do_not_push_away_what_others_have(t):
    need_faults(t)
    make(t.shm / 'x', PAGE)
    with Faulter(t.shm / 'x', PAGE, user=OTHER + 7) as first:
        os.truncate(t.shm / 'x', 0)
        equal(first('touch 0 1'), 1)
        for user in range(USER, USER + 3):
            with Faulter(t.shm / 'x', PAGE, user=user) as faulter:
                equal(faulter('children 33 17'), 33)
            # The kernel keeps no more records than those of one user until the daemon has read them.
            read(t.meta / 'faults')
        rows, _ = table(read(t.meta / 'faults'))
        check(990 <= len(rows) <= 1000, len(rows))
        equal(len(faults(t, first.pid)), 1, 'the oldest of all')
        times = [float(r['TIME']) for r in rows]
        equal(times, sorted(times), 'in the order of time')


@test(MOUNTED)
def an_address_space_that_changes_all_the_while(t):
    """Where the mapping cannot be looked at, that is counted: nothing is lost in silence."""
    need_faults(t)
    make(t.shm / 'x', PAGE)

    def not_attributed():
        families = parse_metrics(read(t.meta / 'metrics'))
        return families['shmtree_faults_not_attributed_total'][0][1]
    with Faulter(t.shm / 'x', PAGE) as faulter:
        os.truncate(t.shm / 'x', 0)
        for _ in range(2):
            equal(faulter('churn'), 0)
        before = counted(t)['truncated'] + not_attributed()
        equal(faulter('touch 0 1000'), 1000)
        check(counted(t)['truncated'] + not_attributed() >= before + 1000, 'all are counted')
        check(faults(t, faulter.pid), 'and some are rows')


@test(MOUNTED, start=False)
def where_they_are_not_seen(t):
    """The file says so, and no metric says zero."""
    def look(why):
        rows, remarks = table(read(t.meta / 'faults'))
        equal((rows, remarks), ([], [f'# bus errors are not seen: {why}']))
        equal(json.loads(read(t.meta / 'faults.json')),
              {'faults': [], 'not_shown': 0, 'left_out': 0, 'not_attributed': 0,
               'incomplete': why})
        status = t.status()
        equal((status['faults'], status['faults_reason']), ('off', why))
        families = parse_metrics(read(t.meta / 'metrics'))
        equal(families['shmtree_faults_seen'], [({}, 0.0)])
        check('shmtree_faults_total' not in families, 'no counter')
    t.start('-o', 'census=text')
    look('goes with census=bpf')
