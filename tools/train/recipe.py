"""The numbers of the trained models."""

from dataclasses import dataclass
from pathlib import Path

from curriculum import MOE_CURRICULUM, TINY_CURRICULUM, Curriculum
from model import ModelConfig, MoeConfig

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Recipe:
    name: str
    model: ModelConfig
    curriculum: Curriculum
    seed: int
    steps: int
    tokens_per_step: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    decay_share: float  # the last part of the steps, in which the rate falls linearly to zero
    grown_from: str | None = None  # the dense model whose weights and vocabulary are the start
    balance_rate: float = 0.0  # how far a step moves the bias of an expert, at the highest learning rate
    draft_weight: float = 0.0  # of the draft's loss beside the model's own

    @property
    def work(self) -> Path:
        """Checkpoints and the vocabulary."""
        return REPOSITORY / "build/train" / self.name

    @property
    def folder(self) -> Path:
        """The finished model."""
        return REPOSITORY / "models" / self.name

    def rate_at(self, step: int) -> float:
        rising = min(1.0, (step + 1) / self.warmup_steps)
        falling = min(1.0, (self.steps - step) / (self.steps * self.decay_share))
        return self.learning_rate * min(rising, falling)


ERNE_TINY = Recipe(
    name="erne-tiny",
    # As in ERNIE-4.5-0.3B the query width, 4 x 128, differs from the hidden size.
    model=ModelConfig(
        vocab_size=1408,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
    ),
    curriculum=TINY_CURRICULUM,
    seed=45,
    steps=3000,
    tokens_per_step=5120,
    learning_rate=3e-3,
    weight_decay=0.1,
    warmup_steps=100,
    decay_share=0.4,
)

ERNE_TINY_MOE = Recipe(
    name="erne-tiny-moe",
    # erne-tiny's sizes; 2 shared and 2 of 16 routed experts are as wide as its feed-forward.
    model=MoeConfig(
        vocab_size=1412,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        moe_num_experts=16,
        moe_k=2,
        moe_intermediate_size=128,
        moe_num_shared_experts=2,
    ),
    curriculum=MOE_CURRICULUM,
    seed=46,
    steps=850,
    tokens_per_step=8192,
    learning_rate=1.5e-3,
    weight_decay=0.1,
    warmup_steps=30,
    decay_share=0.65,
    grown_from="erne-tiny",
    balance_rate=1e-3,
    draft_weight=0.3,
)

RECIPES = {recipe.name: recipe for recipe in (ERNE_TINY, ERNE_TINY_MOE)}
