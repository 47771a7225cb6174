# SPDX-License-Identifier: GPL-2.0-or-later
"""What cannot be had here: one line, or the reason in `status`, names the true cause."""
import contextlib
import os
import subprocess

from harness import (CLONE_NEWNS, MS_PRIVATE, MS_REC, as_user, call, check, equal, read, run, skip, test, write)
from test_command import USER, as_a_user, need_fusermount, private_dev, refused, users_directory

HERE = ('auto',)
CLONE_NEWUSER = 0x10000000
LOCKDOWN = '/sys/kernel/security'


def says(text, *parts):
    for part in parts:
        check(part in text, f'{part!r} in {text!r}')


@test(HERE, start=False)
def bpf_locked_down(t):
    """What the kernel would refuse, with a complaint in its log, is not tried."""
    try:
        call('mount', 'securityfs', LOCKDOWN, b'tmpfs', 0, b'size=1m')
    except OSError as error:
        skip(f'{LOCKDOWN}: {error}')
    write(f'{LOCKDOWN}/lockdown', b'none integrity [confidentiality]\n')
    says(refused(t, t.root, '-o', 'census=bpf'), 'census=bpf', 'lockdown')
    t.start()
    write(t.shm / 'x', b'')
    equal(t.number('x', 'mappings'), 0)
    check(t.status()['census'] in ('query', 'text'), t.status()['census'])
    says(t.status()['census_reason'], 'bpf: ', 'lockdown')
    t.stop()
    write(f'{LOCKDOWN}/lockdown', b'none [integrity] confidentiality\n')
    t.start()
    equal(t.number('x', 'mappings'), 0)
    check('lockdown' not in t.status().get('census_reason', ''), 'integrity lets it read')


@test(HERE, start=False)
def bpf_for_a_normal_user(t):
    need_fusermount()
    private_dev(fuse_mode=0o666)
    says(refused(t, users_directory(t), '-o', 'census=bpf', **as_a_user()), 'census=bpf', 'CAP_BPF')


@test(HERE, start=False)
def back_ends_of_another_procfs(t):
    os.makedirs('recorded/1')  # a process, or it would be no procfs at all
    says(refused(t, t.root, '-o', f'proc={t.private}/recorded,census=query'), 'census=query', 'live procfs')
    says(refused(t, t.root, '-o', f'proc={t.private}/recorded,census=bpf'), 'census=bpf', 'procfs')


@test(HERE, start=False)
def in_a_container_that_may_not_mount(t):
    for limits in (['--bounding-set', '-sys_admin', '--inh-caps', '-sys_admin'],
                   ['--bounding-set', '-sys_admin', '--inh-caps', '-sys_admin', '--no-new-privs']):
        says(refused(t, *limits, t.program, t.root, program='setpriv'), 'CAP_SYS_ADMIN', 'container')
    need_fusermount()
    private_dev(fuse_mode=0o666)
    limits = [f'--reuid={USER}', f'--regid={USER}', '--clear-groups', '--no-new-privs']
    says(refused(t, *limits, t.program, users_directory(t), program='setpriv'), 'no-new-privileges')


def enter_user_namespace(users):
    """As root of it, with as many users as said; its maps can only be written from outside."""
    pid = os.getpid()
    inside, outside = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.read(inside[0], 1)
        for kind in 'gid', 'uid':
            write(f'/proc/{pid}/{kind}_map', f'0 0 {users}\n'.encode())
        os.write(outside[1], b'x')
        os._exit(0)
    call('unshare', CLONE_NEWUSER | CLONE_NEWNS)
    call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
    os.write(inside[1], b'x')
    equal(os.read(outside[0], 1), b'x')


@test(HERE, start=False)
def root_of_a_user_namespace(t):
    """It is root there, and the kernel's own files and programs are not its to use."""
    private_dev(fuse_mode=0o666)

    def work():
        enter_user_namespace(65536)
        t.start()
        write(t.root / 'x', b'works')
        equal(read(t.root / 'x'), b'works')
        equal(t.number('x', 'mappings'), 0)
        status = t.status()
        equal(status['data_path'], 'direct')
        if 'no FUSE passthrough' not in status['data_path_reason']:
            says(status['data_path_reason'], 'root of the machine', 'user namespace')
        says(status['census_reason'], 'bpf: ', 'user namespace')
        run('umount', t.root)
        equal(t.daemon.wait(30), 0, 'status of the daemon')
        says(refused(t, t.root, '-o', 'census=bpf'), 'census=bpf', 'user namespace')
    if read('/proc/sys/user/max_user_namespaces') == b'0\n':
        skip('no user namespaces here')
    equal(as_user(0, 0, work), 0)


@test(HERE, start=False)
def io_uring(t):
    """libfuse would take the option."""
    for option in 'io_uring', 'io_uring_q_depth=8':
        says(refused(t, t.root, '-o', option), 'io_uring', '/dev/fuse')
