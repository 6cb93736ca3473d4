"""Writes tokenizer.json and tokenizer_json_cases.json: the vocabulary of tokenizer.model as converters write it for
Hugging Face's tokenizers library, and what that library makes of texts, for each way a normaliser, pre-tokeniser and
flags of added tokens are written. Usage: make_tokenizer_json.py [TEXTS [OUT]], with tokenizers 0.23.3, sentencepiece
0.2.3 and protobuf installed; more TEXTS than the default are for comparing once, not for the repository.
"""
import json
import random
import sys
from pathlib import Path

import sentencepiece.sentencepiece_model_pb2 as spm
from tokenizers import Tokenizer

HERE = Path(__file__).parent
SPACE = "\u2581"


def merges_of(pieces, vocab):
    """transformers' generate_merges: every way to make a piece of two, the best piece first."""
    merges = []
    for text, score in pieces:
        cuts = [(text[:i], text[i:]) for i in range(1, len(text))]
        cuts = [(a, b) for a, b in cuts if a in vocab and b in vocab]
        merges += [(a, b, score) for a, b in sorted(cuts, key=lambda cut: (vocab[cut[0]], vocab[cut[1]]))]
    merges.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    return [[a, b] for a, b, _ in merges]


def added(content, id, special=False, **flags):
    off = dict(single_word=False, lstrip=False, rstrip=False, normalized=False)
    return {"id": id, "content": content, **off, **flags, "special": special}


def base():
    model = spm.ModelProto()
    model.ParseFromString((HERE / "tokenizer.model").read_bytes())
    vocab = {piece.piece: i for i, piece in enumerate(model.pieces)}
    config = json.loads((HERE / "tokenizer_config.json").read_text())
    more = json.loads((HERE / "added_tokens.json").read_text())
    decoder = {int(i): token for i, token in config["added_tokens_decoder"].items()}
    for content, i in more.items():
        decoder.setdefault(i, {"content": content, "special": content.startswith("<")})
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(token["content"], i, token["special"]) for i, token in sorted(decoder.items())],
        "normalizer": replace(),
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
            "vocab": vocab, "merges": merges_of([(p.piece, p.score) for p in model.pieces], vocab)},
    }


def replace():
    return {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}


def metaspace(scheme, split):
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split}


def variants(json_base):
    prefix = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, replace()]}
    yield "spaces_replaced", {}
    yield "prefix", {"normalizer": prefix}
    for scheme in ("always", "first", "never"):
        for split in (False, True):
            yield f"metaspace_{scheme}_{split}", {"normalizer": None, "pre_tokenizer": metaspace(scheme, split)}
    yield "old_metaspace", {"normalizer": None, "pre_tokenizer": {
        "type": "Metaspace", "replacement": SPACE, "add_prefix_space": True}}
    whole = dict(json_base["model"], ignore_merges=True)
    yield "ignore_merges", {"model": whole, "pre_tokenizer": metaspace("never", True), "normalizer": None}
    first = 1 + max(token["id"] for token in json_base["added_tokens"])  # the library gives no other ids
    flags = [
        added("<left>", first, lstrip=True), added("<right>", first + 1, True, rstrip=True),
        added("<both>", first + 2, lstrip=True, rstrip=True), added("word", first + 3, single_word=True),
        added("a b", first + 4, normalized=True), added("the", first + 5, normalized=True, single_word=True),
        added("zq", first + 6, rstrip=True, single_word=True), added("<|", first + 7, normalized=True, lstrip=True)]
    for name, normalizer in (("flags", replace()), ("flags_prefix", prefix), ("flags_plain", None)):
        yield name, {"normalizer": normalizer, "added_tokens": json_base["added_tokens"] + flags}


FRAGMENTS = ["<", "|", ">", "<|", "|>", "im_", "start", "<|im_start|>", "<s>", "</s>", "<mask:", "1", "42", "<mask:1>",
             "<unk>", "<think>", "<|LOC_1|>", "<|LOC_10|>", " ", "  ", "   ", "\n", "\t", "the", " could", "介绍", "é",
             "e\u0301", "😀", "<0x0A>", SPACE, "a b", "ab", "<left>", "<right>", "<both>", "word", "words", "_word", "Word",
             "a", "b", ".", "\u3000", "\u00a0", "一", "ing", "ation", "==", "\x00", "\u200d", "²", "中文", "zq", " zq "]


def texts(count):
    draw = random.Random(count)
    out = ["", " ", "  ", "the", " the", "a  b", "word", "words word"]
    cases = json.loads((HERE / "tokenizer_cases.json").read_text())["encode"]
    out += [case["text"] for case in cases if len(case["text"]) < 60][:20]
    while len(out) < count:
        out.append("".join(draw.choice(FRAGMENTS) for _ in range(draw.randrange(1, 9))))
    return out


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 120
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE
    json_base = base()
    (out / "tokenizer.json").write_text(json.dumps(json_base, ensure_ascii=False) + "\n")
    all_texts = texts(count)
    result = {"texts": all_texts, "variants": []}
    for name, changes in variants(json_base):
        tokenizer = Tokenizer.from_str(json.dumps(dict(json_base, **changes)))
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in all_texts]
        if "model" in changes:
            changes["model"] = {"ignore_merges": True}
        if "added_tokens" in changes:
            changes["added_tokens"] = changes["added_tokens"][len(json_base["added_tokens"]):]
        result["variants"].append({"name": name, "changes": changes, "ids": ids})
    (out / "tokenizer_json_cases.json").write_text(json.dumps(result, ensure_ascii=False) + "\n")


main()
