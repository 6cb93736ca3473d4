#!/usr/bin/env python3
"""Every header compiles alone: whoever includes it needs to know of no other, nor of an order.

Builds compile a folder's sources as a few units, which would hide what a header lacks, so this compiles
each of the 200 once, without making code.

    tests/layering/headers_alone.py COMPILER     exits 1 and prints the first error of each that does not
    tests/layering/headers_alone.py COMPILER --self-test     breaks a header in a scratch tree
"""
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FLAGS = ["-std=gnu++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", '-DERNE_SOURCE_DIR=""']
# Headers in terms of an instruction set's registers.
VECTOR_FLAGS = ["-mavx2", "-mfma", "-mf16c", "-Wno-psabi", "-Wno-unused-function"]
VECTOR_FOLDERS = ("src/cpu/lanes", "src/cpu/kernels", "tests/emulated")
# The language of CUDA kernels, as the host's compiler takes it; what only nvcc takes, it compiles.
EMULATED_FLAGS = ["-DERNE_CUDA_EMULATED", "-mavx2", "-mfma"]
EMULATED_FOLDERS = ("src/cuda", "tests/cuda")
ONLY_FOR_NVCC = {"src/cuda/language/nvcc.h", "src/cuda/runtime/cuda_call.h"}


def headers_to_compile(root):
    for folder in ("src", "tests"):
        for header in sorted((root / folder).rglob("*.h")):
            if str(header.relative_to(root)) in ONLY_FOR_NVCC or "node_modules" in header.parts:
                continue
            yield header


def offence_of(compiler, root, header):
    shown = str(header.relative_to(root))
    own = VECTOR_FLAGS if shown.startswith(VECTOR_FOLDERS) else []
    own = EMULATED_FLAGS if shown.startswith(EMULATED_FOLDERS) else own
    folders = [f"-I{root / folder}" for folder in ("src", "tests", "rust")]
    done = subprocess.run([compiler, *FLAGS, *own, *folders, "-include", str(header), "-x", "c++", os.devnull],
                          capture_output=True, text=True)
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    return f"{shown}: does not compile alone: {(errors or ['the compiler failed'])[0]}"


def offences(compiler, root):
    headers = list(headers_to_compile(root))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda header: offence_of(compiler, root, header), headers))
    return len(headers), [offence for offence in found if offence]


def self_test(compiler):
    """One header that stands alone and one that does not, although its source hides that."""
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / "src/base"
        base.mkdir(parents=True)
        (base / "whole.h").write_text("#pragma once\n#include <vector>\nstd::vector<int> f();\n")
        (base / "hidden.h").write_text("#pragma once\nstd::vector<int> h();\n")
        (base / "hidden.cpp").write_text('#include <vector>\n\n#include "base/hidden.h"\n')
        count, found = offences(compiler, Path(scratch))
    print("\n".join(found))
    names = sorted(offence.split(":")[0] for offence in found)
    return 0 if count == 2 and names == ["src/base/hidden.h"] else 1


def main():
    compiler = sys.argv[1]
    if sys.argv[2:] == ["--self-test"]:
        sys.exit(self_test(compiler))
    count, found = offences(compiler, Path(__file__).resolve().parents[2])
    print("\n".join(found) or f"headers: all {count} stand alone")
    sys.exit(1 if found else 0)


main()
