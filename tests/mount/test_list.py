# SPDX-License-Identifier: GPL-2.0-or-later
"""`shmtree --list`: what `segments` shows, without a mount."""
import json
import os
import subprocess

from harness import Mapper, call, check, equal, eventually, json_bytes, read, table, test, write
from ipc import Attached, ipc_test, new_segment, shm_remove
from mounts import unmount

HERE = ('auto',)
NAMES = (b'plain', b'new\nline', b'tab\there', b'\xff\xfe', b'\x1b[31mred', '\u202eltr'.encode(), b'back\\slash',
         'wide 漢字'.encode())
VOLATILE = 'SINCE', 'ATIME'


def listed(t, *arguments, status=0, user=None):
    """Standard output and the lines of standard error, but for what the pass did not see."""
    who = {} if user is None else {'user': user, 'group': user, 'extra_groups': []}
    done = subprocess.run([t.program, '--list', *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          check=False, timeout=60, **who)
    errors = done.stderr.decode().splitlines()
    equal(done.returncode, status, f'status ({errors})')
    return done.stdout, [line for line in errors if not line.startswith('shmtree: not read: ')]


def steady(rows):
    """Of the objects, what does not depend on when one looked."""
    return [{c: v for c, v in row.items() if c not in VOLATILE} for row in rows if row['KIND'] == b'posix']


@test(HERE)
def it_shows_what_segments_shows(t):
    for name in NAMES:
        write(os.path.join(os.fsencode(t.shm), name), b'x' * 5000)
    for name in NAMES:
        t.becomes_idle(os.fsdecode(name))
    with Mapper(t.shm / 'plain') as mapper:
        mapper('map 1')
        ours, errors = listed(t)
        theirs = read(t.meta / 'segments')
    equal(errors, [])
    equal(ours.split(b'\n')[0], theirs.split(b'\n')[0], 'header')
    equal(steady(table(ours)[0]), steady(table(theirs)[0]), 'rows')
    equal(len(steady(table(ours)[0])), len(NAMES))


@test(HERE)
def json_is_that_of_the_mount(t):
    def of(text):
        document = json.loads(text)
        check('incomplete' in document, 'says whether it is complete')
        return [{k: v for k, v in entry.items() if k not in ('since', 'atime')}
                for entry in document['segments'] if entry['kind'] == 'posix']

    for name in NAMES:
        write(os.path.join(os.fsencode(t.shm), name), b'x')
    equal(of(listed(t, '--json')[0]), of(read(t.meta / 'segments.json')))
    some = json.loads(listed(t, '--json', '--columns=name,since,age,resident', '--where=KIND=posix')[0])['segments']
    equal(sorted(json_bytes(entry, 'name') for entry in some), sorted(NAMES))
    equal({tuple(k for k in entry if k != 'name_base64') for entry in some}, {('name', 'since', 'age', 'resident')})


@test(HERE, start=False)
def times_that_somebody_made_up(t):
    """Before 1970, and further away than nanoseconds of 64 bits go."""
    write(t.shm / 'early', b'x')
    os.utime(t.shm / 'early', ns=(-1500000000, -1500000000))
    write(t.shm / 'late', b'x')
    subprocess.run(['touch', '-d', '@10000000000.5', t.shm / 'late'], check=True)
    out, errors = listed(t, '--json', '--columns=name,mtime,age', '--where=KIND=posix')
    equal(errors, [])
    equal({e['name']: (str(e['mtime']), e['age']) for e in json.loads(out, parse_float=str)['segments']
           if e['name'] in ('early', 'late')}['late'], ('10000000000.500000000', 0))
    equal([float(e['mtime']) for e in json.loads(out)['segments'] if e['name'] == 'early'], [-1.5])
    out, errors = listed(t, '--human', '--sort=mtime', '--where=KIND=posix')
    check(b'early' in out and b'late' in out, out)


@test(HERE, start=False)
def rows_are_chosen_and_sorted(t):
    for name, size in ('a', 100), ('b', 9000), ('c', 5000):
        write(t.shm / name, b'x' * size)
    os.utime(t.shm / 'a', (1000, 1000))

    def names(*arguments):
        return listed(t, '--columns=NAME', *arguments)[0].decode().split('\n')[1:-1]

    equal(names('--where=KIND=posix'), ['a', 'b', 'c'])
    equal(names('--where=KIND=posix', '--sort=size'), ['b', 'c', 'a'])
    equal(names('--where=KIND=posix', '--sort=-size'), ['a', 'c', 'b'])
    equal(names('--where=KIND=posix', '--sort=-name'), ['c', 'b', 'a'])
    equal(names('--where=KIND=posix,SIZE>=5000,SIZE<8.8K'), ['b', 'c'])
    with Mapper(t.shm / 'b') as mapper:
        mapper('map 1')
        # Not while another daemon's census has one open.
        eventually(lambda: names('--where=KIND=posix,STATE=idle') == ['a', 'c'], 'a and c are idle')
        equal(names('--where=KIND=posix,STATE=mapped,USER=root'), ['b'])
    # utime(2) itself changes ctime: the object was changed now.
    equal(names('--where=KIND=posix,AGE>1h'), [])
    equal(names('--where=KIND=posix,AGE<1h'), ['a', 'b', 'c'])


@test(HERE, start=False)
def for_people_it_is_aligned(t):
    write(t.shm / 'wide 漢字', b'x' * 5000)
    write(t.shm / 'esc\x1b[31m', b'')
    lines = listed(t, '--human', '--columns=NAME,SIZE,USER', '--where=KIND=posix')[0].decode().split('\n')
    equal(lines, ['NAME         SIZE  USER', 'esc\\033[31m     0  root', 'wide 漢字    4.9K  root', ''])


@test(HERE, start=False)
def the_exit_status_tells_a_full_tmpfs(t):
    write(t.shm / 'big', bytes(32 << 20))
    for limit, status in (('90%', 0), ('49%', 2), ('32M', 0), ('31M', 2), ('1K', 2)):
        out, errors = listed(t, f'--fail-over={limit}', '--columns=NAME', '--where=KIND=posix', status=status)
        equal(out, b'NAME\nbig\n', 'the rows all the same')
        equal(len(errors), 1 if status else 0, f'lines of {errors}')
    call('mount', 'shm', '/dev/shm', b'tmpfs', 32, b'size=0')  # MS_REMOUNT: there is no limit any more
    listed(t, '--fail-over=1%')
    check('no limit' in listed(t, '--fail-over=1M', status=1)[1][0], 'a size cannot be compared')


@test(HERE, start=False)
def what_is_wrong_is_one_line(t):
    for arguments, word in ((('--foo',), '--foo'), (('--sort=foo',), "'foo'"), (('--columns=',), "''"),
                            (('--columns=NAME,x',), "'x'"), (('--where=STATE',), 'STATE'), (('--where=',), 'column'),
                            (('--where=AGE>1y',), '1y'), (('--fail-over=half',), 'half'), (('a', 'b'), 'too many'),
                            (('--json', '--human'), 'json and human'), (('-o', 'watch'), 'watch'),
                            (('-o', 'census=foo'), 'census=foo'), (('-o', 'proc=/etc'), '/etc'), (('/etc',), 'no tmpfs'),
                            (('/dev/shm/none',), '/dev/shm/none'), (('--sort',), 'sort')):
        out, errors = listed(t, *arguments, status=1)
        equal((out, len(errors)), (b'', 1), f'{arguments}: {errors}')
        check(errors[0].startswith('shmtree: ') and word in errors[0], f'{arguments}: {errors}')
    with open('/dev/full', 'wb') as full:
        done = subprocess.run([t.program, '--list'], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    equal(done.returncode, 1, 'status when nothing can be written')
    check(b'No space left' in done.stderr, done.stderr)


@test(HERE, start=False)
def another_source_has_rows_of_its_own(t):
    place = t.private / 'other'
    place.mkdir()
    call('mount', 'other', place, b'tmpfs', 0, b'size=1m')
    write(place / 'there', b'x' * 5000)
    write(t.shm / 'here', b'')
    for options in (), ('-o', 'census=text,object_census=off'):
        rows = steady(table(listed(t, str(place), *options)[0])[0])
        equal([row['NAME'] for row in rows], [b'there'])
    unmount(place)


@test(HERE, start=False)
def a_user_sees_what_a_user_may(t):
    write(t.shm / 'secret', b'x')
    os.chmod(t.shm / 'secret', 0o600)
    write(t.shm / 'mine', b'x')
    os.chown(t.shm / 'mine', 1234, 1234)
    os.chmod(t.private, 0o755)
    with Mapper(t.shm / 'secret') as mapper:
        mapper('map 1')
        done = subprocess.run([t.program, '--list'], capture_output=True, check=True, timeout=60, user=1234,
                              group=1234, extra_groups=[])
    states = {row['NAME']: row['STATE'] for row in table(done.stdout)[0] if row['KIND'] == b'posix'}
    equal(states[b'secret'], b'unknown', 'who maps it, the user may not know')
    check(states[b'mine'] in (b'idle', b'unknown'), states)
    check(b'not read: ' in done.stderr and done.stderr.count(b'\n') == 1, f'says so: {done.stderr}')


@ipc_test
def system_v_has_the_kernels_times(t):
    shmid = new_segment(4096)
    with Attached(shmid):
        pass
    rows = table(listed(t, '--columns=ID,STATE,SINCE,AGE', '--where=KIND=sysv')[0])[0]
    equal([(row['ID'], row['STATE']) for row in rows], [(str(shmid).encode(), b'idle')])
    theirs = [row for row in table(read(t.meta / 'segments'))[0] if row['ID'] == rows[0]['ID']]
    equal(rows[0]['SINCE'], theirs[0]['SINCE'], 'when it was detached last')
    check(int(rows[0]['AGE']) < 60, rows)
    shm_remove(shmid)
