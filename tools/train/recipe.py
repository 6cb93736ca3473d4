"""The numbers of one trained model."""

from dataclasses import dataclass

from model import ModelConfig


@dataclass(frozen=True)
class Recipe:
    model: ModelConfig
    seed: int
    steps: int
    tokens_per_step: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    decay_share: float  # the last part of the steps, in which the rate falls linearly to zero

    def rate_at(self, step: int) -> float:
        rising = min(1.0, (step + 1) / self.warmup_steps)
        falling = min(1.0, (self.steps - step) / (self.steps * self.decay_share))
        return self.learning_rate * min(rising, falling)


ERNE_TINY = Recipe(
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
    seed=45,
    steps=3000,
    tokens_per_step=5120,
    learning_rate=3e-3,
    weight_decay=0.1,
    warmup_steps=100,
    decay_share=0.4,
)
