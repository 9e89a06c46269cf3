# SPDX-License-Identifier: GPL-2.0-or-later
"""The cells that are run, those that do not exist, and the table of the outcome."""

from .machine import CASES, MODES, Cell, why_not

CI = [Cell("bookworm", "legacy"), Cell("bookworm", "scalable-strict")]

_SUITES = ("bullseye", "bookworm", "trixie", "sid")


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
    yield Cell("bookworm", "legacy", "quiet", "768M", "qmp")
    yield Cell("sid", "scalable", "quiet", "768M", "qmp")
    yield Cell("bookworm", "legacy", "quiet", "768M", "hung")
    yield Cell("sid", "scalable", "quiet", "768M", "hung")


def cells():
    return [cell for cell in _all() if why_not(cell) is None]


def impossible():
    return [(cell, why_not(cell)) for cell in _all() if why_not(cell) is not None]


def write(path, outcome):
    """The outcome as a Markdown table."""
    lines = ["# Support matrix", "",
             "Written by `tests/lab/run --matrix --support-matrix`. Kernels are Debian's, the newest of each suite.",
             "", "| suite | mode | case | memory | road | checks | failed |", "|---|---|---|---|---|---|---|"]
    for cell, good, failed, _ in outcome:
        lines.append(f"| {cell.kernel} | {cell.mode} | {cell.case} | {cell.size} | {cell.road} | {good} ok | "
                     f"{', '.join(failed) or 'none'} |")
    lines += ["", "## Modes and cases", ""]
    lines += [f"- `{mode.name}`: {mode.about}" for mode in MODES.values()]
    lines += [f"- `{name}`: {about}" for name, about in CASES.items()]
    lines += ["", "## Cells that do not exist", ""]
    lines += [f"- {cell}: {reason}" for cell, reason in impossible()]
    path.write_text("\n".join(lines) + "\n")
