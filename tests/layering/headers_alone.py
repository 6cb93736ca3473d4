#!/usr/bin/env python3
"""Every header compiles alone: whoever includes it needs to know of no other, nor of an order.

Most builds compile a folder's sources as a few units, which hides what a header lacks. The preset fuzz
compiles each source of the folders that its targets need by itself, and one that includes its own header
first proves that. So this compiles the other headers (about 220 of 360), once each and without making code.

    tests/layering/headers_alone.py COMPILER     exits 1 and prints the first error of each that does not
    tests/layering/headers_alone.py COMPILER --self-test     breaks a header in a scratch tree
"""
import os
import re
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


def fuzzed_folders(root):
    """Those that the fuzz targets are linked from: the libraries they name, and what these may include."""
    rows = re.findall(r"^erne_library\((\w+)([^)]*)\)", (root / "src/CMakeLists.txt").read_text(), re.M)
    includes = {folder: below.split() for folder, below in rows}
    folders = re.findall(r"erne_fuzz\(.*LIBRARIES erne_(\w+)\)", (root / "tests/fuzz/CMakeLists.txt").read_text())
    for folder in folders:
        folders += [below for below in includes[folder] if below not in folders]
    return set(folders)


def is_proved_by_its_source(root, header, folders):
    place, source = header.relative_to(root).parts, header.with_suffix(".cpp")
    if place[0] != "src" or place[1] not in folders or not source.exists():
        return False
    first = re.search(r'^#include\s+[<"]([^">]+)[>"]', source.read_text(), re.M)
    return first is not None and first[1] == str(header.relative_to(root / "src"))


def headers_to_compile(root):
    folders = fuzzed_folders(root)
    for folder in ("src", "tests"):
        for header in sorted((root / folder).rglob("*.h")):
            if str(header.relative_to(root)) in ONLY_FOR_NVCC or "node_modules" in header.parts:
                continue
            if not is_proved_by_its_source(root, header, folders):
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
    """Headers that stand alone, that do not, and whose sources hide or prove it, in a fuzzed folder and not."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for folder in ("src/base", "src/text", "src/apps", "tests/fuzz"):
            (root / folder).mkdir(parents=True)
        (root / "src/CMakeLists.txt").write_text("erne_library(base)\nerne_library(text base)\nerne_library(apps base)\n")
        (root / "tests/fuzz/CMakeLists.txt").write_text("erne_fuzz(a SOURCES a.cpp LIBRARIES erne_text)\n")
        broken = "#pragma once\nstd::vector<int> f();\n"
        (root / "src/base/whole.h").write_text("#pragma once\n#include <vector>\nstd::vector<int> f();\n")
        for name in ("base/broken", "base/hidden", "base/proved", "apps/unproved"):
            (root / f"src/{name}.h").write_text(broken)
        (root / "src/base/hidden.cpp").write_text('#include <vector>\n\n#include "base/hidden.h"\n')
        for name in ("base/proved", "apps/unproved"):  # the one does not compile, which the fuzz build says
            (root / f"src/{name}.cpp").write_text(f'#include "{name}.h"\n')
        count, found = offences(compiler, root)
    print("\n".join(found))
    names = sorted(offence.split(":")[0] for offence in found)
    return 0 if count == 4 and names == ["src/apps/unproved.h", "src/base/broken.h", "src/base/hidden.h"] else 1


def main():
    compiler = sys.argv[1]
    if sys.argv[2:] == ["--self-test"]:
        sys.exit(self_test(compiler))
    count, found = offences(compiler, Path(__file__).resolve().parents[2])
    print("\n".join(found) or f"headers: all stand alone; {count} were compiled, the preset fuzz proves the others")
    sys.exit(1 if found else 0)


main()
