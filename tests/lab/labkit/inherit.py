# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds what `dmaudit inherit` predicts against what the capture kernel then prints and the hardware sees."""

import json
import re
import subprocess
import time
from dataclasses import dataclass

from . import machine, runner
from .cache import LabError
from .checks import Check
from .guest import Guest
from .machine import MODES, Cell

ROAD = "inherit"


def _cell(kernel, mode, capture, more="", unit="", size="768M"):
    return Cell(kernel, mode, "quiet", size, ROAD, capture=capture, more=more, unit=unit)


# Crashed and capture kernel agree or differ in each thing that decides. (Not acpi=off: the capture kernel dies of it
# before it would come to the unit.)
CELLS = [
    _cell("bookworm", "legacy", "intel_iommu=on,sm_off"),
    _cell("bookworm", "legacy", "intel_iommu=on,sm_on"),
    _cell("bookworm", "legacy", "intel_iommu=off"),
    _cell("bookworm", "legacy", "intel_iommu=on,sm_off intremap=off"),
    _cell("bookworm", "legacy", "intel_iommu=on,sm_off intremap=nosid"),
    _cell("bookworm", "legacy", "intel_iommu=on,sm_off", unit=",intremap=off"),
    _cell("bookworm", "legacy-pt", "intel_iommu=on,sm_off iommu=pt"),
    _cell("bookworm", "legacy", "iommu=off"),
    _cell("bookworm", "legacy", "intel_iommu=on,sm_on", unit=",x-scalable-mode=on"),
    _cell("bookworm", "scalable", "intel_iommu=on,sm_on"),
    _cell("bookworm", "scalable", "intel_iommu=on,sm_off"),
    _cell("bookworm", "off", "intel_iommu=on,sm_off"),
    _cell("bookworm", "off", "intel_iommu=off"),
    _cell("bullseye", "legacy", "intel_iommu=on"),
    _cell("bullseye", "scalable", "intel_iommu=on,sm_on"),
    _cell("trixie", "scalable-pt", "intel_iommu=on,sm_on iommu=pt"),
    _cell("trixie", "first-stage", "intel_iommu=on,sm_on", unit=",eim=on", size="x2apic"),
    _cell("sid", "first-stage", "intel_iommu=on,sm_off"),
    _cell("sid", "scalable", "intel_iommu=on,sm_on"),
    _cell("sid", "legacy", "intel_iommu=on,sm_off nox2apic"),
]
# Here the dump cannot tell: what is observed must be one of the outcomes that are listed for these.
OPEN = {
    _cell("bookworm", "legacy", "quiet-boot"): {"tables"},
    _cell("bookworm", "legacy", "intel_iommu=on,sm_off intremap=on", more="intremap=off"): {"interrupts"},
    _cell("trixie", "first-stage", "intel_iommu=on,sm_on nox2apic", unit=",eim=on", size="x2apic"): {"interrupts"},
}
CELLS += OPEN


# What the capture kernel prints of a unit's tables, and what the unit's translation does meanwhile.
TABLES = {
    "copied": ("copied", ()),
    "misread": ("copied", ()),
    "refused": ("failed", ("off", "on")),
    "switched-off": ("", ("off",)),
    "emptied": ("", ()),
    "switched-on": ("", ("on",)),
    "stays-off": ("", ()),
    "untouched": ("", ()),
}
# What it prints of the interrupt-remapping table; whether it says that remapping is on; what the unit does; whether
# the unit gets another table.
INTERRUPTS = {
    "copied": ("copied", True, (), True),
    "other-format": ("copied", True, (), True),
    "replaced": ("failed", True, (), True),
    "switched-on": ("", True, ("on",), True),
    "stays-off": ("", False, (), False),
    "untouched": ("", False, (), False),
}


@dataclass(frozen=True)
class Observed:
    """One unit while the capture kernel came up."""

    tables: tuple
    interrupts: tuple
    mode: str  # of interrupt remapping, "xapic" or "x2apic"; "" when it was not set up

    @property
    def words(self):
        said, moves = self.tables
        tables = f"log: {said or 'nothing'}, unit: {' then '.join(moves) or 'as before'}"
        log, enabled, moves, pointer = self.interrupts
        return tables, (f"log: {log or 'nothing'}, {'enabled' if enabled else 'not enabled'} {self.mode}".rstrip()
                        + f", unit: {' then '.join(moves) or 'as before'}, {'another' if pointer else 'no other'} table")


def second_boot(console):
    """The capture kernel's lines of a console that shows both kernels."""
    parts = re.split(r"^.*Linux version ", console, flags=re.M)
    if len(parts) != 3:
        raise LabError(f"the console shows {len(parts) - 1} kernels starting, not 2")
    return parts[1], parts[2]


def _said(log, copied, failed):
    found = [word for word, line in (("copied", copied), ("failed", failed)) if line in log]
    if len(found) == 2:
        raise LabError(f"the capture kernel says both: {copied!r}, {failed!r}")
    return found[0] if found else ""


def remapping_mode(log):
    """xapic or x2apic as a kernel's log says it, "" where it set nothing up."""
    found = re.search(r"DMAR-IR: Enabled IRQ remapping in (\w+) mode", log)
    return found.group(1) if found else ""


def moves(events):
    """(translation, remapping, whether the remapping table changed) of the trace's lines after the crash."""
    translation, remapping, pointer = [], [], False
    for line in events:
        if found := re.match(r"vtd_dmar_enable enable (\d)", line):
            translation.append("on" if found.group(1) == "1" else "off")
        elif found := re.match(r"vtd_ir_enable enable (\d)", line):
            remapping.append("on" if found.group(1) == "1" else "off")
        elif line.startswith("vtd_reg_ir_root"):
            pointer = True
    return tuple(translation), tuple(remapping), pointer


def observe(log, events, unit="dmar0"):
    """What the capture kernel's log and the trace since the crash tell of a unit (the only one there is)."""
    translation, remapping, pointer = moves(events)
    tables = _said(log, f"Copied translation tables from previous kernel for {unit}",
                   f"Failed to copy translation tables from previous kernel for {unit}")
    table = _said(log, f"Copied IR table for {unit} from previous kernel",
                  f"Failed to copy IR table for {unit} from previous kernel")
    mode = remapping_mode(log)
    return Observed((tables, translation), (table, bool(mode), remapping, pointer), mode)


def judge(what, possible, seen, first_mode, may_be_open=False):
    """One Check: a single outcome is predicted, and what was observed is what it stands for.

    Where several may be listed, exactly one of them must fit.
    """
    expected, observed = (TABLES, seen.tables) if what == "tables" else (INTERRUPTS, seen.interrupts)

    def fits(fate):
        if what == "interrupts" and fate in ("copied", "other-format") and (
                (first_mode == seen.mode) != (fate == "copied")):
            return False
        return expected[fate] == observed

    fates = [one["fate"] for one in possible]
    fitting = [fate for fate in fates if fits(fate)]
    if len(fates) == 1:
        return Check(f"inherit.{what}", bool(fitting), f"predicted {fates[0]}")
    good = may_be_open and len(fitting) == 1
    return Check(f"inherit.{what}", good, f"predicted one of {', '.join(fates) or 'nothing'}")


def checks(prediction, seen, first_mode, given, may_be_open=()):
    """Every check of one prediction; `given` is the capture kernel's whole command line as its log shows it."""
    line = prediction["capture"]["command_line"]
    same = line is not None and line["value"] == given
    yield Check("inherit.command-line", same,
                f"{line['place']}: as the capture kernel's log has it" if same
                else f"{line and line['value']!r}, the log has {given!r}")
    if len(prediction["units"]) != 1:
        yield Check("inherit.units", False, f"{len(prediction['units'])} units, not 1")
        return
    for what, words in zip(("tables", "interrupts"), seen.words):
        found = judge(what, prediction["units"][0][what], seen, first_mode, what in may_be_open)
        yield Check(found.name, found.good, f"{found.detail}; {words}")


def unnoticed(seen, first_mode):
    """Predictions that are wrong or none, and that a check would take for right all the same."""
    missed = []
    for what, observed, expected in (("tables", seen.tables, TABLES), ("interrupts", seen.interrupts, INTERRUPTS)):
        wrong = [fate for fate, stands_for in expected.items() if stands_for != observed]
        missed += [f"{what} {fate}" for fate in wrong if judge(what, [{"fate": fate}], seen, first_mode).good]
        if judge(what, [{"fate": fate} for fate in expected], seen, first_mode).good:
            missed.append(f"{what} open")
        if judge(what, [{"fate": fate} for fate in wrong], seen, first_mode, may_be_open=True).good:
            missed.append(f"{what} none of several")
    return missed


class InheritRun(runner.Run):
    """A dump of the running kernel, a crash, and the capture kernel's start."""

    console = ""

    def make(self):
        self._disks()
        words = machine.machine_arguments(self.cell, self.folder, self.kernel, self._image())
        start = time.monotonic()
        with Guest(self.folder, words, self._launcher()) as guest:
            guest.wait_word("ready", runner.BOOT_SECONDS)
            self.times["boot"] = time.monotonic() - start
            if "LAB kexec-failed" in guest.info():
                raise LabError("kexec failed: " + guest.info().split("LAB kexec-failed", 1)[1][:200])
            guest.qmp.command("stop")
            self.crash_offset = guest.trace_size()
            path = self.folder / "running.elf"
            guest.qmp.command("dump-guest-memory", timeout=900, paging=False, protocol=f"file:{path}")
            path.chmod(0o644)
            self.containers["running-elf"] = path
            guest.qmp.command("cont")
            guest.say("crash")
            guest.wait_word("capture", runner.BOOT_SECONDS)
            self.console = guest.console()
            self.info = guest.info()
        self.times["captured"] = time.monotonic() - start

    def _predict(self, *words):
        done = subprocess.run([str(self.tool), "inherit", "--format", "json", *words,
                               str(self.containers["running-elf"])], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
        try:
            prediction = json.loads(done.stdout)
            prediction["units"], prediction["capture"]  # pylint: disable=pointless-statement
        except (ValueError, KeyError) as error:
            raise LabError(f"inherit: exit {done.returncode}, no prediction: {done.stderr[:200]!r}") from error
        return done.returncode, prediction

    def _events(self):
        with open(self.folder / "trace.log", "rb") as trace:
            trace.seek(self.crash_offset)
            return [line.decode("ascii", "replace").strip() for line in trace]

    def check(self):
        first_log, log = second_boot(self.console)
        events = self._events()
        seen = observe(log, events)
        first_mode = remapping_mode(first_log)
        found = re.search(r"Command line: (.*?)\r?$", log, re.M)
        given = found.group(1) if found else ""
        status, prediction = self._predict()
        yield from checks(prediction, seen, first_mode, given, OPEN.get(self.cell, ()))
        yield Check("inherit.status", status == (0 if prediction["complete"] else 3), f"exit {status}")
        _, again = self._predict("--capture-cmdline", given)
        same = [unit[key] for unit in again["units"] for key in ("tables", "interrupts")] == [
            unit[key] for unit in prediction["units"] for key in ("tables", "interrupts")]
        yield Check("inherit.user-line", same, "the same prediction from --capture-cmdline")
        missed = unnoticed(seen, first_mode)
        yield Check("checks can fail", not missed, f"not noticed: {missed}" if missed else
                    "every other fate is noticed")


def write(path, outcome, chosen, jobs):
    """The outcome of the cells that were run as a Markdown table."""
    outcome = sorted(outcome, key=lambda each: chosen.index(each.cell))
    good, failed = sum(each.good for each in outcome), sum(len(each.failed) for each in outcome)
    lines = ["# What `inherit` predicts, and what happens", "",
             "Written by `tests/lab/run --inherit --support-matrix docs/inherit-matrix.md`. Each cell is one machine that is",
             "dumped while it runs, and then crashes. The prediction is made from the dump alone, the capture kernel's command",
             "line included; it is held against the capture kernel's log and against what the emulated unit was told since the",
             "crash. Kernels are Debian's, machines are QEMU's, without KVM.", "",
             f"{len(outcome)} cells, {good} checks passed, {failed} failed, {jobs} at a time.", "",
             "| kernel | first kernel | capture kernel | tables: predicted; observed | interrupts: predicted; observed | "
             "checks | failed |", "|---|---|---|---|---|---|---|"]
    for each in outcome:
        cell = each.cell
        details = {check.name: check.detail.removeprefix("predicted ") for check in each.checks}
        first = " ".join(filter(None, [MODES[cell.mode].options, cell.more,
                                       f"(unit{cell.unit})" if cell.unit else ""]))
        lines.append(f"| {each.release} | {cell.mode}: `{first}` | `{cell.capture}` | "
                     f"{details.get('inherit.tables', '-')} | {details.get('inherit.interrupts', '-')} | {each.good} ok | "
                     f"{', '.join(each.failed) or 'none'} |")
    missing = [cell for cell in chosen if cell not in {each.cell for each in outcome}]
    if missing:
        lines += ["", "The run was stopped before these cells:", "", *(f"- {cell}" for cell in missing)]
    lines += ["", "The modes are those of `support-matrix.md`."]
    path.write_text("\n".join(lines) + "\n")
