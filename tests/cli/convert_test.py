# SPDX-License-Identifier: GPL-2.0-or-later
"""A converted dump has the same pages in the same states, and the same audit comes out of it."""

import unittest

from support import CliTest, NAMES, fixture, golden_rows, run

CODECS = ("zstd", "zlib", "lzo", "snappy", "raw")


def pages(path):
    return run("pages", "-q", "--crc32", "--format", "ndjson", path).rows()


def audit(path):
    report = run("--format", "json", path).json()
    del report["input"]
    del report["diagnostics"]
    report["coverage"].pop("pages_read")  # depends on the container
    return report


class ConvertTest(CliTest):
    def test_pages_and_audit_are_the_same(self):
        # Distilled dumps: every redacted word must still be redacted.
        for name in NAMES:
            source, before = fixture(name), pages(fixture(name))
            expected = audit(source)
            for codec in CODECS:
                with self.subTest(name, codec=codec):
                    folder = self.scratch()
                    ran = run("convert", source, "--codec", codec, "-o", folder / "out")
                    self.assertEqual((ran.status, ran.out, ran.err), (0, "", ""), ran)
                    self.assertEqual(pages(folder / "out"), before)
                    self.no_leftovers(folder, "out")
            self.assertEqual(audit(folder / "out"), expected)
            self.assertEqual(run("mappings", "--format", "ndjson", folder / "out").rows(),
                             golden_rows(name))

    def test_a_cut_dump_stays_incomplete(self):
        folder = self.scratch()
        data = fixture(NAMES[0]).read_bytes()
        (folder / "cut").write_bytes(data[:len(data) * 3 // 4])
        before = pages(folder / "cut")
        ran = run("convert", folder / "cut", "-o", folder / "out")
        self.assertEqual(ran.status, 3)
        self.assertIn("convert.unknown", ran.err)
        self.assertEqual(pages(folder / "out"), before)
        status = run(folder / "out").status
        self.assertNotEqual(status, 0)
        self.assertEqual(status, run(folder / "cut").status)

    def test_usage(self):
        folder = self.scratch()
        self.cannot_run(run("convert", fixture(NAMES[0])), "-o FILE")
        for options in (["--codec", "bzip2"], ["-j", "0"]):
            self.cannot_run(run("convert", *options, fixture(NAMES[0]), "-o", folder / "out"))
        self.no_leftovers(folder)

    def test_no_bar_without_a_terminal(self):
        folder = self.scratch()
        self.assertNotIn("\r", run("convert", fixture(NAMES[0]), "-o", folder / "out").err)


if __name__ == "__main__":
    unittest.main()
