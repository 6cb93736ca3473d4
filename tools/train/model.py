"""ERNIE-4.5 dense decoder in PyTorch.

Module names are those of the released -PT checkpoints, so a state dict *is* a checkpoint, and the
config keys are those of Baidu's config.json.
"""

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ModelConfig:
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int = 128
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-5
    rope_theta: float = 500000.0

    def baidu_keys(self) -> dict:
        """config.json of a released dense checkpoint with these sizes."""
        return {
            "architectures": ["Ernie4_5ForCausalLM"],
            "model_type": "ernie4_5",
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "use_bias": False,
            "use_cache": True,
            **asdict(self),
        }

    @classmethod
    def from_baidu_keys(cls, keys: dict) -> "ModelConfig":
        return cls(**{name: keys[name] for name in cls.__dataclass_fields__})


class RotaryTable(nn.Module):
    """Angles of the interleaved pairs (2i, 2i+1); position x frequency is a float32 product."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        exponent = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
        inverse_frequency = config.rope_theta ** -exponent
        positions = torch.arange(config.max_position_embeddings, dtype=torch.float32)
        angles = positions[:, None] * inverse_frequency
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        """x: [batch, heads, tokens, head_dim], tokens starting at position 0."""
        tokens = x.shape[2]
        cos, sin = self.cos[:tokens], self.sin[:tokens]
        even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1)
        return turned.flatten(-2).to(x.dtype)


class RmsNorm(nn.Module):
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * scale).to(x.dtype) * self.weight


class Attention(nn.Module):
    def __init__(self, config: ModelConfig, rotary: RotaryTable):
        super().__init__()
        self.head_dim = config.head_dim
        self.group = config.num_attention_heads // config.num_key_value_heads
        query_width = config.num_attention_heads * config.head_dim
        key_width = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, query_width, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, key_width, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, key_width, bias=False)
        self.o_proj = nn.Linear(query_width, config.hidden_size, bias=False)
        self.rotary = [rotary]  # in a list: shared by all layers, owned by the decoder

    def heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, _ = x.shape
        rotate = self.rotary[0].rotate
        # Query head h reads KV head h // group: the heads of a group become further rows of one product.
        # Written out, because compiled products are faster on a CPU than torch's fused attention.
        query = rotate(self.heads(self.q_proj(x))).reshape(-1, self.group * tokens, self.head_dim)
        key = rotate(self.heads(self.k_proj(x))).reshape(-1, tokens, self.head_dim)
        value = self.heads(self.v_proj(x)).reshape(-1, tokens, self.head_dim)
        scores = torch.bmm(query, key.transpose(1, 2)).float() * self.head_dim**-0.5
        visible = torch.ones(tokens, tokens, dtype=torch.bool, device=x.device).tril()
        scores = torch.where(visible, scores.view(-1, self.group, tokens, tokens), torch.finfo(torch.float32).min)
        weights = scores.softmax(-1).to(value.dtype).view(-1, self.group * tokens, tokens)
        mixed = torch.bmm(weights, value).view(batch, -1, tokens, self.head_dim)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    def __init__(self, config: ModelConfig, rotary: RotaryTable):
        super().__init__()
        self.input_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, rotary)
        self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = FeedForward(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.rotary = RotaryTable(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            DecoderLayer(config, self.rotary) for _ in range(config.num_hidden_layers)
        )
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class CausalLM(nn.Module):
    """Tied head: logits are products with the embedding rows."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.initialise()

    def initialise(self) -> None:
        residual_writers = 2 * self.config.num_hidden_layers
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                continue
            deviation = 0.02 if "embed" in name else parameter.shape[1] ** -0.5
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                deviation *= residual_writers**-0.5
            nn.init.normal_(parameter, std=deviation)

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        return F.linear(hidden, self.model.embed_tokens.weight)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.model(ids))
