"""Two ways to get a greedy reply: erne over HTTP, and the PyTorch model before there is a server."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from tasks import Message

LONGEST_REPLY = 160
START_SECONDS = 60.0
REQUEST_SECONDS = 120.0


class ServerDidNotStart(RuntimeError):
    pass


class HttpModel:
    """A server's model; replies come from /v1/chat/completions."""

    def __init__(self, base_url: str, name: str):
        self.base_url = base_url.rstrip("/")
        self.name = name

    def reply(self, messages: list[Message]) -> str:
        body = {
            "model": self.name,
            "messages": messages,
            "temperature": 0,
            "max_tokens": LONGEST_REPLY,
            "stream": False,
        }
        return self.ask("/v1/chat/completions", body)["choices"][0]["message"]["content"] or ""

    def ask(self, path: str, body: dict | None = None) -> dict:
        """The JSON that the server answers to a POST of `body`, or to a GET if there is none."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.base_url + path, data=data, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
            return json.load(response)


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
        self.model.load_state_dict(load_file(folder / "model.safetensors"))

    def reply(self, messages: list[Message]) -> str:
        from transcript import prompt_text

        ids = self.tokenizer.encode(prompt_text(messages))
        written: list[int] = []
        with self.torch.no_grad():
            while len(written) < LONGEST_REPLY:
                hidden = self.model.model(self.torch.tensor([ids + written]))[0, -1]
                best = int(self.model.head(hidden).argmax())
                if best in self.tokenizer.stop_ids:
                    break
                written.append(best)
        return self.tokenizer.decode(written)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(erne: Path, model: Path):
    """The base URL of an `erne serve` that lives as long as the block."""
    port = free_port()
    process = subprocess.Popen([str(erne), "serve", "--model", str(model), "--port", str(port)])
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
