# SPDX-License-Identifier: GPL-2.0-or-later
"""Callers with less than their user id promises: in namespaces, in sandboxes, without capabilities."""
import ctypes
import os
import struct
import traceback

from harness import CLONE_NEWNS, MS_PRIVATE, MS_REC, call, check, skip

CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWIPC = 0x10000000, 0x20000000, 0x08000000
ATTACKER, VICTIM, GROUP = 4301, 4302, 4303
PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 8, 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAP_LAST = 40
_CAPABILITY_VERSION_3 = 0x20080522
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_RESTRICT_SELF = 444, 446


def set_capabilities(effective, permitted):
    head = struct.pack('Ii', _CAPABILITY_VERSION_3, 0)
    data = b''.join(struct.pack('III', effective >> s & 0xffffffff, permitted >> s & 0xffffffff, 0)
                    for s in (0, 32))
    call('capset', head, data)


def drop_capabilities():
    """Root that has none and will have none, as a container's with --cap-drop=ALL."""
    for capability in range(CAP_LAST + 1):
        call('prctl', PR_CAPBSET_DROP, capability, 0, 0, 0)
    call('prctl', PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    set_capabilities(0, 0)


def enter_landlock():
    """A Landlock domain that forbids nothing but to look at processes outside of it."""
    handled = struct.pack('Q', 1)  # LANDLOCK_ACCESS_FS_EXECUTE
    try:
        ruleset = call('syscall', SYS_LANDLOCK_CREATE_RULESET, handled,
                       ctypes.c_size_t(len(handled)), ctypes.c_uint32(0))
    except OSError as error:
        skip(f'no Landlock here: {error}')
    call('prctl', PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call('syscall', SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0)


def in_child(function, uid=None, gid=None, groups=()):
    """Runs it in another process, dumpable as after an exec; it must not raise."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if uid is not None:
                os.setgroups(list(groups))
                os.setresgid(*[uid if gid is None else gid] * 3)
                os.setresuid(uid, uid, uid)
                call('prctl', PR_SET_DUMPABLE, 1, 0, 0, 0)
            function()
            status = 0
        except BaseException:  # it must not return into the parent's code
            traceback.print_exc()
        finally:
            os._exit(status)
    check(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, 'a child failed')


def in_pid_namespace(function):
    """A process with the number 1 in a procfs of its own."""
    call('unshare', CLONE_NEWPID | CLONE_NEWNS)

    def first():
        call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
        call('mount', 'proc', '/proc', b'proc', 0, 0)
        function()
    in_child(first)
