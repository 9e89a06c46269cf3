#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds what other readers find in a converted dump against what dmaudit finds in the original.

    peer_readers.py [--vmlinux FILE] [--kinds elf,zlib,...] DUMP...

Every DUMP is read as it is, and converted to ELF and to kdump-compressed with every codec. Each file
is read by libkdumpfile and drgn page by page, by makedumpfile as it writes the file again, and, where
a vmlinux of the dump's kernel is given, by crash in samples. In every file

stored    pages that dmaudit knows must be read, with the same bytes
unknown   pages that are in the machine's RAM and not in the dump, or in neither, must be refused:
          nobody may read zeros there. libkdumpfile up to 0.5.4 does, whatever wrote the file, for
          the page directly before a segment of an ELF file (find_closest_file_load() in elfdump.c
          allows a distance of a whole page): those are counted apart

One line per file and reader. What a reader cannot open at all is said and counts as nothing. Exit
status: 0 all is well, 1 something is not, 2 usage. Readers that are not installed are passed over.
"""

import argparse
import collections
import ctypes
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import zlib

from support import PAGE, run

READABLE = ("data", "zero")
KINDS = ("elf", "zstd", "zlib", "lzo", "snappy", "raw")
# crash starts a process per file and writes a file per page.
CRASH_SAMPLES = 500


class CannotOpen(Exception):
    pass


def states(path):
    """{page frame: (state, crc32 or None)} of all RAM, and the frames next to it."""
    ran = run("pages", "-q", "--crc32", "--format", "ndjson", path, timeout=600)
    if ran.status == 2:
        raise SystemExit(f"{path}: {ran.err.strip()}")
    pages = {row["pfn"]: (row["state"], row["crc32"]) for row in ran.rows()}
    for pfn in list(pages):
        for neighbour in (pfn - 1, pfn + 1):
            if neighbour >= 0:
                pages.setdefault(neighbour, ("absent", None))
    return pages


class Libkdumpfile:
    """Every page; physical addresses of the machine, which need no translation."""

    def __init__(self):
        self.library = ctypes.CDLL("libkdumpfile.so.10")
        self.library.kdump_new.restype = ctypes.c_void_p
        self.library.kdump_get_err.restype = ctypes.c_char_p

    def read(self, path, pages):
        library, context = self.library, ctypes.c_void_p(self.library.kdump_new())
        with open(path, "rb") as file:
            descriptor = ctypes.c_int(file.fileno())
            try:
                if library.kdump_open_fdset(context, 1, ctypes.byref(descriptor)) != 0:
                    raise CannotOpen(library.kdump_get_err(context).decode())
                buffer = ctypes.create_string_buffer(PAGE)
                for pfn in pages:
                    size = ctypes.c_size_t(PAGE)
                    machine = 1  # KDUMP_MACHPHYSADDR
                    status = library.kdump_read(context, machine, ctypes.c_uint64(pfn * PAGE), buffer,
                                                ctypes.byref(size))
                    yield pfn, buffer.raw if status == 0 and size.value == PAGE else None
            finally:
                library.kdump_free(context)


class Drgn:
    """Every page."""

    def __init__(self):
        import drgn  # pylint: disable=import-outside-toplevel,import-error
        self.drgn = drgn

    def read(self, path, pages):
        program = self.drgn.Program()
        try:
            program.set_core_dump(path)
        except Exception as error:
            raise CannotOpen(str(error)) from None
        for pfn in pages:
            try:
                yield pfn, program.read(pfn * PAGE, PAGE, True)
            except (self.drgn.FaultError, ValueError):
                yield pfn, None


class Makedumpfile:
    """Every page, by what is in the file that it writes."""

    def __init__(self):
        if not shutil.which("makedumpfile"):
            raise OSError("no makedumpfile")

    def read(self, path, pages):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            done = subprocess.run(["makedumpfile", "-c", "-d", "0", path, out], check=False,
                                  capture_output=True, text=True, timeout=600)
            if done.returncode != 0:
                raise CannotOpen((done.stderr + done.stdout).strip().splitlines()[-1])
            written = states(out)
            for pfn in pages:
                state, crc = written.get(pfn, ("absent", None))
                yield pfn, crc if state in READABLE else None


class Crash:
    """A sample of the pages."""

    def __init__(self, vmlinux):
        if not shutil.which("crash"):
            raise OSError("no crash")
        self.vmlinux = vmlinux

    def read(self, path, pages):
        known = [pfn for pfn in pages if pages[pfn][0] in READABLE]
        others = [pfn for pfn in pages if pages[pfn][0] not in READABLE]
        chance = random.Random(1)
        asked = sorted(chance.sample(known, min(CRASH_SAMPLES, len(known)))
                       + chance.sample(others, min(CRASH_SAMPLES, len(others))))
        with tempfile.TemporaryDirectory() as folder:
            names = {pfn: pathlib.Path(folder) / f"{pfn:x}" for pfn in asked}
            script = "".join(f"rd -p -r {names[pfn]} {pfn * PAGE:x} {PAGE}\n" for pfn in asked)
            done = subprocess.run(["crash", "-s", self.vmlinux, path], input=script + "quit\n", text=True,
                                  check=False, capture_output=True, timeout=600)
            if not any(name.exists() for name in names.values()):
                said = (done.stdout + done.stderr).strip().splitlines()
                errors = [line for line in said if line.startswith("crash:")]
                raise CannotOpen("; ".join(errors[-2:] or said[-1:]))
            for pfn in asked:
                content = names[pfn].read_bytes() if names[pfn].exists() else b""
                yield pfn, content if len(content) == PAGE else None


def readers(vmlinux):
    made = {}
    for name, make in (("libkdumpfile", Libkdumpfile), ("drgn", Drgn), ("makedumpfile", Makedumpfile)):
        try:
            made[name] = make()
        except (OSError, ImportError) as error:
            print(f"pass {name}: {error}", flush=True)
    if vmlinux:
        made["crash"] = Crash(vmlinux)
    return made


def judge(reader, path, pages):
    """(what is wrong, what was seen)"""
    count, wrong = collections.Counter(), []
    with open(path, "rb") as file:
        elf = file.read(4) == b"\x7fELF"
    for pfn, content in reader.read(path, pages):
        state, crc = pages[pfn]
        if isinstance(content, bytes):
            got = f"{zlib.crc32(content):08x}"
        else:
            got = content
        if state in READABLE:
            kind = "equal" if got == crc else "refused" if got is None else "different"
            count[f"stored {kind}"] += 1
        else:
            zeros = got == f"{zlib.crc32(bytes(PAGE)):08x}"
            before = pages.get(pfn + 1, ("absent",))[0] in READABLE
            kind = "refused" if got is None else "read as zeros" if zeros else "read"
            if zeros and elf and before and isinstance(reader, Libkdumpfile):
                count["before a segment read as zeros"] += 1
                continue
            count[f"{state} {kind}"] += 1
        if kind not in (("equal",) if state in READABLE else ("refused",)):
            wrong.append(f"page {pfn:#x}: {state}, {kind}")
    if not count["stored equal"]:
        wrong.append("not one page was read")
    return wrong, ", ".join(f"{number} {what}" for what, number in sorted(count.items()))


def main(arguments):
    parser = argparse.ArgumentParser(description="hold other readers against dmaudit")
    parser.add_argument("--vmlinux", metavar="FILE")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("dumps", nargs="+", metavar="DUMP")
    asked = parser.parse_args(arguments)
    made, failures = readers(asked.vmlinux), 0
    for dump in map(os.path.abspath, asked.dumps):
        pages = states(dump)
        with tempfile.TemporaryDirectory() as folder:
            files = {"as it is": dump}
            for kind in asked.kinds.split(","):
                options = ["--format", "elf"] if kind == "elf" else ["--codec", kind]
                files[kind] = str(pathlib.Path(folder) / kind)
                ran = run("convert", "-q", *options, dump, "-o", files[kind], timeout=600)
                if ran.status == 2:
                    raise SystemExit(f"{dump}: {ran.err.strip()}")
            for kind, path in files.items():
                for name, reader in made.items():
                    try:
                        wrong, seen = judge(reader, path, pages)
                    except CannotOpen as error:
                        print(f"pass {os.path.basename(dump)}, {kind}, {name}: does not open: {error}",
                              flush=True)
                        continue
                    failures += bool(wrong)
                    print(f"{'FAIL' if wrong else 'ok  '} {os.path.basename(dump)}, {kind}, {name}: "
                          f"{seen}" + (f": {'; '.join(wrong[:5])}" if wrong else ""), flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
