# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of the daemon loses nothing: the objects are the kernel's."""
import ctypes
import errno
import mmap
import os
import platform
import signal
import struct
import subprocess

from harness import (MOUNTED, call, check, close_dead, equal, eventually, fails, mounts_at, opened, read,
                     run, skip, test, wait_for_mount, write)

MS_SHARED = 1 << 20
MNT_DETACH = 2


@test(MOUNTED)
def kill_and_start_again(t):
    write(t.root / 'x', b'survives')
    fd = os.open(t.root / 'x', os.O_RDWR)
    mapped = None
    if t.shared_mmap:
        mapped = mmap.mmap(fd, 8)
        mapped[:8] = b'SURVIVES'
    t.kill()
    fails(errno.ENOTCONN, os.stat, t.root / 'x')
    fails(errno.ENOTCONN, os.listdir, t.root)
    equal(read(t.shm / 'x').lower(), b'survives', 'in /dev/shm as ever')
    if mapped:
        mapped[:4] = b'more'
        equal(read(t.shm / 'x'), b'moreIVES', 'the mapping is the object, with no daemon behind it')
    t.start()
    equal(mounts_at(t.root), 1, 'the dead mount is gone')
    equal(read(t.root / 'x').lower()[4:], b'ives')
    write(t.root / 'y', b'works')
    equal(read(t.shm / 'y'), b'works')
    close_dead(fd)


@test(MOUNTED, ends_open=True)
def killed_again_and_again_while_in_use(t):
    """Readers and writers get errors and nothing else, and each start finds everything."""
    script = f'''
import os, sys
print('go', flush=True)
while True:
    try:
        fd = os.open({str(t.root / "x")!r}, os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, b'x' * 100000, 0)
        os.pread(fd, 100000, 0)
        os.close(fd)
    except OSError as error:
        pass
'''
    users = [subprocess.Popen(['python3', '-c', script], stdout=subprocess.PIPE) for _ in range(3)]
    for user in users:
        equal(user.stdout.readline(), b'go\n')
    for i in range(5):
        write(t.root / f'object-{i}', b'here')
        t.kill()
        t.start()
        equal(sorted(n for n in os.listdir(t.root) if n.startswith('object-')),
              [f'object-{n}' for n in range(i + 1)])
    for user in users:
        check(user.poll() is None, 'the user of the mount lives')
        user.kill()
        user.wait()
        user.stdout.close()


@test(['auto'], ends_open=True)
def what_a_dead_mount_keeps_is_held(t):
    """The kernel gives up the files of a daemon that was killed all at once, with the last user of its mount."""
    write(t.root / 'kept', b'kept')
    write(t.root / 'mapped', bytes(4096))
    kept, fd = os.open(t.root / 'kept', os.O_RDWR), os.open(t.root / 'mapped', os.O_RDWR)
    mapped = mmap.mmap(fd, 4096)
    t.kill()
    t.start()
    for number in fd, kept:
        close_dead(number)
    os.unlink(t.shm / 'kept')
    if t.status()['object_census'] != 'on':
        skip('the kernel is not asked what it counts')

    def held():
        return [name for name in os.listdir(t.meta / 'unlinked') if name.startswith('posix-kept-')]
    name, = held()
    equal(read(t.meta / 'unlinked' / name / 'state'), b'held\n')
    equal(read(t.meta / 'unlinked' / name / 'hidden'), b'1\n')
    mapped.close()
    eventually(lambda: not held(), 'it is gone with the last user of the dead mount')


@test(MOUNTED, ends_open=True)
def lazy_unmount_while_open(t):
    write(t.root / 'x', b'before')
    with opened(t.root / 'x', os.O_RDWR) as fd:
        run('umount', '-l', t.root)
        equal(os.pread(fd, 100, 0), b'before')
        os.pwrite(fd, b'AFTER ', 0)
        equal(read(t.shm / 'x'), b'AFTER ')
    equal(t.daemon.wait(30), 0, 'the daemon ends with the last descriptor')
    t.daemon = None


@test(MOUNTED)
def umount_ends_the_daemon(t):
    t.settle()
    run('umount', t.root)
    equal(t.daemon.wait(30), 0)
    t.daemon = None
    equal(mounts_at(t.root), 0)


@test(MOUNTED)
def a_daemon_that_ends_late_leaves_its_successors_mount(t):
    """The kernel gives the device number away again, here to the next daemon's mount on the same path."""
    t.kill()
    t.start()  # it has replaced a dead mount, and unmounts by itself
    t.settle()
    first, number = t.daemon, os.stat(t.root).st_dev
    first.send_signal(signal.SIGSTOP)
    try:
        call('umount2', t.root, MNT_DETACH)
        (t.private / 'lower').mkdir()
        t.start()
        while os.stat(t.root).st_dev < number:
            t.stop()
            call('mount', 'lower', t.private / 'lower', b'tmpfs', 0, b'')  # takes the number
            t.start()
        if os.stat(t.root).st_dev != number:
            skip('something else has the number')
        first.send_signal(signal.SIGTERM)
    finally:
        first.send_signal(signal.SIGCONT)
        first.wait(30)
    equal(mounts_at(t.root), 1)
    equal(t.status()['pid'], str(t.daemon.pid))


@test(MOUNTED)
def busy(t):
    write(t.root / 'x', b'')
    with opened(t.root / 'x', os.O_RDONLY):
        text = subprocess.run(['umount', str(t.root)], capture_output=True, check=False)
        check(text.returncode != 0 and b'busy' in text.stderr, 'a mount in use is not taken away')
    equal(read(t.root / 'x'), b'')


def need_mounts_beneath():
    """Which keep the directory below out of sight while a dead mount is replaced."""
    release = tuple(int(part) for part in platform.release().split('.')[:2])
    if release < (6, 5):
        skip('needs Linux 6.5')


def writer(path):
    """A process that creates that file over and over."""
    script = f'''
import os
print('go', flush=True)
while True:
    try:
        os.close(os.open({str(path)!r}, os.O_RDWR | os.O_CREAT))
    except OSError:
        pass
'''
    process = subprocess.Popen(['python3', '-c', script], stdout=subprocess.PIPE)
    equal(process.stdout.readline(), b'go\n')
    return process


def replaced_under_writers(t):
    writers = [writer(t.root / f'w{i}') for i in range(2)]
    for _ in range(10):
        t.kill()
        t.start()
        equal(mounts_at(t.root), 1, 'the dead mount has gone')
        eventually((t.shm / 'w0').exists, 'the writers are served')
        os.unlink(t.shm / 'w0')
    for process in writers:
        process.kill()
        process.wait()
        process.stdout.close()
    t.stop()
    equal(os.listdir(t.root), [], 'in the directory below the mount')


@test(MOUNTED)
def nothing_is_written_below_while_a_dead_mount_is_replaced(t):
    need_mounts_beneath()
    replaced_under_writers(t)


@test(MOUNTED, start=False)
def nothing_is_written_below_a_mount_on_a_shared_one(t):
    """As the root directory is where systemd runs."""
    need_mounts_beneath()
    shared = t.private / 'shared'
    shared.mkdir()
    call('mount', 'work', shared, b'tmpfs', 0, b'')
    call('mount', 'none', shared, 0, MS_SHARED, 0)
    t.root = shared / 'mnt'
    t.root.mkdir()
    t.start()
    replaced_under_writers(t)


@test(MOUNTED)
def two_daemons_that_replace_a_dead_mount_at_once(t):
    """One of them does, the other says that it came too late; nobody's mount is taken away."""
    for _ in range(5):
        t.kill()
        daemons = [subprocess.Popen([t.program, str(t.root), '-f'], stdin=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE) for _ in range(2)]
        eventually(lambda: any(d.poll() is not None for d in daemons), 'one of them gives up')
        late, t.daemon = sorted(daemons, key=lambda d: d.poll() is None)
        equal(late.returncode, 1)
        check(late.stderr.read().count(b'\n') == 1, 'one line says why')
        late.stderr.close()
        wait_for_mount(t.root, t.daemon)
        t.daemon.stderr.close()
        equal(mounts_at(t.root), 1)


class SockFprog(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('filter', ctypes.c_char_p)]


def refuse_to_detach_what_is_on_top():
    """umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) fails, in this process and those that it starts."""
    load, equals, answer = 0x20, 0x15, 0x06
    allow, refuse = 0x7fff0000, 0x00050000 | errno.EBUSY
    program = b''.join(struct.pack('HBBI', *step) for step in (
        (load, 0, 0, 0), (equals, 0, 3, 166),  # the number of the call
        (load, 0, 0, 24), (equals, 0, 1, 2 | 8),  # the lower half of its second argument
        (answer, 0, 0, refuse), (answer, 0, 0, allow)))
    call('prctl', 38, 1, 0, 0, 0)
    call('prctl', 22, 2, ctypes.byref(SockFprog(6, program)))


@test(MOUNTED)
def a_mount_that_was_put_beneath_a_dead_one_in_vain_is_taken_away(t):
    """Else each daemon that could not detach the dead mount would leave another one below it."""
    need_mounts_beneath()
    if platform.machine() != 'x86_64':
        skip('the filter is for x86_64')
    t.kill()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            refuse_to_detach_what_is_on_top()
            os.execv(t.program, [t.program, os.fspath(t.root), '-o', f'passthrough={t.path}'])
        finally:
            os._exit(status)
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
    equal(mounts_at(t.root), 1, 'that of the daemon, which has mounted anew')
    write(t.root / 'x', b'served')
    equal(read(t.shm / 'x'), b'served')
    call('umount2', t.root, 2)
    equal(mounts_at(t.root), 0)
    t.start()
