#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds dumps of one machine in several containers against each other.

    compare_containers.py DUMP DUMP...

A DUMP is a file, the parts of a split dump joined by "+", or ADDRESS@FILE for bare memory from a
hexadecimal address on. Every dump is compared with the first one:

pages     where both know a page, its bytes are the same (pages --crc32); how many pages they both
          know, and in which pairs of states the others are
audit     the report is the same but for what is said of the container itself, and so are the rows
          of mappings; of a dump that knows other pages or has no kernel in it this is not asked

One line per check. Exit status: 0 all is well, 1 something is not, 2 usage.
"""

import argparse
import collections
import sys

from support import run

READABLE = ("data", "zero")
# Parts of a report that tell of the container and of what reading it cost, not of the machine.
CONTAINER = ("input", "diagnostics")


class Dump:
    def __init__(self, name):
        self.name = name
        self.arguments = name.split("+")
        address, at, file = name.partition("@")
        if at:
            self.arguments = [f"--raw={address}", file]

    def pages(self):
        """{page frame: (state, crc32 or None)}"""
        ran = run("pages", "-q", "--crc32", "--format", "ndjson", *self.arguments, timeout=600)
        if ran.status == 2:
            raise SystemExit(f"{self.name}: {ran.err.strip()}")
        return {row["pfn"]: (row["state"], row["crc32"]) for row in ran.rows()}

    def audit(self):
        """The report and the rows without what is the container's; None without a kernel."""
        ran = run("report", "-q", "--format", "json", *self.arguments, timeout=600)
        if ran.status == 2:
            return None
        report = {key: value for key, value in ran.json().items() if key not in CONTAINER}
        report["coverage"].pop("pages_read")
        rows = run("mappings", "-q", "--format", "ndjson", *self.arguments, timeout=600)
        return ran.status, report, rows.status, rows.rows()


def compare_pages(ours, theirs):
    """(what is wrong, pages that both know, {pair of states: pages})"""
    wrong, same, pairs = [], 0, collections.Counter()
    for pfn in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(pfn, ("absent", None)), theirs.get(pfn, ("absent", None))
        if a[0] in READABLE and b[0] in READABLE:
            same += 1
            if a[1] != b[1]:
                wrong.append(f"page {pfn:#x}: {a[1]} and {b[1]}")
        elif a[0] != b[0]:
            pairs[a[0], b[0]] += 1
    return wrong, same, pairs


def differences(ours, theirs):
    status, report, rows_status, rows = ours
    other_status, other_report, other_rows_status, other_rows = theirs
    wrong = [key for key in sorted(report.keys() | other_report.keys())
             if report.get(key) != other_report.get(key)]
    if status != other_status or rows_status != other_rows_status:
        wrong.append(f"exit {other_status} and {other_rows_status} "
                     f"instead of {status} and {rows_status}")
    if rows != other_rows:
        wrong.append("rows of mappings")
    return wrong


def main(arguments):
    parser = argparse.ArgumentParser(description="hold containers against each other")
    parser.add_argument("dumps", nargs="+", metavar="DUMP")
    dumps = [Dump(name) for name in parser.parse_args(arguments).dumps]
    if len(dumps) < 2:
        parser.error("one dump has nothing to be compared with")
    failures = 0

    def say(name, check, wrong, note=""):
        nonlocal failures
        failures += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok  '} {name}: {check}" + (f" ({note})" if note else "")
              + (f": {'; '.join(wrong[:5])}" if wrong else ""), flush=True)

    first, *others = dumps
    pages, audit = first.pages(), first.audit()
    for other in others:
        wrong, same, pairs = compare_pages(pages, other.pages())
        if not same:
            wrong.append("not a page that both know")
        note = [f"{same} pages known to both"]
        note += [f"{count} {a} there and {b} here" for (a, b), count in sorted(pairs.items())]
        say(other.name, "pages", wrong, ", ".join(note))
        theirs = other.audit()
        if audit is None or theirs is None:
            say(other.name, "audit", [], "not asked: no kernel in one of them")
        elif pairs:
            say(other.name, "audit", [], "not asked: they do not know the same pages")
        else:
            say(other.name, "audit", differences(audit, theirs), f"{len(audit[3])} rows")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
