# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: starting, stopping, options, and what prevents a mount."""
import collections
import contextlib
import errno
import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess

from harness import (MOUNTED, PATIENCE, Mapper, as_user, call, close_dead, equal, check, eventually, fails, mounts_at, opened,
                     read, run, skip, test, write)

HERE = ('auto',)
MS_BIND = 4096
USER = pwd.getpwnam('nobody').pw_uid  # fusermount3 asks for a name


def refused(t, *arguments, program=None, **keywords):
    """Starts a daemon that must fail as said: exit status 1 and one line, which is returned."""
    done = subprocess.run([program or t.program, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, check=False, timeout=60, **keywords)
    text = done.stderr.decode()
    equal(done.returncode, 1, f'status ({text})')
    equal(done.stdout, b'', 'standard output')
    equal(text.count('\n'), 1, f'one line, not {text!r}')
    check(text.startswith('shmtree: '), text)
    return text


def start_in_background(t, *arguments, root=None, timeout=60, **keywords):
    """Returns when the program has: by then the mount must work."""
    done = subprocess.run([t.program, str(root or t.root), *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, check=False, timeout=timeout, **keywords)
    equal((done.returncode, done.stdout, done.stderr), (0, b'', b''), 'status and messages')


def private_dev(fuse_mode):
    """A /dev of the test's own, with or without FUSE."""
    os.mkdir('dev')
    call('mount', 'dev', 'dev', b'tmpfs', 0, b'mode=755')
    os.umask(0)
    for name, minor in ('null', 3), ('zero', 5), ('full', 7), ('random', 8), ('urandom', 9):
        os.mknod(f'dev/{name}', stat.S_IFCHR | 0o666, os.makedev(1, minor))
    if fuse_mode is not None:
        os.mknod('dev/fuse', stat.S_IFCHR | fuse_mode, os.makedev(10, 229))
    os.umask(0o022)
    os.mkdir('dev/shm')
    call('mount', 'dev', '/dev', b'', MS_BIND, b'')
    call('mount', 'shm', '/dev/shm', b'tmpfs', 0, b'size=64m,mode=1777')


def put_over(upper, lower):
    """What is in one directory shows in the other as well."""
    try:
        call('mount', 'overlay', lower, b'overlay', 0, f'lowerdir={upper}:{lower}'.encode())
    except OSError as error:
        skip(f'no overlay to put over {lower}: {error}')


def need_fusermount():
    helper = shutil.which('fusermount3')
    if not helper or not os.stat(helper).st_mode & stat.S_ISUID:
        skip('no fusermount3 here, or it has no power')
    if not os.path.exists('/etc/mtab'):  # it reads that; a system that never booted may lack it
        os.mkdir('etc')
        os.symlink('/proc/self/mounts', 'etc/mtab')
        put_over(os.path.abspath('etc'), '/etc')


def users_directory(t):
    root = t.private / 'home' / 'mnt'
    root.mkdir(parents=True)
    for directory in root.parent, root:
        os.chown(directory, USER, USER)
    os.chmod(t.private, 0o1777)
    return root


def as_a_user():
    """For subprocess: with that identity, and a program that the user may reach."""
    return {'user': USER, 'group': USER, 'extra_groups': []}


def daemon_pid(root):
    return int(dict(line.split('\t', 1) for line in
                    read(f'{root}/.shmtree/status').decode().splitlines())['pid'])


def ended(pid):
    """With all of its threads: the first one may have ended while others still have the mount."""
    try:
        state, *_, threads = read(f'/proc/{pid}/stat').rsplit(b')', 1)[1].split()[:18]
        return state == b'Z' and int(threads) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def ends_of_pipes(pid):
    """The pipes of which the process has one end; libfuse has pipes of its own, with both."""
    ends = collections.Counter()
    for fd in os.listdir(f'/proc/{pid}/fd'):
        with contextlib.suppress(FileNotFoundError):
            ends[os.readlink(f'/proc/{pid}/fd/{fd}')] += 1
    return [end for end, count in ends.items() if end.startswith('pipe:') and count == 1]


@test(MOUNTED, start=False)
def background(t):
    start_in_background(t, '-o', f'passthrough={t.path}')
    write(t.root / 'x', b'works at once')
    equal(read(t.shm / 'x'), b'works at once')
    pid = daemon_pid(t.root)
    equal(os.readlink(f'/proc/{pid}/cwd'), '/')
    equal({os.readlink(f'/proc/{pid}/fd/{n}') for n in range(3)}, {'/dev/null'})
    equal(os.getsid(pid), pid, 'a session of its own')
    eventually(lambda: not ends_of_pipes(pid), 'it has no end alone of the pipe to who started it')
    run('umount', t.root)
    eventually(lambda: ended(pid), 'the daemon ends')


@test(MOUNTED, start=False)
def without_standard_streams(t):
    """Whoever starts it has closed them: no other file of the daemon takes their place."""
    write(t.shm / 'x', b'content')
    for closed in '<&-', '>&-', '2>&-', '<&- >&- 2>&-':
        subprocess.run(['sh', '-c', f'exec "$0" "$@" {closed}', t.program, str(t.root)], stdin=subprocess.DEVNULL,
                       check=True, timeout=60)
        pid = daemon_pid(t.root)
        equal([os.readlink(f'/proc/{pid}/fd/{fd}') for fd in range(3)], 3 * ['/dev/null'], closed)
        equal((sorted(os.listdir(t.root)), read(t.root / 'x')), (['.shmtree', 'x'], b'content'), closed)
        subprocess.run(['umount', t.root], check=True)
        eventually(lambda: ended(pid), 'the daemon ends')
    done = subprocess.run(['sh', '-c', 'exec "$0" --list >&-', t.program], stderr=subprocess.PIPE, check=False)
    check(done.returncode == 1 and b'shmtree: standard output: ' in done.stderr, done)


@test(HERE, start=False)
def signals_unmount(t):
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        t.start()
        write(t.root / 'x', b'')
        t.stop(number)
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        start_in_background(t)
        pid = daemon_pid(t.root)
        os.kill(pid, number)
        eventually(lambda: ended(pid) and mounts_at(t.root) == 0, f'signal {number} unmounts')


@test(HERE, start=False, ends_open=True)
def signals_unmount_a_mount_in_use(t):
    t.start()
    write(t.root / 'x', b'kept')
    fd = os.open(t.root / 'x', os.O_RDONLY)
    t.stop()
    fails(errno.ENOTCONN, os.fstat, fd)
    close_dead(fd)
    equal(read(t.shm / 'x'), b'kept')


@test(HERE, start=False)
def help_and_version(t):
    for flag in '-h', '--help':
        text = run(t.program, flag).decode()
        check(text.startswith('usage: shmtree'), text[:80])
        for option in ('census=', 'passthrough=', 'proc=', 'attr_timeout=', 'entry_timeout='):
            check(option in text, f'{option} in the help')
    for flag in '-V', '--version':
        lines = run(t.program, flag).decode().splitlines()
        check(lines[0].startswith('shmtree '), flag)
        check(re.fullmatch(r'libfuse \d+\.\d+.*', lines[1]), lines)
        check(lines[2] in ('census by BPF: built in', 'census by BPF: not built in'), lines)


@test(HERE, start=False)
def wrong_arguments(t):
    check('mount point' in refused(t), 'no arguments')
    check('too many' in refused(t, 'a', 'b', 'c'), 'three paths')
    for option in ('census=wrong', 'passthrough=perhaps', 'attr_timeout=-1', 'entry_timeout=soon',
                   'entry_timeout=-1', 'max_threads=0', 'census_interval=often', 'proc=/etc'):
        text = refused(t, t.root, '-o', option)
        check(option in text, f'{text} names {option}')
    text = refused(t, t.root, '-o', 'watch')
    check('watch' in text and text.count('\n') == 1, text)
    for arguments in (('-o', 'no_such_option'), ('--no-such-option',), ('-Z',)):
        equal(refused(t, *arguments), f"shmtree: unknown option(s): `{' '.join(arguments)}'; see shmtree --help\n")
    equal(mounts_at(t.root), 0)


@test(HERE, start=False)
def wrong_places(t):
    missing = t.private / 'missing'
    check('missing' in refused(t, missing), 'names the directory')
    write(t.private / 'file', b'')
    check('not a directory' in refused(t, t.private / 'file'), 'a file')
    check(str(t.private / 'nosource') in refused(t, t.private / 'nosource', t.root), 'source')
    check('proc' in refused(t, t.root, '-o', f'proc={t.private}/nowhere'), 'procfs')
    t.start()
    text = refused(t, t.root)
    check('already' in text and 'umount' in text, text)
    equal(mounts_at(t.root), 1)


@test(HERE, start=False)
def no_fuse_device(t):
    private_dev(fuse_mode=None)
    text = refused(t, t.root)
    check('/dev/fuse' in text and 'modprobe' in text, text)


@test(HERE, start=False)
def source_and_mount_point(t):
    os.mkdir('other')
    call('mount', 'other', 'other', b'tmpfs', 0, b'size=1m,mode=1777')
    write('other/here', b'of another tmpfs')
    daemon = subprocess.Popen([t.program, 'other', str(t.root), '-f'])
    eventually(lambda: mounts_at(t.root) == 1, 'mounted')
    equal(read(t.root / 'here'), b'of another tmpfs')
    equal(set(os.listdir(t.root)) - {'.shmtree'}, {'here'})
    t.settle()
    daemon.terminate()
    equal(daemon.wait(30), 0)


@test(HERE, start=False)
def odd_mount_points(t):
    for name in 'two words', 'new\nline', 'back\\slash', 'tab\there', 'ü', 'comma,equals=':
        root = t.private / name
        root.mkdir()
        start_in_background(t, root=root)
        write(root / 'x', b'')
        pid = daemon_pid(root)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: ended(pid) and mounts_at(root) == 0, f'{name!r} unmounted')
    os.symlink(t.root, 'link')
    start_in_background(t, root='link')
    equal(mounts_at(t.root), 1)
    check(os.path.exists('link/.shmtree/status'), 'through the link')
    run('umount', t.root)


@test(MOUNTED, start=False)
def read_only(t):
    write(t.shm / 'x', b'kept')
    t.start('-o', 'ro')
    equal(read(t.root / 'x'), b'kept')
    for function, *arguments in ((write, t.root / 'x', b'y'), (os.unlink, t.root / 'x'),
                                 (write, t.root / 'new', b''), (os.chmod, t.root / 'x', 0),
                                 (os.truncate, t.root / 'x', 0),
                                 (os.rename, t.root / 'x', t.root / 'y')):
        fails(errno.EROFS, function, *arguments)
    t.becomes_idle('x')
    equal(read(t.shm / 'x'), b'kept')


@test(MOUNTED, start=False)
def single_threaded(t):
    t.start('-s')
    write(t.root / 'x', bytes(4096))
    with Mapper(t.root / 'x') as mapper:
        mapper('private 3')
        equal(t.number('x', 'mappings'), 3)


@test(MOUNTED, start=False)
def timeouts_are_options(t):
    t.start('-o', 'attr_timeout=3600,entry_timeout=3600')
    write(t.shm / 'x', b'123')
    equal(os.stat(t.root / 'x').st_size, 3)
    os.chmod(t.shm / 'x', 0o604)
    check(os.stat(t.root / 'x').st_mode & 0o777 != 0o604, 'the attributes were kept, as asked for')


@test(HERE, start=False)
def debug_output(t):
    with open('log', 'wb') as log:
        daemon = subprocess.Popen([t.program, str(t.root), '-d'], stderr=log)
        eventually(lambda: mounts_at(t.root) == 1, 'mounted')
        os.listdir(t.root)
        t.settle()
        daemon.terminate()
        equal(daemon.wait(30), 0)
    check(b'READDIR' in read('log'), 'libfuse traces the requests')


def install_mount_helper(t):
    """mount(8) finds the program under test by the name that it looks for."""
    os.mkdir('sbin')
    os.symlink(t.program, 'sbin/mount.fuse.shmtree')
    put_over(f'{t.private}/sbin', os.path.realpath('/sbin'))


def shown(t):
    """Source and type of the mount, in the list that mount(8) and systemd go by."""
    return run('findmnt', '-n', '-o', 'SOURCE,FSTYPE', '--mountpoint', t.root).decode().split()


@test(HERE, start=False)
def from_mount_and_fstab(t):
    """mount(8) calls the helper by its name, with options that are meant for others."""
    install_mount_helper(t)
    write('fstab', f'shmtree {t.root} fuse.shmtree rw,nofail,x-systemd.automount,_netdev,census=text '
          f'0 0\n'.encode())
    for command in (['mount', '-t', 'fuse.shmtree', '-o', 'census=text,noexec', 'shmtree', t.root],
                    ['mount', '-T', 'fstab', t.root]):
        run(*command)
        write(t.root / 'x', b'')
        equal(t.status()['census'], 'text')
        equal(shown(t), ['shmtree', 'fuse.shmtree'])
        run('umount', t.root)
    fails_with = subprocess.run(['mount', '-t', 'fuse.shmtree', 'shmtree', f'{t.private}/missing'],
                                capture_output=True, check=False)
    check(fails_with.returncode != 0, 'mount(8) fails where the mount does')


@test(HERE, start=False)
def mounted_twice_by_mount(t):
    """A second mount on the same place is refused or needless; after a crash the first one is cleared."""
    install_mount_helper(t)
    mount = ['mount', '-t', 'fuse.shmtree', 'shmtree', t.root]
    write('fstab', f'shmtree {t.root} fuse.shmtree nofail 0 0\n'.encode())
    run(*mount)
    again = subprocess.run(mount, capture_output=True, check=False)
    check(again.returncode != 0 and b'mounted there already' in again.stderr, again)
    run('mount', '-T', 'fstab', '-a')
    equal(mounts_at(t.root), 1)
    pid = daemon_pid(t.root)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: ended(pid), 'killed')
    run(*mount)
    equal(mounts_at(t.root), 1, 'the dead mount is gone')
    equal(t.status()['source'], '/dev/shm')
    run('umount', t.root)


@test(HERE, start=False)
def what_the_list_of_mounts_shows(t):
    """Whatever the program is called, the type is the same; nothing below /dev unless it was said."""
    os.mkdir('a,b')
    call('mount', 'other', 'a,b', b'tmpfs', 0, b'size=1m,mode=1777')
    os.symlink(t.program, 'renamed')
    for program, arguments, source in ((t.program, [], 'shmtree'), (os.path.abspath('renamed'), [], 'shmtree'),
                                       (t.program, ['/dev/shm'], '/dev/shm'),
                                       (t.program, ['-o', 'subtype=other', 'a,b'], f'{t.private}/a,b')):
        run(program, *arguments, t.root)
        equal(shown(t), [source, 'fuse.shmtree'])
        run('umount', t.root)


AUTOFS_IOC_READY, AUTOFS_IOC_FAIL = 0x9360, 0x9361
AUTOFS_PACKET = 304  # bytes, of version 5; the token of who waits is the third number in it


@test(HERE, start=False)
def on_an_automount_point(t):
    """autofs has everybody wait for the mount, except the process group of who manages it."""
    packets, kernels_end = os.pipe()
    options = f'fd={kernels_end},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct'
    try:
        call('mount', 'autofs', t.root, b'autofs', 0, options.encode())
    except OSError as error:
        skip(f'no autofs here: {error}')
    os.close(kernels_end)
    with opened(t.root, os.O_RDONLY) as point:
        user = subprocess.Popen(['cat', str(t.root / '.shmtree' / 'status')], stdout=subprocess.PIPE,
                                start_new_session=True)
        token = struct.unpack_from('=iiI', os.read(packets, AUTOFS_PACKET))[2]
        try:
            start_in_background(t)
            fcntl.ioctl(point, AUTOFS_IOC_READY, token)
        except BaseException:
            fcntl.ioctl(point, AUTOFS_IOC_FAIL, token)
            raise
        check(b'data_path' in user.communicate(timeout=PATIENCE)[0], 'the user who waited sees the mount')
    pid = daemon_pid(t.root)
    equal(os.getsid(pid), pid, 'a session of its own')
    run('umount', t.root)
    eventually(lambda: ended(pid), 'the daemon ends')


@test(HERE, start=False)
def no_permission(t):
    private_dev(fuse_mode=0o600)
    root = users_directory(t)
    text = refused(t, root, **as_a_user())
    check('/dev/fuse' in text, text)


@test(HERE, start=False)
def another_users_directory(t):
    private_dev(fuse_mode=0o666)
    text = refused(t, t.root, **as_a_user())
    check('permission' in text, text)


def start_as_user(t, *arguments):
    need_fusermount()
    private_dev(fuse_mode=0o666)
    root = users_directory(t)
    start_in_background(t, *arguments, root=root, **as_a_user())
    t.root = root


@test(HERE, start=False)
def a_normal_user(t):
    """Own objects work in full, but for passthrough; those of others as /dev/shm itself allows."""
    start_as_user(t)
    write(t.shm / 'roots', b'secret')
    os.chmod(t.shm / 'roots', 0o600)
    write(t.shm / 'public', b'public')

    def work():
        write(t.root / 'mine', b'mine')
        equal(read(t.shm / 'mine'), b'mine')
        equal(os.stat(t.root / 'mine').st_uid, USER)
        os.truncate(t.root / 'mine', 2)
        os.rename(t.root / 'mine', t.root / 'my')
        equal(read(t.root / 'public'), b'public')
        fails(errno.EACCES, read, t.root / 'roots')
        fails(errno.EACCES, write, t.root / 'public', b'')
        fails(errno.EPERM, os.unlink, t.root / 'public')
        status = t.status()
        equal(status['data_path'], 'direct')
        check(status['data_path_reason'], 'why')
        check(int(status['unreadable_processes']) > 0 or 'invisible_processes' in status,
              'the processes of others cannot be read')
        t.becomes_idle('my')
        equal(t.attribute('public', 'state'), 'unknown', 'others may have it, and nothing tells')
        with Mapper(t.root / 'my') as mapper:
            mapper('private 2')
            equal(t.number('my', 'mappings'), 2)
            equal(t.attribute('my', 'state'), 'mapped')
        os.unlink(t.root / 'my')
    equal(as_user(USER, USER, work), 0)
    run('fusermount3', '-u', t.root, **as_a_user())
    eventually(lambda: mounts_at(t.root) == 0, 'unmounted')
    equal(sorted(os.listdir(t.shm)), ['public', 'roots'])


@test(HERE, start=False)
def a_normal_users_dead_mount(t):
    """The next start clears it, or says how to."""
    start_as_user(t)
    equal(as_user(USER, USER, lambda: write(t.private / 'pid', b'%d' % daemon_pid(t.root))), 0)
    pid = int(read(t.private / 'pid'))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: ended(pid), 'killed')
    start_in_background(t, root=t.root, **as_a_user())
    equal(mounts_at(t.root), 1)
    equal(as_user(USER, USER, lambda: os.listdir(t.root)), 0)
    run('fusermount3', '-u', t.root, **as_a_user())


@test(HERE, start=False)
def a_service_manager_is_told_when_the_mount_works(t):
    """By the protocol of sd_notify(3), with a socket in the file system and an abstract one."""
    for name, address in (('notify', str(t.private / 'notify')), ('@', f'\0shmtree-test-{os.getpid()}')):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            manager.settimeout(30)
            os.environ['NOTIFY_SOCKET'] = address.replace('\0', '@')
            t.start()
            equal(manager.recv(100), b'READY=1', name)
            t.stop()
    for nobody in '', '@', str(t.private / 'missing'), 'x' * 200:
        os.environ['NOTIFY_SOCKET'] = nobody
        t.start()
        t.stop()
