# SPDX-License-Identifier: GPL-2.0-or-later
"""The differential test and the scripted test of locks, for as long as a normal run can bear."""
import os
import pathlib
import subprocess

from harness import MOUNTED, check, test

SCRIPT = pathlib.Path(__file__).with_name('differential')
STEPS = 20000
# The same sequences each time: what random ones find is for a run by hand, which has no end.
SEED = 20261123


def drive(path, *arguments):
    build = os.environ['SHMTREE_BUILD']
    status = subprocess.run([SCRIPT, '--build', build, '--path', path, *arguments],
                            stdin=subprocess.DEVNULL, check=False).returncode
    check(status == 0, f'{SCRIPT.name} {" ".join(arguments)} ended with status {status}')


@test(paths=MOUNTED, start=False)
def same_calls_same_answers(t):
    drive(t.path, '--steps', str(STEPS), '--seed', str(SEED))


@test(paths=MOUNTED, start=False)
def same_answers_where_the_daemon_checks_permissions(t):
    drive(t.path, '--daemon-option', 'permissions=daemon', '--steps', str(STEPS), '--seed', str(SEED))


@test(paths=MOUNTED, start=False)
def locks_that_wait(t):
    drive(t.path, '--locks')
