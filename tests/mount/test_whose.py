# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose segments are: BORN, UNIT and CMDLINE in the tables, and the files processes and cgroups."""
import contextlib
import errno
import json
import mmap
import os
import subprocess
import sys

from harness import as_user, check, equal, eventually, read, skip, table, write
from ipc import Attached, Child, OTHER, USER, ipc_test, map_alone, new_segment
from test_namespaces import Elsewhere

PAGE = mmap.PAGESIZE
# Of the container that this test process makes: other tests run beside it.
DIGITS = f'{os.getpid():012x}' + '5ca1ab1e' * 6 + '5ca1'


def remove_group(path):
    """False while a process of it, which was waited for, is not quite gone."""
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


@contextlib.contextmanager
def cgroup(name):
    """A control group, of the hierarchy of the memory controller or of version 2."""
    for top in '/sys/fs/cgroup/memory', '/sys/fs/cgroup/unified', '/sys/fs/cgroup':
        place = os.path.join(top, f'{name}.{os.getpid()}', f'docker-{DIGITS}.scope')
        if not os.path.exists(f'{top}/cgroup.procs'):
            continue
        try:
            os.makedirs(place)
            break
        except OSError:
            continue
    else:
        skip('no control group can be made here')
    try:
        yield place
    finally:
        for directory in place, os.path.dirname(place):
            eventually(lambda path=directory: remove_group(path), 'the group is removed')


def born(pid):
    return read(f'/proc/{pid}/stat').rsplit(b')', 1)[1].split()[19]


def cmdline(pid):
    return read(f'/proc/{pid}/cmdline').rstrip(b'\0').replace(b'\0', b' ')[:256]


def rows_of(t, name, key='PID'):
    rows, remarks = table(read(t.meta / name))
    return {r[key].decode(): r for r in rows}, remarks


@ipc_test
def rows_say_whose(t):
    write(t.shm / 'x', b'x' * PAGE)
    with cgroup('whose') as group, Child(lambda: (map_alone('/dev/shm/x', PAGE),
                                                  open('/dev/shm/x', 'rb'))) as child:
        write(f'{group}/cgroup.procs', b'%d' % child.pid)
        for name in 'mappers', 'holders':
            row, = t.rows('x', name)
            equal(list(row)[-3:], ['BORN', 'UNIT', 'CMDLINE'], name)
            equal((row['BORN'], row['UNIT'], row['CMDLINE']),
                  (born(child.pid), DIGITS[:12].encode(), cmdline(child.pid)), name)
            row, = json.loads(read(t.meta / 'posix' / 'x' / 'info.json'))[name]
            equal((row['born'], row['unit'], row['cmdline'].encode()),
                  (int(born(child.pid)), DIGITS[:12], cmdline(child.pid)), name)


@ipc_test
def command_lines_are_escaped_and_bounded(t):
    write(t.shm / 'x', b'x' * PAGE)
    program = ('import mmap, os, sys; f = os.open("/dev/shm/x", os.O_RDWR); m = mmap.mmap(f, 4096);'
               'print(flush=True); sys.stdin.read()')
    process = subprocess.Popen([sys.executable, '-c', program, 'tab\there', 'new\nline', 'n' * 500],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    text = read(t.meta / 'posix' / 'x' / 'mappers')
    equal(len([line for line in text.splitlines() if not line.startswith(b'#')]), 2)
    row, = t.rows('x', 'mappers')
    equal(row['CMDLINE'], cmdline(process.pid))
    check(b'tab\\011here new\\012line nnn' in text and b'n' * 300 not in text, text)
    process.communicate()


@ipc_test
def processes_divide_what_they_share(t):
    write(t.shm / 'two', b'x' * 8 * PAGE)
    write(t.shm / 'held', b'x' * 4 * PAGE)

    def maps():
        return map_alone('/dev/shm/two', 8 * PAGE)
    with cgroup('shares') as group, Child(maps) as one, \
            Child(lambda: (maps(), map_alone('/dev/shm/two', 8 * PAGE),
                           open('/dev/shm/held', 'rb'))) as other:
        for child in one, other:
            write(f'{group}/cgroup.procs', b'%d' % child.pid)
        rows, _ = rows_of(t, 'processes')
        wanted = {one.pid: (1, 1, 0, 8, 4), other.pid: (2, 2, 1, 12, 8)}
        for pid, (segments, mappings, descriptors, size, share) in wanted.items():
            row = rows[str(pid)]
            equal([row[c] for c in ('UID', 'UNIT', 'BORN', 'CMDLINE')],
                  [b'0', DIGITS[:12].encode(), born(pid), cmdline(pid)])
            # The interpreter that the child was forked from has no segments of its own.
            equal([int(row[c]) for c in ('SEGMENTS', 'MAPPINGS', 'DESCRIPTORS')],
                  [segments, mappings, descriptors], pid)
            equal([int(row[c]) // PAGE for c in ('SIZE', 'SHARE')], [size, share], pid)
        facts = {p['pid']: p for p in json.loads(read(t.meta / 'processes.json'))['processes']}
        equal((facts[other.pid]['share'], facts[other.pid]['unit']), (8 * PAGE, DIGITS[:12]))
        for pid in one.pid, other.pid:
            for column in 'PID', 'UID', 'BORN', 'SEGMENTS', 'MAPPINGS', 'DESCRIPTORS', 'SIZE', 'SHARE':
                equal(facts[pid][column.lower()], int(rows[str(pid)][column]), column)

        groups, _ = rows_of(t, 'cgroups', 'UNIT')
        row = groups[DIGITS[:12]]
        check(group.endswith(row['CGROUP'].decode()), row)
        equal([int(row[c]) for c in ('PROCESSES', 'SEGMENTS')], [2, 2])
        equal([int(row[c]) // PAGE for c in ('SIZE', 'SHARE')], [12, 12])
        facts, = (g for g in json.loads(read(t.meta / 'cgroups.json'))['cgroups']
                  if g['unit'] == DIGITS[:12])
        equal((facts['processes'], facts['segments'], facts['share']), (2, 2, 12 * PAGE))


@ipc_test
def a_container_has_segments_of_its_own(t):
    with cgroup('elsewhere') as group, Child(Elsewhere()) as child:
        write(f'{group}/cgroup.procs', b'%d' % child.pid)
        rows, _ = rows_of(t, 'processes')
        equal([int(rows[str(child.pid)][c]) for c in ('SEGMENTS', 'MAPPINGS')], [3, 3])
        groups, _ = rows_of(t, 'cgroups', 'UNIT')
        equal(int(groups[DIGITS[:12]]['SEGMENTS']), 3)


@ipc_test
def three_users_and_a_container(t):
    os.chmod(t.private, 0o755)
    write(t.shm / 'x', b'x' * PAGE)
    os.chmod(t.shm / 'x', 0o666)

    def maps():
        return map_alone('/dev/shm/x', PAGE)
    with Child(maps) as roots, Child(maps, USER) as one, Child(maps, OTHER) as other, \
            Child(lambda: Attached(new_segment(PAGE)), USER) as second:
        pids = {str(c.pid) for c in (roots, one, other, second)}
        own = {str(one.pid), str(second.pid)}
        check(set(rows_of(t, 'processes')[0]) >= pids, 'root sees all')

        def looks():
            rows, remarks = rows_of(t, 'processes')
            equal(set(rows) & pids, own)
            check([m for m in remarks if m.endswith(' not shown')], remarks)
            check({r['UID'] for r in rows.values()} == {b'%d' % USER}, rows)
            facts = json.loads(read(t.meta / 'processes.json'))
            equal({str(p['pid']) for p in facts['processes']} & pids, own)
            check(facts['not_shown'] >= 2, facts['not_shown'])
            rows, remarks = rows_of(t, 'cgroups', 'CGROUP')
            check([m for m in remarks if m.endswith(' not shown')], remarks)
            check(sum(int(r['PROCESSES']) for r in rows.values()) >= 2, 'ones own')
            for name in 'mappers', 'holders':
                text = read(t.meta / 'posix' / 'x' / name)
                check(b'%d\t' % other.pid not in text, text)
        equal(as_user(USER, USER, looks), 0)

        def contained():
            """Root in a user namespace of its own, as in a container: nobody to the rest."""
            text = subprocess.run(['unshare', '-Ur', 'cat', t.meta / 'processes'], check=True,
                                  capture_output=True).stdout
            equal({r['PID'].decode() for r in table(text)[0]} & pids & {str(roots.pid),
                                                                       str(other.pid)}, set())
        equal(as_user(USER, USER, contained), 0)
