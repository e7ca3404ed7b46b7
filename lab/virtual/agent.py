# SPDX-License-Identifier: MIT
"""Runs programs in a virtual machine for whoever is at the other end of a serial port, who also brought this program:
the image has what receives and starts it, so that it can change without the image.

Guarantees: one program at a time, as root, in a session of its own; input and output pass as they come, its exit status
is the last word. On a terminal, all that it shows is standard output.
Refuses: to bound anything: the other end does, and can kill the program.

A message is a kind (one byte), the length of what follows (four bytes, little endian), and that. To here: E a program,
as JSON {argv, env, cwd, terminal: null or [rows, columns]}; I input; C no more input; K kill it. From here: H ready;
O and R what it wrote to standard output and error; X its exit status in decimal, negative for a signal.
"""
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios

HEAD = struct.Struct("<cI")
CHUNK = 65536
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
               "USER": "root", "LOGNAME": "root", "LANG": "C.UTF-8"}


class Port:
    """The serial port, in whole messages."""

    def __init__(self, fd):
        self.fd = fd
        self._read = b""

    def send(self, kind, data=b""):
        data = HEAD.pack(kind, len(data)) + data
        while data:
            data = data[os.write(self.fd, data):]

    def receive(self):
        """Waits for more of a message, or of several."""
        data = os.read(self.fd, CHUNK)
        if not data:
            sys.exit("nobody is at the other end")
        self._read += data

    def messages(self):
        """Those that are whole."""
        while len(self._read) >= HEAD.size:
            kind, length = HEAD.unpack_from(self._read)
            if len(self._read) < HEAD.size + length:
                return
            message, self._read = self._read[HEAD.size:HEAD.size + length], self._read[HEAD.size + length:]
            yield kind, message


def open_terminal(size):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    return master, slave


class Program:
    """One that runs: its pipes or its terminal, and what it has not read yet."""

    def __init__(self, argv, env, cwd, terminal):
        self._input, self._ends = b"", False
        environment = {name: value for name, value in {**ENVIRONMENT, **env}.items() if value is not None}
        common = {"env": environment, "cwd": cwd}
        if terminal:
            master, slave = open_terminal(terminal)
            # setsid becomes the program: it is not the leader of a group, so it need not fork
            self.process = subprocess.Popen(["setsid", "--ctty", *argv], stdin=slave, stdout=slave, stderr=slave,
                                            **common)
            os.close(slave)
            self.stdin, self.outputs = master, {master: b"O"}
        else:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0,
                                            start_new_session=True, **common)
            self.stdin = self.process.stdin.fileno()
            self.outputs = {self.process.stdout.fileno(): b"O", self.process.stderr.fileno(): b"R"}
        self._terminal = bool(terminal)
        os.set_blocking(self.stdin, False)

    def take(self, kind, data):
        if kind == b"I":
            self._input += data
        elif kind == b"C":
            self._ends = True
        elif kind == b"K":
            os.killpg(self.process.pid, signal.SIGKILL)

    def wants_to_read(self):
        return self.stdin is not None and (self._input or self._ends)

    def feed(self):
        try:
            if self._input:
                self._input = self._input[os.write(self.stdin, self._input):]
        except BlockingIOError:
            return
        except OSError:  # it has closed its side
            self._input, self._ends = b"", True
        if self._ends and not self._input:
            if not self._terminal:
                self.process.stdin.close()
            self.stdin = None

    def read(self, fd):
        """A terminal reports its end as EIO."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            del self.outputs[fd]
        return data

    def close(self, ended):
        status = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        if self._terminal:
            os.close(ended)
        return status


def run(port, **what):
    """To its end: when its last output is closed, and then its exit status."""
    try:
        program = Program(**what)
    except OSError as error:
        port.send(b"R", f"{what['argv'][0]}: {error.strerror}\n".encode())
        port.send(b"X", b"127")
        return
    fd = None
    while program.outputs:
        for message in port.messages():
            program.take(*message)
        writable = [program.stdin] if program.wants_to_read() else []
        readable, writable, _ = select.select([port.fd, *program.outputs], writable, [])
        if port.fd in readable:
            port.receive()
        if writable:
            program.feed()
        for fd in set(readable) & set(program.outputs):
            kind = program.outputs[fd]
            data = program.read(fd)
            if data:
                port.send(kind, data)
    port.send(b"X", str(program.close(fd)).encode())


def main(fd):
    port = Port(fd)
    port.send(b"H")
    while True:
        for kind, data in port.messages():
            if kind == b"E":
                run(port, **json.loads(data))
        port.receive()


main(int(sys.argv[1]))
