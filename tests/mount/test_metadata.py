# SPDX-License-Identifier: GPL-2.0-or-later
"""What .shmtree looks like: its names, formats, and what may not be done to it."""
import errno
import json
import mmap
import os
import stat
import subprocess

from harness import (MOUNTED, Mapper, as_user, equal, check, fails, json_bytes, opened, read, run,
                     table, test, write)

PAGE = mmap.PAGESIZE
SEGMENT_COLUMNS = ('KIND ID NAME PERMS UID GID SIZE ALLOCATED RESIDENT MAPPINGS PROCESSES OPENERS '
                   'STATE MTIME SWAPPED REFERENCES HIDDEN SINCE').split()
ATTRIBUTES = {'mappings', 'processes', 'openers', 'resident', 'swapped', 'state', 'mappers',
              'holders', 'info.json', 'data'}


@test()
def attributes_change_one_by_one_while_somebody_writes(t):
    """A request that sets nothing comes before a write; one that sets something is none of these."""
    write(t.root / 'x', b'12345')
    with opened(t.root / 'x', os.O_RDWR):
        for change, wanted in ((lambda: os.chown(t.root / 'x', 1234, -1), ('st_uid', 1234)),
                               (lambda: os.chown(t.root / 'x', -1, 5678), ('st_gid', 5678)),
                               (lambda: os.chmod(t.root / 'x', 0o640), ('st_mode', stat.S_IFREG | 0o640)),
                               (lambda: os.truncate(t.root / 'x', 3), ('st_size', 3)),
                               (lambda: os.utime(t.root / 'x', (7, 8)), ('st_mtime', 8))):
            change()
            equal(getattr(os.stat(t.shm / 'x'), wanted[0]), wanted[1], wanted[0])
    equal(os.stat(t.shm / 'x').st_uid, 1234)


@test(MOUNTED)
def the_tree(t):
    write(t.shm / 'x', b'')
    check('.shmtree' not in run('ls', t.root).decode(), 'ls does not show it')
    check({'README', 'status', 'segments', 'segments.json', 'metrics', 'graph.dot', 'limits',
           'posix'} <= set(os.listdir(t.meta)), 'the files and directories of .shmtree')
    equal(os.listdir(t.meta / 'posix'), ['x'])
    check(ATTRIBUTES <= set(os.listdir(t.meta / 'posix' / 'x')), 'attributes')
    for path in t.meta, t.meta / 'posix', t.meta / 'posix' / 'x':
        check(stat.S_ISDIR(os.stat(path).st_mode), f'{path} is a directory')
    for name in ATTRIBUTES - {'data'}:
        info = os.lstat(t.meta / 'posix' / 'x' / name)
        equal(stat.filemode(info.st_mode), '-r--r--r--', name)
    check(len(read(t.meta / 'README').splitlines()) <= 50, 'a screenful')


@test(MOUNTED)
def numeric_files_end_in_one_newline(t):
    write(t.shm / 'x', b'abc')
    for name in 'mappings', 'processes', 'openers', 'resident', 'swapped':
        text = read(t.meta / 'posix' / 'x' / name)
        check(text.endswith(b'\n') and text[:-1].isdigit(), f'{name}: {text!r}')


@test(MOUNTED)
def data_is_a_link_to_the_object(t):
    write(t.shm / 'two words', b'bytes')
    data = t.meta / 'posix' / 'two words' / 'data'
    check(data.is_symlink(), 'a symbolic link')
    equal(read(data), b'bytes')
    check(os.path.samefile(data, t.root / 'two words'), 'the same file')


@test(MOUNTED)
def content_is_fixed_at_open(t):
    write(t.shm / 'x', bytes(PAGE))
    with Mapper(t.shm / 'x') as mapper, \
            opened(t.meta / 'posix' / 'x' / 'mappings', os.O_RDONLY) as fd:
        mapper('map 12345')
        equal(os.pread(fd, 100, 0), b'0\n')
        mapper('map 1')
        equal(os.pread(fd, 100, 0), b'0\n', 'read again')
        equal(os.pread(fd, 100, 1), b'\n')
        equal(os.pread(fd, 100, 2), b'')
        equal(t.number('x', 'mappings'), 12346)
        with opened(t.meta / 'posix' / 'x' / 'mappers', os.O_RDONLY) as table_fd:
            mapper('unmap 12346')
            whole = b''
            while piece := os.read(table_fd, 777):
                whole += piece
            equal(len(table(whole)[0]), 12346, 'rows, although they are gone by now')
            equal(os.pread(table_fd, 50, 100), whole[100:150])


@test(MOUNTED)
def segments_table(t):
    write(t.shm / 'x', b'x' * 5000)
    os.chmod(t.shm / 'x', 0o4640)
    os.chown(t.shm / 'x', 12, 34)
    os.chmod(t.shm / 'x', 0o640)
    os.utime(t.shm / 'x', ns=(0, 1234567890123456789))
    write(t.shm / 'tab\there', b'')
    text = read(t.meta / 'segments')
    equal(text.split(b'\n')[0].decode().split('\t'), SEGMENT_COLUMNS)
    rows = {r['NAME']: r for r in table(text)[0] if r['KIND'] == b'posix'}
    equal(set(rows), {b'x', b'tab\there'})
    row = rows[b'x']
    got = {c: row[c].decode() for c in ('UID', 'GID', 'SIZE', 'ALLOCATED', 'RESIDENT', 'MAPPINGS',
                                        'PROCESSES', 'OPENERS')}
    equal(got, {'UID': '12', 'GID': '34', 'SIZE': '5000', 'ALLOCATED': str(2 * PAGE),
                'RESIDENT': str(2 * PAGE), 'MAPPINGS': '0', 'PROCESSES': '0', 'OPENERS': '0'})
    equal(row['STATE'], b'idle')
    equal(int(row['PERMS'], 8), 0o640)
    check(row['MTIME'].startswith(b'1234567890'), row['MTIME'])
    lines = run('column', '-t', '-s', '\t', stdin=text).splitlines()
    equal(len(lines), len(text.splitlines()))


@test(MOUNTED)
def segments_json(t):
    names = [b'plain', b'quo"te', b'\xff\xfe', 'ünï'.encode(), b'new\nline']
    for i, name in enumerate(names):
        write(os.path.join(os.fsencode(t.shm), name), b'x' * i)
    document = json.loads(read(t.meta / 'segments.json'))
    rows = {json_bytes(s, 'name'): s for s in document['segments'] if s['kind'] == 'posix'}
    equal(set(rows), set(names))
    for i, name in enumerate(names):
        equal(rows[name]['size'], i)
        equal(rows[name]['mappings'], 0)
        equal(rows[name]['state'], 'idle')
    check({c.lower() for c in SEGMENT_COLUMNS} <= set(rows[b'plain']), 'keys are the columns')


@test(MOUNTED)
def a_line_for_each_segment(t):
    names = [b'plain', b'\xff\xfe', b'new\nline', '\u202e'.encode()]
    for name in names:
        write(os.path.join(os.fsencode(t.shm), name), b'')
    segments = json.loads(read(t.meta / 'segments.json'))['segments']
    lines = [json.loads(line) for line in read(t.meta / 'segments.jsonl').decode().splitlines()]
    if 'incomplete' in lines[-1]:
        equal(set(lines.pop()['incomplete']), {'processes', 'kinds', 'invisible'})
    mine, theirs = ([s for s in all_of_them if s['kind'] == 'posix']
                    for all_of_them in (lines, segments))
    equal([json_bytes(s, 'name') for s in mine], sorted(names))
    equal(mine, theirs, 'all that segments.json has')
    check(b'\\u202e' in read(t.meta / 'segments.jsonl'), 'what turns a terminal is escaped')


@test(MOUNTED)
def rows_are_in_a_fixed_order(t):
    names = ['b', 'a', 'c', 'B', 'sem.x', '10', '9']
    for name in names:
        write(t.shm / name, b'')
    fds = [os.memfd_create(name) for name in ('second', 'first', 'first')]
    for _ in range(2):
        rows = table(read(t.meta / 'segments'))[0]
        keys = [(row['KIND'], row['NAME'], row['ID']) for row in rows]
        equal(keys, sorted(keys))
        equal([row['NAME'].decode() for row in rows if row['KIND'] == b'posix'], sorted(names))
        os.unlink(t.shm / 'a')
        write(t.shm / 'a', b'made anew')
    for fd in fds:
        os.close(fd)


@test(MOUNTED)
def times_have_all_their_digits(t):
    write(t.shm / 'x', b'')
    os.utime(t.shm / 'x', ns=(1, 1764139000123456789))
    for path, of in (('segments.json', lambda document: document['segments']),
                     ('posix/x/info.json', lambda document: [document])):
        facts, = (s for s in of(json.loads(read(t.meta / path), parse_float=str))
                  if s['kind'] == 'posix')
        equal((facts['atime'], facts['mtime']), ('0.000000001', '1764139000.123456789'), path)
    row, = (row for row in table(read(t.meta / 'segments'))[0] if row['NAME'] == b'x')
    equal(row['MTIME'], b'1764139000.123456789')


@test(MOUNTED)
def archives_need_not_warn(t):
    """What tar compares, the time of change, is that of the mount; what is listed is modified at each look."""
    write(t.shm / 'x', b'')
    started = os.stat(t.meta).st_ctime_ns
    # Without what other processes of the machine do meanwhile: memfds, and each with a /dev/shm of its own.
    done = subprocess.run(['tar', '-cf', '/dev/null', '-C', t.root, '--exclude', 'data',
                           '--exclude', '.shmtree/namespaces/*', '--exclude', '.shmtree/unlinked/*', '.shmtree'],
                          capture_output=True, check=False, timeout=60)
    check(b'changed' not in done.stderr, done.stderr)
    for name in '', 'posix', 'sysv', 'idle', 'idle/posix', 'namespaces', 'segments':
        equal(os.stat(t.meta / name).st_ctime_ns, started, name)
    before = os.stat(t.meta / 'posix').st_mtime_ns
    os.listdir(t.meta / 'posix')
    check(os.stat(t.meta / 'posix').st_mtime_ns > before, 'listed: modified')



@test(MOUNTED)
def info_json(t):
    write(t.shm / 'x', bytes(PAGE))
    os.chown(t.shm / 'x', 5, 6)
    with Mapper(t.shm / 'x') as mapper:
        mapper('map 2')
        info = json.loads(read(t.meta / 'posix' / 'x' / 'info.json'))
        equal((info['name'], info['mappings'], info['processes'], info['openers'], info['state']),
              ('x', 2, 1, 1, 'mapped'))
        equal((info['size'], info['uid'], info['gid'], info['resident'], info['swapped']),
              (PAGE, 5, 6, PAGE, 0))
        equal({row['pid'] for row in info['mappers']}, {mapper.pid})
        equal(len(info['mappers']), 2)
        equal([row['pid'] for row in info['holders']], [mapper.pid])


@test(MOUNTED)
def status_lines(t):
    status = t.status()
    equal(status['data_path'], {'auto': 'passthrough', 'off': 'direct'}[t.path])
    check(status['version'], 'version')
    check(int(status['pid']) == t.daemon.pid, 'pid')
    check(status['census'] in ('bpf', 'query', 'text'), status['census'])
    check(int(status['address_spaces']) > 1, 'address spaces')
    passes = int(status['census_passes'])
    check(int(t.status()['census_passes']) > passes, 'passes are counted')


@test(MOUNTED)
def writing_is_refused(t):
    write(t.shm / 'x', b'')
    for path in t.meta / 'status', t.meta / 'posix' / 'x' / 'mappings':
        fails(errno.EACCES, os.open, path, os.O_WRONLY)
        fails(errno.EACCES, os.open, path, os.O_RDWR)
        fails(errno.EACCES, os.open, path, os.O_RDONLY | os.O_TRUNC)
        fails(errno.EACCES, os.truncate, path, 0)
        before = read(path)
        check(before, f'{path} has content')
        equal(as_user(1234, 1234, lambda p=path: os.close(os.open(p, os.O_WRONLY))), errno.EACCES)
        equal(as_user(1234, 1234, lambda p=path: read(p)), 0, 'everyone may read')


@test(MOUNTED)
def changing_the_tree_is_refused(t):
    write(t.shm / 'x', b'kept')
    attribute = t.meta / 'posix' / 'x' / 'mappings'
    for number, function, *arguments in (
            (errno.EPERM, os.unlink, t.meta / 'status'),
            (errno.EPERM, os.unlink, attribute),
            (errno.EPERM, os.mkdir, t.meta / 'new'),
            (errno.EPERM, os.mkdir, t.meta / 'posix' / 'new'),
            (errno.EPERM, os.rename, attribute, t.root / 'y'),
            (errno.EPERM, os.rename, t.meta / 'status', t.meta / 'y'),
            (errno.EPERM, os.symlink, 'x', t.meta / 'link'),
            (errno.EPERM, os.link, t.meta / 'status', t.root / 'y'),
            (errno.EPERM, os.rmdir, t.meta / 'posix'),
            (errno.EPERM, os.chmod, t.meta / 'status', 0o666),
            (errno.EPERM, os.chown, t.meta / 'status', 1, 1)):
        fails(number, function, *arguments)
    for directory in t.meta, t.meta / 'posix', t.meta / 'posix' / 'x':
        try:
            os.close(os.open(directory / 'new', os.O_CREAT | os.O_WRONLY))
        except PermissionError:
            pass
        else:
            raise AssertionError(f'a file was created in {directory}')
    equal(os.listdir(t.shm), ['x'])


@test(MOUNTED)
def rmdir_removes_the_object(t):
    write(t.shm / 'x', b'')
    write(t.shm / 'y', b'')
    os.rmdir(t.meta / 'posix' / 'x')
    equal(os.listdir(t.shm), ['y'])
    fails(errno.ENOENT, os.rmdir, t.meta / 'posix' / 'x')
    os.chmod(t.shm / 'y', 0o666)
    equal(as_user(1234, 1234, lambda: os.rmdir(t.meta / 'posix' / 'y')), errno.EPERM,
          'the sticky bit protects the objects of others')
    equal(os.listdir(t.shm), ['y'])


@test(MOUNTED)
def what_is_not_there(t):
    fails(errno.ENOENT, read, t.meta / 'nothing')
    fails(errno.ENOENT, os.listdir, t.meta / 'posix' / 'nothing')
    fails(errno.ENOENT, read, t.meta / 'posix' / 'nothing' / 'mappings')
    write(t.shm / 'x', b'')
    fails(errno.ENOENT, read, t.meta / 'posix' / 'x' / 'nothing')
    fails(errno.ENOTDIR, os.listdir, t.meta / 'status')
    fails(errno.EISDIR, os.open, t.meta, os.O_RDWR)


@test(MOUNTED)
def an_object_that_vanishes_while_its_directory_is_open(t):
    write(t.shm / 'x', b'')
    with opened(t.meta / 'posix' / 'x', os.O_RDONLY | os.O_DIRECTORY) as directory:
        os.unlink(t.shm / 'x')
        try:
            os.close(os.open('mappings', os.O_RDONLY, dir_fd=directory))
        except OSError as error:
            check(error.errno in (errno.ENOENT, errno.ESTALE), errno.errorcode[error.errno])
        else:
            raise AssertionError('the attribute of a dead object was opened')


@test(MOUNTED)
def an_unreadable_process_takes_no_proof_away(t):
    """A procfs in which one process has no maps that anyone could read: a lease tells all the same."""
    write(t.shm / 'x', b'')
    t.becomes_idle('x')
    t.stop()
    proc = t.private / 'proc'
    (proc / '4242' / 'task' / '4242').mkdir(parents=True)
    for directory in proc / '4242', proc / '4242' / 'task' / '4242':
        write(directory / 'stat', b'4242 (odd) S 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 77 '
              + b'1000000 100 18446744073709551615' + b' 1' * 27 + b'\n')
        write(directory / 'status', b'Name:\todd\nPid:\t4242\nUid:\t0\t0\t0\t0\n')
        write(directory / 'comm', b'odd\n')
        (directory / 'maps').mkdir()  # reading it fails, for root as well
    t.start('-o', f'proc={proc}', '-o', 'census=text')
    equal(t.attribute('x', 'state'), 'idle')
    with opened(t.shm / 'x', os.O_RDONLY):
        equal(t.attribute('x', 'state'), 'held', 'by a process that this procfs does not have')
    equal(t.status()['unreadable_processes'], '1')
