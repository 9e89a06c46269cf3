# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the kallsyms tables of a kernel whose VMCOREINFO does not name them.

Kernels before 6.0: in memory order offsets, relative_base (or addresses),
num_syms, names, markers, token_table, token_index, each 8-byte aligned.
"""

import struct

from dumpfile import BadDump, Unknown

IMAGE_LIMIT = 64 << 20  # text and read-only data of distribution kernels are half of this
DIGITS = b"".join(bytes([digit, 0]) for digit in b"0123456789")
FILLER = b"\xff" * 4096  # stands for pages that cannot be read; matches no table


def find(kernel):
    start = int(kernel.info["SYMBOL(_stext)"], 16) & -0x200000
    image = bytearray()
    for offset in range(0, IMAGE_LIMIT, 4096):
        try:
            image += kernel.read(start + offset, 4096)
        except Unknown:
            image += FILLER
    image = bytes(image)
    hit = image.find(DIGITS)
    while hit >= 0:
        tables = _around(image, hit)
        if tables:
            return {name: start + at for name, at in tables.items()}
        hit = image.find(DIGITS, hit + 1)
    raise BadDump("kallsyms tables are neither in VMCOREINFO nor found in the kernel image")


def _around(image, digits):
    for candidate in _token_starts(image, digits):
        index = _token_index(image, candidate)
        if index is not None:
            break
    else:
        return None
    for markers, values, width in _markers(image, candidate):
        names = _names(image, markers, values)
        if names is None:
            continue
        names_at, num_at, count = names
        tables = {"kallsyms_token_table": candidate, "kallsyms_token_index": index,
                  "kallsyms_names": names_at, "kallsyms_num_syms": num_at,
                  "kallsyms_relative_base": num_at - 8,
                  "kallsyms_offsets": num_at - 8 - (4 * count + 7 & -8)}
        if num_at >= 8 * count:
            tables["kallsyms_addresses"] = num_at - 8 * count
        return tables
    return None


def _token_starts(image, digits):
    """The start of token 0: 48 terminators before "0", which is its own token 48."""
    at = digits
    for _ in range(48):
        at = image.rfind(b"\0", 0, at - 1) + 1
        if at <= 0:
            return
    # Before token 0 stands alignment padding or another table.
    for candidate in (at, at + 7 & -8):
        yield candidate
    for candidate in range(at, min(at + 64, digits)):
        yield candidate


def _token_index(image, table):
    offsets, at = [], table
    for _ in range(256):
        offsets.append(at - table)
        at = image.find(b"\0", at) + 1
        if at <= 0 or at - table > 0xFFFF:
            return None
    found = image.find(struct.pack("<256H", *offsets), at, at + 512 + 64)
    return found if found >= 0 else None


def _markers(image, table):
    """Ascending offsets, one for 256 symbols, below the token table."""
    for width, code in ((4, "I"), (8, "Q")):
        low = max(0, table - (8 << 20)) & -8
        words = struct.unpack_from(f"<{(table - low) // width}{code}", image, low)
        index = len(words) - 2
        while index >= 0:
            if words[index] == 0 and 400 <= words[index + 1] <= 30000:
                run = index + 1
                while run < len(words) and 400 <= words[run] - words[run - 1] <= 30000:
                    run += 1
                if run - index >= 40:
                    yield low + index * width, words[index:run], width
            index -= 1


def _names(image, markers, values):
    blocks = len(values)
    for at in range((markers - values[-1] - 2) & -8, max(0, markers - values[-1] - 65536), -8):
        count, = struct.unpack_from("<I", image, at - 8)
        if not (blocks - 1) * 256 < count <= blocks * 256:
            continue
        pos = at
        for number in range(256 * min(8, blocks - 1)):
            if number % 256 == 0 and pos - at != values[number // 256]:
                break
            length = image[pos]
            pos += 1
            if length & 0x80 and _wide(image, at, values):
                length = length & 0x7F | image[pos] << 7
                pos += 1
            pos += length
        else:
            return at, at - 8, count
    return None


def _wide(image, at, values):
    """Whether two-byte lengths make the first 256 names end at the second marker."""
    pos = at
    for _ in range(256):
        length = image[pos]
        pos += 1
        if length & 0x80:
            length = length & 0x7F | image[pos] << 7
            pos += 1
        pos += length
    return pos - at == values[1]
