#!/usr/bin/env python3
"""Requests that would take all memory or all threads, against the release binary: each is answered, the
server lives, others are served promptly meanwhile, and the memory comes back.

    tests/load/bounds_test.py [TestCase[.test]]

Only the standard library. ERNE_BINARY and ERNE_MODEL choose another program or checkpoint.
"""
import asyncio
import json
import sys
import time
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "clients"))

from erne_process import ErneProcess
from gauges import seconds_to_baseline
from http_client import Connection

CHAT, COMPLETIONS, TOKENIZE, DETOKENIZE = "/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize"
BODY_BYTES = 8_000_000
SMALL = {"prompt": "What is 7 + 5?", "max_tokens": 2}
# The one small request waits for no one; the rest is a busy machine's share.
PROMPT_SECONDS = 6.0
STREAM_GAP_SECONDS = 4.0
LEFT_MIB = 64.0
ANSWERS = {200, 400, 413, 429, 503}


def filled(before: str, unit: str, after: str, size: int = BODY_BYTES) -> bytes:
    count = (size - len(before) - len(after)) // len(unit)
    return (before + (unit * count).removesuffix(",") + after).encode()


def chat_with(member: str, unit: str, after: str) -> bytes:
    """A message with a member that no template reads."""
    return filled('{"max_tokens":1,"messages":[{"role":"user","content":"hi","' + member, unit, after + "}]}")


def completion(**fields: object) -> bytes:
    return json.dumps({"prompt": [5] * 1900, "max_tokens": 1, **fields}).encode()


EVERYTHING = {"echo": True, "logprobs": 20, "prompt_logprobs": 20}
# name: path, body
GREEDY = {
    "one long message": (CHAT, filled('{"messages":[{"role":"user","content":"', "word ", '"}]}')),
    "an unread text": (CHAT, chat_with('x":"', "word ", '"')),
    "unread numbers": (CHAT, chat_with('x":[', "1,", "]")),
    "unread objects": (CHAT, chat_with('x":[', '{"a":1},', "]")),
    "unread nesting": (CHAT, chat_with('x":[', "[[[1]]],", "]")),
    "many messages": (CHAT, filled('{"messages":[', '{"role":"user","content":"hi"},', "]}")),
    "many parts": (CHAT, filled('{"messages":[{"role":"user","content":[', '{"type":"text","text":"a"},', "]}]}")),
    "many ids": (COMPLETIONS, filled('{"prompt":[', "1,", "]}")),
    "many lists of ids": (COMPLETIONS, filled('{"prompt":[', "[1],", "]}")),
    "many objects": (COMPLETIONS, filled('{"prompt":[', "{},", "]}")),
    "escapes": (COMPLETIONS, filled('{"prompt":"', "\\u0041", '"}')),
    "unknown fields": (COMPLETIONS, filled("{", '"a":1,', "}")),
    "a text to count": (TOKENIZE, filled('{"prompt":"', "word ", '"}')),
    "a text without words to count": (TOKENIZE, filled('{"prompt":"', "a", '"}', 2_000_000)),
    "ids to spell": (DETOKENIZE, filled('{"tokens":[', "900,", "]}")),
    "everything of 128 choices": (COMPLETIONS, completion(n=128, **EVERYTHING)),
    "everything of 32 choices": (COMPLETIONS, completion(n=32, **EVERYTHING)),
    "a stream of everything": (COMPLETIONS, completion(n=128, stream=True, **EVERYTHING)),
    "many prompts' scores": (COMPLETIONS, completion(prompt=[[5] * 1900] * 400, **EVERYTHING)),
    "all tokens of 128 choices": (COMPLETIONS, json.dumps(
        {"prompt": "a", "n": 128, "logprobs": 20, "max_tokens": 2000, "ignore_eos": True}).encode()),
}


def note(text: str) -> None:
    print(f"  {text}", flush=True)


def post(connection: Connection, path: str, body: bytes) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: erne\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    connection.send(head.encode() + b"\r\n\r\n" + body)


async def answer(port: int, path: str, body: bytes, patience_s: float = 120) -> int:
    connection = await Connection.open(port)
    post(connection, path, body)
    await asyncio.wait_for(connection.read_head(), patience_s)
    await asyncio.wait_for(connection.read_body(), patience_s)
    await connection.close()
    return connection.status


async def seconds_for_a_small_request(port: int) -> float:
    start = time.monotonic()
    status = await answer(port, COMPLETIONS, json.dumps(SMALL).encode())
    assert status == 200, status
    return time.monotonic() - start


class BoundsTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # unittest's default, which prints every slow step


class UnderAMemoryLimit(BoundsTest):
    async def ask_everything(self, erne: ErneProcess, at_once: int) -> None:
        for name, (path, body) in GREEDY.items():
            start = time.monotonic()
            asked = (answer(erne.port, path, body) for _ in range(at_once))
            statuses = await asyncio.gather(*asked, return_exceptions=True)
            self.assertIsNone(erne.process.poll(), f"{name} ended the server")
            self.assertLessEqual(set(statuses), ANSWERS, name)
            note(f"{at_once} x {name}: {sorted(set(statuses))} after {time.monotonic() - start:.1f} s")

    async def lives_and_gives_back(self, memory_mib: int, at_once: int) -> None:
        with ErneProcess("--threads", "1", memory_mib=memory_mib) as erne:
            await seconds_for_a_small_request(erne.port)
            before = erne.rss_mib()
            await self.ask_everything(erne, at_once)
            await seconds_to_baseline(erne.port, 10)
            self.assertLess(await seconds_for_a_small_request(erne.port), PROMPT_SECONDS)
            left = erne.rss_mib() - before
            note(f"{memory_mib} MiB: {left:+.1f} MiB left of all that, allowed {LEFT_MIB}")
            self.assertLess(left, LEFT_MIB)

    async def test_greedy_requests_are_answered_and_their_memory_comes_back(self):
        await self.lives_and_gives_back(memory_mib=1200, at_once=1)

    async def test_many_of_them_at_once(self):
        await self.lives_and_gives_back(memory_mib=1200, at_once=6)


class OthersAreServed(BoundsTest):
    LONG = filled('{"prompt":"', "word ", '"}', 2_600_000)

    async def test_clients_that_leave_take_their_work_along(self):
        with ErneProcess("--threads", "1") as erne:
            await seconds_for_a_small_request(erne.port)
            for _ in range(24):
                connection = await Connection.open(erne.port)
                post(connection, TOKENIZE, self.LONG)
                await connection.writer.drain()
                connection.leave()
            seconds = await seconds_for_a_small_request(erne.port)
            note(f"a small request beside 24 abandoned texts: {seconds:.2f} s")
            self.assertLess(seconds, PROMPT_SECONDS)
            # A long one of a client that stays is not behind their work either.
            start = time.monotonic()
            self.assertEqual(await answer(erne.port, TOKENIZE, self.LONG[:260_000] + b'"}'), 200)
            note(f"a long text after them: {time.monotonic() - start:.2f} s")
            self.assertLess(time.monotonic() - start, 4 * PROMPT_SECONDS)

    async def test_long_texts_stop_neither_streams_nor_small_requests(self):
        with ErneProcess("--threads", "1") as erne:
            stream = await Connection.open(erne.port)
            stream.post(COMPLETIONS, {"prompt": "A story:", "stream": True, "max_tokens": 2000, "ignore_eos": True})
            await stream.read_head()
            texts = [asyncio.create_task(answer(erne.port, TOKENIZE, self.LONG)) for _ in range(16)]
            gap, last, probes = 0.0, time.monotonic(), []
            probe = asyncio.create_task(seconds_for_a_small_request(erne.port))
            async for _ in stream.read_events():
                now = time.monotonic()
                gap, last = max(gap, now - last), now
                if probe.done():
                    probes.append(probe.result())
                    probe = asyncio.create_task(seconds_for_a_small_request(erne.port))
            probes.append(await probe)
            note(f"beside 16 long texts: longest silence of a stream {gap:.2f} s, slowest of {len(probes)} "
                 f"small requests {max(probes):.2f} s")
            self.assertLess(gap, STREAM_GAP_SECONDS)
            self.assertLess(max(probes), PROMPT_SECONDS)
            self.assertLessEqual(set(await asyncio.gather(*texts)), {200, 503})
            await stream.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
