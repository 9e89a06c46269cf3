# SPDX-License-Identifier: GPL-2.0-or-later
"""Other ways to the same answer: every road, the dump without its note, the second kernel of a dump."""

import importlib.util
import json
import struct

from . import checks, dumps
from .checks import Check


def _roads():
    """What --roads may change in a report, as the tests of the program know it."""
    spec = importlib.util.spec_from_file_location("roads", dumps.ORACLE.parent / "cli" / "roads.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ROADS = _roads()


def _report(ask, *words):
    _, out, _ = ask("report", *words, "--format", "json")
    return json.loads(out)


def attribution(said, report):
    """Every value that sysfs told before the crash: whether the report has another one."""
    found = [*checks.units(said, report), *checks.groups(said, report), *checks.devices(said, report),
             *checks.reservation(said, report)]
    return [check.name for check in found if not check.good]


def roads(ask, path, said, whole):
    """Each way to symbols, types and units gives what the running kernel said, and the same report."""
    for way in ROADS.ROADS:
        report = _report(ask, path, "--roads", way)
        if "error" in report:
            yield Check(f"roads.{way}", False, report["error"]["message"][:120])
            continue
        applies, wrong = ROADS.same_report(way, whole, report)
        if not applies:
            because = "; ".join(report["incomplete_because"])[:100]
            yield Check(f"roads.{way}", not report["complete"], f"does not apply: {because}")
            continue
        other = attribution(said, report)
        detail = f"{len(report['devices'])} devices as sysfs said, the same report"
        if wrong or other:
            detail = f"another report: {wrong or '-'}; not as sysfs said: {', '.join(other) or '-'}"
        yield Check(f"roads.{way}", not wrong and not other, detail)


def without_note(ask, path, folder):
    """The kernel is found by the text in its memory."""
    whole = _report(ask, path)
    copy = folder / "no-note"
    ROADS.without_note(path, copy)
    report = _report(ask, copy)
    copy.unlink()
    wrong = ROADS.note_missed(whole, report)
    yield Check("no-note", not wrong, wrong or "the text in memory gives the same report")


def acpi_table(ask, path, said, folder, whole):
    """Firmware's own DMAR table adds nothing to what the kernel kept of it, and a unit more is a gap."""
    table = bytes.fromhex("".join(said.get("dmar", [])))
    file = folder / "dmar.dat"

    def with_table(content):
        file.write_bytes(content)
        report = _report(ask, path, "--acpi-dmar", file)
        file.unlink()
        return report

    given = with_table(table)
    differ = sorted(key for key in whole.keys() | given.keys() if whole.get(key) != given.get(key))
    declared = len(whole["firmware_scopes"]["scopes"])
    yield Check("acpi-dmar", not differ and declared > 0,
                f"differs in {', '.join(differ)}" if differ else f"{len(table)} bytes, {declared} structures agree")
    more = bytearray(table + struct.pack("<HHBBHQ", 0, 16, 0, 0, 0, 0xfed9f000))
    struct.pack_into("<I", more, 4, len(more))
    more[9] = (more[9] - sum(more)) & 0xff
    other = with_table(more)
    yield Check("acpi-dmar.missing", not other["complete"] and len(other["firmware_scopes"]["scopes"]) == declared + 1,
                f"a unit that the dump lacks: complete {other['complete']}")


def second_kernel(ask, path, whole):
    """A capture kernel that hangs: both kernels are found, and each says that it is what it is."""
    crashed = _report(ask, path, "--which", "crashed")
    same = crashed.get("findings") == whole["findings"] and crashed.get("units") == whole["units"]
    yield Check("which.crashed", same, "the same report as without the option" if same else "another report")
    capture = _report(ask, path, "--which", "capture")
    if "error" in capture:
        yield Check("which.capture", False, capture["error"]["message"][:160])
        return
    line = capture["kernel"]["command_line"]["value"] if capture["kernel"]["command_line"] else ""
    good = "elfcorehdr=" in line and capture["kernel"]["two_kernels"] and not capture["complete"]
    yield Check("which.capture", good, f"{capture['kernel']['whose_tables'][:90]}; command line {line[-60:]!r}")
    _, out, _ = ask("inherit", path, "--format", "json")
    prediction = json.loads(out)
    told = prediction["capture"]["command_line"]
    good = told is not None and told["value"] == line and [
        [one["fate"] for one in unit["tables"]] for unit in prediction["units"]] == [["copied"]]
    yield Check("which.inherit", good, f"{told['place'] if told else 'no command line'}: "
                                       f"{[unit['tables'][0]['fate'] for unit in prediction['units']]}")
