# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways to symbols, types and units: each gives the same report; units that the user gives."""

import unittest

from roads import ROADS, same_report
from support import CliTest, NAMES, PAGE, TRANSLATING, fixture, golden_rows, run

RMRR, CLEAN = "debian12-6.1-rmrr", "debian12-6.1-legacy"


def report_of(path, *options):
    ran = run("--format", "json", *options, path)
    return ran, ran.json()


def without_linux(name, path):
    """A copy of a fixture in which nothing names a kernel any more."""
    data = bytearray(fixture(name).read_bytes().replace(b"VMCOREINFO\0", b"NMCOREINFO\0"))
    # Offset and size of VMCOREINFO in the sub header.
    data[PAGE + 32:PAGE + 48] = bytes(16)
    path.write_bytes(data)
    return path


def unit_options(report):
    """--unit and --crashkernel options that repeat a report."""
    options = []
    for unit in report["units"]:
        options += ["--unit", ",".join([unit["name"], f"{unit['segment']:x}",
                                        *(unit[key]["value"] for key in ("cap", "ecap", "rtaddr"))])]
    for known in report["crashkernel"]:
        if known["name"] == "crashk_res":
            options += ["--crashkernel", f"{known['start']}-{known['end']}"]
    return options


class RoadsTest(CliTest):
    def test_every_applicable_way_gives_the_same_report(self):
        # A distilled dump holds the evidence of one way; the others may find parts of theirs gone.
        for name in NAMES:
            _, whole = report_of(fixture(name))
            for roads in ROADS:
                with self.subTest(name, roads=roads):
                    ran, report = report_of(fixture(name), "--roads", roads)
                    self.valid_json(ran)
                    applies, wrong = same_report(roads, whole, report)
                    self.assertFalse(wrong, ran)
                    if not applies:
                        self.assertFalse(report["complete"], ran)
                    if roads in ("vmcoreinfo,btf-symbols", "btf-search", "kernel-list"):
                        self.assertTrue(applies, ran)

    def test_all_ways_closed(self):
        ran, report = report_of(fixture(CLEAN), "--roads", "no-vmcoreinfo,no-signature")
        self.assertEqual(ran.status, 3, ran)
        self.assertFalse(report["complete"])
        self.assertIn("closed by --roads", report["kernel"]["symbols_from"])

    def test_misuse(self):
        for words in (["--roads", "gdb"], ["--roads", ""], ["--roads", "signature,no-user"]):
            self.cannot_run(run(*words, fixture(CLEAN)), "--roads")
        self.cannot_run(run("--roads", "no-user", "--root", "1000", fixture(CLEAN)), "--roads")


class UserUnitTest(CliTest):
    def test_a_dump_without_linux_is_refused_without_units(self):
        for name in NAMES:
            self.cannot_run(run(without_linux(name, self.scratch() / "bare")), "VMCOREINFO")

    def test_given_units_have_the_same_rows_without_linux(self):
        for name in TRANSLATING:
            with self.subTest(name):
                _, whole = report_of(fixture(name))
                bare = without_linux(name, self.scratch() / "bare")
                units = [word for word in unit_options(whole)]
                ran, report = report_of(bare, *units)
                self.valid_json(ran)
                # Nobody knows whether there are more units.
                self.assertFalse(report["complete"])
                self.assertEqual(ran.status, 1 if name == RMRR else 3, ran)
                self.assertEqual([f["id"] for f in report["findings"] if f["severity"] == "critical"],
                                 [f["id"] for f in whole["findings"] if f["severity"] == "critical"])
                for key in ("cap", "ecap", "rtaddr"):
                    self.assertEqual(report["units"][0][key]["origin"], "user")
                only_units = units[:units.index("--crashkernel")]
                rows = run("mappings", "--format", "ndjson", *only_units, bare)
                self.assertEqual(rows.status, 3)
                expected = golden_rows(name)
                got = rows.rows()
                if "passthrough" in name:  # as wide as the host, which nobody knows here
                    for row in expected + got:
                        del row["len"]
                self.assertEqual(got, expected)

    def test_a_root_alone(self):
        for name in TRANSLATING:
            with self.subTest(name):
                _, whole = report_of(fixture(name))
                root = int(whole["units"][0]["rtaddr"]["value"], 16) & ~0xfff
                bare = without_linux(name, self.scratch() / "bare")
                ran, report = report_of(bare, "--root", f"{root:x}")
                self.valid_json(ran)
                self.assertEqual(report["units"][0]["rtaddr"]["value"],
                                 whole["units"][0]["rtaddr"]["value"])
                self.assertIsNone(report["units"][0]["cap"])
                self.assertFalse(report["complete"])
                self.assertEqual([d["bdf"] for d in report["devices"]],
                                 [d["bdf"] for d in whole["devices"]])

    def test_beside_a_kernel(self):
        ran, report = report_of(fixture(CLEAN), *unit_options(report_of(fixture(CLEAN))[1]))
        self.assertEqual(ran.status, 0, ran)
        self.assertTrue(report["complete"])
        ran, report = report_of(fixture(CLEAN), "--root", "1000,legacy")
        self.assertEqual(ran.status, 3, ran)
        self.assertIn("rivals", report["units"][0]["rtaddr"])
        self.assertTrue(any("RTADDR is 0x1000 by --root" in gap
                            for gap in report["incomplete_because"]), ran)

    def test_distill_keeps_what_the_user_gave_units_for(self):
        bare = without_linux(RMRR, self.scratch() / "bare")
        options = unit_options(report_of(fixture(RMRR))[1])
        units = options[:options.index("--crashkernel")]
        small = self.scratch() / "small"
        self.assertEqual(run("distill", "-q", *units, bare, "-o", small).status, 3)
        self.assertEqual(run("mappings", *units, small).out, run("mappings", *units, bare).out)
        info = run("info", "--format", "json", *units, small).json()
        self.assertEqual(info["kernel"]["units"], ["dmar0"])

    def test_misuse(self):
        for unit in ("", "dmar0", "dmar0,0,1,2", "dmar0,0,1,2,3000,4", ",0,1,2,3000",
                     "dmar0,10000,1,2,3000", "dmar0,-1,1,2,3000", "dmar0,0,1,2,3001",
                     "dmar0,0,1,2,1ffffffffffffffff", "dmar0,0,x,2,3000"):
            self.cannot_run(run("--unit", unit, fixture(CLEAN)), "--unit")
        for root in ("", "x", "1001", "1000,", "1000,nested", "1000,legacy,legacy", "-1000"):
            self.cannot_run(run(f"--root={root}", fixture(CLEAN)), "--root")
        twice = ["--unit", "a,0,1,2,3000"] * 2
        self.cannot_run(run(*twice, fixture(CLEAN)), "twice")


if __name__ == "__main__":
    unittest.main()
