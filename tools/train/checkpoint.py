"""The state of a training on disk, replaced as a whole so that an interruption cannot leave half of it."""

import os
from pathlib import Path

import torch


def save_checkpoint(path: Path, state: dict) -> None:
    unfinished = path.with_suffix(".partial")
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def load_checkpoint(path: Path, device: torch.device) -> dict | None:
    if not path.exists():
        return None
    return torch.load(path, map_location=device, weights_only=True)
