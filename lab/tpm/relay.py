# SPDX-License-Identifier: MIT
"""A kernel's part between programs and the chip: /dev/tpmrm0 and its resource manager.

Guarantees: programs share the chip command by command, and each finds its memory as if it were alone; what a program
leaves there is flushed when its connection ends, however it ends; each command is in the log, with its name and
response code, before the program has the response.
Refuses: to understand commands beyond their headers.

The lab's own verbs (off, on, reboot, …) come over a control socket, one JSON list a line, and are answered so.
"""
import contextlib
import json
import os
import select
import shutil
import socket

from tpm import commands
from tpm.faults import FaultyLine

_COMMAND_SIZE_MAX = 4096
# A kernel's write() has a command at once; here the rest of it may be under way.
_COMMAND_TIMEOUT_S = 5


class Line:
    """What a response passes on its way to the program; faults.py has one that loses and changes them."""

    def send(self, program, command, response):
        del command
        program.sendall(response)


class _Program:
    """One open /dev/tpmrm0. `saved` is what it has in the chip, while another one's turn is."""

    def __init__(self, connection):
        self.connection = connection
        self.connection.settimeout(_COMMAND_TIMEOUT_S)
        self.saved = []

    def fileno(self):
        return self.connection.fileno()

    def _receive(self, size):
        data = b""
        while len(data) < size:
            more = self.connection.recv(size - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def receive_command(self):
        """Raises OSError at the end, and for what no kernel would take."""
        header = self._receive(commands.HEADER.size)
        size = commands.size_of(header)
        if not commands.HEADER.size <= size <= _COMMAND_SIZE_MAX:
            raise ConnectionError
        return header + self._receive(size - len(header))

    def hang_up(self):
        """Reading gives the end; writing does not kill the program, as it would if we closed."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)


class Relay:
    """Serves one chip to one machine. `devices` are the paths of its sockets, `log` an open file."""

    def __init__(self, chip, devices, log, control):
        self.line = Line()
        self._chip, self._devices, self._log = chip, devices, log
        self._control, self._requests = control, control.makefile("r")
        self._listener = None
        self._programs = []
        # Whose objects and sessions are in the chip's memory.
        self._current = None
        self._verbs = {
            "off": self._off, "on": self._on, "reboot": self._reboot, "power-cut": self._power_cut,
            "clear": self._clear, "lockout": self._lockout, "extend": chip.extend,
            "change-boot-chain": chip.change_boot_chain, "update-firmware": chip.update_firmware,
            "no-sha256-bank": self._no_sha256_bank, "fault": self._fault, "no-fault": self._no_fault,
        }

    def run(self):
        """Serves until the control socket is closed, then switches the chip off in order."""
        self._on()
        while True:
            waiting = [self._control, *self._programs] + ([self._listener] if self._listener else [])
            ready, _, _ = select.select(waiting, [], [])
            for one in ready:
                if one is self._control:
                    if not self._serve_control():
                        self._off()
                        return
                    # A verb may have ended what else was ready.
                    break
                if one is self._listener:
                    self._programs.append(_Program(self._listener.accept()[0]))
                else:
                    self._serve_program(one)

    # Devices

    def _listen(self):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        first = self._devices[0]
        self._listener.bind(first)
        os.chmod(first, 0o660)
        # As udev does it. A user namespace may not have the group.
        with contextlib.suppress(LookupError, OSError):
            shutil.chown(first, group="tss")
        self._listener.listen(socket.SOMAXCONN)
        for other in self._devices[1:]:
            os.link(first, other)

    def _unlisten(self):
        for path in self._devices:
            os.unlink(path)
        self._listener.close()
        self._listener = None

    # Programs

    def _serve_program(self, program):
        try:
            command = program.receive_command()
            if not self._chip.powered:
                program.hang_up()
                return
            self._switch_to(program)
            response = self._chip.execute(command)
            print(commands.name_of(command), hex(commands.code_of(command)), hex(commands.code_of(response)),
                  file=self._log, flush=True)
            self.line.send(program.connection, command, response)
        except OSError:
            self._end(program)

    def _switch_to(self, program):
        if program is self._current:
            return
        if self._current:
            self._current.saved = self._chip.save()
        self._current = program
        if program:
            self._chip.restore(program.saved)
            program.saved = []

    def _end(self, program):
        self._programs.remove(program)
        program.connection.close()
        if not self._chip.powered:
            return
        if program is self._current:
            self._switch_to(None)
        self._chip.forget(program.saved)

    def _forget_programs(self):
        """The chip was reset: nobody has anything in it, and whoever is in the middle of something finds out."""
        self._current = None
        for program in self._programs:
            program.saved = []

    # Verbs

    def _serve_control(self):
        line = self._requests.readline()
        if not line:
            return False
        verb, *arguments = json.loads(line)
        answer = {}
        try:
            self._verbs[verb](*arguments)
        except Exception as error:  # pylint: disable=broad-except  # goes to whoever asked
            answer["error"] = f"{type(error).__name__}: {error}"
        self._control.sendall(json.dumps(answer).encode() + b"\n")
        return True

    def _off(self):
        if not self._listener:
            return
        self._unlisten()
        for program in self._programs:
            program.hang_up()
        self._chip.power_off()
        self._forget_programs()

    def _on(self):
        if not self._listener:
            self._chip.boot()
            self._listen()

    def _in_firmware(self, action, *arguments):
        action(*arguments)
        self._chip.boot()
        self._forget_programs()

    def _reboot(self):
        self._in_firmware(self._chip.power_off)

    def _power_cut(self):
        self._in_firmware(self._chip.power_off, False)

    def _clear(self):
        self._in_firmware(self._chip.in_firmware, commands.clear())

    def _no_sha256_bank(self):
        self._in_firmware(self._chip.allocate, (commands.SHA1,))

    def _lockout(self):
        self._switch_to(None)
        self._chip.lock_out()

    def _fault(self, kind, number):
        self.line = FaultyLine(kind, number)

    def _no_fault(self):
        self.line = Line()
