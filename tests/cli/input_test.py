# SPDX-License-Identifier: GPL-2.0-or-later
"""How a dump gets in: flattened, in parts, through a pipe; what does not belong together."""

import os
import random
import struct
import subprocess
import threading
import time
import unittest

from support import CliTest, DMAUDIT, NAMES, TIMEOUT, environment, fixture, golden_rows, run

NAME = NAMES[0]
WHOLE = fixture(NAME).read_bytes()
COMMANDS = ("report", "mappings", "inherit", "info", "distill")


def flatten(data, size=4096, seed=None, end=True):
    """The stream of makedumpfile -F, in records of `size`, in any order."""
    starts = list(range(0, len(data), size))
    if seed is not None:
        random.Random(seed).shuffle(starts)
    out = [b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1) + bytes(4096 - 32)]
    for start in starts:
        part = data[start:start + size]
        out += [struct.pack(">qq", start, len(part)), part]
    return b"".join(out + [struct.pack(">qq", -1, -1)] * end)


def split(data, count):
    """The parts of a split dump: all headers, the descriptors and the data of one range of page
    frames, and room for all other descriptors."""
    sub_blocks, bitmap_blocks = struct.unpack_from("<iI", data, 432)
    frames, = struct.unpack_from("<Q", data, 4096 + 96)
    bitmap2 = (1 + sub_blocks + bitmap_blocks // 2) * 4096
    descriptors = (1 + sub_blocks + bitmap_blocks) * 4096
    bits = int.from_bytes(data[bitmap2:bitmap2 + (frames + 7) // 8], "little") & ((1 << frames) - 1)
    stored = [i for i, bit in enumerate(bin(bits)[:1:-1]) if bit == "1"]
    borders = [0] + [stored[len(stored) * i // count] for i in range(1, count)] + [frames]
    begin = descriptors + 24 * len(stored)
    parts = []
    for first, end in zip(borders, borders[1:]):
        part = bytearray(data[:descriptors])
        struct.pack_into("<i", part, 4096 + 12, 1)
        struct.pack_into("<QQ", part, 4096 + 80, first, end)
        table, content, places = b"", b"", {}
        for i, frame in enumerate(stored):
            if first <= frame < end:
                offset, size, *flags = struct.unpack_from("<QIIQ", data, descriptors + 24 * i)
                if offset not in places:
                    places[offset] = begin + len(content)
                    content += data[offset:offset + size]
                table += struct.pack("<QIIQ", places[offset], size, *flags)
        parts.append(bytes(part) + table.ljust(24 * len(stored), b"\0") + content)
    return parts


class InputTest(CliTest):
    def files(self, *contents):
        folder = self.scratch()
        paths = []
        for i, content in enumerate(contents):
            paths.append(folder / f"part{i}")
            paths[-1].write_bytes(content)
        return paths

    def same_audit(self, *paths, **streams):
        ran = run("mappings", "--format", "ndjson", *paths, **streams)
        self.assertEqual((ran.status, ran.err), (0, ""), ran)
        self.assertEqual(ran.rows(), golden_rows(NAME))

    def piped(self, *arguments, data=WHOLE, env=None):
        """Runs with the dump on standard input, through a pipe."""
        done = subprocess.run([DMAUDIT, *map(str, arguments)], input=data, check=False, timeout=TIMEOUT,
                              capture_output=True, env=env or environment())
        return done.returncode, done.stdout.decode(), done.stderr.decode()


class FlattenedTest(InputTest):
    def test_gives_the_same_audit(self):
        for data in (flatten(WHOLE), flatten(WHOLE, 999, 1), flatten(WHOLE, 1 << 20, 2)):
            self.same_audit(*self.files(data))

    def test_without_its_end_it_is_not_complete(self):
        path, = self.files(flatten(WHOLE, end=False))
        ran = run("mappings", "--format", "ndjson", path)
        self.assertEqual(ran.status, 3, ran)
        self.assertEqual(ran.rows(), golden_rows(NAME))
        self.assertIn("[flattened.cut]", ran.err)

    def test_info_says_so(self):
        ran = run("info", *self.files(flatten(WHOLE)))
        self.assertEqual(ran.status, 0, ran)
        self.assertIn("flattened", ran.out)

    def test_nothing_in_it(self):
        path, = self.files(flatten(b""))
        for command in COMMANDS:
            extra = ["-o", self.scratch() / "out"] if command == "distill" else []
            self.cannot_run(run(command, path, *extra), path, "without a record")


class SplitTest(InputTest):
    def test_parts_in_any_order_plain_and_flattened(self):
        parts = split(WHOLE, 3)
        parts[1] = flatten(parts[1], 5000, 4)
        paths = self.files(*parts)
        for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
            self.same_audit(*[paths[i] for i in order])
        ran = run("info", "--format", "json", *paths)
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(ran.json()["paths"], [str(path) for path in paths])
        out = self.scratch() / "small"
        ran = run("distill", *paths, "-o", out)
        self.assertEqual(ran.status, 0, ran)
        self.same_audit(out)

    def test_pages_and_read_take_all_parts_and_say_so(self):
        paths = self.files(*split(WHOLE, 3))
        ran = run("pages", "--crc32", *reversed(paths))
        self.assertEqual((ran.status, ran.err), (0, ""), ran)
        self.assertEqual(ran.out, run("pages", "--crc32", fixture(NAME)).out)
        stored = [row for row in run("pages", "--format", "ndjson", fixture(NAME)).rows()
                  if row["state"] == "data"]
        # The first and the last page: of different parts.
        for address in (int(stored[0]["start"], 16), int(stored[-1]["end"], 16) - 7):
            ran = run("read", *paths, f"{address:x}", "8")
            self.assertEqual(ran.status, 0, ran)
            self.assertEqual(ran.out, run("read", fixture(NAME), f"{address:x}", "8").out)
        for command in ("pages", "read"):
            self.assertIn(f"dmaudit {command} [OPTION]... VMCORE...", run(command, "--help").out)

    def test_a_missing_part_is_named_and_the_rest_is_read(self):
        paths = self.files(*split(WHOLE, 3))
        for missing in range(3):
            given = [path for i, path in enumerate(paths) if i != missing]
            ran = run("info", *given)
            self.assertEqual(ran.status, 3, ran)
            self.assertRegex(ran.out, "lost +[0-9]+ pages")
            self.assertRegex(ran.err, r"page frames 0x[0-9a-f]+-0x[0-9a-f]+ is missing")
            self.assertNotEqual(run("report", *given).status, 0)

    def test_a_part_given_twice_is_named(self):
        paths = self.files(*split(WHOLE, 2))
        ran = run("info", paths[0], paths[1], paths[1])
        self.assertEqual(ran.status, 3, ran)
        self.assertIn("[kdump.part-doubled]", ran.err)
        self.assertRegex(ran.out, "lost +[0-9]+ pages")

    def test_parts_of_two_dumps(self):
        other = fixture(NAMES[1]).read_bytes()
        paths = self.files(split(WHOLE, 2)[0], split(other, 2)[1])
        for command in COMMANDS:
            extra = ["-o", self.scratch() / "out"] if command == "distill" else []
            self.cannot_run(run(command, *paths, *extra), "2 different dumps", paths[0], paths[1])

    def test_one_dump_twice(self):
        self.cannot_run(run("info", fixture(NAMES[1]), fixture(NAMES[1])), "is given twice")


class PipeTest(InputTest):
    def test_every_command_reads_standard_input(self):
        want = run("mappings", "--format", "ndjson", fixture(NAME)).out
        for data in (WHOLE, flatten(WHOLE, 3000, 1)):
            self.assertEqual(self.piped("mappings", "--format", "ndjson", "-", data=data), (0, want, ""))
        for command in ("report", "info"):
            status, out, err = self.piped(command, "-")
            self.assertEqual((status, err), (run(command, fixture(NAME)).status, ""))
            self.assertIn("-", out)
        out = self.scratch() / "small"
        self.assertEqual(self.piped("distill", "-", "-o", out)[0], 0)
        self.same_audit(out)

    def test_a_pipe_that_does_not_wait_is_waited_for(self):
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        with subprocess.Popen([DMAUDIT, "mappings", "--format", "ndjson", "-"], stdin=ours, stdout=subprocess.PIPE,
                              env=environment(), text=True) as child:
            os.close(ours)
            with open(theirs, "wb", buffering=0) as pipe:
                time.sleep(0.2)  # it is at work, and nothing is there
                pipe.write(WHOLE)
            out, _ = child.communicate(timeout=TIMEOUT)
        self.assertEqual((child.returncode, out), (0, run("mappings", "--format", "ndjson", fixture(NAME)).out))

    def test_a_file_on_standard_input_is_read_where_it_is(self):
        with open(fixture(NAME), "rb") as stream:
            self.same_audit("-", "--spool-limit", "0", stdin=stream)
        path = self.scratch() / "behind"
        path.write_bytes(b"junk" + WHOLE)
        with open(path, "rb", buffering=0) as stream:
            stream.read(4)
            self.same_audit("-", stdin=stream)

    def test_one_part_through_the_pipe(self):
        parts = split(WHOLE, 2)
        path, = self.files(parts[0])
        status, out, _ = self.piped("mappings", "--format", "ndjson", "-", path, data=parts[1])
        self.assertEqual(status, 0)
        self.assertEqual(out, run("mappings", "--format", "ndjson", fixture(NAME)).out)

    def test_a_named_pipe(self):
        path = self.scratch() / "pipe"
        os.mkfifo(path)
        writer = threading.Thread(target=lambda: path.write_bytes(WHOLE))
        writer.start()
        with open(path, "rb") as keep:
            self.same_audit(f"/dev/fd/{keep.fileno()}", pass_fds=[keep.fileno()])
        writer.join()

    def test_the_temporary_file_has_a_place_and_goes(self):
        folder = self.scratch()
        self.assertEqual(self.piped("info", "--spool-dir", folder, "-")[0], 0)
        self.no_leftovers(folder)
        self.assertEqual(self.piped("info", "-", env=environment(TMPDIR=str(folder)))[0], 0)
        self.no_leftovers(folder)
        status, _, err = self.piped("info", "--spool-dir", folder / "none", "-")
        self.assertEqual(status, 2)
        self.assertIn("none", err)

    def test_the_limit(self):
        size = len(WHOLE)
        self.assertEqual(self.piped("info", "--spool-limit", size, "-")[0], 0)
        for limit, word in ((size - 1, "--spool-limit"), ("1M", "1 MiB"), ("0", "--spool-limit")):
            status, out, err = self.piped("info", "--spool-limit", limit, "-")
            self.assertEqual((status, out), (2, ""), err)
            self.assertIn(word, err)
            self.assertEqual(len(err.splitlines()), 1, err)
        for limit in ("", "x", "1X", "-1", "1.5G", "16777216T", "99999999999999999999"):
            status, _, err = self.piped("info", "--spool-limit", limit, "-")
            self.assertEqual(status, 2)
            self.assertIn("--spool-limit", err)

    def test_nothing_comes_in(self):
        status, _, err = self.piped("report", "-", data=b"")
        self.assertEqual((status, err), (2, "dmaudit: -: is empty, nothing came in\n"))
        self.cannot_run(run("report", "-", "-"), "standard input")

    def test_a_stream_that_is_no_dump_is_refused_at_once(self):
        for junk in (b"y\n" * 8192, b"\x1f\x8b" + bytes(16384)):
            path, = self.files(junk)
            want = run("report", path)
            self.assertEqual(want.status, 2, want)
            # The writer never closes the pipe: whoever waits for the end waits for ever.
            ours, theirs = os.pipe()
            with subprocess.Popen([DMAUDIT, "report", "-"], stdin=ours, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=environment(), text=True) as child:
                os.close(ours)
                try:
                    os.write(theirs, junk)
                    out, err = child.communicate(timeout=TIMEOUT)
                finally:
                    child.kill()
                    os.close(theirs)
            self.assertEqual((child.returncode, out), (2, ""))
            self.assertEqual(err, want.err.replace(str(path), "-"))

    def test_a_short_stream_and_bare_memory_are_taken_whole(self):
        status, _, err = self.piped("report", "-", data=b"junk")
        self.assertEqual((status, len(err.splitlines())), (2, 1), err)
        self.assertIn("starts with 6a 75 6e 6b", err)
        memory = bytes(3 << 20)
        path, = self.files(memory)
        options = ("pages", "-q", "--format", "ndjson", "--raw")
        want = run(*options, path)
        self.assertEqual(self.piped(*options, "-", data=memory), (want.status, want.out, ""))
        self.assertIn("0x2fffff", want.out)

    def test_a_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        status, _, err = self.piped("info", "--spool-dir", "/dev/full", "-")
        self.assertEqual((status, len(err.splitlines())), (2, 1), err)


class MachineTest(InputTest):
    def test_other_machines_are_described_and_not_audited(self):
        data = WHOLE[:272] + b"aarch64\0" + WHOLE[280:]
        path, = self.files(data)
        ran = run("info", "--format", "json", path)
        self.assertEqual(ran.status, 3, ran)
        self.assertEqual(ran.json()["machine"], "aarch64")
        self.assertEqual(ran.json()["pages"],
                         run("info", "--format", "json", fixture(NAME)).json()["pages"])
        for command in ("report", "mappings", "distill"):
            extra = ["-o", self.scratch() / "out"] if command == "distill" else []
            self.cannot_run(run(command, path, *extra), path, "aarch64", "x86_64")


if __name__ == "__main__":
    unittest.main()
