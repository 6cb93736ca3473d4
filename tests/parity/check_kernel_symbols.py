#!/usr/bin/env python3
"""A source compiled for an instruction set must define nothing that the linker may share: an inline
function of it could be chosen for the whole program and crash a machine without those instructions.

    check_kernel_symbols.py ARCHIVE     every *_kernels.cpp.o in it may export its table and no more
"""
import re
import subprocess
import sys


def members(archive):
    """(object file, symbol type, demangled name) of what each member defines."""
    listing = subprocess.run(["nm", "-C", "--defined-only", archive], check=True, capture_output=True, text=True)
    member = ""
    for line in listing.stdout.splitlines():
        if line.endswith(".o:"):
            member = line[:-1]
        elif found := re.match(r"[0-9a-f]* +(\w) (.*)", line):
            yield member, found[1], found[2]


def main():
    tables, offences = set(), []
    for member, kind, name in members(sys.argv[1]):
        if not member.endswith("_kernels.cpp.o") or member.startswith("reference"):
            continue
        if re.fullmatch(r"erne::cpu::\w+_kernels\(\)", name) and kind == "T":
            tables.add(member)
        elif (not kind.islower() or kind in "vuw") and not name.startswith("DW.ref."):  # data
            offences.append(f"{member}: {kind} {name}")
    print("\n".join(offences) or f"kernel symbols: {len(tables)} objects, nothing shared")
    return 1 if offences or not tables else 0


if __name__ == "__main__":
    sys.exit(main())
