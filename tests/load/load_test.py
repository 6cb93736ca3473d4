#!/usr/bin/env python3
"""Many clients, hostile clients and dying clients against the release binary.

    tests/load/load_test.py [TestCase[.test]]

Only the standard library. ERNE_BINARY and ERNE_MODEL choose another program or checkpoint.
"""
import asyncio
import resource
import signal
import sys
import time
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "clients"))

from erne_process import ErneProcess
from gauges import gauges_when, read_gauges, seconds_to_baseline
from hostile_clients import HOSTILE, be_hostile
from http_client import Connection, Reply, ask, read_reply

NUM_STREAMS = 1000
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
# Few blocks: 1,000 streams touch each of them, so memory is flat after the first round.
CROWD_FLAGS = ("--max-num-seqs", "64", "--max-concurrency", "2048", "--max-model-len", "512",
               "--block-size", "16", "--num-gpu-blocks-override", "512")
# Resident memory after two rounds, in which the allocator's arenas fill, and after two more: 2 KiB per
# stream, where a stream that were forgotten would leave its buffers and more.
MAX_GROWTH_MIB = 4.0
BASELINE_SECONDS = 5.0
CROWD_SECONDS = 60.0  # a round took 8 on two busy cores
STUCK_CHOICES = 32
# Long enough to be interrupted: 7,600 tokens.
ENDLESS = {"n": 4, "max_tokens": 1900, "ignore_eos": True}


def crowd_request(index: int) -> tuple[str, dict]:
    """Chats and completions, greedy and sampled, ending by themselves and by length."""
    question = f"What is {index % 90 + 10} + {index // 10}?"
    sampling = {"seed": index, "temperature": index % 3 / 2, "max_tokens": 10, "ignore_eos": index % 4 != 0}
    if index % 2:
        return CHAT, {"messages": [{"role": "user", "content": question}], **sampling}
    return COMPLETIONS, {"prompt": question, **sampling}


async def send_all(port: int, requests: list[tuple[str, dict]]) -> list[Connection]:
    """Connects first, then sends every request in one burst."""
    connections = await asyncio.gather(*(Connection.open(port) for _ in requests))
    for connection, (path, body) in zip(connections, requests):
        connection.post(path, {**body, "stream": True})
    return connections


async def ask_all(port: int, requests: list[tuple[str, dict]]) -> list[Reply]:
    connections = await send_all(port, requests)
    replies = await asyncio.gather(*(read_reply(connection) for connection in connections))
    await asyncio.gather(*(connection.close() for connection in connections))
    return replies


def note(text: str) -> None:
    print(f"  {text}", flush=True)


class LoadTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # unittest's default, which slows a thousand clients
        self.start = time.monotonic()

    async def asyncTearDown(self):
        note(f"{time.monotonic() - self.start:.1f} s in all")


class Crowd(LoadTest):
    """One server, 1,000 clients at a time."""

    @classmethod
    def setUpClass(cls):
        cls.erne = ErneProcess(*CROWD_FLAGS).__enter__()
        cls.addClassCleanup(cls.erne.__exit__, None, None, None)

    async def round_of_streams(self) -> list[Reply]:
        start = time.monotonic()
        requests = [crowd_request(i) for i in range(NUM_STREAMS)]
        streams = asyncio.create_task(asyncio.wait_for(ask_all(self.erne.port, requests), CROWD_SECONDS))
        most = 0
        while not streams.done():
            gauges = await read_gauges(self.erne.port)
            most = max(most, gauges.running + gauges.waiting)
            await asyncio.sleep(0.1)
        replies, seconds = streams.result(), time.monotonic() - start
        await seconds_to_baseline(self.erne.port, BASELINE_SECONDS)
        broken = [(i, reply) for i, reply in enumerate(replies) if not reply.is_whole]
        self.assertFalse(broken, f"{len(broken)} streams did not end as they should")
        note(f"{NUM_STREAMS} streams in {seconds:.1f} s, up to {most} of them in the engine at once; "
             f"resident memory {self.erne.rss_mib():.1f} MiB")
        self.assertGreater(most, NUM_STREAMS / 2)
        return replies

    async def test_all_streams_finish_and_memory_is_flat(self):
        first = await self.round_of_streams()
        await self.round_of_streams()
        warm, files = self.erne.rss_mib(), self.erne.num_files()
        for _ in range(2):
            again = await self.round_of_streams()
            different = [i for i in range(NUM_STREAMS) if again[i].text != first[i].text]
            self.assertFalse(different, "requests whose text depended on the crowd")
        growth = self.erne.rss_mib() - warm
        note(f"growth {growth:+.2f} MiB, allowed {MAX_GROWTH_MIB}")
        self.assertLess(growth, MAX_GROWTH_MIB)
        self.assertLessEqual(self.erne.num_files(), files + 5, "open files")

    async def test_clients_that_drop_free_their_blocks(self):
        requests = [(CHAT, {"messages": [{"role": "user", "content": f"Count from {i}"}], "max_tokens": 400,
                            "ignore_eos": True}) for i in range(NUM_STREAMS)]
        connections = await send_all(self.erne.port, requests)
        drops = asyncio.gather(*(drop(i, connection) for i, connection in enumerate(connections)))
        await asyncio.wait_for(drops, CROWD_SECONDS)  # those that wait for a first token get one when others leave
        seconds = await seconds_to_baseline(self.erne.port, BASELINE_SECONDS)
        note(f"{NUM_STREAMS} dropped; all blocks available {seconds:.2f} s later")

    async def test_a_killed_client_frees_its_blocks(self):
        client = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).with_name("stuck_client.py")), str(self.erne.port), str(STUCK_CHOICES),
            stdout=asyncio.subprocess.PIPE)
        await client.stdout.readline()  # it has its first token
        before = await gauges_when(
            self.erne.port, "all its choices run", lambda gauges: gauges.running == STUCK_CHOICES, BASELINE_SECONDS)
        self.assertLess(before.available_blocks, before.blocks)
        client.kill()
        seconds = await seconds_to_baseline(self.erne.port, BASELINE_SECONDS)
        after = await read_gauges(self.erne.port)
        await client.wait()
        steps = (after.generated_tokens - before.generated_tokens) / STUCK_CHOICES
        note(f"killed client: blocks back after {seconds * 1000:.0f} ms and {steps:.0f} steps")
        self.assertLess(steps, 100, "of about 450 that were left")


async def drop(index: int, connection: Connection) -> None:
    """In one of the ways clients leave."""
    if index % 4 == 0:
        connection.reset()
    elif index % 4 == 1:
        connection.half_close()
        await connection.reader.read()
        await connection.close()
    elif index % 4 == 2:
        connection.leave()
    else:
        await connection.read_head()
        await anext(connection.read_events())
        connection.reset()


class HostileClients(LoadTest):
    async def test_hostile_clients_are_refused_and_disturb_nobody(self):
        with ErneProcess(*CROWD_FLAGS) as erne:
            path, body = crowd_request(1)
            alone = await ask(erne.port, path, body)
            self.assertTrue(alone.is_whole, alone)
            crowd = [asyncio.create_task(be_hostile(erne.port, kind)) for kind in HOSTILE for _ in range(10)]
            latencies = []
            for _ in range(20):
                start = time.monotonic()
                reply = await ask(erne.port, path, body)
                latencies.append(time.monotonic() - start)
                self.assertEqual((reply.is_whole, reply.text), (True, alone.text))
                await asyncio.sleep(0.05)
            faults = [fault for fault in await asyncio.gather(*crowd) if fault]
            self.assertFalse(faults)
            await seconds_to_baseline(erne.port, BASELINE_SECONDS)
            note(f"{len(crowd)} hostile clients of {len(HOSTILE)} kinds; a good one's slowest reply took "
                 f"{max(latencies):.2f} s")
            self.assertLess(max(latencies), 5.0)


class Shutdown(LoadTest):
    async def open_stream(self, erne: ErneProcess, body: dict) -> tuple[Connection, Reply, object]:
        connection = await Connection.open(erne.port)
        connection.post(COMPLETIONS, {"prompt": "A story:", "stream": True, **body})
        await connection.read_head()
        reply, events = Reply(connection.status), connection.read_events()
        reply.add(await anext(events))
        return connection, reply, events

    async def ended(self, erne: ErneProcess, limit_s: float) -> int:
        return await asyncio.to_thread(erne.process.wait, limit_s)

    async def test_sigterm_finishes_what_is_open_and_takes_nothing_new(self):
        with ErneProcess() as erne:
            idle = await Connection.open(erne.port)
            connection, reply, events = await self.open_stream(
                erne, {**ENDLESS, "stream_options": {"include_usage": True}})
            erne.process.send_signal(signal.SIGTERM)
            while (first := await self.outcome_of_a_new_request(erne)) == "200":
                pass  # it came before the signal was heard
            outcomes = {first} | {await self.outcome_of_a_new_request(erne) for _ in range(5)}
            async for data in events:
                reply.add(data)
            await connection.close()
            self.assertEqual((reply.num_done, reply.errors), (1, []))
            self.assertEqual(reply.finish_reasons, ENDLESS["n"] * ["length"])
            self.assertEqual(reply.completion_tokens, ENDLESS["n"] * ENDLESS["max_tokens"])
            self.assertEqual(await self.ended(erne, 10), 0)
            note(f"drained; what became of new requests: {outcomes}")
            self.assertLessEqual(outcomes, {"connection refused", "503", "closed"})
            await idle.close()

    async def outcome_of_a_new_request(self, erne: ErneProcess) -> str:
        try:
            return str((await ask(erne.port, *crowd_request(0))).status)
        except ConnectionRefusedError:
            return "connection refused"
        except (ConnectionError, asyncio.IncompleteReadError):
            return "closed"

    async def test_a_second_sigterm_stops_at_once(self):
        with ErneProcess() as erne:
            connection, _, events = await self.open_stream(erne, ENDLESS)
            erne.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            self.assertIsNone(erne.process.poll(), "it drains first")
            start = time.monotonic()
            erne.process.send_signal(signal.SIGTERM)
            await self.ended(erne, 10)
            seconds = time.monotonic() - start
            note(f"ended {seconds:.2f} s after the second SIGTERM with status {erne.process.returncode}")
            self.assertLess(seconds, 2.0)
            await connection.close()


class SameTokens(LoadTest):
    """What a request gets does not depend on how many sequences or blocks the server has."""

    REQUESTS = [(COMPLETIONS, {"prompt": f"{'tell me more, ' * (i * 3 % 14)}number {i}:", "seed": i,
                               "temperature": i % 3 / 2, "max_tokens": 24, "ignore_eos": True}) for i in range(20)]

    async def texts(self, *flags: str) -> tuple[list[str], int]:
        """And how often a request was put back for want of blocks."""
        with ErneProcess("--block-size", "16", "--max-model-len", "256", *flags) as erne:
            replies = await ask_all(erne.port, self.REQUESTS)
            await seconds_to_baseline(erne.port, BASELINE_SECONDS)
            preemptions = (await read_gauges(erne.port)).preemptions
        self.assertTrue(all(reply.is_whole for reply in replies))
        return [reply.text for reply in replies], preemptions

    async def test_with_one_sequence_or_64_or_the_fewest_blocks(self):
        alone, _ = await self.texts("--max-num-seqs", "1")
        self.assertGreater(len(set(alone)), 10)
        for flags in (["--max-num-seqs", "64"],
                      ["--max-num-seqs", "64", "--max-num-batched-tokens", "64"],
                      ["--max-num-seqs", "64", "--num-gpu-blocks-override", "16"]):
            texts, preemptions = await self.texts(*flags)
            note(f"{' '.join(flags)}: {preemptions} preemptions")
            self.assertEqual(texts, alone)
        self.assertGreater(preemptions, 0, "16 blocks are too few for 64 sequences")

    async def test_fewer_blocks_than_one_request_needs_are_refused_by_name(self):
        with self.assertRaisesRegex(RuntimeError, "num-gpu-blocks-override"):
            await self.texts("--num-gpu-blocks-override", "15")


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * NUM_STREAMS), hard))
    unittest.main(verbosity=2)
