"""A small HTTP client for many streams at once: asyncio and sockets, nothing between test and server."""
import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


class Connection:
    """One connection. Each request reads its reply to the end before the next."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def post(self, path: str, body: dict) -> None:
        text = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: erne\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
        self.send(head.encode() + b"\r\n\r\n" + text)

    def get(self, path: str) -> None:
        self.send(f"GET {path} HTTP/1.1\r\nHost: erne\r\n\r\n".encode())

    async def read_head(self) -> None:
        status_line, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(status_line.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    async def read_chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readline(), 16):
            chunk = await self.reader.readexactly(size + 2)
            yield chunk[:-2]
        await self.reader.readline()

    async def read_body(self) -> bytes:
        if "content-length" in self.headers:
            return await self.reader.readexactly(int(self.headers["content-length"]))
        return b"".join([chunk async for chunk in self.read_chunks()])

    async def read_events(self) -> AsyncIterator[str]:
        """The data of each server-sent event, [DONE] included."""
        pending = b""
        async for chunk in self.read_chunks():
            *events, pending = (pending + chunk).split(b"\n\n")
            for event in events:
                assert event.startswith(b"data: "), event
                yield event[len(b"data: "):].decode()
        assert not pending, pending

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass

    def leave(self) -> None:
        """Goodbye without a word: the server sees an end of file."""
        self.writer.close()

    def reset(self) -> None:
        """As a crashed host: the server sees a reset."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def half_close(self) -> None:
        self.writer.write_eof()


@dataclass
class Reply:
    """What a stream came to."""
    status: int = 0
    text: str = ""
    finish_reasons: list[str] = field(default_factory=list)
    num_done: int = 0
    errors: list[dict] = field(default_factory=list)
    completion_tokens: int | None = None

    def add(self, data: str) -> None:
        assert self.num_done == 0, f"after [DONE]: {data}"
        if data.strip() == "[DONE]":
            self.num_done += 1
            return
        chunk = json.loads(data)
        if "error" in chunk:
            self.errors.append(chunk["error"])
        if chunk.get("usage"):
            self.completion_tokens = chunk["usage"]["completion_tokens"]
        for choice in chunk.get("choices", []):
            self.text += choice["text"] if "text" in choice else choice["delta"].get("content") or ""
            if choice.get("finish_reason"):
                self.finish_reasons.append(choice["finish_reason"])

    @property
    def is_whole(self) -> bool:
        return (self.status, len(self.finish_reasons), self.num_done, self.errors) == (200, 1, 1, [])


async def read_reply(connection: Connection) -> Reply:
    await connection.read_head()
    reply = Reply(connection.status)
    if reply.status != 200:
        reply.errors.append(json.loads(await connection.read_body())["error"])
        return reply
    async for data in connection.read_events():
        reply.add(data)
    return reply


async def ask(port: int, path: str, body: dict) -> Reply:
    connection = await Connection.open(port)
    try:
        connection.post(path, {**body, "stream": True})
        return await read_reply(connection)
    finally:
        await connection.close()


async def get(port: int, path: str) -> str:
    connection = await Connection.open(port)
    try:
        connection.get(path)
        await connection.read_head()
        return (await connection.read_body()).decode()
    finally:
        await connection.close()
