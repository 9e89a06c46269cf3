# SPDX-License-Identifier: GPL-2.0-or-later
"""A distilled dump tells the same, and can be distilled again."""

import shutil
import unittest

from support import CliTest, NAMES, TRANSLATING, fixture, golden_rows, run


def answers(path):
    """The report without what names the file, and the rows."""
    report = run("--format", "json", path).json()
    del report["input"]
    for key in ("coverage",):  # how many pages were decoded depends on the container
        report[key].pop("pages_read")
    return report, run("mappings", "--format", "ndjson", path).rows()


class DistillTest(CliTest):
    def test_the_same_comes_out_again(self):
        for name in NAMES:
            with self.subTest(name):
                folder = self.scratch()
                expected = answers(fixture(name))
                source = fixture(name)
                for generation in ("second", "third"):
                    ran = run("distill", source, "-o", folder / generation)
                    self.assertEqual((ran.status, ran.out), (0, ""), ran)
                    self.assertEqual(len(ran.err.splitlines()), 1)
                    source = folder / generation
                    found = answers(source)
                    self.assertEqual(found[0], expected[0])
                    self.assertEqual(found[1], expected[1])
                    self.assertEqual(run("info", source).status, 0)
                self.assertEqual(expected[1], golden_rows(name))
                self.assertEqual((folder / "second").stat().st_size,
                                 (folder / "third").stat().st_size)
                self.no_leftovers(folder, "second", "third")

    def test_it_is_a_kdump_file_that_names_no_machine_of_anybody(self):
        folder = self.scratch()
        self.assertEqual(run("distill", "-q", fixture(NAMES[0]), "-o", folder / "out").err, "")
        header = (folder / "out").read_bytes()[:464]
        self.assertEqual(header[:8], b"KDUMP   ")
        self.assertEqual(header[77:142], bytes(65))  # nodename
        self.assertNotEqual(header[142:143], b"\0")  # release, for crash --osrelease

    def test_it_keeps_what_options_ask_for(self):
        # The crash kernel and the devices to look at can be chosen later, too.
        for name in TRANSLATING:
            folder = self.scratch()
            run("distill", "-q", fixture(name), "-o", folder / "out")
            row = next(row for row in golden_rows(name))
            for options in (["-s", row["bdf"]], ["--crashkernel", "0-ffffffff"]):
                old = run("report", "-q", *options, fixture(name))
                new = run("report", "-q", *options, folder / "out")
                self.assertEqual((old.status, old.out), (new.status, new.out))

    def test_an_incomplete_dump_stays_incomplete(self):
        folder = self.scratch()
        shutil.copyfile(fixture(NAMES[0]), folder / "cut")
        with open(folder / "cut", "r+b") as cut:
            cut.truncate(fixture(NAMES[0]).stat().st_size - 1)
        self.assertEqual(run(folder / "cut").status, 3)
        self.assertEqual(run("distill", folder / "cut", "-o", folder / "out").status, 3)
        ran = run("--format", "json", folder / "out")
        self.assertEqual(ran.status, 3)
        self.assertFalse(ran.json()["complete"])

    def test_without_an_output_file(self):
        self.cannot_run(run("distill", fixture(NAMES[0])), "-o FILE")


if __name__ == "__main__":
    unittest.main()
