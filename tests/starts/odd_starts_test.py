#!/usr/bin/env python3
"""Starts of the real binary that cannot work: each ends by itself with status 1 or 2 and a sentence, never by
a signal, and soon. What each flag refuses is src/apps/odd_starts_test.cpp; here is what only a process shows:
limits of the system, files that never end, a terminal's chat, folders that are written to.

    tests/starts/odd_starts_test.py BINARY
"""
import json
import os
import resource
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "models/erne-tiny")
BINARY = sys.argv.pop() if len(sys.argv) > 1 else str(ROOT / "build/release/erne")
SECONDS = 60  # on a machine that is busy with other tests; none waits for anything


def run(*arguments, environment=None, text="", limits=()):
    def set_limits():
        for kind, value in limits:
            resource.setrlimit(kind, (value, value))
    return subprocess.run([BINARY, *arguments], input=text.encode("utf-8", "surrogateescape"), capture_output=True,
                          timeout=SECONDS, preexec_fn=set_limits, env={**os.environ, **(environment or {})})


class OddStarts(unittest.TestCase):
    def refused(self, *arguments, named=(), **how):
        ended = run(*arguments, **how)
        error = ended.stderr.decode(errors="replace")
        self.assertIn(ended.returncode, (1, 2), f"{arguments}: {error}")
        for part in named:
            self.assertIn(part, error, arguments)
        return error

    def test_commands(self):
        self.refused("sreve")
        self.refused()
        for command in ("serve", "chat", "quantize", "bench"):
            self.refused(command, "--nonsense", "1", named=["nonsense"])
            self.assertEqual(run(command, "--help").returncode, 0)
        for benchmark in ("serve", "decode", "prefill", "batched", "ops", "make-checkpoint"):
            self.refused("bench", benchmark, "--nonsense", "1", named=["--nonsense"])
            self.assertEqual(run("bench", benchmark, "--help").returncode, 0)

    def test_files_that_are_none(self):
        for path in ("/", "/dev/zero", "/dev/null", "/proc/self/mem"):
            self.refused("serve", "--model", TINY, "--config", path, named=["--config"])
            self.refused("serve", "--model", TINY, "--chat-template", path, named=["--chat-template"])
            self.refused("serve", "--model", path if path != "/" else "/nowhere", named=["--model"])

    def test_more_than_the_machine_has(self):
        self.refused("serve", "--model", TINY, "--threads", "1024", named=["--threads", "CPUs"])
        self.refused("serve", "--model", TINY, "--num-gpu-blocks-override", "1073741824",
                     named=["--num-gpu-blocks-override", "up to"])
        # 1 GiB of address space: what does not fit is said with what would.
        limit = [(resource.RLIMIT_AS, 1 << 30)]
        error = self.refused("serve", "--model", TINY, "--max-num-batched-tokens", "1048576", limits=limit,
                             named=["--max-num-batched-tokens"])
        self.assertNotIn("CHECK", error)

    def test_addresses(self):
        for host in ("nonsense", "256.1.1.1", "::g", "a" * 5000):
            self.refused("serve", "--model", TINY, "--host", host, "--port", "0")
        self.refused("serve", "--model", TINY, "--host", "", named=["--host"])

    def test_keys(self):
        for keys in ("", " , ,", "a b"):
            self.refused("serve", "--model", TINY, environment={"FD_API_KEY": keys}, named=["FD_API_KEY"])

    def test_chat_takes_any_text(self):
        for text in ("hello <|im_end|> </s> <s>\n", "\udcff\udcfe\x00\x01\n", "你好" * 20000 + "\n", "x" * 200000 + "\n",
                     "<0x00><unk>\n" * 3):
            ended = run("chat", "--model", TINY, "--max-tokens", "2", "--threads", "1", text=text)
            self.assertEqual(ended.returncode, 0, ended.stderr.decode(errors="replace"))
        # A tokenizer that knows more than the model has rows for.
        with tempfile.TemporaryDirectory() as folder:
            for file in Path(TINY).iterdir():
                if file.is_file() and file.suffix != ".safetensors" and file.name != "generation_config.json":
                    (Path(folder) / file.name).write_bytes(file.read_bytes())
            config = Path(folder) / "config.json"
            config.write_text(json.dumps({**json.loads(config.read_text()), "vocab_size": 1008}))
            ended = run("chat", "--model", folder, "--load-choices", "dummy", "--max-tokens", "2", "--threads", "1",
                        text="你好 hello world 42, what is this?\n1\n")
            error = ended.stderr.decode(errors="replace")
            self.assertEqual(ended.returncode, 0, error)
            self.assertIn("this model's tokens end at 1007", error)
        for flags in (["--max-tokens", "-1"], ["--max-tokens", "99999999999"], ["--max-tokens", "2x"],
                      ["--temperature", "nan"], ["--temperature", "3"], ["--temperature", ""], ["--message"]):
            self.refused("chat", "--model", TINY, *flags, named=[flags[0]])
        ended = run("chat", "--model", TINY, "--max-tokens", "2147483647", "--max-model-len", "64", "--threads", "1",
                    "--message", "hi")
        self.assertEqual(ended.returncode, 0, ended.stderr.decode(errors="replace"))

    def test_quantize_writes_into_a_new_folder_only(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "elsewhere").mkdir()
            (folder / "link").symlink_to(folder / "elsewhere")
            (folder / "full").mkdir()
            (folder / "full/config.json").write_text("mine")
            (folder / "file").write_text("mine")
            for output in ("link", "full", "file", "file/below"):
                self.refused("quantize", "--model", TINY, "--quantization", "wint8", "--output", str(folder / output),
                             named=["--output"])
            self.assertEqual(os.listdir(folder / "elsewhere"), [])
            self.assertEqual((folder / "full/config.json").read_text(), "mine")
            # A checkpoint whose files lead out of it.
            (folder / "model").mkdir()
            for file in Path(TINY).iterdir():
                if file.is_file():
                    (folder / "model" / file.name).write_bytes(file.read_bytes())
            (folder / "secret").write_text("not yours")
            (folder / "model/notes.txt").symlink_to(folder / "secret")
            self.refused("quantize", "--model", str(folder / "model"), "--quantization", "wint8", "--output",
                         str(folder / "made"), named=["notes.txt"])
            self.assertFalse((folder / "made/notes.txt").exists())


if __name__ == "__main__":
    unittest.main()
