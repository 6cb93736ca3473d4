import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from curriculum import TINY_CURRICULUM, corpus
from export import export
from layout import HybridLayout, PlainLayout
from model import CausalLM, ModelConfig, MoeConfig
from recipe import RECIPES
from tests.plain_decoder import PlainDecoder, read_safetensors
from vocabulary import Tokenizer, train_vocabulary

SIZES = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 256,
}
SMALL = ModelConfig(vocab_size=900, **SIZES)
SMALL_MOE = MoeConfig(vocab_size=904, moe_num_experts=6, moe_k=2, moe_intermediate_size=20, **SIZES)


def as_exported(model: CausalLM) -> CausalLM:
    """With the router in float32 and everything else rounded to bf16."""
    kept = ("mlp.gate.weight", "e_score_correction_bias")
    state = {n: t if n.endswith(kept) else t.bfloat16().float() for n, t in model.state_dict().items()}
    model.load_state_dict(state)
    return model


@torch.no_grad()
def draft_logits(model: CausalLM, ids: torch.Tensor) -> np.ndarray:
    return model.head(model.model.draft(model.model(ids)[:, :-1], ids[:, 1:]))[0].numpy()


@torch.no_grad()
def logits(model: CausalLM, ids: torch.Tensor) -> np.ndarray:
    return model(ids)[0].numpy()


class ExportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tokenizer = Tokenizer(train_vocabulary(corpus(TINY_CURRICULUM, 1, 2000), SMALL.vocab_size))

    def test_exported_files_give_the_same_logits(self):
        torch.manual_seed(1)
        model = CausalLM(SMALL)
        ids = torch.randint(0, SMALL.vocab_size, (1, 200))
        with tempfile.TemporaryDirectory() as folder:
            export(model, self.tokenizer, PlainLayout(), Path(folder))
            plain = PlainDecoder(Path(folder))
        np.testing.assert_allclose(plain.logits(ids[0].tolist()), logits(as_exported(model), ids), atol=2e-4)

    def test_exported_experts_and_drafts_give_the_same_logits(self):
        torch.manual_seed(1)
        model = CausalLM(SMALL_MOE)
        for name, bias in model.named_buffers():
            if name.endswith("e_score_correction_bias"):  # large enough to change most choices
                bias.normal_(std=0.3)
        ids = torch.randint(0, SMALL_MOE.vocab_size, (1, 100))
        with tempfile.TemporaryDirectory() as folder:
            export(model, self.tokenizer.with_reply_marks(), HybridLayout(), Path(folder))
            plain = PlainDecoder(Path(folder))
        as_exported(model)
        np.testing.assert_allclose(plain.logits(ids[0].tolist()), logits(model, ids), atol=2e-4)
        np.testing.assert_allclose(plain.draft_logits(ids[0].tolist()), draft_logits(model, ids), atol=2e-4)

    def test_the_committed_models_are_complete_and_right(self):
        for recipe in RECIPES.values():
            with self.subTest(recipe.name):
                config = json.loads((recipe.folder / "config.json").read_text())
                self.assertEqual(config, recipe.model.baidu_keys())
                tokenizer = Tokenizer.from_file(recipe.folder / "tokenizer.model")
                self.assertEqual(config["vocab_size"], tokenizer.size)
                ids = tokenizer.encode("<|begin_of_sentence|>User: What is 3 + 4?\nAssistant: 3 + 4 = 7")
                model = CausalLM(ModelConfig.from_baidu_keys(config))
                weights = read_safetensors(recipe.folder / "model.safetensors")
                model.load_state_dict({name: torch.from_numpy(tensor.copy()) for name, tensor in weights.items()})
                expected = logits(model, torch.tensor([ids]))
                np.testing.assert_allclose(PlainDecoder(recipe.folder).logits(ids), expected, atol=1e-3)


if __name__ == "__main__":
    unittest.main()
