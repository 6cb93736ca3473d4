"""Several processes that share the micro-batches of every step.

On a CPU, processes of one thread each are faster than threads inside the operators: they meet once per
step, not at every matrix product, so other work on the machine does not stall them all.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable

import torch
from torch import distributed

from batches import MicroBatch


class Team:
    """This process among `size` equal ones; alone, all operations are free."""

    def __init__(self, rank: int, size: int):
        self.rank = rank
        self.size = size

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share_of(self, batches: list[MicroBatch]) -> list[MicroBatch]:
        """The batches this process computes: the largest first, each to the least loaded process."""
        loads = [0] * self.size
        mine = []
        for batch in sorted(batches, key=lambda b: -b.ids.numel()):
            owner = loads.index(min(loads))
            loads[owner] += batch.ids.numel()
            if owner == self.rank:
                mine.append(batch)
        return mine

    def sum_gradients(self, parameters: list[torch.nn.Parameter]) -> None:
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        joined = torch.cat([parameter.grad.flatten() for parameter in parameters])
        distributed.all_reduce(joined)
        for parameter, total in zip(parameters, joined.split([p.numel() for p in parameters])):
            parameter.grad.copy_(total.view_as(parameter))

    def sum_tensor(self, tensor: torch.Tensor) -> None:
        if self.size > 1:
            distributed.all_reduce(tensor)

    def sum_number(self, value: float) -> float:
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(total)
        return total.item()


def run_as_team(size: int, work: Callable[[Team], None]) -> None:
    """Calls work(team) in `size` processes and waits for them; `work` must be picklable.

    Under torchrun, which has started the processes already, this one joins the others.
    """
    if "RANK" in os.environ:
        join_team(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["MASTER_PORT"]), work)
        return
    if size == 1:
        work(Team(0, 1))
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Daemons end with this process if it exits in order; a plain kill would leave them training.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    torch.multiprocessing.spawn(join_team, args=(size, port, work), nprocs=size, daemon=True)


def join_team(rank: int, size: int, port: int, work: Callable[[Team], None]) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    distributed.init_process_group("gloo", rank=rank, world_size=size)
    try:
        work(Team(rank, size))
    finally:
        distributed.destroy_process_group()
