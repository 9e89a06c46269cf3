#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a drgn user would write to list live DMA mappings: all leaves of legacy-mode second-stage tables.

    vtd_walk.py VMCORE VMLINUX

Prints the number of devices and leaves. No checks, no findings: the least that reaches the same memory.
"""

import struct
import sys

import drgn
from drgn.helpers.linux.list import list_for_each_entry

ADDRESS = 0x000ffffffffff000


def page(program, address):
    return struct.unpack("<512Q", program.read(address, 4096, True))


def leaves(program, table, level):
    count = 0
    for entry in page(program, table):
        if entry & 3 == 0:
            continue
        if level == 1 or entry & 0x80:
            count += 1
        else:
            count += leaves(program, entry & ADDRESS, level - 1)
    return count


def main(vmcore, vmlinux):
    program = drgn.Program()
    program.set_core_dump(vmcore)
    program.load_debug_info([vmlinux])
    offset = program["page_offset_base"].value_()
    devices = total = 0
    done = {}
    for drhd in list_for_each_entry("struct dmar_drhd_unit", program["dmar_drhd_units"].address_of_(), "list"):
        root = page(program, drhd.iommu.root_entry.value_() - offset)
        for bus in range(256):
            if not root[2 * bus] & 1:
                continue
            contexts = page(program, root[2 * bus] & ADDRESS)
            for low, high in zip(contexts[::2], contexts[1::2]):
                if not low & 1:
                    continue
                devices += 1
                top = low & ADDRESS
                if top not in done:
                    done[top] = leaves(program, top, (high & 7) + 2)
                total += done[top]
    print(devices, total)


if __name__ == "__main__":
    main(*sys.argv[1:])
