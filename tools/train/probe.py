"""A quick look at the accuracy during training: is every token of the answer the most likely one?

For tasks with a single right answer this equals the accuracy of greedy decoding, at the price of one
forward pass. Small talk is probed on its trained cases, all else on held-out ones.
"""

from random import Random

import torch

from batches import stacked
from model import CausalLM
from tasks import TASKS
from transcript import Transcript, last_reply_only
from vocabulary import Tokenizer

ROWS = 16


def probe_transcripts(tokenizer: Tokenizer, task: str, count: int) -> list[Transcript]:
    rng = Random(f"probe/{task}")
    cases = [TASKS[task].draw(rng, 1.0, held_out=True) for _ in range(count)]
    return sorted((last_reply_only(tokenizer, c.conversation()) for c in cases), key=lambda t: len(t.ids))


@torch.no_grad()
def exact_share(model: CausalLM, tokenizer: Tokenizer, task: str, count: int) -> float:
    transcripts = probe_transcripts(tokenizer, task, count)
    device = next(model.parameters()).device
    exact = 0
    for start in range(0, count, ROWS):
        batch = stacked(transcripts[start : start + ROWS])
        hidden = model.model(batch.ids.to(device)).flatten(0, 1)[batch.positions.to(device)]
        right = (model.head(hidden).argmax(-1).cpu() == batch.targets).tolist()
        rows = (batch.positions // batch.ids.shape[1]).tolist()
        wrong_rows = {row for row, ok in zip(rows, right) if not ok}
        exact += batch.ids.shape[0] - len(wrong_rows)
    return exact / count


def probe(model: CausalLM, tokenizer: Tokenizer, count: int = 48) -> dict[str, float]:
    return {task: exact_share(model, tokenizer, task, count) for task in TASKS if task != "story"}
