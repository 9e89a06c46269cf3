# SPDX-License-Identifier: GPL-2.0-or-later
"""What --roads may change in a report: where things come from, and nothing else."""

import copy

# Every way to symbols and types alone and together, and the units without the kernel's list.
ROADS = ("vmcoreinfo,btf-symbols", "signature", "btf-search", "signature,btf-search",
         "vmcoreinfo,btf-search", "kernel-list", "log-search")


def facts(report):
    """The report without provenance: values of registers, devices, domains, findings."""
    out = {key: copy.deepcopy(report[key]) for key in
           ("verdict", "crashkernel_loaded", "devices", "domains", "findings")}
    out["crashkernel"] = [(r["name"], r["start"], r["end"]) for r in report["crashkernel"] or []]
    out["units"] = [
        {"name": unit["name"], "segment": unit["segment"], "status": unit["status"],
         **{key: unit[key] and unit[key]["value"]
            for key in ("register_base", "version", "cap", "ecap", "rtaddr")}}
        for unit in report["units"]]
    return out


def applies(roads, report):
    """Whether the ways that were forced led anywhere."""
    kernel = report["kernel"]
    if kernel["symbols_from"].startswith("none") or kernel["types_from"].startswith("none"):
        return False
    return "log-search" not in roads or all(unit["rtaddr"] for unit in report["units"])


def same_report(roads, whole, report):
    """(whether the ways apply to this dump, what differs from the report by all ways)."""
    if not applies(roads, report):
        return False, ""
    wrong = [key for key, value in facts(whole).items() if facts(report)[key] != value]
    # Units of the log are never certain, what the kernel's own list gives is.
    if "log-search" not in roads and whole["complete"] != report["complete"]:
        wrong.append("complete")
    return True, ", ".join(wrong)
