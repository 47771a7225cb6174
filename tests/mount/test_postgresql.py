# SPDX-License-Identifier: GPL-2.0-or-later
"""PostgreSQL, which uses every kind: anonymous memory or System V for its buffers, a small System V
segment as a lock, POSIX objects or System V segments for parallel queries."""
import glob
import os
import pwd
import signal
import subprocess

from harness import (PATIENCE, check, equal, eventually, read, run, skip, table)
from ipc import attribute, ipc_test

CONFIGURATION = """
dynamic_shared_memory_type = {kind}
shared_memory_type = {main}
listen_addresses = ''
unix_socket_directories = '{sockets}'
fsync = off
shared_buffers = 8MB
min_dynamic_shared_memory = 0
max_connections = 20
max_parallel_workers = 4
max_parallel_workers_per_gather = 4
min_parallel_table_scan_size = 0
parallel_setup_cost = 0
parallel_tuple_cost = 0
force_parallel_mode = off
autovacuum = off
"""

# Waits in each process of the query, on a lock that the test holds: nothing is slept.
QUERY = "set max_parallel_workers_per_gather = 4; select count(waits(i)) from numbers"
PREPARE = """
create table numbers as select i from generate_series(1, 20000) i;
alter table numbers set (parallel_workers = 4);
create table watched (gate int);
create function waits(i int) returns int language plpgsql parallel safe as
  $$ begin perform pg_advisory_lock_shared(1); perform pg_advisory_unlock_shared(1); return i; end $$;
analyze numbers;
"""


class Server:
    def __init__(self, t, kind, main):
        self.binaries = sorted(glob.glob('/usr/lib/postgresql/*/bin'))
        try:
            self.user = pwd.getpwnam('postgres')
        except KeyError:
            skip('PostgreSQL is not installed')
        if not self.binaries:
            skip('PostgreSQL is not installed')
        self.directory = t.private / 'db'
        self.directory.mkdir()
        os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        os.chmod(t.private, 0o755)
        self.data = self.directory / 'data'
        self.run('initdb', '-A', 'trust', '-N', '-D', self.data, '--wal-segsize=1')
        with open(self.data / 'postgresql.conf', 'a', encoding='ascii') as file:
            file.write(CONFIGURATION.format(kind=kind, main=main, sockets=self.directory))
        self.process = subprocess.Popen([f'{self.binaries[-1]}/postgres', '-D', self.data],
                                        preexec_fn=self.become, cwd=self.directory,
                                        stdin=subprocess.DEVNULL)
        eventually(lambda: subprocess.run([f'{self.binaries[-1]}/pg_isready', '-q', '-h',
                                           self.directory], check=False).returncode == 0,
                   'the server is ready')

    def become(self):
        os.setgroups([])
        os.setgid(self.user.pw_gid)
        os.setuid(self.user.pw_uid)

    def run(self, program, *arguments):
        return run(f'{self.binaries[-1]}/{program}', *arguments, preexec_fn=self.become,
                   cwd=self.directory).decode()

    def sql(self, text):
        return self.run('psql', '-h', self.directory, '-d', 'postgres', '-qAt', '-v',
                        'ON_ERROR_STOP=1', '-c', text).strip()

    def session(self):
        return subprocess.Popen([f'{self.binaries[-1]}/psql', '-h', self.directory, '-d',
                                 'postgres', '-qAt'], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, preexec_fn=self.become,
                                cwd=self.directory)

    def pids(self):
        """The server's processes: its children, and itself."""
        path = f'/proc/{self.process.pid}/task/{self.process.pid}/children'
        return {self.process.pid, *map(int, read(path).split())}

    def stop(self):
        self.process.send_signal(signal.SIGINT)  # fast: roll back and end
        equal(self.process.wait(PATIENCE), 0, 'status of postgres')


def ask(session, text):
    session.stdin.write(text.encode() + b';\n')
    session.stdin.flush()


def mappers(directory):
    return {int(r['PID']) for r in table(read(directory / 'mappers'))[0]}


def parallel_query(t, server, find):
    """Stops a parallel query in the middle; `find` names the segments that are there then alone."""
    server.sql(PREPARE)
    before = find()
    holder, query = server.session(), server.session()
    try:
        ask(holder, "select 'held' from pg_advisory_lock(1)")
        equal(holder.stdout.readline(), b'held\n')
        ask(query, QUERY)
        waiting = "select count(*) from pg_stat_activity where wait_event = 'advisory'"
        eventually(lambda: server.sql(waiting) == '5', 'leader and four workers wait')
        workers = {int(p) for p in server.sql(
            "select pid from pg_stat_activity where wait_event = 'advisory'").split()}
        segments = [d for d in find() if d not in before]
        check(segments, 'the query has segments of its own')
        everyone = [d for d in segments if mappers(d) >= workers]
        check(everyone, f'one is mapped by all of {workers}: {[mappers(d) for d in segments]}')
        for directory in everyone:
            equal(int(attribute(directory, 'processes')), len(mappers(directory)))
            check(mappers(directory) <= server.pids(), 'and by nobody else')
            equal(attribute(directory, 'state'), 'mapped')
        ask(holder, "select pg_advisory_unlock(1)")
        equal(query.stdout.readline(), b'20000\n')
    finally:
        for session in (holder, query):
            session.stdin.close()
            session.wait(PATIENCE)
            session.stdout.close()
    # The backends end a moment after their clients.
    eventually(lambda: sorted(find()) == sorted(before), 'no segment is left over')


def listed(t, kind):
    return [t.meta / kind / name for name in os.listdir(t.meta / kind)]


def nothing_is_left(t):
    """Somebody else may have looked at a process as it ended, and so kept its memory for a moment."""
    eventually(lambda: os.listdir(t.meta / 'sysv') == [], 'no System V segment is left')


@ipc_test
def posix_segments_of_parallel_queries(t):
    server = Server(t, 'posix', 'mmap')
    parallel_query(t, server, lambda: [d for d in listed(t, 'posix')
                                       if d.name.startswith('PostgreSQL.')])
    server.stop()
    equal(os.listdir(t.meta / 'posix'), [])
    nothing_is_left(t)


@ipc_test
def system_v_segments_of_parallel_queries(t):
    server = Server(t, 'sysv', 'sysv')
    parallel_query(t, server, lambda: listed(t, 'sysv'))
    main = max(listed(t, 'sysv'), key=lambda d: os.stat(d / 'data').st_size)
    # The server starts processes by itself, to clean up for instance.
    eventually(lambda: mappers(main) == server.pids() and
               int(attribute(main, 'nattch')) == len(server.pids()),
               'every process has the main segment')
    server.stop()
    nothing_is_left(t)
    equal(t.status().get('sysv_segments', '0'), '0')
