# SPDX-License-Identifier: GPL-2.0-or-later
"""Physical memory out of a vmcore file: kdump-compressed or ELF.

    memory = open_dump(path)
    memory.read(physical, size) -> bytes, or raises Unknown
    memory.vmcoreinfo -> dict of text keys and values

What the dump does not hold raises Unknown, whatever the reason; it never turns
into zero bytes.
"""

import os
import struct

import pagecodec

PAGE = 4096


class Unknown(Exception):
    """These bytes are not known from the dump."""

    def __init__(self, address, reason):
        super().__init__(f"0x{address:x}: {reason}")
        self.address = address
        self.reason = reason


class BadDump(Exception):
    """The file is not a dump this reader understands."""


class PlainFile:
    def __init__(self, path):
        self._fd = -1
        self._fd = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._fd).st_size

    def __del__(self):
        if self._fd >= 0:
            os.close(self._fd)

    def at(self, offset, size):
        """Bytes at offset; fewer when the file ends."""
        if not 0 <= offset < self.size:
            return b""
        return os.pread(self._fd, min(size, self.size - offset), offset)


class FlattenedFile:
    """makedumpfile's flattened stream, seen as the file it describes."""

    SIGNATURE = b"makedumpfile\0\0\0\0"

    def __init__(self, plain):
        self._plain = plain
        self._pieces = []
        self.size = 0
        where = 4096
        while True:
            head = plain.at(where, 16)
            if len(head) < 16:
                break
            offset, size = struct.unpack(">qq", head)
            if offset == -1 or offset < 0 or size < 0:
                break
            self._pieces.append((offset, size, where + 16))
            self.size = max(self.size, offset + size)
            where += 16 + size
        # A later record overrides an earlier one at the same place.
        self._by_chunk = {}
        for number, (offset, size, _) in enumerate(self._pieces):
            for chunk in range(offset >> 16, (offset + max(size, 1) - 1 >> 16) + 1):
                self._by_chunk.setdefault(chunk, []).append(number)

    def at(self, offset, size):
        size = max(0, min(size, self.size - offset))
        out = bytearray(size)
        if not size:
            return b""
        numbers = set()
        for chunk in range(offset >> 16, (offset + size - 1 >> 16) + 1):
            numbers.update(self._by_chunk.get(chunk, ()))
        for number in sorted(numbers):
            begin, length, where = self._pieces[number]
            low, high = max(begin, offset), min(begin + length, offset + size)
            if low < high:
                data = self._plain.at(where + low - begin, high - low)
                out[low - offset:low - offset + len(data)] = data
                if len(data) < high - low:
                    return bytes(out[:low - offset + len(data)])
        return bytes(out)


def open_dump(path):
    source = PlainFile(path)
    if source.at(0, 16) == FlattenedFile.SIGNATURE:
        source = FlattenedFile(source)
    magic = source.at(0, 8)
    if magic == b"KDUMP   ":
        return KdumpMemory(source)
    if magic[:4] == b"\x7fELF":
        return ElfMemory(source)
    raise BadDump("neither a kdump-compressed nor an ELF file")


def parse_vmcoreinfo(blob):
    text = blob.split(b"\0")[0].decode("ascii", "replace")
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key: value for key, value in pairs}


def parse_notes(blob):
    """Yields (name, type, payload) of 4-byte aligned ELF notes."""
    pos = 0
    while pos + 12 <= len(blob):
        name_size, size, kind = struct.unpack_from("<III", blob, pos)
        pos += 12
        name = blob[pos:pos + name_size].rstrip(b"\0")
        pos += name_size + 3 & ~3
        yield name, kind, blob[pos:pos + size]
        pos += size + 3 & ~3


class PhysicalMemory:
    """Reads that cross pages, on top of page()."""

    def read(self, address, size):
        out = bytearray()
        while size:
            inside = address % PAGE
            step = min(size, PAGE - inside)
            out += self.part(address, step)
            address += step
            size -= step
        return bytes(out)

    def qwords(self, address, count):
        return struct.unpack(f"<{count}Q", self.read(address, 8 * count))


class KdumpMemory(PhysicalMemory):
    """kdump-compressed, header version 6, 64-bit little endian."""

    CODECS = {1: pagecodec.inflate, 2: pagecodec.lzo1x, 4: pagecodec.snappy,
              0x20: pagecodec.zstd}
    CHUNK = 512

    def __init__(self, source):
        self.source = source
        header = source.at(0, 464)
        if len(header) < 464:
            raise BadDump("main header cut")
        self.version, = struct.unpack_from("<i", header, 8)
        self.block, sub_blocks, bitmap_blocks = struct.unpack_from("<iiI", header, 428)
        if self.version < 6 or self.block != PAGE or sub_blocks < 1 or bitmap_blocks < 1:
            raise BadDump(f"header version {self.version}, block size {self.block}: "
                          "only version 6 with 4096-byte blocks is read")
        sub = source.at(self.block, 104)
        if len(sub) < 104:
            raise BadDump("sub header cut")
        info_at, info_size = struct.unpack_from("<QQ", sub, 32)
        note_at, note_size = struct.unpack_from("<QQ", sub, 48)
        self.split, = struct.unpack_from("<i", sub, 12)
        start, end, self.page_count = struct.unpack_from("<QQQ", sub, 80)
        self.first, self.limit = (start, end) if self.split else (0, self.page_count)
        self.bitmap_size = bitmap_blocks * self.block // 2
        self.bitmap1_at = (1 + sub_blocks) * self.block
        self.bitmap2_at = self.bitmap1_at + self.bitmap_size
        self.descriptors_at = self.bitmap1_at + bitmap_blocks * self.block
        self._ram = source.at(self.bitmap1_at, self.bitmap_size)
        self._kept = source.at(self.bitmap2_at, self.bitmap_size)
        if len(self._kept) < self.bitmap_size:
            raise BadDump("page bitmap cut")
        self._ranks = [0]
        for chunk in range(0, self.bitmap_size, self.CHUNK):
            bits = int.from_bytes(self._kept[chunk:chunk + self.CHUNK], "little")
            self._ranks.append(self._ranks[-1] + bits.bit_count())
        self._cache = {}
        blob = source.at(info_at, min(info_size, 1 << 16)) if info_size else b""
        if not blob and note_size:
            for name, _, payload in parse_notes(source.at(note_at, min(note_size, 1 << 24))):
                if name == b"VMCOREINFO":
                    blob = payload
        self.vmcoreinfo = parse_vmcoreinfo(blob)

    def state(self, pfn):
        """'kept', 'excluded' or 'absent'."""
        if pfn >= self.page_count or pfn // 8 >= self.bitmap_size:
            return "absent"
        bit = 1 << pfn % 8
        if self._kept[pfn // 8] & bit:
            return "kept" if self.first <= pfn < self.limit else "absent"
        return "excluded" if self._ram[pfn // 8] & bit else "absent"

    def pages(self):
        """Addresses of all pages in the dump."""
        for chunk in range(0, self.bitmap_size, self.CHUNK):
            if any(self._kept[chunk:chunk + self.CHUNK]):
                for pfn in range(chunk * 8, (chunk + self.CHUNK) * 8):
                    if self.state(pfn) == "kept":
                        yield pfn * PAGE

    def rank(self, pfn):
        """Number of kept pages before pfn."""
        chunk = pfn // 8 // self.CHUNK
        part = self._kept[chunk * self.CHUNK:pfn // 8 + 1]
        bits = int.from_bytes(part, "little") & (1 << pfn - chunk * self.CHUNK * 8) - 1
        return self._ranks[chunk] + bits.bit_count()

    def descriptor_at(self, pfn):
        """File offset of the page's descriptor (the page must be kept)."""
        index = self.rank(pfn) - (self.rank(self.first) if self.first else 0)
        return self.descriptors_at + 24 * index

    def page(self, pfn):
        data = self._cache.get(pfn)
        if data is None:
            data = self._decode(pfn)
            if len(self._cache) >= 16384:
                self._cache.clear()
            self._cache[pfn] = data
        return data

    def part(self, address, size):
        inside = address % PAGE
        return self.page(address // PAGE)[inside:inside + size]

    def _decode(self, pfn):
        state = self.state(pfn)
        if state != "kept":
            raise Unknown(pfn * PAGE, state)
        raw = self.source.at(self.descriptor_at(pfn), 24)
        if len(raw) < 24:
            raise Unknown(pfn * PAGE, "truncated")
        offset, size, flags, _ = struct.unpack("<QIIQ", raw)
        if offset == 0:
            raise Unknown(pfn * PAGE, "lost")
        if not 0 < size <= 2 * self.block:
            raise Unknown(pfn * PAGE, f"corrupt: {size} bytes of page data")
        data = self.source.at(offset, size)
        if len(data) < size:
            raise Unknown(pfn * PAGE, "truncated")
        if flags == 0:
            if size != self.block:
                raise Unknown(pfn * PAGE, f"corrupt: raw page of {size} bytes")
            return data
        codec = self.CODECS.get(flags)
        if codec is None:
            raise Unknown(pfn * PAGE, f"corrupt: descriptor flags 0x{flags:x}")
        try:
            return codec(data, self.block)
        except pagecodec.CodecError as err:
            raise Unknown(pfn * PAGE, f"corrupt: {err}") from None


class ElfMemory(PhysicalMemory):
    """ELF64 little-endian vmcore; the first PT_LOAD holding a byte has it."""

    def __init__(self, source):
        self.source = source
        header = source.at(0, 64)
        if len(header) < 64 or header[4:6] != b"\x02\x01":
            raise BadDump("not a 64-bit little-endian ELF file")
        kind, machine = struct.unpack_from("<HH", header, 16)
        if kind != 4 or machine != 62:
            raise BadDump(f"ELF type {kind}, machine {machine}: not an x86-64 core")
        table, sections = struct.unpack_from("<QQ", header, 32)
        entry_size, count = struct.unpack_from("<HH", header, 54)
        if count == 0xFFFF:
            count, = struct.unpack("<I", source.at(sections + 44, 4))
        if entry_size < 56:
            raise BadDump(f"program header entries of {entry_size} bytes")
        self.vmcoreinfo = {}
        self.loads = []
        headers = source.at(table, entry_size * count)
        if len(headers) < entry_size * count:
            raise BadDump("program headers cut")
        for index in range(count):
            kind, _, offset, virtual, physical, in_file, in_memory, _ = struct.unpack_from(
                "<IIQQQQQQ", headers, index * entry_size)
            if kind == 4:
                for name, _, payload in parse_notes(source.at(offset, min(in_file, 1 << 26))):
                    if name == b"VMCOREINFO":
                        self.vmcoreinfo = parse_vmcoreinfo(payload)
            elif kind == 1 and in_memory:
                self.loads.append((physical, offset, in_file, max(in_memory, in_file), virtual))

    def part(self, address, size):
        out = bytearray()
        while size:
            piece = self._piece(address, size)
            out += piece
            address += len(piece)
            size -= len(piece)
        return bytes(out)

    def pages(self):
        """Addresses of all whole pages in the dump."""
        seen = set()
        for physical, _, in_file, _, _ in self.loads:
            for address in range(physical + PAGE - 1 & -PAGE, physical + in_file - PAGE + 1, PAGE):
                if address not in seen:
                    seen.add(address)
                    yield address

    def _piece(self, address, size):
        reason = "absent"
        stop = address + size
        for physical, offset, in_file, in_memory, _ in self.loads:
            inside = address - physical
            if inside < 0:
                stop = min(stop, physical)
                continue
            if inside >= in_file:
                if inside < in_memory:
                    reason = "excluded"
                continue
            want = min(stop - address, in_file - inside)
            data = self.source.at(offset + inside, want)
            if not data:
                reason = "truncated"
                continue
            return data
        raise Unknown(address, reason)
