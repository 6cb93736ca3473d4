"""Trains erne-tiny from nothing and exports it: python tools/train/train.py

Interrupted, the same command goes on from the last checkpoint.
"""

import argparse
import dataclasses
import os
import time
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F

from batches import MicroBatch, documents_of_step, micro_batches
from checkpoint import load_checkpoint, save_checkpoint
from curriculum import corpus
from export import export
from model import CausalLM
from optimiser import Optimiser
from parallel import Team, run_as_team
from probe import probe
from recipe import ERNE_TINY, Recipe
from vocabulary import Tokenizer, train_vocabulary

REPOSITORY = Path(__file__).resolve().parents[2]
VOCABULARY_DOCUMENTS = 20_000
LOG_EVERY = 25
CHECKPOINT_EVERY = 50
PROBE_EVERY = 250


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=REPOSITORY / "build/train/erne-tiny", help="checkpoints, log")
    parser.add_argument("--export", type=Path, default=REPOSITORY / "models/erne-tiny", help="the finished model")
    parser.add_argument("--steps", type=int, default=ERNE_TINY.steps)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--processes", type=int, default=None, help="default: one per CPU core, or one with a GPU")
    parser.add_argument("--no-compile", action="store_true", help="do without torch.compile (it needs a C++ compiler)")
    return parser.parse_args()


def vocabulary_in(work: Path, recipe: Recipe) -> Tokenizer:
    """The vocabulary of this training, made once."""
    path = work / "tokenizer.model"
    if not path.exists():
        path.write_bytes(train_vocabulary(corpus(recipe.seed, VOCABULARY_DOCUMENTS), recipe.model.vocab_size))
    return Tokenizer.from_file(path)


class Training:
    def __init__(self, recipe: Recipe, work: Path, device: torch.device, compiled: bool, team: Team):
        self.recipe = recipe
        self.team = team
        self.device = device
        self.path = work / "checkpoint.pt"
        self.tokenizer = vocabulary_in(work, recipe)
        torch.manual_seed(recipe.seed)
        self.model = CausalLM(recipe.model).to(device)
        self.optimiser = Optimiser(self.model, recipe)
        self.body = torch.compile(self.model.model, dynamic=True) if compiled else self.model.model
        self.step = 0
        self.tokens = 0
        self.resume()

    def resume(self) -> None:
        state = load_checkpoint(self.path, self.device)
        if state:
            self.model.load_state_dict(state["model"])
            self.optimiser.load(state["optimiser"])
            self.step, self.tokens = state["step"], state["tokens"]

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state(),
            "step": self.step,
            "tokens": self.tokens,
        }
        save_checkpoint(self.path, state)

    def loss_sum(self, batch: MicroBatch) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16):
            hidden = self.body(batch.ids.to(self.device)).flatten(0, 1)
            logits = self.model.head(hidden[batch.positions.to(self.device)])
        return F.cross_entropy(logits.float(), batch.targets.to(self.device), reduction="sum")

    def run_step(self) -> float:
        """One optimiser step; the mean loss of its trained tokens."""
        progress = self.step / self.recipe.steps
        documents = documents_of_step(
            self.recipe.seed, self.step, progress, self.tokenizer, self.recipe.tokens_per_step
        )
        trained = sum(sum(document.trained) for document in documents)
        total = 0.0
        for batch in self.team.share_of(list(micro_batches(documents))):
            loss = self.loss_sum(batch)
            (loss / trained).backward()
            total += loss.item()
        self.team.sum_gradients(self.optimiser.parameters)
        total = self.team.sum_number(total)
        self.optimiser.step(self.recipe.rate_at(self.step))
        self.step += 1
        self.tokens += sum(len(document.ids) for document in documents)
        return total / trained

    def run(self) -> None:
        started, tokens_before, losses = time.monotonic(), self.tokens, []
        while self.step < self.recipe.steps:
            losses.append(self.run_step())
            if not self.team.leads:
                continue
            if self.step % LOG_EVERY == 0:
                speed = (self.tokens - tokens_before) / (time.monotonic() - started)
                mean = sum(losses) / len(losses)
                print(f"step {self.step} loss {mean:.4f} tokens {self.tokens} tokens/s {speed:.0f}", flush=True)
                started, tokens_before, losses = time.monotonic(), self.tokens, []
            if self.step % CHECKPOINT_EVERY == 0:
                self.save()
            if self.step % PROBE_EVERY == 0:
                shares = probe(self.model, self.tokenizer)
                print("probe " + " ".join(f"{task} {share:.2f}" for task, share in shares.items()), flush=True)


def train(team: Team, options: argparse.Namespace) -> None:
    recipe = dataclasses.replace(ERNE_TINY, steps=options.steps)
    training = Training(recipe, options.work, torch.device(options.device), not options.no_compile, team)
    training.run()
    if team.leads:
        training.save()
        export(training.model, training.tokenizer, options.export)


def main() -> None:
    options = arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    vocabulary_in(options.work, ERNE_TINY)  # before several processes look for it
    processes = options.processes or (1 if options.device == "cuda" else os.cpu_count() or 1)
    run_as_team(processes, partial(train, options=options))


if __name__ == "__main__":
    main()
