# SPDX-License-Identifier: GPL-2.0-or-later
"""A headless Chromium, driven by the WebDriver protocol (W3C) through chromedriver. It has no network: every
connection but that to the driver is refused by a proxy that is not there."""
import base64
import http.client
import json
import re
import shutil
import subprocess
import tempfile

PATIENCE = 120.0  # seconds, for a machine under load
ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'  # the name that the protocol gives to a reference

ARGUMENTS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars',
             '--no-first-run', '--disable-extensions', '--disable-component-update', '--disable-background-networking',
             '--force-device-scale-factor=1', '--proxy-server=127.0.0.1:9')


def missing():
    """What is not installed here, or None."""
    for program in 'chromium', 'chromedriver':
        if not shutil.which(program):
            return program
    return None


class Browser:
    def __init__(self, width=1280, height=900):
        self.home = tempfile.TemporaryDirectory()
        self.driver = subprocess.Popen(['chromedriver', '--port=0'], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            if match := re.search(r'started successfully on port (\d+)', line):
                break
        else:
            raise RuntimeError('chromedriver did not start')
        self.port, self.session = int(match[1]), ''
        arguments = [*ARGUMENTS, f'--window-size={width},{height}', f'--user-data-dir={self.home.name}/profile']
        try:
            answer = self.ask('POST', '/session', {'capabilities': {'alwaysMatch': {
                'goog:chromeOptions': {'args': arguments}, 'goog:loggingPrefs': {'browser': 'ALL'}}}})
        except BaseException:
            self.close()
            raise
        self.session = '/session/' + answer['sessionId']

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            if self.session:
                self.ask('DELETE', '')
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
            self.home.cleanup()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=PATIENCE)
        try:
            connection.request(method, self.session + path, json.dumps(body or {}) if method == 'POST' else None,
                               {'Content-Type': 'application/json'})
            answer = json.loads(connection.getresponse().read())['value']
        finally:
            connection.close()
        if isinstance(answer, dict) and 'error' in answer:
            raise RuntimeError(f'{answer["error"]}: {answer["message"]}')
        return answer

    def open(self, url):
        """Returns when the page is loaded and its script has run."""
        self.ask('POST', '/url', {'url': url})

    def run(self, script, *arguments):
        """What the body of a function returns in the page."""
        return self.ask('POST', '/execute/sync', {'script': script, 'args': list(arguments)})

    def find(self, selector):
        return self.ask('POST', '/element', {'using': 'css selector', 'value': selector})[ELEMENT]

    def click(self, selector):
        self.ask('POST', f'/element/{self.find(selector)}/click')

    def type(self, selector, text):
        self.ask('POST', f'/element/{self.find(selector)}/value', {'text': text})

    def devtools(self, command, **parameters):
        return self.ask('POST', '/goog/cdp/execute', {'cmd': command, 'params': parameters})

    def prefer(self, scheme, media=''):
        """scheme: light or dark; media: screen or print."""
        self.devtools('Emulation.setEmulatedMedia', media=media,
                      features=[{'name': 'prefers-color-scheme', 'value': scheme}])

    def log(self):
        """What the console has said since it was asked last."""
        return [f'{entry["level"]}: {entry["message"]}' for entry in self.ask('POST', '/se/log', {'type': 'browser'})]

    def picture(self, whole=False):
        """A PNG of what is to be seen, or of the whole page."""
        if whole:
            return base64.b64decode(self.devtools('Page.captureScreenshot', captureBeyondViewport=True,
                                                  format='png')['data'])
        return base64.b64decode(self.ask('GET', '/screenshot'))
