import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from curriculum import corpus
from export import export
from model import CausalLM, ModelConfig
from tests.plain_decoder import logits, read_safetensors
from vocabulary import Tokenizer, train_vocabulary

SMALL = ModelConfig(
    vocab_size=900,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=256,
)
TRAINED = Path(__file__).resolve().parents[3] / "models/erne-tiny"


class ExportTest(unittest.TestCase):
    def test_exported_files_give_the_same_logits(self):
        torch.manual_seed(1)
        model = CausalLM(SMALL)
        tokenizer = Tokenizer(train_vocabulary(corpus(1, 2000), SMALL.vocab_size))
        ids = torch.randint(0, SMALL.vocab_size, (1, 200))
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            export(model, tokenizer, Path(folder))
            model.load_state_dict({name: t.bfloat16().float() for name, t in model.state_dict().items()})
            np.testing.assert_allclose(logits(Path(folder), ids[0].tolist()), model(ids)[0].numpy(), atol=2e-4)

    def test_the_committed_model_is_complete_and_right(self):
        config = json.loads((TRAINED / "config.json").read_text())
        tokenizer = Tokenizer.from_file(TRAINED / "tokenizer.model")
        self.assertEqual(config["vocab_size"], tokenizer.size)
        ids = tokenizer.encode("<|begin_of_sentence|>User: What is 3 + 4?\nAssistant: 3 + 4 = 7")
        model = CausalLM(ModelConfig.from_baidu_keys(config))
        weights = read_safetensors(TRAINED / "model.safetensors")
        model.load_state_dict({name: torch.from_numpy(t) for name, t in weights.items()})
        with torch.no_grad():
            np.testing.assert_allclose(logits(TRAINED, ids), model(torch.tensor([ids]))[0].numpy(), atol=1e-3)


if __name__ == "__main__":
    unittest.main()
