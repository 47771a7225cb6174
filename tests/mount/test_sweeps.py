# SPDX-License-Identifier: GPL-2.0-or-later
"""Tools that sweep over the whole mount harm nothing below .shmtree that is in use, and end."""
import contextlib
import ctypes
import functools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback

from harness import (MOUNTED, SKIPPED, Skip, as_user, call, check, equal, opened, read, skip, test,
                     write)
from ipc import (Attached, CLONE_NEWIPC, Child, USER, attribute, map_alone, memfd, new_segment,
                 shm_stat, shmget)
from test_ipc import checked, new_mqueue, new_msg, new_sem
from test_namespaces import Elsewhere, PAGE, realms_of
from test_postgresql import PREPARE, Server, nothing_is_left

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWPID = 0x20000000


def sweep_test(function):
    """In namespaces of its own, PIDs included: a sweep then meets no more than the test made."""
    @test(MOUNTED, start=False)
    @functools.wraps(function)
    def isolated(t):
        call('unshare', CLONE_NEWIPC | CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                call('mount', 'proc', '/proc', b'proc', 0, 0)
                t.start()
                function(t)
                t.stop()
                status = 0
            except Skip as reason:
                print(reason)
                status = SKIPPED
            except BaseException:  # it must not return into the parent's code
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == SKIPPED:
            skip('see above')
        equal(status, 0, 'status of the test proper')
    return isolated


MINE = f'5437x{os.getpid()}'  # memfds are the whole machine's, and so are other tests'

# As root over the whole mount. Those that remove or change objects in the root do so by contract.
REMOVERS = {
    'rm': ['rm', '-rf', '--one-file-system'],
    'find -delete': ['find', '-mindepth', '1', '-delete'],
    'find, directories only': ['find', '-mindepth', '1', '-depth', '-type', 'd', '-delete'],
    'rmtree': None,
    'chmod -R': ['chmod', '-R', 'a+rwx'],
    'chown -R': ['chown', '-R', f'{USER}:{USER}'],
}
RSYNC = ['rsync', '-a', '--delete', '--ignore-errors']
READERS = {
    'cp -a': ['cp', '-a'],
    'tar': ['tar', '-cf', '/dev/null', '--ignore-failed-read'],
    'grep -r': ['grep', '-rc', 'no such text'],
    'du': ['du', '-sh'],
    'find': ['find', '-ls'],
}


class Database:
    """What a running database has: a segment, a set, a queue and a POSIX queue, none of them used by
    anybody else, a memfd, and an object whose name is gone."""

    def __call__(self):
        segment = Attached(new_segment(PAGE, b'database', 0x5432))
        new_sem(3, 0x5433)
        new_msg(0x5434)
        new_mqueue(b'/5435')
        queue = checked(_libc.mq_open(b'/5435', os.O_RDWR))
        write('/dev/shm/5436', b'unlinked')
        nameless = map_alone('/dev/shm/5436', PAGE)
        os.unlink('/dev/shm/5436')
        return segment, queue, nameless, memfd(MINE, b'memfd')


def facts(t, child):
    """What a sweep must leave as it is: existence, owner and mode, here and in the other realm."""
    segment = shmget(0x5432, 0, 0)
    ds = shm_stat(segment)
    found = [('segment', segment, ds.uid, ds.gid, ds.mode, ds.nattch)]
    for kind, key, columns in (('sem', '0x00005433', ('perms', 'uid', 'gid')),
                               ('msg', '0x00005434', ('perms', 'uid', 'gid'))):
        found += [(kind, i, *(attribute(t.meta / kind / i, c) for c in columns))
                  for i in os.listdir(t.meta / kind) if attribute(t.meta / kind / i, 'key') == key]
    found += [('mqueue', *(attribute(t.meta / 'mqueue' / '5435', c) for c in ('perms', 'uid')))]
    for name in os.listdir(t.meta / 'unlinked'):
        if 'posix-5436' in name or f'memfd-{MINE}-' in name:
            st = os.stat(t.meta / 'unlinked' / name / 'data')
            found.append((name, st.st_mode, st.st_uid, st.st_gid, st.st_size))
    ipc, shm = realms_of(t, child)
    for data in ipc / 'sysv' / '0' / 'data', shm / 'posix' / 'object' / 'data':
        st = os.stat(data)
        found.append((str(data), st.st_mode, st.st_uid, st.st_gid, st.st_size))
    check(len(found) == 8, found)
    return sorted(found, key=str)


@contextlib.contextmanager
def in_use(t):
    with Child(Database()), Child(Elsewhere()) as elsewhere:
        before = facts(t, elsewhere)
        yield
        equal(facts(t, elsewhere), before)


def sweep(t, command, *rest, seconds=60):
    """Some of it fails, which is the point; but it ends, in good time."""
    where = [os.fspath(t.root)]
    if command[0] == 'find':
        command, rest = ['find', *where, *command[1:]], ()
    elif command[0] == 'rsync':
        command = [*command, tempfile.mkdtemp(dir=t.private) + '/', where[0] + '/']
    else:
        command = [*command, *where]
    subprocess.run([*command, *rest], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   timeout=seconds, check=False)


def sweep_as_root(t, name, command):
    with in_use(t):
        with opened(t.shm / 'held', os.O_RDWR | os.O_CREAT) as fd:
            os.write(fd, b'held')
            if command:
                sweep(t, command)
            else:
                shutil.rmtree(t.root, ignore_errors=True)
            equal(os.pread(fd, 4, 0), b'held', name)
    forget_all()
    check(t.daemon.poll() is None, f'the daemon lives after {name}')


@sweep_test
def removers_and_changers_as_root(t):
    for name, command in REMOVERS.items():
        sweep_as_root(t, name, command)


@sweep_test
def rsync_that_deletes(t):
    """As root, beside a database, and as a user."""
    if not shutil.which('rsync'):
        skip('no rsync')
    sweep_as_root(t, 'rsync --delete', RSYNC)
    os.chmod(t.private, 0o755)
    with in_use(t):
        write(t.shm / 'theirs', b'theirs')
        os.chmod(t.shm, 0o1777)
        empty = tempfile.mkdtemp(dir='/tmp')
        os.chmod(empty, 0o777)
        equal(as_user(USER, USER, lambda: subprocess.run(
            [*RSYNC, f'{empty}/', f'{t.root}/'], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=60, check=False)), 0)
        os.rmdir(empty)
        equal(os.listdir(t.shm), ['theirs'])


def forget_all():
    """What the database left: nothing of it is anybody's by now."""
    subprocess.run(['ipcrm', '--all'], check=True)
    _libc.mq_unlink(b'/5435')


@sweep_test
def removers_and_changers_as_a_user(t):
    os.chmod(t.private, 0o755)
    with in_use(t):
        write(t.shm / 'theirs', b'theirs')
        os.chmod(t.shm, 0o1777)

        def all_of_them():
            for command in REMOVERS.values():
                if command:
                    sweep(t, command)
            shutil.rmtree(t.root, ignore_errors=True)
        equal(as_user(USER, USER, all_of_them), 0)
        equal(os.listdir(t.shm), ['theirs'])


@sweep_test
def beside_postgresql(t):
    """Its segments are where a sweep gets at them: below .shmtree/sysv, not objects in the root."""
    server = Server(t, 'sysv', 'sysv')
    server.sql(PREPARE)
    before = sorted(os.listdir(t.meta / 'sysv'))
    check(before, 'it has segments')
    for command in REMOVERS.values():
        if command:
            sweep(t, command)
    shutil.rmtree(t.root, ignore_errors=True)
    equal(sorted(os.listdir(t.meta / 'sysv')), before)
    equal(server.sql('select count(*) from numbers'), '20000')
    server.stop()
    nothing_is_left(t)


@sweep_test
def updatedb_ends_and_finds_each(t):
    updatedb = shutil.which('updatedb.plocate') or shutil.which('updatedb')
    if not updatedb or not shutil.which('plocate'):
        skip('no plocate')  # other programs of that name have other options
    found = t.private / 'database'
    with in_use(t):
        write(t.shm / 'large', b'named')
        done = subprocess.run([updatedb, '-U', t.root, '-o', found, '--prunefs', '', '--prunepaths',
                               '', '--prune-bind-mounts', 'no', '--require-visibility', 'no'],
                              capture_output=True, timeout=60, check=False)
        equal(done.returncode, 0, done.stderr)
        check(os.stat(found).st_size > 0, 'a database')
        names = subprocess.run(['plocate', '-d', found, '/large'], capture_output=True,
                               check=True).stdout.decode().splitlines()
        check({os.fspath(t.root / 'large'), os.fspath(t.meta / 'posix' / 'large' / 'state')} <= set(names),
              names)


@sweep_test
def readers_end_and_copy_each_segment_once(t):
    size = 3 << 20
    marks = named, systemv, anonymous = b'named', b'system v', b'memfd'
    os.chmod(t.private, 0o755)
    with in_use(t):
        write(t.shm / 'large', named.ljust(size, b'.'))
        with Child(lambda: [Attached(new_segment(size, systemv)),
                            memfd('m', anonymous.ljust(size, b'.'))]):
            for name, command in READERS.items():
                rest = [t.private / 'copy'] if name == 'cp -a' else []
                sweep(t, command, *rest)
                equal(as_user(USER, USER, lambda: sweep(t, command, '/dev/null')), 0, name)
        copies = [p for p in pathlib.Path(t.private / 'copy').rglob('*')
                  if p.is_file() and not p.is_symlink() and p.stat().st_size == size]
        found = [mark for p in copies for mark in marks if read(p).startswith(mark)]
        equal(sorted(found), sorted(marks), copies)
        check(os.path.islink(t.private / 'copy' / '.shmtree' / 'posix' / 'large' / 'data'),
              'a link to the object, not its bytes again')
