"""Documents of one optimiser step, grouped so that little is padding."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import torch

from curriculum import Curriculum
from transcript import Transcript
from vocabulary import Tokenizer

LENGTH_STEP = 8  # padded lengths are multiples of this: few distinct shapes
MICRO_BATCH_TOKENS = 4096
SMALLEST_MICRO_BATCH_TOKENS = 512
MOST_STRETCH = 1.3  # longest row of a batch to its shortest


@dataclass(frozen=True)
class MicroBatch:
    ids: torch.Tensor  # [rows, tokens], padded at the end, which a causal model never looks at
    positions: torch.Tensor  # flat indices of the tokens whose successor is trained on
    targets: torch.Tensor  # those successors

    @property
    def draft_positions(self) -> torch.Tensor:
        """Flat indices of the tokens whose successor's successor is trained on: the targets of a draft."""
        return self.positions[self.is_drafted] - 1

    @property
    def draft_targets(self) -> torch.Tensor:
        return self.targets[self.is_drafted]

    @property
    def is_drafted(self) -> torch.Tensor:
        """Not the second token of a row: its draft would have to come from before the row."""
        return self.positions % self.ids.shape[1] > 0

    @property
    def following(self) -> torch.Tensor:
        """Every token's successor; that of the last one in a row is no one's target and may be anything."""
        return self.ids.roll(-1, dims=1)


def documents_of_step(
    curriculum: Curriculum, seed: int, step: int, progress: float, tokenizer: Tokenizer, tokens: int
) -> list[Transcript]:
    """The same documents whenever this step is run, so that a resumed training is the same training."""
    rng = Random(f"{seed}/{step}")
    drawn: list[Transcript] = []
    while sum(len(transcript.ids) for transcript in drawn) < tokens:
        drawn.append(curriculum.document(rng, tokenizer, progress))
    return drawn


def padded_length(transcript: Transcript) -> int:
    return -(-len(transcript.ids) // LENGTH_STEP) * LENGTH_STEP


def micro_batches(transcripts: list[Transcript]) -> Iterator[MicroBatch]:
    rows: list[Transcript] = []
    for transcript in sorted(transcripts, key=lambda t: len(t.ids)):
        if rows and not fits(rows, padded_length(transcript)):
            yield stacked(rows)
            rows = []
        rows.append(transcript)
    if rows:
        yield stacked(rows)


def fits(rows: list[Transcript], length: int) -> bool:
    """Whether a row of this length joins the batch without making it too large or mostly padding."""
    full = (len(rows) + 1) * length > MICRO_BATCH_TOKENS
    worthwhile = sum(len(row.ids) for row in rows) >= SMALLEST_MICRO_BATCH_TOKENS
    stretched = length > MOST_STRETCH * len(rows[0].ids)
    return not full and not (worthwhile and stretched)


def stacked(rows: list[Transcript]) -> MicroBatch:
    length = padded_length(rows[-1])
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    trained = torch.zeros(len(rows), length, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        trained[i, : len(row.ids)] = torch.tensor(row.trained)
    trained[:, 0] = False  # nothing precedes the first token
    targets = trained.flatten().nonzero().squeeze(1)
    return MicroBatch(ids, positions=targets - 1, targets=ids.flatten()[targets])
