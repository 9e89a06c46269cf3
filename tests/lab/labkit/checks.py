# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds what dmaudit says against what is known otherwise. One Check per line of output."""

import base64
import bisect
import re
import zlib
from dataclasses import dataclass

from .machine import HELD, RMRR_BASE, RMRR_SIZE, RMRR_SLOT
from .trace import PAGE

# Live at the crash, (requester, IOVA): the held controller's 2306 pages and more.
LEAST_PAIRS = 2000
# Mapped as the hardware saw them, flushed or not: most of the kernel's own mappings are in domains that lazy
# mode flushes as a whole all the time. The frame buffer alone has 2025 pages.
LEAST_MAPPED = 4000
# Linux clears an entry before it tells the hardware. With requests in flight, what was unmapped in the
# last moments is live in the hardware and rightly absent from the tables: whole queues of it in lazy
# mode (a packet now and then on a quiet host), in strict mode what two CPUs were unmapping (2 MiB requests).
STRICT_ABSENT = 2 * 512
QUIET_ABSENT = 64
LAZY_SHARE = 0.5


@dataclass(frozen=True)
class Check:
    name: str
    good: bool
    detail: str

    def __str__(self):
        return f"{'ok  ' if self.good else 'FAIL'}  {self.name:<24}  {self.detail}"


class Mappings:
    """dmaudit's rows, to be looked up by requester and IOVA."""

    def __init__(self, rows):
        self.rows = rows
        self._by_device = {}
        for row in rows:
            self._by_device.setdefault(row["bdf"], []).append(row)
        self._starts = {}
        for bdf, own in self._by_device.items():
            own.sort(key=lambda row: int(row["iova"], 16))
            self._starts[bdf] = [int(row["iova"], 16) for row in own]

    def devices(self):
        return set(self._by_device)

    def of(self, bdf):
        return self._by_device.get(bdf, [])

    def pages(self, bdf):
        """IOVA page -> (place, permissions) of a device's requests without PASID."""
        found = {}
        for row in self.of(bdf):
            if row["pasid"] in (None, 0) and "pa" in row:
                iova, place = int(row["iova"], 16), int(row["pa"], 16)
                for offset in range(0, int(row["len"], 16), PAGE):
                    found[iova + offset] = (place + offset, row["perm"])
        return found

    def at(self, bdf, iova):
        """The row of a device that holds an IOVA, for requests without PASID."""
        starts = self._starts.get(bdf, [])
        index = bisect.bisect_right(starts, iova) - 1
        while index >= 0 and index >= bisect.bisect_right(starts, iova) - 8:
            row = self._by_device[bdf][index]
            if row["pasid"] in (None, 0) and iova - int(row["iova"], 16) < int(row["len"], 16):
                return row
            index -= 1
        return None


def bdf_of(requester):
    return f"0000:{requester >> 8:02x}:{(requester >> 3) & 31:02x}.{requester & 7}"


def translations(name, trace, mappings, mode, busy):
    """Every translation live at the crash is among the rows, with place, permissions and domain."""
    held = sum(bdf_of(requester) == HELD for requester, _ in trace.last)
    if not mode.translates or mode.passthrough:
        others = len(trace.last) - held
        found = [Check(f"{name}.others", not others, f"no translation expected for devices of the kernel's, {others} seen")]
        if not mode.translates:
            return found + [Check(f"{name}.empty", not trace.last and not mappings.rows,
                                  f"no translation expected in this mode, {len(trace.last)} seen")]
    else:
        still = sum(_disagreement(requester, iova, truth, mappings) is None
                    for (requester, iova), truth in trace.last.items())
        found = [Check(f"{name}.still-mapped", still >= LEAST_MAPPED,
                       f"{still} pairs are mapped as last seen, at least {LEAST_MAPPED}")]
    wrong, absent, kept = [], [], 0
    for (requester, iova), truth in trace.live.items():
        problem = _disagreement(requester, iova, truth, mappings)
        kept += bdf_of(requester) == HELD
        if problem is None:
            continue
        gone = mappings.at(bdf_of(requester), iova) is None and bdf_of(requester) != HELD
        (absent if gone else wrong).append(problem)
    live = len(trace.live)
    if mode.strict:
        allowed = STRICT_ABSENT if busy else 0
    else:
        allowed = int(LAZY_SHARE * (live - kept)) if busy else QUIET_ABSENT
    detail = (f"{live} live, {live - len(wrong) - len(absent)} agree, {len(absent)} absent"
              f"{' (unmapped, not yet flushed)' if absent else ''}, {len(wrong)} wrong")
    if wrong or len(absent) > allowed:
        detail += ": " + "; ".join((wrong + absent)[:3])
    if mode.holds:
        pairs = Check(f"{name}.pairs", live >= LEAST_PAIRS,
                      f"{live} live (requester, IOVA) pairs, at least {LEAST_PAIRS}; {len(trace.last)} seen, "
                      f"{trace.invalidations} invalidations")
    else:
        pairs = Check(f"{name}.empty", not trace.last,
                      f"the emulated unit translates for no device in this mode, {len(trace.last)} seen")
    return [pairs, Check(name, not wrong and len(absent) <= allowed, detail), *found]


def _disagreement(requester, iova, truth, mappings):
    """How a translation differs from the rows; None when it does not."""
    bdf = bdf_of(requester)
    row = mappings.at(bdf, iova)
    if row is None:
        return f"{bdf} {iova:#x} is missing"
    if row["stage"] == "passthrough":
        return f"{bdf} {iova:#x} is translated, said to be pass-through"
    place = int(row["pa"], 16) + iova - int(row["iova"], 16)
    if row["stage"] == "second":
        perm = ("R" if truth.entry & 1 else "-") + ("W" if truth.entry & 2 else "-")
    else:
        perm = "RW" if truth.entry & 2 else "R-"
    if place not in truth.places(iova):
        return f"{bdf} {iova:#x} -> {place:#x}, entry {truth.entry:#x}"
    if row["perm"] != perm:
        return f"{bdf} {iova:#x} is {row['perm']}, entry {truth.entry:#x}"
    if row["did"] != truth.domain:
        return f"{bdf} {iova:#x} has domain {row['did']}, hardware {truth.domain}"
    return None


def registers(trace, report, present):
    """Root, command enables, queue and remap table as the hardware was told."""
    units = [unit for unit in report["units"] if unit["status"] != "absent"]
    if not present:
        return [Check("registers", not units, f"no unit in the machine, {len(units)} reported")]
    if len(units) != 1:
        return [Check("registers", False, f"{len(units)} units, expected 1")]
    unit, wrong, known = units[0], [], 0
    for key in ("rtaddr", "gcmd", "iqa", "irta"):
        truth = getattr(trace, key)
        claim = unit.get(key)
        if claim is None or claim.get("value") is None:
            if truth:
                wrong.append(f"{key}: none, hardware {truth:#x}")
            continue
        known += 1
        if int(claim["value"], 16) != truth:
            wrong.append(f"{key} {claim['value']}, hardware {truth:#x}")
    return [Check("registers", not wrong, "; ".join(wrong) or
                  f"{known} agree: RTADDR {trace.rtaddr:#x} GCMD {trace.gcmd:#x} "
                  f"IQA {trace.iqa:#x} IRTA {trace.irta:#x}")]


def sections(info):
    """The guest's report, by section."""
    found, current = {}, None
    for line in info.replace("\r", "").splitlines():
        if line.startswith("LAB-SECTION "):
            current = line.removeprefix("LAB-SECTION ")
            found[current] = []
        elif line.startswith("LAB "):
            current = None
        elif current is not None and line.strip():
            found[current].append(line)
    for name, lines in found.items():
        if name.startswith(("debugfs ", "live ")):  # packed
            found[name] = zlib.decompress(base64.b64decode("".join(lines)), 31).decode().splitlines()
    return found


def reservation(said, report):
    """The reported crash kernel memory is what /proc/iomem and the log said."""
    truth = sorted(tuple(int(word, 16) for word in line.split(":")[0].strip().split("-"))
                   for line in said.get("iomem", []) if line.endswith(": Crash kernel"))
    claims = {"crashk_res": [], "cma": []}
    for item in report["crashkernel"]:
        kind = "cma" if "cma" in item["name"] else "crashk_res"
        claims[kind].append((int(item["start"], 16), int(item["end"], 16)))
    checks = [Check("reservation", bool(truth) and sorted(claims["crashk_res"]) == truth,
                    f"iomem {_spans(truth)}, reported {_spans(claims['crashk_res'])}")]
    cma = []
    log = "\n".join(said.get("dmesg", []))
    for size, base in re.findall(r"cma: Reserved (\d+) MiB at 0x([0-9a-f]+)", log):
        if "crashkernel CMA reserved" in log:
            cma.append((int(base, 16), int(base, 16) + (int(size) << 20) - 1))
    if cma or claims["cma"]:
        checks.append(Check("reservation.cma", sorted(cma) == sorted(claims["cma"]),
                            f"log {_spans(cma)}, reported {_spans(claims['cma'])}"))
    loaded = any(line.startswith("loaded 1") for line in said.get("kexec", []))
    checks.append(Check("crash kernel loaded", report["crashkernel_loaded"] is loaded,
                        f"sysfs {loaded}, reported {report['crashkernel_loaded']}"))
    return checks


def ram_ranges(said):
    """System RAM of /proc/iomem as (start, end), end exclusive."""
    return [(start, end + 1) for start, end in
            (tuple(int(word, 16) for word in line.split(":")[0].strip().split("-"))
             for line in said.get("iomem", []) if line.endswith(": System RAM"))]


def five_levels(said):
    """The guest's own page tables really have five levels."""
    return [Check("guest.la57", "la57" in "".join(said.get("cpu", [])), "the first kernel's CPU flags name la57")]


def _spans(ranges):
    return " ".join(f"{start:x}-{end:x}" for start, end in ranges) or "none"


def stages(mode, mappings):
    """The kernel took the kind of tables that this mode is about."""
    kernels = {row["stage"] for row in mappings.rows if row["bdf"] != HELD and row["stage"] != "passthrough"}
    wanted = set() if mode.passthrough else {"first" if mode.first_stage else "second"}
    return [Check("stages", kernels == wanted, f"the kernel's own domains: {', '.join(sorted(kernels)) or 'none'}")]


def units(said, report):
    """Capabilities and register base as sysfs printed them."""
    wrong, count = [], 0
    by_name = {unit["name"]: unit for unit in report["units"]}
    for line in said.get("iommus", []):
        words = line.split()
        truth = dict(zip(words[1::2], words[2::2]))
        unit = by_name.get(words[0])
        if unit is None:
            wrong.append(f"{words[0]} is missing")
            continue
        for key, name in (("address", "register_base"), ("cap", "cap"), ("ecap", "ecap")):
            count += 1
            if unit[name] is None or int(unit[name]["value"], 16) != int(truth[key], 16):
                wrong.append(f"{words[0]} {key} {truth[key]}, reported {unit[name] and unit[name]['value']}")
    return [Check("sysfs.units", not wrong and count > 0, "; ".join(wrong) or f"{count} values agree")]


def groups(said, report):
    """Every device in a group is seen, in a domain of the group's type."""
    wrong, count = [], 0
    devices = {device["bdf"]: device for device in report["devices"]}
    identity = {(domain["unit"], device["bdf"]) for domain in report["domains"]
                for device in domain["devices"] if domain["identity"] == "whole"}
    for line in said.get("groups", []):
        words = line.split()
        kind, bdf = words[1], words[2]
        count += 1
        device = devices.get(bdf)
        if words[3:] == ["vfio-pci"]:
            kind = "held by user space"  # sysfs names the group's default domain, not the one in use
        if device is None:
            wrong.append(f"{bdf} ({kind}) is missing")
            continue
        open_to_all = device["stage"] == "passthrough" or (device["unit"], bdf) in identity
        if open_to_all != (kind == "identity"):
            wrong.append(f"{bdf} is {kind}, reported {device['stage']}")
    return [Check("sysfs.groups", not wrong and count > 0, "; ".join(wrong[:3]) or f"{count} devices agree")]


def devices(said, report):
    """Ids, class, driver, group and the group's type of every PCI device, as sysfs printed them."""
    facts = {item["name"]: item for item in report["other_devices"]}
    for device in report["devices"]:
        if device["facts"] is not None:
            facts[device["facts"]["name"]] = device["facts"]
    types = {line.split()[2]: line.split()[1] for line in said.get("groups", [])}
    wrong, count = [], 0
    for line in said.get("devices", []):
        name, driver, group, vendor, device, class_code = line.split(" ")[:6]
        found = facts.pop(name, None)
        if found is None:
            wrong.append(f"{name} is missing")
            continue
        truth = {"vendor_id": int(vendor, 16), "device_id": int(device, 16), "class": int(class_code, 16),
                 "driver": driver, "iommu_group": int(group) if group else None,
                 "default_domain_type": types.get(name)}
        for key, value in truth.items():
            count += 1
            said_value = found[key]
            if key in ("vendor_id", "device_id", "class") and said_value is not None:
                said_value = int(said_value, 16)
            if said_value != value:
                wrong.append(f"{name} {key} is {value!r}, reported {said_value!r}")
    wrong += [f"{name} is reported, sysfs does not have it" for name, item in facts.items() if item["bus"] == "pci"]
    complete = report["device_inventory_complete"]
    return [Check("sysfs.devices", not wrong and count > 0 and complete,
                  "; ".join(wrong[:3]) or f"{count} values agree{'' if complete else ', but the list has gaps'}")]


def untranslated(said, mode, report):
    """Where nothing translates every device of sysfs is named, with the reason; elsewhere none is."""
    why = "translation-off" if mode.unit_present else "no-iommu"
    told = {item["name"]: item["untranslated"] for item in report["other_devices"] if item["untranslated"]}
    named = {device["bdf"] for finding in report["findings"] if finding["id"] == f"reach.{why}"
             for device in finding["subject"]["devices"]}
    wanted = {} if mode.translates else {line.split(" ")[0]: why for line in said.get("devices", [])}
    good = told == wanted and named == set(wanted) and (mode.translates or bool(wanted))
    return [Check("untranslated", good, f"{len(told)} devices told of, {len(named)} named by the finding, "
                                        f"{len(wanted)} in sysfs that nothing translates")]


def views(report):
    """The driver's records and the tables are one: a kernel that runs has no difference to find."""
    counts = report["coverage"]["kernel_view"]
    found = [finding["id"] for finding in report["findings"] if finding["id"].startswith("view.")]
    translated = [device for device in report["devices"] if device["stage"] != "passthrough"]
    good = not found and not counts["differ"] and not counts["unknown"] and (counts["agree"] > 0 or not translated)
    return [Check("views", good, f"{counts['attached']} devices attached by the kernel: {counts['agree']} agree, "
                                 f"{counts['differ']} differ, {counts['unknown']} not known")]


def reserved(said, mappings):
    """Direct regions of a translating group are mapped 1:1."""
    members, kinds = {}, {}
    for line in said.get("groups", []):
        words = line.split()
        members.setdefault(words[0], []).append(words[2])
        kinds[words[0]] = words[1]
    wrong, count = [], 0
    for line in said.get("reserved", []):
        group, start, end, kind = line.split()
        if not kind.startswith("direct") or not kinds.get(group, "").startswith("DMA"):
            continue
        start, end = int(start, 16), int(end, 16)
        for bdf in members.get(group, []):
            at = start
            while at <= end:
                row = mappings.at(bdf, at)
                if row is None or int(row["iova"], 16) != int(row.get("pa", "-1"), 16):
                    wrong.append(f"{bdf} {at:#x}")
                    break
                at = int(row["iova"], 16) + int(row["len"], 16)
            count += 1
    some = count > 0 or not any(kind.startswith("DMA") for kind in kinds.values())
    return [Check("sysfs.reserved", not wrong and some,
                  "; ".join(wrong[:3]) or f"{count} direct regions are mapped 1:1")]


def same_rows(name, rows, truth):
    """Row for row the same, in order, and not empty."""
    if rows == truth and rows:
        return [Check(name, True, f"{len(rows)} rows equal")]
    for index, (left, right) in enumerate(zip(rows, truth)):
        if left != right:
            return [Check(name, False, f"row {index}: {left} is not {right}")]
    return [Check(name, False, f"{len(rows)} rows, expected {len(truth)}")]


def held(name, bdf, said, mappings):
    """The mappings made by a program of the guest's are there, page for page, and nothing else.

    A kernel may grant more than was asked (up to 6.x the second stage always gets read), never less; which
    of the two it was is the trace's to say.
    """
    lines = said.get(name, [])
    truth = {}
    for line in lines:
        words = line.split()
        if words[0] == "MAP":
            iova, size, place = (int(word, 16) for word in words[1:4])
            for offset in range(0, size, PAGE):
                truth[iova + offset] = (place + offset, words[4])
    found = mappings.pages(bdf)
    wrong = [f"{iova:#x}: {found.get(iova)}, mapped {truth.get(iova)}"
             for iova in sorted(truth.keys() | found.keys())
             if truth.get(iova) != found.get(iova)
             and (truth.get(iova, (0, ""))[0], "RW") != found.get(iova)]
    good = bool(truth) and not wrong and "HOLDING" in lines
    detail = "; ".join(wrong[:2]) or f"{len(truth)} pages of {bdf} agree"
    if "HOLDING" not in lines:
        detail = f"the guest's program said {lines[-1:]}; {detail}"
    return [Check(name, good, detail)]


def _writable_within(reservations, mappings):
    """(device, start, end) of every writable row's part inside a reservation."""
    found = set()
    for row in mappings.rows:
        if "W" not in row["perm"] or "pa" not in row:
            continue
        start = int(row["pa"], 16)
        end = start + int(row["len"], 16) - 1
        found |= {(row["bdf"], max(start, low), min(end, high))
                  for low, high in reservations if start <= high and low <= end}
    return found


def verdict(cell, mode, report, status, status_warning, mappings):
    """The case's outcome as the specification of the lab has it."""
    severities = [finding["severity"] for finding in report["findings"]]
    text = f"exit {status}, with --fail-on warning {status_warning}, {report['verdict']}, " \
           f"complete {report['complete']}, {severities}"
    if cell.case == "rmrr":
        wanted = [overlap for finding in report["findings"] if finding["severity"] == "critical"
                  for overlap in finding["subject"].get("overlaps", [])
                  if int(overlap["start"], 16) == RMRR_BASE and int(overlap["end"], 16) == RMRR_BASE + RMRR_SIZE - 1
                  and any(device["bdf"] == f"0000:00:{RMRR_SLOT:02x}.0" for device in finding["subject"]["devices"])]
        translating = not mode.name.endswith(("-pt", "-identity"))
        good = status == 1 and len(wanted) == 1 if translating else status == 0
    elif cell.case == "cma":
        named = {(device["bdf"], int(overlap["start"], 16), int(overlap["end"], 16))
                 for finding in report["findings"] if "cma" in str(finding["subject"].get("reservation"))
                 for overlap in finding["subject"].get("overlaps", []) for device in finding["subject"]["devices"]}
        within = _writable_within([(int(item["start"], 16), int(item["end"], 16))
                                   for item in report["crashkernel"] if "cma" in item["name"]], mappings)
        text += f"; {len(named)} (device, range) named of {len(within)} mapped in the CMA reservation"
        good = (status == 0 and status_warning == 1 and bool(named) and named == within
                and "critical" not in severities)
    elif mode.name.endswith(("-pt", "-identity")) or mode.name in ("off", "none"):
        good = status == 0 and status_warning == 1 and severities == ["warning"]
    else:
        good = status == 0 and report["verdict"] == "clean" and report["complete"] is True
    return [Check("verdict", good, text)]
