# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command-line tests share: running dmaudit, the fixtures, files cut and changed.

The program is $DMAUDIT, or else that of the release build.
"""

import csv
import difflib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
DMAUDIT = os.path.abspath(os.environ.get("DMAUDIT") or ROOT / "build/release/src/dmaudit")
NAMES = sorted(path.stem for path in FIXTURES.glob("*.kdump"))
# Those with tables in use.
TRANSLATING = [name for name in NAMES if (FIXTURES / f"{name}.mappings.ndjson").stat().st_size]
WORKERS = os.cpu_count() or 1
# Of long series of like cases, every how manieth is run.
ONE_IN = int(os.environ.get("DMAUDIT_ONE_IN") or 1)
PAGE = 4096
TEXT_WIDTH = 100
# Far above what a run takes, with sanitizers on a slow machine too: what is still running then hangs.
TIMEOUT = 240

sys.path.insert(0, str(ROOT / "tests" / "oracle"))

# Nothing a user should ever see, whatever the input.
CRASH_TALK = re.compile(
    r"Sanitizer|runtime error:|terminate called|what\(\)|Traceback|core dumped|Assertion|std::")


class Ran:
    """One finished run."""

    def __init__(self, arguments, status, out, err):
        self.arguments = arguments
        self.status = status
        self.raw = out
        self.out = out.decode("utf-8", "replace")
        self.err = err.decode("utf-8", "replace")

    def __str__(self):
        return (f"dmaudit {' '.join(map(str, self.arguments))}: exit {self.status}\n"
                f"{self.out[:2000]}\n{self.err[:2000]}")

    def json(self):
        return json.loads(self.raw.decode("utf-8"))

    def rows(self):
        return [json.loads(line) for line in self.out.splitlines()]


def environment(**changes):
    """The caller's, without what changes the output; a sanitizer's report is no exit status of ours."""
    out = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    out.update(LC_ALL="C.UTF-8", TERM="xterm", ASAN_OPTIONS="exitcode=99:detect_leaks=1",
               UBSAN_OPTIONS="halt_on_error=1:exitcode=99")
    out.update(changes)
    return out


def run(*arguments, cwd=FIXTURES, env=None, timeout=TIMEOUT, **streams):
    """Runs dmaudit; fails on a crash, a hang, and a status that is none of its own."""
    streams.setdefault("stdout", subprocess.PIPE)
    streams.setdefault("stderr", subprocess.PIPE)
    streams.setdefault("stdin", subprocess.DEVNULL)
    try:
        done = subprocess.run([DMAUDIT, *map(str, arguments)], cwd=cwd, env=env or environment(),
                              timeout=timeout, check=False, **streams)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"dmaudit {' '.join(map(str, arguments))}: hangs") from None
    ran = Ran(arguments, done.returncode, done.stdout or b"", done.stderr or b"")
    if ran.status not in (0, 1, 2, 3) or CRASH_TALK.search(ran.err):
        raise AssertionError(f"crashed: {ran}")
    return ran


def one_error(ran, path):
    """Whether a run ended in one line that names the file, after nothing but diagnostics."""
    lines = ran.err.splitlines()
    told = all(line.startswith(("dmaudit: warning: ", "dmaudit: note: ")) for line in lines[:-1])
    return bool(lines) and told and lines[-1].startswith(f"dmaudit: {path}: ")


def inside(row, whole):
    """Whether a row is a part of one of the whole dump's rows."""
    def number(of, key):
        return int(of[key], 16)

    for other in whole:
        if any(row[key] != other[key] for key in ("unit", "bdf", "pasid", "did", "stage", "perm")):
            continue
        skip = number(row, "iova") - number(other, "iova")
        if skip < 0 or skip + number(row, "len") > number(other, "len"):
            continue
        if "pa" not in row or number(row, "pa") - number(other, "pa") == skip:
            return True
    return False


def check_cut(path, whole):
    """(exit status, what is wrong or None) of a dump that is cut; `whole` are the whole one's rows."""
    ran = run("--format", "json", path)
    if ran.status == 2:
        return 2, None if one_error(ran, path) else f"no error line: {ran}"
    report = ran.json()
    rows = run("mappings", "--format", "ndjson", "-q", path)
    wrong = None
    if report["complete"]:
        if rows.rows() != whole or rows.status != 0 or ran.status == 3:
            wrong = f"complete with other rows, or exit {ran.status}, mappings {rows.status}"
    elif ran.status == 0 or rows.status != 3 or not report["incomplete_because"]:
        wrong = f"not complete with exit {ran.status}, mappings {rows.status}, or without a reason"
    if not report["diagnostics"]:
        wrong = "a cut file without a diagnostic"
    invented = [row for row in rows.rows() if not inside(row, whole)]
    if invented:
        wrong = f"rows that the whole dump does not have: {invented[:3]}"
    return ran.status, wrong


def fixture(name):
    return FIXTURES / f"{name}.kdump"


def golden(name, kind):
    return (FIXTURES / f"{name}.{kind}").read_text(encoding="utf-8")


def golden_rows(name):
    return [json.loads(line) for line in golden(name, "mappings.ndjson").splitlines()]


def schema_errors(document):
    """What a public validator says against docs/report.schema.json: one line per error."""
    import jsonschema  # pylint: disable=import-outside-toplevel
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    # oneOf errors say little: the branch that is meant tells more.
    branch = "failure" if "error" in document else "report"
    validator = jsonschema.Draft202012Validator({"$defs": schema["$defs"],
                                                 "$ref": f"#/$defs/{branch}"})
    errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}"
              for e in validator.iter_errors(document)]
    if not errors and not jsonschema.Draft202012Validator(schema).is_valid(document):
        errors.append("not exactly one of report and failure")
    return errors


def rows_of_csv(text):
    """CSV rows in the form of NDJSON rows."""
    out = []
    for row in csv.DictReader(text.splitlines()):
        row["pasid"] = int(row["pasid"]) if row["pasid"] else None
        row["did"] = int(row["did"])
        if not row["pa"]:
            del row["pa"]
        out.append(row)
    return out


def rows_of_text(text):
    out = []
    for line in text.splitlines()[1:]:
        unit, bdf, pasid, did, stage, iova, size, pa, perm = line.split()
        row = {"unit": unit, "bdf": bdf, "pasid": None if pasid == "-" else int(pasid),
               "did": int(did), "stage": stage, "iova": f"0x{iova}", "len": f"0x{size}"}
        if pa != "all":
            row["pa"] = f"0x{pa}"
        row["perm"] = perm
        out.append(row)
    return out


class CliTest(unittest.TestCase):
    maxDiff = None

    def scratch(self):
        """A folder of this test's own."""
        folder = tempfile.TemporaryDirectory(prefix="dmaudit-test-")
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)

    def same_text(self, expected, actual, name):
        if expected == actual:
            return
        lines = list(difflib.unified_diff(expected.splitlines(), actual.splitlines(),
                                          f"{name} (expected)", "dmaudit", lineterm="", n=1))
        rest = f"\n... and {len(lines) - 60} more lines" if len(lines) > 60 else ""
        self.fail("\n".join(["output differs", *lines[:60]]) + rest)

    def valid_json(self, ran):
        document = ran.json()
        errors = schema_errors(document)
        self.assertFalse(errors, "\n".join(errors[:20]) + f"\n{ran}")
        return document

    def cannot_run(self, ran, *words):
        """Exit 2, nothing on standard output, one line on standard error that holds the words."""
        self.assertEqual(ran.status, 2, ran)
        lines = [line for line in ran.err.splitlines() if line != "Try 'dmaudit --help'."]
        self.assertEqual(len(lines), 1, ran)
        self.assertTrue(lines[0].startswith("dmaudit: "), ran)
        for word in words:
            self.assertIn(str(word), lines[0], ran)

    def no_leftovers(self, folder, *names):
        self.assertEqual(sorted(os.listdir(folder)), sorted(names))
