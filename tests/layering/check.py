#!/usr/bin/env python3
"""Checks the rules of the house that a compiler does not: who may include whom, what each folder must
not mention, how large a file or a function may grow, what a file must not be called.

The layering table is src/CMakeLists.txt itself: every `erne_library(folder allowed...)` line.

    tests/layering/check.py [ROOT]      exits 1 and prints each offence as file:line: what and why
    tests/layering/check.py --self-test breaks each rule once in a scratch tree and expects an offence
"""
import re
import sys
import tempfile
from pathlib import Path

MAX_FILE_LINES, MAX_KERNEL_LINES = 500, 800
MAX_FUNCTION_LINES, MAX_FORWARD_LINES = 80, 150
MAX_COLUMNS = 100
KERNEL_FOLDERS = {"cpu", "cuda"}
# The rooms inside a folder, from the ground up: each may include those before it, and files beside
# the rooms may include all of them. A file's name stands for that file as a room of its own.
ROOMS = {
    "cpu": ["arithmetic.h", "machine", "lanes", "packing", "kernels"],
    "cuda": ["arithmetic.h", "emulation", "language", "packing", "runtime", "kernels"],
}
FORBIDDEN_NAMES = re.compile(r"util|helper|common|manager|misc", re.IGNORECASE)
TIME_AND_THREADS = r"#include\s*<(chrono|thread|mutex|atomic|random|condition_variable|ctime)>|std::chrono"
# folder -> (pattern, why); "*" is every folder but those named in the third field.
BANNED = [
    ({"sched", "kv"}, re.compile(TIME_AND_THREADS), "plans depend on messages and step numbers only"),
    ("*", re.compile(r"\bgetenv\b"), "environment variables become options in apps/", {"apps"}),
    ("*", re.compile(r"cuda_runtime|\bcudaError"), "CUDA stays in cuda/", {"cuda"}),
    ("*", re.compile(r"^\s*#\s*if.*(CUDA|ERNE_GPU)"), "devices are chosen in apps/", {"apps", "cuda"}),
    ("*", re.compile(r"\bco_await\b|\bco_return\b"), "g++ 12 miscompiles coroutines", set()),
    ("*", re.compile(r"\bTODO\b|\bFIXME\b"), "finish it or say it in the issue", set()),
]


# Devices are chosen in one place. What else names a back end's folder: the peaks of this machine's CPU
# are measured by the instructions that its kernels have.
BACKEND_FOLDERS = {"cpu", "cuda"}
MAY_NAME_BACKENDS = {"apps/backends.cpp", "bench/limits.cpp", "bench/limits_amx.cpp"}
# Only back ends turn a device's address into a pointer.
DEVICE_ACCESS, MAY_ACCESS_DEVICES = re.compile(r"\bDeviceAccess\b"), {"backend"} | BACKEND_FOLDERS


def layering_table(root):
    """folder -> set of folders it may include, in the order of src/CMakeLists.txt."""
    text = (root / "src/CMakeLists.txt").read_text()
    return {m[1]: set(m[2].split()) for m in re.finditer(r"^erne_library\((\w+)([^)]*)\)", text, re.M)}


def check_table(table):
    """Every folder may name only folders above it in the file, so no cycle is possible."""
    seen = set()
    for folder, allowed in table.items():
        for name in sorted(allowed - seen):
            yield f"src/CMakeLists.txt:1: {folder} includes {name}, which is not above it: a cycle, or a typo"
        seen.add(folder)


def check_includes(path, folder, lines, table):
    allowed = table[folder] | {folder}
    for number, line in enumerate(lines, 1):
        found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not found:
            continue
        target = found[1].split("/")[0]
        if "/" in found[1] and target in table and target not in allowed:
            yield f"{path}:{number}: {folder} may not include {target}"


def check_rooms(path, folder, lines):
    """Inside a folder that has rooms, too, nobody includes what is above."""
    rooms = ROOMS.get(folder, [])
    room = path.parts[2] if len(path.parts) > 2 else ""
    if room not in rooms:
        if len(path.parts) > 3 and rooms:
            yield f"{path}:1: room {room} is not in ROOMS of tests/layering"
        return
    for number, line in enumerate(lines, 1):
        found = re.match(rf'\s*#\s*include\s+"{folder}/([^/"]+)', line)
        if found and found[1] not in rooms[: rooms.index(room) + 1]:
            yield f"{path}:{number}: {folder}/{room} may not include {folder}/{found[1]}"


def check_devices(path, folder, lines):
    if folder in MAY_ACCESS_DEVICES or path.stem.endswith("_test") or path.stem == "memory_backend":
        return
    shown = "/".join(path.parts[1:])
    for number, line in enumerate(lines, 1):
        found = re.match(r'\s*#\s*include\s+"(\w+)/', line)
        if found and found[1] in BACKEND_FOLDERS and shown not in MAY_NAME_BACKENDS:
            yield f"{path}:{number}: only {' and '.join(sorted(MAY_NAME_BACKENDS))} name a back end's folder"
        if DEVICE_ACCESS.search(line.split("//")[0]):
            yield f"{path}:{number}: device memory is for back ends alone: upload() and download() reach it"


def check_banned(path, folder, lines):
    for folders, pattern, why, *exempt in BANNED:
        if folders == "*" and folder in exempt[0]:
            continue
        if folders != "*" and folder not in folders:
            continue
        for number, line in enumerate(lines, 1):
            if pattern.search(line.split("//")[0] if "TODO" not in pattern.pattern else line):
                yield f"{path}:{number}: '{line.strip()}': {why}"


NOT_A_FUNCTION = re.compile(r"\s*(namespace|struct|class|enum|union|extern|if|for|while|switch|else|do)\b")


def first_line(lines, last):
    """Where the declaration that ends in lines[last] began: back until its parentheses balance."""
    depth = 0
    for index in range(last, -1, -1):
        depth += lines[index].count(")") - lines[index].count("(")
        if depth <= 0:
            return index
    return last


def functions(lines):
    """(first line, length, name) of every function outside a class or directly in one: clang-format puts
    the closing brace in the column of the first line."""
    start = None
    for index, line in enumerate(lines):
        if start is None:
            if not line.endswith("{") or ")" not in line:
                continue
            begin = first_line(lines, index)
            indent = re.match(r"\s*", lines[begin])[0]
            if len(indent) <= 2 and not NOT_A_FUNCTION.match(lines[begin]):
                start = begin
        elif re.match(indent + r"\}(?! else)", line):
            yield start + 1, index - start + 1, lines[start].strip()
            start = None


def check_sizes(path, folder, lines):
    limit = MAX_KERNEL_LINES if folder in KERNEL_FOLDERS else MAX_FILE_LINES
    if len(lines) > limit:
        yield f"{path}:{limit}: {len(lines)} lines, at most {limit}: a part wants a name of its own"
    for start, length, name in functions(lines):
        limit = MAX_FORWARD_LINES if "forward(" in name else MAX_FUNCTION_LINES
        if length > limit and not name.startswith("TEST"):
            yield f"{path}:{start}: {length} lines in '{name}', at most {limit}"


# A file of this repository, cited in a comment: by its path from the root, src/, tests/ or the folder
# of the citing file, or by its name alone.
CITED_FILE = re.compile(r"(?<![\w/.*-])((?:[\w.-]+/)*[A-Za-z0-9][\w-]*\.(?:md|h|cpp|rs|py|cu|cuh))\b(?![\w/])")
COMMENT = {".rs": "//", ".h": "//", ".cpp": "//", ".cu": "//", ".cuh": "//", ".py": "#", "": "#"}
SOURCE_FOLDERS = ("src", "tests", "tools", "bench", "rust")


def source_files(root):
    for folder in SOURCE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in COMMENT and not {"seeds", "node_modules", "target"} & set(path.parts):
                yield path


def check_comments(root, path, known_names):
    """Comments cite files that exist and fit the line: the formatter leaves them as they are."""
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        return
    shown, mark = path.relative_to(root), COMMENT[path.suffix]
    for number, line in enumerate(lines, 1):
        _, found, comment = line.partition(mark)
        if not found or "#include" in line:
            continue
        if path.suffix != ".rs" and mark == "//" and len(line) > MAX_COLUMNS:
            yield f"{shown}:{number}: {len(line)} columns, at most {MAX_COLUMNS}"
        for cited in CITED_FILE.findall(comment):
            places = (root, root / "src", root / "tests", path.parent)
            exists = any((place / cited).exists() for place in places) if "/" in cited else cited in known_names
            if not exists:
                yield f"{shown}:{number}: cites {cited}, which does not exist"


def check_tree(root):
    known_names = {path.name for path in source_files(root)} | {path.name for path in root.glob("**/*.md")}
    for path in source_files(root):
        yield from check_comments(root, path, known_names)
    table = layering_table(root)
    yield from check_table(table)
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in {".h", ".cpp", ".cu", ".cuh"}:
            continue
        shown, folder = path.relative_to(root), path.relative_to(root / "src").parts[0]
        if folder not in table:
            yield f"{shown}:1: folder {folder} is not in src/CMakeLists.txt"
            continue
        lines = path.read_text().splitlines()
        if FORBIDDEN_NAMES.search(path.stem):
            yield f"{shown}:1: a file called '{path.stem}' collects what has no name"
        yield from check_includes(shown, folder, lines, table)
        yield from check_rooms(shown, folder, lines)
        yield from check_devices(shown, folder, lines)
        yield from check_banned(shown, folder, lines)
        yield from check_sizes(shown, folder, lines)


def self_test(root):
    """Each rule is broken once; a rule that lets it pass is a defect of this script."""
    breaks = {
        "include": ("src/kv/x.cpp", '#include "sched/request.h"\n'),
        "clock": ("src/sched/x.cpp", "#include <chrono>\n"),
        "lock": ("src/kv/x.cpp", "#include <mutex>\n"),
        "getenv": ("src/server/x.cpp", 'auto a = getenv("A");\n'),
        "name": ("src/base/string_utils.h", "\n"),
        "file": ("src/base/x.cpp", "\n" * 501),
        "function": ("src/base/x.cpp", "int f() {\n" + "  f();\n" * 90 + "}\n"),
        "signature": ("src/base/x.cpp", "int f(int a,\n      int b) {\n" + "  f();\n" * 90 + "}\n"),
        "cited file": ("src/base/x.cpp", "// As base/nowhere.h has it.\n"),
        "cited name": ("src/base/x.cpp", "// As nowhere.md says.\n"),
        "comment": ("src/base/x.cpp", "// " + "long " * 20 + "\n"),
        "folder": ("src/misplaced/x.cpp", "\n"),
        "back end": ("src/apps/x.cpp", '#include "cpu/cpu_backend.h"\n'),
        "device": ("src/model/x.cpp", "int* p = DeviceAccess::pointer<int>(a);\n"),
        "room above": ("src/cpu/lanes/x.h", '#include "cpu/kernels/kernels.h"\n'),
        "above all rooms": ("src/cpu/packing/x.h", '#include "cpu/products.h"\n'),
        "unknown room": ("src/cpu/attic/x.h", "\n"),
        "cycle": ("src/CMakeLists.txt", "erne_library(a b)\nerne_library(b a)\n"),
    }
    failed = 0
    for rule, (name, text) in breaks.items():
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch)
            (tree / "src").mkdir()
            (tree / "src/CMakeLists.txt").write_text((root / "src/CMakeLists.txt").read_text())
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
            offences = list(check_tree(tree))
            print(f"{rule}: {offences[0] if offences else 'NOT NOTICED'}")
            failed += not offences
    return failed


def main():
    arguments = sys.argv[1:]
    root = Path(__file__).resolve().parents[2]
    if arguments == ["--self-test"]:
        sys.exit(1 if self_test(root) else 0)
    offences = list(check_tree(Path(arguments[0]) if arguments else root))
    print("\n".join(offences) or "layering: no offence")
    sys.exit(1 if offences else 0)


main()
