# SPDX-License-Identifier: GPL-2.0-or-later
"""--acpi-dmar: a DMAR table beside what the kernel kept of it."""

import os
import struct
import unittest

from support import CliTest, fixture, run

RMRR, CLEAN = "debian12-6.1-rmrr", "debian12-6.1-legacy"


def scope(kind, bus, *path):
    """One device scope; `path` of (device, function)."""
    return struct.pack("<BBHBB", kind, 6 + 2 * len(path), 0, 0, bus) + bytes(n for pair in path for n in pair)


def drhd(registers, scopes, flags=0):
    return struct.pack("<HHBBHQ", 0, 16 + len(scopes), flags, 0, 0, registers) + scopes


def rmrr(first, last, scopes):
    return struct.pack("<HHHHQQ", 1, 24 + len(scopes), 0, 0, first, last) + scopes


def table(*structures):
    """A DMAR table with the checksum that fits."""
    body = b"".join(structures)
    out = bytearray(b"DMAR" + struct.pack("<IB", 48 + len(body), 1) + bytes(39) + body)
    out[9] = -sum(out) & 0xff
    return bytes(out)


def as_the_kernel(report):
    """The structures that the report of a fixture shows, as firmware wrote them."""
    structures = []
    for declared in report["firmware_scopes"]["scopes"]:
        entries = b""
        for name in declared["devices"]:
            _, bus, slot = name.split(":")
            device, function = slot.split(".")
            entries += scope(1, int(bus, 16), (int(device, 16), int(function)))
        if declared["kind"] == "DRHD":
            structures.append(drhd(int(declared["register_base"], 16), entries))
        else:
            structures.append(rmrr(int(declared["start"], 16), int(declared["end"], 16), entries))
    return structures


class AcpiDmarTest(CliTest):
    def report(self, name, content, *options):
        path = self.scratch() / "dmar.dat"
        path.write_bytes(content)
        ran = run("--format", "json", "--acpi-dmar", path, *options, fixture(name))
        self.valid_json(ran)
        return ran.json()

    def test_the_same_table_changes_nothing(self):
        for name in (RMRR, CLEAN):
            whole = run("--format", "json", fixture(name)).json()
            self.assertEqual(self.report(name, table(*as_the_kernel(whole))), whole)

    def test_what_differs_is_shown_and_changes_no_finding(self):
        whole = run("--format", "json", fixture(RMRR)).json()
        structures = as_the_kernel(whole)
        structures[1] = rmrr(0x12000000, 0x121fffff, scope(1, 0, (4, 0)))
        report = self.report(RMRR, table(*structures))
        rivals = [rival for declared in report["firmware_scopes"]["scopes"] for rival in declared.get("rivals", [])]
        self.assertEqual([(r["value"], r["origin"]) for r in rivals], [("ends at 121fffff", "acpi table")])
        self.assertEqual(report["findings"], whole["findings"])
        self.assertEqual([d["id"] for d in report["diagnostics"] if d not in whole["diagnostics"]],
                         ["kernel.disagree"])

    def test_a_unit_that_the_dump_does_not_have_is_a_gap(self):
        whole = run("--format", "json", fixture(CLEAN)).json()
        report = self.report(CLEAN, table(*as_the_kernel(whole), drhd(0xfed91000, b"", flags=1)))
        self.assertFalse(report["complete"])
        self.assertEqual(report["firmware_scopes"]["scopes"][-1]["origin"], "acpi table")

    def test_a_wrong_checksum_is_said(self):
        whole = run("--format", "json", fixture(CLEAN)).json()
        content = bytearray(table(*as_the_kernel(whole)))
        content[9] ^= 1
        report = self.report(CLEAN, content)
        self.assertEqual([d["id"] for d in report["diagnostics"] if d not in whole["diagnostics"]],
                         ["kernel.acpi-table"])
        self.assertEqual(report["complete"], whole["complete"])

    def test_hostile_tables_end_with_a_word_and_close_no_gap(self):
        whole = run("--format", "json", fixture(RMRR)).json()
        good = table(*as_the_kernel(whole))

        def patched(at, layout, *values):
            out = bytearray(good)
            struct.pack_into(layout, out, at, *values)
            out[9] = (out[9] - sum(out)) & 0xff
            return bytes(out)

        first = 48  # the first structure, a DRHD: its device scopes begin 16 bytes on
        hostile = {
            "a table of no bytes": patched(4, "<I", 0),
            "a length that ends in the header": patched(4, "<I", 47),
            "a length behind the file": patched(4, "<I", len(good) + 1),
            "a length of four GiB": patched(4, "<I", 0xffffffff),
            "cut inside a structure": good[:first + 9],
            "nothing but a header": good[:48],
            "a structure of no bytes": patched(first + 2, "<H", 0),
            "a structure shorter than its head": patched(first + 2, "<H", 3),
            "a structure shorter than its kind": patched(first + 2, "<H", 15),
            "a structure behind the table": patched(first + 2, "<H", 0xffff),
            "a device scope of no bytes": patched(first + 17, "<B", 0),
            "a device scope without a path": patched(first + 17, "<B", 6),
            "a path of half a step": patched(first + 17, "<B", 7),
            "a device scope behind its structure": patched(first + 17, "<B", 0xfe),
            "a device scope of no kind": patched(first + 16, "<B", 0),
            "registers at zero": patched(first + 8, "<Q", 0),
            "registers at the end of the address space": patched(first + 8, "<Q", (1 << 64) - 1),
            "a kind that nobody knows": patched(first, "<H", 0xffff),
            "bytes behind the table": good + b"\x1b[31m",
        }
        for name, content in hostile.items():
            with self.subTest(name):
                report = self.report(RMRR, content)
                self.assertLessEqual(report["complete"], whole["complete"])
                self.assertEqual([f["id"] for f in report["findings"]], [f["id"] for f in whole["findings"]])
                self.assertNotEqual(report, whole)

    def test_what_is_no_file_and_what_is_endless_is_refused(self):
        folder = self.scratch()
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        large = folder / "large"
        with open(large, "wb") as file:
            file.write(b"DMAR")
            file.truncate(1 << 30)
        for given in (folder, pipe, large, "/dev/zero"):
            with self.subTest(given):
                self.cannot_run(run("--acpi-dmar", given, fixture(CLEAN)), "--acpi-dmar")

    def test_the_text_of_acpidump_is_refused_with_advice(self):
        path = self.scratch() / "dmar.txt"
        path.write_text("DMAR @ 0x0000000000000000\n    0000: 44 4D 41 52 88 00 00 00 01 9B 41 43 4D 45 20 20  DMAR......ACME\n")
        ran = run("--acpi-dmar", path, fixture(CLEAN))
        self.cannot_run(ran, "acpidump -b")

    def test_what_is_no_table_is_a_usage_error(self):
        path = self.scratch() / "no-table"
        path.write_bytes(b"FACP" + bytes(60))
        for command in ("report", "mappings", "info", "inherit"):
            for given in (path, path.parent / "none", ""):
                ran = run(command, "--acpi-dmar", given, fixture(CLEAN))
                self.assertEqual(ran.status, 2, ran)
                self.assertIn("--acpi-dmar", ran.err)


if __name__ == "__main__":
    unittest.main()
