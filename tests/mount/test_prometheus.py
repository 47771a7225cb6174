# SPDX-License-Identifier: GPL-2.0-or-later
"""packaging/prometheus with the real programs, on this machine's own loopback: over HTTP from the exporter, as
systemd would start it, and through node_exporter's textfile collector."""
import contextlib
import json
import mmap
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request

from harness import (CLONE_NEWNS, MOUNTED, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_REC, call, check, equal, eventually,
                     read, run, skip, test, write)
from ipc import Child
from test_metrics import parse_metrics

PACKAGING = pathlib.Path(__file__).resolve().parents[2] / 'packaging' / 'prometheus'
EXPORTER = PACKAGING / 'shmtree-exporter'
HERE = ('auto',)
CLONE_NEWNET = 0x40000000
# Told by no file yet that the tests have, or only where something is idle.
NOT_ALWAYS = {'shmtree_faults_total', 'shmtree_segment_idle_since_timestamp_seconds'}  # without BPF, without idle ones


def need(program):
    path = shutil.which(program)
    if not path:
        skip(f'no {program}')
    return path


@contextlib.contextmanager
def exporter(directory, address='127.0.0.1', port=0):
    """What shmtree-exporter.socket does: a process for each connection, which is its input and output."""
    with socket.create_server((address, port)) as listener:
        def answer(connection):
            with connection:
                subprocess.run([EXPORTER, directory], stdin=connection, stdout=connection,
                               stderr=subprocess.DEVNULL, check=False)

        def serve():
            with contextlib.suppress(OSError):  # the end
                while True:
                    threading.Thread(target=answer, args=listener.accept()[:1]).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f'{address}:{listener.getsockname()[1]}'
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


# In a network of the test's own nobody else has taken them.
SERVER, NODE = '127.0.0.1:9090', '127.0.0.1:9100'


def enter_own_network():
    need('ip')
    try:
        call('unshare', CLONE_NEWNET)
    except OSError as error:
        skip(f'no network namespaces here: {error}')
    run('ip', 'link', 'set', 'lo', 'up')


@contextlib.contextmanager
def running(*command):
    with open('log', 'ab') as log:
        process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def get(address, path):
    with urllib.request.urlopen(f'http://{address}{path}', timeout=60) as answer:
        return answer.headers['Content-Type'], answer.read()


def fetched(address, path):
    """The same, or None as long as nothing answers."""
    with contextlib.suppress(OSError):
        return get(address, path)[1]
    return None


@test(MOUNTED)
def the_exporter_answers(t):
    write(t.shm / 'x', bytes(8 << 20))  # among the largest of the machine
    with exporter(t.meta) as address:
        for path in '/metrics', '/metrics?x=1', '/metrics.segments':
            kind, content = get(address, path)
            check(kind.startswith('application/openmetrics-text; version=1.0.0'), kind)
            families = parse_metrics(content)
            check(any(labels['name'] == 'x' for labels, _ in families['shmtree_segment_info']), path)
        for path in '/', '/../status', '/status', '/metrics/..':
            try:
                get(address, path)
                check(False, f'{path} was answered')
            except urllib.error.HTTPError as error:
                equal(error.code, 404, path)
    with exporter(t.private / 'nothing') as address:
        try:
            get(address, '/metrics')
            check(False, 'answered without a mount')
        except urllib.error.HTTPError as error:
            equal(error.code, 503)


@test(MOUNTED)
def promtool_finds_nothing_to_say(t):
    promtool = need('promtool')
    write(t.shm / 'x', b'12345')
    for path in 'metrics', 'metrics.segments':
        done = subprocess.run([promtool, 'check', 'metrics'], input=read(t.meta / path),
                              capture_output=True, check=False)
        equal((done.returncode, done.stdout + done.stderr), (0, b''), path)


@test(HERE, start=False)
def alerts_do_what_they_say(t):
    promtool = need('promtool')
    run(promtool, 'check', 'rules', PACKAGING / 'shmtree.rules.yml')
    run(promtool, 'test', 'rules', 'shmtree.rules.test.yml', cwd=PACKAGING)


@test(MOUNTED)
def alerts_and_dashboard_ask_for_what_there_is(t):
    families = set(parse_metrics(read(t.meta / 'metrics'))) | NOT_ALWAYS
    for name in 'shmtree.rules.yml', 'shmtree-dashboard.json':
        asked = set(re.findall(r'\bshmtree_[a-z_]+\b', read(PACKAGING / name).decode()))
        check(len(asked) > 5, asked)
        equal(asked - families, set(), name)
    panels = json.loads(read(PACKAGING / 'shmtree-dashboard.json'))['panels']
    equal(len({panel['id'] for panel in panels}), len(panels), 'numbers of panels')


def asked(server, query, by):
    """What Prometheus answers: a value for each value of that label."""
    answer = fetched(server, '/api/v1/query?query=' + urllib.request.quote(query))
    results = json.loads(answer)['data']['result'] if answer else []
    return {result['metric'].get(by): float(result['value'][1]) for result in results}


def write_impatient_rules():
    rules = read(PACKAGING / 'shmtree.rules.yml').decode()
    write('rules.yml', re.sub(r'for: \d+m', 'for: 0s', rules).encode())


CONFIG = """
global: {{scrape_interval: 5s, scrape_timeout: 5s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - {{job_name: shmtree, static_configs: [{{targets: ['{exporter}']}}]}}
  - {{job_name: node, static_configs: [{{targets: ['{node}']}}]}}
"""


@test(HERE)
def prometheus_scrapes_and_alerts(t):
    """A tmpfs that fills, and is emptied: an alert fires and clears."""
    prometheus, node_exporter = need('prometheus'), need('prometheus-node-exporter')
    os.mkdir('textfile')
    os.symlink(t.meta / 'metrics', 'textfile/shmtree.prom')
    write_impatient_rules()
    enter_own_network()

    def ask(query):
        return asked(SERVER, query, 'job')

    with exporter(t.meta) as address, \
            running(node_exporter, '--collector.disable-defaults', '--collector.textfile',
                    '--collector.textfile.directory=textfile', f'--web.listen-address={NODE}'):
        write('prometheus.yml', CONFIG.format(rules='rules.yml', exporter=address, node=NODE).encode())
        with running(prometheus, '--config.file=prometheus.yml', '--storage.tsdb.path=data',
                     f'--web.listen-address={SERVER}'):
            eventually(lambda: set(ask('shmtree_build_info')) == {'shmtree', 'node'},
                       'both are scraped', 120)
            firing = 'sum by (job) (ALERTS{alertname="SharedMemoryNearlyFull",' \
                     'resource="TMPFS_BYTES",namespace="",alertstate="firing"})'
            equal(ask(firing), {}, 'nothing is full')
            space = os.statvfs(t.shm)
            write(t.shm / 'x', bytes(int(space.f_bavail * space.f_frsize * 0.97)))
            eventually(lambda: set(ask(firing)) == {'shmtree', 'node'}, 'the alert fires', 120)
            eventually(lambda: set(ask('shmtree_segment_allocated_bytes{kind="posix",id="x"} > 1e7')) ==
                       {'shmtree', 'node'}, 'what fills it')  # unless the last scrape took too long
            os.unlink(t.shm / 'x')
            eventually(lambda: ask(firing) == {}, 'the alert clears', 120)
            t.stop()
            eventually(lambda: set(ask('up{job="shmtree"} == 0')) == {'shmtree'}, 'the daemon is gone', 120)


# --- a fleet: machines with networks of their own, and one Prometheus

PORT = 9738


def machine(t, number):
    """Becomes a machine with its own network, /dev/shm, mount and exporter; until it is forgotten."""
    call('unshare', CLONE_NEWNS | CLONE_NEWNET)
    call('mount', 'none', '/', 0, MS_REC | MS_PRIVATE, 0)
    call('mount', 'shm', '/dev/shm', b'tmpfs', MS_NOSUID | MS_NODEV, b'size=16m')
    link, address = f'machine{number}', f'192.0.2.{10 + number}'
    outside = 'nsenter', '-t', str(os.getppid()), '-n', 'ip'
    run(*outside, 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', str(os.getpid()))
    run(*outside, 'address', 'add', '192.0.2.1', 'peer', address, 'dev', link)
    run(*outside, 'link', 'set', link, 'up')
    run('ip', 'address', 'add', address, 'peer', '192.0.2.1', 'dev', 'eth0')
    run('ip', 'link', 'set', 'eth0', 'up')
    t.root = t.private / link
    t.root.mkdir()
    t.start()
    used = mmap.mmap(-1, mmap.PAGESIZE)  # a unit has a share only while a process uses a segment; others need not
    used[0] = 1
    try:
        with exporter(t.meta, address, PORT):
            yield
    finally:
        used.close()
        t.stop()


def begun(generator):
    next(generator)
    return generator


FLEET = """
global: {{scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - {{job_name: shmtree, static_configs: [{{targets: [{targets}]}}]}}
"""


def dashboard_queries():
    """Each, for all machines; without those of what these machines have none of."""
    for panel in json.loads(read(PACKAGING / 'shmtree-dashboard.json'))['panels']:
        for target in panel.get('targets', []):
            if not any(name in target['expr'] for name in NOT_ALWAYS):
                yield target['expr'].replace('$instance', '.*')


@test(HERE, start=False)
def a_fleet_has_one_view(t):
    """Two machines: every panel of the dashboard has both, and an alert says which of them is full."""
    prometheus = need('prometheus')
    need('nsenter')
    enter_own_network()
    write_impatient_rules()
    machines = [f'192.0.2.{10 + number}:{PORT}' for number in (1, 2)]
    write('prometheus.yml', FLEET.format(targets=', '.join(f"'{name}'" for name in machines)).encode())

    def ask(query):
        return asked(SERVER, query, 'instance')

    def lacking(query):
        """Whether a panel lacks a machine, as rates do until both were scraped twice."""
        found = ask(query)
        if not found:
            return 'namespace_allocated' not in query
        return None not in found and query.count('namespace=""') and set(found) != set(machines)

    with Child(lambda: begun(machine(t, 1))) as one, Child(lambda: begun(machine(t, 2))) as two, \
            running(prometheus, '--config.file=prometheus.yml', '--storage.tsdb.path=data',
                    f'--web.listen-address={SERVER}'):
        eventually(lambda: set(ask('shmtree_build_info')) == set(machines), 'both are scraped', 120)
        shm = pathlib.Path(f'/proc/{one.pid}/root/dev/shm')
        write(f'/proc/{two.pid}/root/dev/shm/y', bytes(1 << 20))
        write(shm / 'x', bytes(15 << 20))
        firing = 'ALERTS{alertname="SharedMemoryNearlyFull",resource="TMPFS_BYTES",namespace="",alertstate="firing"}'
        eventually(lambda: set(ask(firing)) == {machines[0]}, 'the alert fires for one machine', 120)
        check(len(list(dashboard_queries())) > 10, 'queries')
        for query in dashboard_queries():
            eventually(lambda: not lacking(query), f'both machines in {query}', 60)
        eventually(lambda: ask('shmtree_allocated_bytes{kind="posix"}') ==
                   {machines[0]: 15 << 20, machines[1]: 1 << 20}, 'how much each has', 60)
        os.unlink(shm / 'x')
        eventually(lambda: ask(firing) == {}, 'the alert clears', 120)
        two.end()
        eventually(lambda: set(ask('up == 0')) == {machines[1]}, 'one of them is gone', 120)
        two.end = lambda: None
