"""model.py against Hugging Face's ERNIE-4.5 with experts and Baidu's draft block (tests/goldens)."""

import json
import unittest
from pathlib import Path

import torch
from safetensors.torch import load_file

from model import CausalLM, ModelConfig

GOLDENS = Path(__file__).resolve().parents[3] / "tests/goldens/moe/e8"


class GoldensTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        config = {"head_dim": 128} | json.loads((GOLDENS / "pt/config.json").read_text())
        cls.model = CausalLM(ModelConfig.from_baidu_keys(config | {"max_position_embeddings": 4096}))
        weights = load_file(GOLDENS / "pt/model.safetensors")
        cls.model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        cls.expected = load_file(GOLDENS / "outputs.safetensors")
        cls.traced = json.loads((GOLDENS / "outputs.json").read_text())["traced_prompt"]

    def golden(self, name: str) -> torch.Tensor:
        return self.expected[f"{self.traced}.{name}"]

    @torch.no_grad()
    def test_logits_and_drafts_are_those_of_the_reference(self):
        stream = self.model.model(self.golden("input_ids")[None])
        torch.testing.assert_close(self.model.head(stream)[0], self.golden("logits"), atol=2e-4, rtol=0)
        drafted = self.model.model.draft(stream, self.golden("mtp.next_ids")[None])
        torch.testing.assert_close(self.model.head(drafted)[0], self.golden("mtp.prenorm.logits"), atol=2e-4, rtol=0)


if __name__ == "__main__":
    unittest.main()
