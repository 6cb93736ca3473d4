"""A quick look at the accuracy during training: is every token of the answer the most likely one?

For tasks with a single right answer this equals the accuracy of greedy decoding, at the price of one
forward pass. Small talk is probed on its trained cases, all else on held-out ones.
"""

from random import Random

import torch

from batches import MicroBatch, stacked
from curriculum import Curriculum
from model import CausalLM, MoeConfig
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


def likeliest(model: CausalLM, stream: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    return model.head(stream.flatten(0, 1)[positions.to(stream.device)]).argmax(-1).cpu()


@torch.no_grad()
def exact_share(model: CausalLM, transcripts: list[Transcript]) -> float:
    device = next(model.parameters()).device
    exact = 0
    for batch in probe_batches(transcripts):
        right = likeliest(model, model.model(batch.ids.to(device)), batch.positions) == batch.targets
        rows = (batch.positions // batch.ids.shape[1]).tolist()
        wrong_rows = {row for row, ok in zip(rows, right.tolist()) if not ok}
        exact += batch.ids.shape[0] - len(wrong_rows)
    return exact / len(transcripts)


@torch.no_grad()
def accepted_share(model: CausalLM, transcripts: list[Transcript]) -> float:
    """Of the tokens of expected replies: how often the draft block says what the model will say itself."""
    device = next(model.parameters()).device
    accepted = drafted = 0
    for batch in probe_batches(transcripts):
        ids = batch.ids.to(device)
        stream = model.model(ids)
        drafts = likeliest(model, model.model.draft(stream, batch.following.to(device)), batch.draft_positions)
        accepted += int((drafts == likeliest(model, stream, batch.positions[batch.is_drafted])).sum())
        drafted += len(drafts)
    return accepted / drafted


def probe_batches(transcripts: list[Transcript]) -> list[MicroBatch]:
    return [stacked(transcripts[start : start + ROWS]) for start in range(0, len(transcripts), ROWS)]


def probe(model: CausalLM, tokenizer: Tokenizer, curriculum: Curriculum, count: int = 48) -> dict[str, float]:
    shares = {}
    everything: list[Transcript] = []
    for task in curriculum.tasks:
        if task == "story":  # has many right answers
            continue
        for thinking in curriculum.layout.modes:
            transcripts = probe_transcripts(tokenizer, curriculum, task, thinking, count)
            shares[task + "/thinking" * thinking] = exact_share(model, transcripts)
            everything += transcripts
    if isinstance(model.config, MoeConfig):
        everything.sort(key=lambda transcript: len(transcript.ids))
        shares["accepted_drafts"] = accepted_share(model, everything)
    return shares
