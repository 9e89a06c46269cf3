# SPDX-License-Identifier: GPL-2.0-or-later
"""One machine in every container: the same pages wherever both are known, and the same audit."""

import contextlib
import io
import random
import struct
import unittest

from compare_containers import main
from input_test import flatten, split
from support import CliTest, NAMES, PAGE, fixture, run

CODECS = ("zstd", "zlib", "lzo", "snappy", "raw")
SNAPPY_START = b"\xff\x06\0\0sNaPpY"


def crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
        table.append(value)
    return table


CRC32C = crc32c_table()


def masked_crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xff]
    crc ^= 0xffffffff
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def elf(ranges):
    """A core of (address, bytes, memory size)."""
    at = 64 + 56 * len(ranges)
    out = [b"\x7fELF\2\1\1".ljust(16, b"\0")
           + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(ranges), 0, 0, 0)]
    for address, data, memory in ranges:
        out.append(struct.pack("<IIQQQQQQ", 1, 7, at, 0, address, len(data), memory, 0))
        at += len(data)
    return b"".join(out + [data for _, data, _ in ranges])


def lime(ranges):
    return b"".join(struct.pack("<IIQQQ", 0x4c694d45, 1, address, address + len(data) - 1, 0) + data
                    for address, data, _ in ranges)


def avml(ranges):
    out = []
    for address, data, _ in ranges:
        stream = [SNAPPY_START]
        for at in range(0, len(data), 65536):
            part = data[at:at + 65536]
            stream.append(struct.pack("<II", 1 | len(part) + 4 << 8, masked_crc32c(part)) + part)
        stream = b"".join(stream)
        out += [struct.pack("<IIQQQ", 0x4c4d5641, 2, address, address + len(data) - 1, 0), stream,
                struct.pack("<Q", len(stream))]
    return b"".join(out)


class ContainersTest(CliTest):
    def setUp(self):
        self.folder = self.scratch()

    def file(self, name, data):
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def converted(self, source, name, *options):
        path = str(self.folder / name)
        ran = run("convert", "-q", source, "-o", path, *options)
        self.assertEqual((ran.status, ran.err), (0, ""), ran)
        return path

    def compared(self, *dumps):
        """(exit status, lines) of the script."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = main(list(dumps))
        return status, out.getvalue().splitlines()

    def containers_of(self, source):
        out = [self.converted(source, codec, "--codec", codec) for codec in CODECS]
        out.append(self.converted(source, "elf", "--format", "elf"))
        kdump, core = ((self.folder / name).read_bytes() for name in ("zlib", "elf"))
        out.append(self.file("flat", flatten(kdump, 5000, 3)))
        out.append(self.file("flat-elf", flatten(core, 70000, 4)))
        out.append("+".join(self.file(f"part{i}", part) for i, part in enumerate(split(kdump, 3))))
        return out

    def test_a_machine_with_a_kernel(self):
        source = str(fixture(NAMES[-1]))
        status, lines = self.compared(source, *self.containers_of(source))
        self.assertEqual(status, 0, lines)
        self.assertEqual(len(lines), 2 * 9)
        for line in lines:
            self.assertNotIn("not asked", line)
            self.assertNotIn(" there and ", line)

    def test_images_of_memory(self):
        noise = random.Random(1)
        ranges = [(0x1000, noise.randbytes(20 * PAGE) + bytes(9 * PAGE), 40 * PAGE),
                  (0x100000, b"few values" * 4096, 40960), (0x200000, noise.randbytes(PAGE), PAGE)]
        source = self.file("core", elf(ranges))
        others = [self.file("lime", lime(ranges)), self.file("avml", avml(ranges)),
                  "1000@" + self.file("bare", ranges[0][1])]
        status, lines = self.compared(source, *self.containers_of(source), *others)
        self.assertEqual(status, 0, lines)
        # What was left out of the core is not described by the images.
        notes = {line.split("(")[0].split("/")[-1].strip(): line for line in lines}
        for name in ("lime", "avml"):
            self.assertIn("(40 pages known to both, 11 excluded there and absent here)",
                          notes[f"{name}: pages"])
        self.assertIn("(29 pages known to both, 11 data there and absent here, "
                      "11 excluded there and absent here)", notes["bare: pages"])

    def test_other_bytes_and_other_machines_are_told(self):
        ranges = [(0x1000, random.Random(2).randbytes(4 * PAGE), 4 * PAGE)]
        source = self.file("core", elf(ranges))
        changed = bytearray(ranges[0][1])
        changed[2 * PAGE + 5] ^= 1
        other = self.file("lime", lime([(0x1000, bytes(changed), 0)]))
        status, lines = self.compared(source, other)
        self.assertEqual(status, 1)
        self.assertIn("page 0x3: ", lines[0])
        status, lines = self.compared(str(fixture(NAMES[0])), str(fixture(NAMES[1])))
        self.assertEqual(status, 1, lines)


if __name__ == "__main__":
    unittest.main()
