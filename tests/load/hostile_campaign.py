#!/usr/bin/env python3
"""A campaign of mutated requests against the release binary, over both of its ports, by clients that mostly
do not stay for the answer, while another client asks a small request every half second.

    tests/load/hostile_campaign.py --requests 100000

The server has to live through all of it under a limit of memory, answer the small requests in time, and
come back to the memory it had after the first twentieth. Only the standard library. ERNE_BINARY and
ERNE_MODEL choose another program or checkpoint; with the same --seed the requests are the same.
"""
import argparse
import asyncio
import collections
import http.client
import multiprocessing
import socket
import struct
import sys
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "clients"))

import erne_process
from erne_process import ErneProcess, free_port
from gauges import read_gauges
from memory_limit import MemoryLimit
from mutations import Attack, Mutator

# Few and small blocks: those touched for the first time are memory, too, 34 MB in all.
FLAGS = ("--max-num-seqs", "16", "--block-size", "16", "--num-gpu-blocks-override", "512")
PROBE_SECONDS = 0.5
PROBE_PATIENCE = 60.0
ANSWER_SECONDS = 3.0  # then even a client that reads goes away
MAX_READ_BYTES = 64 << 10
# Memory above what it was after the first twentieth: the allocator's arenas fill at random.
MAX_GROWTH_MIB = 64.0


def probe(port: int, stop, results) -> None:
    """In a process of its own, so that the attackers' work is not measured."""
    body = '{"prompt": "Once", "max_tokens": 1}'
    while not stop.is_set():
        start = time.monotonic()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_PATIENCE)
            connection.request("POST", "/v1/completions", body)
            answer = connection.getresponse()
            answer.read()
            outcome = answer.status
            connection.close()
        except OSError as error:
            outcome = repr(error)
        except http.client.HTTPException as error:
            outcome = repr(error)
        seconds = time.monotonic() - start
        results.put((outcome, seconds))
        stop.wait(max(0.0, PROBE_SECONDS - seconds))


class Campaign:
    def __init__(self, erne: ErneProcess, metrics_port: int, seed: int):
        self.erne, self.metrics_port = erne, metrics_port
        self.attacks = Mutator(seed).attacks()
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.num_sent = 0
        self.peak_mib = 0.0

    async def run(self, num_requests: int, num_clients: int) -> None:
        self.left = num_requests
        await asyncio.gather(*(self.attacker() for _ in range(num_clients)))

    async def attacker(self) -> None:
        while self.left > 0:
            self.left -= 1
            attack = next(self.attacks)
            self.num_sent += 1
            try:
                outcome = await self.attack(attack)
            except (OSError, asyncio.IncompleteReadError) as error:
                outcome = type(error).__name__
            self.outcomes[outcome] += 1
            if self.num_sent % 200 == 0:
                if self.erne.process.poll() is not None:
                    raise RuntimeError(f"the server ended with status {self.erne.process.returncode}")
                self.peak_mib = max(self.peak_mib, self.erne.rss_mib())

    async def attack(self, attack: Attack) -> str:
        port = self.metrics_port if attack.on_metrics_port else self.erne.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await self.behave(attack, reader, writer)
        finally:
            writer.transport.abort()

    async def behave(self, attack: Attack, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        data, manner = attack.data, attack.manner
        if manner == "sends a part and leaves":
            writer.write(data[:len(data) * 2 // 3])
            await asyncio.sleep(0)
            return manner
        writer.write(data * 3 if manner == "sends it three times" else data)
        if manner == "resets":
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if manner in ("leaves", "resets"):
            await asyncio.sleep(0)
            return manner
        if manner == "ends its sending side":
            writer.write_eof()
        try:
            return await asyncio.wait_for(self.read(reader, manner == "reads a little and resets"), ANSWER_SECONDS)
        except asyncio.TimeoutError:
            return "was not answered while it stayed"

    async def read(self, reader: asyncio.StreamReader, little: bool) -> str:
        status = b"100"
        while status == b"100":
            head = await reader.readuntil(b"\r\n\r\n")
            status = head.split(b" ", 2)[1]
        if little:
            return f"{status.decode()}, left"
        length = [int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")]
        left = min(length[0] if length else 4096, MAX_READ_BYTES)
        while left > 0 and (data := await reader.read(left)):
            left -= len(data)
            if data.endswith(b"0\r\n\r\n"):
                break
        return status.decode()

    async def settled_mib(self) -> float:
        """Resident memory once nothing is under way."""
        for _ in range(300):
            if (await read_gauges(self.erne.port)).at_baseline:
                break
            await asyncio.sleep(0.1)
        else:
            raise RuntimeError("requests of clients that are gone still run")
        await asyncio.sleep(2.5)
        return self.erne.rss_mib()


def verdicts(arguments, campaign: Campaign, first_mib: float, last_mib: float, probes: list) -> list[str]:
    faults = []
    bad = [outcome for outcome, _ in probes if outcome != 200]
    if bad:
        faults.append(f"{len(bad)} of {len(probes)} small requests were not answered: {collections.Counter(map(str, bad))}")
    slowest = max(seconds for _, seconds in probes)
    if slowest > arguments.slowest:
        faults.append(f"a small request waited {slowest:.2f} s, at most {arguments.slowest} s are allowed")
    if last_mib - first_mib > MAX_GROWTH_MIB:
        faults.append(f"memory did not come back: {last_mib:.0f} MiB, before {first_mib:.0f} MiB")
    return faults


async def run(arguments, erne: ErneProcess, metrics_port: int) -> list[str]:
    campaign = Campaign(erne, metrics_port, arguments.seed)
    at_start = erne.rss_mib()
    stop, results = multiprocessing.Event(), multiprocessing.Queue()
    prober = multiprocessing.Process(target=probe, args=(erne.port, stop, results), daemon=True)
    prober.start()
    probes: list = []
    collector = threading.Thread(target=lambda: [probes.append(item) for item in iter(results.get, None)], daemon=True)
    collector.start()
    start = time.monotonic()
    await campaign.run(arguments.requests // 20, arguments.clients)
    first_mib = await campaign.settled_mib()
    await campaign.run(arguments.requests - arguments.requests // 20, arguments.clients)
    seconds = time.monotonic() - start
    last_mib = await campaign.settled_mib()
    stop.set()
    prober.join()
    results.put(None)
    collector.join()
    waits = sorted(wait for _, wait in probes)
    print(f"{campaign.num_sent} requests in {seconds:.0f} s, {arguments.clients} clients at a time, seed {arguments.seed}")
    print("what became of them: " + ", ".join(f"{name}: {count}" for name, count in campaign.outcomes.most_common()))
    print(f"{len(probes)} small requests: slowest {waits[-1]:.3f} s, half within {waits[len(waits) // 2]:.3f} s")
    print(f"resident memory: {at_start:.0f} MiB at the start, {first_mib:.0f} after a twentieth, {campaign.peak_mib:.0f} at "
          f"most, {last_mib:.0f} at the end; {erne.num_files()} open files")
    return verdicts(arguments, campaign, first_mib, last_mib, probes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=48, help="at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory-mb", type=int, default=1200)
    parser.add_argument("--slowest", type=float, default=1.0, help="seconds a small request may wait")
    arguments = parser.parse_args()
    limit = MemoryLimit(arguments.memory_mb)
    print(f"limit of memory: {limit}", flush=True)
    erne_process.limit_files = lambda: limit.preexec()
    metrics_port = free_port()
    try:
        with ErneProcess(*FLAGS, "--metrics-port", str(metrics_port)) as erne:
            faults = asyncio.run(run(arguments, erne, metrics_port))
    finally:
        limit.remove()
    for fault in faults:
        print(f"FAULT: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
