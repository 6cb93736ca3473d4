import unittest
from unittest.mock import patch

import torch

import upcycle
from model import CausalLM, ModelConfig, MoeConfig
from upcycle import upcycled

SIZES = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 256,
}
EXPERTS = {"moe_num_experts": 8, "moe_k": 2, "moe_intermediate_size": 16, "moe_num_shared_experts": 2}


class UpcycleTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        self.dense = CausalLM(ModelConfig(vocab_size=100, **SIZES))
        self.ids = torch.randint(0, 100, (2, 40))

    @torch.no_grad()
    def difference(self) -> float:
        grown = upcycled(self.dense, MoeConfig(vocab_size=104, **SIZES, **EXPERTS))
        return (grown(self.ids)[..., :100] - self.dense(self.ids)).abs().max().item()

    def test_without_noise_the_start_is_the_dense_model(self):
        with patch.object(upcycle, "NOISE", 0.0):
            self.assertLess(self.difference(), 1e-5)

    def test_noise_changes_little(self):
        self.assertLess(self.difference(), 0.1)

    def test_experts_that_do_not_add_up_are_refused(self):
        wider = EXPERTS | {"moe_intermediate_size": 32}
        with self.assertRaises(ValueError):
            upcycled(self.dense, MoeConfig(vocab_size=104, **SIZES, **wider))


if __name__ == "__main__":
    unittest.main()
