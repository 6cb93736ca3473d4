"""ERNIE-4.5 decoder in PyTorch: dense, or with experts and a draft block.

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

    @staticmethod
    def from_baidu_keys(keys: dict) -> "ModelConfig":
        kind = MoeConfig if "moe_num_experts" in keys else ModelConfig
        return kind(**{name: keys[name] for name in kind.__dataclass_fields__})

    def is_sparse(self, layer: int) -> bool:
        return False


@dataclass(frozen=True)
class MoeConfig(ModelConfig):
    """Experts in all layers from `moe_layer_start_index` on, and a block that drafts a token."""

    moe_num_experts: int = 16
    moe_k: int = 2
    moe_intermediate_size: int = 128
    moe_num_shared_experts: int = 2
    moe_layer_start_index: int = 1
    num_nextn_predict_layers: int = 1

    def baidu_keys(self) -> dict:
        return {
            **super().baidu_keys(),
            "architectures": ["Ernie4_5_MoeForCausalLM"],
            "model_type": "ernie4_5_moe",
            "moe_layer_end_index": -1,
            "moe_layer_interval": 1,
            "moe_use_aux_free": True,
            "moe_gate": "topk",
        }

    def is_sparse(self, layer: int) -> bool:
        return layer >= self.moe_layer_start_index

    @property
    def shared_width(self) -> int:
        return self.moe_num_shared_experts * self.moe_intermediate_size


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
    def __init__(self, hidden_size: int, width: int):
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, width, bias=False)
        self.up_proj = nn.Linear(hidden_size, width, bias=False)
        self.down_proj = nn.Linear(width, hidden_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class MoeStatics(nn.Module):
    """What the router adds for its choice alone, and how often each expert was chosen since last asked."""

    def __init__(self, experts: int):
        super().__init__()
        self.register_buffer("e_score_correction_bias", torch.zeros(1, experts))
        self.register_buffer("chosen", torch.zeros(experts), persistent=False)


ROW_STEP = 32  # few distinct numbers of rows


class SparseFeedForward(nn.Module):
    """Every token goes through the shared experts and through the `moe_k` routed ones that the router chooses."""

    def __init__(self, config: MoeConfig):
        super().__init__()
        self.chosen_per_token = config.moe_k
        self.gate = nn.Linear(config.hidden_size, config.moe_num_experts, bias=False)
        self.moe_statics = MoeStatics(config.moe_num_experts)
        self.experts = nn.ModuleList(
            FeedForward(config.hidden_size, config.moe_intermediate_size) for _ in range(config.moe_num_experts)
        )
        self.shared_experts = FeedForward(config.hidden_size, config.shared_width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shared_experts(x) + self.routed(x.flatten(0, -2)).view_as(x)

    def routed(self, tokens: torch.Tensor) -> torch.Tensor:
        experts, weights = self.route(tokens)
        counts = experts.flatten().bincount(minlength=len(self.experts))
        if self.training and torch.is_grad_enabled():
            self.moe_statics.chosen += counts
        # Every expert gets as many rows as the busiest one: a few products of equal shapes, not many of all
        # shapes, each of which would be compiled anew. Rows left over hold the first token with weight zero.
        rows = -(-int(counts.max()) // ROW_STEP) * ROW_STEP
        pairs = experts.flatten().argsort(stable=True)  # of a token and an expert, those of the first one first
        first_of_expert = counts.cumsum(0) - counts
        rank = torch.arange(len(pairs), device=tokens.device) - first_of_expert.repeat_interleave(counts)
        slots = experts.flatten()[pairs] * rows + rank
        slot_count = len(self.experts) * rows
        token_of = slots.new_zeros(slot_count).index_copy(0, slots, pairs // self.chosen_per_token)
        weight_of = weights.new_zeros(slot_count).index_copy(0, slots, weights.flatten()[pairs])
        outputs = self.all_experts(tokens[token_of].view(len(self.experts), rows, -1)).flatten(0, 1)
        summed = torch.zeros(tokens.shape, dtype=torch.float32, device=tokens.device)
        return summed.index_add(0, token_of, outputs.float() * weight_of[:, None]).to(tokens.dtype)

    def all_experts(self, x: torch.Tensor) -> torch.Tensor:
        """x: [experts, rows, hidden], each expert's own rows."""
        gate, up, down = (
            torch.stack([getattr(expert, part).weight for expert in self.experts]).transpose(1, 2)
            for part in ("gate_proj", "up_proj", "down_proj")
        )
        return torch.bmm(F.silu(torch.bmm(x, gate)) * torch.bmm(x, up), down)

    def route(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The experts of each token and their weights [tokens, k]; float32 even under autocast."""
        with torch.autocast(tokens.device.type, enabled=False):
            probability = F.linear(tokens.float(), self.gate.weight).softmax(-1)
        # The bias only moves the choice, so that it balances the load and never scales an output.
        experts = (probability + self.moe_statics.e_score_correction_bias).topk(self.chosen_per_token).indices
        weights = probability.gather(1, experts)
        return experts, weights / weights.sum(-1, keepdim=True).clamp_min(1e-12)


class DecoderLayer(nn.Module):
    def __init__(self, config: ModelConfig, rotary: RotaryTable, sparse: bool):
        super().__init__()
        self.input_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, rotary)
        self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = SparseFeedForward(config) if sparse else FeedForward(config.hidden_size, config.intermediate_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attended(x)
        return x + self.mlp(self.post_attention_layernorm(x))

    def attended(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.self_attn(self.input_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.rotary = RotaryTable(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            DecoderLayer(config, self.rotary, config.is_sparse(i)) for i in range(config.num_hidden_layers)
        )
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        if isinstance(config, MoeConfig):
            # Lists of one: released checkpoints number their draft blocks.
            self.mtp_emb_norm = nn.ModuleList([RmsNorm(config.hidden_size, config.rms_norm_eps)])
            self.mtp_hidden_norm = nn.ModuleList([RmsNorm(config.hidden_size, config.rms_norm_eps)])
            self.mtp_linear_proj = nn.ModuleList([nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)])
            self.mtp_block = nn.ModuleList([DecoderLayer(config, self.rotary, sparse=False)])

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The residual stream; the final norm belongs to the head."""
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return x

    def draft(self, stream: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """From the stream at each token and the token after it: the stream that stands for the one after that."""
        embedded = self.mtp_emb_norm[0](self.embed_tokens(following))
        seen = self.mtp_hidden_norm[0](stream)
        return self.mtp_block[0](self.mtp_linear_proj[0](torch.cat((embedded, seen), dim=-1)))


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

    def head(self, stream: torch.Tensor) -> torch.Tensor:
        return F.linear(self.model.norm(stream), self.model.embed_tokens.weight)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.model(ids))
