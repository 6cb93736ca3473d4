"""Clients that mean harm or are broken, and what has to become of each: the status it is answered with,
or None where the server may keep it waiting until a deadline."""
import asyncio
import json
from dataclasses import dataclass

from http_client import Connection

PATIENCE_SECONDS = 15.0  # a header has 10 s


@dataclass(frozen=True)
class Hostile:
    name: str
    data: bytes
    status: int | None = None
    pause_s: float = 0.0  # between two bytes


def post(body: bytes, headers: str = "", path: str = "/v1/completions") -> bytes:
    length = "" if "Content-Length" in headers or "Transfer" in headers else f"Content-Length: {len(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\nHost: erne\r\n{length}{headers}\r\n".encode() + body


def prompt(value: object, **fields: object) -> bytes:
    return post(json.dumps({"prompt": value, **fields}).encode())


HOSTILE = [
    # Time.
    Hostile("says nothing", b""),
    Hostile("sends its header a byte at a time", b"GET /health HTTP/1.1\r\nX-Slow: " + b"z" * 10_000, 408, 0.1),
    Hostile("sends half a header", b"POST /v1/completions HTTP/1.1\r\nHost: er", 408),
    Hostile("sends half a body", post(b'{"prompt": "a', "Content-Length: 1000\r\n")),
    Hostile("asks and does not read", prompt("a", stream=True, max_tokens=400)),
    # Not HTTP.
    Hostile("greets in TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), 400),
    Hostile("sends zeros", bytes(5000), 400),
    Hostile("speaks a newer HTTP", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    Hostile("sends a header without end", b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000, 431),
    Hostile("sends very many headers", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, 431),
    Hostile("sends a negative length", post(b"{}", "Content-Length: -5\r\n"), 400),
    Hostile("sends two lengths", post(b"{}", "Content-Length: 2\r\nContent-Length: 3\r\n"), 400),
    Hostile("announces a huge body", post(b"{}", "Content-Length: 99999999999\r\n"), 413),
    Hostile("announces a huge chunk", post(b"FFFFFFFFFFFFFFFF\r\n{}", "Transfer-Encoding: chunked\r\n"), 413),
    # Not JSON, or too much of it.
    Hostile("sends no JSON", post(b"\xff\xfe{{{{"), 400),
    Hostile("nests deeply", post(b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), 400),
    Hostile("sends a number beyond all bounds", post(b'{"prompt": "a", "max_tokens": 1e999}'), 400),
    Hostile("asks for a million choices", prompt("a", n=1_000_000), 400),
    Hostile("sends ids that do not exist", prompt([1, 2, 1 << 40]), 400),
    Hostile("sends a prompt of a million words", prompt("word " * 1_000_000), 400),
    Hostile("sends invalid UTF-8", post(b'{"prompt": "\xc3\x28"}'), 400),
    # Elsewhere.
    Hostile("asks for what is not there", b"GET /../../etc/passwd HTTP/1.1\r\nHost: erne\r\n\r\n", 404),
    Hostile("uses another method", b"DELETE /v1/models HTTP/1.1\r\nHost: erne\r\n\r\n", 405),
]


async def write_slowly(connection: Connection, kind: Hostile) -> None:
    for byte in kind.data:
        connection.send(bytes([byte]))
        await asyncio.sleep(kind.pause_s)


async def be_hostile(port: int, kind: Hostile) -> str | None:
    """What the server did that it should not have."""
    connection = await Connection.open(port)
    writer = asyncio.create_task(write_slowly(connection, kind)) if kind.pause_s else None
    if writer is None:
        connection.send(kind.data)
    try:
        if kind.status is None:
            await asyncio.sleep(2)
            return None
        await asyncio.wait_for(connection.read_head(), PATIENCE_SECONDS)
        return None if connection.status == kind.status else f"{kind.name}: {connection.status}, not {kind.status}"
    except (asyncio.TimeoutError, asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
        return f"{kind.name}: {error!r}, not {kind.status}"
    finally:
        if writer is not None:
            writer.cancel()
        connection.reset()
