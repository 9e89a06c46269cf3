# SPDX-License-Identifier: GPL-2.0-or-later
"""Truth 2: what the kernel itself printed of its tables just before the crash (INTEL_IOMMU_DEBUGFS)."""

import copy
import re

from .checks import PAGE, Check, Mappings

_ADDRESS = 0x000ffffffffff000
# Enable bits that GSTS shows where GCMD sets them: TE, QIE, IRE, CFI.
_ENABLES = (1 << 31) | (1 << 26) | (1 << 25) | (1 << 23)
# QEMU shows IQA's base and size, not the width of descriptors; that one is the trace's to say.
_HIDDEN = {"iqa": 1 << 11}
LEAST_PAGES = 2000
_LEVEL_SHIFT = {1: 12, 2: 21, 3: 30, 4: 39, 5: 48}
_STAGES = {1: "first", 2: "second", 3: "nested", 4: "passthrough"}
_BDF = re.compile(r"([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$")


def _registers(lines, report):
    """iommu_regset, as the hardware holds it, against the reconstructed registers."""
    units = {unit["name"]: unit for unit in report["units"]}
    unit, said, wrong, count = None, {}, [], 0
    for line in [*lines, "IOMMU: end Register Base Address: 0"]:
        found = re.match(r"IOMMU: (\S+) Register Base Address: ([0-9a-f]+)", line)
        if not found:
            words = line.split()
            if len(words) == 3 and words[2].startswith("0x"):
                said[words[0]] = int(words[2], 16)
            continue
        if said:
            truth = {"cap": said["CAP"], "ecap": said["ECAP"], "rtaddr": said["RTADDR"], "iqa": said["IQA"],
                     "irta": said["IRTA"], "gcmd": said["GSTS"] & _ENABLES}
            for key, value in truth.items():
                claim = int(unit[key]["value"], 16) if unit and unit[key] else None
                count += 1
                hidden = _HIDDEN.get(key, 0)
                if claim is None or (claim ^ value) & ~hidden:
                    wrong.append(f"{key} {value:#x}, reported {claim if claim is None else hex(claim)}")
        said, unit = {}, units.get(found.group(1))
    return Check("debugfs.registers", not wrong and count > 0, "; ".join(wrong[:3]) or f"{count} registers agree")


def _attachment(words):
    """What one line of dmar_translation_struct says: (bdf, pasid, did, stage, table)."""
    bus, slot, function = (int(part, 16) for part in _BDF.match(words[0]).groups())
    high, low = (int(part, 16) for part in words[2].split(":"))
    pasid = int(words[3])
    name = f"0000:{bus:02x}:{slot:02x}.{function}"
    if pasid == -1:
        if (low >> 2) & 3 == 2:
            return name, None, (high >> 8) & 0xffff, "passthrough", None
        return name, None, (high >> 8) & 0xffff, "second", low & _ADDRESS
    upper, middle, lower = (int(part, 16) for part in words[4].split(":"))
    stage = _STAGES.get((lower >> 6) & 7, "unknown")
    table = {"first": upper, "second": lower, "nested": upper}.get(stage)
    return name, pasid, middle & 0xffff, stage, None if table is None else table & _ADDRESS


def _attachments(lines, report):
    """dmar_translation_struct: every context or PASID entry that the kernel printed, and no other."""
    truth = {}
    for line in lines:
        words = line.split()
        if words and _BDF.match(words[0]):
            name, pasid, did, stage, table = _attachment(words)
            truth[name, pasid] = (did, stage, table)
    found = {}
    for domain in report["domains"]:
        tables = domain["first_stage"] if domain["stage"] in ("first", "nested") else domain["second_stage"]
        for device in domain["devices"]:
            found[device["bdf"], device["pasid"]] = (domain["did"], domain["stage"],
                                                     int(tables["address"], 16) if tables else None)
    wrong = [f"{key}: {truth.get(key)}, reported {found.get(key)}"
             for key in sorted(truth.keys() | found.keys(), key=str) if truth.get(key) != found.get(key)]
    return Check("debugfs.attachments", not wrong and bool(truth),
                 "; ".join(wrong[:3]) or f"{len(truth)} context and PASID entries agree: domain, stage, table")


def _pages(lines):
    """domain_translation_struct: device -> {IOVA page: (place, permissions)}."""
    found, current = {}, None
    for line in lines:
        head = re.match(r"Device (\S+) @0x([0-9a-f]+)", line)
        if head:
            current = found.setdefault(head.group(1), {})
            continue
        if current is None or "|" not in line:
            continue
        words = line.replace("|", " ").split()
        iova = int(words[0], 16) * PAGE
        # The entries from level 5 down to level 1; zero above the table's top and below a large page.
        path = {5 - index: int(word, 16) for index, word in enumerate(words[1:6])}
        used = [level for level in path if path[level]]
        leaf = min(used)
        perm = 3
        for level in used:
            perm &= path[level] & 3
        size = 1 << _LEVEL_SHIFT[leaf]
        place = path[leaf] & _ADDRESS & -size
        for offset in range(0, size, PAGE):
            current[iova + offset] = (place + offset, ("R" if perm & 1 else "-") + ("W" if perm & 2 else "-"))
    return found


def _translations(lines, said, mappings):
    """Page by page, for every device the kernel printed and those that share its group."""
    truth = _pages(lines)
    group_of, members = {}, {}
    for line in said.get("groups", []):
        words = line.split()
        group_of[words[2]] = words[0]
        members.setdefault(words[0], []).append(words[2])
    wrong, pages, devices = [], 0, set()
    for printed, own in truth.items():
        for bdf in members.get(group_of.get(printed), [printed]):
            devices.add(bdf)
            found = mappings.pages(bdf)
            pages += len(own)
            wrong += [f"{bdf} {iova:#x}: {own.get(iova)}, reported {found.get(iova)}"
                      for iova in sorted(own.keys() | found.keys()) if own.get(iova) != found.get(iova)]
    unseen = sorted(mappings.devices() - devices)
    if unseen:
        wrong.append(f"devices that the kernel does not print: {unseen}")
    return Check("debugfs.translations", not wrong and pages >= LEAST_PAGES,
                 f"{len(wrong)} differ: " + "; ".join(wrong[:3]) if wrong
                 else f"{pages} pages of {len(devices)} devices equal, at least {LEAST_PAGES}")


def checks(said, report, mappings):
    """Registers, attachments and every page against the kernel's own words."""
    lines = said.get("debugfs domain_translation_struct", [])
    for name, more in said.items():  # one file for each device on newer kernels
        if name.startswith("debugfs ") and ":" in name:
            lines = lines + more
    return [_registers(said.get("debugfs iommu_regset", []), report),
            _attachments(said.get("debugfs dmar_translation_struct", []), report),
            _translations(lines, said, mappings)]


def unnoticed(said, report, rows):
    """Which of three planted defects the checks above do not see."""
    missed = []
    broken = copy.deepcopy(report)
    broken["units"][0]["rtaddr"]["value"] = hex(int(broken["units"][0]["rtaddr"]["value"], 16) ^ PAGE)
    if checks(said, broken, Mappings(list(rows)))[0].good:
        missed.append("debugfs register")
    broken = copy.deepcopy(report)
    broken["domains"][0]["did"] += 1
    if checks(said, broken, Mappings(list(rows)))[1].good:
        missed.append("debugfs attachment")
    fewer = copy.deepcopy(rows)
    fewer[-1]["pa"] = hex(int(fewer[-1]["pa"], 16) + PAGE)
    if checks(said, report, Mappings(fewer))[2].good:
        missed.append("debugfs translation")
    return missed
