# SPDX-License-Identifier: MIT
"""The process that holds a world's key servers: each in a network of its own, all at one bridge.

Started by servers.py in fresh namespaces with a socket as standard input, over which it serves one JSON object a line.

Guarantees: when that socket closes, or this process ends in any way, so do the servers, also stopped ones; a temporary
world's folder goes then. A server is reached from the bridge's network and from the other servers', from nowhere else.
Refuses: requests at the same time.
"""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

_BRIDGE_ADDRESS = "10.77.0.254/24"
_DEATH_TIMEOUT_S = 10
_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _enter_network(handle):
    _check(_libc.setns(handle, _CLONE_NEWNET), "setns")


def _ip(*arguments):
    done = subprocess.run(["ip", *arguments], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _open_own_network():
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Server:
    """A server's network, which stays, and its process, which comes and goes."""

    def __init__(self, name, address, home):
        self._link = f"to-{name}"
        self._process = None
        _check(_libc.unshare(_CLONE_NEWNET), "unshare")
        self._network = _open_own_network()
        _ip("link", "set", "lo", "up")
        _enter_network(home)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns",
            f"/proc/{os.getpid()}/fd/{self._network}")
        _ip("link", "set", self._link, "master", "bridge", "up")
        _enter_network(self._network)
        _ip("address", "add", f"{address}/24", "dev", "eth0")
        _ip("link", "set", "eth0", "up")
        _enter_network(home)

    def start(self, argv, folder):
        """Does nothing if it runs."""
        if self.pid:
            return
        with open(f"{folder}/log", "ab") as log:
            self._process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             preexec_fn=self._before_exec)

    def _before_exec(self):
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _enter_network(self._network)

    @property
    def pid(self):
        return self._process.pid if self._process and self._process.poll() is None else None

    def signal(self, number):
        """What ends it has ended it when this returns."""
        if self.pid:
            self._process.send_signal(number)
            if number in (signal.SIGKILL, signal.SIGTERM):
                self._process.wait(_DEATH_TIMEOUT_S)

    def link(self, state):
        _ip("link", "set", self._link, state)


class Keeper:
    """The servers and the requests about them."""

    def __init__(self):
        self._home = _open_own_network()
        self._servers = {}
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "bridge", "type", "bridge", "forward_delay", "0")
        _ip("address", "add", _BRIDGE_ADDRESS, "dev", "bridge")
        _ip("link", "set", "bridge", "up")

    def serve(self, what, *arguments):
        """Carries out one request; returns the answer and sockets that go with it."""
        if what == "sockets":
            return {}, [socket.socket() for _ in range(arguments[0])]
        name, *rest = arguments
        if what == "add":
            self._servers[name] = Server(name, rest[0], self._home)
        elif what == "pid":
            return {"pid": self._servers[name].pid}, []
        elif what in ("start", "signal", "link"):
            getattr(self._servers[name], what)(*rest)
        else:
            raise RuntimeError(f"unknown request {what}")
        return {}, []

    def end(self):
        for server in self._servers.values():
            server.signal(signal.SIGKILL)


def _answer(connection, answer, sockets=()):
    with contextlib.suppress(OSError):
        socket.send_fds(connection, [json.dumps(answer).encode() + b"\n"], [s.fileno() for s in sockets])
    for s in sockets:
        s.close()


def _serve(keeper, connection):
    """Returns whether the end was asked for."""
    for line in connection.makefile("r"):
        request = json.loads(line)
        if request == ["end"]:
            return True
        try:
            _answer(connection, *keeper.serve(*request))
        except Exception as error:  # pylint: disable=broad-except  # goes to whoever asked
            _answer(connection, {"error": f"{type(error).__name__}: {error}"})
    return False


def main():
    temporary = sys.argv[1]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=0)
    try:
        keeper = Keeper()
    except Exception as error:
        _answer(connection, {"error": f"{type(error).__name__}: {error}"})
        raise
    _answer(connection, {})
    asked = _serve(keeper, connection)
    keeper.end()
    if asked:
        _answer(connection, {})
    elif temporary:
        # Whoever made the world can't any more.
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()
