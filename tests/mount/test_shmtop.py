# SPDX-License-Identifier: GPL-2.0-or-later
"""shmtop, in tmux: what the screen shows, and what keys do."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess

from harness import Mapper, check, equal, eventually, read, run, skip, test, write

HERE = ('auto',)


def program(t):
    """The copy that the runner has made."""
    path = pathlib.Path(os.environ['SHMTREE_HELPERS']) / 'shmtop'
    if not path.exists():
        skip('shmtop is not built: ncurses is missing')
    return path


class Screen:
    """A terminal of that size in which shmtop runs."""

    def __init__(self, t, *arguments, size=(80, 24)):
        if not shutil.which('tmux'):
            skip('tmux is not installed')
        self.socket = t.private / 'tmux'
        self.errors = t.private / 'errors'
        self.status = t.private / 'status'
        command = (f'trap : INT; {program(t)} {" ".join(map(str, arguments))} 2>{self.errors}; echo $? >{self.status}.new; '
                   f'mv {self.status}.new {self.status}')
        self.status.unlink(missing_ok=True)
        self.tmux('new-session', '-d', '-x', str(size[0]), '-y', str(size[1]), command)

    def tmux(self, *arguments):
        return run('tmux', '-f', '/dev/null', '-u', '-S', self.socket, *arguments,
                   env=dict(os.environ, LC_ALL='C.UTF-8', TERM='xterm', SHELL='/bin/sh')).decode()

    def keys(self, *keys):
        self.tmux('send-keys', *keys)

    def text(self):
        return self.tmux('capture-pane', '-p')

    def shows(self, *patterns):
        def all_there():
            text = self.text()
            return text if all(re.search(pattern, text, re.M) for pattern in patterns) else None
        try:
            return eventually(all_there, f'{patterns} on the screen')
        except AssertionError as error:
            raise AssertionError(f'{error}: {self.text()}') from error

    def ended(self):
        """Its exit status, and the lines on standard error."""
        eventually(self.status.exists, 'shmtop ends')
        return int(self.status.read_text()), self.errors.read_text().splitlines()

    def end(self):
        with contextlib.suppress(AssertionError):
            self.tmux('kill-server')


@contextlib.contextmanager
def screen(t, *arguments, **keywords):
    shown = Screen(t, *arguments, **keywords)
    try:
        yield shown
    finally:
        shown.end()


@test(HERE)
def it_shows_sorts_and_filters(t):
    for name, size in ('small', 5000), ('large', 900000), ('middle', 90000):
        write(t.shm / name, b'x' * size)
    with screen(t, '-d', 0.25, t.root) as shown:
        shown.keys('/', 'posix', 'Enter')  # of the machine's others there may be many, and larger ones
        text = shown.shows(r'^shmtop  tmpfs 1\.\d+% of 64M  \d+ segments, \S+ allocated  /', r'^posix +large +root +880K',
                           r'^posix +small', r'filter: posix')
        rows = [line.split()[1] for line in text.split('\n') if line.startswith('posix')]
        equal(rows, ['large', 'middle', 'small'], 'the largest first')
        check(all(len(line) <= 80 for line in text.split('\n')), 'no line is longer than the screen')
        write(t.shm / 'small', b'x' * 50000)
        shown.shows(r'^posix +small +root +\S+ +\+4\dK')
        shown.keys('r')
        shown.shows(r'by ALLOC \(reversed\)')
        shown.keys('/', 'Escape', '/', 'mid', 'Enter')
        text = shown.shows(r'filter: mid \(1\)')
        check('middle' in text and 'large' not in text, text)
        shown.keys('/', 'Escape')
        shown.shows(r'\A(?!.*filter:)')
        shown.keys('q')
        equal(shown.ended(), (0, []))


@test(HERE)
def details_and_other_views(t):
    write(t.shm / 'used', b'x' * 5000)
    with Mapper(t.shm / 'used') as mapper:
        mapper('map 1')
        with screen(t, '-d', 0.25, t.root) as shown:
            shown.keys('/', 'used', 'Enter')
            shown.shows(r'filter: used \(1\)', '^posix +used .* mapped')
            shown.keys('Enter')
            shown.shows('^posix used$', '^mappers: 1', f'^{mapper.pid} +0 +mapper', '^holders: 1', '^ALLOCATED +8192')
            shown.keys('q')
            shown.shows('^posix +used')
            shown.keys('2')
            shown.keys('/', 'mapper', 'Enter')
            shown.shows(f'^ +{mapper.pid} +root +mapper')
            shown.keys('3')
            shown.shows(r'\[3 units\]', 'CGROUP')
            shown.keys('h')
            shown.shows('after a question, if nothing uses it$')
            shown.keys('q', 'q')
            equal(shown.ended(), (0, []))


@test(HERE)
def what_is_too_long_for_the_screen_is_scrolled(t):
    with screen(t, '-d', 0.25, t.root, size=(80, 10)) as shown:
        shown.keys('h')
        shown.shows('^up, down, PgUp')
        for down, up in ('Down', 'Up'), ('j', 'k'):
            shown.keys(down, down)
            shown.shows('^Enter ', r'\A(?![\s\S]*^Tab, 1)')
            shown.keys(up)
            shown.shows('^Tab, 1', r'\A(?![\s\S]*^up, down)')
            shown.keys(up, up)
            shown.shows('^up, down, PgUp')
        shown.keys('NPage', 'NPage', 'NPage')
        shown.shows('^Idle segments')
        shown.keys('PPage', 'PPage', 'PPage')
        shown.shows('^up, down, PgUp')
        shown.keys('q', 'q')
        equal(shown.ended(), (0, []))


@test(HERE)
def it_removes_what_nothing_uses_after_a_question(t):
    name = 'odd\tname \x1b[31m\u202e'
    write(t.shm / name, b'x' * 5000)
    write(t.shm / 'used', b'x' * 5000)
    with Mapper(t.shm / 'used') as mapper, screen(t, '-d', 0.25, t.root) as shown:
        mapper('map 1')
        shown.keys('/', 'posix', 'Enter')
        shown.shows(r'^posix +odd\\011name', 'used .* mapped')
        shown.keys('/', 'Escape', '/', 'used', 'Enter')
        shown.shows(r'filter: used \(1\)')
        shown.keys('d')
        shown.shows('^remove used, if nothing uses it')
        shown.keys('y')
        shown.shows('not removed: it is in use')
        check((t.shm / 'used').exists(), 'it is there')
        shown.keys('/', 'Escape', '/', 'odd', 'Enter')
        shown.shows(r'filter: odd \(1\)')
        shown.keys('d')
        shown.shows(r'^remove odd\\011name \\033\[31m\\342\\200\\256, if')
        shown.keys('n')
        shown.shows('^not removed')
        check((t.shm / name).exists(), 'it is there')
        shown.keys('d', 'y')
        shown.shows('^removed', r'filter: odd \(0\)')
        check(not (t.shm / name).exists(), 'it is gone')
        shown.keys('d', 'Enter')  # there is no row
        shown.keys('q')
        equal(shown.ended(), (0, []))


@test(HERE)
def it_follows_the_size_of_the_terminal(t):
    for number in range(40):
        write(t.shm / f'object-{number:02}', b'x' * 5000)
    with screen(t, '-d', 0.25, t.root) as shown:
        shown.keys('/', 'object-', 'Enter')
        shown.shows('object-00', r'filter: object- \(40\)')
        shown.keys('End')
        shown.shows('object-39')
        for columns, lines in (120, 40), (60, 10), (20, 4), (80, 24):
            shown.tmux('resize-window', '-x', str(columns), '-y', str(lines))
            shown.shows(r'\A(?:[^\n]{0,%d}\n){%d}\Z' % (columns, lines), 'shmtop')
        shown.keys('Home')
        shown.shows('object-00', 'KIND +NAME')
        shown.keys('C-c')
        equal(shown.ended(), (0, []))


@test(HERE, ends_open=True)
def it_ends_with_the_mount(t):
    write(t.shm / 'x', b'')
    with screen(t, '-d', 0.25, t.root) as shown:
        shown.keys('/', 'posix', 'Enter')
        shown.shows('^posix +x')
        t.stop()
        status, errors = shown.ended()
        equal((status, len(errors)), (1, 1), f'{errors}')
        check(errors[0].startswith(f'shmtop: {t.root}: no shmtree is mounted here any more'), errors)


@test(HERE, start=False)
def what_is_wrong_is_one_line(t):
    wrong = [(('/tmp',), '/tmp is no shmtree'), (('-d', '0'), '-d'), (('a', 'b'), 'too many'), (('--foo',), '--foo')]
    if b' fuse.shmtree ' not in read('/proc/self/mountinfo'):  # of the machine itself
        wrong.append(((), 'no shmtree is mounted'))
    for arguments, word in wrong:
        done = subprocess.run([program(t), *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=60)
        equal((done.returncode, done.stdout), (1, b''), f'{arguments}')
        text = done.stderr.decode()
        check(text.startswith('shmtop: ') and word in text and text.count('\n') == 1, text)
    t.start()
    done = subprocess.run([program(t)], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    check(b'no terminal' in done.stderr and done.returncode == 1, done.stderr)
    check(b'shmtop' in run(program(t), '--version') and b'MOUNTPOINT' in run(program(t), '--help'), 'help')


@test(HERE)
def it_counts_an_object_with_many_names_once(t):
    write(t.shm / 'one', b'x' * (20 << 20))
    for number in range(8):
        os.link(t.shm / 'one', t.shm / f'other-{number}')

    def title():
        text = shown.shows('^posix +other-7 ')
        number, unit = re.search(r' segments, ([0-9.]+)([KMG]) allocated', text).groups()
        return float(number) * 1024 ** ' KMG'.index(unit)

    with screen(t, '-d', 0.25, t.root) as shown:
        def sum_of_status():
            return sum(int(value) for key, value in t.status().items() if key.endswith('_allocated'))
        eventually(lambda: abs(title() - sum_of_status()) < 10 << 20, 'the title has the sum')  # others have memfds


@test(HERE)
def it_looks_at_all_views_from_the_beginning(t):
    write(t.shm / 'x', b'x' * 5000)
    with Mapper(t.shm / 'x') as mapper, screen(t, '-d', 0.25, t.root) as shown:
        mapper('map 1')
        shown.keys('/', 'posix', 'Enter')
        shown.shows('^posix +x .* mapped')
        for size, grown in (50000, '44K'), (90000, '80K'):  # a second look at what is shown comes after the first at all
            write(t.shm / 'x', b'x' * size)
            shown.shows(rf'^posix +x +root +\S+ +\+{grown}')
        shown.keys('2')
        shown.keys('/', 'mapper', 'Enter')
        shown.shows(rf'^ +{mapper.pid} +root +mapper +1 +\S+ +\S+ +\+\d+K')
        shown.keys('q')


@test(HERE, start=False)
def without_an_argument_it_takes_one_that_can_be_read(t):
    closed = t.private / 'closed'
    (closed / 'mnt').mkdir(parents=True)
    closed.chmod(0o700)
    t.start(root=closed / 'mnt')
    first, t.daemon = t.daemon, None

    def said():
        done = subprocess.run(['setpriv', '--reuid=1234', '--regid=1234', '--clear-groups', program(t)],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
        return done.stderr.decode()

    if len(re.findall(rb' - fuse\.shmtree ', read('/proc/self/mountinfo'))) == 1:  # the machine itself has none
        equal(said(), 'shmtop: you may read no shmtree that is mounted here\n')
    t.start()
    check('no terminal' in said(), 'the second is found')
    t.stop()
    first.terminate()
    equal(first.wait(60), 0)
