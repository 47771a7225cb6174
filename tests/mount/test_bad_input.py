# SPDX-License-Identifier: GPL-2.0-or-later
"""What is not an object, and what must not become one."""
import errno
import os
import socket
import stat

from harness import (MOUNTED, MS_BIND, RENAME_EXCHANGE, RENAME_WHITEOUT, as_user, call, check, equal,
                     fails, opened, read, rename2, run, test, write)
from mounts import unmount


@test(MOUNTED)
def only_objects_can_be_made(t):
    fails(errno.EPERM, os.mkdir, t.root / 'd')
    fails(errno.EPERM, os.symlink, 'x', t.root / 's')
    fails(errno.EPERM, os.mkfifo, t.root / 'p')
    fails(errno.EPERM, os.mknod, t.root / 'c', stat.S_IFCHR | 0o600, os.makedev(1, 3))
    fails(errno.EPERM, os.mknod, t.root / 'b', stat.S_IFBLK | 0o600, os.makedev(7, 0))
    with socket.socket(socket.AF_UNIX) as server:
        fails(errno.EPERM, server.bind, str(t.root / 'sock'))
    equal(os.listdir(t.shm), [])
    write(t.root / 'x', b'')
    fails(errno.ENOTDIR, os.rmdir, t.root / 'x')
    fails(errno.EEXIST, os.mkdir, t.root / 'x')
    fails(errno.EEXIST, os.symlink, 'y', t.root / 'x')
    fails(errno.ENOTDIR, os.mkdir, t.root / 'x' / 'y')


@test(MOUNTED)
def the_reserved_name(t):
    write(t.root / 'x', b'kept')
    reserved = t.root / '.shmtree'
    for function, *arguments in ((rename2, t.root / 'x', reserved, RENAME_EXCHANGE),
                                 (os.rename, reserved, t.root / 'y'),
                                 (os.rmdir, reserved)):
        fails(errno.EPERM, function, *arguments)
    # To these the kernel itself has the answer, because a directory has the name.
    fails(errno.EISDIR, os.rename, t.root / 'x', reserved)
    fails(errno.EISDIR, os.unlink, reserved)
    fails(errno.EEXIST, os.mkdir, reserved)
    fails(errno.EEXIST, os.link, t.root / 'x', reserved)
    equal(os.listdir(t.shm), ['x'])
    equal(read(t.shm / 'x'), b'kept')


@test(MOUNTED)
def an_object_with_the_reserved_name(t):
    check('reserved_name' not in t.status(), 'nothing to report')
    write(t.shm / '.shmtree', b'not ours')
    check(os.path.isdir(t.meta), 'the directory stays what it is')
    check('reserved_name' in t.status(), 'reported in status')
    check('.shmtree' not in os.listdir(t.meta / 'posix'), 'not shown as an object')
    names = os.listdir(t.root)
    check(names.count('.shmtree') <= 1, 'not listed twice')
    fails(errno.EPERM, os.rename, t.meta, t.root / 'x')
    equal(read(t.shm / '.shmtree'), b'not ours', 'never touched')


@test(MOUNTED)
def what_is_no_object_is_hidden_and_counted(t):
    os.mkdir(t.shm / 'dir')
    os.symlink('/etc/passwd', t.shm / 'link')
    os.mkfifo(t.shm / 'fifo')
    write(t.shm / 'object', b'')
    equal(set(os.listdir(t.root)) - {'.shmtree'}, {'object'})
    equal(os.listdir(t.meta / 'posix'), ['object'])
    equal(t.status()['not_objects'], '3')
    for name in 'dir', 'link', 'fifo':
        fails(errno.ENOENT, os.lstat, t.root / name)
        fails(errno.ENOENT, os.open, t.root / name, os.O_RDONLY)
        fails(errno.ENOENT, os.unlink, t.root / name)
        fails(errno.ENOENT, os.lstat, t.meta / 'posix' / name)
    equal(sorted(os.listdir(t.shm)), ['dir', 'fifo', 'link', 'object'])


@test(MOUNTED)
def what_is_hidden_is_never_overwritten(t):
    os.mkdir(t.shm / 'dir')
    os.symlink('/nonexistent/target', t.shm / 'link')
    write(t.root / 'x', b'x')
    for name in 'dir', 'link':
        for function, *arguments in ((os.open, t.root / name, os.O_CREAT | os.O_RDWR),
                                     (os.rename, t.root / 'x', t.root / name),
                                     (os.link, t.root / 'x', t.root / name)):
            try:
                function(*arguments)
            except OSError:
                continue
            raise AssertionError(f'{function.__name__}{arguments} succeeded')
    check(os.path.isdir(t.shm / 'dir') and os.path.islink(t.shm / 'link'), 'both are still there')
    equal(read(t.shm / 'x'), b'x')


@test(MOUNTED, options=('-o', 'entry_timeout=1000'))
def what_took_an_objects_place_is_left_alone(t):
    """The kernel still believes in the object, so that the daemon alone can notice."""
    for name in 'x', 'y':
        write(t.shm / name, b'object')
        os.stat(t.root / name)
    os.unlink(t.shm / 'x')
    os.mkfifo(t.shm / 'x')
    fails(errno.ENOENT, os.unlink, t.root / 'x')
    fails(errno.EEXIST, os.rename, t.root / 'y', t.root / 'x')
    check(stat.S_ISFIFO(os.lstat(t.shm / 'x').st_mode), 'it is still there')
    equal(read(t.shm / 'y'), b'object')


@test(MOUNTED)
def a_file_mounted_over_a_name_is_no_object(t):
    write(t.private / 'foreign', b'secret')
    write(t.shm / 'x', b'object')
    call('mount', t.private / 'foreign', t.shm / 'x', 0, MS_BIND, 0)
    fails(errno.ENOENT, os.stat, t.root / 'x')
    fails(errno.ENOENT, os.stat, t.meta / 'posix' / 'x')
    for flags in (os.O_CREAT | os.O_RDONLY, os.O_CREAT | os.O_RDWR):
        fails(errno.EPERM, os.open, t.root / 'x', flags)
    fails(errno.EEXIST, os.open, t.root / 'x', os.O_CREAT | os.O_EXCL | os.O_RDWR)
    equal(read(t.private / 'foreign'), b'secret')
    # The daemon closes what it refused, maybe after the answer.
    unmount(t.shm / 'x')
    equal(read(t.root / 'x'), b'object')


@test(MOUNTED)
def a_rename_leaves_no_device(t):
    """A whiteout is a device node in the old name's place."""
    write(t.root / 'a', b'A')
    fails(errno.EPERM, rename2, t.root / 'a', t.root / 'b', RENAME_WHITEOUT)
    equal((os.listdir(t.shm), read(t.shm / 'a')), (['a'], b'A'))


@test()
def names_of_any_length_and_bytes(t):
    root = os.fsencode(t.root)
    longest = b'n' * 255
    write(os.path.join(root, longest), b'long')
    equal(read(os.path.join(os.fsencode(t.shm), longest)), b'long')
    os.rename(os.path.join(root, longest), os.path.join(root, b'm' * 255))
    os.unlink(os.path.join(root, b'm' * 255))
    too_long = os.path.join(root, b'n' * 256)
    for function, *arguments in ((os.stat, too_long), (os.unlink, too_long),
                                 (os.open, too_long, os.O_CREAT | os.O_RDWR),
                                 (os.mknod, too_long, stat.S_IFREG | 0o600)):
        fails(errno.ENAMETOOLONG, function, *arguments)
    write(t.root / 'x', b'')
    fails(errno.ENAMETOOLONG, os.rename, os.fsencode(t.root / 'x'), too_long)
    fails(errno.ENAMETOOLONG, os.link, os.fsencode(t.root / 'x'), too_long)
    every = bytes(b for b in range(1, 256) if b != ord('/'))
    write(os.path.join(root, every), b'every byte')
    equal(sorted(os.listdir(os.fsencode(t.shm))), sorted([every, b'x']))
    equal(set(os.listdir(root)) - {b'.shmtree'}, {every, b'x'})


@test(MOUNTED)
def long_names_have_attributes(t):
    name = 'n' * 255
    write(t.shm / name, b'')
    equal(t.number(name, 'mappings'), 0)
    t.becomes_idle(name)


@test()
def permissions(t):
    write(t.root / 'secret', b'secret')
    os.chmod(t.root / 'secret', 0o600)
    os.chmod(t.shm / 'secret', 0o600)
    for function in (lambda: read(t.root / 'secret'),
                     lambda: os.truncate(t.root / 'secret', 0),
                     lambda: os.close(os.open(t.root / 'secret', os.O_WRONLY))):
        equal(as_user(1234, 1234, function), errno.EACCES)
    for function in (lambda: os.chmod(t.root / 'secret', 0o666),
                     lambda: os.chown(t.root / 'secret', 1234, 1234),
                     lambda: os.utime(t.root / 'secret', (0, 0)),
                     lambda: os.unlink(t.root / 'secret'),
                     lambda: os.rename(t.root / 'secret', t.root / 'mine')):
        equal(as_user(1234, 1234, function), errno.EPERM)
    os.chown(t.shm / 'secret', 0, 555)
    os.chmod(t.shm / 'secret', 0o640)
    equal(as_user(1234, 1234, lambda: read(t.root / 'secret')), errno.EACCES)
    equal(as_user(1234, 1234, lambda: read(t.root / 'secret'), groups=[7, 555]), 0,
          'a supplementary group')
    equal(as_user(1234, 1234, lambda: os.truncate(t.root / 'secret', 0), groups=[555]), errno.EACCES)


@test(MOUNTED)
def acls_decide(t):
    write(t.root / 'x', b'')
    os.chmod(t.root / 'x', 0o600)
    run('setfacl', '-m', 'u:1234:r', t.root / 'x')
    check(b'user:1234:r--' in run('getfacl', '-n', t.shm / 'x', stdin=b''), 'set on the object')
    equal(as_user(1234, 1234, lambda: read(t.root / 'x')), 0)
    equal(as_user(1234, 1234, lambda: os.truncate(t.root / 'x', 0)), errno.EACCES)
    equal(as_user(1235, 1235, lambda: read(t.root / 'x')), errno.EACCES)


@test(MOUNTED)
def open_file_of_a_dead_name(t):
    """A directory entry that goes between lookup and open is ENOENT, not another object's bytes."""
    write(t.shm / 'x', b'first')
    with opened(t.root / 'x', os.O_RDONLY | os.O_PATH) as path:
        os.unlink(t.shm / 'x')
        write(t.shm / 'x', b'second')
        try:
            got = read(f'/proc/self/fd/{path}')
        except OSError as error:
            check(error.errno in (errno.ENOENT, errno.ESTALE), errno.errorcode[error.errno])
        else:
            equal(got, b'first')
