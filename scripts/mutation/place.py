# SPDX-License-Identifier: GPL-2.0-or-later
"""Where mutants are built and run: a copy of the tree, so that the tree itself is never broken."""
import collections
import contextlib
import ctypes
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

Outcome = collections.namedtuple('Outcome', 'name word seconds')  # word: ok, skip, FAIL

PR_SET_CHILD_SUBREAPER = 36
PROGRAMS = ['fs/shmtree', 'fs/shmtop', 'tests/unit/unit']
SANITIZE = 'address,undefined'
# As scripts/test has them.
ENVIRONMENT = {'G_DEBUG': 'fatal-criticals', 'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=0',
               'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1'}
# Unit tests that are killed leave segments behind, which go with these.
ALONE = ['unshare', '--ipc', '--mount', 'sh', '-c', 'mount -t tmpfs shm /dev/shm && exec "$@"', 'sh']
LINE = re.compile(r'^(ok|FAIL|skip) +(\S+\[\w+\]) \(([0-9.]+) s\)')


def children(pid):
    """The children of a process: /proc lists a thread's under that thread."""
    found = []
    with contextlib.suppress(OSError):  # it is gone, and so its children are somebody else's
        for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
            found += [int(child) for child in (task / 'children').read_text().split()]
    return found


def descendants(pid):
    return [d for child in children(pid) for d in (child, *descendants(child))]


def end_children(but):
    """Ends what a test has left behind: orphans become this process's children. All at once: who waits
    for a daemon's answer cannot die before the daemon."""
    while alive := [pid for pid in children(os.getpid()) if pid != but]:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in alive:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


@contextlib.contextmanager
def started(command, cwd, **environment):
    """A program in a session of its own. Whatever it has started is ended with it."""
    environment = {**os.environ, **ENVIRONMENT, **{name: str(value) for name, value in environment.items()}}
    with subprocess.Popen([str(word) for word in command], cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                          start_new_session=True, env=environment) as process:
        try:
            yield process
        finally:  # also where this program is interrupted
            if process.poll() is None:
                process.kill()
            end_children(but=process.pid)


def run(command, cwd, timeout=None, **environment):
    """The exit status, None after `timeout`; and what was printed."""
    with started(command, cwd, **environment) as process:
        try:
            out = process.communicate(timeout=timeout)[0]
            return process.returncode, out
        except subprocess.TimeoutExpired:
            return None, ''


class Place:
    """The copy, and how its tests are run."""

    def __init__(self, root, directory, sanitize=False):
        self.root, self.directory, self.sanitize = root, directory, sanitize
        self.tree = directory / 'tree'
        self.build = self.tree / ('build-sanitized' if sanitize else 'build')
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def must(self, command, **environment):
        status, out = run(command, self.tree, **environment)
        if status != 0:
            raise SystemExit(f'{" ".join(map(str, command))}:\n{out}')
        return out

    def copy(self):
        """What git knows in the tree as it is now. Files that are the same keep their time."""
        self.tree.mkdir(parents=True, exist_ok=True)
        files = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                               cwd=self.root, capture_output=True, check=True).stdout.decode().split('\0')
        wanted = {file for file in files if file and (self.root / file).is_file()}
        for file in wanted:
            source, target = self.root / file, self.tree / file
            if not target.exists() or source.read_bytes() != target.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        for part in 'core', 'fs', 'tests', 'scripts':
            for path in (self.tree / part).rglob('*.[chp]*'):
                if path.is_file() and str(path.relative_to(self.tree)) not in wanted:
                    path.unlink()
        cache = self.root / 'subprojects' / 'packagecache'
        if cache.exists():
            shutil.copytree(cache, self.tree / 'subprojects' / 'packagecache', dirs_exist_ok=True)

    def build_all(self):
        options = [f'-Db_sanitize={SANITIZE}', '-Db_lundef=false'] if self.sanitize else []
        self.must(['scripts/build', self.build.name, '-Dtests=enabled', '-Dwerror=false', '-Dbuildtype=release', *options])
        self.programs = [p for p in PROGRAMS if (self.build / p).exists()]
        self.unbroken = self.code()

    def code(self):
        """What was built, as a hash: the same for a change that changes nothing."""
        digest = hashlib.sha256()
        for program in self.programs:
            digest.update((self.build / program).read_bytes())
        return digest.digest()

    @contextlib.contextmanager
    def broken(self, mutant):
        """With that line in the copy; whether it compiles, and differs."""
        path = self.tree / mutant.file
        text = path.read_text()
        lines = text.splitlines(keepends=True)
        lines[mutant.line - 1] = mutant.new + '\n'
        path.write_text(''.join(lines))
        try:
            status, _ = run(['ninja', '-C', self.build, *self.programs], self.tree, 600)
            yield 'refused' if status != 0 else 'same' if self.code() == self.unbroken else 'built'
        finally:
            path.write_text(text)

    def tests(self):
        """All, by name ('suite: test' of a unit test), and of what kind each is."""
        listed = self.must([self.build / 'tests/unit/unit', '-l'])
        found = {': '.join(m): 'unit' for m in re.findall(r'^(.+?) "(.*)"$', listed, re.M)}
        for kind in 'mount', 'attack':
            found.update(dict.fromkeys(self.must([f'tests/{kind}/run', '--list']).split(), kind))
        return found

    def run_unit(self, build, name, timeout, **environment):
        suite, test = name.split(': ', 1)
        began = time.monotonic()
        status, _ = run([*ALONE, build / 'tests/unit/unit', suite, test], self.tree, timeout, **environment)
        word = {0: 'ok', 77: 'skip'}.get(status, 'FAIL')
        return Outcome(name, word, time.monotonic() - began)

    def run_mounted(self, build, kind, names, timeout, **environment):
        """The outcomes of these tests, as they come; they run side by side. Ask for no more to end them."""
        command = [f'tests/{kind}/run', '--build', build, '--timeout', str(int(timeout)), *names]
        with started(command, self.tree, **environment) as process:
            for line in process.stdout:
                if found := LINE.match(line):
                    yield Outcome(found[2], found[1], float(found[3]))
