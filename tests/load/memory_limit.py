"""A process under a limit of memory: a cgroup where one can be made, else a limit of its address space."""
import os
import resource
from pathlib import Path

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
# Address space that is reserved and never touched: stacks, the allocator's arenas.
RESERVED_MB = 4096


class MemoryLimit:
    """`preexec` puts the process that is about to start under the limit."""

    def __init__(self, megabytes: int):
        self.bytes = megabytes << 20
        self.folder: Path | None = None
        for root, limit, files in ((V1, "memory.limit_in_bytes", {}), (V2, "memory.max", {"memory.swap.max": "0"})):
            folder = root / f"erne_campaign_{os.getpid()}"
            if not (root / "cgroup.procs").exists():
                continue
            try:
                folder.mkdir()
                (folder / limit).write_text(str(self.bytes))
                for name, text in files.items():
                    (folder / name).write_text(text)
                self.folder = folder
                break
            except OSError:
                if folder.exists():
                    folder.rmdir()

    def __str__(self) -> str:
        kind = "a cgroup" if self.folder else f"an address space with {RESERVED_MB} MB more"
        return f"{self.bytes >> 20} MB in {kind}"

    def preexec(self) -> None:
        if self.folder:
            (self.folder / "cgroup.procs").write_text(str(os.getpid()))
        else:
            size = self.bytes + (RESERVED_MB << 20)
            resource.setrlimit(resource.RLIMIT_AS, (size, size))

    def remove(self) -> None:
        if self.folder:
            self.folder.rmdir()
