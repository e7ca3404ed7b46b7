# SPDX-License-Identifier: MIT
"""Doors: how the key servers are reached from the host and from the machines, which have no network in common.

A door listens at one address of 127.0.0.1, the same everywhere, and carries bytes to its server; TLS is between the
program and the server. With fault() or record() it ends TLS itself, knows requests, and does to them what was planned:

    door.fault("half-open", nth=2)                                      # the second connection from now on
    door.fault("answer", path="auth/approle/login", status=429, headers={"Retry-After": "1"}, times=1)
    door.record()
    assert [r.path for r in door.requests] == ["/v1/sys/health", …]

Guarantees: a door that is shut refuses connections, one that is a black hole answers none, as a server's kernel would;
its port stays its own in both. A door ends with its maker.
Refuses: client certificates, once it ends TLS itself: the server sees none.
"""
import asyncio
import contextlib
import socket
import ssl
import struct
import threading

from bao import faults

_BACKLOG = 128
_CALL_TIMEOUT_S = 30
_CHUNK = 65536
_SHUT, _OPEN, _BLACK_HOLE = "shut", "open", "black hole"


class _Host:
    """The place where the test itself runs."""
    name = "host"

    @staticmethod
    def sockets(count=1):
        return [socket.socket() for _ in range(count)]


def _reset(connection):
    """What is closed after this says so with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _bind(place, port):
    [listener] = place.sockets()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


class _Entrance:
    """A door's listening socket in one place."""

    def __init__(self, door, place, port):
        self._door, self._place = door, place
        with _bind(place, port) as chosen:
            # A port that the kernel chose is given up when the socket stops listening, one that was asked for is not.
            self._listener = _bind(place, chosen.getsockname()[1])
        self._listener.setblocking(False)
        self._filler = None
        self._accepting = None
        self._listening = False
        self.port = self._listener.getsockname()[1]

    async def become(self, state):
        await self._stop_accepting()
        if state == _OPEN:
            self._listen(_BACKLOG)
            self._accepting = asyncio.create_task(self._accept())
        elif state == _BLACK_HOLE:
            self._listen(0)
            await self._fill()
        elif self._listening:
            # Not closed: the port stays ours.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listening = False

    def _listen(self, backlog):
        self._listener.listen(backlog)
        self._listening = True

    async def _stop_accepting(self):
        if self._filler:
            self._filler.close()
            self._filler = None
        if self._accepting:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
            self._accepting = None

    async def _fill(self):
        """A kernel whose queue of connections is full drops the next one's SYN."""
        [self._filler] = self._place.sockets()
        self._filler.setblocking(False)
        await asyncio.get_running_loop().sock_connect(self._filler, self._listener.getsockname())

    async def _accept(self):
        loop = asyncio.get_running_loop()
        while True:
            connection, peer = await loop.sock_accept(self._listener)
            connection.setblocking(False)
            self._door.enter(connection, self._place.name)

    async def close(self):
        await self._stop_accepting()
        self._listener.close()


class Door:
    """One server's door."""

    def __init__(self, doors, target, scheme):
        self._doors, self._target = doors, target
        self._state = _SHUT
        self._entrances = {}
        self._tasks = set()
        self._scheme = scheme
        self._faults = []
        self._records = False
        self.connections, self.requests = 0, []
        entrance = self._add_entrance(_Host, 0)
        self.port = entrance.port
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def _add_entrance(self, place, port):
        entrance = _Entrance(self, place, port)
        self._entrances[place] = entrance
        return entrance

    # Called from the test

    def open(self):
        self._doors.call(self._become(_OPEN))

    def shut(self):
        """Connections are refused, those that are there are reset."""
        self._doors.call(self._become(_SHUT))

    def black_hole(self):
        """No packet is answered. Connections that are there stay, and nothing comes through them."""
        self._doors.call(self._become(_BLACK_HOLE))

    def fault(self, kind, path=None, nth=None, times=None, **options):
        """Adds a fault to the plan; the first that matches is done. faults.py has the kinds and their options. path is
        a part of the request's path."""
        if kind in faults.CONNECTION_FAULTS:
            if path:
                raise ValueError(f"{kind} happens before there is a path")
        elif kind not in faults.REQUEST_FAULTS:
            raise ValueError(f"no such fault: {kind}")
        fault = faults.Fault(kind, path, nth, times, options)
        self._faults.append(fault)
        return fault

    def no_fault(self):
        """For connections and requests that begin from now on."""
        self._faults = []

    def record(self, on=True):
        """New connections are listened to: their requests are in .requests."""
        self._records = on

    def forget(self):
        """Counts from zero."""
        self.connections, self.requests = 0, []

    # In the loop

    async def _become(self, state):
        self._state = state
        for entrance in self._entrances.values():
            await entrance.become(state)
        if state == _SHUT:
            await self._end_connections()

    async def _end_connections(self):
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def join(self, place):
        await self._add_entrance(place, self.port).become(self._state)

    async def leave(self, place):
        entrance = self._entrances.pop(place, None)
        if entrance:
            await entrance.close()

    async def close(self):
        for place in list(self._entrances):
            await self.leave(place)
        await self._end_connections()

    def enter(self, connection, place):
        task = asyncio.create_task(self._serve(connection, place))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection, place):
        self.connections += 1
        with connection:
            try:
                await self._deal(connection, place, self._take_fault(faults.CONNECTION_FAULTS))
            except (OSError, EOFError, faults.Broken, asyncio.CancelledError):
                _reset(connection)
            except Exception as error:  # pylint: disable=broad-except  # close() tells it
                self._doors.errors.append(error)
                _reset(connection)

    def _take_fault(self, kinds, path=None):
        return next((fault for fault in tuple(self._faults) if fault.kind in kinds and fault.takes(path)), None)

    def _ends_tls(self, fault):
        return self._records or (fault and fault.kind == "certificate") or any(
            other.kind in faults.REQUEST_FAULTS for other in tuple(self._faults))

    async def _deal(self, connection, place, fault):
        kind, options = (fault.kind, fault.options) if fault else (None, {})
        if kind == "half-open":
            await faults.hold(connection)
        elif kind == "reset":
            raise faults.Broken
        elif kind == "garbage":
            await faults.say(connection, faults.garbage())
        elif kind == "plain-http":
            await faults.say(connection, faults.PLAIN_HTTP)
        else:
            if kind == "delay":
                await asyncio.sleep(options["seconds"])
            if self._ends_tls(fault):
                await self._converse(connection, place, options.get("which", "good"))
            else:
                await self._splice(connection, kind, options)

    async def _splice(self, connection, kind, options):
        with await self._dial() as server:
            if kind == "drip":
                await _splice(connection, server, lambda data: faults.drip(connection, data, options.get("interval")))
            elif kind == "close-after":
                await _splice(connection, server, _Limit(connection, options["bytes"]).send)
            else:
                await _splice(connection, server)

    async def _converse(self, connection, place, certificate):
        """HTTP with the client; a connection to the server is made when the first request needs it."""
        number, loop = self.connections, asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        context = self._doors.server_context(certificate) if self._scheme == "https" else None
        # A duplicate: asyncio closes it when it thinks fit.
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection.dup(), ssl=context)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        server = _Upstream(self._dial, self._doors.client_context() if context else None, self._target[0])
        try:
            while request := await faults.read_message(reader, writer):
                self.requests.append(faults.remember(request, number, place))
                fault = self._take_fault(faults.REQUEST_FAULTS, self.requests[-1].path)
                await faults.carry_out(faults.Exchange(request, reader, writer, server.forward), fault)
            writer.close()
        except BaseException:
            _reset(connection)
            transport.abort()
            raise
        finally:
            server.close()

    async def _dial(self):
        [server] = await asyncio.to_thread(self._doors.site.sockets)
        try:
            server.setblocking(False)
            await asyncio.get_running_loop().sock_connect(server, self._target)
        except BaseException:
            server.close()
            raise
        return server


class _Upstream:
    """The connection to the server of a door that ends TLS."""

    def __init__(self, dial, context, name):
        self._dial, self._context, self._name = dial, context, name
        self._reader = self._writer = None

    async def forward(self, request):
        """The server's answer to it."""
        if not self._writer:
            self._reader, self._writer = await asyncio.open_connection(
                sock=await self._dial(), ssl=self._context, server_hostname=self._name if self._context else None)
        self._writer.write(request.encode())
        answer = await faults.read_message(self._reader, has_body=not request.start.startswith("HEAD "))
        if not answer:
            raise ConnectionResetError("the server has closed the connection")
        return answer

    def close(self):
        if self._writer:
            self._writer.transport.abort()


class _Limit:
    """Lets so many bytes pass, then breaks."""

    def __init__(self, connection, most):
        self._connection, self._left = connection, most

    async def send(self, data):
        await asyncio.get_running_loop().sock_sendall(self._connection, data[:self._left])
        self._left -= len(data)
        if self._left <= 0:
            raise faults.Broken


async def _carry(source, target, send=None):
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _CHUNK):
        await (send(data) if send else loop.sock_sendall(target, data))
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


async def _splice(client, server, send=None):
    """Until both directions have ended, or one has broken. send is another way for what goes to the client."""
    both = [asyncio.create_task(_carry(client, server)), asyncio.create_task(_carry(server, client, send))]
    try:
        await asyncio.gather(*both)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


class Doors:
    """All doors of a world, served by one thread."""

    def __init__(self, site, certificates):
        self.site, self.certificates = site, certificates
        self._doors, self._places = [], []
        self._contexts = {}
        self.errors = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="doors", daemon=True)
        self._thread.start()

    def call(self, coroutine):
        """Runs it in the doors' thread and returns what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_TIMEOUT_S)

    def server_context(self, which):
        """TLS with one of the certificates that a server may show."""
        if which not in self._contexts:
            self._contexts[which] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._contexts[which].load_cert_chain(*self.certificates.server(which))
        return self._contexts[which]

    def client_context(self):
        return ssl.create_default_context(cafile=self.certificates.ca)

    def add(self, target, scheme="https"):
        """A door to (address, port) of the servers' network; shut until it is opened."""
        door = Door(self, target, scheme)
        self._doors.append(door)
        for place in self._places:
            self.call(door.join(place))
        return door

    def join(self, place):
        """From now on every door is there too. A place has a name and sockets(); one that comes again is a new one."""
        self.leave(place)
        self._places.append(place)
        for door in self._doors:
            self.call(door.join(place))

    def leave(self, place):
        """Its network is going away."""
        if place in self._places:
            self._places.remove(place)
            for door in self._doors:
                self.call(door.leave(place))

    def close(self):
        for door in self._doors:
            self.call(door.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_TIMEOUT_S)
        self._loop.close()
        if self.errors:
            raise RuntimeError(f"doors had errors of their own: {self.errors}") from self.errors[0]
