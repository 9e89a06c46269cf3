# SPDX-License-Identifier: GPL-2.0-or-later
"""What can still be said of a unit whose struct intel_iommu is not in the dump.

makedumpfile versions older than the kernel take slab pages for user pages and
drop them. The unit's registers then come from the boot log (CAP, ECAP) and its
root table from a search of all pages: the page that walks as a root table
without a rejected entry and leads to most devices.
"""

import re
import struct

import vtd
from dumpfile import PAGE, Unknown

REGISTERS = re.compile(r"DMAR: (dmar\d+): reg_base_addr ([0-9a-f]+) ver [0-9a-f]+:[0-9a-f]+ "
                       r"cap ([0-9a-f]+) ecap ([0-9a-f]+)$")


def log_lines(kernel):
    """Texts of the printk ring buffer (5.10 and later), oldest first."""
    info = kernel.info

    def where(name):
        return int(info[f"OFFSET({name})"])

    ring = kernel.number(int(info["SYMBOL(prb)"], 16), 8)
    descriptors = ring + where("printk_ringbuffer.desc_ring")
    text = ring + where("printk_ringbuffer.text_data_ring")
    bits = kernel.number(descriptors + where("prb_desc_ring.count_bits"), 4)
    table = kernel.number(descriptors + where("prb_desc_ring.descs"), 8)
    infos = kernel.number(descriptors + where("prb_desc_ring.infos"), 8)
    head = kernel.number(descriptors + where("prb_desc_ring.head_id"), 8)
    tail = kernel.number(descriptors + where("prb_desc_ring.tail_id"), 8)
    size = 1 << kernel.number(text + where("prb_data_ring.size_bits"), 4)
    data = kernel.number(text + where("prb_data_ring.data"), 8)
    for number in range(tail, min(head, tail + (1 << bits)) + 1):
        slot = number & (1 << bits) - 1
        at = table + slot * int(info["SIZE(prb_desc)"])
        state = kernel.number(at + where("prb_desc.state_var"), 8)
        if state >> 62 not in (1, 2) or state & (1 << 62) - 1 != number & (1 << 62) - 1:
            continue
        block = at + where("prb_desc.text_blk_lpos")
        begin = kernel.number(block + where("prb_data_blk_lpos.begin"), 8)
        after = kernel.number(block + where("prb_data_blk_lpos.next"), 8)
        if begin & 1:
            continue
        if begin // size != (after - 1) // size:
            begin = 0
        length = kernel.number(infos + slot * int(info["SIZE(printk_info)"])
                               + where("printk_info.text_len"), 2)
        try:
            yield kernel.read(data + begin % size + 8, length).decode("ascii", "replace")
        except Unknown:
            continue


def registers(kernel, reg_base):
    """(name, cap, ecap) from the boot log, or None."""
    for line in log_lines(kernel):
        found = REGISTERS.search(line)
        if found and int(found[2], 16) == reg_base:
            return found[1], int(found[3], 16), int(found[4], 16)
    return None


def find_root(memory, unit, taken):
    """Physical address of the root table; Unknown when none or several fit."""
    scored = []
    for address in _candidates(memory):
        if address in taken:
            continue
        walker = vtd.Walker(memory)
        trial = vtd.Unit(unit.name, unit.segment, unit.cap, unit.ecap, 1 << 31,
                         address | unit.rtaddr & 0xC00)
        devices = len({(domain.bus, domain.devfn) for domain in walker.domains(trial)})
        if devices and not walker.rejected:
            scored.append((devices, address))
    scored.sort(reverse=True)
    if not scored:
        raise Unknown(unit.reg_base, f"{unit.name}: no page of the dump is its root table")
    if len(scored) > 1 and scored[0][0] == scored[1][0]:
        raise Unknown(unit.reg_base, f"{unit.name}: several pages could be its root table")
    return scored[0][1]


def _candidates(memory):
    """Pages of which every non-zero qword is a present table pointer."""
    for address in memory.pages():
        try:
            page = memory.read(address, PAGE)
        except Unknown:
            continue
        if page.count(0) < PAGE // 4:
            continue
        words = [word for word in struct.unpack("<512Q", page) if word]
        if words and all(word & 1 and not word & (0xFFE | vtd.ABOVE_52) for word in words):
            yield address
