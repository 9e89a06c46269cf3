# SPDX-License-Identifier: GPL-2.0-or-later
"""dmaudit inherit on the bundled dumps: one outcome where everything is known, every outcome where it is not."""

import json
import re
import unittest

from support import CliTest, NAMES, ROOT, TEXT_WIDTH, fixture, run

LEGACY = "debian12-6.1-legacy"
SCALABLE = "debian-sid-7.2-scalable-cma"
PASS_THROUGH = "debian13-6.12-passthrough"
OFF = "debian12-6.1-off"


def predict(name, *options):
    ran = run("inherit", "--format", "json", fixture(name), *options)
    return ran, ran.json()


def fates(prediction, what="tables"):
    return [[one["fate"] for one in unit[what]] for unit in prediction["units"]]


def schema_errors(document):
    """What a public validator says against docs/inherit.schema.json."""
    import jsonschema  # pylint: disable=import-outside-toplevel
    schema = json.loads((ROOT / "docs" / "inherit.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}"
            for e in jsonschema.Draft202012Validator(schema).iter_errors(document)]


class InheritTest(CliTest):
    def test_json_is_valid_for_a_public_validator(self):
        for name in NAMES:
            for options in ([], ["-s", "ff:1f.7"], ["--capture-cmdline", "intel_iommu=off"],
                            ["--capture-cmdline", "intel_iommu=on,sm_off", "--crashkernel", "0-fff"]):
                with self.subTest(name, options=options):
                    _, prediction = predict(name, *options)
                    self.assertEqual(schema_errors(prediction), [])
        _, prediction = predict(LEGACY)
        for key in ("capture", "units", "devices"):
            self.assertTrue(schema_errors({**prediction, key: "x"}))
        prediction["units"][0]["tables"][0]["fate"] = "perhaps"
        self.assertTrue(schema_errors(prediction))

    def test_without_the_command_line_every_outcome_is_listed(self):
        for name in NAMES:
            with self.subTest(name):
                ran, prediction = predict(name)
                self.assertEqual(ran.status, 3, ran)
                self.assertIsNone(prediction["capture"]["command_line"])
                self.assertFalse(prediction["complete"])
                self.assertTrue(any("--capture-cmdline" in gap for gap in prediction["incomplete_because"]))
                for unit in prediction["units"]:
                    self.assertGreater(len(unit["tables"]), 1)
                    self.assertTrue(all(one["when"] for one in unit["tables"]))
                units = {unit["name"]: unit for unit in prediction["units"]}
                for device in prediction["devices"] + prediction["untranslated_devices"]:
                    self.assertEqual(len(device["dma"]), len(units[device["unit"]]["tables"]))

    def test_the_outcomes(self):
        cases = [
            (LEGACY, "intel_iommu=on", "copied", "goes-on"),
            (LEGACY, "intel_iommu=on,sm_on", "copied", "goes-on"),  # the unit knows no scalable mode
            (LEGACY, "intel_iommu=off", "switched-off", "physical"),
            (LEGACY, "iommu=off", "switched-off", "physical"),
            (LEGACY, "intel_iommu=off acpi=off", "untouched", "goes-on"),
            (SCALABLE, "intel_iommu=on,sm_on", "copied", "goes-on"),
            (SCALABLE, "intel_iommu=on,sm_off", "refused", "gap-then-blocked"),
            (SCALABLE, "intel_iommu=on,sm_off iommu=pt", "refused", "physical"),
            (PASS_THROUGH, "intel_iommu=off", "switched-off", "goes-on", "physical"),  # one is held by user space
            (OFF, "intel_iommu=off", "stays-off", "goes-on"),
            (OFF, "intel_iommu=on iommu=nopt", "switched-on", "blocked"),
            (OFF, "intel_iommu=on iommu=pt", "switched-on", "goes-on"),
        ]
        for name, line, fate, *dma in cases:
            with self.subTest(name, line=line):
                _, prediction = predict(name, "--capture-cmdline", line)
                self.assertEqual(fates(prediction), [[fate]])
                devices = prediction["devices"] + prediction["untranslated_devices"]
                self.assertEqual({one for device in devices for one in device["dma"]}, set(dma))
                self.assertTrue(all(not unit["tables"][0]["when"] for unit in prediction["units"]))

    def test_interrupt_remapping(self):
        for line, fate in (("intel_iommu=on", "copied"), ("intel_iommu=off", "copied"),
                           ("intel_iommu=on intremap=off", "untouched")):
            with self.subTest(line):
                _, prediction = predict(LEGACY, "--capture-cmdline", line)
                self.assertEqual(fates(prediction, "interrupts"), [[fate]])

    def test_complete_means_exit_0(self):
        ran, prediction = predict(LEGACY, "--capture-cmdline", "intel_iommu=on")
        self.assertTrue(prediction["complete"])
        self.assertEqual((ran.status, ran.err), (0, ""))
        ran = run("inherit", "-q", fixture(LEGACY), "--capture-cmdline", "intel_iommu=on")
        self.assertEqual(ran.out, "INHERITED: translation goes on through the tables of dmar0\n"
                                  "Complete: 1 unit, 11 devices, one outcome for each\n")

    def test_untranslated_reach_is_that_of_the_mappings(self):
        _, prediction = predict(LEGACY, "--capture-cmdline", "intel_iommu=off")
        rows = run("mappings", "--format", "ndjson", fixture(LEGACY)).rows()
        self.assertTrue(any(device["untranslated"]["same"]["ranges"] for device in prediction["devices"]))
        for device in prediction["devices"]:
            own = [row for row in rows if row["bdf"] == device["bdf"]]
            reach = device["untranslated"]
            self.assertTrue(reach["complete"])
            self.assertEqual(reach["all"]["ranges"], len(own))
            self.assertEqual(reach["all"]["bytes"], sum(int(row["len"], 16) for row in own))
            self.assertEqual(reach["all"]["writable_ranges"], sum("W" in row["perm"] for row in own))
            self.assertEqual(reach["same"]["ranges"], sum(row["pa"] == row["iova"] for row in own))
            self.assertEqual(reach["ram"]["ranges"], 0)
        _, prediction = predict(LEGACY, "--capture-cmdline", "intel_iommu=on")
        self.assertTrue(all(device["untranslated"] is None for device in prediction["devices"]))

    def test_iovas_in_a_reservation_are_counted(self):
        row = next(row for row in run("mappings", "--format", "ndjson", fixture(LEGACY)).rows()
                   if row["pa"] != row["iova"])
        first = int(row["iova"], 16)
        _, prediction = predict(LEGACY, "--capture-cmdline", "intel_iommu=off",
                                "--crashkernel", f"{first:x}-{first + 0xfff:x}")
        hit = [device for device in prediction["devices"] if device["untranslated"]["crash_kernel"]["ranges"]]
        self.assertIn(row["bdf"], [device["bdf"] for device in hit])
        own = next(device for device in hit if device["bdf"] == row["bdf"])
        self.assertEqual(own["untranslated"]["crash_kernel"]["bytes"], 0x1000)

    def test_a_blocked_module(self):
        _, prediction = predict(LEGACY, "--capture-cmdline", "intel_iommu=on module_blacklist=e1000e")
        blocked = [device for device in prediction["devices"] if device["driver_blocked"]]
        self.assertEqual(len(blocked), 1)
        self.assertIn("e1000e", blocked[0]["driver_note"])

    def test_text(self):
        for name in NAMES:
            for options in ([], ["-v"], ["--capture-cmdline", "intel_iommu=off"],
                            ["-v", "--capture-cmdline", "intel_iommu=on"], ["-s", "ff:1f.7"]):
                with self.subTest(name, options=options):
                    lines = run("inherit", fixture(name), *options).out.splitlines()
                    wide = [line for line in lines if len(line) > TEXT_WIDTH]
                    self.assertFalse(wide, "\n".join(wide))
                    self.assertRegex(lines[0], r"^(INHERITED|NOT INHERITED|PARTLY INHERITED|OPEN|NOTHING TO INHERIT): ")
                    self.assertRegex(lines[1], r"^(Complete|NOT COMPLETE)")

    def test_a_hostile_command_line(self):
        escape = "\x1b[31m\"\\',\x07\r\x9b2J\u202e intel_iommu=on"
        for line in (escape, "x" * 2048 + " intel_iommu=off", "\"" * 100000, "", " ", "=", "--", "intel_iommu=" * 9000):
            for options in ([], ["-v"], ["--format", "json"]):
                with self.subTest(line[:20], options=options):
                    ran = run("inherit", fixture(LEGACY), "--capture-cmdline", line, *options)
                    self.assertIn(ran.status, (0, 3), ran)
                    for text in (ran.raw, ran.err.encode()):
                        self.assertFalse(re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xe2\x80\xae|\xc2[\x80-\x9f]", text), ran)
                    if options == ["--format", "json"]:
                        self.assertEqual(ran.json()["capture"]["command_line"]["origin"], "user")
        # An option beyond what a kernel takes is none.
        _, prediction = predict(LEGACY, "--capture-cmdline", "intel_iommu=on " + "x" * 2040 + " intel_iommu=off")
        self.assertEqual(fates(prediction), [["copied"]])
        self.assertIn("inherit.cut", [diagnostic["id"] for diagnostic in prediction["diagnostics"]])

    def test_units_of_the_user_without_a_kernel(self):
        path = self.scratch() / "dump"
        path.write_bytes(bytes(1 << 16))
        unit = ["--raw=0", "--unit", "dmar0,0,d2008c22260206,f00f4a,4000"]
        ran = run("inherit", "--format", "json", path, *unit, "--capture-cmdline", "intel_iommu=off")
        self.assertEqual(ran.status, 3, ran)
        self.assertEqual(fates(ran.json()), [["switched-off"]])
        ran = run("inherit", "--format", "json", path, *unit)
        self.assertEqual(ran.status, 3, ran)
        self.assertGreater(len(ran.json()["units"][0]["tables"]), 1)
        self.cannot_run(run("inherit", "-q", path, "--raw=0"), path)


if __name__ == "__main__":
    unittest.main()
