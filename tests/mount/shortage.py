# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon that lacks something."""
import contextlib
import errno
import os
import resource

from harness import equal, eventually, write


@contextlib.contextmanager
def without_descriptors(daemon):
    """It can open nothing more."""
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)

    def taken():
        return {int(fd) for fd in os.listdir(f'/proc/{daemon.pid}/fd')}

    def is_full():
        """False if it has closed some meanwhile."""
        lowest = next(fd for fd in range(limits[1]) if fd not in taken())
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (lowest, limits[1]))
        return taken() >= set(range(lowest))
    try:
        eventually(is_full, 'all its descriptors are taken')
        yield
    finally:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)


def lacks_descriptors_for(t, act):
    """Whether it says so, and nothing else; False if it has closed some meanwhile, and so could do it."""
    t.settle()
    with without_descriptors(t.daemon):
        try:
            act()
        except OSError as error:
            equal(errno.errorcode[error.errno], 'EMFILE', str(error))
            return True
    return False


def contain(t, *capabilities):
    """Has the daemon start without these of root's capabilities, as in a container."""
    wrapper = t.private / 'contained'
    dropped = ','.join(f'-{name}' for name in capabilities)
    write(wrapper, f'#!/bin/sh\nexec setpriv --bounding-set {dropped} --inh-caps -all '
                   f'{os.fspath(t.program)} "$@"\n'.encode())
    os.chmod(wrapper, 0o755)
    t.program = os.fspath(wrapper)
