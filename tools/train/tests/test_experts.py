import unittest

import torch

from balance import Balance
from model import CausalLM, MoeConfig, SparseFeedForward
from parallel import Team

CONFIG = MoeConfig(
    vocab_size=100,
    hidden_size=24,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    max_position_embeddings=64,
    moe_num_experts=6,
    moe_k=2,
    moe_intermediate_size=8,
)


class ExpertsTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(2)

    def test_all_at_once_equals_one_expert_at_a_time(self):
        block = SparseFeedForward(CONFIG)
        tokens = torch.randn(33, CONFIG.hidden_size)
        experts, weights = block.route(tokens)
        expected = torch.zeros_like(tokens)
        for token in range(len(tokens)):
            for expert, weight in zip(experts[token].tolist(), weights[token]):
                expected[token] += weight * block.experts[expert](tokens[token])
        torch.testing.assert_close(block.routed(tokens), expected)

    def test_the_bias_moves_the_choice_and_not_the_weights(self):
        block = SparseFeedForward(CONFIG)
        tokens = torch.randn(20, CONFIG.hidden_size)
        probability = torch.softmax(tokens @ block.gate.weight.T, -1)
        block.moe_statics.e_score_correction_bias[0, 3] = 1.0
        experts, weights = block.route(tokens)
        self.assertTrue((experts[:, 0] == 3).all())
        chosen = probability.gather(1, experts)
        torch.testing.assert_close(weights, chosen / chosen.sum(-1, keepdim=True))

    def test_balancing_evens_out_the_load(self):
        model = CausalLM(CONFIG)
        balance = Balance(model, 1.0)
        ids = torch.randint(0, CONFIG.vocab_size, (8, 50))
        loads = []
        for _ in range(200):
            model(ids)
            balance.step(Team(0, 1), 2e-3)
            loads.append(balance.busiest)
        self.assertGreater(loads[0], 1.3)
        self.assertLess(loads[-1], 1.2)

    def test_a_forward_pass_without_gradients_is_not_counted(self):
        model = CausalLM(CONFIG)
        with torch.no_grad():
            model(torch.randint(0, CONFIG.vocab_size, (2, 10)))
        self.assertEqual(sum(s.chosen.sum() for s in Balance(model, 1.0).statics), 0)


if __name__ == "__main__":
    unittest.main()
