"""Keeps the experts equally busy without a loss of its own, as in ERNIE-4.5 and DeepSeek-V3.

After every step the bias of an expert that was chosen less than the average grows, and that of the others
shrinks; the bias moves the choice and nothing else.
"""

import torch

from model import CausalLM, MoeStatics
from parallel import Team


class Balance:
    def __init__(self, model: CausalLM, rate: float):
        """`rate`: how far a step moves a bias, as a multiple of the learning rate."""
        self.statics = [module for module in model.modules() if isinstance(module, MoeStatics)]
        self.rate = rate
        self.busiest = 1.0  # of the last step: the load of the busiest expert, as a multiple of the average

    @torch.no_grad()
    def step(self, team: Team, learning_rate: float) -> None:
        if not self.statics:
            return
        chosen = torch.stack([statics.chosen for statics in self.statics])
        team.sum_tensor(chosen)
        average = chosen.mean(dim=1, keepdim=True)
        self.busiest = (chosen / average).max().item()
        for statics, missing in zip(self.statics, average - chosen):
            statics.e_score_correction_bias += self.rate * learning_rate * missing.sign()
            statics.chosen.zero_()

    def __str__(self) -> str:
        return f" busiest expert {self.busiest:.2f}" if self.statics else ""
