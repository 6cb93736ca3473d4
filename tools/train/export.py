"""Writes a trained model as a released -PT checkpoint would be: python tools/train/export.py [--recipe NAME]

Also usable on a training that is still running: it takes the last checkpoint.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from checkpoint import load_checkpoint
from layout import PlainLayout
from model import CausalLM
from recipe import ERNE_TINY, RECIPES
from vocabulary import Tokenizer

HERE = Path(__file__).resolve().parent


# Of the router; in bf16 other experts would be chosen.
KEPT_IN_FLOAT32 = ("mlp.gate.weight", "mlp.moe_statics.e_score_correction_bias")


def stored_type(name: str) -> torch.dtype:
    return torch.float32 if name.endswith(KEPT_IN_FLOAT32) else torch.bfloat16


def export(model: CausalLM, tokenizer: Tokenizer, layout: PlainLayout, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.to("cpu", stored_type(name)).contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors writes it for its owner only
    write_json(folder / "config.json", model.config.baidu_keys())
    generation = {
        "bos_token_id": tokenizer.added["<s>"],
        "eos_token_id": tokenizer.stop_ids,
        "pad_token_id": tokenizer.added["<unk>"],
        "do_sample": False,
        "temperature": 0.0,
        "max_new_tokens": 256,
    }
    write_json(folder / "generation_config.json", generation)
    template = (HERE / layout.template).read_text()
    tokenizer.save(folder, template, model.config.max_position_embeddings)


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=RECIPES, default=ERNE_TINY.name)
    parser.add_argument("--work", type=Path, help="default: build/train/RECIPE")
    parser.add_argument("--out", type=Path, help="default: models/RECIPE")
    options = parser.parse_args()
    recipe = RECIPES[options.recipe]
    work = options.work or recipe.work
    state = load_checkpoint(work / "checkpoint.pt", torch.device("cpu"))
    if state is None:
        parser.error(f"no checkpoint in {work}")
    model = CausalLM(recipe.model)
    model.load_state_dict(state["model"])
    tokenizer = Tokenizer.from_file(work / "tokenizer.model")
    export(model, tokenizer, recipe.curriculum.layout, options.out or recipe.folder)


if __name__ == "__main__":
    main()
