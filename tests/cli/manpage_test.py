# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page says all that the help says, and is a page."""

import re
import shutil
import subprocess
import unittest

from support import CliTest, DMAUDIT, ROOT, run

MAKE = ROOT / "scripts" / "manpage"


class ManpageTest(CliTest):
    def page(self):
        path = self.scratch() / "dmaudit.1"
        subprocess.run([MAKE, DMAUDIT, path], check=True)
        return path

    def test_everything_of_the_help_is_in_it(self):
        text = self.page().read_text(encoding="utf-8").replace("\\-", "-")
        commands = re.findall(r"^  (\w+) +\w", run("--help").out.split("Commands:\n")[1].split("VMCORE is")[0], re.M)
        self.assertGreaterEqual(len(commands), 8)
        for command in commands:
            self.assertIn(f"\n.TP\n\\fB{command}\\fR\n", text)
            self.assertIn(f"\\fBdmaudit {command}\\fR ", text)
            options = re.findall(r"^  (?:-\w \[ )?(--[\w-]+)", run(command, "--help").out, re.M)
            self.assertGreaterEqual(len(options), 7)
            for option in options:
                self.assertIn(f"\\fB{option}\\fR", text, command)
        statuses = text.split(".SH EXIT STATUS")[1].split(".SH")[0]
        self.assertEqual(re.findall(r"^\\fB(\d)\\fR$", statuses, re.M), ["0", "1", "2", "3"])

    def test_options_that_differ_name_their_commands(self):
        text = self.page().read_text(encoding="utf-8").replace("\\-", "-")
        self.assertIn("(default kdump). (convert)\n", text)
        self.assertRegex(text, r"--crashkernel.*\n.*\(report, mappings, inherit\)\n")
        self.assertRegex(text, r"--spool-limit.*\n.*\(default 32G\)\.\n")

    @unittest.skipUnless(shutil.which("groff"), "groff is not installed")
    def test_groff_finds_nothing_wrong(self):
        done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", self.page()], check=True, capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        self.assertIn("to attach to a bug report.", done.stdout)

    def test_a_help_of_another_shape_is_an_error(self):
        path = self.scratch() / "page"
        for program in ("/bin/true", self.scratch() / "none"):
            done = subprocess.run([MAKE, program, path], check=False, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr[:9]), (1, "manpage: "))
            self.assertFalse(path.exists())


if __name__ == "__main__":
    unittest.main()
