# SPDX-License-Identifier: GPL-2.0-or-later
"""Images of a guest's RAM as tools write them on a machine that runs: LiME's, AVML's and bare memory.

A capture kernel's dump leaves out the low MiB, itself and its memory; these hold all that /proc/iomem calls System RAM, and
nothing else: no note, no CPU, no state of a page. Each is written here as the tool in question writes it.
"""

import copy
import ctypes
import json
import struct
import zlib
from dataclasses import dataclass, field

from . import cache, ways
from .checks import Check
from .dumps import PAGE, TRUTHFUL

LIME_MAGIC, AVML_MAGIC = 0x4c694d45, 0x4c4d5641
AVML_BLOCK = 16 << 20
FRAME = 65536
SNAPPY_START = b"\xff\x06\0\0sNaPpY"

SOURCE = cache.LAB_SOURCE / "host/crc32c.c"


class _Snappy:
    """The snappy framing format by libsnappy."""

    def __init__(self):
        def build(temporary):
            cache.run(["gcc", "-O2", "-msse4.2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", temporary, SOURCE])

        self._library = ctypes.CDLL("libsnappy.so.1")
        self._library.snappy_max_compressed_length.restype = ctypes.c_size_t
        self._crc32c = ctypes.CDLL(str(cache.made_once(cache.root() / "image" / f"crc32c-{cache.digest(SOURCE)}.so",
                                                       build))).lab_crc32c
        self._crc32c.restype = ctypes.c_uint32

    def compressed(self, data):
        room = self._library.snappy_max_compressed_length(ctypes.c_size_t(len(data)))
        out, size = ctypes.create_string_buffer(room), ctypes.c_size_t(room)
        if self._library.snappy_compress(data, ctypes.c_size_t(len(data)), out, ctypes.byref(size)) != 0:
            raise cache.LabError("libsnappy does not compress")
        return out.raw[:size.value]

    def checksum(self, data):
        crc = self._crc32c(data, ctypes.c_size_t(len(data)))
        return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff

    def stream(self, data):
        """A stream as Rust's encoder writes it: what an eighth does not come off of stays as it is."""
        out = [SNAPPY_START]
        for at in range(0, len(data), FRAME):
            part = data[at:at + FRAME]
            packed = self.compressed(part)
            kind, body = (0, packed) if len(packed) < len(part) - len(part) // 8 else (1, part)
            out += [struct.pack("<II", kind | len(body) + 4 << 8, self.checksum(part)), body]
        return b"".join(out)


@dataclass
class Image:
    """A written image: what the tool is asked with, and what it must and must not know of it."""

    name: str
    arguments: list  # of the tool
    gap: str  # the diagnostic that tells what the container cannot, whatever is in it
    padded: bool = False  # what is not System RAM is in it as zeros
    holds: list = field(default_factory=list)  # (first, end) of memory that is in it

    def gaps(self):
        """All diagnostics that tell what it cannot: the form of LiME says so of a range that begins within a page."""
        unaligned = self.gap == "lime.live" and any(first % PAGE for first, _ in self.holds)
        return [self.gap, "lime.unaligned"] if unaligned else [self.gap]

    def pages(self):
        """Page frames that are in it as a whole."""
        return {pfn for first, end in self.holds for pfn in range(-(-first // PAGE), end // PAGE)}


def _header(magic, version, first, end):
    return struct.pack("<IIQQQ", magic, version, first, end - 1, 0)


def _pieces(first, end, size):
    for at in range(first, end, size):
        yield at, min(at + size, end)


def _whole(first, end):
    """LiME cannot map the page that a range ends inside of, and writes zeros for it."""
    return first + (end - first) // PAGE * PAGE


def _lime(out, ranges, memory, image):
    for first, end in ranges:
        out.write(_header(LIME_MAGIC, 1, first, end))
        for at, stop in _pieces(first, _whole(first, end), AVML_BLOCK):
            out.write(memory.read(at, stop - at))
        out.write(bytes(end - _whole(first, end)))
        image.holds.append((first, _whole(first, end)))


def _padded(out, ranges, memory, image):
    for first, end in ranges:
        for at, stop in _pieces(first, _whole(first, end), AVML_BLOCK):
            out.seek(at)
            out.write(memory.read(at, stop - at))
        image.holds.append((first, _whole(first, end)))
    out.truncate(ranges[-1][1])


def avml_blocks(ranges):
    """The blocks that AVML makes of /proc/iomem: it takes a range's last byte for the first one behind."""
    for first, end in ranges:
        yield from _pieces(first, end - 1, AVML_BLOCK)


def _avml(out, ranges, memory, image):
    snappy = _Snappy()
    for first, end in avml_blocks(ranges):
        data = memory.read(first, end - first)
        if data.count(0) == len(data):
            continue  # blocks of zeros are left out
        stream = snappy.stream(data)
        out.write(_header(AVML_MAGIC, 2, first, end) + stream + struct.pack("<Q", len(stream)))
        image.holds.append((first, end))


def _avml_plain(out, ranges, memory, image):
    for first, end in avml_blocks(ranges):
        data = memory.read(first, end - first)
        if data.count(0) == len(data):
            continue
        out.write(_header(LIME_MAGIC, 1, first, end) + data)
        image.holds.append((first, end))


KINDS = [("lime", _lime, "lime.live"), ("avml", _avml, "avml.live"), ("padded", _padded, "raw.no-states")]
THOROUGH = [("avml-plain", _avml_plain, "lime.live")]


def write(folder, ranges, memory, kinds):
    """Each image in turn; its file is gone when the next one is asked for."""
    for name, writer, gap in kinds:
        path = folder / f"image.{name}"
        padded = writer is _padded
        image = Image(name, ["--raw=0", path] if padded else [path], gap, padded)
        try:
            with open(path, "wb") as out:
                writer(out, ranges, memory, image)
            yield image
        finally:
            path.unlink(missing_ok=True)


@dataclass
class Answers:
    """What the tool said of one image, or of the dump that it is held against."""

    status: int
    report: dict
    row_status: int
    rows: list
    pages: dict = field(default_factory=dict)  # page frame -> (state, CRC-32 or None)


def _ask_all(ask, image):
    status, out, error = ask("report", *image.arguments, "--format", "json")
    try:
        report = json.loads(out)
        row_status, out, _ = ask("mappings", "-q", *image.arguments, "--format", "ndjson")
        rows = [json.loads(line) for line in out.splitlines()]
        _, out, _ = ask("pages", "-q", "--crc32", "--format", "ndjson", *image.arguments)
        pages = {}
        for line in out.splitlines():
            row = json.loads(line)
            pages[row["pfn"]] = row["state"], row["crc32"] and int(row["crc32"], 16)
    except (ValueError, KeyError) as err:
        raise cache.LabError(f"image.{image.name}: exit {status}, {err}: {error[:200]}") from err
    return Answers(status, report, row_status, rows, pages)


def pages_wrong(image, answers, truth):
    """What is not as it must be of the pages; `truth` maps page frames of RAM to their CRC-32."""
    wrong = []
    whole = image.pages()
    nothing = zlib.crc32(bytes(PAGE))
    known = 0
    for pfn, (state, crc) in answers.pages.items():
        if state not in TRUTHFUL:
            wrong.append(f"page {pfn:#x} is {state}")
        elif crc is None:
            continue
        elif pfn in whole:
            known += 1
            if crc != truth[pfn]:
                wrong.append(f"page {pfn:#x} differs from guest RAM")
        elif not image.padded or crc != nothing:
            wrong.append(f"page {pfn:#x} is {state}, and not in the image")
    if known != len(whole):
        wrong.append(f"{known} of the {len(whole)} pages in it are known")
    if not whole:
        wrong.append("no page in it")
    return wrong


def audit_wrong(image, answers, dump):
    """What differs from the audit of a dump of the same memory, but for what the container cannot tell, and must say."""
    if "error" in answers.report:
        return [answers.report["error"]["message"][:200]]
    wrong = []
    missed = ways.ROADS.note_missed(dump.report, answers.report)
    if missed:
        wrong.append(missed)

    def gaps(report):
        return sorted(item["id"] for item in report["diagnostics"] if item["effect"] == "incomplete")

    if gaps(answers.report) != sorted([*gaps(dump.report), *image.gaps()]):
        wrong.append(f"gaps: {', '.join(gaps(answers.report)) or 'none'}")
    if answers.report["complete"] or not answers.report["incomplete_because"]:
        wrong.append("said to be complete")
    if answers.rows != dump.rows:
        wrong.append(f"{sum(row in dump.rows for row in answers.rows)} of {len(answers.rows)} rows are the dump's "
                     f"{len(dump.rows)}")
    wanted = (dump.status or 3, 3)
    if (answers.status, answers.row_status) != wanted:
        wrong.append(f"exit {answers.status} and {answers.row_status} instead of {wanted[0]} and {wanted[1]}")
    return wrong


def unnoticed(image, answers, truth, dump):
    """Planted defects that the two functions above do not notice; answers (how many, names)."""
    pages, report, rows = answers.pages, answers.report, answers.rows
    some = next(pfn for pfn in sorted(image.pages()) if pages[pfn][1] is not None)
    outside = max(image.pages()) + 1
    planted = {
        "byte": {"pages": {**pages, some: (pages[some][0], pages[some][1] ^ 1)}},
        "zeros": {"pages": {**pages, some: ("zero", 0)}},
        "lost page": {"pages": {**pages, some: ("absent", None)}},
        "corrupt page": {"pages": {**pages, some: ("corrupt", None)}},
        "page too many": {"pages": {**pages, outside: ("data", 1)}},
        "complete": {"report": {**report, "complete": True}},
        "gap": {"report": {**report, "diagnostics": []}},
        "units": {"report": {**report, "verdict": "other"}},
        "status": {"status": 0},
    }
    if rows:
        planted["row"] = {"rows": rows[:-1] + [{**rows[-1], "did": -1}]}
        planted["rows"] = {"rows": []}
    missed = []
    for name, change in planted.items():
        broken = copy.copy(answers)
        for key, value in change.items():
            setattr(broken, key, value)
        if not pages_wrong(image, broken, truth) and not audit_wrong(image, broken, dump):
            missed.append(f"image {name}")
    return len(planted), missed


class Checks:
    """The checks of a cell's images, and afterwards the defects planted in the answers to one of them."""

    def __init__(self, ask, folder, memory, ranges, thorough=False):
        self._ask, self._folder, self._memory, self._ranges = ask, folder, memory, ranges
        self._kinds = KINDS + (THOROUGH if thorough else [])
        self.planted, self.missed = 0, []

    def _truth(self):
        truth = {}
        for first, end in self._ranges:
            for at, stop in _pieces(first, _whole(first, end), AVML_BLOCK):
                data = memoryview(self._memory.read(at, stop - at))
                for offset in range(0, len(data), PAGE):
                    truth[(at + offset) // PAGE] = zlib.crc32(data[offset:offset + PAGE])
        return truth

    def run(self, dump):
        """`dump` is what the tool said of a dump of the same memory."""
        truth = self._truth()
        for image in write(self._folder, self._ranges, self._memory, self._kinds):
            answers = _ask_all(self._ask, image)
            wrong = pages_wrong(image, answers, truth)
            yield Check(f"pages.{image.name}", not wrong,
                        "; ".join(wrong[:3]) or f"{len(image.pages())} pages equal to guest RAM, no other is known")
            wrong = audit_wrong(image, answers, dump)
            yield Check(f"image.{image.name}", not wrong,
                        "; ".join(wrong[:3]) or f"the report and {len(answers.rows)} rows of the dump, and {image.gap}")
            if not self.planted:
                self.planted, self.missed = unnoticed(image, answers, truth, dump)
