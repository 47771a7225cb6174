# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines, and what is tried in each. A step is a function that raises Failed, or Skipped."""
import dataclasses
import re
import shlex

import readme

MOUNTED = ('coherence.', 'command.', 'census.', 'tools.')  # about a minute
NOT_WRITABLE = r'(run|build): \w+ cannot write to '


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Scenario:
    """steps: the first prepares the machine; where it fails, the others are not tried."""
    name: str
    suite: str
    steps: tuple
    at: str = '/src'
    way: str = 'pivot'  # how boot goes in
    often: bool = False  # in every run, not only with --all


def succeed(machine, script, **keywords):
    """Runs the script in the machine; what it printed."""
    status, output = machine.run(script, **keywords)
    if status != 0:
        raise Failed(f'$ {script}\n{output}exit status {status}')
    return output


def refuse(machine, script, pattern, **keywords):
    """The script fails, and says why in one line, before it installs or builds."""
    status, output = machine.run(script, **keywords)
    if status == 0 or not re.fullmatch(f'{pattern}.*\n', output):
        raise Failed(f'$ {script}\n{output}exit status {status}; wanted one line: {pattern}')


def unmount(machine, mountpoint='/mnt/shm'):
    """And waits until the daemon has ended: it ends after umount(8), and until then its program is in use."""
    succeed(machine, f'umount {mountpoint} && for i in $(seq 600); do '
            'grep -qsx shmtree /proc/[0-9]*/comm || exit 0; sleep 0.1; done; '
            'echo "a daemon is left"; exit 1')


def try_readme(machine, user, sudo='', heading=None):
    text = (machine.root / machine.at.lstrip('/') / 'README.md').read_text()
    for command, wanted in readme.console(text, heading):
        output = succeed(machine, f'{sudo}\n{command}', user=user)
        if complaint := readme.difference(wanted, output):
            raise Failed(f'$ {command}\n{complaint}')


# --- README, as root and as a user

def first_screen_as_root(machine):
    """sudo(8) is not there, and root has no use for it."""
    try_readme(machine, 'root', sudo='sudo() { "$@"; }')


def first_screen_as_user(machine):
    succeed(machine, 'apt-get -q update && apt-get -q -y --no-install-recommends install sudo && '
            'useradd -m you && echo "you ALL=NOPASSWD: ALL" >/etc/sudoers.d/you && chown -R you: /home/you')
    try_readme(machine, 'you')


def nothing_of_root_left(machine):
    """What `sudo scripts/run` built belongs to whose tree it is."""
    if found := succeed(machine, 'find . -user root'):
        raise Failed(f'in the tree of a user, root owns:\n{found}')


def everything_optional_is_built(machine):
    """The census by BPF."""
    succeed(machine, 'find build -name census.lskel.h | grep .')


# --- scripts/run

def run_without_optional_packages(machine):
    succeed(machine, 'printf "Package: %s\\nPin: version *\\nPin-Priority: -1\\n" '
            '"clang libbpf-dev bpftool fuse3 bsdextrautils" '
            '>/etc/apt/preferences.d/poor')
    succeed(machine, 'scripts/run /mnt/shm')
    status = succeed(machine, 'cat /mnt/shm/.shmtree/status')
    unmount(machine)
    if not re.search(r'^census\t(query|text)$', status, re.MULTILINE):
        raise Failed(f'a census by /proc was wanted:\n{status}')


def run_twice(machine):
    for wanted in ('is mounted on /mnt/shm.\n', 'is mounted on /mnt/shm already.\n'):
        output = succeed(machine, 'scripts/run /mnt/shm', timeout=60)
        if wanted not in output or 'setup:' in output or 'build:' in output:
            raise Failed(f'wanted "{wanted.strip()}", and nothing installed or built:\n{output}')
    unmount(machine)


def run_at_once(machine):
    """Two calls for one mount point: the second finds it mounted."""
    output = succeed(machine, 'scripts/run /mnt/shm & one=$!; scripts/run /mnt/shm; two=$?; wait $one && [ $two -eq 0 ]')
    said = sorted(re.findall(r'is mounted on /mnt/shm( already)?\.', output))
    mounts = succeed(machine, 'grep -c " /mnt/shm " /proc/self/mountinfo')
    unmount(machine)
    if said != ['', ' already'] or mounts != '1\n':
        raise Failed(f'{mounts.strip()} mounts, after\n{output}')


def run_as_user(machine):
    """A user's own mount, of what root has set up."""
    output = succeed(machine, 'scripts/run ~/shm && echo hello >~/shm/mine && cat /dev/shm/mine && '
                     'rm ~/shm/mine && fusermount3 -u ~/shm', user='you')
    if '\nhello\n' not in output:
        raise Failed(output)


def run_in_read_only_tree(machine):
    """One that is built works as it is, and one that is not says so."""
    succeed(machine, 'mkdir -p /ro && mount --bind . /ro && mount -o remount,bind,ro /ro')
    succeed(machine, 'scripts/run /mnt/shm', directory='/ro', timeout=60)
    unmount(machine)
    succeed(machine, 'mount -t tmpfs none /ro/build')
    refuse(machine, 'scripts/run /mnt/shm', NOT_WRITABLE, directory='/ro')
    refuse(machine, 'scripts/build build', NOT_WRITABLE, directory='/ro')
    succeed(machine, 'umount /ro/build && umount /ro')


def run_in_tree_of_another(machine):
    """As a read-only tree; and once its owner changes it, it is to be built again."""
    succeed(machine, 'useradd -m guest')
    succeed(machine, 'scripts/run ~/shm && fusermount3 -u ~/shm', user='guest', timeout=60)
    succeed(machine, 'touch fs/main.c')
    refuse(machine, 'scripts/run ~/shm', NOT_WRITABLE, user='guest')
    succeed(machine, 'scripts/build build')


def refuse_unbuilt_read_only_tree(machine):
    """Nothing is installed for it first."""
    succeed(machine, 'mkdir -p /ro && mount --bind . /ro && mount -o remount,bind,ro /ro')
    refuse(machine, 'scripts/run /mnt/shm', NOT_WRITABLE, directory='/ro')
    succeed(machine, 'umount /ro')


def refuse_user_without_packages(machine):
    succeed(machine, 'useradd -m you && chown -R you: .')
    refuse(machine, 'scripts/run ~/shm', 'setup: run this as root once, or install: ', user='you')


def refuse_old_system(machine):
    refuse(machine, 'scripts/run /mnt/shm', r'setup: .* is too old: ')


# --- by hand, and the tests

def install_by_hand(machine):
    """README's commands, after scripts/run as on a new machine; mount(8) then has its helper."""
    try_readme(machine, 'root', heading='## Building and testing')
    output = succeed(machine, 'mkdir -p /mnt/fstab && mount -t fuse.shmtree shmtree /mnt/fstab && '
                     'cat /mnt/fstab/.shmtree/status && umount /mnt/fstab && test -e /usr/share/man/man8/shmtree.8*')
    if '\ndata_path\t' not in output:
        raise Failed(output)


def tests(machine, arguments):
    """Each suite that is run has tests to run."""
    status, output = machine.run(f'scripts/test {arguments}')
    if status != 0:
        passed = re.compile(r'^ *ok .*\n', re.MULTILINE)
        raise Failed(f'$ scripts/test {arguments}\n{passed.sub("", output)}exit status {status}')
    counts = re.fullmatch(r'(\d+) passed, 0 failed, (\d+) skipped', output.splitlines()[-1])
    if not counts or counts[1] == '0' or ' 0 passed, 0 failed, 0 skipped\n' in output:
        raise Failed(output)


def structure_is_checked(machine):
    """All of it, where the release has the clang-format that it takes."""
    succeed(machine, 'scripts/setup --test')
    output = succeed(machine, 'scripts/check-structure')
    if not output.endswith(' passed, 0 failed, 0 skipped\n'):
        raise Failed(output)


def installed(machine, option, programs):
    succeed(machine, f'scripts/setup {option}')
    for program in programs:
        succeed(machine, f'command -v {program}')


def peers_are_there(machine):
    """What scripts/bench measures shmtree beside, and with."""
    installed(machine, '--bench', ('g++', 'fio', 'hyperfine', 'bindfs', 'lsof', 'fuser', 'lsfd'))


def fuzz_targets_run(machine):
    output = succeed(machine, 'scripts/fuzz 0')
    if not output.endswith(' passed, 0 failed\n'):
        raise Failed(output)


def makers_of_machines_are_there(machine):
    """What these machines, and those of tests/kernels, are made with."""
    installed(machine, '--kernels', ('mmdebstrap', 'python3', 'git', 'qemu-system-x86_64', 'cpio'))


def machine_is_made(machine):
    succeed(machine, 'scripts/setup --fresh && FRESH_CACHE=/var/cache/made tests/fresh/rootfs bookworm && '
            'tar -tf /var/cache/made/bookworm.tar ./usr/bin/apt-get')


def unit_tests(machine):
    tests(machine, '--unit')


def mounted_tests(machine):
    tests(machine, ' '.join(MOUNTED))
    refuse(machine, f'scripts/test {MOUNTED[0]} no.such', 'test: no test is called no.such')


def package_is_built(machine):
    """lintian has nothing to say against it."""
    output = succeed(machine, 'scripts/package --quick /packages')
    if not re.search(r'^/packages/shmtree_.*\.deb$', output, re.MULTILINE):
        raise Failed(output)


def package_works(machine):
    """Installed as any other, it passes the test that comes with it."""
    succeed(machine, 'apt-get -q -y --no-install-recommends install /packages/shmtree_*.deb tmux && debian/tests/mount')


def package_lists_without_a_mount(machine):
    output = succeed(machine, 'head -c 3M /dev/zero >/dev/shm/large && head -c 1M /dev/zero >/dev/shm/small && '
                     'shmtree --list --sort=allocated --human')
    header, *rows = (line.split() for line in output.splitlines())
    found = [dict(zip(header, row)) for row in rows if row[header.index('KIND')] == 'posix']
    if [(row['ID'], row['ALLOCATED']) for row in found] != [('large', '3.0M'), ('small', '1.0M')]:
        raise Failed(output)


def package_mounts_by_fstab(machine):
    succeed(machine, 'mkdir -p /mnt/fstab && echo "shmtree /mnt/fstab fuse.shmtree defaults 0 0" >>/etc/fstab && '
            'mount /mnt/fstab && cmp /mnt/fstab/large /dev/shm/large && '
            'grep -q "<svg\\|<canvas\\|<script" /mnt/fstab/.shmtree/report.html')


ALERT = r"""
ip link set lo up
cat >prometheus.yml <<'END'
global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs: [{job_name: node, static_configs: [{targets: ["127.0.0.1:9100"]}]}]
END
sed 's/for: [0-9]*m/for: 0s/' /usr/share/shmtree/shmtree.rules.yml >rules.yml
ln -s /mnt/fstab/.shmtree/metrics text/shmtree.prom
prometheus-node-exporter --collector.disable-defaults --collector.textfile \
    --collector.textfile.directory=text >node.log 2>&1 & node=$!
prometheus --config.file=prometheus.yml --storage.tsdb.path=data >prometheus.log 2>&1 & server=$!
trap 'kill $node $server; wait $node $server' EXIT
wait_for() {  # how many samples a query has
    for i in $(seq 120); do
        [ "$(promtool query instant http://127.0.0.1:9090 "$2" 2>/dev/null | grep -c '=>')" = "$1" ] && return
        sleep 1
    done
    echo "never $1: $2"; tail -n 3 *.log; exit 1
}
firing='ALERTS{alertname="SharedMemoryNearlyFull",resource="TMPFS_BYTES",namespace="",alertstate="firing"}'
wait_for 1 shmtree_build_info
wait_for 0 "$firing"
fallocate -l 58M /dev/shm/fills; wait_for 1 "$firing"
rm /dev/shm/fills; wait_for 0 "$firing"
wait_for 1 shmtree_build_info  # it still answers
"""


def package_has_an_alert_fire_and_clear(machine):
    """By Debian's Prometheus, in a network of its own, when the tmpfs fills and when it is emptied."""
    succeed(machine, 'printf "#!/bin/sh\\nexit 101\\n" >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d && '
            'apt-get -q -y --no-install-recommends install prometheus prometheus-node-exporter iproute2 && '
            'mount -o remount,size=64m /dev/shm && mkdir -p /alert/text')
    succeed(machine, f'unshare --net sh -c {shlex.quote(ALERT)}', directory='/alert')


def package_shows_in_a_terminal(machine):
    succeed(machine, 'tmux new-session -d -x 80 -y 24 -s top "exec shmtop /mnt/fstab" && '
            'for i in $(seq 100); do tmux capture-pane -p -t top | grep -q large && break; sleep 0.1; done; '
            'tmux capture-pane -p -t top | grep large && tmux send-keys -t top q && '
            'for i in $(seq 100); do tmux has-session -t top 2>/dev/null || exit 0; sleep 0.1; done; exit 1')


def package_leaves_nothing(machine):
    unmount(machine, '/mnt/fstab')
    succeed(machine, 'rm /dev/shm/large /dev/shm/small && apt-get -q -y purge shmtree && ! command -v shmtree && '
            '! test -e /usr/sbin/mount.fuse.shmtree')


PACKAGE = (package_is_built, package_works, package_lists_without_a_mount, package_mounts_by_fstab,
           package_has_an_alert_fire_and_clear, package_shows_in_a_terminal, package_leaves_nothing)


def rpm_is_built(machine):
    """By Debian's rpmbuild; what it holds works where it belongs."""
    succeed(machine, 'apt-get -q update && apt-get -q -y --no-install-recommends install rpm cpio')
    output = succeed(machine, 'scripts/package --rpm /packages && rpm -qlp /packages/shmtree-*.rpm')
    for path in ('/usr/sbin/shmtree', '/usr/sbin/mount.fuse.shmtree', '/usr/bin/shmtop',
                 '/usr/lib/systemd/system/shmtree.service', '/usr/share/shmtree/shmtree.rules.yml'):
        if path not in output.splitlines():
            raise Failed(f'no {path} in\n{output}')
    succeed(machine, 'rpm2cpio /packages/shmtree-*.rpm | cpio -idu --quiet -D / && '
            'shmtree --list && debian/tests/mount')


SCENARIOS = (
    Scenario('README as root', 'bookworm', often=True, steps=(
        first_screen_as_root, everything_optional_is_built, structure_is_checked, run_twice, run_at_once,
        run_in_read_only_tree, run_in_tree_of_another, install_by_hand)),
    Scenario('README as a user, with spaces in the path', 'trixie', often=True,
             at='/home/you/my own tree', steps=(
                 first_screen_as_user, nothing_of_root_left, everything_optional_is_built, run_as_user,
                 peers_are_there)),
    Scenario('the tests', 'trixie', often=True, steps=(unit_tests, mounted_tests)),
    Scenario('nothing optional', 'bookworm', often=True, steps=(
        refuse_user_without_packages, refuse_unbuilt_read_only_tree, run_without_optional_packages,
        makers_of_machines_are_there)),
    Scenario('README as root', 'trixie', steps=(
        first_screen_as_root, everything_optional_is_built, run_twice, install_by_hand)),
    Scenario('README as a user', 'bookworm', at='/home/you/src', steps=(
        first_screen_as_user, nothing_of_root_left, run_as_user)),
    Scenario('the tests', 'bookworm', steps=(unit_tests, mounted_tests)),
    Scenario('the tests in a chroot', 'bookworm', way='chroot', steps=(unit_tests, mounted_tests)),
    Scenario('the package', 'bookworm', steps=PACKAGE),
    Scenario('the package', 'trixie', often=True, steps=PACKAGE),
    Scenario('the RPM', 'trixie', steps=(rpm_is_built,)),
    Scenario('the benchmarks', 'bookworm', steps=(peers_are_there,)),
    Scenario('fuzz targets', 'bookworm', steps=(fuzz_targets_run,)),
    Scenario('fuzz targets', 'trixie', steps=(fuzz_targets_run,)),
    Scenario('a machine in a machine', 'bookworm', steps=(machine_is_made,)),
    Scenario('a machine in a machine', 'trixie', steps=(machine_is_made,)),
    Scenario('an old system', 'bullseye', steps=(refuse_old_system,)),
)
