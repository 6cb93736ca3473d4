"""What a server says about itself at /metrics."""
import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from http_client import get


@dataclass(frozen=True)
class Gauges:
    running: int
    waiting: int
    blocks: int
    available_blocks: int  # free, or holding a prefix that nobody uses now
    generated_tokens: int
    preemptions: int

    @property
    def at_baseline(self) -> bool:
        return self.running == 0 and self.waiting == 0 and self.available_blocks == self.blocks


async def read_gauges(port: int) -> Gauges:
    lines = (line.split() for line in (await get(port, "/metrics")).splitlines() if line.startswith("fastdeploy:"))
    values = {parts[0].removeprefix("fastdeploy:"): float(parts[1]) for parts in lines if len(parts) == 2}
    return Gauges(
        running=int(values["num_requests_running"]),
        waiting=int(values["num_requests_waiting"]),
        blocks=int(values["max_gpu_block_num"]),
        available_blocks=int(values["available_gpu_block_num"]),
        generated_tokens=int(values["generation_tokens_total"]),
        preemptions=int(values["preemptions_total"]),
    )


async def gauges_when(port: int, what: str, holds: Callable[[Gauges], bool], limit_s: float) -> Gauges:
    """The first for which `holds`; an error after `limit_s`."""
    start = time.monotonic()
    while not holds(gauges := await read_gauges(port)):
        if time.monotonic() - start > limit_s:
            raise AssertionError(f"{what}: not within {limit_s} s, but {gauges}")
        await asyncio.sleep(0.01)
    return gauges


async def seconds_to_baseline(port: int, limit_s: float) -> float:
    """Until nothing runs or waits and every block is available."""
    start = time.monotonic()
    await gauges_when(port, "back to baseline", lambda gauges: gauges.at_baseline, limit_s)
    return time.monotonic() - start
