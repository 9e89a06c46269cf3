# SPDX-License-Identifier: GPL-2.0-or-later
"""The cells that are run, those that do not exist, and the table of the outcome."""

import json
from dataclasses import dataclass

from . import cache
from .checks import Check
from .machine import CASES, MODES, ROADS, SIZES, Cell, why_not

CI = [Cell("bookworm", "legacy"), Cell("bookworm", "scalable-strict")]
# Truth 2: both modes.
DEBUGFS = [Cell("bookworm", mode, debugfs=True) for mode in ("legacy-strict", "scalable-strict")]

_SUITES = ("bullseye", "bookworm", "trixie", "sid")


@dataclass(frozen=True)
class Outcome:
    """One cell's checks."""

    cell: Cell
    release: str
    checks: list
    seconds: float

    def save(self, tool):
        """Leaves the outcome in the cell's folder."""
        path = _outcome_path(self.cell)
        path.write_text(json.dumps({"tool": cache.digest(tool), "release": self.release, "seconds": self.seconds,
                                    "checks": [[check.name, check.good, check.detail] for check in self.checks]}))

    @staticmethod
    def load(cell, tool):
        """The outcome that a run of the same tool left for a cell, None when there is none without failures."""
        try:
            kept = json.loads(_outcome_path(cell).read_text())
        except (OSError, ValueError):
            return None
        found = Outcome(cell, kept["release"], [Check(*words) for words in kept["checks"]], kept["seconds"])
        return found if kept["tool"] == cache.digest(tool) and not found.failed and found.good else None

    @property
    def good(self):
        return sum(check.good for check in self.checks)

    @property
    def failed(self):
        return [check.name for check in self.checks if not check.good]


def _outcome_path(cell):
    return cache.root() / "run" / cell.slug / "outcome.json"


def _all():
    for suite in _SUITES:
        for mode in ("legacy", "scalable-strict", "first-stage"):
            yield Cell(suite, mode)
        yield Cell(suite, "legacy", "rmrr")
        yield Cell(suite, "scalable", "cma")
        yield Cell(suite, "legacy-pt")
    for mode in ("legacy-strict", "legacy-48", "legacy-identity", "off", "none"):
        yield Cell("bookworm", mode)
    yield Cell("bookworm", "legacy-strict", "dma")
    yield Cell("bookworm", "legacy", "dma")
    yield Cell("trixie", "scalable-pt")
    yield Cell("sid", "first-stage", "dma")
    yield Cell("sid", "scalable-strict", "rmrr")
    yield Cell("bookworm", "legacy-strict", "vfio")
    yield Cell("sid", "scalable", "vfio")
    yield Cell("bookworm", "legacy-strict", "many")
    yield Cell("bookworm", "legacy", "quiet", "6G")
    yield Cell("sid", "scalable", "quiet", "6G")
    yield Cell("sid", "legacy", "quiet", "la57")
    for suite, mode in (("bookworm", "legacy"), ("sid", "scalable")):
        for road in ("qmp", "hung"):
            yield Cell(suite, mode, "quiet", "768M", road)
    # QEMU 10 writes headers of its own: no name of the machine.
    yield Cell("bookworm", "first-stage", "quiet", "768M", "qmp")
    for mode in ("off", "none"):
        yield Cell("bookworm", mode, "vfio")
    yield Cell("bookworm", "none", "rmrr")
    for size in ("6G", "la57"):
        yield Cell("bookworm", "legacy", "rmrr", size)
        yield Cell("sid", "scalable", "cma", size)


def cells():
    return [cell for cell in _all() if why_not(cell) is None]


def impossible():
    return [(cell, why_not(cell)) for cell in _all() if why_not(cell) is not None]


_TRUTHS = (
    ("1, QEMU's trace", ("trace", "registers")),
    ("2, the kernel's debugfs", ("debugfs",)),
    ("3, sysfs and /proc", ("sysfs", "reservation", "crash kernel loaded", "guest", "held", "vfio")),
    ("4, the Python walker, and containers among each other", ("oracle", "mappings", "container", "report", "image")),
    ("5, guest RAM", ("ram", "pages")),
    ("the driver's records of its domains, and the tables", ("views",)),
    ("firmware's own DMAR table, beside the kernel's copies of it", ("acpi-dmar",)),
    ("every way to symbols, types and units, and to the kernel", ("roads", "no-note", "which")),
    ("verdict of the case, and the kind of tables its mode is about", ("verdict", "stages")),
    ("the checks notice planted defects", ("checks can fail",)),
    ("the cell could be run", ("run",)),
)


def _truth_of(name):
    return next((title for title, prefixes in _TRUTHS if name.split(".")[0] in prefixes), "other")


def write(path, outcome, chosen, jobs):
    """The outcome of the cells that were run, of those that were chosen, as a Markdown table."""
    outcome = sorted(outcome, key=lambda each: chosen.index(each.cell))
    good, failed = sum(each.good for each in outcome), sum(len(each.failed) for each in outcome)
    minutes = sum(each.seconds for each in outcome) / 60
    lines = ["# Support matrix", "",
             "Written by `tests/lab/run --matrix --debugfs --support-matrix docs/support-matrix.md`. Kernels are "
             "Debian's, the newest of each suite;",
             "`debugfs` is a run with the kernel's own dump of its tables. Machines are QEMU's, without KVM.", "",
             f"{len(outcome)} cells, {good} checks passed, {failed} failed; the cells took {minutes:.0f} minutes together, "
             f"{jobs} at a time.", "",
             "| suite | kernel | mode | case | machine | road | checks | failed |", "|---|---|---|---|---|---|---|---|"]
    for each in outcome:
        cell = each.cell
        lines.append(f"| {cell.kernel} | {each.release} | {cell.mode} | {cell.case} | {cell.size} | "
                     f"{cell.road}{', debugfs' if cell.debugfs else ''} | "
                     f"{each.good} ok | {', '.join(each.failed) or 'none'} |")
    missing = [cell for cell in chosen if cell not in {each.cell for each in outcome}]
    if missing:
        lines += ["", "The run was stopped before these cells:", "", *(f"- {cell}" for cell in missing)]
    lines += ["", "## By truth", "", "| truth | checks | failed |", "|---|---|---|"]
    for title in [title for title, _ in _TRUTHS] + ["other"]:
        named = [check for each in outcome for check in each.checks if _truth_of(check.name) == title]
        if named:
            lines.append(f"| {title} | {len(named)} | {sum(not check.good for check in named)} |")
    lines += ["", "## What the words mean", ""]
    lines += [f"- `{mode.name}`: {mode.about}" for mode in MODES.values()]
    lines += [f"- `{name}`: {about}" for name, about in CASES.items()]
    lines += [f"- `{name}`: {size['memory']}, {size['cpu']}, {size['crashkernel']}" for name, size in SIZES.items()]
    lines += [f"- `{name}`: {about}" for name, about in ROADS.items()]
    lines += ["", "## Cells that do not exist", "",
              "Everything else that the table lacks is a combination of the above that is not run.", ""]
    lines += [f"- {cell}: {reason}" for cell, reason in impossible()]
    path.write_text("\n".join(lines) + "\n")
