"""A quick look at the accuracy during training: is every token of the answer the most likely one?

For tasks with a single right answer this equals the accuracy of greedy decoding, at the price of one
forward pass. Small talk is probed on its trained cases, all else on held-out ones.
"""

from random import Random

import torch

from batches import MicroBatch, stacked
from curriculum import Curriculum
from model import CausalLM
from transcript import Transcript, last_reply_only
from vocabulary import Tokenizer

ROWS = 16


def probe_transcripts(
    tokenizer: Tokenizer, curriculum: Curriculum, task: str, thinking: bool, count: int
) -> list[Transcript]:
    rng = Random(f"probe/{task}")
    cases = [curriculum.tasks[task].draw(rng, 1.0, held_out=True) for _ in range(count)]
    conversations = (case.conversation(thinking) for case in cases)
    transcripts = (last_reply_only(tokenizer, curriculum.layout, c) for c in conversations)
    return sorted(transcripts, key=lambda t: len(t.ids))


def right_tokens(model: CausalLM, stream: torch.Tensor, positions: torch.Tensor, targets: torch.Tensor) -> list[bool]:
    likeliest = model.head(stream.flatten(0, 1)[positions.to(stream.device)]).argmax(-1)
    return (likeliest.cpu() == targets).tolist()


@torch.no_grad()
def exact_share(model: CausalLM, transcripts: list[Transcript]) -> float:
    device = next(model.parameters()).device
    exact = 0
    for batch in probe_batches(transcripts):
        right = right_tokens(model, model.model(batch.ids.to(device)), batch.positions, batch.targets)
        rows = (batch.positions // batch.ids.shape[1]).tolist()
        wrong_rows = {row for row, ok in zip(rows, right) if not ok}
        exact += batch.ids.shape[0] - len(wrong_rows)
    return exact / len(transcripts)


@torch.no_grad()
def drafted_share(model: CausalLM, transcripts: list[Transcript]) -> float:
    """Of the tokens of expected replies: how many the draft block finds."""
    device = next(model.parameters()).device
    right: list[bool] = []
    for batch in probe_batches(transcripts):
        ids = batch.ids.to(device)
        stream = model.model.draft(model.model(ids), batch.following.to(device))
        right += right_tokens(model, stream, batch.draft_positions, batch.draft_targets)
    return sum(right) / len(right)


def probe_batches(transcripts: list[Transcript]) -> list[MicroBatch]:
    return [stacked(transcripts[start : start + ROWS]) for start in range(0, len(transcripts), ROWS)]


def probe(model: CausalLM, tokenizer: Tokenizer, curriculum: Curriculum, count: int = 48) -> dict[str, float]:
    shares = {}
    for task in curriculum.tasks:
        if task == "story":  # has many right answers
            continue
        for thinking in curriculum.layout.modes:
            transcripts = probe_transcripts(tokenizer, curriculum, task, thinking, count)
            shares[task + "/thinking" * thinking] = exact_share(model, transcripts)
    return shares
