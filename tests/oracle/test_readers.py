# SPDX-License-Identifier: GPL-2.0-or-later
"""Dump containers, page codecs, kallsyms, BTF and the mutations, on made input."""

import contextlib
import io
import os
import struct
import tempfile
import unittest
import zlib

import btf
import kallsyms
import mutate
import pagecodec
from dumpfile import BadDump, FlattenedFile, PAGE, Unknown, open_dump

PATTERN = bytes(range(256)) * 16


class CodecTest(unittest.TestCase):
    def refuses(self, codec, data, want):
        with self.assertRaises(pagecodec.CodecError):
            codec(data, want)

    def test_zlib(self):
        data = zlib.compress(PATTERN)
        self.assertEqual(pagecodec.inflate(data, PAGE), PATTERN)
        self.refuses(pagecodec.inflate, data, PAGE - 1)
        self.refuses(pagecodec.inflate, data, PAGE + 1)
        self.refuses(pagecodec.inflate, data[:-8], PAGE)
        self.refuses(pagecodec.inflate, b"\xff" + data[1:], PAGE)

    # First byte 17 + n: n literals. Then a match of each kind, then the end mark.
    LZO = (bytes([17 + 4]) + b"abcd"
           + bytes([0x4C | 1, 0]) + b"X"      # 3 bytes from 4 back, 1 literal
           + bytes([0x21, 0x08, 0x00])        # 3 bytes from 3 back, no literal
           + bytes([0x03]) + b"QRSTUV"        # 6 literals
           + bytes([0x11, 0, 0]))             # end

    def test_lzo(self):
        want = b"abcd" + b"abc" + b"X" + b"bcX" + b"QRSTUV"
        self.assertEqual(pagecodec.lzo1x(self.LZO, len(want)), want)
        self.refuses(pagecodec.lzo1x, self.LZO, len(want) - 1)
        self.refuses(pagecodec.lzo1x, self.LZO, len(want) + 1)
        self.refuses(pagecodec.lzo1x, self.LZO[:-1], len(want))
        self.refuses(pagecodec.lzo1x, bytes([17 + 4]) + b"abcd" + bytes([0x50, 9]), 7)

    SNAPPY = (bytes([14]) + bytes([3 << 2]) + b"abcd"
              + bytes([1 | 0 << 2, 2])               # 4 bytes from 2 back
              + bytes([2 | 5 << 2, 8, 0]))           # 6 bytes from 8 back

    def test_snappy(self):
        want = b"abcd" + b"cdcd" + b"abcdcd"
        self.assertEqual(pagecodec.snappy(self.SNAPPY, len(want)), want)
        self.refuses(pagecodec.snappy, self.SNAPPY, len(want) - 1)
        self.refuses(pagecodec.snappy, self.SNAPPY[:-1], len(want))
        self.refuses(pagecodec.snappy, bytes([4, 3 << 2]) + b"abc", 4)
        self.refuses(pagecodec.snappy, bytes([4, 1, 1]), 4)

    def test_snappy_long_literal(self):
        for size, tag in ((200, bytes([60 << 2, 199])), (PAGE, bytes([61 << 2, 0xFF, 0x0F]))):
            preamble = bytes([size & 0x7F | 0x80, size >> 7])
            self.assertEqual(pagecodec.snappy(preamble + tag + PATTERN[:size], size),
                             PATTERN[:size])

    def test_zstd(self):
        # Single segment, size 3840 + 256, one last run-length block of 4096 bytes.
        frame = bytes.fromhex("28b52ffd 60 000f 038000") + b"A"
        self.assertEqual(pagecodec.zstd(frame, PAGE), b"A" * PAGE)
        self.refuses(pagecodec.zstd, frame, PAGE - 1)
        self.refuses(pagecodec.zstd, frame[:-1], PAGE)


class Scratch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "dump")

    def dump(self, data):
        with open(self.path, "wb") as out:
            out.write(data)
        return open_dump(self.path)

    def unknown(self, memory, address, reason, size=8):
        with self.assertRaises(Unknown) as caught:
            memory.read(address, size)
        self.assertIn(reason, caught.exception.reason)
        return caught.exception.address


INFO = b"OSRELEASE=1.2.3\nNUMBER(phys_base)=-4096\n"


def kdump(pages, ram=range(64), header=()):
    """A version 6 dump; pages: pfn -> (flags, data, offset or None, size or None)."""
    image = bytearray(2 * PAGE)
    image[:8] = b"KDUMP   "
    struct.pack_into("<i", image, 8, 6)
    struct.pack_into("<iiI", image, 428, PAGE, 1, 2)
    struct.pack_into("<QQ", image, PAGE + 32, PAGE + 200, len(INFO))
    struct.pack_into("<Q", image, PAGE + 96, 64)
    image[PAGE + 200:PAGE + 200 + len(INFO)] = INFO
    for offset, code, value in header:
        struct.pack_into(code, image, offset, value)
    for kept in (ram, pages):
        bitmap = bytearray(PAGE)
        for pfn in kept:
            bitmap[pfn // 8] |= 1 << pfn % 8
        image += bitmap
    place = len(image) + 24 * len(pages)
    body = b""
    for pfn in sorted(pages):
        flags, data, offset, size = pages[pfn]
        image += struct.pack("<QIIQ", place + len(body) if offset is None else offset,
                             len(data) if size is None else size, flags, 0)
        body += data
    return bytes(image + body)


PAGES = {2: (0, PATTERN, None, None), 3: (1, zlib.compress(b"z" * PAGE), None, None),
         9: (0, b"\0" * PAGE, 0, None), 10: (0, PATTERN, 1 << 40, None),
         11: (1, b"no zlib stream", None, None), 12: (0, b"short", None, None),
         13: (0x40, PATTERN, None, None), 20: (0, b"t" * PAGE, None, None)}


class KdumpTest(Scratch):
    def test_pages(self):
        memory = self.dump(kdump(PAGES, ram=range(21)))
        self.assertEqual(memory.read(2 * PAGE, PAGE), PATTERN)
        self.assertEqual(memory.read(3 * PAGE - 2, 4), b"\xfe\xffzz")
        self.assertEqual(memory.read(20 * PAGE, 2), b"tt")
        self.unknown(memory, 4 * PAGE, "excluded")
        self.unknown(memory, 21 * PAGE, "absent")
        self.unknown(memory, 1 << 50, "absent")
        self.unknown(memory, 9 * PAGE, "lost")
        self.unknown(memory, 10 * PAGE, "truncated")
        for pfn in (11, 12, 13):
            self.unknown(memory, pfn * PAGE, "corrupt")
        self.assertEqual(self.unknown(memory, 4 * PAGE - 4, "excluded"), 4 * PAGE)

    def test_vmcoreinfo(self):
        self.assertEqual(self.dump(kdump(PAGES)).vmcoreinfo["NUMBER(phys_base)"], "-4096")

    def test_cut_file(self):
        image = kdump({2: PAGES[2]})
        self.unknown(self.dump(image[:-1]), 2 * PAGE, "truncated")
        self.unknown(self.dump(image[:4 * PAGE + 23]), 2 * PAGE, "truncated")
        with self.assertRaises(BadDump):
            self.dump(image[:4 * PAGE - 1])

    def test_header(self):
        for offset, code, value in ((8, "<i", 5), (428, "<i", 8192), (428, "<i", 0),
                                    (432, "<i", 0), (436, "<I", 0)):
            with self.subTest(offset=offset, value=value), self.assertRaises(BadDump):
                self.dump(kdump(PAGES, header=[(offset, code, value)]))

    def test_flattened(self):
        image = kdump(PAGES)
        stream = FlattenedFile.SIGNATURE.ljust(4096, b"\0")
        half = len(image) // 2 + 5
        for offset, data in ((half, image[half:]), (0, b"wrong" * 900), (0, image[:half])):
            stream += struct.pack(">qq", offset, len(data)) + data
        memory = self.dump(stream + struct.pack(">qq", -1, -1))
        self.assertEqual(memory.read(2 * PAGE, PAGE), PATTERN)
        self.assertEqual(memory.read(20 * PAGE, 2), b"tt")

    def test_drop_page(self):
        for dropped in sorted(PAGES):
            with self.subTest(pfn=dropped):
                memory = self.dump(kdump(PAGES))
                before = {pfn: self.state(memory, pfn) for pfn in PAGES}
                mutate.drop_page(self.path, dropped * PAGE)
                after = open_dump(self.path)
                self.assertEqual(self.state(after, dropped), "excluded")
                for pfn in PAGES.keys() - {dropped}:
                    self.assertEqual(self.state(after, pfn), before[pfn])

    @staticmethod
    def state(memory, pfn):
        try:
            return memory.read(pfn * PAGE, PAGE)
        except Unknown as err:
            return err.reason

    def test_replace_page(self):
        self.dump(kdump(PAGES))
        mutate.replace_page(self.path, 3 * PAGE, b"new!" * 1024)
        after = open_dump(self.path)
        self.assertEqual(after.read(3 * PAGE, PAGE), b"new!" * 1024)
        self.assertEqual(after.read(2 * PAGE, PAGE), PATTERN)

    def test_pages_not_in_the_dump_cannot_be_changed(self):
        self.dump(kdump(PAGES))
        for change in (lambda: mutate.drop_page(self.path, 4 * PAGE),
                       lambda: mutate.replace_page(self.path, 4 * PAGE, PATTERN)):
            with self.assertRaises(mutate.Refused):
                change()
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(mutate.main([self.path, self.path + "2", "drop-page", "0x4000"]), 2)


def elf(loads, note=INFO, many=False):
    """ELF core with its program headers at 192; loads: (paddr, data, memsz, offset delta)."""
    headers, body = [], b""
    start = 192 + 56 * (len(loads) + 1) + 77
    name = b"VMCOREINFO\0\0"
    record = struct.pack("<III", 11, len(note), 0) + name + note
    headers.append((4, 0, start, 0, 0, len(record), 0, 0))
    body += record
    for physical, data, in_memory, shift in loads:
        headers.append((1, 7, start + len(body) + shift, 0, physical, len(data), in_memory, 0))
        body += data
    count = 0xFFFF if many else len(headers)
    image = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 4, 62, 1, 0, 192, 64, 0, 8, 56, count, 64, 1, 0)
    image += (bytes(44) + struct.pack("<I", len(headers))).ljust(128, b"\0")
    image += b"".join(struct.pack("<IIQQQQQQ", *header) for header in headers)
    return image.ljust(start, b"\0") + body


class ElfTest(Scratch):
    def test_segments(self):
        for many in (False, True):
            memory = self.dump(elf([(0x5000, b"A" * PAGE, 3 * PAGE, 0),
                                    (0x9000, b"B" * 100, 100, 0),
                                    (0x4800, b"C" * 0x1000, 0x1000, 0)], many=many))
            self.assertEqual(memory.read(0x4FFF, 2), b"CA")
            self.assertEqual(memory.read(0x9000, 100), b"B" * 100)
            self.assertEqual(self.unknown(memory, 0x5FFC, "excluded"), 0x6000)
            self.assertEqual(self.unknown(memory, 0x9060, "absent"), 0x9064)
            self.unknown(memory, 0x8000, "absent")
            self.assertEqual(memory.vmcoreinfo["OSRELEASE"], "1.2.3")

    def test_a_later_segment_fills_what_an_earlier_one_left_out(self):
        memory = self.dump(elf([(0x5000, b"A" * 16, PAGE, 0), (0x5000, b"B" * 32, 32, 0)]))
        self.assertEqual(memory.read(0x500C, 8), b"AAAABBBB")

    def test_cut_file(self):
        image = elf([(0x5000, b"A" * PAGE, PAGE, 0)])
        self.assertEqual(self.unknown(self.dump(image[:-3]), 0x5FF8, "truncated"), 0x5FFD)

    def test_not_ours(self):
        image = elf([])
        for wrong in (b"", b"text", image[:40], image[:4] + b"\x01" + image[5:],
                      image[:16] + b"\x02" + image[17:], image[:18] + b"\xb7" + image[19:]):
            with self.assertRaises(BadDump):
                self.dump(wrong)


class FakeKernel:
    """Virtual memory of one block of bytes."""

    def __init__(self, start, data):
        self.start, self.data = start, data

    def read(self, address, size):
        at = address - self.start
        if at < 0 or at + size > len(self.data):
            raise Unknown(address, "absent")
        return self.data[at:at + size]

    def number(self, address, size):
        return int.from_bytes(self.read(address, size), "little")


class KallsymsTest(unittest.TestCase):
    TOKENS = [bytes([number]) for number in range(255)] + [b"Tinit_"]

    def test_short_names(self):
        stream = b"\x04Tabc" + b"\x02\xffx" + bytes(4)
        self.assertEqual(kallsyms.decode_names(stream, 2, self.TOKENS, True), ["abc", "init_x"])

    def test_two_byte_length(self):
        name = b"T" + b"n" * 199
        stream = bytes([200 & 0x7F | 0x80, 200 >> 7]) + name + b"\x02Tx" + bytes(4)
        self.assertEqual(kallsyms.decode_names(stream, 2, self.TOKENS, True), ["n" * 199, "x"])

    def test_one_byte_length_above_127(self):
        stream = bytes([200]) + b"T" + b"n" * 199 + b"\x02Tx" + bytes(4)
        self.assertEqual(kallsyms.decode_names(stream, 2, self.TOKENS, False), ["n" * 199, "x"])

    def test_names_that_run_out(self):
        self.assertIsNone(kallsyms.decode_names(b"\x04Tab", 1, self.TOKENS, True))
        self.assertIsNone(kallsyms.decode_names(b"\0" * 8, 1, self.TOKENS, True))

    def test_address_forms(self):
        base = 0xFFFFFFFF81000000
        offsets = struct.pack("<3i", 0x10, -1, -0x1001)
        kernel = FakeKernel(base, offsets.ljust(16, b"\0") + struct.pack("<Q", base))
        tables = {"kallsyms_offsets": base, "kallsyms_relative_base": base + 16}
        self.assertEqual(kallsyms.absolute_percpu(kernel, tables, 3), [0x10, base, base + 0x1000])
        self.assertEqual(kallsyms.base_relative(kernel, tables, 3),
                         [base + 0x10, base + 0xFFFFFFFF, base + 0xFFFFEFFF])
        self.assertEqual(kallsyms.place_relative(kernel, tables, 3),
                         [base + 0x10, base + 3, base + 8 - 0x1001])
        self.assertIsNone(kallsyms.absolute(kernel, tables, 3))
        tables["kallsyms_addresses"] = base + 16
        self.assertEqual(kallsyms.absolute(kernel, tables, 1), (base,))


class BtfTest(unittest.TestCase):
    @staticmethod
    def blob(header=24):
        text = b"\0outer\0u32\0plain\0wide\0flag\0inner\0"
        at = {word: text.index(b"\0" + word + b"\0") + 1
              for word in (b"outer", b"u32", b"plain", b"wide", b"flag", b"inner")}

        def record(name, kind, count, value, flag=0):
            return struct.pack("<III", at.get(name, 0), flag << 31 | kind << 24 | count, value)

        def member(name, number, where):
            return struct.pack("<III", at.get(name, 0), number, where)

        types = (record(b"u32", btf.INT, 0, 4) + struct.pack("<I", 32)           # 1
                 + record(b"", btf.UNION, 2, 8) + member(b"inner", 1, 0)         # 2
                 + member(b"wide", 3, 0)
                 + record(b"", btf.POINTER, 0, 1)                                # 3
                 + record(b"", btf.ARRAY, 0, 0) + struct.pack("<III", 1, 1, 5)   # 4
                 + record(b"", btf.CONST, 0, 4)                                  # 5
                 + record(b"outer", btf.STRUCT, 4, 40, flag=1)                   # 6
                 + member(b"plain", 5, 0) + member(b"flag", 1, 3 << 24 | 165)
                 + member(b"", 2, 192) + member(b"u32", 1, 256))
        head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, header, 0, len(types), len(types), len(text))
        return head.ljust(header, b"\0") + types + text

    def test_members(self):
        for header in (24, 32):
            types = btf.Types(self.blob(header))
            self.assertEqual(types.size("outer"), 40)
            self.assertEqual(types.locate("outer", "plain"), (0, 160))
            self.assertEqual(types.locate("outer", "flag"), (165, 3))
            self.assertEqual(types.locate("outer", "inner"), (192, 32))
            self.assertEqual(types.locate("outer", "wide"), (192, 64))
            self.assertEqual(types.locate("outer", "u32"), (256, 32))
            self.assertEqual(types.describe(5), "u32[5]")
            for missing in (("outer", "none"), ("none", "plain")):
                with self.assertRaises(KeyError):
                    types.locate(*missing)

    def test_damaged(self):
        blob = self.blob()
        for wrong in (blob[:20], blob[:-1], b"\0" + blob[1:], blob[:24 + 4] + b"\0\0\0\x1f" + blob[32:]):
            with self.assertRaises(btf.BadTypes):
                btf.Types(wrong)


if __name__ == "__main__":
    unittest.main()
