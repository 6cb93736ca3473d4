"""Requests nobody should send: well-formed ones of every endpoint, changed at random in their JSON, in
their HTTP, or in how the client behaves. The same seed gives the same requests."""
import copy
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "PO ST"]
PATHS = ["/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize", "/tokenizer_info", "/v1/models",
         "/v1/models/x", "/health", "/ping", "/ready", "/startup", "/live", "/load", "/version", "/metrics", "/", "*",
         "/nothing", "//metrics", "/metrics/", "/v1/models/%2F..%2F", "http://erne/metrics", "https://x:1/health?a=b",
         "/" + "a" * 300]
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 7 + 5?"}]
BODIES = [
    ("/v1/chat/completions", {"messages": CHAT, "max_tokens": 2}),
    ("/v1/chat/completions", {"messages": CHAT, "max_tokens": 3, "stream": True, "logprobs": True, "top_logprobs": 2,
                              "stream_options": {"include_usage": True}}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "n": 2,
                              "max_completion_tokens": 2, "temperature": 0.7, "seed": 3, "stop": ["x", "y"]}),
    ("/v1/completions", {"prompt": "Once upon", "max_tokens": 2}),
    ("/v1/completions", {"prompt": ["a", "b c"], "max_tokens": 2, "echo": True, "logprobs": 2, "n": 2}),
    ("/v1/completions", {"prompt": [[1, 2, 3], [4]], "max_tokens": 1, "stream": True, "prompt_logprobs": 1}),
    ("/v1/completions", {"prompt": "x", "max_tokens": 4, "logit_bias": {"5": -100, "7": 3.5}, "bad_words": ["a"],
                         "stop_token_ids": [9], "min_tokens": 1, "top_k": 5, "top_p": 0.9, "repetition_penalty": 1.1}),
    ("/tokenize", {"prompt": "Hello there, 你好", "add_special_tokens": True}),
    ("/tokenize", {"messages": CHAT, "return_token_strs": True}),
    ("/detokenize", {"tokens": [1, 2, 300, 4]}),
]
ODD_VALUES = [
    None, True, False, 0, -1, 1, 2, 4.0, 0.5, -0.0, 128, 129, 1000, 2**31 - 1, 2**31, 2**63, 2**64 - 1, 2**64, -2**63, 10**400,
    1e308, float("nan"), float("inf"), float("-inf"), "", " ", "x", "\x00", "\u2028", "\ud800", "你好" * 50, "a" * 5000,
    "<|end_of_sentence|>", "{{ x }}", [], [[]], [None], {}, {"": {}}, {"type": "text"}, [1] * 3000, [-1], [2**40],
    ["a"] * 200, "9" * 400,
]
ODD_FIELDS = [
    "Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 3, 3",
    "Content-Length : 4", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, chunked", "Transfer-Encoding:\tChunked", "Transfer-Encoding: x", "Host: other", "Host:",
    "Host: a b", " folded: x", "no colon", ": empty", "X" * 2000 + ": y", "X: " + "y" * 20000, "Connection: close",
    "Connection: keep-alive, Upgrade", "Upgrade: h2c", "Expect: 100-Continue", "Expect: 200-ok", "Content-Encoding: gzip",
    "Content-Encoding: br", "Content-Encoding: deflate", "Authorization: Bearer x", "Authorization: Basic eA==",
    "Origin: https://page.example", "Origin: null", "Access-Control-Request-Method: POST", "X-Request-Id: one",
    "X-Request-Id: \x01", "X-Request-Id: " + "z" * 500, "Content-Type: text/plain", "Range: bytes=0-", "TE: trailers",
    "Trailer: X", "Cookie: " + "c=d; " * 200,
]
MANNERS = (["reads"] * 10 + ["leaves"] * 3 + ["resets"] * 3 + ["ends its sending side"] * 2 + ["sends a part and leaves"] * 2
           + ["reads a little and resets"] * 2 + ["sends it three times"])
KINDS = ["json"] * 9 + ["bytes of json"] * 3 + ["http"] * 8 + ["route"] * 5 + ["chunks"] * 2 + ["packed"] + ["noise"]
BOMB = gzip.compress(b" " * 50_000_000, 1)
LARGE_SHARE = 0.002  # of the requests have a body of megabytes


@dataclass(frozen=True)
class Attack:
    kind: str
    manner: str
    on_metrics_port: bool
    data: bytes


def request(method: str, path: str, body: bytes, fields: list[str] = (), length: bool = True) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: erne", *fields]
    if length and (body or method == "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def dumps(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


class Mutator:
    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def attacks(self) -> Iterator[Attack]:
        while True:
            kind = self.random.choice(KINDS)
            data = getattr(self, kind.replace(" ", "_"))()
            # Routes are asked on either port; the rest of the work is on the main one.
            metrics = self.random.random() < (0.5 if kind == "route" else 0.05)
            yield Attack(kind, self.random.choice(MANNERS), metrics, data)

    def json(self) -> bytes:
        path, body = self.random.choice(BODIES)
        return request("POST", path, dumps(self.changed(body)))

    def bytes_of_json(self) -> bytes:
        path, body = self.random.choice(BODIES)
        return request("POST", path, self.changed_bytes(dumps(body)))

    def http(self) -> bytes:
        data = request(self.random.choice(METHODS), self.random.choice(PATHS), self.body(), self.fields())
        return self.changed_bytes(data) if self.random.random() < 0.5 else data

    def route(self) -> bytes:
        method = self.random.choice(METHODS)
        return request(method, self.random.choice(PATHS), b"{}" if method == "POST" else b"", self.fields()[:1])

    def chunks(self) -> bytes:
        path, body = self.random.choice(BODIES)
        text, out = dumps(self.changed(body)), bytearray()
        while text:
            size = self.random.choice([1, 2, 17, 300, 5000]) if len(text) < 5000 else len(text) // 2
            extension = self.random.choice(["", "", ";a=b", ";" + "x" * 500])
            out += f"{len(text[:size]):x}{extension}\r\n".encode() + text[:size] + b"\r\n"
            text = text[size:]
        out += b"0\r\n" + self.random.choice([b"", b"X: y\r\n", b"no colon\r\n"]) + b"\r\n"
        if self.random.random() < 0.5:
            out = self.changed_bytes(out)
        return request("POST", path, bytes(out), ["Transfer-Encoding: chunked"], length=False)

    def packed(self) -> bytes:
        path, body = self.random.choice(BODIES)
        data = BOMB if self.random.random() < 0.05 else gzip.compress(dumps(self.changed(body)), 1)
        if self.random.random() < 0.3:
            data = self.changed_bytes(data)
        return request("POST", path, data, ["Content-Encoding: gzip"])

    def noise(self) -> bytes:
        return self.random.randbytes(self.random.choice([1, 10, 300, 5000]))

    def fields(self) -> list[str]:
        return self.random.sample(ODD_FIELDS, self.random.choice([0, 0, 1, 1, 2, 3]))

    def body(self) -> bytes:
        path, body = self.random.choice(BODIES)
        return dumps(body)

    def changed(self, value: object) -> object:
        """One to three changes: other values, lost and new members, more of the same, deep nests."""
        if self.random.random() < LARGE_SHARE:
            return self.large()
        value = copy.deepcopy(value)
        for _ in range(self.random.choice([1, 1, 2, 3])):
            value = self.changed_once(value)
        return value

    def changed_once(self, value: object) -> object:
        if isinstance(value, dict) and value and self.random.random() < 0.85:
            key = self.random.choice(list(value))
            what = self.random.random()
            if what < 0.1:
                del value[key]
            elif what < 0.2:
                value[self.random.choice(["unknown", "tools", "n", "echo", "stream", "user", "seed", "stop", ""])] = \
                    self.odd_value()
            else:
                value[key] = self.changed_once(value[key])
            return value
        if isinstance(value, list) and value and self.random.random() < 0.7:
            index = self.random.randrange(len(value))
            if len(value) < 1000 and self.random.random() < 0.2:
                return value * self.random.choice([0, 2, 50])
            value[index] = self.changed_once(value[index])
            return value
        if self.random.random() < 0.03:
            nest: object = 1
            for _ in range(self.random.choice([5, 60, 800])):
                nest = [nest] if self.random.random() < 0.5 else {"a": nest}
            return nest
        return self.odd_value()

    def odd_value(self) -> object:
        return copy.deepcopy(self.random.choice(ODD_VALUES))

    def large(self) -> object:
        size = self.random.choice([200_000, 1_000_000, 4_000_000])
        return self.random.choice([
            {"prompt": "word " * (size // 5)}, {"prompt": [7] * (size // 3)}, {"tokens": [7] * (size // 3)},
            {"messages": [{"role": "user", "content": "a" * size}]}, {"prompt": "x", "unread": [{}] * (size // 4)}])

    def changed_bytes(self, data: bytes) -> bytes:
        out = bytearray(data)
        for _ in range(self.random.choice([1, 1, 2, 5])):
            at = self.random.randrange(len(out) + 1)
            what = self.random.randrange(6)
            if what == 0 and at < len(out):
                out[at] ^= 1 << self.random.randrange(8)
            elif what == 1:
                out[at:at] = self.random.choice([b"\r\n", b"\n", b"\r", b"\0", b" ", b"\xff", b'"', b"[", b"{", b",", b":"])
            elif what == 2:
                del out[at:at + self.random.choice([1, 2, 10])]
            elif what == 3:
                end = at + self.random.choice([1, 5, 40])
                out[at:at] = out[at:end]
            elif what == 4 and at < len(out):
                out[at] = self.random.randrange(256)
            else:
                out[at:at] = self.random.randbytes(self.random.choice([1, 3, 20]))
        return bytes(out)
