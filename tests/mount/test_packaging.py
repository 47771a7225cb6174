# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of packaging/ that no package's own test tries, held against the programs that read them."""
import os
import pathlib
import re
import shutil
import subprocess

from harness import check, equal, read, run, skip, test

HERE = ('auto',)
PACKAGING = pathlib.Path(__file__).resolve().parents[2] / 'packaging'


def need(program):
    if not shutil.which(program):
        skip(f'no {program}')


@test(HERE, start=False)
def the_unit_is_as_hardened_as_it_says(t):
    """The two scores that its last comment has, with its settings and without; higher is worse."""
    need('systemd-analyze')
    text = read(pathlib.Path(os.environ['SHMTREE_BUILD']) / 'packaging/shmtree.service').decode()
    said = re.search(r'rates this unit ([0-9.]+) of 10 .*?would be ([0-9.]+)\.', text, re.S).groups()
    begin, end = text.index('# What the daemon may do at most'), text.index('\n[Install]')
    found = []
    for unit in text, text[:begin] + text[end:]:
        (t.private / 'shmtree.service').write_text(unit)
        output = run('systemd-analyze', 'security', '--offline=true', '--no-pager', t.private / 'shmtree.service')
        found += re.findall(r'Overall exposure level for shmtree.service: ([0-9.]+)', output.decode())
    equal(tuple(found), said)


@test(HERE, start=False)
def apparmor_takes_the_profile(t):
    need('apparmor_parser')
    done = subprocess.run(['apparmor_parser', '--skip-kernel-load', '--skip-cache', PACKAGING / 'apparmor/usr.sbin.shmtree'],
                          capture_output=True, check=False)
    equal(done.returncode, 0, done.stderr.decode())


@test(HERE, start=False)
def apparmor_allows_each_capability_that_is_kept(t):
    """Those of the list in core/caller/fsuid.c, also in the unit."""
    root = PACKAGING.parent
    listed = re.findall(r'^\tCAP_(\w+),', read(root / 'core/caller/fsuid.c').decode(), re.M)
    check(len(listed) > 15, listed)
    profile = read(PACKAGING / 'apparmor/usr.sbin.shmtree').decode()
    allowed = ' '.join(re.findall(r'^  capability (.*),$', profile, re.M)).upper().split()
    unit = re.findall(r'\bCAP_(\w+)', ' '.join(re.findall(
        r'^CapabilityBoundingSet=(.*)$', read(PACKAGING / 'shmtree.service.in').decode(), re.M)))
    dropped = {'SETPCAP', 'SYS_RESOURCE'}  # once the daemon has begun
    equal(set(allowed), set(listed) | dropped, 'the profile')
    equal(set(unit), set(listed) | dropped, 'the unit')
