# SPDX-License-Identifier: GPL-2.0-or-later
"""What the shells complete after `shmtree`: exactly what `shmtree --help` tells."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

from harness import PATIENCE, check, equal, run, skip, test

HERE = ('auto',)
FILES = pathlib.Path(__file__).resolve().parents[2] / 'packaging' / 'completion'


def helped(t):
    """The flags, and the names of -o, that --help prints, without their values."""
    flags, names = set(), set()
    for line in run(t.program, '--help').decode().split('\n'):
        words = line.split() if line.startswith('    -') else []
        while words and words[0].startswith('-'):
            flag = words.pop(0).split('=')[0].removesuffix('[')
            flags.add(flag)
            if flag == '-o':
                name, optional = re.match(r'(?:\[(no_)\])?([a-z_]+)', words.pop(0)).group(2, 1)
                names |= {name, 'no_' + name} if optional else {name}
    names -= {'io_uring', 'io_uring_q_depth'}  # libfuse's, of no use here
    check(len(flags) > 12 and len(names) > 15, f'understood: {flags} {names}')
    return flags, names


def columns(t):
    """Those of the list, and what only the list has."""
    return set(run(t.program, '--list').decode().split('\n')[0].split('\t')) | {'USER', 'GROUP', 'AGE'}


def need(shell):
    if not shutil.which(shell):
        skip(f'{shell} is not installed')


class Terminal:
    """A shell that is typed to; what it has shown."""

    def __init__(self, *command, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir('/')
            os.execvpe(command[0], command, os.environ | {'TERM': 'dumb', 'LINES': '100', 'COLUMNS': '200'} | environment)
        self.output = b''

    def type(self, text):
        os.write(self.fd, text.encode())

    def shown(self):
        return re.sub(r'\x1b\[[0-9;?]*[a-zA-Z]', '', self.output.decode(errors='replace'))

    def shows(self, *words):
        deadline = time.monotonic() + PATIENCE
        while not all(word in self.shown() for word in words):
            check(time.monotonic() < deadline, f'{[w for w in words if w not in self.shown()]} in {self.shown()!r}')
            if select.select([self.fd], [], [], 1)[0]:
                self.output += os.read(self.fd, 65536)  # it may end within an escape sequence

    def end(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


# --- bash

BASH = r'''
source "$1"; shift
complete -p shmtree >/dev/null
compopt() { :; }  # works in an interactive shell alone
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shmtree
printf '%s\n' "${COMPREPLY[@]}"
'''


def bash(line):
    """What may follow; the line is taken apart as readline does, for which = is a word of its own."""
    words = re.findall(r'=|[^\s=]+', line) + [''] * (line == '' or line[-1] == ' ')
    done = run('bash', '-ec', BASH, 'bash', FILES / 'shmtree.bash', 'shmtree', *words, cwd='/')
    return {word for word in done.decode().split('\n') if word}


@test(HERE, start=False)
def bash_knows_all_options(t):
    flags, names = helped(t)
    equal({word.rstrip('=') for word in bash('-')}, flags)
    equal({word.rstrip('=') for word in bash('-o ')}, names)
    equal(bash('--js'), {'--json'})
    equal(bash('-o census=text,pass'), {'text,passthrough='})
    equal({word.rstrip('=') for word in bash('-o log,census=text,')}, {'text,' + name for name in names})
    equal(bash('-o census='), {'auto', 'bpf', 'query', 'text'})
    equal(bash('-o log,census=b'), {'bpf'})
    equal(bash('-o census=text,passthrough=o'), {'off'})
    equal(bash('/de'), {'/dev'}, 'directories')
    equal(bash('--columns='), columns(t))
    equal(bash('--columns=NAME,SI'), {'NAME,SIZE', 'NAME,SINCE'})
    equal(bash('--sort=-SI'), {'-SIZE', '-SINCE'})
    shell = Terminal('bash', '--norc', '--noprofile', '-i', INPUTRC='/dev/null', PS1='% ')
    shell.type(f'source {FILES}/shmtree.bash; echo rea""dy\n')
    shell.shows('ready')
    shell.type('shmtree -o census=te\t,pass\tof\t /de\t')
    shell.shows('shmtree -o census=text,passthrough=off /dev/')
    shell.end()


# --- fish

@test(HERE, start=False)
def fish_knows_all_options(t):
    need('fish')
    environment = dict(os.environ, HOME=str(t.private), XDG_CONFIG_HOME=str(t.private))

    def fish(line):
        text = run('fish', '--no-config', '-c', f'source {FILES}/shmtree.fish; complete -C "{line}"',
                   env=environment, cwd='/').decode()
        return {row.split('\t')[0] for row in text.split('\n') if row}

    flags, names = helped(t)
    equal({word.rstrip('=') for word in fish('shmtree -') | fish('shmtree --') if not word.startswith('-o')} | {'-o'}, flags)
    equal({word.split('=')[0] for word in fish('shmtree -o ')}, names)
    equal(fish('shmtree --columns='), {f'--columns={name}' for name in columns(t)})
    equal(fish('shmtree --js'), {'--json'})


# --- zsh

@test(HERE, start=False)
def zsh_knows_all_options(t):
    need('zsh')
    flags, names = helped(t)
    text = (FILES / '_shmtree').read_text(encoding='utf-8')
    listed = re.search(r'mount_options=\((.*?)\n\)', text, re.S)[1]
    equal(set(re.findall(r"'([a-z_]+)\[", listed)), names, 'options of mounts')
    equal(set(re.search(r'columns=\((.*?)\)', text, re.S)[1].split()), columns(t), 'columns')
    arguments = text.split('_arguments', 1)[1]
    found = re.findall(r"'(?:\(-*\w+\)|\*)?(--?[a-zA-Z-]+)=?\[", arguments)
    for group in re.findall(r'\{([^}]*)\}\'\[', arguments):
        found += group.split(',')
    equal({flag for flag in found} | {'-o'}, flags, 'flags')
    shell = Terminal('zsh', '-f', '-i', HOME=str(t.private), ZDOTDIR=str(t.private))
    shell.type(f"PS1='%% '; fpath=({FILES} $fpath); autoload -Uz compinit && compinit -u -D; LISTMAX=0; echo rea''dy\n")
    shell.shows('ready')
    shell.type('shmtree --\t\t')
    shell.shows(*(flag for flag in flags if flag.startswith('--')))
    shell.type('\x15shmtree -o objec\t')
    shell.shows('-o object_census=')
    shell.type('of\t')
    shell.shows('object_census=off')
    shell.type('\x15shmtree --columns=nam\t')
    shell.shows('NAME,')  # over what was typed
    shell.end()
