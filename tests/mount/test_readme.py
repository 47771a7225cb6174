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
HEADING = '### A full machine, to the end\n'


def section(heading):
    return README.read_text(encoding='utf-8').split(heading)[1].split('\n##')[0]


def commands():
    block = section(HEADING).split('```console\n')[1].split('```')[0]
    found = [line[2:] for line in block.splitlines()]
    equal(len(found), 4, 'cd, and three')
    return found


@ipc_test
def commands_at_a_full_machine(t):
    for tool in 'bash', 'jq':
        if not shutil.which(tool):
            skip(f'no {tool}')
    write(t.shm / 'left over', bytes(3 * PAGE))
    write(t.shm / 'mapped', bytes(32 << 20))
    write(t.shm / 'held', bytes(PAGE))
    left, attached = new_segment(2 * PAGE), new_segment(PAGE)
    cd, fills, idle, remove = (line.replace('/mnt/shm/', f'{t.root}/') for line in commands())

    def bash(command):
        return run('bash', '-c', f'{cd} && {command}').decode()

    with cgroup('full') as group, Child(lambda: (map_alone('/dev/shm/mapped', 32 << 20),
                                                 Attached(attached))) as child, \
            opened(t.shm / 'held', os.O_RDONLY):
        write(f'{group}/cgroup.procs', b'%d' % child.pid)
        every = fills.replace('[:10]', '')  # others may have more
        check(every != fills and bash(fills), fills)
        groups = [line.split('\t') for line in bash(every).splitlines()]
        shares = [int(row[0]) for row in groups]
        equal(shares, sorted(shares, reverse=True), 'what fills it, first')
        check(any(DIGITS[:12] == row[1] for row in groups), groups)
        lines = bash(idle).splitlines()
        equal([line for line in lines if 'left over' in line][0].split()[4], str(3 * PAGE))
        check(any(line.endswith(f' {left}') for line in lines), lines)
        check(not any(w in line for line in lines for w in ('mapped', 'held')), lines)

        equal(bash(remove), '', 'nothing is as old as that')
        young = remove.replace('-mmin +60', '-mmin -60')
        check(young != remove, remove)
        removed = bash(young)
        check(all(name in removed for name in ('left over', str(left))) and removed.count('\n') == 2, removed)
        equal(sorted(os.listdir(t.shm)), ['held', 'mapped'])
        equal(os.listdir(t.meta / 'sysv'), [str(attached)])


@ipc_test
def questions_have_their_answers(t):
    """The commands of the five questions work, and print the columns and members that README shows."""
    for tool in 'bash', 'jq':
        if not shutil.which(tool):
            skip(f'no {tool}')
    questions = README.read_text(encoding='utf-8').split('## Five questions\n')[1].split('\n## ')[0]
    write(t.shm / 'psm_4f2a91c0', bytes(PAGE))
    write(t.shm / 'psm_88d1e07b', bytes(PAGE))
    blocks = [block.split('```')[0] for block in questions.split('```console\n')[1:]]
    listed, mappers, idle, removed, faults, _ = blocks
    command, header, *_ = listed.splitlines()
    output = run('bash', '-c', command[2:].replace('shmtree', t.program, 1)).decode()
    equal(output.splitlines()[0].split(), header.split())
    command, header, *_ = mappers.splitlines()
    equal(run('bash', '-c', command[2:].replace('/mnt/shm', os.fspath(t.root))).decode().splitlines()[0].split(),
          header.split())
    command = idle.splitlines()[0][2:].replace('/mnt/shm', os.fspath(t.root))
    check(run('bash', '-c', command).decode().count('psm_') == 2, command)
    with opened(t.shm / 'psm_4f2a91c0', os.O_RDONLY):
        command = idle.splitlines()[2][2:].replace('/mnt/shm', os.fspath(t.root))
        done = run('bash', '-c', f'LC_ALL=C {command} 2>&1', status=1).decode()
        equal(done, idle.splitlines()[3].replace('/mnt/shm', os.fspath(t.root)) + '\n')
    equal(os.listdir(t.shm), ['psm_4f2a91c0'])
    for block in removed, faults:
        for line in block.splitlines():
            if line.startswith('$ '):
                command = line[2:].replace('/mnt/shm', os.fspath(t.root))
                run('bash', '-c', command if '/log' not in command else command.split(' /')[0] + ' </dev/null')
