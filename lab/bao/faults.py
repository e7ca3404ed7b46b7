# SPDX-License-Identifier: MIT
"""What can go wrong between a program and a key server: faults of a connection, faults of one request.

Faults of a connection happen before anything is understood: half-open, reset, garbage, plain-http, certificate, delay,
drip, close-after. Faults of a request need a door that ends TLS itself, and know the path: see REQUEST_FAULTS.

Guarantees: what a record keeps of a request has no secret: of secret headers the name, of bodies the length.
"""
import asyncio
import json
import os
from dataclasses import dataclass, field

CONNECTION_FAULTS = ("half-open", "reset", "garbage", "plain-http", "certificate", "delay", "drip", "close-after")

_SECRET_HEADERS = ("x-vault-token", "authorization", "cookie")
_DROPPED_HEADERS = ("transfer-encoding", "content-length", "connection", "expect")
_MOST_HEAD = 65536
_GARBAGE_BYTES = 512
_HUGE_BYTES = 64 << 20
_BLOCK = 65536
_DRIP_S = 0.05


class Broken(Exception):
    """The fault has been done to the request; its connection is to be reset."""


@dataclass
class Fault:
    """One entry of a door's plan. nth: only the nth that matches; times: only so many."""
    kind: str
    path: str | None = None
    nth: int | None = None
    times: int | None = None
    options: dict = field(default_factory=dict)
    matched: int = 0
    taken: int = 0

    def takes(self, path=None):
        """Is it this one's turn? Counts."""
        if self.path and self.path not in (path or ""):
            return False
        self.matched += 1
        if (self.nth and self.matched != self.nth) or (self.times and self.taken >= self.times):
            return False
        self.taken += 1
        return True


@dataclass
class Message:
    """A request or an answer: first line, headers as they came, body."""
    start: str
    headers: list
    body: bytes

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name), None)

    def encode(self):
        kept = [(k, v) for k, v in self.headers if k.lower() not in _DROPPED_HEADERS]
        kept.append(("Content-Length", str(len(self.body))))
        head = "\r\n".join([self.start, *(f"{k}: {v}" for k, v in kept)])
        return f"{head}\r\n\r\n".encode("latin-1") + self.body


@dataclass
class Request:
    """What is remembered of a request: on which of the door's connections it came, counted from 1; from which place."""
    method: str
    path: str
    headers: dict
    body_length: int
    connection: int
    place: str


def remember(message, connection, place):
    method, path, _ = message.start.split(" ", 2)
    headers = {k.lower(): "(secret)" if k.lower() in _SECRET_HEADERS else v for k, v in message.headers}
    return Request(method, path, headers, len(message.body), connection, place)


async def _read_chunks(reader):
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return body


async def read_message(reader, writer=None, has_body=True):
    """None at the end of the connection. A writer is told to go on if the message waits for that."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    start, *lines = head.decode("latin-1")[:-4].split("\r\n")
    message = Message(start, [tuple(part.strip() for part in line.split(":", 1)) for line in lines], b"")
    if writer and message.header("expect"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not has_body:
        return message
    if (message.header("transfer-encoding") or "").lower() == "chunked":
        message.body = await _read_chunks(reader)
    else:
        message.body = await reader.readexactly(int(message.header("content-length") or 0))
    return message


def wrong_types(value):
    """The same keys, each with a value of a type that nobody expects there."""
    if isinstance(value, dict):
        return {key: wrong_types(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return {"not": "a list"}
    if isinstance(value, str):
        return 7
    return "not this type"


class Exchange:
    """A request, and the ways to deal with it."""

    def __init__(self, request, reader, writer, forward):
        self.request, self.reader, self._writer, self._forward = request, reader, writer, forward

    async def real_answer(self):
        return await self._forward(self.request)

    async def send(self, data):
        self._writer.write(data)
        await self._writer.drain()


async def _pass(exchange, _fault=None):
    await exchange.send((await exchange.real_answer()).encode())


async def _answer(exchange, fault, status=500, headers=None, body=None):
    """The server is not asked. body is what JSON can be made of, or bytes."""
    status, headers = fault.options.get("status", status), fault.options.get("headers", headers) or {}
    body = fault.options.get("body", {"errors": [f"the lab's {status}"]} if body is None else body)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    await exchange.send(Message(f"HTTP/1.1 {status} Lab", [("Content-Type", "application/json"), *headers.items()],
                                data).encode())


async def _redirect(exchange, fault):
    """307, to `to`, or to the very address that was asked."""
    path = exchange.request.start.split(" ", 2)[1]
    to = fault.options.get("to") or f"https://{exchange.request.header('host')}"
    await _answer(exchange, fault, 307, {"Location": to + path}, b"")


async def _no_answer(exchange, _fault):
    """Until the client gives up."""
    await exchange.reader.read()


async def _lost_answer(exchange, _fault):
    """The server has done what it was asked, and the client never hears of it."""
    await exchange.real_answer()
    raise Broken


async def _reset(_exchange, _fault):
    raise Broken


async def _cut(exchange, fault):
    """The answer ends after so many bytes, with a reset."""
    data = (await exchange.real_answer()).encode()
    await exchange.send(data[:fault.options.get("bytes", len(data) // 2)])
    raise Broken


async def _drip_answer(exchange, fault):
    for byte in (await exchange.real_answer()).encode():
        await exchange.send(bytes([byte]))
        await asyncio.sleep(fault.options.get("interval", _DRIP_S))


async def _delay_answer(exchange, fault):
    answer = await exchange.real_answer()
    await asyncio.sleep(fault.options["seconds"])
    await exchange.send(answer.encode())


async def _garbage_answer(exchange, _fault):
    """Not even HTTP."""
    await exchange.send(b"\x00\xff" + os.urandom(_GARBAGE_BYTES))
    raise Broken


async def _not_json(exchange, fault):
    await _answer(exchange, fault, 200, body=b"<html>502 Bad Gateway</html>")


async def _change(exchange, fault):
    """What the function `change` makes of the answer's JSON; wrong_types unless given."""
    answer = await exchange.real_answer()
    change = fault.options.get("change", wrong_types)
    answer.body = json.dumps(change(json.loads(answer.body) if answer.body else {})).encode()
    await exchange.send(answer.encode())


async def _huge(exchange, fault):
    """Correct JSON, a string of so many bytes."""
    left = fault.options.get("bytes", _HUGE_BYTES)
    begin, end = b'{"data": "', b'"}'
    length = len(begin) + left + len(end)
    await exchange.send(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + begin)
    while left:
        block = b"A" * min(left, _BLOCK)
        await exchange.send(block)
        left -= len(block)
    await exchange.send(end)


REQUEST_FAULTS = {
    "answer": _answer, "redirect": _redirect, "no-answer": _no_answer, "lost-answer": _lost_answer,
    "reset-request": _reset, "cut": _cut, "drip-answer": _drip_answer, "delay-answer": _delay_answer,
    "garbage-answer": _garbage_answer, "not-json": _not_json, "change": _change, "huge": _huge,
}


async def carry_out(exchange, fault):
    await (REQUEST_FAULTS[fault.kind] if fault else _pass)(exchange, fault)


# Faults of a connection, by whoever carries its bytes


async def hold(connection):
    """Takes what comes, says nothing, until the other side closes."""
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(connection, _MOST_HEAD):
        pass


async def say(connection, data):
    """After the client has begun to speak."""
    loop = asyncio.get_running_loop()
    await loop.sock_recv(connection, _MOST_HEAD)
    await loop.sock_sendall(connection, data)


def garbage():
    return os.urandom(_GARBAGE_BYTES)


PLAIN_HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"initialized\": true}"


async def drip(target, data, interval=None):
    loop = asyncio.get_running_loop()
    for byte in data:
        await loop.sock_sendall(target, bytes([byte]))
        await asyncio.sleep(interval or _DRIP_S)
