"""A running `erne serve` for a test in Python: started on a free port, observed, stopped."""
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("ERNE_BINARY", ROOT / "build/release/erne"))
MODEL = Path(os.environ.get("ERNE_MODEL", ROOT / "models/erne-tiny"))
START_SECONDS = 60
STOP_SECONDS = 30
# Of open files: less than the connections to come, as a shell's limit may be. The server has to raise it.
FILE_LIMIT = 256


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def limit_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILE_LIMIT, hard), hard))


class ErneProcess:
    """`with ErneProcess("--max-num-seqs", "64") as erne:`. `memory_mib`: all the address space it may have."""

    def __init__(self, *flags: str, model: Path = MODEL, memory_mib: int | None = None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = tempfile.TemporaryFile("w+")
        self.command = [str(BINARY), "serve", "--model", str(model), "--host", "127.0.0.1", "--port", str(self.port)]
        def limit() -> None:
            limit_files()
            if memory_mib:
                resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))

        self.process = subprocess.Popen(
            [*self.command, *flags], cwd=ROOT, stdout=self.log, stderr=self.log, preexec_fn=limit)

    def __enter__(self) -> "ErneProcess":
        try:
            self.wait_until_healthy()
        except BaseException:
            self.kill()
            self.log.close()
            raise
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is not None:
            self.kill()
            print(f"--- the server's log ---\n{self.log_text()}------------------------", flush=True)
        elif self.process.poll() is None:
            self.stop()
        self.log.close()

    def stop(self) -> None:
        """Every test ends its server as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"erne did not end {STOP_SECONDS} s after SIGTERM:\n{self.log_text()}") from None
        assert status == 0, f"erne ended with status {status} after SIGTERM:\n{self.log_text()}"

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"erne ended with status {self.process.returncode}:\n{self.log_text()}")
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError(f"erne did not become healthy in {START_SECONDS} s:\n{self.log_text()}")

    def log_text(self) -> str:
        self.log.seek(0)
        return self.log.read()[-8000:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024

    def num_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
