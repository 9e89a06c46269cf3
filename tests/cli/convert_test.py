# SPDX-License-Identifier: GPL-2.0-or-later
"""A converted dump has the same pages in the same states, and the same audit comes out of it."""

import struct
import unittest

from support import CliTest, NAMES, fixture, golden_rows, run

CODECS = ("zstd", "zlib", "lzo", "snappy", "raw")


def pages(path):
    return run("pages", "-q", "--crc32", path).out


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

    def test_elf_has_the_same_pages_and_audit_and_comes_back(self):
        for name in NAMES:
            with self.subTest(name):
                folder, source = self.scratch(), fixture(name)
                ran = run("convert", source, "--format", "elf", "-o", folder / "elf")
                self.assertEqual((ran.status, ran.out, ran.err), (0, "", ""), ran)
                self.assertEqual(pages(folder / "elf"), pages(source))
                self.assertEqual(audit(folder / "elf"), audit(source))
                self.assertEqual(run("mappings", "--format", "ndjson", folder / "elf").rows(),
                                 golden_rows(name))
                self.no_leftovers(folder, "elf")
                for kind in ("kdump", "elf"):
                    ran = run("convert", folder / "elf", "--format", kind, "-o", folder / "back")
                    self.assertEqual((ran.status, ran.err), (0, ""), ran)
                    self.assertEqual(pages(folder / "back"), pages(source))
                self.assertEqual((folder / "back").read_bytes(), (folder / "elf").read_bytes())

    def test_elf_tells_where_the_kernel_sees_memory(self):
        folder = self.scratch()
        run("convert", fixture(NAMES[0]), "--format", "elf", "-o", folder / "elf")
        with open(folder / "elf", "rb") as file:
            count, = struct.unpack_from("<H", file.read(64), 56)
            loads = [struct.unpack("<IIQQQQQQ", file.read(56)) for _ in range(count)][1:]
        bases = {load[3] - load[4] for load in loads if load[3] < 0xffffffff80000000}
        self.assertEqual(len(bases), 1)
        self.assertIn(bases.pop() >> 40, range(0xffff88, 0xffffff))

    def test_a_cut_dump_stays_incomplete(self):
        folder = self.scratch()
        data = fixture(NAMES[0]).read_bytes()
        (folder / "cut").write_bytes(data[:len(data) * 3 // 4])
        before = pages(folder / "cut")
        for kind in ("kdump", "elf"):
            ran = run("convert", folder / "cut", "--format", kind, "-o", folder / "out")
            self.assertEqual(ran.status, 3)
            self.assertIn("convert.unknown", ran.err)
            self.assertEqual(pages(folder / "out"), before)
            status = run(folder / "out").status
            self.assertNotEqual(status, 0)
            self.assertEqual(status, run(folder / "cut").status)

    def test_usage(self):
        folder = self.scratch()
        self.cannot_run(run("convert", fixture(NAMES[0])), "-o FILE")
        for options in (["--codec", "bzip2"], ["-j", "0"], ["--format", "lime"],
                        ["--format", "elf", "--codec", "zlib"]):
            self.cannot_run(run("convert", *options, fixture(NAMES[0]), "-o", folder / "out"))
        self.no_leftovers(folder)

    def test_no_bar_without_a_terminal(self):
        folder = self.scratch()
        self.assertNotIn("\r", run("convert", fixture(NAMES[0]), "-o", folder / "out").err)


if __name__ == "__main__":
    unittest.main()
