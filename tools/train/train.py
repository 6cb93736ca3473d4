"""Trains a model and exports it: python tools/train/train.py [--recipe erne-tiny-moe]

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

from balance import Balance
from batches import MicroBatch, documents_of_step, micro_batches
from checkpoint import load_checkpoint, save_checkpoint
from curriculum import corpus
from export import export
from model import CausalLM, Decoder, SparseFeedForward
from optimiser import Optimiser
from parallel import Team, run_as_team
from probe import probe
from recipe import ERNE_TINY, RECIPES, Recipe
from upcycle import load_dense, upcycled
from vocabulary import Tokenizer, train_vocabulary

VOCABULARY_DOCUMENTS = 20_000
LOG_EVERY = 25
CHECKPOINT_EVERY = 50
PROBE_EVERY = 250


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=RECIPES, default=ERNE_TINY.name, help="which model")
    parser.add_argument("--work", type=Path, help="checkpoints (default: build/train/RECIPE)")
    parser.add_argument("--export", type=Path, help="the finished model (default: models/RECIPE)")
    parser.add_argument("--steps", type=int, help="default: the recipe's")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--processes", type=int, default=None, help="default: one per CPU core, or one with a GPU")
    parser.add_argument("--no-compile", action="store_true", help="do without torch.compile (it needs a C++ compiler)")
    return parser.parse_args()


def vocabulary_in(work: Path, recipe: Recipe) -> Tokenizer:
    """The vocabulary of this training, made once."""
    path = work / "tokenizer.model"
    if not path.exists():
        path.write_bytes(new_vocabulary(recipe))
    return Tokenizer.from_file(path)


def new_vocabulary(recipe: Recipe) -> bytes:
    if recipe.grown_from:
        return Tokenizer.from_file(RECIPES[recipe.grown_from].folder / "tokenizer.model").with_reply_marks().serialised
    return train_vocabulary(corpus(recipe.curriculum, recipe.seed, VOCABULARY_DOCUMENTS), recipe.model.vocab_size)


def new_model(recipe: Recipe) -> CausalLM:
    torch.manual_seed(recipe.seed)
    if recipe.grown_from:
        return upcycled(load_dense(RECIPES[recipe.grown_from].folder), recipe.model)
    return CausalLM(recipe.model)


def compiled_body(decoder: Decoder) -> Decoder:
    """The whole decoder, or without the routed experts: which shapes they see is only known when they run."""
    sparse = [layer for layer in decoder.layers if isinstance(layer.mlp, SparseFeedForward)]
    if not sparse:
        return torch.compile(decoder, dynamic=True)
    for layer in [*decoder.layers, *decoder.mtp_block]:
        layer.attended = torch.compile(layer.attended, dynamic=True)
    for layer in sparse:
        layer.mlp.shared_experts.compile(dynamic=True)
    return decoder


class Training:
    def __init__(self, recipe: Recipe, work: Path, device: torch.device, compiled: bool, team: Team):
        self.recipe = recipe
        self.team = team
        self.device = device
        self.path = work / "checkpoint.pt"
        self.tokenizer = vocabulary_in(work, recipe)
        self.model = new_model(recipe).to(device)
        self.optimiser = Optimiser(self.model, recipe)
        self.balance = Balance(self.model, recipe.balance_rate / recipe.learning_rate)
        self.body = compiled_body(self.model.model) if compiled else self.model.model
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

    def losses(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed over the trained tokens: of the model, and of its draft block if that is trained."""
        with torch.autocast(self.device.type, torch.bfloat16):
            stream = self.body(batch.ids.to(self.device))
            own = self.cross_entropy(stream, batch.positions, batch.targets)
            if not self.recipe.draft_weight:
                return own, torch.zeros(())
            # Detached: the block learns to follow the model, not the model to be easy to follow.
            drafted = self.model.model.draft(stream.detach(), batch.following.to(self.device))
            return own, self.cross_entropy(drafted, batch.draft_positions, batch.draft_targets)

    def cross_entropy(self, stream: torch.Tensor, positions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self.model.head(stream.flatten(0, 1)[positions.to(self.device)])
        return F.cross_entropy(logits.float(), targets.to(self.device), reduction="sum")

    def run_step(self) -> float:
        """One optimiser step; the mean loss of its trained tokens."""
        progress = self.step / self.recipe.steps
        recipe = self.recipe
        documents = documents_of_step(
            recipe.curriculum, recipe.seed, self.step, progress, self.tokenizer, recipe.tokens_per_step
        )
        trained = sum(sum(document.trained) for document in documents)
        total = 0.0
        for batch in self.team.share_of(list(micro_batches(documents))):
            own, drafted = self.losses(batch)
            ((own + recipe.draft_weight * drafted) / trained).backward()
            total += own.item()
        self.team.sum_gradients(self.optimiser.parameters)
        total = self.team.sum_number(total)
        rate = recipe.rate_at(self.step)
        self.optimiser.step(rate)
        self.balance.step(self.team, rate)
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
                progress = f"step {self.step} loss {mean:.4f} tokens {self.tokens} tokens/s {speed:.0f}"
                print(progress + str(self.balance), flush=True)
                started, tokens_before, losses = time.monotonic(), self.tokens, []
            if self.step % CHECKPOINT_EVERY == 0:
                self.save()
            if self.step % PROBE_EVERY == 0 or self.step == self.recipe.steps:
                shares = probe(self.model, self.tokenizer, self.recipe.curriculum)
                print("probe " + " ".join(f"{task} {share:.2f}" for task, share in shares.items()), flush=True)


def train(team: Team, options: argparse.Namespace) -> None:
    recipe = RECIPES[options.recipe]
    recipe = dataclasses.replace(recipe, steps=options.steps or recipe.steps)
    work = options.work or recipe.work
    training = Training(recipe, work, torch.device(options.device), not options.no_compile, team)
    training.run()
    if team.leads:
        training.save()
        export(training.model, training.tokenizer, recipe.curriculum.layout, options.export or recipe.folder)


def main() -> None:
    options = arguments()
    recipe = RECIPES[options.recipe]
    work = options.work or recipe.work
    work.mkdir(parents=True, exist_ok=True)
    vocabulary_in(work, recipe)  # before several processes look for it
    processes = options.processes or (1 if options.device == "cuda" else os.cpu_count() or 1)
    run_as_team(processes, partial(train, options=options))


if __name__ == "__main__":
    main()
