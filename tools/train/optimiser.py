"""Muon for the matrices inside the layers, AdamW for the embedding and the norms."""

import torch

from model import CausalLM
from recipe import Recipe


class Optimiser:
    def __init__(self, model: CausalLM, recipe: Recipe):
        inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
        outer = [p for n, p in model.named_parameters() if p.ndim == 1 or "embed" in n]
        self.parts = [
            # match_rms_adamw: its updates are as large as Adam's, so both take the same rate.
            torch.optim.Muon(
                inner, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(outer, lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.parameters = [*inner, *outer]

    def step(self, rate: float) -> None:
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> list[dict]:
        return [part.state_dict() for part in self.parts]

    def load(self, states: list[dict]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
