# SPDX-License-Identifier: GPL-2.0-or-later
"""One test, kept: it ends within its time, and so do all processes that it started.

The runner starts a keeper for each test, and the keeper the test proper. Whatever the test leaves
behind, a daemon included, becomes the keeper's child (it is a subreaper), which ends it by its pid.
The keeper itself never touches a mount, so that nothing can make it hang; and the mounts of a test
are in its own namespace, which goes with its last process.
"""
import collections
import os
import pathlib
import signal
import subprocess
import sys
import time

Case = collections.namedtuple('Case', 'name test path')
Outcome = collections.namedtuple('Outcome', 'word reason seconds log')

SKIPPED = 77


def run(case, scratch, timeout):
    """Called by the runner, in any thread: starts the keeper as a process and waits for it."""
    began = time.monotonic()
    log = pathlib.Path(scratch, case.name.replace('/', '_') + '.log')
    environment = dict(os.environ)
    if 'SHMTREE_REACH' in environment:  # scripts/mutate: where programs record what they reach
        environment['SHMTREE_REACH'] = os.path.join(environment['SHMTREE_REACH'], case.name)
    with open(log, 'ab') as out:
        status = subprocess.run(
            [sys.executable, __file__, case.test.module, case.test.function.__name__, case.path,
             str(timeout)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, check=False).returncode
    text = log.read_text(errors='backslashreplace')
    log.unlink()
    word = {0: 'ok', SKIPPED: 'skip'}.get(status, 'FAIL')
    last = text.splitlines()[-1] if text.strip() else ''
    return Outcome(word, '' if word == 'ok' else last, time.monotonic() - began, text)


def children(pid):
    """The children of a process: /proc lists a thread's under that thread."""
    found = []
    try:
        for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
            found += [int(child) for child in (task / 'children').read_text().split()]
    except OSError:
        pass  # it is gone, and so its children are somebody else's
    return found


def descendants(pid):
    return [d for child in children(pid) for d in (child, *descendants(child))]


def end_descendants():
    """All at once: a test that waits for its daemon's answer cannot die before the daemon, which is its
    child. An orphan of a child that dies becomes the keeper's child, so this ends with none left."""
    while alive := children(os.getpid()):
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for _ in alive:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break


def wait_for(pid, timeout):
    """The exit status of the child, or None. Reaps the orphans that come in on the way."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    deadline = time.monotonic() + timeout
    while True:
        got, status = os.waitpid(-1, os.WNOHANG)
        if got == pid:
            return os.waitstatus_to_exitcode(status)
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        if got == 0:
            signal.sigtimedwait({signal.SIGCHLD}, left)


def keep(module, function, path, timeout):
    import harness  # the test's own imports belong to this process, not to the runner's
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    harness.become_subreaper()
    harness.die_with_parent(signal.SIGTERM)
    try:
        pid = os.fork()
        if pid == 0:
            harness.main(module, function, path, timeout)
        status = wait_for(pid, timeout)
    finally:
        end_descendants()
    if status is None:
        print(f'timed out after {timeout:g} s')
        return 1
    return status if status >= 0 else 1


if __name__ == '__main__':
    sys.dont_write_bytecode = True
    sys.exit(keep(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
