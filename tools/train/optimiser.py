"""Muon for the matrices that every token goes through, AdamW for the embedding, the norms and the experts.

Most matrices of a mixture are experts': to orthogonalise them would take as long as the rest of a step.
"""

import torch

from model import CausalLM
from recipe import Recipe


def takes_muon(name: str, parameter: torch.nn.Parameter) -> bool:
    kept_out = ("embed", "mlp.experts.", "mlp.gate.weight")
    return parameter.ndim == 2 and not any(part in name for part in kept_out)


class Optimiser:
    def __init__(self, model: CausalLM, recipe: Recipe):
        inner = [p for n, p in model.named_parameters() if takes_muon(n, p)]
        outer = [p for n, p in model.named_parameters() if not takes_muon(n, p)]
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
