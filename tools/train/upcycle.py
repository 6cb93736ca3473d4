"""A mixture of experts that starts as the dense model it grows from: sparse upcycling, with nothing lost.

The units of a dense feed-forward are cut into three parts. The most useful ones become the shared experts.
Two halves of the others become the routed ones, alternately: experts 2i and 2i+1 hold one half each and share
a row of the router. So a token's two best experts are a pair, with weights of one half each, and twice as
large outputs make the dense feed-forward again, whichever pair it is. Noise and training tell them apart.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from model import CausalLM, Decoder, FeedForward, ModelConfig, MoeConfig, SparseFeedForward

NOISE = 0.05  # of the experts, by their own deviation: equal pairs would get equal gradients
ROUTER_DEVIATION = 0.02


def load_dense(folder: Path) -> CausalLM:
    config = ModelConfig.from_baidu_keys(json.loads((folder / "config.json").read_text()))
    model = CausalLM(config)
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return model


@torch.no_grad()
def upcycled(dense: CausalLM, config: MoeConfig) -> CausalLM:
    if config.moe_k != 2 or config.shared_width + 2 * config.moe_intermediate_size != dense.config.intermediate_size:
        raise ValueError("shared and two routed experts have to make up the dense feed-forward")
    model = CausalLM(config)
    old, new = dense.model, model.model
    # Ids are kept; what comes after them in the larger vocabulary starts near nothing.
    new.embed_tokens.weight[: len(old.embed_tokens.weight)] = old.embed_tokens.weight
    new.norm.load_state_dict(old.norm.state_dict())
    for layer, source in zip(new.layers, old.layers, strict=True):
        for part in ("input_layernorm", "self_attn", "post_attention_layernorm"):
            getattr(layer, part).load_state_dict(getattr(source, part).state_dict())
        if isinstance(layer.mlp, SparseFeedForward):
            divide(source.mlp, layer.mlp)
        else:
            layer.mlp.load_state_dict(source.mlp.state_dict())
    start_draft_block(new, old)
    return model


def divide(dense: FeedForward, sparse: SparseFeedForward) -> None:
    ranked = usefulness(dense).argsort(descending=True)
    shared_width = sparse.shared_experts.gate_proj.out_features
    take_units(sparse.shared_experts, dense, ranked[:shared_width])
    # Alternate units, so that both halves are equally useful.
    halves = ranked[shared_width::2], ranked[shared_width + 1 :: 2]
    for i, expert in enumerate(sparse.experts):
        take_units(expert, dense, halves[i % 2])
        expert.down_proj.weight *= 2
        for weight in expert.parameters():
            weight += NOISE * weight.std() * torch.randn_like(weight)
    rows = ROUTER_DEVIATION * torch.randn(len(sparse.experts) // 2, sparse.gate.in_features)
    sparse.gate.weight.copy_(rows.repeat_interleave(2, dim=0))


def usefulness(dense: FeedForward) -> torch.Tensor:
    """How far each unit can move the output, by its weights."""
    return dense.gate_proj.weight.norm(dim=1) * dense.up_proj.weight.norm(dim=1) * dense.down_proj.weight.norm(dim=0)


def take_units(part: FeedForward, dense: FeedForward, units: torch.Tensor) -> None:
    part.gate_proj.weight.copy_(dense.gate_proj.weight[units])
    part.up_proj.weight.copy_(dense.up_proj.weight[units])
    part.down_proj.weight.copy_(dense.down_proj.weight[:, units])


def start_draft_block(new: Decoder, old: Decoder) -> None:
    """A draft needs what the last layer does once more; the token it is told of comes in by training."""
    new.mtp_block[0].load_state_dict(old.layers[-1].state_dict())
    size = old.embed_tokens.embedding_dim
    projection = new.mtp_linear_proj[0].weight
    projection.mul_(0.5)
    projection[:, size:] += torch.eye(size)
