# SPDX-License-Identifier: MIT
"""Doors: how the key servers are reached from the host and from the machines, which have no network in common.

A door listens at one address of 127.0.0.1, the same everywhere, and carries bytes to its server; TLS is between the
program and the server.

Guarantees: a door that is shut refuses connections, one that is a black hole answers none, as a server's kernel would;
its port stays its own in both. A door ends with its maker.
"""
import asyncio
import contextlib
import socket
import struct
import threading

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


class _Entrance:
    """A door's listening socket in one place."""

    def __init__(self, door, place, port):
        self._door, self._place = door, place
        [self._listener] = place.sockets()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
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
        self.connections = 0
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

    async def _serve(self, connection, _place):
        self.connections += 1
        with connection:
            try:
                with await self._dial() as server:
                    await _splice(connection, server)
            except (OSError, asyncio.CancelledError):
                _reset(connection)

    async def _dial(self):
        [server] = await asyncio.to_thread(self._doors.site.sockets)
        try:
            server.setblocking(False)
            await asyncio.get_running_loop().sock_connect(server, self._target)
        except BaseException:
            server.close()
            raise
        return server


async def _carry(source, target):
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _CHUNK):
        await loop.sock_sendall(target, data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


async def _splice(left, right):
    """Until both directions have ended, or one has broken."""
    both = [asyncio.create_task(_carry(left, right)), asyncio.create_task(_carry(right, left))]
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
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="doors", daemon=True)
        self._thread.start()

    def call(self, coroutine):
        """Runs it in the doors' thread and returns what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_TIMEOUT_S)

    def add(self, target, scheme="https"):
        """A door to (address, port) of the servers' network; shut until it is opened."""
        door = Door(self, target, scheme)
        self._doors.append(door)
        for place in self._places:
            self.call(door.join(place))
        return door

    def join(self, place):
        """From now on every door is there too. A place has a name and sockets()."""
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
