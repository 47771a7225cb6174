# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts that a test made for itself."""
import errno

from harness import call, equal, eventually


def is_unmounted(path):
    """Not while a file of it is open; a census, any daemon's, has one for a moment."""
    try:
        call('umount2', path, 0)
    except OSError as error:
        equal(errno.errorcode[error.errno], 'EBUSY')
        return False
    return True


def unmount(path):
    eventually(lambda: is_unmounted(path), f'{path} is unmounted')
