# SPDX-License-Identifier: GPL-2.0-or-later
"""The program on every hostile input: an exit status of its own, one line of reason, little time and memory."""

import os
import resource
import struct
import subprocess
import sys
import tempfile
import unittest

from support import CRASH_TALK, DMAUDIT, CliTest, environment

# What ends a hang: no input needs a second. CPU time, with room for a machine whose processors are shared.
MAX_SECONDS = 3
MAX_RESIDENT = 256 << 10  # KiB
# What keeps a defect from taking the machine down; sanitizers map terabytes.
MAX_ADDRESS_SPACE = 2 << 30
SANITIZED = b"__asan_init" in open(DMAUDIT, "rb").read()
# Seconds, after which the system ends it; sanitizers take ten times as long.
MAX_CPU = 120 if SANITIZED else 10


def limits():
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU, MAX_CPU))


def measured(*arguments):
    """(exit status, stdout, stderr, CPU seconds, KiB resident) of one run."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with subprocess.Popen([DMAUDIT, *arguments], stdout=out, stderr=err, env=environment(),
                              stdin=subprocess.DEVNULL, preexec_fn=limits) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8"))
        return process.returncode, *texts, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


class HostileFilesTest(CliTest):
    def test_every_input(self):
        folder = self.scratch()
        listing = subprocess.run([os.environ["MAKE_HOSTILE_INPUTS"], folder], check=True,
                                 capture_output=True, text=True).stdout.splitlines()
        self.assertGreaterEqual(len(listing), 150)
        for line in listing:
            files, name, outcome = line.split("\t")
            with self.subTest(name):
                self.check([str(folder / file) for file in files.split()], outcome)

    def test_four_million_segments(self):
        # As many program headers as are read, in two orders of memory.
        count = (1 << 22) - 2
        end = 64 + 56 * (count + 1) + 64
        header = (b"\x7fELF\2\1\1".ljust(16, b"\0") +
                  struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, end - 64, 0, 64, 56, 0xffff, 64, 1, 0))
        path = self.scratch() / "segments"
        for apart in (True, False):
            block = b"".join(
                struct.pack("<IIQQQQQQ", 1, 7, i * 8, 0xffff888000000000, 4096 * (i if apart else 1),
                            16, 16, 0) for i in range(1, 4097))
            with open(path, "wb") as file:
                file.write(header + struct.pack("<IIQQQQQQ", 4, 0, end, 0, 0, 0, 0, 0))
                for _ in range(count // 4096):
                    file.write(block)
                file.write(block[:count % 4096 * 56])
                file.write(bytes(44) + struct.pack("<I", count + 1) + bytes(16))
            with self.subTest(apart=apart):
                status, out, err, seconds, resident = measured("info", str(path))
                self.assertEqual(status, 3, out + err)
                self.assertIn("4194302 segments", out)
                if not SANITIZED:
                    self.assertLess(seconds, MAX_SECONDS)
                    self.assertLess(resident, MAX_RESIDENT)

    def test_as_many_notes_as_are_kept(self):
        # Four segments over the same bytes are four copies of them, 64 MiB in all.
        size = (16 << 20) - (64 << 10)
        descriptor = bytes(range(256)) * (size // 256)
        note = struct.pack("<III", 4, len(descriptor), 1) + b"BIG\0" + descriptor
        at = 64 + 56 * 5
        header = (b"\x7fELF\2\1\1".ljust(16, b"\0") +
                  struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 5, 64, 0, 0))
        segment = struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(note), len(note), 0)
        memory = struct.pack("<IIQQQQQQ", 1, 7, 0, 0, 0x1000, 4096, 4096, 0)
        folder = self.scratch()
        (folder / "notes").write_bytes(header + 4 * segment + memory + note)
        for kind in ("kdump", "elf"):
            with self.subTest(kind):
                status, out, err, seconds, resident = measured(
                    "convert", "--format", kind, str(folder / "notes"), "-o", str(folder / kind))
                self.assertIn(status, (0, 3), out + err)
                self.assertGreater((folder / kind).stat().st_size, 4 * size)
                if not SANITIZED:
                    self.assertLess(seconds, MAX_SECONDS)
                    self.assertLess(resident, MAX_RESIDENT)

    def check(self, paths, outcome):
        refused = outcome.startswith("refused: ")
        for command in (("report",) if refused else ("info", "report")):
            status, out, err, seconds, resident = measured(command, *paths)
            shown = f"{command}: exit {status}\n{out}{err}"
            self.assertFalse(CRASH_TALK.search(err), shown)
            if not SANITIZED:
                self.assertLess(seconds, MAX_SECONDS, shown)
                self.assertLess(resident, MAX_RESIDENT, shown)
            if refused or command == "report":
                # None of these files holds a kernel.
                self.assertEqual(status, 2, shown)
                self.assertEqual(out, "", shown)
                self.assertEqual(err.count("\n"), 1, shown)
                self.assertTrue(err.startswith(tuple(f"dmaudit: {path}: " for path in paths)), shown)
            else:
                self.assertEqual(status, 3, shown)
            if refused:
                self.assertIn(outcome.removeprefix("refused: "), err, shown)


if __name__ == "__main__":
    if "MAKE_HOSTILE_INPUTS" not in os.environ:
        sys.exit("MAKE_HOSTILE_INPUTS: not set (ctest does)")
    unittest.main()
