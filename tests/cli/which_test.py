# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps without a VMCOREINFO note: the kernel is found by its text in memory. --which."""

import struct
import unittest

from containers_test import lime
from roads import facts
from support import CliTest, PAGE, fixture, golden_rows, run
import dumpfile

CLEAN = "debian12-6.1-legacy"
# Free in every fixture, and inside what the kernel reserved for itself.
TEXT_AT = 0x9f000


def note_of(name):
    """The text of the VMCOREINFO note of a fixture."""
    data = fixture(name).read_bytes()
    at, size = struct.unpack_from("<QQ", data, PAGE + 32)
    return data[at:at + size].rstrip(b"\0")


def image_of(name, path, *texts):
    """The pages that a fixture holds, as a LiME image, which has no notes; and texts, each at its address."""
    memory = dumpfile.open_dump(fixture(name))
    pages = {at: memory.page(at // PAGE) for at in memory.pages()}
    for at, text in texts:
        assert at not in pages
        pages[at] = text.ljust(PAGE, b"\0")
    path.write_bytes(lime([(at, pages[at], PAGE) for at in sorted(pages)]))
    return path


class WithoutNoteTest(CliTest):
    def test_the_text_in_memory_is_as_good_as_a_note(self):
        folder = self.scratch()
        whole = run("--format", "json", fixture(CLEAN)).json()
        image = image_of(CLEAN, folder / "image", (TEXT_AT, note_of(CLEAN)))
        self.assertEqual(run("mappings", "--format", "ndjson", "-q", image).rows(), golden_rows(CLEAN))
        ran = run("--format", "json", image)
        report = self.valid_json(ran)
        self.assertIn(f"VMCOREINFO in memory at {TEXT_AT:#x}", report["kernel"]["whose_tables"])
        self.assertFalse(report["kernel"]["two_kernels"])
        self.assertIn("kernel.vmcoreinfo-search", [d["id"] for d in report["diagnostics"]])
        expected, found = facts(whole), facts(report)
        for key in ("crashkernel", "units", "devices", "domains", "findings"):
            self.assertEqual(expected[key], found[key], key)
        # A distilled dump of it finds the text again.
        small = folder / "small"
        self.assertIn(run("distill", image, "-o", small).status, (0, 3))
        again = run("--format", "json", small).json()
        self.assertEqual(again["kernel"]["whose_tables"], report["kernel"]["whose_tables"])
        self.assertEqual(facts(again), found)

    def test_without_the_text_no_kernel_is_found(self):
        image = image_of(CLEAN, self.scratch() / "image")
        self.cannot_run(run(image), "no kernel found: no VMCOREINFO note, and no VMCOREINFO text in the")

    def test_a_text_of_another_boot_is_no_kernel_of_this_dump(self):
        text = note_of(CLEAN)
        line = next(line for line in text.split(b"\n") if line.startswith(b"NUMBER(phys_base)="))
        moved = b"NUMBER(phys_base)=%d" % (int(line.split(b"=")[1]) + 0x200000)
        image = image_of(CLEAN, self.scratch() / "image", (TEXT_AT, text.replace(line, moved)))
        self.cannot_run(run(image), f"the VMCOREINFO text in memory at {TEXT_AT:#x} does not fit")

    def test_without_phys_base_memory_is_tried(self):
        text = note_of(CLEAN)
        line = next(line for line in text.split(b"\n") if line.startswith(b"NUMBER(phys_base)="))
        image = image_of(CLEAN, self.scratch() / "image", (TEXT_AT, text.replace(line + b"\n", b"")))
        ran = run("--format", "json", image)
        self.assertIn("phys_base from trying every place in memory", ran.json()["kernel"]["whose_tables"])
        self.assertEqual(run("mappings", "--format", "ndjson", "-q", image).rows(), golden_rows(CLEAN))


class WhichTest(CliTest):
    def test_crashed_is_the_kernel_of_the_note(self):
        expected = run("--format", "json", fixture(CLEAN))
        ran = run("--format", "json", "--which", "crashed", fixture(CLEAN))
        self.assertEqual(ran.raw, expected.raw)

    def test_a_second_kernel_that_is_not_there(self):
        ran = run("--which", "capture", fixture(CLEAN))
        self.cannot_run(ran, "no second kernel was found")
        self.assertIn("VMCOREINFO in a note", ran.err)

    def test_an_address(self):
        image = image_of(CLEAN, self.scratch() / "image", (TEXT_AT, note_of(CLEAN)))
        ran = run("mappings", "--format", "ndjson", "-q", "--which", f"{TEXT_AT:x}", image)
        self.assertEqual(ran.rows(), golden_rows(CLEAN))
        self.cannot_run(run("--which", f"{TEXT_AT + 1:x}", image), f"{TEXT_AT + 1:#x}")

    def test_usage(self):
        for word in ("", "both", "0x", "1,2", "-1", "10000000000000000"):
            self.cannot_run(run("--which", word, fixture(CLEAN)), "--which")


if __name__ == "__main__":
    unittest.main()
