# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that has nothing but a minimal Debian and a copy of the tree.

    with Machine(tarball, tree, at='/src') as machine:
        status, output = machine.run('scripts/run /mnt/shm')

Namespaces of the running kernel, not a virtual machine: what is in them ends when `with` does.
"""
import os
import pathlib
import select
import shlex
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ARCHIVES = pathlib.Path('var/cache/apt/archives')
USER_PATH = '/usr/local/bin:/usr/bin:/bin'


class Machine:
    """tarball: the root file system. tree: a tar archive of the source tree, unpacked into `at`.
    debs: a directory of packages downloaded before, so that each comes from the mirror only once.
    way: how it is gone into, pivot or chroot."""

    def __init__(self, tarball, tree, at='/src', debs=None, way='pivot'):
        self.at = at
        self.debs = debs
        self.steps = 0
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='shmtree-fresh.'))
        self.boot = subprocess.Popen(
            ['unshare', '--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child',
             HERE / 'boot', self.directory, tarball, way],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            if self.boot.stdout.readline() != 'ready\n':
                raise RuntimeError(f'no machine could be made of {tarball}')
            children = pathlib.Path(f'/proc/{self.boot.pid}/task/{self.boot.pid}/children')
            self.root = pathlib.Path(f'/proc/{children.read_text().split()[0]}/root')
            self.fill(tree)
        except BaseException:
            self.close()
            raise

    def fill(self, tree):
        if self.debs:
            for deb in self.debs.glob('*.deb'):
                shutil.copy(deb, self.root / ARCHIVES)
        shutil.copy(tree, self.root / 'run/tree.tar')
        at = shlex.quote(self.at)
        status, output = self.run(f'mkdir -p {at} && tar -xf /run/tree.tar -C {at} && rm /run/tree.tar', directory='/')
        if status != 0:
            raise RuntimeError(output)

    def run(self, script, user='root', directory=None, timeout=1800):
        """Runs the script; its exit status, None after so many seconds, which end the machine, and
        what it wrote to standard output and error."""
        self.steps += 1
        step = self.root / f'run/steps/{self.steps}'
        if user != 'root':
            script = (f'exec env HOME=/home/{user} USER={user} LOGNAME={user} PATH={USER_PATH} setpriv '
                      f'--reuid={user} --regid={user} --init-groups bash -c {shlex.quote(script)}')
        step.write_text(f'cd {shlex.quote(directory or self.at)} || exit\n{script}\n')
        self.boot.stdin.write(f'{self.steps}\n')
        self.boot.stdin.flush()
        ready, _, _ = select.select([self.boot.stdout], [], [], timeout)
        output = step.with_suffix('.output').read_text(errors='replace')
        if not ready:
            self.close()
            return None, output
        return int(self.boot.stdout.readline()), output

    def close(self):
        if self.boot.poll() is None:
            if self.debs:
                self.keep_debs()
            self.boot.kill()
            self.boot.wait()
        self.boot.stdin.close()
        self.boot.stdout.close()
        if self.directory.exists():
            os.rmdir(self.directory)

    def keep_debs(self):
        """Other machines take from here at the same time: a name appears with the whole file."""
        for deb in (self.root / ARCHIVES).glob('*.deb'):
            if not (self.debs / deb.name).exists():
                part = self.debs / f'.{self.directory.name}.{deb.name}'
                shutil.copy(deb, part)
                part.rename(self.debs / deb.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
