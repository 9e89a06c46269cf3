# SPDX-License-Identifier: GPL-2.0-or-later
"""What --roads, and a VMCOREINFO note that is not there, may change in a report: where things come from, and
nothing else."""

import copy
import shutil
import struct

PAGE = 4096
SEGMENT_DERIVED = ", segment of all units"

# Every way to symbols and types alone and together, and the units without the kernel's list.
ROADS = ("vmcoreinfo,btf-symbols", "signature", "btf-search", "signature,btf-search",
         "vmcoreinfo,btf-search", "kernel-list", "log-search")


def without_segment_source(value):
    """A report, or a part of one, without the words that a segment is only that of all units: firmware's own
    structure, which tells it, lies beside RAM, where some containers hold a page and others do not."""
    if isinstance(value, dict):
        if str(value.get("place", "")).endswith(SEGMENT_DERIVED):
            value = {**value, "origin": "kernel object"}
        return {key: without_segment_source(kept) for key, kept in value.items()}
    if isinstance(value, list):
        return [without_segment_source(kept) for kept in value]
    return value.replace(SEGMENT_DERIVED, "") if isinstance(value, str) else value


def facts(report):
    """The report without provenance: values of registers, devices, domains, findings."""
    out = {key: copy.deepcopy(report[key]) for key in
           ("verdict", "crashkernel_loaded", "devices", "domains")}
    out["findings"] = without_segment_source(report["findings"])
    out["crashkernel"] = [(r["name"], r["start"], r["end"]) for r in report["crashkernel"] or []]
    out["units"] = [
        {"name": unit["name"], "segment": unit["segment"], "status": unit["status"],
         **{key: unit[key] and unit[key]["value"]
            for key in ("register_base", "version", "cap", "ecap", "rtaddr")}}
        for unit in report["units"]]
    return out


def differing(one, other):
    """Names of the facts in which two reports differ."""
    theirs = facts(other)
    return [key for key, value in facts(one).items() if theirs[key] != value]


def applies(roads, whole, report):
    """Whether the ways that were forced led anywhere; `whole` is the report by all ways."""
    kernel = report["kernel"]
    if kernel["symbols_from"].startswith("none") or kernel["types_from"].startswith("none"):
        return False
    # What all ways together had to search for, the kernel's list does not lead to: the structures of
    # the units are not in the dump.
    if "kernel-list" in roads and any(unit["rtaddr"] and unit["rtaddr"]["origin"] == "search"
                                      for unit in whole["units"]):
        return False
    return "log-search" not in roads or all(unit["rtaddr"] for unit in report["units"])


def same_report(roads, whole, report):
    """(whether the ways apply to this dump, what differs from the report by all ways)."""
    if not applies(roads, whole, report):
        return False, ""
    wrong = differing(whole, report)
    # Units of the log are never certain, what the kernel's own list gives is.
    if "log-search" not in roads and whole["complete"] != report["complete"]:
        wrong.append("complete")
    return True, ", ".join(wrong)


def without_note(dump, path):
    """Copies a dump, its VMCOREINFO note under another name; what the memory holds stays as it is."""
    shutil.copyfile(dump, path)
    with open(path, "r+b") as out:
        head = out.read(16 << 20)
        if head.startswith(b"KDUMP   "):
            out.seek(PAGE + 32)  # offset and size of VMCOREINFO in the sub header
            out.write(bytes(16))
            at, size = struct.unpack_from("<QQ", head, PAGE + 48)
        else:
            at, size = note_segment(head)
        notes = head[at:at + size]
        out.seek(at)
        out.write(notes.replace(b"VMCOREINFO\0", b"NMCOREINFO\0"))


def note_segment(head):
    """(offset, size) of the PT_NOTE of an ELF file."""
    table, = struct.unpack_from("<Q", head, 32)
    step, count = struct.unpack_from("<HH", head, 54)
    for i in range(count):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", head, table + i * step)
        if kind == 4:
            return offset, size
    return 0, 0


def note_missed(report, found):
    """What the report `found` of a dump without its note lacks or has otherwise; empty when all is well."""
    if "error" in found:
        return f"no kernel found: {found['error']['message']}"
    if "VMCOREINFO in memory" not in found["kernel"]["whose_tables"]:
        return f"found otherwise: {found['kernel']['whose_tables']}"
    return ", ".join(differing(report, found))
