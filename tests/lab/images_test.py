#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's images of guest RAM, and what is held against the tool's answers to them."""

import random
import struct
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
# pylint: disable=wrong-import-position
from labkit import images  # noqa: E402


class Memory:
    """RAM from address 0 on."""

    def __init__(self, data):
        self.data = data

    def read(self, address, length):
        return self.data[address:address + length]


class Images(unittest.TestCase):
    """Two ranges; the first ends inside a page."""

    RANGES = [(0x1000, 0x3c00), (0x100000, 0x103000)]
    WHOLE = {1, 2, 0x100, 0x101, 0x102}
    MEMORY = Memory(random.Random(1).randbytes(0x102000) + b"text" * 0x400)
    REPORT = {"verdict": "clean", "crashkernel_loaded": True, "devices": [], "domains": [], "findings": [], "crashkernel": [],
              "units": [], "complete": True, "incomplete_because": [], "diagnostics": [], "kernel": {"whose_tables": "a note"}}
    OURS = {**REPORT, "complete": False, "incomplete_because": ["it ran"], "kernel": {"whose_tables": "VMCOREINFO in memory"},
            "diagnostics": [{"id": "lime.live", "effect": "incomplete"}, {"id": "search", "effect": "note"}]}
    ROWS = [{"bdf": "0000:00:0a.0", "did": 3, "iova": "0x1000", "pa": "0x5000"}]
    DUMP = images.Answers(0, REPORT, 0, ROWS)

    def setUp(self):
        self.truth = {pfn: zlib.crc32(self.MEMORY.read(pfn << 12, 4096)) for pfn in self.WHOLE}
        self.image = images.Image("lime", [], "lime.live", holds=[(0x1000, 0x3000), self.RANGES[1]])

    def answers(self, **fields):
        pages = {pfn: ("data", crc) for pfn, crc in self.truth.items()}
        return images.Answers(**{"status": 3, "report": self.OURS, "row_status": 3, "rows": self.ROWS,
                                 "pages": {**pages, 3: ("excluded", None)}, **fields})

    def written(self, kinds):
        with tempfile.TemporaryDirectory() as folder:
            for image in images.write(Path(folder), self.RANGES, self.MEMORY, kinds):
                yield image, image.arguments[-1].read_bytes()

    def test_lime_pads_the_part_of_a_page(self):
        (image, data), = self.written(images.KINDS[:1])
        memory = self.MEMORY.read
        self.assertEqual(data, struct.pack("<IIQQQ", 0x4c694d45, 1, 0x1000, 0x3bff, 0) + memory(0x1000, 0x2000) + bytes(0xc00)
                         + struct.pack("<IIQQQ", 0x4c694d45, 1, 0x100000, 0x102fff, 0) + memory(0x100000, 0x3000))
        self.assertEqual(image.pages(), self.WHOLE)

    def test_a_range_that_begins_within_a_page_is_a_gap(self):
        with tempfile.TemporaryDirectory() as folder:
            image, = images.write(Path(folder), [(0x10d0, 0x2000)], self.MEMORY, images.KINDS[:1])
        self.assertEqual(image.gaps(), ["lime.live", "lime.unaligned"])
        self.assertEqual(self.image.gaps(), ["lime.live"])
        self.assertNotEqual(images.audit_wrong(image, self.answers(), self.DUMP), [])

    def test_padded_and_plain_avml(self):
        (padded, data), (plain, other) = self.written([images.KINDS[-1], *images.THOROUGH])
        self.assertEqual((padded.arguments[0], len(data)), ("--raw=0", 0x103000))
        self.assertEqual(data[:0x4000], bytes(0x1000) + self.MEMORY.read(0x1000, 0x2000) + bytes(0x1000))
        self.assertEqual(plain.pages(), self.WHOLE - {0x102})
        self.assertEqual(struct.unpack_from("<QQ", other, 8), (0x1000, 0x3bfe))

    def test_avml_leaves_out_blocks_of_zeros_and_the_last_byte_of_a_range(self):
        self.assertEqual(list(images.avml_blocks([(0x1000, 0x3000), (0, (32 << 20) + 1)])),
                         [(0x1000, 0x2fff), (0, 16 << 20), (16 << 20, 32 << 20)])
        with tempfile.TemporaryDirectory() as folder:
            image, = images.write(Path(folder), [(0, 0x1000), (0x1000, 0x2000)], Memory(bytes(0x1000) + b"x" * 0x1000),
                                  images.THOROUGH)
        self.assertEqual(image.holds, [(0x1000, 0x1fff)])

    def test_equal(self):
        self.assertEqual(images.pages_wrong(self.image, self.answers(), self.truth), [])
        self.assertEqual(images.audit_wrong(self.image, self.answers(), self.DUMP), [])

    def test_findings_keep_their_exit_status(self):
        dump = images.Answers(1, self.REPORT, 0, self.ROWS)
        self.assertEqual(images.audit_wrong(self.image, self.answers(status=1), dump), [])
        self.assertNotEqual(images.audit_wrong(self.image, self.answers(), dump), [])

    def test_each_defect_is_noticed(self):
        planted, missed = images.unnoticed(self.image, self.answers(), self.truth, self.DUMP)
        self.assertEqual((planted, missed), (11, []))

    def test_no_kernel_found(self):
        wrong = images.audit_wrong(self.image, self.answers(report={"error": {"message": "no kernel"}}), self.DUMP)
        self.assertEqual(wrong, ["no kernel"])

    def test_padding_reads_as_zeros_and_as_nothing_else(self):
        self.image.padded = True
        zeros = zlib.crc32(bytes(4096))
        for crc, good in ((zeros, True), (zeros ^ 1, False)):
            answers = self.answers()
            answers.pages[0x50] = ("data", crc)
            self.assertEqual(not images.pages_wrong(self.image, answers, self.truth), good)
        self.image.padded = False
        answers.pages[0x50] = ("data", zeros)
        self.assertNotEqual(images.pages_wrong(self.image, answers, self.truth), [])


if __name__ == "__main__":
    unittest.main()
