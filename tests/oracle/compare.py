#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares two NDJSON files of mapping rows.

    compare.py A.ndjson B.ndjson [--show N]

Rows are equal when they have the same keys in the same order with the same
values; their order counts too. Exit status: 0 equal, 1 different or either
side empty, 2 cannot read.
"""

import argparse
import collections
import json
import sys

KEYS = ["unit", "bdf", "pasid", "did", "stage", "iova", "len", "pa", "perm"]


def load(path):
    rows = []
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                row = json.loads(line, object_pairs_hook=list)
                if not isinstance(row, list) or any(len(pair) != 2 for pair in row):
                    raise ValueError("not an object")
            except (ValueError, TypeError) as err:
                raise ValueError(f"{path}:{number}: {err}") from None
            rows.append(json.dumps(row))
    return rows


def text(row):
    return " ".join(f"{key}={value}" for key, value in json.loads(row))


def differences(left, right):
    """Lines that tell how two lists of rows differ; empty when they do not."""
    out = []
    if not left or not right:
        out.append(f"empty: {len(left)} rows against {len(right)}")
    only_left = collections.Counter(left) - collections.Counter(right)
    only_right = collections.Counter(right) - collections.Counter(left)
    for row in left:
        if only_left[row] > 0:
            only_left[row] -= 1
            out.append(f"- {text(row)}")
    for row in right:
        if only_right[row] > 0:
            only_right[row] -= 1
            out.append(f"+ {text(row)}")
    if not out and left != right:
        place = next(n for n, pair in enumerate(zip(left, right)) if pair[0] != pair[1])
        out.append(f"the same rows in another order, from row {place + 1} on: "
                   f"{text(left[place])} against {text(right[place])}")
    for side, rows in (("first", left), ("second", right)):
        for number, row in enumerate(rows, 1):
            keys = [key for key, _ in json.loads(row)]
            if keys != [key for key in KEYS if key in keys] or not {*KEYS} - {"pa"} <= {*keys}:
                out.append(f"row {number} of the {side} file has the keys {' '.join(keys)}")
                break
    return out


def main(arguments):
    parser = argparse.ArgumentParser(description="compare two files of mapping rows")
    parser.add_argument("left")
    parser.add_argument("right")
    parser.add_argument("--show", type=int, default=20, help="differences shown (default 20)")
    options = parser.parse_args(arguments)
    try:
        left, right = load(options.left), load(options.right)
    except (OSError, ValueError) as err:
        print(f"compare: {err}", file=sys.stderr)
        return 2
    found = differences(left, right)
    for line in found[:options.show]:
        print(line)
    if len(found) > options.show:
        print(f"... and {len(found) - options.show} more differences")
    print(f"{'different' if found else 'equal'}: {len(left)} rows in {options.left}, "
          f"{len(right)} in {options.right}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
