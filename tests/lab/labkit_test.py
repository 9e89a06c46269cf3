#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lab holds dmaudit against, on words written here: the trace's replay, the kernel's debugfs, answers of the
guest."""

import base64
import contextlib
import copy
import gzip
import io
import json
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
# pylint: disable=wrong-import-position
from labkit import checks, debugfs, inherit, live, machine, matrix, pool, trace  # noqa: E402
from labkit.cache import LabError  # noqa: E402

HELD = 0x50  # 00:0a.0


def update(requester, iova, entry, domain):
    return f"vtd_iotlb_page_update IOTLB page update sid {requester:#x} iova {iova:#x} slpte {entry:#x} domain {domain:#x}"


def descriptor(low, high=0):
    return f"vtd_inv_desc invalidate desc type iotlb high {high:#x} low {low:#x}"


def replay(*lines, after=()):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.log"
        before = "".join(line + "\n" for line in lines)
        path.write_text(before + "".join(line + "\n" for line in after))
        return trace.read(path, len(before))


def row(bdf, iova, length, place, perm="RW", did=3, stage="second"):
    return {"unit": "dmar0", "bdf": bdf, "pasid": None, "did": did, "stage": stage, "iova": hex(iova),
            "len": hex(length), "pa": hex(place), "perm": perm}


class Live(unittest.TestCase):
    ROWS = [row("0000:00:0a.0", 0x1000, 0x1000, 0x5000), row("0000:00:02.0", 0x1000, 0x1000, 0x7000)]
    REPORT = {"input": {"path": "dump"}, "diagnostics": [], "coverage": {"pages_read": 7, "entries": 3}, "complete": True,
              "incomplete_because": [], "kernel": {"release": "6.1", "build_id": "ab"}, "units": [{"rtaddr": 1, "cap": 2}],
              "crashkernel": [{"start": "0x1", "end": "0x2"}], "devices": [{"bdf": "0000:00:0a.0"}]}
    RUNNING = {**REPORT, "complete": False, "incomplete_because": ["/proc/kcore: the memory of the running kernel: ..."]}

    @staticmethod
    def guest(name, status, report, rows):
        def packed(text):
            return base64.b64encode(gzip.compress(text.encode())).decode()

        return "\n".join([f"LAB-SECTION live {name} report", packed(json.dumps(report)),
                          f"LAB-SECTION live {name} mappings", packed("\n".join(map(json.dumps, rows))),
                          f"LAB live-{name} {status} a word", ""])

    def vmcore(self, status=0, report=None, rows=None):
        info = self.guest("vmcore", status, report or self.REPORT, self.ROWS if rows is None else rows)
        return live.vmcore(checks.sections(info), info, 0, self.REPORT, self.ROWS).good

    def kcore(self, status=3, report=None, rows=None):
        info = self.guest("kcore", status, report or self.RUNNING, self.ROWS if rows is None else rows)
        return live.kcore(checks.sections(info), info, self.REPORT, self.ROWS).good

    def test_the_same_is_good_and_what_tells_of_the_file_may_differ(self):
        self.assertTrue(self.vmcore())
        self.assertTrue(self.vmcore(report={**self.REPORT, "input": {"path": "/proc/vmcore"},
                                            "coverage": {"pages_read": 8, "entries": 3}}))
        self.assertTrue(self.kcore())
        self.assertTrue(self.kcore(rows=self.ROWS[:1]))  # the kernel's own mappings come and go

    def test_a_change_is_noticed(self):
        self.assertFalse(self.vmcore(status=3))
        self.assertFalse(self.vmcore(rows=self.ROWS[:1]))
        for key in ("complete", "kernel", "units", "crashkernel", "devices", "coverage"):
            self.assertFalse(self.vmcore(report={**self.REPORT, key: None if key != "coverage" else {"entries": 4}}), key)
        self.assertFalse(self.kcore(status=0))
        self.assertFalse(self.kcore(report=self.REPORT))  # it must not be called complete
        self.assertFalse(self.kcore(report={**self.RUNNING,
                                            "incomplete_because": self.RUNNING["incomplete_because"] + ["a page is lost"]}))
        self.assertFalse(self.kcore(rows=self.ROWS[1:]))
        for key, name in (("units", "rtaddr"), ("units", "cap"), ("crashkernel", "end"), ("devices", "bdf")):
            changed = copy.deepcopy(self.RUNNING)
            changed[key][0][name] = "other"
            self.assertFalse(self.kcore(report=changed), name)

    def test_containers_tell_the_same_machine(self):
        def same(**changed):
            return live.same_report("report.x", self.REPORT, {**self.REPORT, **changed}).good

        self.assertTrue(same(input={"path": "other"}, coverage={"pages_read": 8, "entries": 3}))
        self.assertFalse(same(coverage={"pages_read": 7, "entries": 4}))
        self.assertFalse(same(units=[]))
        scope = {"segment": 0, "origin": "derived", "place": "rmrr @ 1, segment of all units"}
        told = {**self.REPORT, "scopes": [scope], "findings": [{"message": "x (rmrr @ 1, segment of all units)"}]}
        other = {**self.REPORT, "scopes": [{"segment": 0, "origin": "kernel object", "place": "rmrr @ 1"}],
                 "findings": [{"message": "x (rmrr @ 1)"}]}
        self.assertTrue(live.same_report("report.x", told, other).good)
        other["scopes"][0]["segment"] = 1
        self.assertFalse(live.same_report("report.x", told, other).good)
        self.assertFalse(live.same_report("report.x", self.REPORT, {"error": {"message": "no kernel"}}).good)

    def test_where_objects_of_the_kernel_are_excluded_the_tables_are_the_same(self):
        device = {"bdf": "0000:00:0a.0", "pasid": None, "did": 3, "stage": "second", "device_tlb": False, "facts": {"name": "x"}}
        whole = {**self.REPORT, "verdict": "clean", "domains": [], "findings": [], "devices": [device],
                 "crashkernel": [{"name": "crashk_res", "start": "0x1", "end": "0x2"}],
                 "crashkernel_loaded": True,
                 "units": [{"name": "dmar0", "segment": 0, "status": "walked", "register_base": None, "version": None,
                            "cap": None, "ecap": None, "rtaddr": {"value": "0x1", "place": "p"}, "iqa": {"value": "0x2"}}]}
        excluded = [{"id": "kernel.unreadable", "effect": "note", "message": "device.bus @ 0x1: physical 0x1 is excluded"}]

        def same(device=None, **changed):
            given = {**copy.deepcopy(whole), "diagnostics": excluded, **changed}
            given["devices"][0].update(device or {})
            return live.same_report("report.x", whole, given).good

        self.assertTrue(same({"facts": None}))
        self.assertFalse(same({"facts": None}, diagnostics=[]))
        firmware = [{"id": "rmrr.crash-kernel", "severity": "warning"}]
        lost = {**excluded[0], "message": "dmar_rmrr_units (scopes that firmware declares): physical 0x1 is excluded"}
        self.assertTrue(same(findings=firmware, diagnostics=[lost]))
        self.assertFalse(same(findings=firmware))
        self.assertFalse(same(findings=firmware, diagnostics=[]))
        for key, value in (("bdf", "0000:00:0b.0"), ("did", 4), ("stage", "first")):
            self.assertFalse(same({key: value}), key)
        for key, value in (("complete", False), ("verdict", "uncertain"), ("domains", [1]), ("crashkernel", None),
                           ("findings", [{"id": "x", "severity": "info"}])):
            self.assertFalse(same(**{key: value}), key)
        # What it leaves open has to be said, and come of what is excluded.
        unlisted = {"id": "audit.devices-unlisted", "effect": "incomplete", "message": "not all devices could be listed"}
        self.assertTrue(same({"facts": None}, complete=False, diagnostics=[*excluded, unlisted]))
        self.assertFalse(same(complete=False, diagnostics=[unlisted]))
        self.assertFalse(same({"did": 4}, complete=False, diagnostics=[*excluded, unlisted]))
        self.assertTrue(live.leaves_open({"diagnostics": [*excluded, unlisted]}))
        self.assertFalse(live.leaves_open({"diagnostics": excluded}))
        self.assertFalse(live.leaves_open({"diagnostics": [unlisted]}))
        self.assertFalse(live.leaves_open({"error": {"message": "no kernel"}}))

    def test_nothing_came_out(self):
        self.assertFalse(live.vmcore({}, "", 0, self.REPORT, self.ROWS).good)
        info = self.guest("kcore", 2, {}, []).replace("LAB live", "LAB dead")
        self.assertFalse(live.kcore(checks.sections(info), info, self.REPORT, self.ROWS).good)


class TraceReplay(unittest.TestCase):
    PAGES = [update(0x20, 0x1000, 0x5003, 3), update(0x20, 0x2fff, 0x6003, 3), update(0x28, 0x1000, 0x7001, 4)]

    def live(self, *more, after=()):
        return {(sid, iova) for sid, iova in replay(*self.PAGES, *more, after=after).live}

    def test_without_an_invalidation_all_is_live(self):
        self.assertEqual(self.live(), {(0x20, 0x1000), (0x20, 0x2000), (0x28, 0x1000)})

    def test_a_page_of_a_domain(self):
        self.assertEqual(self.live(descriptor(0x32 | 3 << 16, 0x1000)), {(0x20, 0x2000), (0x28, 0x1000)})

    def test_an_address_mask_covers_its_aligned_block(self):
        self.assertEqual(self.live(descriptor(0x32 | 3 << 16, 0x2001)), {(0x20, 0x1000), (0x28, 0x1000)})
        self.assertEqual(self.live(descriptor(0x32 | 3 << 16, 0x1002)), {(0x28, 0x1000)})

    def test_a_domain_and_everything(self):
        self.assertEqual(self.live(descriptor(0x22 | 3 << 16)), {(0x28, 0x1000)})
        self.assertEqual(self.live(descriptor(0x12)), set())

    def test_a_page_that_changed_its_domain_goes_with_the_new_one(self):
        again = update(0x20, 0x1000, 0x9003, 4)
        self.assertIn((0x20, 0x1000), self.live(again, descriptor(0x22 | 3 << 16)))
        self.assertNotIn((0x20, 0x1000), self.live(again, descriptor(0x22 | 4 << 16)))

    def test_pasid_invalidations_count(self):
        self.assertEqual(self.live(descriptor(0x26 | 3 << 16)), {(0x28, 0x1000)})

    def test_other_descriptors_do_not(self):
        self.assertEqual(len(self.live(descriptor(0x11), descriptor(0x25), descriptor(0x14))), 3)

    def test_a_large_page_goes_with_any_part_of_it(self):
        found = replay(update(0x20, 0x200000, 0x40000083, 3), descriptor(0x32 | 3 << 16, 0x3ff000))
        self.assertFalse(found.live)
        self.assertEqual(len(found.last), 1)

    def test_what_the_capture_kernel_does_is_left_out(self):
        command = "vtd_reg_write_gcmd value 0x40000000"
        self.assertEqual(len(self.live(after=(command, descriptor(0x12)))), 3)
        self.assertEqual(self.live(after=(descriptor(0x12), command)), set())

    def test_registers_are_those_latched_before_the_crash(self):
        write = "vtd_reg_write addr {:#x} size {:#x} value {:#x}".format
        found = replay(write(0x20, 8, 0x1000), write(0x18, 4, 0x40000000), write(0x20, 8, 0x2000),
                       write(0x18, 4, 0x84000000), after=(write(0x18, 4, 0),))
        self.assertEqual((found.rtaddr, found.gcmd), (0x1000, 0x84000000))


class Translations(unittest.TestCase):
    MODE = machine.MODES["legacy-strict"]

    def setUp(self):
        count = checks.LEAST_MAPPED
        self.truth = replay(*(update(HELD, 0x1000 * index, 0x1000 * (index + 7) | 3, 3) for index in range(count)))
        self.rows = [row("0000:00:0a.0", 0, 0x1000 * count, 0x7000)]

    def bad(self, rows, mode=MODE, busy=False):
        found = checks.translations("trace", self.truth, checks.Mappings(rows), mode, busy)
        return [check.name for check in found if not check.good]

    def test_equal(self):
        self.assertEqual(self.bad(self.rows), [])

    def test_an_empty_walk_fails_in_every_mode(self):
        for mode in machine.MODES.values():
            if mode.translates:
                self.assertIn("trace", self.bad([], mode, True), mode.name)

    def test_few_pairs_fail(self):
        self.truth.live = dict(list(self.truth.live.items())[:checks.LEAST_PAIRS - 1])
        self.assertEqual(self.bad(self.rows), ["trace.pairs"])

    def test_place_permission_and_domain(self):
        for change in ({"pa": "0x8000"}, {"perm": "R-"}, {"did": 4}):
            self.assertIn("trace", self.bad([{**self.rows[0], **change}]), change)

    def test_translations_are_not_expected_where_nothing_translates(self):
        self.assertIn("trace.empty", self.bad([], machine.MODES["off"]))


class Views(unittest.TestCase):
    @staticmethod
    def good(agree=3, differ=0, unknown=0, findings=(), stage="second"):
        report = {"coverage": {"kernel_view": {"attached": agree + differ + unknown, "agree": agree, "differ": differ,
                                               "unknown": unknown}},
                  "findings": [{"id": name} for name in findings], "devices": [{"stage": stage}]}
        return checks.views(report)[0].good

    def test_only_agreement_will_do(self):
        self.assertTrue(self.good())
        self.assertFalse(self.good(differ=1))
        self.assertFalse(self.good(unknown=1))
        self.assertFalse(self.good(findings=["view.root"]))
        self.assertTrue(self.good(findings=["reach.passthrough"]))
        self.assertFalse(self.good(agree=0))
        self.assertTrue(self.good(agree=0, stage="passthrough"))


class Untranslated(unittest.TestCase):
    @staticmethod
    def good(mode, why, found="reach.translation-off", named=("0000:00:04.0",)):
        report = {"other_devices": [{"name": "0000:00:04.0", "untranslated": why}],
                  "findings": [{"id": found, "subject": {"devices": [{"bdf": bdf} for bdf in named]}}]}
        return checks.untranslated({"devices": ["0000:00:04.0 nvme"]}, machine.MODES[mode], report)[0].good

    def test_each_device_has_the_reason_of_the_mode(self):
        self.assertTrue(self.good("off", "translation-off"))
        self.assertTrue(self.good("none", "no-iommu", "reach.no-iommu"))
        self.assertFalse(self.good("off", "no-iommu"))
        self.assertFalse(self.good("off", None))
        self.assertFalse(self.good("off", "translation-off", named=()))
        self.assertTrue(self.good("legacy", None, named=()))
        self.assertFalse(self.good("legacy", "translation-off", named=()))


class Debugfs(unittest.TestCase):
    SAID = {
        "groups": ["1 DMA 0000:00:04.0 nvme", "2 DMA 0000:00:1f.0 -", "2 DMA 0000:00:1f.2 ahci"],
        "debugfs iommu_regset": ["IOMMU: dmar0 Register Base Address: fed90000", "Name\t\tOffset\t\tContents",
                                 "GSTS \t0x1c\t\t0x00000000c7000000", "CAP \t0x08\t\t0x00d2008c22260206",
                                 "ECAP\t0x10\t\t0x0000000000f00f4a", "RTADDR\t0x20\t\t0x0000000002510000",
                                 "IQA\t0x90\t\t0x00000000011c2000", "IRTA\t0xb8\t\t0x000000000120000f"],
        "debugfs dmar_translation_struct": [
            "IOMMU dmar0: Root Table Address: 0x2510000",
            "00:04.0\t0x0000000000000000:0x0000000002511001\t0x0000000000000302:0x0000000002521001\t-1    \t"
            "0x0000000000000000:0x0000000000000000:0x0000000000000000",
            "00:1f.2\t0x0000000000000000:0x0000000002511001\t0x0000000000000000:0x0000000002600001\t0     \t"
            "0x0000000000000000:0x0000000000000005:0x0000000002530089"],
        "debugfs domain_translation_struct": [
            "Device 0000:00:04.0 @0x2521000", "IOVA_PFN\t\tPML5E",
            *(f"0x{0x100 + index:013x} |\t0x0000000000000000\t0x0000000000000000\t0x0000000002522003\t"
              f"0x0000000002523003\t0x{0x5000 + 0x1000 * index | 3:016x}" for index in range(2000)),
            "Device 0000:00:1f.0 @0x2530000",
            "0x0000000000200 |\t0x0000000000000000\t0x0000000000000000\t0x0000000002532001\t"
            "0x0000000040000083\t0x0000000000000000"]}

    def setUp(self):
        names = {"cap": 0xd2008c22260206, "ecap": 0xf00f4a, "rtaddr": 0x2510000, "iqa": 0x11c2000,
                 "irta": 0x120000f, "gcmd": 0x86000000}
        self.report = {
            "units": [{"name": "dmar0", **{key: {"value": hex(value)} for key, value in names.items()}}],
            "domains": [{"did": 3, "stage": "second", "first_stage": None, "second_stage": {"address": "0x2521000"},
                         "devices": [{"bdf": "0000:00:04.0", "pasid": None}]},
                        {"did": 5, "stage": "second", "first_stage": None, "second_stage": {"address": "0x2530000"},
                         "devices": [{"bdf": "0000:00:1f.2", "pasid": 0}]}]}
        self.rows = [row("0000:00:04.0", 0x100000, 0x1000 * 2000, 0x5000),
                     row("0000:00:1f.0", 0x200000, 0x200000, 0x40000000, "R-"),
                     row("0000:00:1f.2", 0x200000, 0x200000, 0x40000000, "R-")]

    def bad(self):
        found = debugfs.checks(self.SAID, self.report, checks.Mappings(self.rows))
        return [check.name for check in found if not check.good]

    def test_equal(self):
        self.assertEqual(self.bad(), [])

    def test_each_defect_is_noticed(self):
        self.assertEqual(debugfs.unnoticed(self.SAID, self.report, self.rows), [])

    def test_the_descriptor_width_alone_may_differ(self):
        self.report["units"][0]["iqa"]["value"] = hex(0x11c2800)
        self.assertEqual(self.bad(), [])
        self.report["units"][0]["iqa"]["value"] = hex(0x11c2001)
        self.assertEqual(self.bad(), ["debugfs.registers"])

    def test_a_row_too_many_or_too_few(self):
        self.rows[0]["len"] = hex(0x1000 * 2001)
        self.assertEqual(self.bad(), ["debugfs.translations"])
        self.rows[0]["len"] = hex(0x1000 * 1999)
        self.assertEqual(self.bad(), ["debugfs.translations"])

    def test_a_device_that_shares_the_group_counts(self):
        del self.rows[2]
        self.assertEqual(self.bad(), ["debugfs.translations"])

    def test_an_attachment_that_the_report_lacks(self):
        del self.report["domains"][1]
        self.assertEqual(self.bad(), ["debugfs.attachments"])

    def test_nothing_said_is_no_agreement(self):
        found = debugfs.checks({"groups": self.SAID["groups"]}, self.report, checks.Mappings([]))
        self.assertFalse(any(check.good for check in found))


class Pool(unittest.TestCase):
    def test_every_piece_has_a_process_of_its_own(self):
        answers = list(pool.each(range(5), 2, lambda piece: (piece, os.getpid())))
        self.assertEqual(sorted(piece for piece, _ in answers), list(range(5)))
        self.assertEqual(len({number for _, number in answers} - {os.getpid()}), 5)

    def test_a_piece_does_not_wait_for_the_one_before(self):
        def work(piece):
            if piece == 0:
                time.sleep(0.5)
            return piece

        self.assertEqual(list(pool.each(range(4), 2, work)), [1, 2, 3, 0])

    def test_an_end_without_an_answer_is_told(self):
        for work in (lambda piece: os._exit(7), lambda piece: 1 / 0):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaisesRegex(LabError, "no answer"):
                list(pool.each([0], 1, work))

    def test_what_goes_on_cleans_up_when_it_is_left(self):
        with tempfile.TemporaryDirectory() as folder:
            def work(piece):
                mark = Path(folder) / str(piece)
                if piece == 1:
                    while not (Path(folder) / "0").exists():
                        time.sleep(0.01)
                    return piece
                mark.touch()
                try:
                    time.sleep(60)
                finally:
                    mark.with_name("cleaned").touch()

            ended = pool.each([0, 1, 2], 2, work)
            self.assertEqual(next(ended), 1)
            self.assertFalse((Path(folder) / "cleaned").exists())
            ended.close()
            self.assertTrue((Path(folder) / "cleaned").exists())
            self.assertFalse((Path(folder) / "2").exists())


class Matrix(unittest.TestCase):
    def test_the_table_shows_failures_and_what_was_not_run(self):
        done, left = matrix.cells()[:2]
        outcome = matrix.Outcome(done, "6.1", [checks.Check("trace", True, ""), checks.Check("ram.lzo", False, "")], 60)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.md"
            matrix.write(path, [outcome], [done, left], 2)
            text = path.read_text()
        self.assertIn("1 cells, 1 checks passed, 1 failed", text)
        self.assertIn("| 1 ok | ram.lzo |", text)
        self.assertIn(f"stopped before these cells:\n\n- {left}\n", text)
        for cell, reason in matrix.impossible():
            self.assertIn(f"- {cell}: {reason}", text)

    def test_cells_differ_and_each_missing_one_has_a_reason(self):
        cells = matrix.cells()
        self.assertEqual(len(cells), len(set(cells)))
        self.assertTrue(all(reason for _, reason in matrix.impossible()))
        self.assertLessEqual(set(matrix.CI), set(cells))

    def test_a_named_qemu_has_the_installed_firmware(self):
        self.assertEqual(machine.launcher_of(Path("/a/qemu"))[:3], ["/a/qemu", "-L", "/usr/share/qemu"])

    def test_every_mode_case_size_and_road_is_run(self):
        cells = matrix.cells() + inherit.CELLS
        self.assertEqual({cell.mode for cell in cells}, set(machine.MODES))
        self.assertEqual({cell.case for cell in cells}, set(machine.CASES))
        self.assertEqual({cell.size for cell in cells}, set(machine.SIZES))
        self.assertEqual({cell.road for cell in cells}, set(machine.ROADS))


class Inherit(unittest.TestCase):
    """Lines as Linux 6.1 and QEMU print them."""

    FIRST = ["[    0.000000] Linux version 6.1.0-50-amd64", "[    0.200000] DMAR-IR: Enabled IRQ remapping in xapic mode"]
    SECOND = ["[    0.000000] Linux version 6.1.0-50-amd64"]
    COPIED = ["[    0.553151] DMAR: Translation already enabled - trying to copy translation structures",
              "[    0.553151] DMAR: Copied translation tables from previous kernel for dmar0"]
    FAILED = [COPIED[0], "[    0.553151] DMAR: Failed to copy translation tables from previous kernel for dmar0"]
    TABLE = ["[    0.212000] DMAR-IR: Copied IR table for dmar0 from previous kernel",
             "[    0.213000] DMAR-IR: Enabled IRQ remapping in xapic mode"]
    NO_TABLE = ["[    0.212000] DMAR-IR: Failed to copy IR table for dmar0 from previous kernel", TABLE[1]]
    POINTER = ["vtd_reg_ir_root addr 0x1200000 size 0x10000"]
    OFF, ON = ["vtd_dmar_enable enable 0"], ["vtd_dmar_enable enable 1"]
    REMAPPING = ["vtd_ir_enable enable 1"]

    def fate(self, lines, events, what="tables", first="xapic"):
        """Every fate that these lines are taken for."""
        _, log = inherit.second_boot("\r\n".join([*self.FIRST, "panic", *self.SECOND, *lines]))
        seen = inherit.observe(log, events)
        self.assertFalse(inherit.unnoticed(seen, first))
        return {fate for fate in {"tables": inherit.TABLES, "interrupts": inherit.INTERRUPTS}[what]
                if inherit.judge(what, [{"fate": fate}], seen, first).good}

    def test_what_becomes_of_tables(self):
        self.assertEqual(self.fate(self.COPIED, []), {"copied", "misread"})
        self.assertEqual(self.fate(self.FAILED, self.OFF + self.ON), {"refused"})
        self.assertEqual(self.fate([], self.OFF), {"switched-off"})
        self.assertEqual(self.fate([], self.ON), {"switched-on"})
        self.assertEqual(self.fate([], []), {"emptied", "stays-off", "untouched"})

    def test_the_log_and_the_hardware_must_agree(self):
        self.assertEqual(self.fate(self.COPIED, self.OFF), set())
        self.assertEqual(self.fate(self.FAILED, self.OFF), set())
        self.assertEqual(self.fate(self.FAILED, []), set())
        self.assertEqual(self.fate([], self.OFF + self.ON), set())

    def test_another_unit_is_not_this_one(self):
        self.assertEqual(self.fate([line.replace("dmar0", "dmar1") for line in self.COPIED], self.OFF), {"switched-off"})

    def test_what_becomes_of_the_interrupt_remapping_table(self):
        both = ("interrupts",)
        self.assertEqual(self.fate(self.TABLE, self.POINTER, *both), {"copied"})
        self.assertEqual(self.fate(self.TABLE, self.POINTER, *both, first="x2apic"), {"other-format"})
        self.assertEqual(self.fate(self.NO_TABLE, self.POINTER, *both), {"replaced"})
        self.assertEqual(self.fate(self.TABLE[1:], self.POINTER + self.REMAPPING, *both), {"switched-on"})
        self.assertEqual(self.fate([], [], *both), {"stays-off", "untouched"})
        self.assertEqual(self.fate(self.TABLE, [], *both), set())
        self.assertEqual(self.fate(self.TABLE[:1], self.POINTER, *both), set())

    def test_the_first_kernel_says_nothing_of_the_second(self):
        first, second = inherit.second_boot("\n".join([*self.FIRST, *self.COPIED, *self.SECOND]))
        self.assertIn("Copied translation tables", first)
        self.assertEqual(inherit.observe(second, []).tables, ("", ()))

    def test_one_kernel_or_both_outcomes_are_errors(self):
        with self.assertRaises(LabError):
            inherit.second_boot("\n".join(self.FIRST))
        with self.assertRaises(LabError):
            inherit.observe("\n".join(self.COPIED + self.FAILED), [])

    def test_several_outcomes_are_a_prediction_only_where_a_dump_cannot_tell(self):
        seen = inherit.observe("\n".join(self.COPIED), [])

        def good(*fates, may_be_open):
            return inherit.judge("tables", [{"fate": fate} for fate in fates], seen, "", may_be_open).good

        self.assertFalse(good("copied", "switched-off", may_be_open=False))
        self.assertTrue(good("copied", "switched-off", may_be_open=True))
        self.assertFalse(good("refused", "switched-off", may_be_open=True))
        for may_be_open in (False, True):
            self.assertFalse(good(may_be_open=may_be_open))
            self.assertFalse(good("refused", may_be_open=may_be_open))

    def test_the_whole_prediction(self):
        seen = inherit.observe("\n".join(self.COPIED + self.TABLE), self.POINTER)
        prediction = {"capture": {"command_line": {"value": "intel_iommu=on elfcorehdr=1K", "place": "image"}},
                      "units": [{"tables": [{"fate": "copied"}], "interrupts": [{"fate": "copied"}]}]}

        def failed(given="intel_iommu=on elfcorehdr=1K", **changes):
            return [check.name for check in inherit.checks({**prediction, **changes}, seen, "xapic", given)
                    if not check.good]

        self.assertEqual(failed(), [])
        self.assertEqual(failed("intel_iommu=on"), ["inherit.command-line"])
        self.assertEqual(failed(capture={"command_line": None}), ["inherit.command-line"])
        self.assertEqual(failed(units=[]), ["inherit.units"])
        self.assertEqual(failed(units=[{"tables": [{"fate": "refused"}], "interrupts": [{"fate": "untouched"}]}]),
                         ["inherit.tables", "inherit.interrupts"])

    def test_cells_are_different_and_can_be_named(self):
        self.assertLessEqual(set(inherit.OPEN), set(inherit.CELLS))
        names = {cell.slug for cell in inherit.CELLS}
        self.assertEqual(len(names), len(inherit.CELLS))
        # The path of a UNIX socket has 107 bytes.
        self.assertLess(max(len(name) for name in names), 60)
        self.assertTrue(all(machine.why_not(cell) is None for cell in inherit.CELLS))


if __name__ == "__main__":
    unittest.main()
