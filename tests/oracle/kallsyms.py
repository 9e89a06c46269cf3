# SPDX-License-Identifier: GPL-2.0-or-later
"""Symbols out of the kallsyms tables in kernel memory.

The kernel says nowhere how it encoded addresses and name lengths, so every
combination is tried and the one whose _stext agrees with VMCOREINFO is kept.
"""

import struct

from dumpfile import BadDump, Unknown
import kallsyms_search

MAX_SYMBOLS = 4_000_000  # ten times what a large configuration has


def load(kernel):
    """Dictionary name -> address; the first of equal names wins."""
    tables = _from_vmcoreinfo(kernel.info) or kallsyms_search.find(kernel)
    stext = int(kernel.info["SYMBOL(_stext)"], 16)
    count = kernel.number(tables["kallsyms_num_syms"], 4)
    if not 0 < count < MAX_SYMBOLS:
        raise BadDump(f"kallsyms_num_syms is {count}")
    tokens = read_tokens(kernel, tables)
    stream = read_available(kernel, tables["kallsyms_names"], count * 40)
    for wide in (True, False):
        names = decode_names(stream, count, tokens, wide)
        if names is None or "_stext" not in names:
            continue
        place = names.index("_stext")
        for decode in ADDRESS_FORMS:
            addresses = decode(kernel, tables, count)
            if addresses is not None and addresses[place] == stext:
                symbols = {}
                for name, address in zip(names, addresses):
                    symbols.setdefault(name, address)
                return symbols
    raise BadDump("kallsyms: no encoding gives the _stext of VMCOREINFO")


def _from_vmcoreinfo(info):
    tables = {key[7:-1]: int(value, 16) for key, value in info.items()
              if key.startswith("SYMBOL(kallsyms_")}
    needed = ("kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table",
              "kallsyms_token_index")
    return tables if all(name in tables for name in needed) else None


def read_available(kernel, start, limit):
    """As many bytes from start as can be read without a gap."""
    out = bytearray()
    while len(out) < limit:
        step = 4096 - (start + len(out)) % 4096
        try:
            out += kernel.read(start + len(out), step)
        except Unknown:
            break
    return bytes(out)


def read_tokens(kernel, tables):
    index = struct.unpack("<256H", kernel.read(tables["kallsyms_token_index"], 512))
    table = read_available(kernel, tables["kallsyms_token_table"], max(index) + 64)
    return [table[at:table.index(b"\0", at)] for at in index]


def decode_names(stream, count, tokens, wide):
    """List of names (type letter removed), or None when the bytes run out.

    wide: a length byte with its top bit set is continued in a second byte.
    """
    names = []
    pos = 0
    end = len(stream)
    for _ in range(count):
        if pos + 2 >= end:
            return None
        length = stream[pos]
        pos += 1
        if wide and length & 0x80:
            length = length & 0x7F | stream[pos] << 7
            pos += 1
        if length == 0 or pos + length > end:
            return None
        text = b"".join([tokens[byte] for byte in stream[pos:pos + length]])
        names.append(text[1:].decode("ascii", "replace"))
        pos += length
    return names


def absolute(kernel, tables, count):
    """An 8-byte address per symbol."""
    if "kallsyms_addresses" not in tables:
        return None
    return struct.unpack(f"<{count}Q", kernel.read(tables["kallsyms_addresses"], 8 * count))


def _offsets(kernel, tables, count):
    if "kallsyms_offsets" not in tables:
        return None
    return struct.unpack(f"<{count}i", kernel.read(tables["kallsyms_offsets"], 4 * count))


def base_relative(kernel, tables, count):
    """An unsigned offset from kallsyms_relative_base."""
    offsets = _offsets(kernel, tables, count)
    if offsets is None or "kallsyms_relative_base" not in tables:
        return None
    base = kernel.number(tables["kallsyms_relative_base"], 8)
    return [base + (value & 0xFFFFFFFF) for value in offsets]


def absolute_percpu(kernel, tables, count):
    """Not negative: the address itself; negative: base - 1 - value."""
    offsets = _offsets(kernel, tables, count)
    if offsets is None or "kallsyms_relative_base" not in tables:
        return None
    base = kernel.number(tables["kallsyms_relative_base"], 8)
    return [value if value >= 0 else base - 1 - value for value in offsets]


def place_relative(kernel, tables, count):
    """A signed offset from the place where it stands."""
    offsets = _offsets(kernel, tables, count)
    if offsets is None:
        return None
    start = tables["kallsyms_offsets"]
    return [start + 4 * index + value & 0xFFFFFFFFFFFFFFFF
            for index, value in enumerate(offsets)]


ADDRESS_FORMS = (absolute, absolute_percpu, base_relative, place_relative)
