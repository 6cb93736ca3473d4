"""Writes normalizing.model, a SentencePiece model with everything that ERNIE's do not use (a table of characters, a
prefix, trimmed white space, user-defined pieces, no byte pieces), and normalizing_cases.json, what SentencePiece
makes of texts with it. Needs sentencepiece 0.2.3.
"""
import json
import random
import tempfile
from pathlib import Path

import sentencepiece

HERE = Path(__file__).parent
RULES = {"ﬁ": "fi", "Ａ": "a", "ａ": "a", "é": "e", "e\u0301": "e", "\u00ad": "", "\u3000": " ", "\t": " ", "Ⅻ": "XII",
         "xy": "z"}
CORPUS = ["the quick brown fox jumps over the lazy dog", "she sells sea shells by the sea shore", "other mothers bother brothers",
          "zebras and foxes", "fine fish finish first"] * 20


def main():
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text("".join(f"{' '.join(f'{ord(c):X}' for c in a)}\t{' '.join(f'{ord(c):X}' for c in b)}\n"
                                 for a, b in RULES.items()))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS), model_prefix=f"{folder}/m", model_type="bpe", vocab_size=120,
            hard_vocab_limit=False, normalization_rule_tsv=str(rules), user_defined_symbols=["<sep>", "the cat", "▁ox"],
            minloglevel=2)
        (HERE / "normalizing.model").write_bytes(Path(f"{folder}/m.model").read_bytes())
    processor = sentencepiece.SentencePieceProcessor(model_file=str(HERE / "normalizing.model"))
    draw = random.Random(1)
    fragments = list(RULES) + [" ", "  ", "the", "he", "sea", "fox", "<sep>", "the cat", "▁", "ox", "中", "文", "x", "y", "\n", "s"]
    texts = ["", " ", "   ", "the cat", " the  cat "]
    texts += ["".join(draw.choice(fragments) for _ in range(draw.randrange(1, 10))) for _ in range(200)]
    cases = [{"text": text, "ids": processor.encode(text)} for text in texts]
    (HERE / "normalizing_cases.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")


main()
