# SPDX-License-Identifier: MIT
"""A program on a terminal of its own, and the person in front of it.

Guarantees: the program's controlling terminal is the one that it is run on, so /dev/tty and prompts without echo work;
an answer is typed when its question is on the screen, since a prompt for a secret throws away what was typed before.
Refuses: to wait longer than the timeout.
"""
import codecs
import fcntl
import os
import select
import struct
import subprocess
import time

_CHUNK = 65536

# From <asm-generic/ioctls.h>: unlock a terminal, and open its other side.
_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441


class _Screen:
    """The master side: all that was printed so far, and how much of it was answered."""

    def __init__(self, master):
        self.text = ""
        self._master = master
        self._answered = 0
        # a read may end in the middle of a character
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def read(self, deadline):
        """Waits for more. Returns False at the end, which a terminal reports as EIO."""
        ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        try:
            data = os.read(self._master, _CHUNK)
        except OSError:
            data = b""
        self.text = (self.text + self._decode(data)).replace("\r\n", "\n")
        return bool(data)

    def shows(self, question):
        """Is it there, after what was answered already?"""
        at = self.text.find(question, self._answered)
        if at >= 0:
            self._answered = at + len(question)
        return at >= 0

    def type(self, text):
        os.write(self._master, text.encode())


def _open(node):
    """A terminal of the machine's own, so that its programs find it by name too."""
    master = os.open(node.path("/dev/ptmx"), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    return master, fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def _conversation(data):
    """Text is typed at once; a list of (question, answer) is a conversation. An answer may be a function of what was on
    the screen so far."""
    if not data:
        return []
    return [("", data)] if isinstance(data, str) else list(data)


def run(node, argv, data, timeout, **kw):
    """As Node.run(), on a terminal. Everything that was on the screen is stdout."""
    master, slave = _open(node)
    screen, deadline = _Screen(master), time.monotonic() + timeout
    questions = _conversation(data)
    # setsid makes the terminal the controlling one, and becomes the program.
    command = ["setsid", "--ctty", *argv]
    with node.popen(command, stdin=slave, stdout=slave, stderr=slave, **kw) as process:
        os.close(slave)
        try:
            going_on = True
            while going_on:
                while questions and screen.shows(questions[0][0]):
                    answer = questions.pop(0)[1]
                    screen.type(answer(screen.text) if callable(answer) else answer)
                going_on = screen.read(deadline)
            process.wait(max(0.1, deadline - time.monotonic()))
        except TimeoutError:
            raise subprocess.TimeoutExpired(argv, timeout, screen.text) from None
        finally:
            process.kill()
            os.close(master)
    return subprocess.CompletedProcess(argv, process.returncode, screen.text, "")
