"""What lm-eval has to come out with, from the checkpoint's own files and numpy, with nothing of erne.

The forward of the dense ERNIE-4.5: bf16 weights widened to float32, all arithmetic in float32, the
probabilities in float64.
"""
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sentencepiece


@dataclass(frozen=True)
class Likelihood:
    """Of a continuation: the log of its probability, and whether greedy decoding would give it."""
    log_probability: float
    worst_margin: float  # of a chosen logit over the best other one

    @property
    def is_greedy(self) -> bool:
        return self.worst_margin > 0


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "BF16", f"{name}: {entry['dtype']}"
        bits = np.frombuffer(data[slice(*entry["data_offsets"])], "<u2").astype("<u4") << 16
        tensors[name] = bits.view("<f4").reshape(entry["shape"])
    return tensors


def rms_norm(rows: np.ndarray, weight: np.ndarray, epsilon: float) -> np.ndarray:
    mean_square = np.mean(np.square(rows), axis=-1, keepdims=True)
    return rows / np.sqrt(mean_square + np.float32(epsilon)) * weight


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


class Reference:
    def __init__(self, folder: Path):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = read_tensors(folder / "model.safetensors")
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        assert self.config["tie_word_embeddings"] and not self.config["use_bias"]

    def encode(self, text: str) -> list[int]:
        return self.pieces.encode(text)

    def project(self, name: str, rows: np.ndarray) -> np.ndarray:
        return rows @ self.weights[f"model.layers.{name}.weight"].T

    def norm(self, name: str, rows: np.ndarray) -> np.ndarray:
        return rms_norm(rows, self.weights[f"model.{name}.weight"], self.config["rms_norm_eps"])

    def rotate(self, heads: np.ndarray) -> np.ndarray:
        """Turns neighbouring pairs of [heads, tokens, size] by position x frequency."""
        size = heads.shape[-1]
        frequencies = self.config["rope_theta"] ** (-np.arange(0, size, 2) / size)
        angles = np.outer(np.arange(heads.shape[1], dtype=np.float32), frequencies.astype(np.float32))
        pairs = heads.reshape(*heads.shape[:-1], size // 2, 2)
        turned = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * angles).astype(np.complex64)
        return np.stack([turned.real, turned.imag], axis=-1).reshape(heads.shape)

    def attention(self, layer: int, rows: np.ndarray) -> np.ndarray:
        def heads(which: str, count: int) -> np.ndarray:
            flat = self.project(f"{layer}.self_attn.{which}_proj", rows)
            return flat.reshape(len(rows), count, -1).swapaxes(0, 1)

        num_queries, num_keys = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        group = num_queries // num_keys
        queries = self.rotate(heads("q", num_queries))
        keys = self.rotate(heads("k", num_keys)).repeat(group, axis=0)
        values = heads("v", num_keys).repeat(group, axis=0)
        scores = queries @ keys.swapaxes(1, 2) / np.float32(np.sqrt(queries.shape[-1]))
        scores[:, ~np.tri(len(rows), dtype=bool)] = -np.inf
        mixed = (softmax(scores) @ values).swapaxes(0, 1).reshape(len(rows), -1)
        return self.project(f"{layer}.self_attn.o_proj", mixed)

    def feed_forward(self, layer: int, rows: np.ndarray) -> np.ndarray:
        gate, up = (self.project(f"{layer}.mlp.{which}_proj", rows) for which in ("gate", "up"))
        return self.project(f"{layer}.mlp.down_proj", gate / (1 + np.exp(-gate)) * up)

    def logits(self, ids: list[int]) -> np.ndarray:
        """[tokens, vocabulary]"""
        embedding = self.weights["model.embed_tokens.weight"]
        rows = embedding[ids]
        for layer in range(self.config["num_hidden_layers"]):
            rows = rows + self.attention(layer, self.norm(f"layers.{layer}.input_layernorm", rows))
            rows = rows + self.feed_forward(layer, self.norm(f"layers.{layer}.post_attention_layernorm", rows))
        return self.norm("norm", rows) @ embedding.T

    def likelihood(self, context: list[int], continuation: list[int]) -> Likelihood:
        predictions = self.logits(context + continuation)[len(context) - 1:-1].astype(np.float64)
        positions = np.arange(len(continuation))
        chosen = predictions[positions, continuation]
        normalisers = np.logaddexp.reduce(predictions, axis=-1)
        predictions[positions, continuation] = -np.inf
        margins = chosen - predictions.max(axis=-1)
        return Likelihood(float(np.sum(chosen - normalisers)), float(margins.min()))

    def likelihood_after(self, context: str, continuation: str) -> Likelihood:
        """With lm-eval's cut: both are encoded together, and spaces at the end of the context go over."""
        kept = context.rstrip()
        if not kept:
            return self.likelihood([self.config["bos_token_id"]], self.encode(context + continuation))
        num_context = len(self.encode(kept))
        ids = self.encode(context + continuation)
        return self.likelihood(ids[:num_context], ids[num_context:])
