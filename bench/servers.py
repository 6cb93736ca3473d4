"""A server as a child process, and its load: what bench/run and bench/compare-serve have in common."""
import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request

START_SECONDS = 600


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_healthy(server, url):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"bench: the server ended with status {server.returncode}")
        try:
            urllib.request.urlopen(url + "/health", timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"bench: no answer from {url}/health within {START_SECONDS} s")


@contextlib.contextmanager
def running(command, url, **popen):
    """The server while it answers; what it had been told to end by, at the end."""
    with subprocess.Popen(command, **popen) as server:
        try:
            wait_until_healthy(server, url)
            yield server
        finally:
            server.terminate()


def weight_bytes(model):
    """Of the bfloat16 weights of a dense model with a tied head, from its config.json."""
    config = json.loads((model / "config.json").read_text())
    hidden, head = config["hidden_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    layer = hidden * (2 * queries + 2 * keys + 3 * config["intermediate_size"])
    return 2 * (config["num_hidden_layers"] * layer + config["vocab_size"] * hidden)
