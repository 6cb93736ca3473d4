"""Two ways to get a greedy reply: erne over HTTP, and the PyTorch model before there is a server."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layout import HybridLayout, PlainLayout
from marks import THINK
from tasks import HYBRID_TASKS, TASKS, Case, Task

LONGEST_REPLY = 160
START_SECONDS = 60.0
REQUEST_SECONDS = 120.0


class ServerDidNotStart(RuntimeError):
    pass


@dataclass(frozen=True)
class Kind:
    """What a model was trained to do."""

    tasks: dict[str, Task]
    layout: PlainLayout


PLAIN = Kind(TASKS, PlainLayout())
HYBRID = Kind(HYBRID_TASKS, HybridLayout())


def kind_of(folder: Path) -> Kind:
    """Of the model in this folder: one that knows the marks of thoughts thinks."""
    return HYBRID if THINK in json.loads((folder / "added_tokens.json").read_text()) else PLAIN


class HttpModel:
    """A server's model; replies come from /v1/chat/completions."""

    def __init__(self, base_url: str, name: str):
        self.base_url = base_url.rstrip("/")
        self.name = name

    def reply(self, case: Case, thinking: bool) -> str:
        body = {"messages": case.messages, **self.sampling}
        return self.ask("/v1/chat/completions", body)["choices"][0]["message"]["content"] or ""

    @property
    def sampling(self) -> dict:
        return {"model": self.name, "temperature": 0, "max_tokens": LONGEST_REPLY, "stream": False}

    def ask(self, path: str, body: dict | None = None) -> dict:
        """The JSON that the server answers to a POST of `body`, or to a GET if there is none."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.base_url + path, data=data, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
            return json.load(response)


class HttpHybridModel(HttpModel):
    """Replies come from /v1/completions, so that thoughts and calls are seen as the model writes them."""

    def reply(self, case: Case, thinking: bool) -> str:
        prompt = HYBRID.layout.prompt_text(case.messages, case.tools, thinking)
        body = {"prompt": prompt, "skip_special_tokens": False, **self.sampling}
        return self.ask("/v1/completions", body)["choices"][0]["text"]


class TorchModel:
    """The exported checkpoint in PyTorch, float32 arithmetic on its bf16 weights."""

    def __init__(self, folder: Path):
        # Imported here: over HTTP this file needs nothing beyond the standard library.
        import torch
        from safetensors.torch import load_file

        from model import CausalLM, ModelConfig
        from vocabulary import Tokenizer

        self.torch = torch
        self.tokenizer = Tokenizer.from_file(folder / "tokenizer.model")
        self.model = CausalLM(ModelConfig.from_baidu_keys(json.loads((folder / "config.json").read_text())))
        weights = load_file(folder / "model.safetensors")
        self.model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        self.layout = kind_of(folder).layout

    def reply(self, case: Case, thinking: bool) -> str:
        ids = self.tokenizer.encode(self.layout.prompt_text(case.messages, case.tools, thinking))
        written: list[int] = []
        with self.torch.no_grad():
            while len(written) < LONGEST_REPLY:
                stream = self.model.model(self.torch.tensor([ids + written]))[0, -1]
                best = int(self.model.head(stream).argmax())
                if best in self.tokenizer.stop_ids:
                    break
                written.append(best)
        return self.tokenizer.decode(written)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(erne: Path, model: Path, *flags: str):
    """The base URL of an `erne serve` that lives as long as the block."""
    port = free_port()
    process = subprocess.Popen([str(erne), "serve", "--model", str(model), "--port", str(port), *flags])
    try:
        base_url = f"http://127.0.0.1:{port}"
        wait_until_healthy(base_url, process)
        yield base_url
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_healthy(base_url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerDidNotStart(f"erne ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(base_url + "/health", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise ServerDidNotStart(f"no healthy server at {base_url} after {START_SECONDS:.0f} s")
