# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host makes of a guest's dump: containers, and guest RAM to hold them against."""

import collections
import ctypes
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

from . import cache
from .cache import LabError

PAGE = 4096
ORACLE = cache.LAB_SOURCE.parent / "oracle"
sys.path.append(str(ORACLE))
import dumpfile  # noqa: E402  pylint: disable=wrong-import-position,import-error


def elf_size(path):
    """Where an ELF file's last segment ends."""
    with open(path, "rb") as image:
        header = image.read(64)
        if header[:4] != b"\x7fELF":
            raise LabError(f"{path.name}: the capture kernel wrote no ELF file")
        table, count = struct.unpack_from("<Q", header, 32)[0], struct.unpack_from("<H", header, 56)[0]
        image.seek(table)
        end = 0
        for _ in range(count):
            words = struct.unpack("<IIQQQQQQ", image.read(56))
            end = max(end, words[2] + words[5])
        return end


def containers(folder, elf, thorough):
    """The makedumpfile outputs of an ELF vmcore; name -> path."""
    made = {}
    wanted = {"lzo": ["-l", "-d", "31"]}
    if thorough:
        wanted.update({"elf-d31": ["-E", "-d", "31"], "zlib": ["-c", "-d", "31"], "plain": ["-d", "31"],
                       "zlib-d0": ["-c", "-d", "0"], "d1": ["-l", "-d", "1"]})
    for name, options in wanted.items():
        target = folder / f"vmcore.{name}"
        cache.run(["makedumpfile", *options, elf, target])
        made[name] = target
    return made


def further_containers(folder, elf, tool):
    """(name, files) of everything else that makedumpfile and `convert` make of an ELF vmcore, one after another."""
    def made(name, number, *words):
        files = [folder / f"further.{name}.{i}" for i in range(number)]
        cache.run([*map(str, words), *files])
        return files

    def converted(name, *options):
        file = folder / f"further.{name}"
        # 3: a dump that is not complete stays so.
        done = subprocess.run([tool, "convert", *options, elf, "-o", file], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300, check=False)
        if done.returncode not in (0, 3):
            raise LabError(f"convert: status {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-200:]}")
        return [file]

    def flattened(name, *options):
        file = folder / f"further.{name}"
        with open(file, "wb") as out:
            cache.run(["makedumpfile", *options, "-F", elf], stdout=out, stderr=subprocess.DEVNULL)
        return file

    recipes = [
        ("flat-zlib", lambda: [flattened("flat-zlib", "-c", "-d", "31")]),
        ("flat-elf", lambda: [flattened("flat-elf", "-E", "-d", "31")]),
        ("elf-d1", lambda: made("elf-d1", 1, "makedumpfile", "-E", "-d", "1", elf)),
        ("split", lambda: made("split", 3, "makedumpfile", "-c", "-d", "31", "--split", "--splitblock-size", "4096", elf)),
        ("split-d1", lambda: made("split-d1", 3, "makedumpfile", "-l", "-d", "1", "--split", "--splitblock-size", "4096",
                                  elf)),
        ("refiltered", lambda: made("refiltered", 1, "makedumpfile", "-c", "-d", "31",
                                    made("d1", 1, "makedumpfile", "-l", "-d", "1", elf)[0])),
    ]
    for codec in ("zstd", "zlib", "lzo", "snappy", "raw"):
        recipes.append((f"convert-{codec}", lambda codec=codec: converted(f"convert-{codec}", "--codec", codec)))
    recipes.append(("convert-elf", lambda: converted("convert-elf", "--format", "elf")))
    for name, make in recipes:
        yield name, make()
        for file in folder.glob("further.*"):
            file.unlink()


def unflatten(flat, target):
    """makedumpfile -F output as the dump it describes."""
    with open(flat, "rb") as stream:
        cache.run(["makedumpfile", "-R", target], stdin=stream)
    flat.unlink()
    return target


# Of a container that is whole.
TRUTHFUL = ("data", "zero", "excluded", "absent")


def compare_rows_with_ram(rows, memory, skip=lambda address: False):
    """The same for the rows of `pages --crc32`. Returns (pages compared, addresses that differ, pages by state)."""
    compared, different, states = 0, [], collections.Counter()
    for row in rows:
        states[row["state"]] += 1
        address = row["pfn"] * PAGE
        truth = memory.page(address)
        if row["crc32"] is None or truth is None or skip(address):
            continue
        compared += 1
        if int(row["crc32"], 16) != zlib.crc32(truth):
            different.append(address)
    return compared, different, states


class GuestMemory:
    """Guest RAM as `pmemsave` wrote it; on q35 the part above 3 GiB sits at 4 GiB."""

    def __init__(self, folder, size):
        # q35 puts at most 2 GiB below 4 GiB when the guest has 2.75 GiB or more.
        low = size if size < 0xb0000000 else 0x80000000
        self.parts = [(0, low, Path(folder) / "ram-low.raw")]
        self._open = {}
        if size > low:
            self.parts.append((4 << 30, size - low, Path(folder) / "ram-high.raw"))

    def save(self, qmp):
        for start, size, path in self.parts:
            qmp.command("pmemsave", timeout=600, val=start, size=size, filename=str(path))

    def page(self, address):
        """One page, None where there is no RAM."""
        return self._read(address, PAGE)

    def read(self, address, length):
        """So many bytes of RAM; raises LabError where it has not all of them."""
        data = self._read(address, length)
        if data is None or len(data) != length:
            raise LabError(f"guest RAM has not {length:#x} bytes at {address:#x}")
        return data

    def _read(self, address, length):
        for start, size, path in self.parts:
            if start <= address < start + size:
                if path not in self._open:
                    self._open[path] = os.open(path, os.O_RDONLY)
                return os.pread(self._open[path], length, address - start)
        return None

    def remove(self):
        for _, _, path in self.parts:
            if path in self._open:
                os.close(self._open.pop(path))
            path.unlink(missing_ok=True)


class _Library:
    """A page decoder of a C library, which takes seconds where the oracle's in Python takes minutes; the oracle's own
    confirms the first pages."""

    CONFIRMED = 200

    def __init__(self, own, decode):
        self._own, self._decode, self._left = own, decode, self.CONFIRMED

    def __call__(self, data, want):
        out, size = ctypes.create_string_buffer(want), ctypes.c_size_t(want)
        if self._decode(bytes(data), ctypes.c_size_t(len(data)), out, ctypes.byref(size)) != 0 or size.value != want:
            return self._own(data, want)
        if self._left:
            self._left -= 1
            if self._own(data, want) != out.raw:
                raise LabError("the oracle's decoder and the library's disagree")
        return out.raw


def _fast_codecs(codecs):
    """The oracle's decoders of kdump-compressed pages; LZO by liblzo2, which makedumpfile brings along, snappy by
    libsnappy."""
    lzo = ctypes.CDLL("liblzo2.so.2").lzo1x_decompress_safe
    return {**codecs, 2: _Library(codecs[2], lambda *words: lzo(*words, None)),
            4: _Library(codecs[4], ctypes.CDLL("libsnappy.so.1").snappy_uncompress)}


def compare_with_ram(path, memory, skip=lambda address: False):
    """Holds every page of a container against guest RAM, with the oracle's reader.

    `skip` tells for an address whether its page may differ. Returns (pages compared, addresses that differ).
    """
    dump = dumpfile.open_dump(str(path))
    codecs = getattr(dump, "CODECS", None)
    if codecs:  # a decoder in Python takes most of a minute for a whole dump
        dump.CODECS = _fast_codecs(codecs)
    compared, different = 0, []
    for address in dump.pages():
        truth = memory.page(address)
        if truth is None or skip(address):
            continue
        try:
            data = dump.read(address, PAGE)
        except dumpfile.Unknown:
            continue
        compared += 1
        if data != truth:
            different.append(address)
    return compared, different
