# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps on devices that fail, in files that shrink, and on block devices: states and a reason, never
a signal, never a byte that is not there."""

import os
import struct
import subprocess
import unittest

from fuse_file import FuseFile
from support import CliTest, NAMES, PAGE, fixture, golden_rows, inside, run
from input_test import flatten

DUMP = fixture(NAMES[0])
WHOLE = DUMP.read_bytes()
ROWS = golden_rows(NAMES[0])
KNOWN = {}  # of the whole dump
COMMANDS = ("report", "info", "distill")


def states(path):
    """{page frame: (state, crc32)}"""
    return {row["pfn"]: (row["state"], row["crc32"])
            for row in run("pages", "-q", "--crc32", "--format", "ndjson", path).rows()}


class FailingFileTest(CliTest):
    def mounted(self, data):
        try:
            file = FuseFile(self.scratch(), data)
        except OSError as error:
            self.skipTest(f"FUSE is not to be had here: {error}")
        self.addCleanup(file.__exit__)
        return file

    def elf(self):
        path = self.scratch() / "elf"
        run("convert", "--format", "elf", DUMP, "-o", path)
        return path.read_bytes()

    def truthful(self, path, word, *options):
        """No page that was not there, no row that was not there, and what went wrong is said."""
        if not KNOWN:
            KNOWN.update(states(DUMP))
        got = None
        ran = run("pages", "--crc32", "--format", "ndjson", *options, path)
        if ran.status == 2:
            self.cannot_run(ran, path, word)
        else:
            got = {row["pfn"]: (row["state"], row["crc32"]) for row in ran.rows()}
            for pfn, (state, crc) in got.items():
                if state in ("data", "zero"):
                    self.assertEqual(crc, KNOWN[pfn][1], hex(pfn * PAGE))
                elif KNOWN.get(pfn, ("absent",))[0] in ("data", "zero"):
                    self.assertIn(state, ("corrupt", "truncated", "lost"))
                    self.assertEqual(ran.status, 3)
                    self.assertIn(word, ran.err)
        rows = run("mappings", "--format", "ndjson", path)
        if rows.status == 2:
            self.assertIn(word, rows.err)
        else:
            self.assertFalse([row for row in rows.rows() if not inside(row, ROWS)])
            self.assertTrue(rows.status == 3 or rows.rows() == ROWS)
        for command in COMMANDS:
            extra = ["-o", self.scratch() / "out"] if command in ("distill", "convert") else []
            run(command, path, *extra)  # fails on a crash and a hang
        return got

    def test_a_device_that_fails_in_one_place(self):
        for data in (WHOLE, flatten(WHOLE, 5000, 1), self.elf()):
            file = self.mounted(data)
            self.assertEqual(run("mappings", "--format", "ndjson", file.path).rows(), ROWS)
            some = 0
            for place in range(0, len(data), len(data) // 4):
                file.fail(place, place + 512)
                some += self.truthful(file.path, "Input/output error") is not None
            self.assertGreater(some, 0)

    def test_a_bad_sector_in_a_page_bitmap_costs_the_pages_behind_it(self):
        block, sub_blocks, bitmap_blocks = struct.unpack_from("<iiI", WHOLE, 428)
        second = (1 + sub_blocks) * block + bitmap_blocks * block // 2
        bad = 0x3000  # of its bytes
        file = self.mounted(WHOLE)
        file.fail(second + bad, second + bad + 512)
        got = self.truthful(file.path, "kdump.bitmap-unreadable")
        for pfn, (state, _) in KNOWN.items():
            if pfn < bad * 8:
                self.assertEqual(got[pfn][0], state)
            elif state in ("data", "zero", "excluded"):
                self.assertEqual(got[pfn][0], "corrupt")
        ran = run("report", file.path)
        self.assertEqual(ran.status, 3, ran)
        self.assertIn("NOT COMPLETE", ran.out)
        self.assertIn(f"page bitmaps: what is stored cannot be read from page frame {bad * 8:#x} on",
                      " ".join(ran.out.split()))

    def test_the_reason_is_in_the_report(self):
        data = self.elf()
        file = self.mounted(data)
        file.fail(len(data) // 2, len(data))
        ran = run("report", "--format", "json", file.path)
        if ran.status == 2:
            self.assertIn("Input/output error", ran.json()["error"]["message"])
            return
        report = self.valid_json(ran)
        self.assertFalse(report["complete"])
        self.assertIn("Input/output error", "\n".join(report["incomplete_because"]))

    def test_a_file_system_that_gives_less_than_it_says(self):
        # One reader: while one is told that the file ends here, and asks for its size, the kernel fills the page of
        # another with zeros, and nobody can tell.
        for data in (WHOLE, self.elf()):
            file = self.mounted(data)
            some = 0
            for place in range(0, len(data), len(data) // 3):
                file.end_at(place)
                some += self.truthful(file.path, "", "-j", "1") is not None
            self.assertGreater(some, 0)
            file.end_at(len(data) - 1)
            self.assertIn("[input.shrunk]", run("pages", "--crc32", "-j", "1", file.path).err)

    def test_a_server_that_is_gone_is_not_asked_for_every_page(self):
        # Under NFS each request waits for the mount's time-outs.
        data = bytes(range(1, 256)).ljust(256, b"\1") * 16 * 2048
        file = self.mounted(data)
        file.lose(len(data) // 2)
        ran = run("pages", "--raw", "--crc32", "--format", "ndjson", file.path)
        self.assertEqual(ran.status, 3, ran)
        self.assertIn("[input.read-failed]", ran.err)
        self.assertIn("Input/output error", ran.err)
        self.assertGreater(file.failed, 0)
        self.assertLess(file.failed, 100)
        self.assertEqual({row["state"] for row in ran.rows()}, {"data", "corrupt"})

    def test_a_converted_page_that_could_not_be_read_is_not_data(self):
        data = self.elf()
        file = self.mounted(data)
        file.fail(len(data) * 3 // 4, len(data))  # what is redacted stays so, whether it can be read or not
        before = states(file.path)
        self.assertIn("corrupt", {state for state, _ in before.values()})
        for kind in ("kdump", "elf"):
            out = self.scratch() / "out"
            ran = run("convert", "--format", kind, file.path, "-o", out)
            self.assertEqual(ran.status, 3, ran)
            self.assertIn("[input.read-failed]", ran.err)
            self.assertEqual(states(out), before)
            # Without decoding, too.
            listed = {row["state"] for row in run("pages", "--format", "ndjson", out).rows()}
            self.assertIn("corrupt", listed)

    def test_a_block_device(self):
        path = self.scratch() / "disk"
        path.write_bytes(WHOLE.ljust((len(WHOLE) + 4095) // 4096 * 4096, b"\0"))
        done = subprocess.run(["losetup", "--find", "--show", "--read-only", path], check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"no loop device: {done.stderr.strip()}")
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=True)
        self.assertEqual(run("mappings", "--format", "ndjson", device).rows(), ROWS)
        with open(device, "rb") as stream:
            self.assertEqual(run("mappings", "--format", "ndjson", "-", stdin=stream).rows(), ROWS)
        self.assertEqual(states(device), states(DUMP))


if __name__ == "__main__":
    unittest.main()
