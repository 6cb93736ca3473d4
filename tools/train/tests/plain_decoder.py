"""A second decoder, in numpy and for one sequence, to judge exported files by.

It shares no code with model.py: it reads the safetensors file byte by byte and writes every step out.
"""

import json
import struct
from pathlib import Path

import numpy as np


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    raw = path.read_bytes()
    (header_length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + header_length])
    data = raw[8 + header_length :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "BF16":
            raise ValueError(f"{name} is {entry['dtype']}, not BF16")
        first, last = entry["data_offsets"]
        upper_halves = np.frombuffer(data[first:last], dtype="<u2").astype(np.uint32)
        tensors[name] = (upper_halves << 16).view(np.float32).reshape(entry["shape"])
    return tensors


def normed(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(eps)) * weight


def turned(x: np.ndarray, theta: float) -> np.ndarray:
    """Rotates the pairs (2i, 2i+1) of x [tokens, head_dim] by position x theta^(-2i/head_dim)."""
    tokens, size = x.shape
    frequencies = (theta ** (-np.arange(0, size, 2) / size)).astype(np.float32)
    angles = np.arange(tokens, dtype=np.float32)[:, None] * frequencies
    pairs = (x[:, 0::2] + 1j * x[:, 1::2]) * np.exp(1j * angles)
    out = np.empty_like(x)
    out[:, 0::2], out[:, 1::2] = pairs.real, pairs.imag
    return out


def attended(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
    tokens, size = query.shape
    scores = query @ key.T / np.sqrt(np.float32(size))
    scores[np.triu_indices(tokens, 1)] = -np.inf
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ value


def logits(folder: Path, ids: list[int]) -> np.ndarray:
    config = json.loads((folder / "config.json").read_text())
    weights = read_safetensors(folder / "model.safetensors")
    size, eps, theta = config["head_dim"], config["rms_norm_eps"], config["rope_theta"]
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    x = weights["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        w = {name.split(".", 3)[3]: t for name, t in weights.items() if name.startswith(f"model.layers.{layer}.")}
        y = normed(x, w["input_layernorm.weight"], eps)
        queries, keys, values = (y @ w[f"self_attn.{part}_proj.weight"].T for part in "qkv")
        mixed = []
        for head in range(config["num_attention_heads"]):
            own, shared = slice(head * size, (head + 1) * size), head // group
            source = slice(shared * size, (shared + 1) * size)
            mixed.append(attended(turned(queries[:, own], theta), turned(keys[:, source], theta), values[:, source]))
        x = x + np.concatenate(mixed, axis=1) @ w["self_attn.o_proj.weight"].T
        y = normed(x, w["post_attention_layernorm.weight"], eps)
        gate = y @ w["mlp.gate_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w["mlp.up_proj.weight"].T)) @ w["mlp.down_proj.weight"].T
    return normed(x, weights["model.norm.weight"], eps) @ weights["model.embed_tokens.weight"].T
