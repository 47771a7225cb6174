# SPDX-License-Identifier: GPL-2.0-or-later
"""How one line of C is broken, and which breaks are known to change nothing."""
import collections
import pathlib
import random
import re

Mutant = collections.namedtuple('Mutant', 'file line what old new')

# A name, what it is done to, and what takes its place. Each place in a line that fits is a mutant.
CHANGES = [
    ('condition negated', r'\b(if|while) \((.+)\)( \{)?$', r'\1 (!(\2))\3'),
    ('condition negated', r'\breturn ((?!-)[^?;]*(?:==|!=|<|>|&&|\|\|)[^?;]*);$', r'return !(\1);'),
    ('negation dropped', r'(?<=[(\s])!(?=[\w(])', ''),
    ('or made and', r' \|\|(?= |$)', ' &&'),
    ('and made or', r' &&(?= |$)', ' ||'),
    ('equal turned', r' == ', ' != '),
    ('equal turned', r' != ', ' == '),
    ('bound moved', r' < (?!0\b)', ' <= '),
    ('bound moved', r' > (?!0\b)', ' >= '),
    ('bound moved', r' <= ', ' < '),
    ('bound moved', r' >= ', ' > '),
    ('error not seen', r' < 0\b', ' < -100000'),
    ('off by one', r' \+ 1\b', ''),
    ('off by one', r' - 1\b', ''),
    ('sign turned', r' \+= ', ' -= '),
    ('sign turned', r' -= ', ' += '),
    ('sign turned', r'(?<=[\w\])]) \+ (?=[\w(])', ' - '),
    ('count dropped', r'^(\t+)[^;=(]+(\+\+|--);$', r'\1;'),
    ('constant changed', r'(?<=[ (\[])([1-9][0-9]*)(?=[,;)\] ])', lambda m: str(int(m[1]) + 1)),
    ('flag dropped', r' \| [A-Z_]{4,}\b', ''),
    ('mask dropped', r' & ~?[A-Z_]{4,}\b', ''),
    ('error dropped', r'\breturn -E[A-Z0-9]+;', 'return 0;'),
    ('error dropped', r'\breturn -errno;', 'return 0;'),
    ('error dropped', r'\breturn (r|err|error|status);', 'return 0;'),
    ('error dropped', r'( = )-E[A-Z0-9]+;', r'\g<1>0;'),
    ('other error', r'\breturn -(E(?!IO\b)[A-Z0-9]+);', 'return -EIO;'),
    ('result turned', r'\breturn true;', 'return false;'),
    ('result turned', r'\breturn false;', 'return true;'),
    ('result turned', r'( = )true;', r'\1false;'),
    ('result turned', r'( = )false;', r'\1true;'),
    ('choice turned', r' \? ([^?:()]+(?:\([^()]*\))?) : ([^?:;,()]+(?:\([^()]*\))?)([;,)])',
     r' ? \2 : \1\3'),
    ('call dropped', r'^(\t+)[a-z_]\w*\([^;]*\);$', r'\1;'),
    ('assignment dropped', r'^(\t+)[a-z_][\w>.\[\]-]* [|&+-]?= [^;]*;$', r'\1;'),
    ('loop not ended', r'^(\t+)(break|continue);$', r'\1;'),
]
CHANGES = [(what, re.compile(old), new) for what, old, new in CHANGES]

# What is no code; what only helps a developer; memory that is not freed, which LeakSanitizer notices;
# locks that are not taken, which ThreadSanitizer notices; and more memory than is needed.
LEFT_ALONE = re.compile(r'^\s*(/?\*|//|#|\w+:$)|g_assert|g_error|log_line|log_failure|static_assert'
                        r'|^\t*[\w ]+ \*?\w+\[\d+\];|^\S|^\t+(g_free|g_\w+_(unref|free)|g_clear_pointer'
                        r'|g_(mutex|rw_lock|cond)_(init|clear|lock|reader_lock|writer_lock))\('
                        r'|g_new0?\(')


def break_line(line):
    """Every (what, new line) of one line."""
    if LEFT_ALONE.search(line):
        return
    code = re.sub(r'/\*.*', lambda m: ' ' * len(m[0]), line).rstrip()
    code = re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: '"' + '_' * (len(m[0]) - 2) + '"', code)
    seen = {line}
    for what, old, new in CHANGES:
        for match in old.finditer(code):
            # Looked for where texts and comments are blank, and made of what the line has there.
            made = re.sub(r'\\(?:g<)?(\d)>?', lambda m: line[slice(*match.span(int(m[1])))], new) \
                if isinstance(new, str) else new(match)
            broken = line[:match.start()] + made + line[match.end():]
            if broken not in seen:
                seen.add(broken)
                yield what, broken


def mutants_of(tree, file):
    lines = (tree / file).read_text().splitlines()
    for number, line in enumerate(lines, 1):
        for what, broken in break_line(line):
            yield Mutant(file, number, what, line, broken)


def draw(tree, files, seed, count):
    """A line is drawn first, then what is done to it: a line of many operators is one line."""
    lines = collections.defaultdict(list)
    for file in files:
        for mutant in mutants_of(tree, file):
            lines[mutant.file, mutant.line].append(mutant)
    drawing = random.Random(seed)
    places = drawing.sample(sorted(lines), min(count, len(lines)))
    return [drawing.choice(lines[place]) for place in places]


def read_equivalent(path):
    """tests/mutants: (file and function, old, new) of each, with the reason. Its head says how it is written."""
    known = {}
    if not path.exists():
        return known
    for block in re.split(r'\n\s*\n', pathlib.Path(path).read_text()):
        lines = [line for line in block.splitlines() if line[:1] != '#']
        if not lines:
            continue
        if len(lines) < 4 or lines[1][:2] != '- ' or lines[2][:1] != '+':
            raise SystemExit(f'{path}: not a file, a line "- ", a line "+ " and a reason:\n{block}')
        known[lines[0], lines[1][2:], lines[2][2:]] = ' '.join(line.strip() for line in lines[3:])
    return known


def function_of(tree, mutant):
    """The name of the function in which the line is; '' outside of any."""
    for line in reversed((tree / mutant.file).read_text().splitlines()[:mutant.line]):
        if line == '}':
            break
        if found := re.match(r'[a-z].*?(\w+)\(', line):
            return found[1]
    return ''


def reason_of(tree, mutant, known):
    old, new = mutant.old.strip(), mutant.new.strip()
    for place in mutant.file, f'{mutant.file} {function_of(tree, mutant)}()':
        if (place, old, new) in known:
            return known[place, old, new]
    return None
