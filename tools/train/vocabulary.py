"""The tokenizer: a SentencePiece BPE model with ERNIE's conventions, in Hugging Face's file layout.

Digits are pieces of their own (ids 3-12), bytes are the fallback, text is not normalised and gets no
leading space, and the two sentence marks close the vocabulary; the marks of replies may come after them.
"""

import io
import json
import re
import string
from collections.abc import Iterable
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as protobuf

from marks import BEGIN_OF_SENTENCE, END_OF_SENTENCE, END_OF_TEXT, REPLY_MARKS, SPECIALS

DIGITS = list("0123456789")


def train_vocabulary(corpus: Iterable[str], size: int) -> bytes:
    """The serialised SentencePiece model of exactly `size` pieces."""
    buffer = io.BytesIO()
    tail = [END_OF_SENTENCE, BEGIN_OF_SENTENCE]
    # SentencePiece reads line by line, so newlines never enter a piece and stay byte pieces.
    lines = (line for text in corpus for line in text.split("\n") if line)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=buffer,
        model_type="bpe",
        vocab_size=size - len(tail),
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        required_chars=string.ascii_letters + string.punctuation,
        max_sentencepiece_length=12,
        user_defined_symbols=DIGITS,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return with_pieces(buffer.getvalue(), tail)


def with_pieces(serialised: bytes, added: list[str]) -> bytes:
    """The same vocabulary with these texts as its last pieces."""
    model = protobuf.ModelProto.FromString(serialised)
    for piece in added:
        model.pieces.add(piece=piece, score=0.0, type=protobuf.ModelProto.SentencePiece.USER_DEFINED)
    model.trainer_spec.vocab_size = len(model.pieces)
    return model.SerializeToString(deterministic=True)


class Tokenizer:
    """Cuts text at added tokens, then lets SentencePiece encode each part on its own."""

    def __init__(self, serialised: bytes):
        self.serialised = serialised
        self.pieces = sentencepiece.SentencePieceProcessor(model_proto=serialised)
        reply_marks = [mark for mark in REPLY_MARKS if self.pieces.piece_to_id(mark) != self.pieces.unk_id()]
        self.added = {token: self.pieces.piece_to_id(token) for token in [*SPECIALS, *DIGITS, *reply_marks]}
        longest_first = sorted(self.added, key=len, reverse=True)
        self.boundaries = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    @classmethod
    def from_file(cls, path: Path) -> "Tokenizer":
        return cls(path.read_bytes())

    def with_reply_marks(self) -> "Tokenizer":
        return Tokenizer(with_pieces(self.serialised, REPLY_MARKS))

    @property
    def size(self) -> int:
        return self.pieces.get_piece_size()

    @property
    def stop_ids(self) -> list[int]:
        return [self.added[END_OF_TEXT], self.added[END_OF_SENTENCE]]

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self.boundaries.split(text):
            if part in self.added:
                ids.append(self.added[part])
            elif part:
                ids += self.pieces.encode(part)
        return ids

    def decode(self, ids: list[int]) -> str:
        return self.pieces.decode(ids)

    def save(self, folder: Path, chat_template: str, max_length: int) -> None:
        (folder / "tokenizer.model").write_bytes(self.serialised)
        (folder / "added_tokens.json").write_text(json.dumps(self.added, indent=1) + "\n")
        (folder / "chat_template.jinja").write_text(chat_template)
        config = {
            "tokenizer_class": "LlamaTokenizer",
            "legacy": True,
            "add_bos_token": False,
            "add_eos_token": False,
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "spaces_between_special_tokens": False,
            "model_max_length": max_length,
            "unk_token": "<unk>",
            "bos_token": "<s>",
            "eos_token": END_OF_TEXT,
            "pad_token": "<unk>",
            "sep_token": END_OF_SENTENCE,
            "cls_token": BEGIN_OF_SENTENCE,
            "added_tokens_decoder": {str(i): self.added_token_entry(t) for t, i in self.added.items()},
            "chat_template": chat_template,
        }
        text = json.dumps(config, indent=1, ensure_ascii=False)
        (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def added_token_entry(token: str) -> dict:
        plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
        return {"content": token, **plain, "special": token in SPECIALS}
