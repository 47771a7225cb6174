# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of the daemon loses nothing: the objects are the kernel's."""
import errno
import mmap
import os
import subprocess

from harness import (MOUNTED, close_dead, equal, check, fails, mounts_at, opened, read, run, test, write)


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
def busy(t):
    write(t.root / 'x', b'')
    with opened(t.root / 'x', os.O_RDONLY):
        text = subprocess.run(['umount', str(t.root)], capture_output=True, check=False)
        check(text.returncode != 0 and b'busy' in text.stderr, 'a mount in use is not taken away')
    equal(read(t.root / 'x'), b'')
