# SPDX-License-Identifier: GPL-2.0-or-later
"""Options, exit statuses, usage errors."""

import re
import unittest

from support import CliTest, FIXTURES, NAMES, TRANSLATING, fixture, golden_rows, run

COMMANDS = ("report", "mappings", "inherit", "info", "distill")
CLEAN, RMRR = "debian12-6.1-legacy", "debian12-6.1-rmrr"
PASSTHROUGH, CMA = "debian13-6.12-passthrough", "debian-sid-7.2-scalable-cma"
FIRST_STAGE, OFF = "debian-sid-7.2-first-stage", "debian12-6.1-off"

# Each fixture by the worst severity in it.
WORST = {CLEAN: None, FIRST_STAGE: None, RMRR: "critical", PASSTHROUGH: "warning", CMA: "warning",
         OFF: "warning"}


# No mapping of any fixture is there.
FREE, FREE_TOO = "700000000-700000fff", "700001000-700001fff"


def span(row):
    """First and last physical byte of a mapping row."""
    start = int(row["pa"], 16)
    return start, start + int(row["len"], 16) - 1


class FailOnTest(CliTest):
    def test_every_fixture_has_an_expectation(self):
        self.assertEqual(sorted(WORST), NAMES)

    def test_fail_on(self):
        for name, worst in WORST.items():
            expected = {"critical": worst == "critical", "warning": worst is not None,
                        "never": False}
            for fail_on, fails in expected.items():
                for kind in ("text", "json"):
                    with self.subTest(name, fail_on=fail_on, format=kind):
                        ran = run("--fail-on", fail_on, "--format", kind, fixture(name))
                        self.assertEqual(ran.status, int(fails), ran)

    def test_critical_is_the_default(self):
        for name, worst in WORST.items():
            self.assertEqual(run(fixture(name)).status, int(worst == "critical"), name)

    def test_mappings_has_no_findings_to_fail_on(self):
        for name in NAMES:
            # Without tables in use there are no rows for what devices reach: that is not complete.
            self.assertEqual(run("mappings", fixture(name)).status, 0 if name in TRANSLATING else 3)
        self.cannot_run(run("mappings", "--fail-on", "never", fixture(CLEAN)), "--fail-on")


class CrashkernelTest(CliTest):
    def report(self, *options, name=CLEAN):
        ran = run("--format", "json", fixture(name), *options)
        return ran, self.valid_json(ran)

    def test_a_range_that_a_live_mapping_hits(self):
        row = next(row for row in golden_rows(CLEAN) if "W" in row["perm"])
        start, end = span(row)
        ran, report = self.report("--crashkernel", f"{start:x}-{end:x}")
        self.assertEqual(ran.status, 1, ran)
        self.assertEqual(report["verdict"], "findings")
        self.assertTrue(report["complete"])
        self.assertEqual([(r["start"], r["end"], r["origin"]) for r in report["crashkernel"]],
                         [(f"0x{start:x}", f"0x{end:x}", "user")])
        critical = [f for f in report["findings"] if f["severity"] == "critical"]
        self.assertTrue(critical)
        hits = [(o["iova"], o["len"], o["pa"], o["perm"]) for f in critical
                for o in f["subject"]["overlaps"]
                if (row["bdf"], row["pasid"]) in [(d["bdf"], d["pasid"])
                                                 for d in f["subject"]["devices"]]]
        self.assertIn((row["iova"], row["len"], row["pa"], row["perm"]), hits)
        text = run(fixture(CLEAN), "--crashkernel", f"{start:x}-{end:x}")
        self.assertTrue(text.out.startswith("CRITICAL: "), text)
        self.assertIn(f"IOVA {int(row['iova'], 16):x}-", text.out)

    def test_the_limits_of_a_range(self):
        taken = [span(row) for row in golden_rows(CLEAN) if "W" in row["perm"]]
        start, end = next((start, end) for start, end in taken
                          if sum(s <= end + 1 and start - 1 <= e for s, e in taken) == 1)
        for first, last, hit in ((start - 1, start - 1, 0), (start, start, 1), (end, end, 1),
                                 (end + 1, end + 1, 0), (start - 1, start, 1),
                                 (end, end + 1, 1)):
            with self.subTest(f"{first:x}-{last:x}"):
                ran, report = self.report("--crashkernel", f"0x{first:x}-0x{last:x}")
                self.assertEqual(ran.status, hit, ran)
                overlaps = [o for f in report["findings"] for o in f["subject"].get("overlaps", [])]
                for overlap in overlaps:
                    self.assertEqual((overlap["start"], overlap["end"]),
                                     (f"0x{max(first, start):x}", f"0x{min(last, end):x}"))

    def test_it_replaces_what_the_dump_says(self):
        ran, report = self.report("--crashkernel", FREE, name=RMRR)
        self.assertEqual(ran.status, 0, ran)
        # What was reserved is ordinary RAM then, and an RMRR lies in it.
        self.assertEqual([f["id"] for f in report["findings"]], ["rmrr.in-ram"])

    def test_it_is_repeatable(self):
        ran, _ = self.report("--crashkernel", FREE, "--crashkernel=12000000-12000fff",
                             name=RMRR)
        self.assertEqual(ran.status, 1, ran)
        ran, _ = self.report("--crashkernel", FREE, "--crashkernel", FREE_TOO, name=RMRR)
        self.assertEqual(ran.status, 0, ran)

    def test_a_read_only_mapping_is_a_warning(self):
        rows = [row for row in golden_rows(CMA) if row["perm"] == "R-"]
        if not rows:
            self.skipTest("no read-only row in the fixture")
        start, end = span(rows[0])
        ran, report = self.report("--crashkernel", f"{start:x}-{end:x}", name=CMA)
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual({f["severity"] for f in report["findings"]}, {"warning"})

    def test_malformed(self):
        for text in ("", "zz", "1000", "1000-", "-1000", "2000-1000", "1000-0x", "1000-2000-3000",
                     "1000:2000", " 1000-2000", "1000-2000 ", "+1000-2000", "1000--2000",
                     "0-10000000000000000", "1000-2000\x1b[31m"):
            with self.subTest(text):
                ran = run(f"--crashkernel={text}", fixture(CLEAN))
                self.cannot_run(ran, "--crashkernel")
                self.assertNotIn("\x1b", ran.err)
                self.assertEqual(ran.out, "")
        self.assertEqual(run("--crashkernel=0-ffffffffffffffff", fixture(CLEAN)).status, 1)


class SlotTest(CliTest):
    def rows(self, slot):
        ran = run("mappings", "--format", "ndjson", "-s", slot, fixture(CLEAN))
        self.assertEqual(ran.status, 0, ran)
        return ran.rows()

    def test_filters_as_lspci_does(self):
        rows = golden_rows(CLEAN)

        def on(pattern):
            return [row for row in rows if re.fullmatch(pattern, row["bdf"])]

        for slot, pattern in (("0000:00:01.0", "0000:00:01.0"), ("00:01.0", "0000:00:01.0"),
                              ("0:1.0", "0000:00:01.0"), ("01:00.0", "0000:01:00.0"),
                              ("1f.2", r"....:..:1f\.2"), ("00.0", r"....:..:00\.0"),
                              ("00:1f", r"0000:00:1f\.."), ("00:", r"....:00:..\.."),
                              (".2", r"....:..:..\.2")):
            with self.subTest(slot):
                self.assertEqual(self.rows(slot), on(pattern))
        self.assertTrue(on(r"....:..:1f\.2"))

    def test_a_filter_that_matches_nothing_audits_nothing(self):
        for slot in ("00:09.0", "1:00:01.0"):
            with self.subTest(slot):
                ran = run("mappings", "--format", "ndjson", "-s", slot, fixture(CLEAN))
                self.assertEqual((ran.status, ran.out), (3, ""), ran)
                self.assertEqual(run("-s", slot, fixture(CLEAN)).status, 3)

    def test_the_verdict_is_about_the_devices_that_are_asked_for(self):
        self.assertEqual(run("-s", "00:04.0", fixture(RMRR)).status, 1)
        ran = run("-s", "00:05.0", "--format", "json", fixture(RMRR))
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual([d["bdf"] for d in ran.json()["devices"]], ["0000:00:05.0"])

    def test_malformed(self):
        for text in ("", "x", "00:20.0", "00:01.8", "100:01.0", "00:01.0.0", "10000:00:01.0", "-1.0",
                     "00:01.0 ", "1:2:3:4.0"):
            with self.subTest(text):
                self.cannot_run(run("-s", text, fixture(CLEAN)), "-s")


class UsageTest(CliTest):
    def test_a_usage_error_is_json_too_when_json_is_asked_for(self):
        for arguments in (("--format", "json"), ("--format=json", "--no-such-option"),
                          ("report", "--crashkernel", "x", "--format", "json", fixture(CLEAN))):
            with self.subTest(arguments):
                ran = run(*arguments)
                self.assertEqual(ran.status, 2, ran)
                self.assertTrue(ran.json()["error"]["message"])
        self.assertEqual(run("mappings", "--format", "json", fixture(CLEAN)).out, "")

    def test_json_on_standard_output_where_the_file_cannot_be_written(self):
        for options in (("-o", self.scratch() / "none" / "out"), ("-o", fixture(CLEAN))):
            with self.subTest(options):
                ran = run("--format", "json", fixture(CLEAN), *options)
                self.assertEqual(ran.status, 2, ran)
                self.assertTrue(ran.json()["error"]["message"])

    def test_a_command_behind_an_option_is_pointed_out(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.cannot_run(run("-q", command, fixture(CLEAN)), f"dmaudit {command} [OPTION]")

    def test_help(self):
        for option in ("--help", "-h"):
            ran = run(option)
            self.assertEqual((ran.status, ran.err), (0, ""))
            for word in COMMANDS + ("Exit status",):
                self.assertIn(word, ran.out)
            for command in COMMANDS:
                ran = run(command, option)
                self.assertEqual((ran.status, ran.err), (0, ""))
                self.assertTrue(ran.out.startswith(f"Usage: dmaudit {command} "), ran)
                self.assertIn("--output", ran.out)
                self.assertEqual(run("help", command).out, ran.out)
                for own, holders in (("--crashkernel", ("report", "mappings", "inherit")),
                                     ("--slot", ("report", "mappings", "inherit")),
                                     ("--capture-cmdline", ("inherit",)),
                                     ("--fail-on", ("report",)),
                                     ("--color", ("report", "inherit")),
                                     ("--format", ("report", "mappings", "inherit", "info"))):
                    self.assertEqual(own in ran.out, command in holders, (command, own))

    def test_version_lists_the_codecs(self):
        ran = run("--version")
        self.assertEqual(ran.status, 0)
        self.assertRegex(ran.out, r"^dmaudit \d+\.\d+\.\d+\n")
        for codec in ("zlib", "lzo", "snappy", "zstd"):
            self.assertIn(codec, ran.out)
        self.assertRegex(ran.out, r"\ndebuginfo: (libdw 0\.\d+|none)\n")
        for command in COMMANDS:
            self.assertEqual(run(command, "--version").out, ran.out)

    def test_misuse(self):
        dump = fixture(CLEAN)
        cases = [
            (["--bogus", dump], "--bogus"),
            (["-x", dump], "-x"),
            (["--format", "xml", dump], "xml"),
            (["--format", "csv", dump], "csv"),
            (["mappings", "--format", "json", dump], "json"),
            (["--format=", dump], "--format"),
            (["--fail-on", "info", dump], "info"),
            (["--color", "sometimes", dump], "sometimes"),
            (["-o"], "output"),
            (["--crashkernel"], "crashkernel"),
            (["report"], "VMCORE"),
            (["mappings"], "VMCORE"),
            (["inherit", "--format", "csv", dump], "csv"),
            (["inherit", "--capture-cmdline"], "capture-cmdline"),
            (["--capture-cmdline", "x", dump], "--capture-cmdline"),
            (["info", "-q"], "VMCORE"),
            (["distill", dump], "-o"),
            (["info", "--crashkernel", "0-1", dump], "--crashkernel"),
            (["pages", "--which", "capture", dump], "--which"),
            (["read", "--root", "1000", dump, "0"], "--root"),
            (["--format", "json", "--format", "text", dump], "format"),
            (["pages", "-j", "2", dump], "-j"),
            (["convert", "--crc32", dump, "-o", "x"], "--crc32"),
        ]
        for arguments, word in cases:
            with self.subTest(arguments):
                ran = run(*arguments)
                self.cannot_run(ran, word)
                self.assertEqual(ran.out, "", ran)

    def test_what_does_nothing_is_refused(self):
        folder, dump = self.scratch(), fixture(CLEAN)
        for option in ("--unit=dmar0,0,0,0,1000", "--root=1000", "--roads=no-dwarf", "--vmlinux=x",
                       "--acpi-dmar=x", "--debuginfod", "--crashkernel=0-1", "--color=never"):
            name = option.split("=")[0]
            with self.subTest(option):
                self.cannot_run(run("convert", option, dump, "-o", "out", cwd=folder), name)
                self.no_leftovers(folder)
        for command in ("mappings", "info", "pages", "read", "distill"):
            with self.subTest(command):
                self.cannot_run(run(command, "--color=never", dump, "1000", "-o", "out",
                                    cwd=folder), "--color")

    def test_a_kernel_that_is_not_there_is_no_wish_of_a_copy(self):
        folder, dump = self.scratch(), fixture(CLEAN)
        for kind in ("kdump", "elf"):
            for which in ("123000", "capture"):
                with self.subTest(which, format=kind):
                    self.cannot_run(run("convert", "--format", kind, "--which", which, dump, "-o",
                                        "out", cwd=folder), CLEAN)
                    self.no_leftovers(folder)
            ran = run("convert", "--format", kind, "--which=crashed", dump, "-o", "out", cwd=folder)
            self.assertEqual((ran.status, ran.err), (0, ""), ran)
            (folder / "out").unlink()

    def test_nothing_given_shows_the_overview_as_an_error(self):
        ran = run()
        self.assertEqual((ran.status, ran.out), (2, ""))
        self.assertIn("Usage: dmaudit", ran.err)

    def test_option_names_are_never_guessed(self):
        for option in ("--form=json", "--forma=json", "--verb", "--crash=0-1", "--quie", "--fail=never",
                       "--hel", "--out=x", "--versio"):
            with self.subTest(option):
                ran = run(option, fixture(CLEAN), cwd=self.scratch())
                self.cannot_run(ran, option.split("=")[0])

    def test_command_names_are_never_guessed(self):
        self.cannot_run(run("rep", cwd=self.scratch()), "rep")

    def test_two_dumps(self):
        for command in COMMANDS:
            folder = self.scratch()
            extra = ["-o", folder / "out"] if command == "distill" else []
            ran = run(command, fixture(CLEAN), fixture(RMRR), *extra)
            self.cannot_run(ran, "2")
            self.assertEqual(ran.out, "")
            self.no_leftovers(folder)

    def test_options_after_the_operand_and_the_end_of_options(self):
        first, second = run("-q", fixture(CLEAN)), run(fixture(CLEAN), "-q")
        self.assertEqual((first.status, first.out), (second.status, second.out))
        folder = self.scratch()
        (folder / "-v").symlink_to(fixture(CLEAN))
        ran = run("-q", "--", "-v", cwd=folder)
        self.assertEqual((ran.status, ran.out), (0, first.out), ran)

    def test_a_file_named_like_a_command(self):
        folder = self.scratch()
        (folder / "report").symlink_to(fixture(CLEAN))
        self.assertEqual(run("report", "report", cwd=folder).status, 0)
        self.assertEqual(run("./report", cwd=folder).status, 0)

    def test_the_folder_of_fixtures_is_untouched(self):
        self.assertFalse([path for path in FIXTURES.iterdir() if path.suffix == ".tmp"])


if __name__ == "__main__":
    unittest.main()
