#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the include lines of src/ against the layer diagram of docs/architecture.md."""
import pathlib
import re
import sys

MAY_INCLUDE = {
    "base": set(),
    "vmcore": {"base"},
    "dmar": {"base", "vmcore"},
    "kernel": {"base", "vmcore", "dmar"},
    "audit": {"base", "vmcore", "dmar", "kernel"},
    "report": {"base", "vmcore", "dmar", "kernel", "audit"},
    "cli": {"base", "vmcore", "dmar", "kernel", "audit", "report"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def violations(src):
    for path in sorted(src.rglob("*")):
        if path.suffix not in (".cc", ".h"):
            continue
        layer = path.relative_to(src).parts[0]
        if layer not in MAY_INCLUDE:
            yield f"{path}: folder {layer} is not in the diagram"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(1).split("/")[0]
            if target != layer and target not in MAY_INCLUDE[layer]:
                yield f"{path}:{number}: {layer} must not include {match.group(1)}"
            if not (src / match.group(1)).is_file():
                yield f"{path}:{number}: {match.group(1)} is not a path relative to src/"


def main():
    src = pathlib.Path(sys.argv[1])
    found = list(violations(src))
    print("\n".join(found))
    files = sum(1 for p in src.rglob("*.h"))
    if files < 10:
        print(f"only {files} headers under {src}: wrong folder?")
        return 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
