# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that raises bus errors on a segment when it is told to."""
import os
import subprocess

from harness import Mapper


class Faulter(Mapper):
    """tests/helpers/faulter: raises bus errors, and lives."""

    def __init__(self, path, size, *words, user=None, prepare=None):
        def drop():
            if prepare:
                prepare()
            if user is not None:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
        self.process = subprocess.Popen(
            [os.path.join(os.environ['SHMTREE_HELPERS'], 'faulter'), os.fspath(path), str(size),
             *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=drop)
        self.pid = int(self._answer())
