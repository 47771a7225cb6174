# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that README gives to who stands before a full machine, as they stand there."""
import mmap
import os
import pathlib
import shutil

from harness import check, equal, opened, run, skip, write
from ipc import Attached, Child, ipc_test, map_alone, new_segment
from test_whose import DIGITS, cgroup

PAGE = mmap.PAGESIZE
README = pathlib.Path(__file__).resolve().parents[2] / 'README.md'
HEADING = '## A full machine, in five commands\n'


def commands():
    section = README.read_text(encoding='utf-8').split(HEADING)[1].split('\n## ')[0]
    block = section.split('```console\n')[1].split('```')[0]
    found = [line[2:] for line in block.splitlines()]
    equal(len(found), 6, 'cd, and five')
    return found


@ipc_test
def five_commands_at_a_full_machine(t):
    for tool in 'bash', 'column':
        if not shutil.which(tool):
            skip(f'no {tool}')
    write(t.shm / 'left over', bytes(3 * PAGE))
    write(t.shm / 'mapped', bytes(32 << 20))
    write(t.shm / 'held', bytes(PAGE))
    left, attached = new_segment(2 * PAGE), new_segment(PAGE)
    before = t.private / 'before'
    cd, fills, safe, since, remove, gone = (
        line.replace('/mnt/shm/', f'{t.root}/').replace('/run/before', os.fspath(before))
        for line in commands())

    def gone_objects():
        """Memory without a name is the whole machine's, and goes when its users do."""
        return [line for line in bash(gone).splitlines() if line.startswith(('posix ', 'sysv '))]

    def bash(command):
        return run('bash', '-c', f'{cd} && {command}').decode()

    with cgroup('full') as group, Child(lambda: (map_alone('/dev/shm/mapped', 32 << 20),
                                                 Attached(attached))) as child, \
            opened(t.shm / 'held', os.O_RDONLY):
        write(f'{group}/cgroup.procs', b'%d' % child.pid)
        check(bash(fills), 'some groups')
        check(fills.endswith(' | head'), fills)
        groups = bash(fills.removesuffix(' | head'))  # others may have more
        check(any(DIGITS[:12] in line for line in groups.splitlines()), groups)
        lines = bash(safe).splitlines()
        equal([line for line in lines if 'left over' in line][0].split()[4], str(3 * PAGE))
        check(any(line.endswith(f' {left}') for line in lines), lines)
        check(not any(w in line for line in lines for w in ('mapped', 'held')), lines)
        rows = [line.split(' ', 3) for line in bash(since).splitlines()]
        times = [float(row[0]) for row in rows]
        equal(times, sorted(times), 'the oldest first')
        check([str(3 * PAGE), 'posix', 'left over'] in [row[1:] for row in rows], rows)

        bash(remove)
        equal(gone_objects(), [], 'nothing is as old as that')
        young = remove.replace('-mmin +60', '-mmin -60')
        check(young != remove, remove)
        bash(young)
        went = {tuple(line.split()[:2]) for line in gone_objects()}
        equal(went, {('posix', 'left'), ('sysv', str(left))})
        check(all(' idle ' in line for line in gone_objects()), bash(gone))
        equal(sorted(os.listdir(t.shm)), ['held', 'mapped'])
        equal(os.listdir(t.meta / 'sysv'), [str(attached)])
