# SPDX-License-Identifier: GPL-2.0-or-later
"""What README.md shows of a console: commands to run, and what they are said to print."""
import re

# As `ls -l` prints a line: owner, group and time are of the machine that README was written on.
LISTED = re.compile(r'^([-dl][-rwxst]{9}) (\d+) +\S+ +\S+ +(\d+) \w{3} +\d+ +[\d:]+ (.*)$')


def console(text, heading=None):
    """The first console block, or the first below the heading, as pairs: a command, and the lines
    that it prints, [] where README leaves them out."""
    if heading:
        text = text[text.index(f'\n{heading}\n'):]
    block = re.search(r'^```console\n(.*?)^```$', text, re.DOTALL | re.MULTILINE).group(1)
    shown = []
    for line in block.splitlines():
        if line.startswith(('$ ', '# ')):
            shown.append((line[2:], []))
        else:
            shown[-1][1].append(line)
    return shown


def comparable(lines):
    return [LISTED.sub(r'\1 \2 OWNER GROUP \3 TIME \4', line) for line in lines
            if not re.fullmatch(r'total \d+', line)]


def difference(wanted, output):
    """How what was printed differs from what README shows; None if it does not."""
    got = comparable(output.splitlines())
    if not wanted or comparable(wanted) == got:
        return None
    return f'README shows {comparable(wanted)}, and the machine {got}'
