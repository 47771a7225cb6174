# SPDX-License-Identifier: GPL-2.0-or-later
"""embed.py PAGE STYLE SCRIPT... HEADER: makes of the parts of a page a C header with two strings, what stands
before its data and what stands after.

In PAGE, @STYLE@ and @SCRIPT@ are replaced by the contents of the files, and @POLICY@ by their hashes, so that
the browser runs no other style or script, whatever the data is. @DATA@ is where the data goes.
"""
import base64
import hashlib
import sys


def allowed(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def parts_of(page, style, script):
    policy = (f"default-src 'none'; style-src {allowed(style)}; script-src {allowed(script)}; img-src data:; "
              "base-uri 'none'; form-action 'none'")
    page = page.replace('@POLICY@', policy).replace('@STYLE@', style).replace('@SCRIPT@', script)
    return page.split('@DATA@')


def literal(name, text):
    lines = ''.join(f'\t"{line}\\n"\n' for line in
                    text.replace('\\', '\\\\').replace('"', '\\"').replace('?', '\\?').split('\n'))
    return f'static const char {name}[] =\n{lines};\n'


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def main(page, style, *scripts, out):
    script = '"use strict";\n(() => {\n' + ''.join(read(path) for path in scripts) + '})();\n'
    if '</script' in script.lower() or '</style' in read(style).lower():
        sys.exit('a part of the page would end its element')
    head, tail = parts_of(read(page), read(style), script)
    with open(out, 'w', encoding='utf-8') as file:
        file.write('/* Made by core/views/report/embed.py. */\n#pragma once\n\n' +
                   literal('report_page_head', head.rstrip('\n')) + '\n' +
                   literal('report_page_tail', tail.strip('\n')))


if __name__ == '__main__':
    main(*sys.argv[1:-1], out=sys.argv[-1])
