# SPDX-License-Identifier: GPL-2.0-or-later
"""An audit without a crash, and one without a copy: the tool under test on /proc/kcore and on /proc/vmcore in the guest."""

import json
import re
import shutil
import subprocess

from . import cache, initramfs, ways
from .checks import Check
from .machine import HELD

# What tells of the file, not of the machine.
FILES_OWN = ("input", "diagnostics")
# Gaps that come of an object of the kernel's that cannot be read.
OPEN = ("audit.devices-unlisted", "kernel.root-search")


def _pack(tree):
    names = b"".join(str(path.relative_to(tree)).encode() + b"\n" for path in sorted(tree.rglob("*")))
    return subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=tree, input=names,
                          stdout=subprocess.PIPE, check=True, timeout=60).stdout


def archive(folder, tool, nested=True):
    """The tool and its libraries, to be put in front of a kernel's image; `nested` for the first kernel's: in it, as
    /live.cpio, the same for the capture kernel's."""
    tree, program = folder / "live", folder / "dmaudit"
    cache.run(["strip", "-o", program, tool])
    initramfs.lay_out_program(tree, program)
    program.unlink()
    if nested:
        (tree / "live.cpio").write_bytes(_pack(tree))
    packed = _pack(tree)
    shutil.rmtree(tree)
    return packed


def _answers(said, info, name):
    """(exit status, report, rows) of the guest's own run; None where there is none."""
    status = re.search(rf"^LAB live-{name} (\d+)", info, re.MULTILINE)
    report = "\n".join(said.get(f"live {name} report", []))
    rows = said.get(f"live {name} mappings", [])
    try:
        return int(status.group(1)), json.loads(report), [json.loads(row) for row in rows]
    except (AttributeError, ValueError):
        return None


def _machine(report):
    kept = ways.ROADS.without_segment_source(
        {key: value for key, value in report.items() if key not in FILES_OWN})
    kept["coverage"] = {key: value for key, value in kept["coverage"].items() if key != "pages_read"}
    return kept


def _tables(report):
    """What the hardware's tables say: nothing of it comes from the kernel's records of devices."""
    kept = {**ways.ROADS.facts(report), "complete": report["complete"]}
    kept["devices"] = [[item.get(key) for key in ("bdf", "pasid", "did", "stage", "device_tlb")]
                       for item in report["devices"]]
    kept["findings"] = [[item["id"], item["severity"]] for item in report["findings"]]
    return kept


def _excluded_objects(given):
    return [item for item in given.get("diagnostics", [])
            if item["id"].startswith("kernel.") and item["message"].endswith(" is excluded")]


def leaves_open(given):
    """Whether a report says that an excluded object of the kernel's leaves open what there is beside the tables."""
    return bool(_excluded_objects(given)) and any(item["id"] in OPEN for item in given["diagnostics"])


def same_report(name, report, given):
    """A dump of the same machine gives the same report, but for what tells of the file.

    makedumpfile 1.7.2 leaves out some pages of slabs of 6.12 and 7.x: where the report says that the kernel's objects are
    excluded, what the tables say is still the same, and it may be incomplete where it says what for.
    """
    if "error" in given:
        return Check(name, False, given["error"]["message"][:160])
    excluded = _excluded_objects(given)
    same = _tables if excluded else _machine
    ours, theirs = same(report), same(given)
    if leaves_open(given) and not given["complete"]:
        ours["complete"] = False
    if any(item["message"].startswith("dmar_rmrr_units") for item in excluded):
        for kept in (ours, theirs):
            kept["findings"] = [item for item in kept["findings"] if not item[0].startswith("rmrr.")]
    wrong = [key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)]
    good = f"the same tables, {len(excluded)} objects of the kernel are excluded" if excluded else "the same report"
    return Check(name, not wrong, f"other {', '.join(wrong)}" if wrong else good)


def vmcore(said, info, status, report, rows):
    """/proc/vmcore itself gives what its copy gives, which gave `status`, `report` and `rows`."""
    found = _answers(said, info, "vmcore")
    if found is None:
        return Check("live.vmcore", False, "no report came out of the guest")
    ours, theirs = _machine(report), _machine(found[1])
    wrong = [key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)]
    if found[2] != rows:
        wrong.append("mappings")
    if found[0] != status:
        wrong.append(f"exit {found[0]}")
    return Check("live.vmcore", not wrong, f"other {', '.join(wrong)}" if wrong else f"the same report and {len(rows)} rows")


def kcore(said, info, report, rows):
    """The running kernel's memory shows the machine that crashed a moment later: kernel, units, devices, reservation, and
    what user space holds. It is never called complete, for that one reason."""
    found = _answers(said, info, "kcore")
    if found is None:
        return Check("live.kcore", False, "no report came out of the guest")
    status, live, live_rows = found
    wrong = [] if status in (1, 3) else [f"exit {status}"]
    if report["complete"] and [gap for gap in live["incomplete_because"] if "running kernel" not in gap]:
        wrong.append(f"gaps: {'; '.join(live['incomplete_because'])[:200]}")
    if live["complete"] or not any("running kernel" in gap for gap in live["incomplete_because"]):
        wrong.append("it does not say that it is live")
    for key in ("release", "build_id"):
        if live["kernel"].get(key) != report["kernel"].get(key):
            wrong.append(key)
    for key, name in (("units", "rtaddr"), ("units", "cap"), ("crashkernel", "start"), ("crashkernel", "end")):
        if [item.get(name) for item in live[key]] != [item.get(name) for item in report[key]]:
            wrong.append(f"{key} {name}")
    if [item["bdf"] for item in live["devices"]] != [item["bdf"] for item in report["devices"]]:
        wrong.append("devices")
    held = [row for row in rows if row["bdf"] == HELD]
    if [row for row in live_rows if row["bdf"] == HELD] != held:
        wrong.append("what user space holds")
    same = sum(row in rows for row in live_rows)
    return Check("live.kcore", not wrong, f"other {', '.join(wrong)}" if wrong else
                 f"the same machine, {len(held)} rows that user space holds, {same} of {len(live_rows)} rows as in the dump")
