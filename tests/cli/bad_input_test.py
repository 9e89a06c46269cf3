# SPDX-License-Identifier: GPL-2.0-or-later
"""What is no dump, or no dump of ours: one line that names the file and the place."""

import bz2
import gzip
import lzma
import os
import pwd
import random
import struct
import subprocess
import unittest

from support import CliTest, DMAUDIT, NAMES, environment, fixture, run

COMMANDS = ("report", "mappings", "inherit", "info", "distill")
WHOLE = fixture(NAMES[0]).read_bytes()


def elf(kind=4, machine=62, width=2, order=1, headers=(), body=b""):
    """An ELF file; headers are (type, offset, virtual, physical, file size, memory size)."""
    end = "<" if order == 1 else ">"
    ident = b"\x7fELF" + bytes([width, order, 1]) + bytes(9)
    if width == 1:
        return ident + struct.pack(end + "HHIIIIIHHHHHH", kind, machine, 1, 0, 52, 0, 0, 52, 32,
                                   len(headers), 0, 0, 0) + body
    table = b"".join(struct.pack(end + "IIQQQQQQ", t, 7, o, v, p, f, m, 0)
                     for t, o, v, p, f, m in headers)
    return ident + struct.pack(end + "HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, 0, 64, 56,
                               len(headers), 0, 0, 0) + table + body


def patched(offset, data):
    return WHOLE[:offset] + data + WHOLE[offset + len(data):]


class BadInputTest(CliTest):
    def refused(self, path, *words):
        """Every command refuses the file; with JSON the reason is there too."""
        for command in COMMANDS:
            folder = self.scratch()
            extra = ["-o", folder / "out"] if command == "distill" else []
            for quiet in ([], ["-q"]):
                ran = run(command, path, *extra, *quiet)
                self.cannot_run(ran, path, *words)
                # The header of a table of rows may be out by then, no row is.
                self.assertLessEqual(len(ran.out.splitlines()), 0, ran)
            self.no_leftovers(folder)
        for command in ("report", "inherit", "info"):
            ran = run(command, "--format", "json", path)
            self.assertEqual(ran.status, 2)
            document = self.valid_json(ran)
            self.assertEqual(document["input"]["paths"], [str(path)])
            for word in words:
                self.assertIn(word, document["error"]["message"])

    def refused_bytes(self, data, *words):
        path = self.scratch() / "dump"
        path.write_bytes(data)
        self.refused(path, *words)

    def test_empty(self):
        self.refused_bytes(b"", "empty")

    def test_missing(self):
        self.refused(self.scratch() / "none", "No such file")

    def test_a_folder(self):
        self.refused(self.scratch(), "directory")

    def test_no_files_at_all(self):
        for path in ("/dev/null", "/dev/zero"):
            self.refused(path)

    def test_a_pipe_does_not_hang(self):
        path = self.scratch() / "pipe"
        os.mkfifo(path)
        self.refused(path)

    def test_no_permission(self):
        folder = self.scratch()
        path = folder / "dump"
        path.write_bytes(WHOLE)
        path.chmod(0)
        if os.geteuid() != 0:
            self.refused(path, "Permission denied")
            return
        folder.chmod(0o755)
        nobody = pwd.getpwnam("nobody")
        try:
            done = subprocess.run([DMAUDIT, path], check=False, capture_output=True, text=True,
                                  user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[],
                                  env=environment())
        except PermissionError:
            self.skipTest("nobody may not run the program")
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(done.stderr, f"dmaudit: {path}: Permission denied\n")

    def test_not_a_dump(self):
        self.refused_bytes(b"x", "not a crash dump")
        self.refused_bytes(b"root:x:0:0:root:/root:/bin/sh\n" * 50, "not a crash dump")
        self.refused_bytes(bytes(1 << 16), "not a crash dump")
        rng = random.Random(1)
        for size in (3, 4096, 100000):
            self.refused_bytes(b"\x01" + rng.randbytes(size), "not a crash dump")

    def test_compressed_files_are_named(self):
        for data, word in ((gzip.compress(WHOLE[:9000]), "gzip"), (lzma.compress(WHOLE[:9000]), "xz"),
                           (bz2.compress(WHOLE[:9000]), "bzip2"),
                           (b"\x28\xb5\x2f\xfd" + bytes(60), "zstd")):
            self.refused_bytes(data, word)
            self.refused_bytes(data[:6], word)

    def test_other_dump_formats_are_named(self):
        self.refused_bytes(b"makedumpfile".ljust(16, b"\0") + bytes(4096), "flattened")
        self.refused_bytes(b"DISKDUMP" + bytes(4096), "header")
        self.refused_bytes(b"EMiL" + bytes(4096), "LiME", "version 0")
        self.refused_bytes(b"AVML" + bytes(4096), "AVML", "version 0")
        self.refused_bytes(b"QFI\xfb" + bytes(4096), "qcow2")

    def test_elf_that_is_no_x86_64_core(self):
        load = (1, 0x1000, 0, 0, 0x1000, 0x1000)
        page = bytes(0x1000 - 64 - 56) + bytes(0x1000)
        for data, words in ((elf(kind=2, headers=[load], body=page), ["executable", "vmlinux"]),
                            (elf(kind=3, headers=[load], body=page), ["executable", "vmlinux"]),
                            (elf(kind=1), ["object file"]),
                            (elf(), ["program headers"]),
                            (elf(width=1), ["program headers"]),
                            (elf(order=2), ["program headers"])):
            with self.subTest(words):
                self.refused_bytes(data, *words)
        for data, word in ((elf(machine=183, headers=[load], body=page), "aarch64"),
                           (elf(machine=22, order=2, headers=[load], body=page), "s390x")):
            path = self.scratch() / "core"
            path.write_bytes(data)
            for command in ("report", "mappings", "inherit", "distill"):
                extra = ["-o", self.scratch() / "out"] if command == "distill" else []
                self.cannot_run(run(command, "-q", path, *extra), path, word, "only x86_64")
            ran = run("info", "--format", "json", path)
            self.assertEqual(ran.status, 3, ran)
            self.assertEqual(ran.json()["machine"], word)
            self.assertEqual(ran.json()["pages"]["data"], 1)

    def test_elf_cores_without_a_kernel(self):
        load = (1, 0x1000, 0, 0, 0x1000, 0x1000)
        page = bytes(0x1000 - 64 - 56) + bytes(0x1000)
        for data in (elf(headers=[load], body=page), elf(headers=[load])):
            path = self.scratch() / "core"
            path.write_bytes(data)
            for command in ("report", "mappings"):
                ran = run(command, path)
                self.assertIn(ran.status, (2, 3), ran)
                self.assertIn("VMCOREINFO", ran.err + ran.out)
                self.assertNotIn("CLEAN", ran.out)

    def test_no_kernel_is_one_reason_and_what_to_do(self):
        path = self.scratch() / "image"
        path.write_bytes(bytes(0x4000))
        for command in ("report", "mappings", "inherit"):
            ran = run(command, "--raw=1000", path)
            self.cannot_run(ran, f"{path}: no kernel found: no VMCOREINFO note, and no VMCOREINFO text in the 16384 bytes of memory")
            self.assertEqual(ran.err.count("kernel"), 2, ran)
            self.assertIn("; --unit or --root gives tables to walk without a kernel, --raw=ADDRESS where memory begins "
                          "(taken as 0x1000)", ran.err)
        # Not of a machine whose tables are none of ours; nor where a kernel is not asked for.
        arm = self.scratch() / "arm"
        arm.write_bytes(elf(machine=183, headers=[(1, 0x1000, 0, 0, 0x1000, 0x1000)], body=bytes(0x2000)))
        self.assertNotIn("--unit", run(arm).err)
        ran = run("info", "--raw", path)
        self.assertNotIn("--unit", ran.out + ran.err)
        self.assertIn("\nkernel        no kernel found: no VMCOREINFO note", ran.out)

    def test_a_cut_dump_without_its_kernel_is_said_to_be_cut(self):
        path = self.scratch() / "dump"
        path.write_bytes(WHOLE[:len(WHOLE) // 2])
        for command in ("report", "mappings", "inherit"):
            self.cannot_run(run(command, path), path, "the dump is not whole (kdump.truncated): ")

    def test_a_bit_that_a_bitmap_lacks_is_no_cut(self):
        # Of the last page that is stored, so that no other page moves.
        data = bytearray(WHOLE)
        block, bitmaps = struct.unpack_from("<I", data, 428)[0], struct.unpack_from("<II", data, 432)
        second = block * (1 + bitmaps[0]) + block * bitmaps[1] // 2
        last = max(i for i in range(second, second + block * bitmaps[1] // 2) if data[i])
        data[last] &= ~(1 << (data[last].bit_length() - 1))
        path = self.scratch() / "dump"
        path.write_bytes(data)
        self.cannot_run(run("report", path), path, "the dump is not whole (kdump.bitmap-short): ")

    def test_elf_cut_anywhere_in_its_headers(self):
        load = (1, 0x1000, 0, 0, 0x1000, 0x1000)
        data = elf(headers=[load] * 4, body=bytes(0x2000))
        for size in (4, 5, 15, 16, 20, 63, 64, 65, 64 + 56, 64 + 4 * 56 - 1):
            path = self.scratch() / "core"
            path.write_bytes(data[:size])
            ran = run(path)
            self.assertEqual(ran.status, 2, ran)
            self.assertIn(str(path), ran.err)

    def test_kdump_signature_only(self):
        self.refused_bytes(b"KDUMP   ", "header")
        self.refused_bytes(b"KDUMP   " + bytes(4096), "header")
        self.refused_bytes(b"KDUMP   " + random.Random(2).randbytes(20000), "header")

    def test_kdump_headers_with_one_lie(self):
        cases = (
            (8, struct.pack("<i", -1), "version"),
            (428, struct.pack("<I", 0), "block size"),
            (428, struct.pack("<I", 4097), "block size"),
            (428, struct.pack(">I", 4096), "block size"),
            (428, struct.pack("<I", 16384), "pages of 16384 bytes"),
            (432, struct.pack("<I", 0x7fffffff), "bitmaps"),
            (432, struct.pack("<I", 0xffffffff), "sub header"),
            (436, struct.pack("<I", 0), "bitmap"),
            (436, struct.pack("<I", 0xffffffff), "bitmap"),
            (4096 + 12, struct.pack("<I", 1) + bytes(64) + struct.pack("<QQ", 9, 8), "split"),
        )
        for offset, data, word in cases:
            with self.subTest(f"{offset}: {data!r}"):
                self.refused_bytes(patched(offset, data), word)


if __name__ == "__main__":
    unittest.main()
