# SPDX-License-Identifier: GPL-2.0-or-later
"""The bundled dumps give their expected outputs, and the formats agree with each other."""

import os
import pty
import re
import unittest

from support import (CliTest, NAMES, TEXT_WIDTH, TRANSLATING, environment, golden, golden_rows, rows_of_csv,
                     rows_of_text, run)

ESCAPE = "\x1b"


class GoldenTest(CliTest):
    def test_there_are_fixtures(self):
        self.assertGreaterEqual(len(NAMES), 2)

    def test_reports_and_mappings(self):
        for name in NAMES:
            with self.subTest(name):
                dump = f"{name}.kdump"
                self.same_text(golden(name, "report.txt"), run("report", dump).out,
                               f"{name}.report.txt")
                self.same_text(golden(name, "report.json"),
                               run("report", "--format", "json", dump).out, f"{name}.report.json")
                self.same_text(golden(name, "mappings.ndjson"),
                               run("mappings", "--format", "ndjson", dump).out,
                               f"{name}.mappings.ndjson")

    def test_report_is_the_default_command(self):
        for options in ([], ["-v"], ["--format", "json"], ["-q"], ["--fail-on", "never"]):
            short, long = run(f"{NAMES[0]}.kdump", *options), run("report", *options,
                                                                 f"{NAMES[0]}.kdump")
            self.assertEqual((short.status, short.out, short.err),
                             (long.status, long.out, long.err))

    def test_a_filter_is_no_verdict_on_the_machine(self):
        dump = f"{NAMES[0]}.kdump"
        device = run("--format", "json", dump).json()["devices"][0]["bdf"]
        ran = run("-q", "-s", device, dump)
        self.assertEqual(ran.out.count(f"-s {device} "), 2 if ran.status == 0 else 1, ran)
        nothing = run("--format", "json", "-s", "ff:1f.7", dump)
        self.assertEqual(nothing.status, 3, nothing)
        self.assertEqual(nothing.json()["only_devices"], "ff:1f.7")
        self.assertFalse(nothing.json()["complete"])

    def test_json_is_valid_for_a_public_validator(self):
        for name in NAMES:
            for options in ([], ["-s", "ff:1f.7"], ["--crashkernel", "0-fff"]):
                with self.subTest(name, options=options):
                    self.valid_json(run("--format", "json", f"{name}.kdump", *options))

    def test_the_row_formats_agree(self):
        for name in TRANSLATING:
            with self.subTest(name):
                rows = golden_rows(name)
                self.assertTrue(rows)
                for kind, read in (("csv", rows_of_csv), ("text", rows_of_text)):
                    ran = run("mappings", "--format", kind, f"{name}.kdump")
                    self.assertEqual(read(ran.out), rows)

    def test_rows_are_in_order_and_maximal(self):
        for name in NAMES:
            last = None
            for row in golden_rows(name):
                key = (row["unit"], row["bdf"], row["pasid"] or 0, int(row["iova"], 16))
                if last is not None:
                    self.assertLess(last[0], key)
                    before = last[1]
                    end = int(before["iova"], 16) + int(before["len"], 16)
                    if last[0][:3] == key[:3]:
                        self.assertLessEqual(end, key[3])
                        joins = (end == key[3] and before["perm"] == row["perm"] and
                                 int(before["pa"], 16) + int(before["len"], 16) ==
                                 int(row["pa"], 16))
                        self.assertFalse(joins, (before, row))
                last = key, row

    def test_json_and_rows_tell_the_same(self):
        for name in NAMES:
            report = run("--format", "json", f"{name}.kdump").json()
            rows = golden_rows(name)
            for domain in report["domains"]:
                for device in domain["devices"]:
                    own = [row for row in rows if row["unit"] == domain["unit"] and
                           row["bdf"] == device["bdf"] and row["pasid"] == device["pasid"]]
                    self.assertTrue(all(row["did"] == domain["did"] for row in own))
                    if domain["stage"] == "passthrough":
                        self.assertEqual(len(own), 1)
                        self.assertNotIn("pa", own[0])
                        continue
                    self.assertEqual(len(own), domain["ranges"])
                    self.assertEqual(sum(int(row["len"], 16) for row in own),
                                     domain["mapped_bytes"])


class TextTest(CliTest):
    def test_width_and_first_lines(self):
        for name in NAMES:
            for options in ([], ["-v"]):
                with self.subTest(name, options=options):
                    lines = run(f"{name}.kdump", *options).out.splitlines()
                    wide = [line for line in lines if len(line) > TEXT_WIDTH]
                    self.assertFalse(wide, "\n".join(wide))
                    self.assertRegex(lines[0], r"^(CLEAN|UNCERTAIN|WARNING|CRITICAL): ")
                    self.assertRegex(lines[1], r"^(Complete|NOT COMPLETE): ")

    def test_the_first_lines_agree_with_json(self):
        for name in NAMES:
            report = run("--format", "json", f"{name}.kdump").json()
            lines = run(f"{name}.kdump").out.splitlines()
            worst = {finding["severity"] for finding in report["findings"]}
            word = ("CRITICAL" if "critical" in worst else "WARNING" if "warning" in worst
                    else "CLEAN")
            self.assertTrue(lines[0].startswith(word + ": "), lines[0])
            self.assertEqual(report["verdict"], "clean" if word == "CLEAN" else "findings")
            self.assertEqual(lines[1].startswith("Complete: "), report["complete"])

    def test_quiet_is_the_first_two_lines(self):
        for name in NAMES:
            ran = run("-q", f"{name}.kdump")
            self.assertEqual(ran.out.splitlines(), run(f"{name}.kdump").out.splitlines()[:2])
            self.assertEqual(ran.err, "")

    def test_verbose_only_adds(self):
        for name in NAMES:
            brief, full = run(f"{name}.kdump"), run("-v", f"{name}.kdump")
            self.assertEqual(brief.status, full.status)
            self.assertGreater(len(full.out), len(brief.out))
            self.assertNotIn("(-v lists them)", full.out)

    def test_colour_only_when_asked(self):
        dump = f"{NAMES[0]}.kdump"
        plain = run(dump).out
        for options, env in (([], {}), (["--color", "auto"], {}), (["--color", "never"], {})):
            self.assertEqual(run(dump, *options, env=environment(**env)).out, plain)
        for env in ({}, {"NO_COLOR": "1"}):
            coloured = run(dump, "--color", "always", env=environment(**env)).out
            self.assertIn(ESCAPE, coloured)
            self.assertEqual(re.sub(r"\x1b\[[0-9;]*m", "", coloured), plain)

    def on_terminal(self, *arguments, **env):
        ours, theirs = pty.openpty()
        ran = run(*arguments, env=environment(**env), stdout=theirs)
        os.close(theirs)
        text = b""
        try:
            while True:
                piece = os.read(ours, 65536)
                if not piece:
                    break
                text += piece
        except OSError:  # the other side is closed
            pass
        os.close(ours)
        self.assertEqual(ran.status, 3)  # no such device: nothing is audited
        return text.decode()

    def test_colour_on_a_terminal(self):
        # A terminal holds about 4 KiB until it is read; a report on no device is shorter.
        dump = f"{NAMES[0]}.kdump"
        self.assertIn(ESCAPE, self.on_terminal("-s", "ff:1f.7", dump, TERM="xterm"))
        self.assertNotIn(ESCAPE, self.on_terminal("-s", "ff:1f.7", dump, TERM="dumb"))
        self.assertNotIn(ESCAPE, self.on_terminal("-s", "ff:1f.7", dump, TERM="xterm", NO_COLOR="1"))
        self.assertIn(ESCAPE, self.on_terminal("-s", "ff:1f.7", dump, TERM="xterm", NO_COLOR=""))
        self.assertNotIn(ESCAPE, self.on_terminal("-s", "ff:1f.7", "--color", "never", dump))


class InfoTest(CliTest):
    def test_info_names_what_the_dump_is(self):
        for name in NAMES:
            ran = run("info", f"{name}.kdump")
            report = run("--format", "json", f"{name}.kdump").json()
            self.assertEqual(ran.status, 0, ran)
            release = re.search(r"^OSRELEASE=(.*)$", vmcoreinfo(name), re.M).group(1)
            self.assertIn(release, ran.out)
            self.assertIn("kdump-compressed", ran.out)
            self.assertIn("zstd", ran.out)
            self.assertTrue(report["kernel"])
            self.assertIsInstance(run("info", "--format", "json", f"{name}.kdump").json(), dict)


def vmcoreinfo(name):
    with open(f"{os.path.dirname(__file__)}/../fixtures/{name}.kdump", "rb") as dump:
        data = dump.read()
    return data[data.index(b"OSRELEASE="):].split(b"\0")[0].decode()


if __name__ == "__main__":
    unittest.main()
