#!/usr/bin/env python3
"""The binary that users run is hardened: what it reads comes from the network and from strangers' files.

    tests/layering/check_binary.py BINARY     exits 1 and names each protection that is missing
"""
import subprocess
import sys


def readelf(option, binary):
    return subprocess.run(["readelf", "-W", option, binary], check=True, capture_output=True, text=True).stdout


def main():
    binary = sys.argv[1]
    segments, dynamic, symbols = (readelf(option, binary) for option in ("-l", "-d", "--dyn-syms"))
    protections = {
        "position independent (-pie)": "DYN" in segments.split("Entry point")[0],
        "read-only relocations (-z relro)": "GNU_RELRO" in segments,
        "bound at start (-z now)": "BIND_NOW" in dynamic or "NOW" in dynamic,
        "no executable stack": "GNU_STACK" in segments and "RWE" not in segments,
        "stack protector": "__stack_chk_fail" in symbols,
        "checked copies (_FORTIFY_SOURCE)": "_chk@" in symbols.replace("__stack_chk_fail@", ""),
    }
    missing = [name for name, found in protections.items() if not found]
    print("\n".join(f"missing: {name}" for name in missing) or "hardening: all there")
    sys.exit(1 if missing else 0)


main()
