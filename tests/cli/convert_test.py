# SPDX-License-Identifier: GPL-2.0-or-later
"""A converted dump has the same pages in the same states, and the same audit comes out of it."""

import struct
import unittest

from support import CliTest, NAMES, fixture, golden_rows, run

CODECS = ("zstd", "zlib", "lzo", "snappy", "raw")


def elf(loads, note=b""):
    """An ELF vmcore; loads are (physical, size in the header, bytes of the file)."""
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    segments = [(4, 0, len(note), note), *((1, at, size, data) for at, size, data in loads)]
    offset, table, body = 64 + 56 * len(segments), b"", b""
    for kind, at, size, data in segments:
        table += struct.pack("<IIQQQQQQ", kind, 7, offset + len(body), 0, at, size, size, 0)
        body += data
    return ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(segments),
                               0, 0, 0) + table + body


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

    def test_a_gap_that_no_page_shows_stays_one(self):
        # LiME: memory of a running machine. The copy of it must not be judged whole.
        folder = self.scratch()
        (folder / "lime").write_bytes(struct.pack("<IIQQQ", 0x4c694d45, 1, 0x1000, 0x1fff, 0) +
                                      bytes(range(256)) * 16)
        for kind in ("kdump", "elf"):
            with self.subTest(kind):
                self.assertEqual(run("convert", folder / "lime", "--format", kind, "-o",
                                     folder / "out").status, 3)
                ran = run("pages", folder / "out")
                self.assertEqual(ran.status, 3, ran)
                self.assertIn(f"[{kind}.incomplete]", ran.err)
                self.assertEqual(pages(folder / "out"), pages(folder / "lime"))

    def test_erased_data_stay_named_and_nothing_else(self):
        folder, text = self.scratch(), b"erase jiffies size 8\n\0\0\0"
        note = struct.pack("<III", 10, len(text), 0) + b"ERASEINFO\0\0\0" + text
        (folder / "core").write_bytes(elf([(0x1000, 0x1000, b"X" * 0x1000)], note))
        for path in (folder / "core", folder / "kdump", folder / "elf"):
            if path.name != "core":
                run("convert", folder / "core", "--format", path.name, "-o", path)
            with self.subTest(path.name):
                ran = run("pages", path)
                self.assertEqual(ran.status, 3, ran)
                self.assertRegex(ran.err, r"\A.*\[(elf|kdump)\.erased\]\n\Z")

    def test_more_damage_than_the_file_justifies(self):
        # A descriptor for each of 2^28 pages would be 6 GB.
        folder = self.scratch()
        (folder / "core").write_bytes(elf([(0x1000, 1 << 40, b"X" * 0x1000)]))
        self.cannot_run(run("convert", "-q", folder / "core", "-o", folder / "out"), "--format elf")
        self.no_leftovers(folder, "core")
        ran = run("convert", folder / "core", "--format", "elf", "-o", folder / "out")
        self.assertEqual(ran.status, 3, ran)
        self.assertEqual(run("pages", folder / "out").out, run("pages", folder / "core").out)

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
