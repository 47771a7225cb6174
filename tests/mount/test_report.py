# SPDX-License-Identifier: GPL-2.0-or-later
"""`report.html`: the page that people look at. What it says is compared with the tables; how it looks and works is
tried in a browser, where there is one."""
import base64
import hashlib
import html.parser
import json
import mmap
import os
import re

import browser
from harness import MOUNTED, Mapper, as_user, check, equal, eventually, read, skip, table, test, write
from test_whose import DIGITS, cgroup

PAGE = mmap.PAGESIZE
USER = 1234
SEGMENTS = 20000  # as many are listed
# Names that would do something if they were anything but text, and how they show.
HOSTILE = {
    b'<img src=x onerror=document.title="markup">': '<img src=x onerror=document.title="markup">',
    b'<script>document.title="script"<%script>'.replace(b'%', b'\\'): r'<script>document.title="script"<\134script>',
    b"it's & \"so\" &lt;": "it's & \"so\" &lt;",
    'right\u202eto\u2066left\u200f'.encode(): r'right\342\200\256to\342\201\246left\342\200\217',
    'שלום-עולם'.encode(): 'שלום-עולם',
    b'new\nline\ttab': r'new\012line\011tab',
    'separators\u2028\u2029'.encode(): r'separators\342\200\250\342\200\251',
    b'\xff\xfe raw \xc3': r'\377\376 raw \303',
    b'--><!--<script': '--><!--<script',
    b'$(touch x);`y`': '$(touch x);`y`',
}
SEGMENT = ('realm kind state id name mode uid gid size allocated resident swapped mappings processes openers references '
           'hidden since mtime users seen common by').split()
PROCESS = 'pid uid command unit cmdline born segments mappings descriptors size share'.split()


class Parts(html.parser.HTMLParser):
    """The elements of a page with their attributes, and the texts of its scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag in ('script', 'style')
        if self.inside:
            self.texts.append([tag, dict(attrs).get('type'), ''])

    def handle_data(self, data):
        if self.inside:
            self.texts[-1][2] += data

    def handle_endtag(self, tag):
        self.inside = False


def data_of(text):
    """What the page shows, its lists as dictionaries."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    equal(len(found), 1, 'one element of data')
    check(not re.search('[<>&\u2028\u2029]', found[0]), 'nothing in it is markup')
    data = json.loads(found[0])
    for name, keys in ('segments', SEGMENT), ('processes', PROCESS):
        for row in data[name]:
            equal(len(row), len(keys), name)
        data[name] = [dict(zip(keys, row)) for row in data[name]]
    # Of the realms of other tests root sees the segments too.
    data['mine'] = [segment for segment in data['segments'] if segment['realm'] == 0]
    return data


def page(t):
    return read(t.meta / 'report.html').decode()  # strictly UTF-8


def hostile_names(t):
    for size, name in enumerate(HOSTILE, 1):
        write(os.path.join(os.fsencode(t.shm), name), bytes(size * PAGE))


@test(MOUNTED)
def report_says_what_the_tables_say(t):
    hostile_names(t)
    write(t.shm / 'x', bytes(PAGE))
    os.truncate(t.shm / 'x', 3 * PAGE)
    with Mapper(t.shm / 'x') as one, Mapper(t.shm / 'x') as two:
        one('map 3')
        two('dup 4')
        data = data_of(page(t))
        said = json.loads(read(t.meta / 'segments.json'))['segments']
        mine = [s for s in data['mine'] if s['kind'] == 'posix']
        equal(len(mine), len([s for s in said if s['kind'] == 'posix']))
        equal(sorted(s['name'] for s in mine), sorted(['x', *HOSTILE.values()]))
        x, = (s for s in mine if s['name'] == 'x')
        wanted, = (s for s in said if s['kind'] == 'posix' and s['name'] == 'x')
        for key in 'state id uid gid size allocated mappings processes openers references hidden'.split():
            equal(x[key], wanted[key], key)
        users = {data['processes'][p]['pid']: (maps, fds)
                 for p, maps, fds in zip(*(x['by'][i::3] for i in range(3)))}
        equal(users, {one.pid: (3, 1), two.pid: (0, 5)})
        equal((x['users'], x['seen'], x['common'] & 2), (2, 2, 2), 'two, seen, of one program')
        shares = {int(row['PID']): row for row in table(read(t.meta / 'processes'))[0]}
        for process in data['processes']:
            if process['pid'] in (one.pid, two.pid):
                for key in 'segments', 'mappings', 'descriptors', 'size', 'share', 'born':
                    equal(process[key], int(shares[process['pid']][key.upper()]), key)
        memories = [s['allocated'] or 0 for s in data['segments']]
        equal(memories, sorted(memories, reverse=True), 'the largest first')
        sums = [s for s in data['sums'] if s[:3] == [0, 'posix', 'mapped']]
        equal([s[3:] for s in sums], [[1, 3 * PAGE, PAGE, 2 * PAGE]], 'what is promised')
        space = os.statvfs(t.shm)
        equal(data['realms'][0][1], space.f_blocks * space.f_frsize, 'size of the tmpfs')
        equal([limit[0] for limit in data['limits']],
              [row['RESOURCE'].decode() for row in table(read(t.meta / 'limits'))[0]])
        equal((data['backend'], data['unlisted_kinds'], data['limits_not_read']), (t.status()['census'], 0, 0))
        check('invisible' in data and 'not_shown' in data, 'what the census could not see')


@test(MOUNTED)
def report_needs_nothing_but_itself(t):
    hostile_names(t)
    parts = Parts(page(t))
    check(not [tag for tag, attributes in parts.elements if 'src' in attributes], 'nothing is loaded')
    check(not [tag for tag, attributes in parts.elements if 'style' in attributes or any(
        name.startswith('on') for name in attributes)], 'no style and no script in attributes')
    equal([tag for tag, _ in parts.elements].count('img'), 0, 'no element from a name')
    equal([(tag, kind) for tag, kind, _ in parts.texts], [('style', None), ('script', 'application/json'),
                                                         ('script', None)])
    policy, = (a['content'] for tag, a in parts.elements if a.get('http-equiv') == 'Content-Security-Policy')
    check("default-src 'none'" in policy and 'unsafe' not in policy, policy)
    for tag, kind, text in parts.texts:
        if kind is None:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            check(f"{tag}-src 'sha256-{digest}'" in policy, f'the policy allows this {tag} alone')


@test(MOUNTED)
def report_shows_what_its_reader_could_see(t):
    write(t.shm / 'x', bytes(PAGE))
    os.chmod(t.shm / 'x', 0o666)
    with Mapper(t.shm / 'x') as roots, Mapper(t.shm / 'x', user=USER) as users:
        for mapper, times in (roots, 1), (users, 2):
            mapper(f'map {times}')

        def look():
            text = page(t)
            data = data_of(text)
            x, = (s for s in data['mine'] if s['name'] == 'x')
            pids = {p['pid'] for p in data['processes']}
            equal(roots.pid in pids, os.getuid() == 0)
            equal(users.pid in pids, os.getuid() in (0, USER))
            equal((x['mappings'], x['processes'], x['users']), (3, 2, 2), 'counts are for all')
            equal(x['seen'], {0: 2, USER: 1, 999: 0}[os.getuid()])
            equal([data['processes'][p]['pid'] for p in x['by'][::3]],
                  {0: [roots.pid, users.pid], USER: [users.pid], 999: []}[os.getuid()])
            check((data['not_shown'] > 0) == (os.getuid() != 0), data['not_shown'])
            equal(data['uid'], os.getuid())
        look()
        for user in USER, 999:
            equal(as_user(user, user, look), 0, f'as {user}')


@test(MOUNTED)
def report_is_bounded_and_says_so(t):
    for i in range(SEGMENTS + 30):
        write(t.shm / f'f{i}', b'x' * (i < 30))
    data = data_of(page(t))
    equal(len(data['segments']), SEGMENTS)
    equal(sum(s[3] for s in data['sums'] if s[:2] == [0, 'posix']), SEGMENTS + 30, 'the sums have all')
    check({f'f{i}' for i in range(30)} <= {s['name'] for s in data['mine']}, 'the largest are listed')


def open_page(t, chromium):
    """A copy, as a browser takes a file of size 0 to be empty."""
    path = t.private / 'report.html'
    write(path, page(t).encode())
    chromium.open(f'file://{path}')


def names_shown(chromium):
    return chromium.run('return [...document.querySelectorAll("#segments-table tbody tr:not(.detail) .name:first-child")]'
                        '.map(e => e.textContent)')


@test(MOUNTED[:1])
def report_in_a_browser(t):
    if browser.missing():
        skip(f'{browser.missing()} is not installed')
    hostile_names(t)
    write(t.shm / 'used', bytes(30 * PAGE))
    os.truncate(t.shm / 'used', 1 << 50)
    with Mapper(t.shm / 'used') as mapper, browser.Browser() as chromium:
        mapper('map 2')
        with cgroup('report') as group:
            write(f'{group}/cgroup.procs', b'%d' % mapper.pid)
            open_page(t, chromium)
            write(f'{os.path.dirname(os.path.dirname(group))}/cgroup.procs', b'%d' % mapper.pid)
        looks_right(chromium, mapper)
        sorts_and_filters(chromium)
        opens_rows_and_boxes(chromium, mapper)
        prefers(chromium)
        equal(chromium.log(), [], 'what the console says')


def looks_right(chromium, mapper):
    chromium.type('#segments-tools input', '/dev/shm')  # not what is in the realms of other tests
    shown = names_shown(chromium)
    for name in HOSTILE.values():
        check(name in shown, f'{name!r} is shown as text, of {shown}')
    equal(chromium.run('return document.querySelectorAll("img, body script:not([id]) ~ script, main script").length'), 0)
    check(chromium.run('return document.title').startswith('Shared memory of '), 'no name changed the title')
    check('promised beyond what' in chromium.run('return document.getElementById("notices").textContent'),
          'the bus error to come')
    titles = chromium.run('return [...document.querySelectorAll(".map [aria-label]")].map(e => e.ariaLabel)')
    check(any(title.startswith('Idle') for title in titles), titles)
    check(any(title.startswith(DIGITS[:12]) for title in titles), titles)
    check(chromium.run('return document.querySelectorAll(".map .leaf.idle").length') > 0, 'idle cells')
    sizes = chromium.run('return [...document.querySelectorAll(".map .size")].map(e => e.textContent)')
    equal([size for size in sizes if not re.fullmatch(r'[\d.]+ ([KMGTPE]i)?B', size)], [], 'sizes are whole, or left out')
    chromium.run('for (let more; (more = document.querySelector("#processes .more button"));) more.click()')
    pids = chromium.run('return [...document.querySelectorAll("#processes tbody tr td:first-child")].map(e => e.textContent)')
    check(str(mapper.pid) in pids, pids)


def sorts_and_filters(chromium):
    header = '#segments-table thead th:nth-child({})'
    chromium.click(header.format(1) + ' button')
    equal(chromium.run(f'return document.querySelector("{header.format(1)}").getAttribute("aria-sort")'), 'ascending')
    shown = names_shown(chromium)
    equal(shown, sorted(shown, key=lambda name: name.encode('utf-16-be')), 'by name')
    chromium.click(header.format(1) + ' button')
    equal(names_shown(chromium), shown[::-1], 'and the other way')
    chromium.type('#segments-tools input', ' MAPPER used')
    eventually(lambda: names_shown(chromium) == ['used'], 'the filter finds by program and name')
    chromium.run('const input = document.querySelector("#segments-tools input"); input.value = "/dev/shm"; '
                 'input.dispatchEvent(new Event("input"))')
    chromium.run('const select = document.querySelectorAll("#segments-tools select")[1]; select.value = "idle"; '
                 'select.dispatchEvent(new Event("change"))')
    check('used' not in names_shown(chromium) and len(names_shown(chromium)) >= len(HOSTILE), 'the idle ones')
    chromium.run('const select = document.querySelectorAll("#segments-tools select")[1]; select.value = ""; '
                 'select.dispatchEvent(new Event("change"))')


def opens_rows_and_boxes(chromium, mapper):
    chromium.type('#segments-tools input', ' used mapper')
    chromium.click('#segments-table .opens')
    detail = chromium.run('return document.querySelector("#segments-table .detail").innerText')
    check(str(mapper.pid) in detail and 'mapper' in detail, detail)
    before = chromium.run('return document.querySelectorAll(".map g").length')
    chromium.run('document.querySelector(".map g[tabindex=\'0\']").focus()')
    chromium.type('.map g[tabindex="0"]', '\ue007')  # Enter
    check(chromium.run('return !document.querySelector(".trail").hidden'), 'Enter opens a box')
    chromium.type('.map g[tabindex="0"]', '\ue00c')  # Escape
    equal(chromium.run('return document.querySelectorAll(".map g").length'), before, 'and Escape goes back')


def prefers(chromium):
    colours = []
    for scheme in 'light', 'dark':
        chromium.prefer(scheme)
        colours.append(chromium.run('return getComputedStyle(document.body).backgroundColor'))
    check(colours[0] != colours[1], colours)
    chromium.prefer('dark', 'print')
    equal(chromium.run('return getComputedStyle(document.body).backgroundColor'), 'rgb(255, 255, 255)', 'on paper')
