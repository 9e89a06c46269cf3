# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps with one byte changed, one page missing, or a damaged VMCOREINFO."""

import concurrent.futures
import random
import shutil
import struct
import unittest

from support import CliTest, NAMES, ONE_IN, WORKERS, fixture, golden_rows, one_error, run
import mutate
from dumpfile import open_dump

# The dump has a critical finding: any all-clear of a changed copy is a false one.
NAME = "debian12-6.1-rmrr"
WHOLE = fixture(NAME).read_bytes()


class DamageTest(CliTest):
    def wrong(self, path, what):
        """What is wrong about the answers for a changed copy."""
        ran = run("--format", "json", path)
        if ran.status == 2:
            return None if one_error(ran, path) else f"{what}: no error line: {ran}"
        if ran.status == 0:
            return f"{what}: a false all-clear: {run(path)}"
        report = ran.json()
        if report["complete"] and run("mappings", "--format", "ndjson", path).rows() != (
                golden_rows(NAME)):
            return f"{what}: complete with other rows"
        return None

    def in_parallel(self, check, cases):
        """check(path, case) for each case, on copies that worker threads share out."""
        folder = self.scratch()

        def some(number):
            path = folder / str(number)
            path.write_bytes(WHOLE)
            return [check(path, case) for case in cases[number::WORKERS]]

        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            return sum(pool.map(some, range(WORKERS)), [])

    def test_single_bytes(self):
        rng = random.Random(20)
        size = len(WHOLE)
        notes = WHOLE.index(b"OSRELEASE=")
        places = ([rng.randrange(0, 464) for _ in range(40)]
                  + [rng.randrange(4096, 4096 + 104) for _ in range(40)]
                  + [rng.randrange(notes - 64, notes + 3000) for _ in range(40)]
                  + [rng.randrange(4096, 300000) for _ in range(60)]
                  + [size * n // 140 + rng.randrange(size // 140) for n in range(140)])
        changes = [(place, rng.choice((1 << rng.randrange(8), 0xff))) for place in places]

        def check(path, change):
            place, mask = change
            with open(path, "r+b") as copy:
                copy.seek(place)
                copy.write(bytes([WHOLE[place] ^ mask]))
                copy.flush()
                result = self.wrong(path, f"byte {place:#x} xor {mask:#x}")
                copy.seek(place)
                copy.write(WHOLE[place:place + 1])
            return result

        wrong = [line for line in self.in_parallel(check, changes[::ONE_IN]) if line]
        self.assertFalse(wrong, "\n".join(wrong))

    def test_one_page_missing(self):
        pages = list(open_dump(fixture(NAME)).pages())
        seen = []

        def check(path, page):
            shutil.copyfile(fixture(NAME), path)
            mutate.drop_page(path, page)
            ran = run(path)
            seen.append(ran.err + ran.out)
            return self.wrong(path, f"page {page:#x} dropped")

        wrong = [line for line in self.in_parallel(check, pages[::20 * ONE_IN]) if line]
        self.assertFalse(wrong, "\n".join(wrong))
        # Symbols and types are most of the dump: each must have been hit, and named.
        for word in ("kallsyms", "BTF"):
            self.assertTrue(any(word in text for text in seen), f"{word} is never named")

    def test_a_missing_table_page_is_named(self):
        report = run("--format", "json", fixture(NAME)).json()
        chain = report["findings"][0]["evidence"]
        self.assertGreaterEqual(len(chain), 5)
        for entry in chain:
            page = int(entry["address"], 16) & -4096
            path = self.scratch() / "dump"
            shutil.copyfile(fixture(NAME), path)
            mutate.drop_page(path, page)
            ran = run("--format", "json", path)
            self.assertEqual(ran.status, 3, (entry, str(ran)))
            report = ran.json()
            self.assertFalse(report["complete"])
            self.assertTrue(any(f"{page:x}" in reason for reason in report["incomplete_because"]),
                            (entry, report["incomplete_because"]))
            ran = run("mappings", "-q", path)
            self.assertEqual((ran.status, ran.err), (3, ""), entry)
            self.assertRegex(ran.out.splitlines()[-1], r"^NOT COMPLETE: \d+ gaps? could hide rows$")
            for rows in ("ndjson", "csv"):
                self.assertNotIn("COMPLETE", run("mappings", "--format", rows, path).out)


class VmcoreinfoTest(CliTest):
    def damaged(self, data, *words):
        path = self.scratch() / "dump"
        path.write_bytes(data)
        for command in (["report"], ["report", "--format", "json"], ["mappings"], ["inherit"]):
            ran = run(*command, path)
            self.assertIn(ran.status, (2, 3), ran)
            for word in words:
                self.assertIn(word, ran.err + ran.out, ran)

    def header(self):
        """(offset, size) of VMCOREINFO and of the notes, from the sub header."""
        return struct.unpack_from("<QQQQ", WHOLE, 4096 + 32)

    def test_missing(self):
        no_extent = bytearray(WHOLE.replace(b"VMCOREINFO\0", b"VMCOREJUNK\0"))
        struct.pack_into("<QQ", no_extent, 4096 + 32, 0, 0)
        self.assertNotEqual(WHOLE, bytes(no_extent))
        self.damaged(bytes(no_extent), "VMCOREINFO")

    def test_overwritten(self):
        at = WHOLE.index(b"OSRELEASE=")
        for filler in (b"\0", b"\n", b"\xff", b"="):
            size = WHOLE[at:].index(b"\0")
            self.damaged(WHOLE[:at] + filler * size + WHOLE[at + size:], "VMCOREINFO")

    def test_cut(self):
        at = WHOLE.index(b"OSRELEASE=")
        size = WHOLE[at:].index(b"\0")
        for keep in (1, size // 8, size // 4):
            self.damaged(WHOLE[:at + keep] + bytes(size - keep) + WHOLE[at + size:], "VMCOREINFO")

    def test_one_key_missing(self):
        for key in (b"SYMBOL(init_top_pgt)", b"SYMBOL(swapper_pg_dir)", b"NUMBER(phys_base)"):
            with self.subTest(key):
                self.assertIn(key + b"=", WHOLE)
                data = WHOLE.replace(key, b"X" * len(key))
                path = self.scratch() / "dump"
                path.write_bytes(data)
                ran = run("--format", "json", path)
                if ran.status in (2, 3):
                    self.damaged(data, "VMCOREINFO")
                else:  # another key tells the same
                    self.assertEqual(ran.status, 1, ran)

    def test_one_value_wrong(self):
        for key in (b"SYMBOL(swapper_pg_dir)=", b"NUMBER(phys_base)=", b"SYMBOL(kallsyms_names)=",
                    b"SYMBOL(kallsyms_num_syms)=", b"SYMBOL(kallsyms_token_table)=",
                    b"SYMBOL(kallsyms_token_index)="):
            at = WHOLE.index(key) + len(key)
            end = WHOLE.index(b"\n", at)
            for value in (b"0", b"f", b"7", b"z", b"-"):
                with self.subTest(key, value=value):
                    path = self.scratch() / "dump"
                    path.write_bytes(WHOLE[:at] + value * (end - at) + WHOLE[end:])
                    ran = run("--format", "json", path)
                    if ran.status == 1:  # found without it, then with the same rows
                        rows = run("mappings", "--format", "ndjson", path)
                        self.assertEqual(rows.rows(), golden_rows(NAME))
                    else:
                        self.assertIn(ran.status, (2, 3), ran)

    def test_the_notes_lie_elsewhere(self):
        _, _, offset, size = self.header()
        for new in ((0, size), (len(WHOLE), size), (offset, 1 << 62), ((1 << 64) - 1, size),
                    (offset, 11), (offset, size // 2)):
            data = bytearray(WHOLE)
            struct.pack_into("<QQ", data, 4096 + 48, *new)
            path = self.scratch() / "dump"
            path.write_bytes(data)
            ran = run(path)
            self.assertIn(ran.status, (1, 2, 3), ran)
            self.assertNotIn("\nComplete: ", ran.out)


if __name__ == "__main__":
    unittest.main()
