#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds dmaudit against whole real dumps: too large to bundle, too slow for ctest.

    full_dumps.py [--checks rows,mutants,cut,distill,roads,note] [--scratch FOLDER]
                  [--vmlinux FILE]... DUMP|FOLDER...

rows     the rows equal those of the oracle
mutants  a leaf redirected into the reservation gives exit 1 and that row; a page table taken out
         gives exit 3 and names its page; both give exit 1, not complete (kdump-compressed only)
cut      of the first 1 % ... 99 % of the file: complete only with the rows of the whole dump
distill  the distilled dump has the same rows, findings and certainty
roads    every way to symbols, types and units that applies gives the same report;
         those of a --vmlinux where it is of the dump's kernel
note     without its VMCOREINFO note: the text is found in memory, and the rest of the report is the same

Folders are searched for kdump-compressed and ELF vmcores. One line per check. Exit status: 0 all is
well, 1 something is not, 2 usage.
"""

import argparse
import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from roads import ROADS, note_missed, same_report, without_note
from support import DMAUDIT, ROOT, check_cut, run
import compare

ORACLE = ROOT / "tests" / "oracle"
CHECKS = ("rows", "mutants", "cut", "distill", "roads", "note")


def dumps_in(paths):
    for path in map(pathlib.Path, paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if not file.is_file():
                continue
            with open(file, "rb") as stream:
                start = stream.read(18)
            core = start[:4] == b"\x7fELF" and start[16:18] == b"\4\0"
            if start[:8] == b"KDUMP   " or core or file == path:
                yield file


def python(script, *arguments):
    return subprocess.run([sys.executable, ORACLE / script, *map(str, arguments)], text=True,
                          check=False, capture_output=True)


def texts(rows):
    return [json.dumps(list(row.items())) for row in rows]


def changes(where, old, new):
    """Where two documents differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from changes(f"{where}.{key}", old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new)):
            yield from changes(f"{where}[{index}]", *pair)
    elif old != new and not (where.endswith(".place") and str(new).startswith("search for ")):
        # What a search looked at depends on the pages there are.
        yield f"{where}: {old} became {new}"


class Checker:
    def __init__(self, dump, scratch, vmlinux):
        self.dump = dump
        self.vmlinux = vmlinux
        self.scratch = scratch
        self.failures = 0
        ran = run("--format", "json", dump)
        self.status = ran.status
        self.report = ran.json()
        self.rows = run("mappings", "--format", "ndjson", "-q", dump).rows()

    def say(self, check, wrong, note=""):
        """One line for a check; `wrong` is empty when all is well."""
        self.failures += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok  '} {self.dump}: {check}"
              + (f" ({note})" if note else "") + (f": {wrong}" if wrong else ""), flush=True)

    def oracle(self, path):
        ran = python("oracle.py", "mappings", path)
        return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr

    def check_rows(self):
        status, rows, said = self.oracle(self.dump)
        note = f"{len(self.rows)} rows, exit {self.status}, oracle {len(rows)} rows, exit {status}"
        if status == 2:
            wrong = "exit 0 where the oracle cannot run: " + said if self.status == 0 else ""
        elif not rows and not self.rows:
            wrong = ""
        else:
            wrong = "; ".join(compare.differences(texts(rows), texts(self.rows))[:6])
            if not wrong and status == 3 and self.report.get("complete") and not (
                    self.units_known(said)):
                wrong = "complete where the oracle is not: " + said.strip()[:300]
            if wrong and not self.report.get("complete", True):
                note += "; says so: " + "; ".join(self.report["incomplete_because"])[:200]
            elif status == 0 and not self.report.get("complete"):
                note += "; not complete: " + "; ".join(self.report["incomplete_because"])[:300]
        self.say("rows equal the oracle's", wrong, note)

    def units_known(self, said):
        """Whether what the oracle misses is only members of units that dmaudit read one by one.

        The oracle gives up struct intel_iommu as a whole, when the interrupt remapping table of it
        is missing, for instance.
        """
        unknown = [line for line in said.splitlines() if line.startswith("oracle: unknown: ")]
        return all(line.startswith("oracle: unknown: unit at ") for line in unknown) and all(
            unit[key] and unit[key]["origin"] in ("kernel shadow", "derived")
            for unit in self.report["units"] for key in ("cap", "ecap", "gcmd", "rtaddr"))

    def mutant(self, *words):
        path = self.scratch / "mutant"
        ran = python("mutate.py", self.dump, path, *words)
        if ran.returncode != 0:
            return None, ran.stderr.strip()
        return path, [json.loads(line) for line in ran.stdout.splitlines()]

    def target(self):
        """A page inside the reservation."""
        for known in self.report.get("crashkernel") or []:
            if known["name"] == "crashk_res":
                return int(known["start"], 16) + 0x5000
        return None

    def victims(self):
        """Devices with pages to redirect, those with most rows first; one of each domain."""
        count = collections.Counter()
        seen = {}
        for row in self.rows:
            if "pa" in row and "W" in row["perm"]:
                key = (row["unit"], row["did"])
                seen.setdefault(key, row["bdf"])
                count[key] += 1
        return [seen[key] for key, _ in count.most_common()]

    def check_mutants(self):
        target, victims = self.target(), self.victims()
        if target is None or not victims or self.status == 2:
            self.say("mutants", "", "skipped: no reservation or no writable mapping")
            return
        redirected = [(bdf, self.mutant("redirect-leaf", bdf, hex(target))) for bdf in victims]
        redirected = [(bdf, change) for bdf, (path, change) in redirected if path]
        if not redirected:
            self.say("mutants", "", "skipped: no leaf can be redirected")
            return
        bdf = redirected[0][0]
        self.redirect(bdf, target)
        for level in (1, 2, 3):
            self.dropped(bdf, level)
        self.both(bdf, next((other for other, _ in redirected[1:]), bdf), target)

    def redirect(self, bdf, target):
        path, (change,) = self.mutant("redirect-leaf", bdf, hex(target))
        ran = run("--format", "json", path)
        rows = run("mappings", "--format", "ndjson", path).rows()
        wrong = ""
        if ran.status != 1:
            wrong = f"exit {ran.status}"
        elif not any(row["bdf"] == bdf and int(row["iova"], 16) <= int(change["iova"], 16)
                     < int(row["iova"], 16) + int(row["len"], 16)
                     and int(row["pa"], 16) + int(change["iova"], 16) - int(row["iova"], 16)
                     == target for row in rows if "pa" in row):
            wrong = "mappings does not show the row"
        elif not any(o["start"] == hex(target) and o["end"] == hex(target + 0xfff)
                     and (bdf, change["pasid"]) in [(d["bdf"], d["pasid"])
                                                    for d in finding["subject"]["devices"]]
                     and change["entry"] in [entry["address"] for entry in finding["evidence"]]
                     for finding in ran.json()["findings"] if finding["severity"] == "critical"
                     for o in finding["subject"].get("overlaps", [])):
            wrong = "no critical finding with the page, the device and the changed entry"
        elif ran.json()["complete"] != self.report["complete"]:
            wrong = "complete differs from the dump's"
        elif (theirs := self.oracle(path)[1]) != rows:
            wrong = "; ".join(compare.differences(texts(theirs), texts(rows))[:4])
        self.say(f"leaf of {bdf} at {change['iova']} redirected to {target:#x}", wrong)

    def dropped(self, bdf, level):
        path, change = self.mutant("drop-table", bdf, str(level))
        if path is None:
            self.say(f"table of level {level} of {bdf} dropped", "", f"skipped: {change}")
            return
        page = int(change[0]["page"], 16)
        ran = run("--format", "json", path)
        expected = 1 if self.status == 1 else 3
        wrong = "" if ran.status == expected else f"exit {ran.status}"
        if not wrong and not any(f"{page:x}" in reason
                                 for reason in ran.json()["incomplete_because"]):
            wrong = f"not named in {ran.json()['incomplete_because']}"
        text = run(path)
        if not wrong and f"{page:x}" not in text.out:
            wrong = "not named in the text report"
        self.say(f"table of level {level} of {bdf} dropped, page {page:#x}", wrong)

    def both(self, bdf, other, target):
        path, change = self.mutant("redirect-leaf", bdf, hex(target), "--", "drop-table", other,
                                   "1" if bdf != other else "2")
        if path is None:
            self.say("both", "", f"skipped: {change}")
            return
        ran = run("--format", "json", path)
        # The dropped table may be on the way to the redirected leaf.
        expected = 1 if bdf != other else ran.status
        wrong = "" if ran.status == expected else f"exit {ran.status}"
        if ran.status == 2 or ran.json()["complete"]:
            wrong = "complete"
        self.say(f"leaf of {bdf} redirected and a table of {other} dropped", wrong)

    def check_cut(self):
        path = self.scratch / "cut"
        shutil.copyfile(self.dump, path)
        os.chmod(path, 0o600)
        total = path.stat().st_size
        wrong, statuses = [], collections.Counter()
        for percent in range(99, 0, -1):
            os.truncate(path, total * percent // 100)
            status, problem = check_cut(path, self.rows)
            statuses[status] += 1
            if problem:
                wrong.append(f"{percent} %: {problem}")
        path.unlink()
        note = ", ".join(f"{n} times exit {status}" for status, n in sorted(statuses.items()))
        self.say("cut at every 1 %", "; ".join(wrong[:4]), note)

    def check_distill(self):
        path = self.scratch / "distilled"
        ran = run("distill", "-q", self.dump, "-o", path)
        if ran.status == 2:
            self.say("distilled", "" if self.status == 2 else ran.err, f"exit {ran.status}")
            return
        again = run("--format", "json", path)
        report = again.json()
        wrong = ""
        if again.status != self.status:
            wrong = f"exit {again.status} instead of {self.status}"
        elif run("mappings", "--format", "ndjson", "-q", path).rows() != self.rows:
            wrong = "other rows"
        else:
            for key in ("findings", "complete", "crashkernel", "units", "domains", "devices", "kernel"):
                wrong = wrong or "; ".join(changes(key, self.report[key], report[key]))[:600]
        self.say("distilled", wrong, f"{path.stat().st_size} bytes")

    def check_roads(self):
        if self.status == 2:
            self.say("roads", "", "skipped: cannot run")
            return
        ways = [(roads, []) for roads in ROADS]
        for path in self.vmlinux:
            if run("-q", "--vmlinux", path, self.dump).status != 2:
                ways += [(roads, ["--vmlinux", path])
                         for roads in ("vmlinux,dwarf", "vmlinux,btf-search", "dwarf")]
        for roads, options in ways:
            ran = run("--format", "json", "--roads", roads, *options, self.dump)
            applies, wrong = same_report(roads, self.report, ran.json())
            if not applies and ran.json()["complete"]:
                wrong = "complete though the ways lead nowhere"
            self.say(f"roads {roads}", wrong, "" if applies else "does not apply: " + "; ".join(
                ran.json()["incomplete_because"])[:200])


    def check_note(self):
        path = self.scratch / "no-note"
        without_note(self.dump, path)
        found = run("--format", "json", path).json()
        self.say("without its note", note_missed(self.report, found))
        path.unlink()


def main(arguments):
    parser = argparse.ArgumentParser(description="hold dmaudit against whole real dumps")
    parser.add_argument("paths", nargs="+", metavar="DUMP|FOLDER")
    parser.add_argument("--checks", default=",".join(CHECKS), help="comma-separated (default all)")
    parser.add_argument("--scratch", help="folder for copies, as large as the largest dump")
    parser.add_argument("--vmlinux", action="append", default=[], metavar="FILE",
                        help="vmlinux of a dump's kernel (repeatable)")
    options = parser.parse_args(arguments)
    checks = options.checks.split(",")
    if not set(checks) <= set(CHECKS):
        parser.error(f"--checks: choose from {', '.join(CHECKS)}")
    print(f"testing {DMAUDIT}")
    failures = 0
    for dump in dumps_in(options.paths):
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            checker = Checker(dump.resolve(), pathlib.Path(folder), options.vmlinux)
            if checker.status == 2:
                print(f"     {dump}: cannot run: {checker.report['error']['message']}")
            with open(dump, "rb") as stream:
                is_elf = stream.read(4) == b"\x7fELF"
            for check in checks:
                if check == "mutants" and is_elf:
                    continue
                getattr(checker, f"check_{check}")()
            failures += checker.failures
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
