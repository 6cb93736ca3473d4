"""A second decoder, in numpy and for one sequence, to judge exported files by.

It shares no code with model.py: it reads the safetensors file byte by byte and writes every step out.
"""

import json
import struct
from pathlib import Path

import numpy as np


def as_float32(dtype: str, data: bytes) -> np.ndarray:
    if dtype == "F32":
        return np.frombuffer(data, dtype="<f4")
    if dtype == "BF16":
        return (np.frombuffer(data, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    raise ValueError(f"a tensor is {dtype}, neither BF16 nor F32")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    raw = path.read_bytes()
    (header_length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + header_length])
    data = raw[8 + header_length :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        tensors[name] = as_float32(entry["dtype"], data[first:last]).reshape(entry["shape"])
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


def part_of(weights: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def feed_forward(w: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    gate = x @ w["gate_proj.weight"].T
    return (gate / (1 + np.exp(-gate)) * (x @ w["up_proj.weight"].T)) @ w["down_proj.weight"].T


def mixed_experts(config: dict, w: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Token by token: the best experts by probability + bias, weighted by probability alone."""
    out = feed_forward(part_of(w, "shared_experts."), x)
    scores = np.exp(x @ w["gate.weight"].T)
    for token, probability in enumerate(scores / scores.sum(axis=1, keepdims=True)):
        order = np.argsort(-(probability + w["moe_statics.e_score_correction_bias"][0]), kind="stable")
        chosen = order[: config["moe_k"]]
        for expert in chosen:
            share = probability[expert] / probability[chosen].sum()
            out[token] += share * feed_forward(part_of(w, f"experts.{expert}."), x[token])
    return out


def layer_output(config: dict, w: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    size, eps, theta = config["head_dim"], config["rms_norm_eps"], config["rope_theta"]
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    y = normed(x, w["input_layernorm.weight"], eps)
    queries, keys, values = (y @ w[f"self_attn.{part}_proj.weight"].T for part in "qkv")
    mixed = []
    for head in range(config["num_attention_heads"]):
        own, shared = slice(head * size, (head + 1) * size), head // group
        source = slice(shared * size, (shared + 1) * size)
        mixed.append(attended(turned(queries[:, own], theta), turned(keys[:, source], theta), values[:, source]))
    x = x + np.concatenate(mixed, axis=1) @ w["self_attn.o_proj.weight"].T
    y = normed(x, w["post_attention_layernorm.weight"], eps)
    mlp = part_of(w, "mlp.")
    return x + (mixed_experts(config, mlp, y) if "gate.weight" in mlp else feed_forward(mlp, y))


class PlainDecoder:
    def __init__(self, folder: Path):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = read_safetensors(folder / "model.safetensors")

    def logits(self, ids: list[int]) -> np.ndarray:
        return self.head(self.stream(ids))

    def stream(self, ids: list[int]) -> np.ndarray:
        x = self.weights["model.embed_tokens.weight"][ids]
        for layer in range(self.config["num_hidden_layers"]):
            x = layer_output(self.config, part_of(self.weights, f"model.layers.{layer}."), x)
        return x

    def head(self, stream: np.ndarray) -> np.ndarray:
        embedding = self.weights["model.embed_tokens.weight"]
        return normed(stream, self.weights["model.norm.weight"], self.config["rms_norm_eps"]) @ embedding.T

    def draft_logits(self, ids: list[int]) -> np.ndarray:
        """Row t is of token t + 2, given the stream at t and token t + 1."""
        w, eps = self.weights, self.config["rms_norm_eps"]
        following = normed(w["model.embed_tokens.weight"][ids[1:]], w["model.mtp_emb_norm.0.weight"], eps)
        seen = normed(self.stream(ids)[:-1], w["model.mtp_hidden_norm.0.weight"], eps)
        joined = np.concatenate((following, seen), axis=1) @ w["model.mtp_linear_proj.0.weight"].T
        return self.head(layer_output(self.config, part_of(w, "model.mtp_block.0."), joined))
