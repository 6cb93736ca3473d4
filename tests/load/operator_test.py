#!/usr/bin/env python3
"""What operators do to a server: probe it while it loads, send it signals, forget to read its log, give it
memory for prefixes.

    tests/load/operator_test.py [TestCase[.test]]

Only the standard library. ERNE_BINARY and ERNE_MODEL choose another program or checkpoint.
"""
import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "clients"))

from erne_process import BINARY, MODEL, ErneProcess, free_port

# Random weights that take seconds to make and to quantise.
LARGE_SHAPE = {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 16, "num_attention_heads": 16,
               "num_key_value_heads": 2, "head_dim": 128, "vocab_size": 50000}
PATIENCE_SECONDS = 60
AT_ONCE_SECONDS = 10  # on a busy machine; without the mend it is until loading ends


def ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def completes(port: int) -> bool:
    return ask(port, "POST", "/v1/completions", '{"prompt": "Once", "max_tokens": 2}')[0] == 200


class Loading(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        config = json.loads((MODEL / "config.json").read_text())
        Path(self.folder.name, "config.json").write_text(json.dumps({**config, **LARGE_SHAPE}))
        self.port, self.metrics_port = free_port(), free_port()
        self.process = subprocess.Popen(
            [BINARY, "serve", "--model", self.folder.name, "--load-choices", "dummy", "--quantization", "wint4",
             "--skip-tokenizer-init", "--host", "127.0.0.1", "--port", str(self.port), "--metrics-port",
             str(self.metrics_port)], stderr=subprocess.DEVNULL)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.wait_until_it_listens()

    def wait_until_it_listens(self):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                ask(self.port, "GET", "/live")
                return
            except ConnectionError:
                self.assertIsNone(self.process.poll())
                time.sleep(0.01)
        self.fail("it does not listen")

    def test_probes_are_answered_and_the_rest_is_told_to_wait(self):
        for port in (self.port, self.metrics_port):
            self.assertEqual(ask(port, "GET", "/live")[0], 200)
            self.assertEqual(ask(port, "GET", "/version")[0], 200)
            for path in ("/ready", "/startup", "/health"):
                status, headers, body = ask(port, "GET", path)
                self.assertEqual((status, "retry-after" in headers, "loading" in body), (503, True, True), path)
        self.assertEqual(ask(self.port, "POST", "/v1/completions", "{}")[0], 503)
        self.assertEqual(ask(self.port, "GET", "/v1/models")[0], 503)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while ask(self.port, "GET", "/ready")[0] != 200:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.assertEqual(ask(self.metrics_port, "GET", "/startup")[0], 200)
        self.assertEqual(ask(self.port, "POST", "/v1/completions", '{"prompt": [1, 2], "max_tokens": 1}')[0], 200)

    def test_sigterm_and_sigint_end_it_at_once(self):
        self.ends_at_once(signal.SIGTERM)
        self.setUp()
        self.ends_at_once(signal.SIGINT)

    def ends_at_once(self, number: signal.Signals):
        self.assertEqual(ask(self.port, "GET", "/ready")[0], 503)
        self.process.send_signal(number)
        self.assertEqual(self.process.wait(AT_ONCE_SECONDS), 0)


class Signals(unittest.TestCase):
    def test_those_that_ask_for_nothing_cut_no_stream(self):
        with ErneProcess() as erne:
            connection = http.client.HTTPConnection("127.0.0.1", erne.port, timeout=PATIENCE_SECONDS)
            body = {"prompt": "A story:", "max_tokens": 1500, "ignore_eos": True, "stream": True}
            connection.request("POST", "/v1/completions", json.dumps(body))
            answer = connection.getresponse()
            answer.readline()
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
                erne.process.send_signal(number)
                time.sleep(0.05)
            self.assertTrue(answer.read().endswith(b"data: [DONE]\n\n"))
            connection.close()
            self.assertTrue(completes(erne.port))
            self.assertIn("SIGHUP", erne.log_text())


class UnreadLog(unittest.TestCase):
    """More log than a pipe takes, while nobody reads it."""

    def test_holds_nobody_up(self):
        port = free_port()
        process = subprocess.Popen([BINARY, "serve", "--model", str(MODEL), "--host", "127.0.0.1", "--port", str(port)],
                                   stderr=subprocess.PIPE)
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    if ask(port, "GET", "/ready")[0] == 200:
                        break
                except ConnectionError:
                    pass
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            for _ in range(2000):  # a line each
                process.send_signal(signal.SIGHUP)
                time.sleep(0.001)
            self.assertTrue(completes(port))
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE_SECONDS), 0)
        finally:
            process.kill()
            process.stderr.close()
            process.wait()


class CpuTier(unittest.TestCase):
    """--swap-space keeps prefixes that the KV blocks have no room for."""

    FLAGS = ("--block-size", "16", "--max-model-len", "256", "--num-gpu-blocks-override", "16")
    PROMPT, OTHERS = list(range(10, 210)), [list(range(start, start + 200)) for start in (300, 600)]

    def complete(self, port: int, prompt: list[int]) -> tuple[str, int]:
        """The text, and how many tokens of the prompt were cached."""
        body = {"prompt": prompt, "max_tokens": 8, "temperature": 0, "ignore_eos": True}
        status, _, text = ask(port, "POST", "/v1/completions", json.dumps(body))
        self.assertEqual(status, 200, text)
        answer = json.loads(text)
        return answer["choices"][0]["text"], answer["usage"]["prompt_tokens_details"]["cached_tokens"]

    def ask_again(self, *flags: str) -> tuple[list[tuple[str, int]], dict[str, float], str]:
        """Before and after other prompts have taken all blocks; what /metrics and the log say then."""
        with ErneProcess(*self.FLAGS, *flags) as erne:
            before = self.complete(erne.port, self.PROMPT)
            for prompt in self.OTHERS:
                self.complete(erne.port, prompt)
            after = self.complete(erne.port, self.PROMPT)
            lines = (line.split() for line in ask(erne.port, "GET", "/metrics")[2].splitlines())
            metrics = {parts[0]: float(parts[1]) for parts in lines if len(parts) == 2}
            return [before, after], metrics, erne.log_text()

    def test_a_prefix_comes_back_from_it(self):
        (first, again), metrics, log = self.ask_again()
        self.assertEqual((first[1], again), (0, first))
        self.assertEqual(metrics["erne:max_cpu_block_num"], 0)
        self.assertNotIn("CPU tier", log)
        (_, from_tier), metrics, log = self.ask_again("--swap-space", "0.01")
        self.assertEqual(from_tier, (first[0], 192))
        self.assertIn("CPU tier", log)
        self.assertEqual(metrics["fastdeploy:prefix_cache_token_num_total"], 192)
        self.assertEqual(metrics["fastdeploy:prefix_cpu_cache_token_num_total"], 192)
        self.assertEqual(metrics["fastdeploy:prefix_gpu_cache_token_num_total"], 0)
        self.assertGreater(metrics["fastdeploy:cpu_hit_token_rate"], 0)
        self.assertGreater(metrics["erne:max_cpu_block_num"], metrics["erne:free_cpu_block_num"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
