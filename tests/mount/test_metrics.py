# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics: `metrics`, which is bounded, and `metrics.segments`, which has every segment."""
import importlib
import json
import math
import mmap
import os
import re
import time

from harness import (MOUNTED, Mapper, check, equal, eventually, opened, read, skip, table, test,
                     write)
from ipc import Child, ipc_test, new_segment
from test_namespaces import Elsewhere, realms_of
from test_object import need_objects
from test_views import NAMES
from test_whose import DIGITS, cgroup

PAGE = mmap.PAGESIZE
BYTES = {'TMPFS_BYTES', 'SHMMAX', 'SHMALL', 'MSGMAX', 'MSGMNB', 'MQ_MSGSIZE_MAX'}
SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
LARGEST = 50
ALL_FAMILIES = {'shmtree_segment_' + name for name in (
    'info size_bytes allocated_bytes resident_bytes swapped_bytes mappings processes openers references '
    'hidden modified_timestamp_seconds idle_since_timestamp_seconds').split()}
BRIEF_FAMILIES = {'shmtree_segment_' + name for name in (
    'info size_bytes allocated_bytes processes openers idle_since_timestamp_seconds').split()}


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
    """HELP and, but for a counter, TYPE; a UNIT where the name says so; and each one once."""
    kinds = [kind for kind, _ in metadata]
    said = dict(metadata)
    equal(sorted(kinds), sorted(said), f'each one once: {name}')
    equal('TYPE' not in said, name.endswith('_total'), f'a counter has no type, all else has: {name}')
    check(said.get('TYPE', 'gauge') == 'gauge', f'type of {name}: {said.get("TYPE")}')
    check('HELP' in said and set(said) <= {'TYPE', 'HELP', 'UNIT'}, f'{name}: {kinds}')
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
        equal(match[1], family, 'a family stands together')
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
    info, = (its for its, value in families['shmtree_segment_info']
             if its['kind'] == kind and exact(its['name']) == name)
    for family in ALL_FAMILIES & set(families):
        for its, value in families[family]:
            if (its['kind'], its['id']) == (kind, info['id']):
                values[family.removeprefix('shmtree_segment_')] = value
                labels.update(its)
    return values, labels


def single(families, name, **labels):
    values = [value for its, value in families[name] if its == labels]
    equal(len(values), 1, f'samples of {name}{labels}')
    return values[0]


def total(families, name, **labels):
    """The sum of all samples that have these labels."""
    return sum(value for its, value in families[name] if labels.items() <= its.items())


@test(MOUNTED, ('-o', 'metrics_segments=1000'))
def metrics_of_a_segment(t):
    write(t.shm / 'x', bytes(PAGE + 1))
    os.chown(t.shm / 'x', 12, 34)
    os.chmod(t.shm / 'x', 0o640)
    os.utime(t.shm / 'x', ns=(0, 1234567890123456789))
    with Mapper(t.shm / 'x') as one, Mapper(t.shm / 'x') as two:
        one('map 3')
        two('map 2')
        two('dup 4')
        values, labels = of_segment(parse_metrics(read(t.meta / 'metrics.segments')), b'x')
        brief, brief_labels = of_segment(parse_metrics(read(t.meta / 'metrics')), b'x')
        counted = t.attribute('x', 'references') != 'unknown'
    wanted = {'info': 1, 'size_bytes': PAGE + 1, 'allocated_bytes': 2 * PAGE, 'mappings': 5,
              'processes': 2, 'openers': 6, 'resident_bytes': 2 * PAGE, 'swapped_bytes': 0,
              'modified_timestamp_seconds': 1234567890.123456789}
    if counted:
        wanted |= {'references': 2, 'hidden': 0}
    equal(values, wanted)
    equal(brief, {name: value for name, value in wanted.items()
                  if 'shmtree_segment_' + name in BRIEF_FAMILIES})
    equal(labels, {'kind': 'posix', 'id': 'x', 'name': 'x', 'state': 'mapped', 'uid': '12',
                   'gid': '34', 'perms': '0640'})
    equal(brief_labels, labels)


@test(MOUNTED)
def metrics_have_every_segment(t):
    for i, name in enumerate(NAMES):
        write(os.path.join(os.fsencode(t.shm), name), bytes(i))
    families = parse_metrics(read(t.meta / 'metrics.segments'))
    equal(set(families), ALL_FAMILIES)
    for i, name in enumerate(NAMES):
        values, labels = of_segment(families, name)
        equal((values['size_bytes'], labels['state']), (i, 'idle'), name)
        check(values['idle_since_timestamp_seconds'] > 1e9, 'since when')
        equal(exact(labels['id']), name)
    sums = parse_metrics(read(t.meta / 'metrics'))
    equal(single(sums, 'shmtree_state_segments', kind='posix', state='idle'), len(NAMES))
    equal(single(sums, 'shmtree_segments', kind='posix'), len(NAMES))
    equal(single(sums, 'shmtree_size_bytes', kind='posix'), sum(range(len(NAMES))))
    equal(total(sums, 'shmtree_segments_left_out') > 0,
          total(sums, 'shmtree_segments') > LARGEST, 'the largest alone')


@test(MOUNTED)
def metrics_of_memory_without_a_name(t):
    memfd = f'two words {os.getpid()}'
    fd = os.memfd_create(memfd)
    os.truncate(fd, 7 * PAGE)
    write(t.shm / 'lost', bytes(PAGE))
    with opened(t.shm / 'lost', os.O_RDONLY) as lost:
        os.unlink(t.shm / 'lost')
        families = parse_metrics(read(t.meta / 'metrics.segments'))
        values, labels = of_segment(families, memfd.encode(), 'memfd')
        equal((values['size_bytes'], labels['state']), (7 * PAGE, 'open'))
        equal(labels['id'], f'memfd-two_words_{os.getpid()}-{os.fstat(fd).st_ino}')
        values, labels = of_segment(families, b'lost', 'unlinked')
        equal((values['openers'], labels['id']), (1, f'posix-lost-{os.fstat(lost).st_ino}'))
        families = parse_metrics(read(t.meta / 'metrics'))
        equal(single(families, 'shmtree_state_allocated_bytes', kind='unlinked', state='open'), PAGE)
    os.close(fd)


@test(MOUNTED)
def sums_count_an_object_with_two_names_once(t):
    write(t.shm / 'one', bytes(8 * PAGE))
    os.link(t.shm / 'one', t.shm / 'two')
    families = parse_metrics(read(t.meta / 'metrics'))
    space = os.statvfs(t.shm)
    used = (space.f_blocks - space.f_bfree) * space.f_frsize
    equal(single(families, 'shmtree_allocated_bytes', kind='posix'), used, 'as the tmpfs says')
    for what in 'segments', 'size_bytes', 'allocated_bytes':
        equal(total(families, f'shmtree_state_{what}', kind='posix'),
              single(families, f'shmtree_{what}', kind='posix'), f'{what} by state and by kind')


def differences(families, rows):
    for kind in 'posix', 'nested', 'unlinked':
        mine = [row for row in rows if row['kind'] == kind]
        for state in {row['state'] for row in mine}:
            those = [row for row in mine if row['state'] == state]
            for family, values in ('segments', [1] * len(those)), ('size_bytes', [row['size'] for row in those]), \
                    ('allocated_bytes', [row['allocated'] for row in those]):
                told = single(families, f'shmtree_state_{family}', kind=kind, state=state)
                if told != sum(values):
                    yield f'{family} of {kind} {state}: {told}, the rows have {sum(values)}'
        told = single(families, 'shmtree_allocated_bytes', kind=kind)
        if told != sum(row['allocated'] for row in mine):
            yield f'allocated bytes of {kind}: {told}'


def sums_and_rows(t):
    """Both, or None if they differ: between the two somebody else may have looked at an object for a moment."""
    families = parse_metrics(read(t.meta / 'metrics'))
    rows = [s for s in json.loads(read(t.meta / 'segments.json'))['segments']
            if s['kind'] in ('posix', 'nested', 'unlinked')]
    rows = list({(row['kind'], row['ino']): row for row in rows}.values())  # each once, whatever names it has
    found = list(differences(families, rows))
    print(*found, sep='\n', flush=True)
    return None if found else (families, rows)


@test(MOUNTED)
def sums_are_those_of_all_segments(t):
    """However they were made: by kind, state and user as the rows of `segments.json` add up."""
    users = [1_000_000 + 3 * os.getpid() + i for i in range(3)]  # no other test's
    for i in range(200):
        write(t.shm / f'idle-{i}', bytes(i * 100))
        os.chown(t.shm / f'idle-{i}', users[i % 3], 0)
    write(t.shm / 'open', bytes(5 * PAGE))
    write(t.shm / 'linked', bytes(9 * PAGE))
    os.link(t.shm / 'linked', t.shm / 'other name')
    (t.shm / 'directory').mkdir()
    write(t.shm / 'directory/nested', bytes(3 * PAGE))
    write(t.shm / 'large', bytes(40 * PAGE))
    os.link(t.shm / 'large', t.shm / '.shmtree')  # is no object, nor does it hide one
    (t.shm / 'closed').mkdir(0o700)
    write(t.shm / 'linked out', bytes(30 * PAGE))
    os.link(t.shm / 'linked out', t.shm / 'closed/secret')
    write(t.shm / '.shmtree2', bytes(10 * PAGE))
    write(t.shm / 'many', bytes(15 * PAGE))
    for i in range(1100):
        os.link(t.shm / 'many', t.shm / f'directory/{i}')
    write(t.shm / 'gone', bytes(2 * PAGE))
    with Mapper(t.shm / 'linked') as mapper, opened(t.shm / 'open', os.O_RDONLY), \
            opened(t.root / 'idle-7', os.O_RDONLY), opened(t.shm / 'gone', os.O_RDONLY):
        mapper('map 2')
        os.unlink(t.shm / 'gone')
        t.settle()
        families, rows = eventually(lambda: sums_and_rows(t), 'both say the same')
    equal(len([row for row in rows if row['kind'] == 'posix']), 206)
    for uid in users:
        equal(single(families, 'shmtree_user_segments', uid=str(uid)),
              len([row for row in rows if row['uid'] == uid]), uid)
    ids = {labels['id'] for labels, _ in families['shmtree_segment_info'] if labels['kind'] == 'posix'}
    for linked in ids & {'linked', 'other name'}:  # where the kernel does not tell, both
        found = of_segment(families, linked.encode())[0]
        equal((found['processes'], found['size_bytes']), (1, 9 * PAGE))
    equal(len(families['shmtree_segment_info']), LARGEST)
    check(not ids & {'.shmtree', 'secret'}, ids)
    # Others' are among the largest too: where the machine has many, they may be all of them.
    least = min(value for labels, value in families['shmtree_segment_allocated_bytes'])
    larger = {row['id'] for row in rows if row['kind'] == 'posix' and row['allocated'] > least}
    if larger & {'linked', 'other name'} and ids & {'linked', 'other name'}:
        larger -= {'linked', 'other name'}
    equal(larger - ids, set(), f'larger than {least}')


@test(MOUNTED)
def sums_have_what_was_not_listed(t):
    """What a directory has that was not there when it was listed, or, here, is too deep to be listed."""
    need_objects(t)
    deep = t.shm / '/'.join(['d'] * 33)
    deep.mkdir(parents=True)
    write(t.shm / 'd/listed', bytes(PAGE))
    write(deep / 'open', bytes(5 * PAGE))
    write(deep / 'idle', bytes(3 * PAGE))
    os.link(deep / 'idle', deep / 'idle too')
    with opened(deep / 'open', os.O_RDONLY):
        t.settle()
        families = parse_metrics(read(t.meta / 'metrics'))
    equal([line for line in read(t.meta / 'segments').splitlines() if b'd/idle' in line], [], 'not listed')
    for state, pages in ('idle', 4), ('open', 5):
        equal(single(families, 'shmtree_state_allocated_bytes', kind='nested', state=state), pages * PAGE, state)
    equal(single(families, 'shmtree_segments', kind='nested'), 3)
    check(single(families, 'shmtree_segments_left_out') >= 2, 'without samples')


@test(MOUNTED, options=('-o', 'metrics_segments=3'))
def metrics_have_the_largest(t):
    for i in range(9):
        write(t.shm / f'segment.{i}', bytes((i + 1) * PAGE * 256))
    write(t.shm / 'hole', b'')
    os.truncate(t.shm / 'hole', 1 << 40)
    families = parse_metrics(read(t.meta / 'metrics'))
    for family in BRIEF_FAMILIES - {'shmtree_segment_idle_since_timestamp_seconds'}:
        equal(len(families[family]), 3, family)
    ids = [labels['id'] for labels, _ in families['shmtree_segment_info']]
    least = min(value for _, value in families['shmtree_segment_allocated_bytes'])
    for i in range(9):  # memfds of whatever else runs here may be larger
        check(f'segment.{i}' in ids or (i + 1) * PAGE * 256 <= least, f'{i} is smaller than {ids}')
    check('hole' not in ids, 'a promise takes no memory')
    equal(total(families, 'shmtree_segments_left_out') + 3, total(families, 'shmtree_segments'),
          'the others')


@test(MOUNTED)
def metrics_are_bounded(t):
    """Names as long and as hard to write as can be, many users."""
    for i in range(300):
        name = os.path.join(os.fsencode(t.shm), b'\xff' * 250 + b'%03d' % i)
        write(name, bytes(PAGE))
        os.chown(name, 10_000 + i, 0)
    write(name, bytes(8 << 20))  # so that its unit is among the largest of the machine
    with cgroup('metrics') as group, Mapper(name) as mapper:
        write(f'{group}/cgroup.procs', b'%d' % mapper.pid)
        content = read(t.meta / 'metrics')
        write(f'{os.path.dirname(os.path.dirname(group))}/cgroup.procs', b'%d' % mapper.pid)
    check(len(content) < 64 << 10, f'{len(content)} bytes')
    families = parse_metrics(content)
    users = {labels['uid']: value for labels, value in families['shmtree_user_segments']}
    equal(len(users), 21, users)
    check(users['other'] >= 280, users)
    equal(single(families, 'shmtree_unit_processes', unit=DIGITS[:12]), 1)
    check(total(families, 'shmtree_segments_left_out') > 200, 'what there is no room for')


class Full(Elsewhere):
    """Among the largest and the fullest of the machine, which alone have samples."""

    def __call__(self):
        held = super().__call__()
        write('/dev/shm/more', bytes(950 << 10))
        return held

    def segment(self):
        write('/proc/sys/kernel/shmmni', b'1')
        return new_segment(8 << 20, bytes(8 << 20))


@ipc_test
def metrics_of_a_container(t):
    with Child(Full('their_object')) as child:
        ipc, shm = realms_of(t, child)
        content = read(t.meta / 'metrics')
        families = parse_metrics(content)
        if single(families, 'shmtree_namespaces_left_out') > 0:
            skip('the machine has more other namespaces than are read')
        equal(single(families, 'shmtree_namespace_segments', namespace=ipc.name), 1)
        check(total(families, 'shmtree_namespace_size_bytes', namespace=shm.name) > 0, 'its objects')
        used = single(families, 'shmtree_limit_used_bytes', namespace=shm.name, resource='TMPFS_BYTES')
        check(0 < used < single(families, 'shmtree_limit_bytes', namespace=shm.name,
                                resource='TMPFS_BYTES'), 'how full it is')
        equal(single(families, 'shmtree_limit_used_objects', namespace=ipc.name, resource='SHMMNI'), 1)
        check(b'their_object' not in content, 'no names of its objects')


@test(MOUNTED)
def metrics_of_the_machine_and_the_census(t):
    before = time.time()
    families = parse_metrics(read(t.meta / 'metrics'))
    status, limits = t.status(), table(read(t.meta / 'limits'))[0]
    for row in limits:
        resource = row['RESOURCE'].decode()
        unit = 'bytes' if resource in BYTES else 'objects'
        limit = math.inf if row['LIMIT'] == b'unlimited' else float(row['LIMIT'])
        told = single(families, f'shmtree_limit_{unit}', resource=resource)
        if resource == 'SHMALL':
            check(told in (limit * PAGE, math.inf), 'pages are told as bytes')
        else:
            equal(told, limit, resource)
        used = [1 for labels, _ in families[f'shmtree_limit_used_{unit}']
                if labels == {'resource': resource}]
        equal(len(used), row['USED'] != b'-', resource)
    equal(single(families, 'shmtree_build_info', version=status['version']), 1)
    equal(single(families, 'shmtree_census_backend_info', backend=status['census']), 1)
    passes = single(families, 'shmtree_census_passes_total')
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
    try:
        strict = importlib.import_module('prometheus_client.openmetrics.parser')
        older = importlib.import_module('prometheus_client.parser')
    except ImportError:
        skip('no prometheus_client here')
    for path in 'metrics', 'metrics.segments':
        content = read(t.meta / path).decode()
        for parser in strict, older:
            families = {f.name: f for f in parser.text_string_to_metric_families(content)}
            got = {exact(sample.labels['name'])
                   for sample in families['shmtree_segment_info'].samples
                   if sample.labels['kind'] == 'posix'}
            check(got == set(NAMES) if path == 'metrics.segments' else got <= set(NAMES),
                  f'{path} by {parser.__name__}: {got}')


@test(MOUNTED)
def metrics_of_many_are_read_in_pieces(t):
    count = 3000
    for i in range(count):
        os.close(os.open(t.shm / f'segment.{i}', os.O_CREAT | os.O_RDWR))
    with opened(t.meta / 'metrics.segments', os.O_RDONLY) as fd:
        os.unlink(t.shm / 'segment.0')
        whole = b''
        while piece := os.read(fd, 99_991):
            whole += piece
        equal(os.pread(fd, 1000, len(whole) // 2), whole[len(whole) // 2:][:1000], 'read again')
    families = parse_metrics(whole)
    for family in BRIEF_FAMILIES:
        if not family.endswith('idle_since_timestamp_seconds'):
            kinds = [labels['kind'] for labels, _ in families[family]]
            equal(kinds.count('posix'), count, family)


@test(MOUNTED)
def views_are_the_same_as_the_lists(t):
    """No more and no fewer segments than segments.json has, for a machine that stands still."""
    for name in 'a', 'b', 'c':
        write(t.shm / name, b'')
    posix = [s['id'] for s in json.loads(read(t.meta / 'segments.json'))['segments']
             if s['kind'] == 'posix']
    samples = parse_metrics(read(t.meta / 'metrics.segments'))['shmtree_segment_size_bytes']
    equal([labels['id'] for labels, _ in samples if labels['kind'] == 'posix'], posix)
    equal(posix, ['a', 'b', 'c'])
