"""Writes a trained model as a released -PT checkpoint would be: python tools/train/export.py

Also usable on a training that is still running: it takes the last checkpoint.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from checkpoint import load_checkpoint
from model import CausalLM
from recipe import ERNE_TINY
from vocabulary import Tokenizer

HERE = Path(__file__).resolve().parent


def export(model: CausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.to("cpu", torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}
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
    template = (HERE / "chat_template.jinja").read_text()
    tokenizer.save(folder, template, model.config.max_position_embeddings)


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    repository = HERE.parents[1]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=repository / "build/train/erne-tiny")
    parser.add_argument("--out", type=Path, default=repository / "models/erne-tiny")
    options = parser.parse_args()
    state = load_checkpoint(options.work / "checkpoint.pt", torch.device("cpu"))
    if state is None:
        parser.error(f"no checkpoint in {options.work}")
    model = CausalLM(ERNE_TINY.model)
    model.load_state_dict(state["model"])
    export(model, Tokenizer.from_file(options.work / "tokenizer.model"), options.out)


if __name__ == "__main__":
    main()
