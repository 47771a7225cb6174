# SPDX-License-Identifier: GPL-2.0-or-later
"""The differential test, for as long as a normal run of the tests can bear."""
import os
import pathlib
import subprocess

from harness import MOUNTED, check, test

SCRIPT = pathlib.Path(__file__).with_name('differential')
STEPS = 20000


@test(paths=MOUNTED, start=False)
def same_calls_same_answers(t):
    build = pathlib.Path(os.environ['SHMTREE_HELPERS']).parent.parent
    status = subprocess.run([SCRIPT, '--build', build, '--path', t.path, '--steps', str(STEPS)],
                            stdin=subprocess.DEVNULL, check=False).returncode
    check(status == 0, f'the differential test ended with status {status}')
