# SPDX-License-Identifier: GPL-2.0-or-later
"""The sessions in the README and in docs are what happens.

A fenced block that starts with ```console is a session. Lines that start with "$ " are commands,
run by one shell in the root of the repository, with the tested dmaudit first in PATH. The lines
after a command are its output and its diagnostics; "[...]" stands for any lines, also none.
"""

import os
import re
import subprocess
import unittest

from support import CliTest, DMAUDIT, ROOT, TIMEOUT, environment, run

ANY = "[...]"


def sessions(text):
    """Per console block a list of (command, expected lines)."""
    out = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S):
        steps = []
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            elif steps:
                steps[-1][1].append(line)
            else:
                raise ValueError(f"output before a command: {line}")
        out.append(steps)
    return out


def matches(expected, actual):
    pattern = "".join(r"(?:.*\n)*?" if line == ANY else re.escape(line) + r"\n"
                      for line in expected)
    return re.fullmatch(pattern, "".join(line + "\n" for line in actual)) is not None


def play(steps):
    """Output of each command, standard error included."""
    mark = "== end of a step =="
    # The status is handed on, so that a step can be "echo $?".
    script = "".join(f"{command}\nset -- $?\nprintf '%s\\n' '{mark}'\n(exit $1)\n"
                     for command, _ in steps)
    path = f"{os.path.dirname(DMAUDIT)}:{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", f"exec 2>&1\n{script}"], cwd=ROOT, check=False, text=True,
                          stdout=subprocess.PIPE, timeout=TIMEOUT, env=environment(PATH=path))
    return [part.splitlines() for part in done.stdout.split(mark + "\n")[:-1]]


class ReadmeTest(CliTest):
    def test_sessions(self):
        found = sessions((ROOT / "README.md").read_text(encoding="utf-8"))
        self.assertTrue(found, "no session in the README")
        self.assertTrue(any(command.startswith("dmaudit ") for steps in found
                            for command, _ in steps))
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
            for steps in sessions(path.read_text(encoding="utf-8")):
                for (command, expected), actual in zip(steps, play(steps), strict=True):
                    with self.subTest(command, path=path.name):
                        if not matches(expected, actual):
                            self.same_text("\n".join(expected), "\n".join(actual), path.name)
                            self.fail("does not match")

    def test_links(self):
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
            for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
                self.assertTrue((path.parent / target).exists(), f"{path.name}: {target}")

    def test_keys_of_rows(self):
        """The table of docs/mappings.md names what rows have, in their order."""
        text = (ROOT / "docs" / "mappings.md").read_text(encoding="utf-8")
        named = [key for cell in re.findall(r"^\| (`.*?) \| ", text, re.M) for key in re.findall(r"`(\w+)`", cell)]
        dump = ROOT / "tests" / "fixtures" / "debian12-6.1-legacy.kdump"
        self.assertEqual(list(run("mappings", "--format", "ndjson", dump).rows()[0]), named)
        self.assertEqual(run("mappings", "--format", "csv", dump).out.splitlines()[0].split(","), named)


class ConventionTest(CliTest):
    """The check itself must be able to fail."""

    def test_blocks(self):
        text = "a\n```console\n$ one\n1\n\n2\n$ two\n```\n```\n$ no\n```\n```console\n$ three\n```\n"
        self.assertEqual(sessions(text), [[("one", ["1", "", "2"]), ("two", [])], [("three", [])]])
        with self.assertRaises(ValueError):
            sessions("```console\nout\n```\n")

    def test_matching(self):
        self.assertTrue(matches(["a", "b"], ["a", "b"]))
        self.assertTrue(matches([], []))
        for actual in (["a"], ["a", "x"], ["a", "b", "c"], [], ["", "a", "b"], ["a ", "b"]):
            self.assertFalse(matches(["a", "b"], actual), actual)
        for actual in (["a", "b"], ["a", "x", "b"], ["a", "x", "", "y", "b"]):
            self.assertTrue(matches(["a", ANY, "b"], actual))
        self.assertTrue(matches(["a", ANY], ["a"]))
        self.assertFalse(matches(["a", ANY, "b"], ["a", "x"]))
        self.assertFalse(matches([".*"], ["a"]))

    def test_steps(self):
        self.assertEqual(play([("echo a; echo b >&2", []), ("false", []), ("echo $?", []),
                               ("dmaudit --version | head -n 1 | cut -d' ' -f1", [])]),
                         [["a", "b"], [], ["1"], ["dmaudit"]])


if __name__ == "__main__":
    unittest.main()
