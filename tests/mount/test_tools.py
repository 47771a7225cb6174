# SPDX-License-Identifier: GPL-2.0-or-later
"""The tools that everybody has, on objects."""
import os
import stat

from harness import equal, check, read, run, sh, test, write


def messages(*command, status=1):
    """What a program that fails writes to standard error."""
    return sh(' '.join(map(str, command)) + ' 2>&1 >/dev/null', status=status).decode().strip()


@test()
def echo_and_cat(t):
    sh(f'echo hello > {t.root}/greeting')
    equal(run('cat', t.shm / 'greeting'), b'hello\n')
    sh(f'echo again >> {t.shm}/greeting')
    equal(run('cat', t.root / 'greeting'), b'hello\nagain\n')
    equal(run('cat', stdin=b'').decode(), '')
    check('No such file or directory' in messages('cat', t.root / 'nothing'), 'message of cat')


@test()
def truncate_and_stat(t):
    run('truncate', '-s', '1M', t.root / 'a')
    equal(run('stat', '-c', '%s %b %a %F', t.shm / 'a'), b'1048576 0 644 regular file\n')
    run('truncate', '-s', '-48K', t.shm / 'a')
    equal(run('stat', '-c', '%s', t.root / 'a'), b'999424\n')
    ours = run('stat', '-c', '%n %i %h %u %g %s %b %x %y %z %a', 'a', cwd=t.root)
    equal(ours, run('stat', '-c', '%n %i %h %u %g %s %b %x %y %z %a', 'a', cwd=t.shm))
    run('truncate', '-s', '0', t.root / 'a')
    equal(os.stat(t.shm / 'a').st_size, 0)


@test()
def dd_in_pieces(t):
    data = os.urandom(3_000_001)
    write('source', data)
    run('dd', 'if=source', f'of={t.root}/a', 'bs=64k', 'status=none')
    equal(read(t.shm / 'a') == data, True, 'what dd wrote')
    run('dd', f'if={t.root}/a', 'of=copy', 'bs=1M', 'status=none')
    equal(read('copy') == data, True, 'what dd read')
    run('dd', 'if=/dev/zero', f'of={t.root}/a', 'bs=1', 'count=3', 'seek=5', 'conv=notrunc',
        'status=none')
    equal(read(t.shm / 'a') == data[:5] + bytes(3) + data[8:], True, 'three bytes replaced')
    run('dd', 'if=source', f'of={t.root}/a', 'bs=4k', 'oflag=append', 'conv=notrunc', 'status=none')
    equal(os.stat(t.shm / 'a').st_size, 2 * len(data))


@test()
def cp_in_out_and_within(t):
    data = os.urandom(700_000)
    write('outside', data)
    run('cp', 'outside', t.root / 'a')
    run('cp', t.root / 'a', t.root / 'b')
    run('cp', '--preserve=all', t.root / 'b', 'back')
    for place in t.shm / 'a', t.shm / 'b', 'back':
        equal(read(place) == data, True, f'bytes of {place}')
    sparse = t.root / 'sparse'
    run('truncate', '-s', '8M', sparse)
    run('dd', 'if=outside', f'of={sparse}', 'bs=4k', 'seek=100', 'conv=notrunc', 'status=none')
    run('cp', '--sparse=auto', sparse, t.root / 'sparse2')
    run('cmp', sparse, t.shm / 'sparse2')
    check(os.stat(t.shm / 'sparse2').st_blocks < 2048, 'the holes stayed holes')


@test()
def mv_within_and_in(t):
    write(t.root / 'a', b'A')
    write(t.root / 'b', b'B')
    run('mv', t.root / 'a', t.root / 'b')
    equal(os.listdir(t.shm), ['b'])
    run('mv', '-n', t.root / 'b', t.root / 'c')
    write('outside', b'from elsewhere')
    run('mv', 'outside', t.root / 'd')
    equal(read(t.shm / 'd'), b'from elsewhere')
    run('mv', t.root / 'd', 'outside')
    equal(read('outside'), b'from elsewhere')
    equal(sorted(os.listdir(t.shm)), ['c'])


@test()
def rm_and_globs(t):
    for name in 'a', 'b', 'c':
        write(t.shm / name, b'')
    run('rm', t.root / 'a')
    sh(f'rm {t.root}/*')
    equal(os.listdir(t.shm), [])
    check('No such file' in messages('rm', t.root / 'a'), 'message of rm')


@test()
def ls_long(t):
    write(t.shm / 'one', b'123')
    os.chmod(t.shm / 'one', 0o4711)
    write(t.shm / 'two words', b'')
    ours = run('ls', '-l', '--time-style=full-iso', '--ignore=.shmtree', t.root)
    equal(ours, run('ls', '-l', '--time-style=full-iso', t.shm))
    equal(run('ls', t.root), b'one\ntwo words\n')
    equal(run('ls', '-i', 'one', cwd=t.root), run('ls', '-i', 'one', cwd=t.shm))


@test()
def touch_chmod_ln(t):
    run('touch', '-d', '2001-02-03 04:05:06.789 UTC', t.root / 'a')
    equal(os.stat(t.shm / 'a').st_mtime_ns, 981173106789000000)
    run('chmod', 'u=rw,go=', t.root / 'a')
    equal(stat.S_IMODE(os.stat(t.shm / 'a').st_mode), 0o600)
    run('chown', '7:8', t.root / 'a')
    equal(run('stat', '-c', '%u:%g', t.shm / 'a'), b'7:8\n')
    run('ln', t.root / 'a', t.root / 'b')
    equal(run('stat', '-c', '%h', t.shm / 'b'), b'2\n')


@test()
def fallocate_and_find(t):
    run('fallocate', '-l', '100K', t.root / 'a')
    equal(os.stat(t.shm / 'a').st_size, 102400)
    run('fallocate', '-p', '-o', '4K', '-l', '8K', t.root / 'a')
    equal(os.stat(t.shm / 'a').st_blocks, (102400 - 8192) // 512)
    found = run('find', t.root, '-maxdepth', '1', '-type', 'f', '-size', '+50k')
    equal(found.decode().split(), [f'{t.root}/a'])


@test()
def tar_there_and_back(t):
    for i in range(20):
        write(t.root / f'n{i}', os.urandom(i * 1000))
    sh(f'tar -C {t.root} --exclude=.shmtree -cf all.tar . && mkdir back && tar -C back -xf all.tar')
    sh(f'diff -r --exclude=.shmtree {t.root} back && diff -r {t.shm} back')


@test()
def df_shows_the_tmpfs(t):
    columns = 'size,used,avail,itotal,iused'
    equal(run('df', '-B1', f'--output={columns}', t.root),
          run('df', '-B1', f'--output={columns}', t.shm))


@test()
def a_root_without_capabilities_is_no_more_than_a_user(t):
    """As in many containers: what follows from a capability does not happen for one who lacks it."""
    powerless = ('setpriv', '--bounding-set=-all', '--inh-caps=-all')
    for name in 'ab':
        write(t.shm / name, b'')
        os.chown(t.shm / name, 0, 4000)
        os.chmod(t.shm / name, 0o2664)
    run(*powerless, 'setfacl', '-m', 'u:2002:-', t.root / 'a')
    equal(os.stat(t.root / 'a').st_mode & 0o7000, 0, 'not in the group: no set-group-ID')
    run(*powerless, 'chmod', 'g+s', t.root / 'b')
    equal(os.stat(t.root / 'b').st_mode & 0o7000, 0)
    run('setfacl', '-m', 'u:2002:r', t.root / 'b')
    run('chmod', 'g+s', t.root / 'b')
    equal(os.stat(t.shm / 'b').st_mode & 0o7000, 0o2000)


@test()
def an_acl_that_goes_leaves_the_owners_set_group_id(t):
    """To whom the group is a supplementary one, as setting an ACL does."""
    write(t.shm / 'a', b'')
    os.chown(t.shm / 'a', 2001, 3001)
    os.chmod(t.shm / 'a', 0o2770)
    run('setfacl', '-m', 'u:2002:r', t.root / 'a')
    run('setpriv', '--reuid=2001', '--regid=2001', '--groups=3001',
        'setfattr', '-x', 'system.posix_acl_access', t.root / 'a')
    equal(os.stat(t.shm / 'a').st_mode & 0o7777, 0o2770)


@test()
def a_group_that_may_create_does(t):
    """Also for those of whom it is a supplementary one."""
    os.chown(t.shm, 0, 3001)
    os.chmod(t.shm, 0o770)
    run('setpriv', '--reuid=2001', '--regid=2001', '--groups=3001', 'touch', t.root / 'a')
    info = os.stat(t.shm / 'a')
    equal((info.st_uid, info.st_gid), (2001, 2001))
    check('Permission denied' in messages('setpriv', '--reuid=2001', '--regid=2001', '--clear-groups',
                                          'touch', t.root / 'b'), 'message of touch')
