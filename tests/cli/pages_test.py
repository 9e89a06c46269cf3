# SPDX-License-Identifier: GPL-2.0-or-later
"""dmaudit pages and dmaudit read: states, checksums, hex dumps; held against the Python readers."""

import re
import struct
import unittest
import zlib

from support import CliTest, NAMES, PAGE, fixture, run

DUMP = fixture(NAMES[0])


def elf(headers, body):
    """An ELF vmcore; headers are (physical, file size, memory size), their bytes in `body`."""
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    offset = 64 + 56 * len(headers)
    table = b""
    for physical, size, memory in headers:
        table += struct.pack("<IIQQQQQQ", 1, 7, offset, 0, physical, size, memory, 0)
        offset += size
    return ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(headers),
                               0, 0, 0) + table + body


def parsed(text):
    """Bytes by address and states by address out of a hex dump without stars."""
    known, unknown = {}, {}
    for line in text.splitlines()[:-1]:
        state = re.fullmatch(r"([0-9a-f]{12})  ([a-z]+): (\d+) bytes?", line)
        if state:
            unknown[int(state[1], 16)] = (state[2], int(state[3]))
            continue
        at, columns = int(line[:12], 16), line[13:62]
        columns = columns[:25] + columns[26:]
        for i in range(16):
            cell = columns[i * 3:i * 3 + 3].strip()
            if cell:
                known[at + i] = int(cell, 16)
    return known, unknown


class PagesTest(CliTest):
    def setUp(self):
        # Known in part: page 2 has half of its bytes; 3 and 4 were left out.
        self.body = bytes(range(256)) * 16 + b"\xaa" * 0x800
        self.path = self.scratch() / "core"
        self.path.write_bytes(elf([(0x1000, 0x1800, 0x3800), (0x8000, 0, 0x1000)], self.body))

    def test_damage_that_only_a_descriptor_shows(self):
        folder = self.scratch()
        (folder / "core").write_bytes(elf([(0x1000, 0x3000, 0x3000)], bytes(range(256)) * 48))
        run("convert", folder / "core", "-o", folder / "whole")
        data = bytearray((folder / "whole").read_bytes())
        size, headers, bitmaps = struct.unpack_from("<iiI", data, 428)
        struct.pack_into("<I", data, (1 + headers + bitmaps) * size + 24 + 12, 8)  # no such codec
        (folder / "damaged").write_bytes(data)
        for command in (["pages"], ["pages", "--crc32"], ["info"]):
            with self.subTest(command):
                ran = run(*command, folder / "damaged")
                self.assertEqual(ran.status, 3, ran)
                self.assertIn("1 pages are corrupt [pages.damaged]", ran.err)
                self.assertNotIn("pages.damaged", run(*command, folder / "whole").err)

    def test_ranges(self):
        rows = run("pages", "--format", "ndjson", self.path).rows()
        self.assertEqual(rows[0]["start"], "0x1000")
        self.assertEqual(rows[-1], {"start": "0x8000", "end": "0x8fff", "state": "excluded"})
        for before, after in zip(rows, rows[1:]):
            gap = int(after["start"], 16) - int(before["end"], 16) - 1
            self.assertGreaterEqual(gap, 0)
            if gap == 0:
                self.assertNotEqual(before["state"], after["state"])
        ran = run("pages", self.path)
        self.assertEqual(ran.status, 0)
        self.assertEqual(len(ran.out.splitlines()), 1 + len(rows))

    def test_one_row_per_page(self):
        ran = run("pages", "--crc32", "--format", "ndjson", self.path)
        self.assertEqual(ran.rows(), [
            {"pfn": 1, "state": "data", "crc32": f"{zlib.crc32(self.body[:PAGE]):08x}"},
            {"pfn": 2, "state": "excluded", "crc32": None, "known": 0x800},
            {"pfn": 3, "state": "excluded", "crc32": None},
            {"pfn": 4, "state": "excluded", "crc32": None},
            {"pfn": 8, "state": "excluded", "crc32": None}])
        self.assertEqual(ran.status, 0)

    def test_threads_change_nothing(self):
        for name in NAMES:
            first = run("pages", "--crc32", "-j", "1", fixture(name))
            for jobs in ("2", "7"):
                again = run("pages", "--crc32", "-j", jobs, fixture(name))
                self.assertEqual((first.raw, first.status), (again.raw, again.status))
            self.assertEqual(first.raw, run("pages", "--crc32", fixture(name)).raw)

    def test_a_cut_dump_is_told(self):
        data = self.path.read_bytes()
        self.path.write_bytes(data[:-0x900])
        ran = run("pages", "--crc32", "--format", "ndjson", self.path)
        self.assertEqual(ran.status, 3)
        self.assertEqual(ran.rows()[:2],
                         [{"pfn": 1, "state": "truncated", "crc32": None, "known": 0xf00},
                          {"pfn": 2, "state": "truncated", "crc32": None}])
        self.assertEqual(run("pages", self.path).status, 3)

    def test_damage_behind_what_was_left_out_of_a_page(self):
        self.path.write_bytes(elf([(0x1000, 0, 0x800), (0x1800, 0x800, 0x800)], b""))
        ran = run("pages", self.path)
        self.assertEqual(ran.status, 3)
        self.assertIn("1 pages are truncated [pages.damaged]", ran.err)

    def test_a_small_file_cannot_ask_for_endless_rows(self):
        path = self.scratch() / "core"
        path.write_bytes(elf([(0, PAGE, 1 << 45)], bytes(PAGE)))
        ran = run("pages", "--crc32", path)
        self.assertEqual(ran.status, 3)
        self.assertLess(len(ran.out.splitlines()), 1 << 21)
        self.assertIn("pages.left-out", ran.err)

    def test_usage(self):
        for jobs in ("0", "-1", "257", "x", ""):
            self.cannot_run(run("pages", f"--jobs={jobs}", DUMP), "-j")
        self.cannot_run(run("pages", "--format", "csv", DUMP), "csv")
        self.cannot_run(run("info", "--crc32", DUMP), "crc32")


class ReadTest(CliTest):
    def setUp(self):
        self.body = bytes((i * 7 + i // 256) % 256 for i in range(0x1800))
        self.path = self.scratch() / "core"
        self.path.write_bytes(elf([(0x1000, 0x1800, 0x2000), (0x8000, 0, 0x1000)], self.body))

    def test_bytes_and_states(self):
        for start, size in ((0x1000, 1), (0x1003, 40), (0x1ff5, 0x30), (0x27f1, 0x200),
                            (0x7ff1, 0x20), (0x2fff, 0x5002)):
            with self.subTest(f"{start:x} {size:x}"):
                ran = run("read", self.path, f"{start:x}", hex(size))
                known, unknown = parsed(ran.out)
                for at in range(start, start + size):
                    if 0x1000 <= at < 0x2800:
                        self.assertEqual(known.pop(at), self.body[at - 0x1000])
                self.assertEqual(known, {})
                self.assertEqual(sum(length for _, length in unknown.values()),
                                 sum(not 0x1000 <= at < 0x2800
                                     for at in range(start, start + size)))
                self.assertEqual(ran.status, 3 if unknown else 0)
                self.assertEqual(ran.out.splitlines()[-1], f"{start + size:012x}")

    def test_each_state_by_name(self):
        ran = run("read", self.path, "0x27fe", "0x5c04")
        self.assertEqual(parsed(ran.out)[1], {0x2800: ("excluded", 0x800),
                                              0x3000: ("absent", 0x5000),
                                              0x8000: ("excluded", 0x402)})

    def test_default_length(self):
        self.assertEqual(run("read", self.path, "1000").out.splitlines()[-1], "000000001100")

    def test_numbers(self):
        self.assertEqual(run("read", self.path, "1000", "16").out,
                         run("read", self.path, "0x1000", "0x10").out)
        for operands in ((), ("x",), ("-1",), ("1000", "0"), ("1000", "x"), ("1000", "0x1000001"),
                         ("ffffffffffffffff", "2"), ("1" * 17,)):
            with self.subTest(operands):
                self.cannot_run(run("read", self.path, *operands), "read: ")
        self.assertEqual(run("read", "-q", self.path, "ffffffffffffffff", "1").status, 3)

    def test_to_a_file(self):
        folder = self.scratch()
        run("read", self.path, "1000", "-o", folder / "out")
        self.assertEqual((folder / "out").read_bytes(), run("read", self.path, "1000").raw)


if __name__ == "__main__":
    unittest.main()
