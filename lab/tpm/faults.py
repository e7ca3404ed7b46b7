# SPDX-License-Identifier: MIT
"""A line between a program and the chip on which one response goes wrong: see Relay.line.

Guarantees: every other response passes as it is. Refuses: to change commands: what the chip is asked is the program's.
"""
import contextlib
import socket
import struct
import threading

from tpm import commands

DELAY_S = 1.5  # longer than the second that tests give a slot


def _flip(response, at):
    return response[:at] + bytes([response[at] ^ 1]) + response[at + 1:]


def _announce(response, size):
    return response[:2] + struct.pack(">I", size) + response[6:]


# What becomes of a response, in one or more pieces.
_CHANGES = {
    "corrupt the end": lambda r: _flip(r, len(r) - 1),
    "corrupt the middle": lambda r: _flip(r, len(r) // 2),
    "another tag": lambda r: b"\xde\xad" + r[2:],
    "too small": lambda r: _announce(r, commands.HEADER.size - 1),
    "smaller": lambda r: _announce(r, len(r) - 1),
    "larger": lambda r: _announce(r, len(r) + 100),
    "huge": lambda r: _announce(r, 0xffffffff),
    "truncate": lambda r: r[:len(r) // 2],
    "drop": lambda r: b"",
    "duplicate": lambda r: r + r,
}
KINDS = (*_CHANGES, "delay", "close", "close instead")
# With these there is nothing to read, and so nothing to do but wait.
SILENT = ("larger", "truncate", "drop", "delay")


def _send_late(program, response):
    """Whoever waited may be gone."""
    with contextlib.suppress(OSError):
        program.sendall(response)


class FaultyLine:
    """The response of this number, counted from 1, has this fault."""

    def __init__(self, kind, number):
        self._kind, self._left = kind, int(number)

    def send(self, program, command, response):
        del command
        self._left -= 1
        if self._left != 0:
            program.sendall(response)
        elif self._kind == "delay":
            threading.Timer(DELAY_S, _send_late, (program.dup(), response)).start()
        elif self._kind.startswith("close"):
            if self._kind == "close":
                program.sendall(response)
            program.shutdown(socket.SHUT_RDWR)
        else:
            program.sendall(_CHANGES[self._kind](response))
