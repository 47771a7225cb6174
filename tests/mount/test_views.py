# SPDX-License-Identifier: GPL-2.0-or-later
"""What other programs read of the whole: `metrics` for Prometheus, `graph.dot` for Graphviz."""
import contextlib
import importlib
import json
import math
import mmap
import os
import re
import shutil
import time

from harness import (MOUNTED, Mapper, as_user, check, equal, opened, read, run, skip, table, test,
                     write)
from test_whose import DIGITS, cgroup

PAGE = mmap.PAGESIZE
USER, OTHER = 1234, 1235
NAMES = (b'plain', b'quo"te', b'back\\slash', b'new\nline', b'tab\there', b'\xff\xfe', b'a\xc3',
         'ünï'.encode(), '\ufffd'.encode(), b'\\n', b'<b>&amp;{}', b'%s', b'\x01\x7f', b'-',
         'not\ufffea character'.encode())

SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SEGMENT_FAMILIES = {'shmtree_segment_' + name for name in (
    'size_bytes allocated_bytes resident_bytes swapped_bytes mappings processes openers state '
    'owner mtime_seconds').split()}


def parse_labels(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        check(match, f'labels: {text[at:]!r}')
        check(match[1] not in labels, f'{match[1]} twice in {text!r}')
        labels[match[1]] = re.sub(r'\\(.)', lambda m: '\n' if m[1] == 'n' else m[1], match[2])
        at = match.end()
    return labels


def check_family(name, metadata):
    """TYPE and HELP, a UNIT where the name says so, and each one once."""
    kinds = [kind for kind, _ in metadata]
    equal(sorted(kinds), sorted({'TYPE', 'HELP'} | ({'UNIT'} & set(kinds))), name)
    said = dict(metadata)
    check(said['TYPE'] in ('gauge', 'counter'), f'type of {name}: {said["TYPE"]}')
    for unit in 'bytes', 'seconds':
        equal(name.endswith('_' + unit), said.get('UNIT') == unit, f'unit of {name}')


def parse_metrics(content):
    """Families by name, each a list of (labels, value); everything is in its place."""
    lines = content.decode().split('\n')
    equal(lines[-2:], ['# EOF', ''], 'the end')
    families, metadata, series = {}, {}, set()
    for line in lines[:-2]:
        if line.startswith('# '):
            _, kind, name, text = line.split(' ', 3)
            if name not in families:
                families[name], metadata[name] = [], []
            equal(name, list(families)[-1], 'a family stands together')
            equal(families[name], [], 'metadata come before samples')
            metadata[name].append((kind, text))
            continue
        match = SAMPLE.fullmatch(line)
        check(match, f'a sample: {line!r}')
        family = list(families)[-1]
        counter = ('TYPE', 'counter') in metadata[family]
        equal(match[1], family + ('_total' if counter else ''), 'a family stands together')
        labels = parse_labels(match[2] or '')
        check((family, *sorted(labels.items())) not in series, f'once only: {line!r}')
        series.add((family, *sorted(labels.items())))
        families[family].append((labels, float(match[3])))
    for name, said in metadata.items():
        check_family(name, said)
    return families


def exact(label):
    """The bytes that a label's value stands for."""
    def byte(match):
        return bytes([int(match[1], 16)])
    return re.sub('\ufffd'.encode() + b'([0-9A-F]{2})', byte, label.encode())


def of_segment(families, name, kind='posix'):
    """The samples of one segment: family without its prefix to value, and all labels."""
    values, labels = {}, {}
    for family in SEGMENT_FAMILIES:
        for its, value in families[family]:
            if its['kind'] == kind and exact(its['name']) == name:
                values[family.removeprefix('shmtree_segment_')] = value
                labels.update(its)
    return values, labels


def single(families, name, **labels):
    values = [value for its, value in families[name] if its == labels]
    equal(len(values), 1, f'samples of {name}{labels}')
    return values[0]


@test(MOUNTED)
def metrics_of_a_segment(t):
    write(t.shm / 'x', bytes(PAGE + 1))
    os.chown(t.shm / 'x', 12, 34)
    os.chmod(t.shm / 'x', 0o640)
    os.utime(t.shm / 'x', ns=(0, 1234567890123456789))
    with Mapper(t.shm / 'x') as one, Mapper(t.shm / 'x') as two:
        one('map 3')
        two('map 2')
        two('dup 4')
        values, labels = of_segment(parse_metrics(read(t.meta / 'metrics')), b'x')
        known = t.attribute('x', 'resident') != 'unknown'
    wanted = {'size_bytes': PAGE + 1, 'allocated_bytes': 2 * PAGE, 'mappings': 5, 'processes': 2,
              'openers': 6, 'state': 1, 'owner': 1, 'mtime_seconds': 1234567890.123456789}
    if known:
        wanted |= {'resident_bytes': 2 * PAGE, 'swapped_bytes': 0}
    equal(values, wanted)
    equal(labels, {'kind': 'posix', 'id': 'x', 'name': 'x', 'state': 'mapped', 'uid': '12',
                   'gid': '34', 'perms': '0640'})


@test(MOUNTED)
def metrics_have_every_segment(t):
    for i, name in enumerate(NAMES):
        write(os.path.join(os.fsencode(t.shm), name), bytes(i))
    families = parse_metrics(read(t.meta / 'metrics'))
    for i, name in enumerate(NAMES):
        values, labels = of_segment(families, name)
        equal((values['size_bytes'], labels['state'] == 'idle'), (i, True), name)
        equal(exact(labels['id']), name)
    sizes = {labels['kind']: [] for labels, _ in families['shmtree_segments']}
    for labels, value in families['shmtree_segment_size_bytes']:
        sizes[labels['kind']].append(value)
    equal(len(sizes['posix']), len(NAMES))
    for kind, each in sizes.items():
        equal(single(families, 'shmtree_segments', kind=kind), len(each), kind)
        equal(single(families, 'shmtree_size_bytes', kind=kind), sum(each), kind)


@test(MOUNTED)
def metrics_of_memory_without_a_name(t):
    memfd = f'two words {os.getpid()}'
    fd = os.memfd_create(memfd)
    os.truncate(fd, 7 * PAGE)
    write(t.shm / 'lost', bytes(PAGE))
    with opened(t.shm / 'lost', os.O_RDONLY) as lost:
        os.unlink(t.shm / 'lost')
        families = parse_metrics(read(t.meta / 'metrics'))
        values, labels = of_segment(families, memfd.encode(), 'memfd')
        equal((values['size_bytes'], labels['state']), (7 * PAGE, 'open'))
        equal(labels['id'], f'memfd-two_words_{os.getpid()}-{os.fstat(fd).st_ino}')
        values, labels = of_segment(families, b'lost', 'unlinked')
        equal((values['openers'], labels['id']), (1, f'posix-lost-{os.fstat(lost).st_ino}'))
        equal(single(families, 'shmtree_allocated_bytes', kind='unlinked'), PAGE)
    os.close(fd)


@test(MOUNTED)
def metrics_of_the_machine_and_the_census(t):
    before = time.time()
    families = parse_metrics(read(t.meta / 'metrics'))
    status, limits = t.status(), table(read(t.meta / 'limits'))[0]
    for row in limits:
        resource = row['RESOURCE'].decode()
        limit = math.inf if row['LIMIT'] == b'unlimited' else float(row['LIMIT'])
        equal(single(families, 'shmtree_limit', resource=resource), limit, resource)
        used = [1 for labels, _ in families['shmtree_limit_used'] if labels['resource'] == resource]
        equal(len(used), row['USED'] != b'-', resource)
    equal(single(families, 'shmtree_census_backend', backend=status['census']), 1)
    passes = single(families, 'shmtree_census_passes')
    check(0 < passes < int(status['census_passes']), f'{passes} passes before')
    check(0 < single(families, 'shmtree_census_last_pass_seconds') < 60, 'how long a pass takes')
    stamp = single(families, 'shmtree_census_last_pass_timestamp_seconds')
    check(before - 2 < stamp < time.time() + 2, f'{stamp} is now')
    check(single(families, 'shmtree_census_address_spaces') > 1, 'address spaces')
    equal(single(families, 'shmtree_census_incomplete_view'), 'invisible_processes' in status)
    equal(single(families, 'shmtree_unlisted_kinds'), 0)


@test(MOUNTED)
def metrics_as_prometheus_reads_them(t):
    for name in NAMES:
        write(os.path.join(os.fsencode(t.shm), name), b'')
    content = read(t.meta / 'metrics').decode()
    try:
        strict = importlib.import_module('prometheus_client.openmetrics.parser')
        older = importlib.import_module('prometheus_client.parser')
    except ImportError:
        skip('no prometheus_client here')
    for parser in strict, older:
        families = {f.name: f for f in parser.text_string_to_metric_families(content)}
        got = {exact(sample.labels['name'])
               for sample in families['shmtree_segment_size_bytes'].samples
               if sample.labels['kind'] == 'posix'}
        equal(got, set(NAMES), parser.__name__)


@test(MOUNTED)
def metrics_of_many_are_read_in_pieces(t):
    count = 3000
    for i in range(count):
        os.close(os.open(t.shm / f'segment.{i}', os.O_CREAT | os.O_RDWR))
    with opened(t.meta / 'metrics', os.O_RDONLY) as fd:
        os.unlink(t.shm / 'segment.0')
        whole = b''
        while piece := os.read(fd, 99_991):
            whole += piece
        equal(os.pread(fd, 1000, len(whole) // 2), whole[len(whole) // 2:][:1000], 'read again')
    families = parse_metrics(whole)
    for family in SEGMENT_FAMILIES:
        if not family.endswith(('resident_bytes', 'swapped_bytes')):
            kinds = [labels['kind'] for labels, _ in families[family]]
            equal(kinds.count('posix'), count, family)


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


def segment_node(nodes, *label):
    found = [node for node, lines in nodes.items() if lines[:len(label)] == list(label)]
    equal(len(found), 1, f'nodes of {label}')
    return found[0]


@test(MOUNTED)
def graph_of_who_uses_what(t):
    write(t.shm / 'x', bytes(PAGE))
    write(t.shm / 'y', b'')
    with Mapper(t.shm / 'x') as one, Mapper(t.shm / 'x') as two:
        one('map 3')
        two('dup 4')
        nodes, edges, _ = parse_graph(read(t.meta / 'graph.dot'))
        x = segment_node(nodes, 'posix', 'x')
        equal(nodes[x][2:], ['4.0\u00a0KiB of 4.0\u00a0KiB', 'mapped'])
        for mapper in one, two:
            equal(nodes[f'p{mapper.pid}'], [str(mapper.pid), 'mapper'])
        equal({key: n for key, n in edges.items() if key[1] == x},
              {(f'p{one.pid}', x): (3, 1), (f'p{two.pid}', x): (0, 5)})
        check('hidden' not in nodes, 'root sees all')


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
    with Mapper(t.shm / 'x') as one, Mapper(t.shm / 'x') as other, Mapper(t.shm / 'x') as alone:
        with cgroup('graph') as group:
            for mapper in one, other:
                write(f'{group}/cgroup.procs', b'%d' % mapper.pid)
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


@test(MOUNTED)
def views_are_the_same_as_the_lists(t):
    """No more and no fewer segments than segments.json has, for a machine that stands still."""
    for name in 'a', 'b', 'c':
        write(t.shm / name, b'')
    posix = [s['id'] for s in json.loads(read(t.meta / 'segments.json'))['segments']
             if s['kind'] == 'posix']
    samples = parse_metrics(read(t.meta / 'metrics'))['shmtree_segment_size_bytes']
    equal([labels['id'] for labels, _ in samples if labels['kind'] == 'posix'], posix)
    equal(posix, ['a', 'b', 'c'])
