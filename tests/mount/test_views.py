# SPDX-License-Identifier: GPL-2.0-or-later
"""What Graphviz reads of the whole: `graph.dot`."""
import contextlib
import mmap
import os
import re
import shutil

from harness import MOUNTED, Mapper, as_user, check, equal, opened, read, run, test, write
from test_whose import DIGITS, cgroup

PAGE = mmap.PAGESIZE
USER, OTHER = 1234, 1235
NAMES = (b'plain', b'quo"te', b'back\\slash', b'new\nline', b'tab\there', b'\xff\xfe', b'a\xc3',
         'ünï'.encode(), '\ufffd'.encode(), b'\\n', b'<b>&amp;{}', b'%s', b'\x01\x7f', b'-',
         'not\ufffea character'.encode())

# --- graph.dot

QUOTED = r'"((?:[^"\\]|\\.)*)"'
NODE = re.compile(r'\t(s\d+|p\d+|hidden) \[(?:shape=\w+,|fillcolor=\w+,fontsize=\d+,)?label=' + QUOTED + r'\];')
EDGE = re.compile(r'\t(p\d+|hidden) -> (s\d+) \[label="(?:(\d+) maps)?(?:, )?(?:(\d+) fds)?"(,style=dashed)?\];')
CLUSTER = re.compile(r'\tsubgraph cluster_\d+ {')
UNIT = re.compile(r'\tlabel=' + QUOTED + ';')


def processes_by_unit(content):
    """The processes in each box that a unit has, and under None those in no box."""
    found, unit = {None: []}, None
    for line in content.decode().split('\n'):
        if CLUSTER.fullmatch(line):
            equal(unit, None, 'no box in a box')
            unit = ''
        elif match := UNIT.fullmatch(line):
            equal(unit, '', 'a box begins with its label')
            unit = match[1]
            check(unit not in found, f'one box: {unit}')
            found[unit] = []
        elif line == '\t}':
            unit = None
        elif (match := NODE.fullmatch(line)) and match[1][0] == 'p':
            found[unit].append(int(match[1][1:]))
    return found


def parse_graph(content):
    """Labels by node, counts of mappings and descriptors by (from, to), and the comments."""
    lines = content.decode().split('\n')
    begin = lines.index('digraph shmtree {')
    equal(lines[-2:], ['}', ''], 'the end')
    equal(lines[begin + 1], '\trankdir=LR;')
    check(all(line.startswith('// ') for line in lines[:begin]), 'comments')
    nodes, edges = {}, {}
    for line in lines[begin + 2:-2]:
        if line.startswith(('\tranksep=', '\tnode [', '\tedge [')):
            continue
        if CLUSTER.fullmatch(line) or UNIT.fullmatch(line) or line == '\t}':
            continue
        if match := NODE.fullmatch(line):
            check(match[1] not in nodes, f'one node: {line}')
            nodes[match[1]] = match[2].split('\\n')
        else:
            match = EDGE.fullmatch(line)
            check(match, f'a node or an edge: {line!r}')
            key = (match[1], match[2])
            check(key not in edges, f'one edge a pair: {line}')
            equal(bool(match[5]), match[3] is None, 'dashed without mappings')
            check(match[1] in nodes and match[2] in nodes, f'nodes come before edges: {line}')
            edges[key] = (int(match[3] or 0), int(match[4] or 0))
    return nodes, edges, lines[:begin]


def each_has_its_own(nodes):
    """Whether each process has a node of its own. If a reader sees many, as root may, those of one program have one."""
    return not any(re.search(r' × \d+$', lines[0]) for node, lines in nodes.items() if node[0] == 'p')


def seen_by(user, function):
    """As a user who sees but these processes, however many the machine has."""
    equal(as_user(user, user, function), 0, f'as {user}')


def segment_node(nodes, *label):
    found = [node for node, lines in nodes.items() if lines[:len(label)] == list(label)]
    equal(len(found), 1, f'nodes of {label}')
    return found[0]


@test(MOUNTED)
def graph_of_who_uses_what(t):
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)
    write(t.shm / 'y', b'')
    with Mapper(t.shm / 'x', user=USER) as one, Mapper(t.shm / 'x', user=USER) as two:
        one('map 3')
        two('dup 4')

        def look():
            nodes, edges, _ = parse_graph(read(t.meta / 'graph.dot'))
            x = segment_node(nodes, 'posix', 'x')
            equal(nodes[x][2:], ['4.0\u00a0KiB of 4.0\u00a0KiB', 'mapped'])
            for mapper in one, two:
                equal(nodes[f'p{mapper.pid}'], [str(mapper.pid), 'mapper'])
            equal({key: n for key, n in edges.items() if key[1] == x},
                  {(f'p{one.pid}', x): (3, 1), (f'p{two.pid}', x): (0, 5)})
        seen_by(USER, look)
        nodes, edges, _ = parse_graph(read(t.meta / 'graph.dot'))
        check('hidden' not in nodes, 'root sees all')
        x = segment_node(nodes, 'posix', 'x')
        equal([sum(n) for n in zip(*(n for key, n in edges.items() if key[1] == x))], [3, 6])


@test(MOUNTED)
def graph_shows_what_its_reader_could_see(t):
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)
    with Mapper(t.shm / 'x') as roots, Mapper(t.shm / 'x', user=USER) as users, \
            Mapper(t.shm / 'x', user=OTHER) as others:
        for mapper, count in (roots, 1), (users, 2), (others, 4):
            mapper(f'map {count}')
            mapper(f'dup {count * 10 - 1}')
        mine = {USER: (users, 2), OTHER: (others, 4), 999: (None, 0)}

        def look():
            mapper, count = mine[os.getuid()]
            text = read(t.meta / 'graph.dot')
            nodes, edges, comments = parse_graph(text)
            x = segment_node(nodes, 'posix', 'x')
            wanted = {('hidden', x): (7 - count, 10 * (7 - count))}
            if mapper:
                wanted |= {(f'p{mapper.pid}', x): (count, 10 * count)}
            equal({key: n for key, n in edges.items() if key[1] == x}, wanted)
            for hidden in {roots, users, others} - {mapper}:
                check(f'p{hidden.pid}' not in nodes, 'no node')
            hidden = [line for line in comments if 'Not shown' in line]
            equal(len(hidden), 1, 'comments that count')
            processes, mappings, descriptors = (int(n) for n in re.findall(r'\d+', hidden[0]))
            equal(nodes['hidden'], [f'processes not shown: {processes}'])
            check(processes >= 3 - (mapper is not None), hidden)
            of_hidden = [n for key, n in edges.items() if key[0] == 'hidden']
            equal((mappings, descriptors), tuple(sum(n) for n in zip(*of_hidden)))
        for user in mine:
            equal(as_user(user, user, look), 0, f'as {user}')


@test(MOUNTED)
def graph_groups_processes_by_unit(t):
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)
    with Mapper(t.shm / 'x', user=USER) as one, Mapper(t.shm / 'x', user=USER) as other, \
            Mapper(t.shm / 'x', user=USER) as alone:
        def look():
            text = read(t.meta / 'graph.dot')
            boxes = processes_by_unit(text)
            equal(boxes[DIGITS[:12]], sorted([one.pid, other.pid]))
            check(all(alone.pid not in pids for unit, pids in boxes.items()
                      if unit == DIGITS[:12]), boxes)
            nodes, edges, _ = parse_graph(text)
            x = segment_node(nodes, 'posix', 'x')
            equal({key[0] for key in edges if key[1] == x},
                  {f'p{m.pid}' for m in (one, other, alone)})
            if shutil.which('dot'):
                check(DIGITS[:12].encode() in run('dot', '-Tsvg', stdin=text), 'in the drawing')

        with cgroup('graph') as group:
            for mapper in one, other:
                write(f'{group}/cgroup.procs', b'%d' % mapper.pid)
            seen_by(USER, look)
            for mapper in one, other:  # a group with a process in it stays
                write(f'{os.path.dirname(os.path.dirname(group))}/cgroup.procs',
                      b'%d' % mapper.pid)


@test(MOUNTED)
def graph_labels_are_valid_whatever_the_name(t):
    paths = [os.path.join(os.fsencode(t.shm), name) for name in NAMES]
    with contextlib.ExitStack() as stack:
        for path in paths:
            stack.enter_context(opened(path, os.O_CREAT | os.O_RDWR))
        text = read(t.meta / 'graph.dot')
    nodes = parse_graph(text)[0]
    for shown in ('plain', r'quo\"te', r'back\\134slash', r'new\\012line', r'tab\\011here',
                  r'\\377\\376', r'a\\303', 'ünï', '\ufffd', r'\\134n', '<b>&amp;amp;{}', '%s',
                  r'\\001\\177', '-', r'not\\357\\277\\276a character'):
        equal(nodes[segment_node(nodes, 'posix', shown)][3], 'open')
    if shutil.which('dot'):
        drawing = run('dot', '-Tsvg', stdin=text)
        for shown in 'quo&quot;te', 'back\\134slash', '&lt;b&gt;&amp;amp;{}', '\\377\\376':
            check(shown.encode() in drawing, f'{shown} in the drawing')


@test(MOUNTED)
def graph_can_be_read_with_many_segments(t):
    """What is alike is one node, and so is all that is idle."""
    for i in range(300):
        write(t.shm / f'psm_{i:04x}', bytes(PAGE))
        write(t.shm / f'left{i}', b'')
    with contextlib.ExitStack() as stack:
        for i in range(300):
            stack.enter_context(opened(t.shm / f'psm_{i:04x}', os.O_RDONLY))
        nodes, edges, _ = parse_graph(read(t.meta / 'graph.dot'))
    psm = segment_node(nodes, 'posix', 'psm_* × 300')
    equal([n for key, n in edges.items() if key[1] == psm], [(0, 300)])
    idle = [lines for lines in nodes.values() if lines[0].startswith('idle × ')]
    equal(len(idle), 1, 'one node of idle ones')
    check(int(idle[0][0].removeprefix('idle × ')) >= 300, idle)
    check(len(nodes) < 100, f'{len(nodes)} nodes')
