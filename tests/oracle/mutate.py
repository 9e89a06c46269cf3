#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a copy of a kdump-compressed dump with a planted fault.

    mutate.py IN OUT redirect-leaf BDF PA [--iova IOVA] [--pasid N]
    mutate.py IN OUT drop-page PA
    mutate.py IN OUT drop-table BDF LEVEL [--iova IOVA] [--pasid N]

redirect-leaf makes one 4 KiB leaf of a device (the first writable one, or the
one that maps IOVA) point at PA. drop-page takes a page out of the dump, so that
it reads back as excluded. drop-table drops the page table of that level on the
way to the leaf (1 is the table with the leaf). Separate several changes by "--":

    mutate.py IN OUT redirect-leaf 0000:00:03.0 0x1f000000 -- drop-page 0x2480000

Prints one JSON line per change. Exit status: 0 done, 2 not possible.
"""

import argparse
import json
import os
import shutil
import struct
import sys

import linux_dmar
import vtd
from dumpfile import BadDump, FlattenedFile, KdumpMemory, PAGE, Unknown, open_dump
from kernel import Kernel


class Refused(Exception):
    """The change cannot be made in this dump."""


def open_plain(path):
    memory = open_dump(path)
    if not isinstance(memory, KdumpMemory) or isinstance(memory.source, FlattenedFile) or (
            memory.split):
        raise Refused("only a whole, not flattened kdump-compressed dump can be changed")
    return memory


def find_leaf(memory, bdf, iova=None, pasid=None):
    """(domain, leaf) of a device: that maps iova, or the first writable 4 KiB one."""
    walker = vtd.Walker(memory)
    for unit in linux_dmar.units(Kernel(memory))[0]:
        for domain in walker.domains(unit):
            if domain.bdf != bdf or (pasid is not None and domain.pasid != pasid) or (
                    domain.stage == "passthrough"):
                continue
            for leaf in walker.leaves(domain):
                if leaf.size != PAGE:
                    continue
                if iova == leaf.iova or (iova is None and leaf.perm & 2):
                    return domain, leaf
    raise Refused(f"{bdf} has no such 4 KiB leaf")


def replace_page(path, address, data):
    """Puts raw data at the end of the file and lets the page's descriptor name it."""
    memory = open_plain(path)
    if memory.state(address // PAGE) != "kept":
        raise Refused(f"page 0x{address:x} is not in the dump")
    with open(path, "r+b") as out:
        end = out.seek(0, os.SEEK_END)
        out.write(data)
        out.seek(memory.descriptor_at(address // PAGE))
        out.write(struct.pack("<QIIQ", end, PAGE, 0, 0))


def drop_page(path, address):
    """Clears the page's bit in the second bitmap and takes out its descriptor.

    All data move up, as writers begin them right behind the last descriptor.
    """
    memory = open_plain(path)
    pfn = address // PAGE
    if address % PAGE or memory.state(pfn) != "kept":
        raise Refused(f"page 0x{address:x} is not in the dump")
    dropped = memory.descriptor_at(pfn)
    end = memory.descriptors_at + 24 * memory.rank(memory.bitmap_size * 8 - 1)
    if memory.state(memory.bitmap_size * 8 - 1) == "kept":
        end += 24
    with open(path, "r+b") as out:
        out.seek(memory.descriptors_at)
        table = out.read(end - memory.descriptors_at)
        data = out.read()
        gap = dropped - memory.descriptors_at
        kept = table[:gap] + table[gap + 24:]
        out.seek(memory.descriptors_at)
        out.write(b"".join(struct.pack("<QIIQ", offset and offset - 24, *rest)
                           for offset, *rest in struct.iter_unpack("<QIIQ", kept)))
        out.write(data)
        out.truncate()
        place = memory.bitmap2_at + pfn // 8
        out.seek(place)
        bits = out.read(1)[0]
        out.seek(place)
        out.write(bytes([bits & ~(1 << pfn % 8)]))
        out.seek(PAGE + 64)
        erased, = struct.unpack("<Q", out.read(8))
        if erased >= end:
            out.seek(PAGE + 64)
            out.write(struct.pack("<Q", erased - 24))


def redirect_leaf(path, options):
    memory = open_plain(path)
    target = int(options.pa, 0)
    if target & ~vtd.ADDRESS:
        raise Refused(f"0x{target:x} is not the address of a page")
    domain, leaf = find_leaf(memory, options.bdf, options.iova, options.pasid)
    raw = leaf.raw & ~vtd.ADDRESS | target
    page = leaf.entry & -PAGE
    data = bytearray(memory.read(page, PAGE))
    struct.pack_into("<Q", data, leaf.entry - page, raw)
    replace_page(path, page, bytes(data))
    return {"change": "redirect-leaf", "bdf": domain.bdf, "pasid": domain.pasid,
            "stage": domain.stage, "iova": f"0x{leaf.iova:x}", "table": f"0x{page:x}",
            "entry": f"0x{leaf.entry:x}", "old": f"0x{leaf.raw:x}", "new": f"0x{raw:x}"}


def drop_table(path, options):
    domain, leaf = find_leaf(open_plain(path), options.bdf, options.iova, options.pasid)
    if not 1 <= options.level <= len(leaf.tables):
        raise Refused(f"no page table of level {options.level}")
    table = leaf.tables[-options.level]
    drop_page(path, table)
    return {"change": "drop-table", "bdf": domain.bdf, "pasid": domain.pasid,
            "level": options.level, "iova": f"0x{leaf.iova:x}", "page": f"0x{table:x}"}


def apply(path, words):
    parser = argparse.ArgumentParser(prog="mutate.py")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, last in (("redirect-leaf", ("pa", str)), ("drop-table", ("level", int))):
        command = commands.add_parser(name)
        command.add_argument("bdf")
        command.add_argument(last[0], type=last[1])
        command.add_argument("--iova", type=lambda word: int(word, 0))
        command.add_argument("--pasid", type=int)
    commands.add_parser("drop-page").add_argument("pa")
    options = parser.parse_args(words)
    if options.command == "redirect-leaf":
        return redirect_leaf(path, options)
    if options.command == "drop-table":
        return drop_table(path, options)
    drop_page(path, int(options.pa, 0))
    return {"change": "drop-page", "page": options.pa}


def main(arguments):
    if len(arguments) < 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    source, target, *words = arguments
    try:
        shutil.copyfile(source, target)
        os.chmod(target, 0o644)
        while words:
            cut = words.index("--") if "--" in words else len(words)
            print(json.dumps(apply(target, words[:cut])))
            words = words[cut + 1:]
    except (Refused, BadDump, Unknown, OSError) as err:
        print(f"mutate: {err}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
