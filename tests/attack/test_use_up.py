# SPDX-License-Identifier: GPL-2.0-or-later
"""What one user, with all ids that they have, can use up."""
import contextlib
import errno
import os
import resource
import select
import time
import traceback

from harness import MOUNTED, as_user, call, check, equal, eventually, read, test, write
from strangers import ATTACKER, CLONE_NEWUSER, VICTIM, in_child

FIRST, IDS = 700_000, 8


def in_user_namespace(function):
    """As root of a user namespace that the attacker has made, with a range of ids as newuidmap(1) gives."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(ATTACKER, ATTACKER, ATTACKER)
            os.setresuid(ATTACKER, ATTACKER, ATTACKER)
            call('unshare', CLONE_NEWUSER)
            os.write(ready[1], b'x')
            os.read(go[0], 1)
            function()
            status = 0
        except BaseException:  # it must not return into the parent's code
            traceback.print_exc()
        finally:
            os._exit(status)
    equal(os.read(ready[0], 1), b'x')
    for name in ('uid_map', 'gid_map'):
        write(f'/proc/{pid}/{name}', b'0 %d 1\n1 %d %d\n' % (ATTACKER, FIRST, IDS))
    os.write(go[1], b'x')
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)


def open_all(t, most):
    with contextlib.suppress(OSError):
        for i in range(most):
            os.open(t.root / f'{os.getuid()}-{i}', os.O_CREAT | os.O_RDWR)
            yield


@test(MOUNTED, start=False, ends_open=True)  # by processes that end after the one that is waited for
def many_ids_of_one_user_leave_descriptors(t):
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, 2048))
    call('prctl', 24, 24, 0, 0, 0)  # the daemon shall not raise it
    t.start()
    os.chmod(t.shm, 0o1777)
    limit = int(t.status()['user_descriptors_limit'])
    write(t.shm / 'victims', b'x')
    os.chown(t.shm / 'victims', VICTIM, VICTIM)

    def victim():
        for _ in range(limit // 4):
            os.open(t.root / 'victims', os.O_RDONLY)
        for i in range(limit // 4):
            os.open(t.root / f'v{os.getuid()}-{i}', os.O_CREAT | os.O_RDWR)  # see protected_regular
        check(os.listdir(t.root), 'an empty root')
        for name in ('posix/victims/mappings', 'posix/victims/info.json', 'segments', 'status'):
            check(read(t.meta / name), f'nothing in {name}')

    def attacker():
        counts, gates = [], []
        for uid in range(IDS):
            done, gate = os.pipe(), os.pipe()
            if os.fork() == 0:
                os.close(gate[1])
                os.setresuid(uid, uid, uid)
                count = sum(1 for _ in open_all(t, limit))
                os.write(done[1], b'%d' % count)
                os.read(gate[0], 1)
                os._exit(0)
            counts.append(int(os.read(done[0], 16)))
            gates.append(gate[1])
        check(limit * 3 // 4 < sum(counts) <= limit, f'{counts} of {limit}')
        os.write(reached[1], b'x')
        os.read(end[0], 1)
    reached, end = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            in_user_namespace(attacker)
            status = 0
        finally:
            os._exit(status)
    os.close(reached[1])
    equal(os.read(reached[0], 1), b'x', 'what the attacker says')
    in_child(victim, VICTIM)
    equal(as_user(0, 0, victim), 0)
    os.write(end[1], b'x')
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)


READERS, OBJECTS = 24, 4000  # a listing of these takes a fifteenth of what one user may have


def answers_at_once(t):
    """What so many readers are told who keep what they have opened, all by one user; a byte each."""
    begin, made, end = os.pipe(), os.pipe(), os.pipe()
    pids = []
    for _ in range(READERS):
        pid = os.fork()
        if pid == 0:
            os.close(begin[1])
            os.close(end[1])
            os.setresuid(ATTACKER, ATTACKER, ATTACKER)
            os.read(begin[0], 1)
            try:
                os.open(t.meta / 'segments', os.O_RDONLY)
                os.write(made[1], b'.')
            except OSError as error:
                os.write(made[1], os.strerror(error.errno)[:1].encode())
            os.read(end[0], 1)
            os._exit(0)
        pids.append(pid)
    os.close(begin[1])
    answers = b''
    while len(answers) < READERS:
        answers += os.read(made[0], READERS)
    os.close(end[1])
    for pid in pids:
        os.waitpid(pid, 0)
    for fd in begin[0], end[0], *made:
        os.close(fd)
    t.settle()
    return answers


def all_are_answered(answers):
    """If not, it was for want of memory."""
    equal(set(answers) - set(b'.' + os.strerror(errno.ENOMEM)[:1].encode()), set(), 'other answers')
    return answers == b'.' * READERS


@test(MOUNTED)
def listings_are_shared_by_all_who_wait(t):
    """
    As many as would be too much for one user, if each reader had a listing of its own: then they never had them all.
    Those who ask only after a listing was made have another one, so there may be a round with too many of these.
    """
    for i in range(OBJECTS):
        write(t.shm / f'{i:06}{"x" * 240}', b'')
    eventually(lambda: all_are_answered(answers_at_once(t)), 'listings of one user at once')
    limit = int(t.status()['user_listing_bytes_limit'])
    check(READERS * OBJECTS * 246 > limit, f'{limit} bytes are enough for each to have its own')


@contextlib.contextmanager
def asking_again_and_again(processes, question):
    end = os.pipe()
    pids = []
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            os.close(end[1])
            os.setresuid(ATTACKER, ATTACKER, ATTACKER)
            while not select.select([end[0]], [], [], 0)[0]:
                question()
            os._exit(0)
        pids.append(pid)
    try:
        yield
    finally:
        os.close(end[1])
        for pid in pids:
            os.waitpid(pid, 0)


def timed(function):
    begin = time.monotonic()
    function()
    return time.monotonic() - begin


WAITING = 40


def when_answered(t, user, go):
    """A process that opens `segments` when `go` has a byte; and a pipe with the time at which it had it."""
    times = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setresuid(user, user, user)
        os.read(go[0], 1)
        with open(t.meta / 'segments', 'rb'):
            os.write(times[1], b'%d' % time.monotonic_ns())
        os._exit(0)
    os.close(times[1])
    return pid, times[0]


def waits_for_an_answer(pid):
    return b'request_wait_answer' in read(f'/proc/{pid}/wchan')


def one_listing_for_all(t):
    """
    When the attackers had it, in seconds, and when the victim who asked last had; None if they did not all
    ask while another listing was made.
    """
    gates = [os.pipe() for _ in range(3)]
    first = when_answered(t, ATTACKER, gates[0])
    others = [when_answered(t, ATTACKER, gates[1]) for _ in range(WAITING)]
    last = when_answered(t, VICTIM, gates[2])
    for asking, gate in (([first], gates[0]), (others, gates[1]), ([last], gates[2])):
        os.write(gate[1], b'x' * len(asking))
        while not all(waits_for_an_answer(pid) or select.select([pipe], [], [], 0)[0] for pid, pipe in asking):
            pass
    began = not select.select([first[1]], [], [], 0)[0]
    ns = [int(os.read(pipe, 32)) for _, pipe in [first, last] + others]
    for pid, pipe in [first, last] + others:
        os.close(pipe)
        os.waitpid(pid, 0)
    for end in sum(gates, ()):
        os.close(end)
    return ([x / 1e9 for x in ns[2:]], ns[1] / 1e9) if began else None


@test(MOUNTED)
def who_waits_for_a_listing_is_answered_in_turn_by_user(t):
    for i in range(5 * OBJECTS):
        write(t.shm / f'{i:06}{"x" * 240}', b'')
    before = []  # so many were answered before the other user, in each round

    def in_turn():
        """Where the users do not take turns, all are: who asks last is answered last."""
        times = one_listing_for_all(t)
        if times:
            before.append(sum(x < times[1] for x in times[0]))
            print(f'{before[-1]} of {WAITING} were answered before another user', flush=True)
        return before and before[-1] < WAITING // 4
    eventually(in_turn, 'another user is answered in turn', 60)


def assert_counts_go_on(t, question):
    """
    While six processes of another user ask it again and again, a count takes a part of the time of one. If counts had
    to wait for it, they always took longer: others on the machine may take the processor for one round, not for all.
    """
    def goes_on():
        alone = timed(question)

        def victim():
            times = sorted(timed(lambda: read(t.meta / 'posix' / 'counted' / 'mappings')) for _ in range(40))
            print(f'the question alone: {alone}, counts meanwhile: {times[0]} to {times[-1]}', flush=True)
            if times[len(times) // 2] >= alone / 4:
                raise BlockingIOError
        with asking_again_and_again(6, question):
            error = as_user(VICTIM, VICTIM, victim)
        check(error in (0, errno.EAGAIN), f'a count: {os.strerror(error)}')
        return error == 0
    eventually(goes_on, 'a count takes a part of the time of one question')


@test(MOUNTED)
def listings_of_processes_hold_up_no_counts(t):
    """Objects are listed before the census is held, which others' counts would wait for."""
    for i in range(20_000):
        os.close(os.open(t.shm / f'{i:06}', os.O_CREAT | os.O_RDWR))
    write(t.shm / 'counted', b'')
    assert_counts_go_on(t, lambda: os.close(os.open(t.meta / 'processes', os.O_RDONLY)))


@test(MOUNTED)
def walks_through_directories_hold_up_no_counts(t):
    for i in range(8_000):
        os.makedirs(t.shm / 'directory' / str(i))
    write(t.shm / 'counted', b'')
    assert_counts_go_on(t, lambda: os.path.exists(t.meta / 'nested' / '9'))
