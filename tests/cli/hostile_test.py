# SPDX-License-Identifier: GPL-2.0-or-later
"""Strings from a dump, and names of files, cannot speak to the terminal or break a format."""

import os
import re
import unittest

from support import CliTest, NAMES, fixture, golden_rows, rows_of_csv, run

NAME = NAMES[0]
WHOLE = fixture(NAME).read_bytes()
ESCAPE = b"\x1b[31m\"\\',\x07\xff\r\x9b2J"
OVERRIDE = "\u202e".encode()  # turns the direction of the text after it
COMMANDS = (["report", "-v"], ["info", "-v"], ["mappings", "--format", "csv", "-s", "ff:1f.7"],
            ["inherit", "-v"])


def line(key, value):
    """The dump with the value of a VMCOREINFO line replaced, padded or cut to the same length."""
    at = WHOLE.index(key) + len(key)
    end = WHOLE.index(b"\n", at)
    value = (value * (end - at))[:end - at]
    return WHOLE[:at] + value + WHOLE[end:]


def header(offset, value):
    return WHOLE[:offset] + value.ljust(64, b"A")[:64] + WHOLE[offset + 64:]


class HostileTest(CliTest):
    def safe(self, ran):
        for text in (ran.raw, ran.err.encode()):
            self.assertFalse(re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xe2\x80\xae|\xc2[\x80-\x9f]", text), ran)
        ran.raw.decode("utf-8")

    def check(self, path):
        for command in COMMANDS:
            ran = run(*command, path)
            self.safe(ran)
        for command in ("info", "inherit"):
            ran = run(command, "--format", "json", path)
            self.safe(ran)
            ran.json()
        ran = run("--format", "json", path)
        self.safe(ran)
        self.valid_json(ran)

    def check_bytes(self, data):
        self.assertNotEqual(data, WHOLE)
        path = self.scratch() / "dump"
        path.write_bytes(data)
        self.check(path)
        return path

    def test_vmcoreinfo(self):
        values = (ESCAPE, OVERRIDE, b"\n", b"\n\x1b]0;x\x07=\n", b"%s%n", b'"}]}\n')
        for key, value in ([(b"OSRELEASE=", value) for value in values]
                           + [(key, ESCAPE) for key in (b"BUILD-ID=", b"CRASHTIME=",
                                                        b"KERNELOFFSET=")]):
            with self.subTest(key, value=value):
                self.check_bytes(line(key, value))

    def test_the_rows_stay(self):
        path = self.check_bytes(line(b"OSRELEASE=", ESCAPE))
        self.assertEqual(run("mappings", "--format", "ndjson", path).rows(), golden_rows(NAME))
        self.assertEqual(rows_of_csv(run("mappings", "--format", "csv", path).out),
                         golden_rows(NAME))

    def test_the_header(self):
        for offset in (12, 77, 142, 207, 272):  # sysname, nodename, release, version, machine
            with self.subTest(offset):
                self.check_bytes(header(offset, ESCAPE))

    def test_file_names(self):
        folder = os.fsencode(self.scratch())
        for name in (ESCAPE, OVERRIDE, b"two\nlines", b"-", b"%s", b" "):
            for target in (os.fsencode(fixture(NAME)), b"/dev/null", b"nothing"):
                path = os.path.join(folder, name)
                os.symlink(target, path)
                with self.subTest(name, target=target):
                    self.check(os.fsdecode(path))
                    ran = run("-q", os.fsdecode(path))
                    self.assertEqual(ran.err.count("\n"), 1 if ran.status == 2 else 0, ran)
                os.unlink(path)

    def test_options(self):
        for text in ("\x1b[31m", "\n", "\u202e"):
            for arguments in (["--crashkernel", text], ["-s", text], ["--format", text],
                              [f"--{text}"], ["--fail-on", text], [text], ["-o", f"/none/{text}"]):
                ran = run(*arguments, fixture(NAME))
                self.assertEqual(ran.status, 2)
                self.safe(ran)


if __name__ == "__main__":
    unittest.main()
