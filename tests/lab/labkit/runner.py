# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one cell: boots, crashes, collects, checks."""

import copy
import json
import os
import shutil
import subprocess
import time

from . import (acpi, cache, checks, debugfs, debugfs_module, dumps, images, initramfs, live, machine, qemu10, suites,
               trace, ways)
from .cache import LabError
from .checks import Check
from .guest import Guest

# What QEMU's kdump-* can be besides kdump-zlib: "raw" is not flattened, from 8.2 on.
CODEC_FORMATS = ("lzo", "snappy", "raw-zlib", "raw-lzo", "raw-snappy")
BOOT_SECONDS = 600
CAPTURE_SECONDS = 600


class Run:
    """One boot and what came of it."""

    def __init__(self, cell, tool, thorough=False, refresh=False, qemu=None):
        """`qemu` is a program to run instead of the one that the mode is made for."""
        self.cell = cell
        self.qemu = qemu
        self.mode = machine.MODES[cell.mode]
        self.tool = tool
        self.thorough = thorough
        self.kernel = suites.Suite(cell.kernel).kernel(refresh)
        self._claim, self.folder = cache.claim_run(cell.slug, "this cell")
        self.times = {}
        self.info = ""
        self.crash_offset = 0
        self.memory = dumps.GuestMemory(self.folder, machine.memory_bytes(cell))
        self.containers = {}
        # The tool works in the guest too, where nothing moves meanwhile.
        self.live = cell.case == "quiet" and cell.road == "proc-vmcore"
        self.further = {}  # files of containers that are held against guest RAM only

    # Making the dump.

    def _disks(self):
        for index in range(3):
            with open(self.folder / f"data{index}.raw", "wb") as disk:
                disk.truncate(512 << 20)
        for name in ("elf", "flat"):
            with open(self.folder / f"out-{name}.raw", "wb") as disk:
                disk.truncate(machine.memory_bytes(self.cell) + (64 << 20))

    def _launcher(self):
        if self.qemu:
            return machine.launcher_of(self.qemu)
        return qemu10.launcher() if self.mode.qemu == "trixie" else None

    def _firmware_table(self, image):
        """The guest's DMAR table; a boot to init when the cache has none for these QEMU options."""
        plain = machine.Cell(self.cell.kernel, self.cell.mode, "quiet", self.cell.size, "qmp")
        words = machine.machine_arguments(plain, self.folder, self.kernel, image)
        # The table names every device.
        shape = [value for option, value in zip(words, words[1:])
                 if option in ("-device", "-machine", "-cpu", "-m")]
        key = cache.digest(self.qemu or self.mode.qemu, *shape)

        def ask(temporary):
            # Logs of its own: the real boot's must start empty.
            logs = self.folder / "firmware"
            logs.mkdir()
            with Guest(logs, words, self._launcher()) as guest:
                guest.wait_word("ready", BOOT_SECONDS)
                said = checks.sections(guest.info())
            temporary.write_bytes(bytes.fromhex("".join(said.get("dmar", []))))

        return cache.made_once(cache.root() / "image" / f"dmar-{key}", ask).read_bytes()

    def _image(self):
        more = [debugfs_module.module(self.kernel)] if self.cell.debugfs else []
        image = initramfs.first_image(self.kernel, more)
        if self.live:
            joined = self.folder / "initrd"
            joined.write_bytes(live.archive(self.folder, self.tool) + image.read_bytes())
            return joined
        if self.cell.case != "rmrr":
            return image
        table = acpi.with_rmrr(self._firmware_table(image), machine.RMRR_BASE,
                               machine.RMRR_BASE + machine.RMRR_SIZE - 1, 0, machine.RMRR_SLOT, 0)
        joined = self.folder / "initrd"
        joined.write_bytes(acpi.early_cpio(self.folder, table) + image.read_bytes())
        return joined

    def make(self):
        """Boots the guest and leaves its dumps in self.containers."""
        self._disks()
        image = self._image()
        launcher = self._launcher()
        words = machine.machine_arguments(self.cell, self.folder, self.kernel, image)
        start = time.monotonic()
        with Guest(self.folder, words, launcher) as guest:
            guest.wait_word("ready", BOOT_SECONDS)
            self.times["boot"] = time.monotonic() - start
            if "LAB kexec-failed" in guest.info():
                raise LabError("kexec failed: " + guest.info().split("LAB kexec-failed", 1)[1][:200])
            guest.qmp.command("stop")
            self.crash_offset = guest.trace_size()
            if self.cell.road == "qmp":
                self._dump_by_qmp(guest, "qmp")
            else:
                guest.qmp.command("cont")
                guest.say("crash")
                guest.wait_word("capture", BOOT_SECONDS)
                self.times["crash"] = time.monotonic() - start
                guest.qmp.command("stop")
                if self.cell.road == "hung":
                    self._dump_by_qmp(guest, "hung")
                else:
                    self.memory.save(guest.qmp)
                    guest.qmp.command("cont")
                    guest.say("go")
                    guest.wait_word("capture-done", CAPTURE_SECONDS)
                    guest.wait_end(60)
            self.info = guest.info()
        self.times["captured"] = time.monotonic() - start
        if self.cell.road == "proc-vmcore":
            self._collect()

    def _dump_by_qmp(self, guest, name):
        self.memory.save(guest.qmp)
        formats = [("elf", {}), ("zlib", {"format": "kdump-zlib"})]
        if self.thorough:
            # Debian's QEMU is built without some.
            has = guest.qmp.command("query-dump-guest-memory-capability")["formats"]
            part = {"begin": 256 << 20, "length": 128 << 20}
            formats += [("paging", {"paging": True}), ("part", part), ("part-paging", {"paging": True, **part})]
            formats += [(form, {"format": f"kdump-{form}"}) for form in CODEC_FORMATS if f"kdump-{form}" in has]
        for suffix, options in formats:
            path = self.folder / f"{name}.{suffix}"
            guest.qmp.command("dump-guest-memory", timeout=900, **{"paging": False, "protocol": f"file:{path}", **options})
            path.chmod(0o644)
            if suffix not in ("elf", "zlib", *CODEC_FORMATS):
                self.further[f"{name}-{suffix}"] = [path]
                continue
            if suffix == "zlib":
                # QEMU writes this one flattened.
                path = dumps.unflatten(path, self.folder / f"{name}.kdump")
            self.containers[f"{name}-{suffix}"] = path

    def _collect(self):
        for mark in ("copied-elf", "copied-flat"):
            if f"LAB {mark}" not in self.info:
                raise LabError(f"the capture kernel did not report {mark}: {self.info[-200:]!r}")
        elf = self.folder / "vmcore.elf"
        (self.folder / "out-elf.raw").rename(elf)
        os.truncate(elf, dumps.elf_size(elf))
        self.containers["proc-vmcore"] = elf
        self.containers["capture-zlib"] = dumps.unflatten(self.folder / "out-flat.raw",
                                                          self.folder / "capture.zlib")
        self.containers.update(dumps.containers(self.folder, elf, self.thorough))

    # Checking it.

    def _ask(self, *words):
        done = subprocess.run([str(self.tool), *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=300, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace").strip()

    def _rows(self, path):
        status, out, error = self._ask("mappings", path, "--format", "ndjson")
        try:
            return status, [json.loads(line) for line in out.splitlines()], error
        except ValueError as err:
            raise LabError(f"mappings {path.name}: not NDJSON: {err}") from err

    @staticmethod
    def _oracle_rows(path):
        text = cache.run(["python3", dumps.ORACLE / "oracle.py", "mappings", path], stderr=subprocess.DEVNULL)
        return [json.loads(line) for line in text.splitlines()]

    @staticmethod
    def _oracle_misses(path):
        """Whether the oracle, too, finds pages of this container missing."""
        done = subprocess.run(["python3", str(dumps.ORACLE / "oracle.py"), "mappings", str(path)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=300, check=False)
        return done.returncode == 3

    def check(self):
        """All checks of this cell; raises LabError when one cannot even be made."""
        cell, mode = self.cell, self.mode
        said = checks.sections(self.info)
        truth = trace.read(self.folder / "trace.log", self.crash_offset)
        first = next(iter(self.containers.values()))
        status, out, error = self._ask("report", first, "--format", "json")
        try:
            report = json.loads(out)
            report["verdict"], report["units"], report["findings"]  # pylint: disable=pointless-statement
        except (ValueError, KeyError) as err:
            raise LabError(f"report {first.name}: exit {status}, no report: {err}: {error[:200]}") from err
        status_warning, _, _ = self._ask("report", first, "--format", "json", "--fail-on", "warning")
        row_status, rows, error = self._rows(first)
        mappings = checks.Mappings(rows)
        busy = cell.case in ("dma", "cma")

        yield from checks.translations("trace", truth, mappings, mode, busy)
        if mode.translates:
            yield from checks.registers(truth, report, mode.unit_present)
            yield from checks.units(said, report)
            yield from checks.groups(said, report)
            yield from checks.stages(mode, mappings)
            if not mode.passthrough:
                yield from checks.reserved(said, mappings)
            if mode.holds:
                yield from checks.held("held", machine.HELD, said, mappings)
        if self.live:
            yield live.kcore(said, self.info, report, rows)
            yield live.vmcore(said, self.info, status, report, rows)
        yield from checks.devices(said, report)
        yield from checks.untranslated(said, mode, report)
        yield from checks.views(report)
        yield from checks.reservation(said, report)
        if cell.size == "la57":
            yield from checks.five_levels(said)
        if cell.debugfs:
            yield from debugfs.checks(said, report, mappings)
        if cell.case == "vfio":
            yield from checks.held("vfio", "0000:00:09.0", said, mappings)
        yield from checks.verdict(cell, mode, report, status, status_warning, mappings)
        if mode.translates:
            oracle = self._oracle_rows(first)
            yield from checks.same_rows("oracle", rows, oracle)
            yield Check("mappings.status", row_status == 0, f"exit {row_status} {error[:100]}".strip())
        for name, path in list(self.containers.items())[1:]:
            other_status, other, error = self._rows(path)
            if other_status == 3 and row_status == 0 and self._oracle_misses(path):
                # makedumpfile left out pages that the walk needs (it does on kernels newer than itself).
                missing = [row for row in other if row not in rows]
                yield Check(f"container.{name}", not missing,
                            f"pages were left out, said so: exit 3, {len(other)} of {len(rows)} rows, "
                            f"{len(missing)} that the full dump does not have")
            elif rows or other_status != row_status:
                found = checks.same_rows(f"container.{name}", other, rows)[0]
                reason = error.splitlines()[-1][:120] if error else ""
                given = json.loads(self._ask("report", "-q", path, "--format", "json")[1])
                as_said = other_status == row_status or (row_status, other_status) == (0, 3) and live.leaves_open(given)
                yield Check(found.name, found.good and as_said, f"{found.detail}, exit {other_status} {reason}".strip())
                yield live.same_report(f"report.{name}", report, given)
        if mode.translates:
            yield from ways.roads(self._ask, first, said, report)
            yield from ways.acpi_table(self._ask, first, said, self.folder, report)
        small = next(path for name, path in self.containers.items() if name.endswith("-zlib"))
        yield from ways.without_note(self._ask, small, self.folder)
        if cell.road == "hung":
            yield from ways.second_kernel(self._ask, first, report)
        yield from self._ram(mappings, checks.ram_ranges(said))
        of_memory = images.Checks(self._ask, self.folder, self.memory, checks.ram_ranges(said), self.thorough)
        yield from of_memory.run(images.Answers(status, report, row_status, rows))
        yield from self._proofs(truth, report, rows, said, busy, of_memory)

    def _ram(self, mappings, ranges):
        """Guest RAM against the containers.

        What may differ: pages that devices may write to (the ISA bridge's 1:1 range is not used), and the first
        MiB, which a capture kernel uses for itself. A page that is RAM only in part (an overridden ACPI table
        fills the rest) is padded with zeros by makedumpfile.
        """
        writable = set()
        for row in mappings.rows:
            if "W" in row["perm"] and "pa" in row and row["pa"] != row["iova"]:
                start, size = int(row["pa"], 16), int(row["len"], 16)
                writable.update(range(start, start + size, dumps.PAGE))

        def may_differ(address):
            return (address < 1 << 20 or address in writable
                    or not any(start <= address and address + dumps.PAGE <= end for start, end in ranges))

        for name in self.containers:
            compared, different = dumps.compare_with_ram(self.containers[name], self.memory,
                                                         may_differ)
            least = 1000
            yield Check(f"ram.{name}", not different and compared >= least,
                        f"{compared} pages compared, {len(different)} differ"
                        + (f": {different[0]:#x}" if different else ""))
            yield self._pages(name, [self.containers[name]], may_differ)
        for name, files in self.further.items():
            yield self._pages(name, files, may_differ)
            if "-part" in name:
                # Of a sixth of the memory no audit is the whole.
                status, _, error = self._ask("report", "-q", *files)
                yield Check(f"report.{name}", status != 0, f"exit {status} {error[:100]}".strip())
        if self.thorough and "proc-vmcore" in self.containers:
            for name, files in dumps.further_containers(self.folder, self.containers["proc-vmcore"], self.tool):
                yield self._pages(name, files, may_differ)

    def _pages(self, name, files, may_differ):
        """What the tool reads of a container against guest RAM."""
        status, out, error = self._ask("pages", "-q", "--crc32", "--format", "ndjson", *files)
        if status == 2:
            return Check(f"pages.{name}", False, error[:200])
        compared, different, states = dumps.compare_rows_with_ram(map(json.loads, out.splitlines()), self.memory,
                                                                  may_differ)
        untrue = [state for state in states if state not in dumps.TRUTHFUL]
        return Check(f"pages.{name}", not different and not untrue and compared >= 1000,
                     f"{compared} pages compared, {len(different)} differ"
                     + (f": {different[0]:#x}" if different else "")
                     + "".join(f", {count} {state}" for state, count in sorted(states.items())))

    def _proofs(self, truth, report, rows, said, busy, of_memory):
        """The checks above must fail when one answer is changed."""
        planted = []

        def changed(**fields):
            copy_of = copy.deepcopy(rows)
            hit = next(row for row in copy_of if (checks_key(row) in live_rows))
            hit.update(fields)
            return checks.Mappings(copy_of)

        def checks_key(row):
            return row["bdf"], row["iova"]

        if self.mode.translates and truth.live and rows:
            whole = checks.Mappings(rows)
            live_rows = set()
            for requester, iova in truth.live:
                row = whole.at(checks.bdf_of(requester), iova)
                if row is not None:
                    live_rows.add(checks_key(row))
            if live_rows:
                sample = next(row for row in rows if checks_key(row) in live_rows)
                planted += [
                    ("place", changed(pa=hex(int(sample["pa"], 16) + 4096))),
                    ("domain", changed(did=sample["did"] + 1)),
                    ("permissions", changed(perm="R-" if sample["perm"] != "R-" else "RW")),
                ]
            planted.append(("empty walk", checks.Mappings([])))
        missed = [what for what, broken in planted
                  if all(check.good for check in checks.translations("trace", truth, broken, self.mode, busy))]
        if report["units"] and self.mode.translates:
            for key in ("rtaddr", "gcmd", "iqa", "irta"):
                broken = copy.deepcopy(report)
                if broken["units"][0].get(key):
                    broken["units"][0][key]["value"] = hex(int(broken["units"][0][key]["value"], 16) ^ 0x1000)
                    planted.append((key, broken))
                    if all(check.good for check in checks.registers(truth, broken, True)):
                        missed.append(key)
        if self.cell.debugfs:
            planted.extend(("debugfs", index) for index in range(3))
            missed += debugfs.unnoticed(said, report, rows)
        if report["crashkernel"]:
            broken = copy.deepcopy(report)
            broken["crashkernel"][0]["end"] = hex(int(broken["crashkernel"][0]["end"], 16) + 1)
            planted.append(("reservation", broken))
            if all(check.good for check in checks.reservation(said, broken)):
                missed.append("reservation")
        planted.extend(("image", index) for index in range(of_memory.planted))
        missed += of_memory.missed
        yield Check("checks can fail", bool(planted) and not missed,
                    f"{len(planted)} planted defects" + (f", not noticed: {missed}" if missed else " noticed"))

    def clean(self, keep):
        """Removes the bulk; with `keep`, the dumps stay. Others may have the cell again."""
        for path in self.folder.glob("*.raw"):
            if not (keep and path.name.startswith("ram-")):
                path.unlink()
        for path in self.folder.glob("*.sock"):
            path.unlink()
        shutil.rmtree(self.folder / "early", ignore_errors=True)
        if not keep:
            for path in (*self.containers.values(), *(file for files in self.further.values() for file in files)):
                path.unlink(missing_ok=True)
        self._claim.close()
