# SPDX-License-Identifier: GPL-2.0-or-later
"""Truth 1: what the emulated hardware did, from QEMU's trace.

Registers that the kernel programmed, translations made, invalidation descriptors processed. Descriptors
are decoded here from their raw words, so that legacy, scalable and first-stage invalidations count alike.
"""

import re
from dataclasses import dataclass, field

PAGE = 4096
_GCMD, _RTADDR, _IQA, _IRTA = 0x18, 0x20, 0x90, 0xb8
# Enable bits of GCMD that persist: TE, QIE, IRE, CFI.
GCMD_ENABLES = (1 << 31) | (1 << 26) | (1 << 25) | (1 << 23)
_SRTP, _SIRTP = 1 << 30, 1 << 24
_ADDRESS = 0x000ffffffffff000


@dataclass(frozen=True)
class Translation:
    """One leaf entry as the hardware used it."""

    entry: int
    domain: int

    @property
    def large(self):
        return bool(self.entry & 0x80)

    def places(self, iova):
        """Physical addresses that the entry can mean for an IOVA page (the trace leaves out the level)."""
        address = self.entry & _ADDRESS
        if not self.large:
            return {address}
        found = {(address & -(2 << 20)) + (iova & ((2 << 20) - PAGE))}
        if address & ((1 << 30) - 1) == 0:
            found.add(address + (iova & ((1 << 30) - PAGE)))
        return found


@dataclass
class Trace:
    """The state at the crash."""

    rtaddr: int = 0
    iqa: int = 0
    irta: int = 0
    gcmd: int = 0
    live: dict = field(default_factory=dict)  # (requester, IOVA page) -> Translation
    last: dict = field(default_factory=dict)  # the same, whatever was invalidated since
    invalidations: int = 0
    faults: int = 0
    _of_domain: dict = field(default_factory=dict)  # domain -> keys of `live`

    def translate(self, key, made):
        """Notes one translation."""
        before = self.live.get(key)
        if before is not None:
            self._of_domain[before.domain].discard(key)
        self._of_domain.setdefault(made.domain, set()).add(key)
        self.live[key] = self.last[key] = made

    def invalidate(self, domain=None, address=0, pages=None):
        """Drops what one invalidation covers; without a domain, everything."""
        self.invalidations += 1
        if domain is None:
            self.live.clear()
            self._of_domain.clear()
            return
        end = address + (pages or 0) * PAGE
        own = self._of_domain.get(domain, set())
        for key in [key for key in own if pages is None or address <= key[1] < end
                    or (self.live[key].large and _overlaps_large(key[1], address, end))]:
            own.discard(key)
            del self.live[key]


def _overlaps_large(iova, address, end):
    start = iova & -(2 << 20)
    return start < end and address < start + (2 << 20)


_UPDATE = re.compile(r"vtd_iotlb_page_update .* sid 0x(\w+) iova 0x(\w+) slpte 0x(\w+) domain 0x(\w+)")
_DESCRIPTOR = re.compile(r"vtd_inv_desc .* high 0x(\w+) low 0x(\w+)")
_WRITE = re.compile(r"vtd_reg_write addr 0x(\w+) size 0x(\w+) value 0x(\w+)")


def _descriptor(trace, high, low):
    kind = (low & 0xf) | ((low >> 5) & 0x70)
    granularity = (low >> 4) & 3
    domain = (low >> 16) & 0xffff
    pages = 1 << (high & 0x3f)
    address = (high & ~0xfff) & -(pages * PAGE)
    if kind == 2:  # IOTLB
        if granularity == 1:
            trace.invalidate()
        elif granularity == 2:
            trace.invalidate(domain)
        elif granularity == 3:
            trace.invalidate(domain, address, pages)
    elif kind == 6:  # PASID-based IOTLB
        if granularity == 2:
            trace.invalidate(domain)
        elif granularity == 3:
            trace.invalidate(domain, address, pages)


def read(path, crash_offset):
    """Replays a trace.

    Registers are those at `crash_offset` (the trace's size when the guest was told to crash).
    Translations and invalidations go on to the first global command after it, which is the capture
    kernel's; devices keep using the dead kernel's tables up to there.
    """
    trace = Trace()
    table_pointer, remap_pointer = 0, 0
    offset = 0
    with open(path, "rb") as lines:
        for raw in lines:
            offset += len(raw)
            crashed = offset > crash_offset
            line = raw.decode("ascii", "replace")
            if line.startswith("vtd_iotlb_page_update"):
                found = _UPDATE.search(line)
                if found:
                    sid, iova, entry, domain = (int(word, 16) for word in found.groups())
                    key = (sid, iova & -PAGE)
                    trace.translate(key, Translation(entry, domain))
            elif line.startswith("vtd_inv_desc "):
                found = _DESCRIPTOR.search(line)
                if found:
                    _descriptor(trace, int(found.group(1), 16), int(found.group(2), 16))
            elif line.startswith("vtd_dmar_fault"):
                trace.faults += not crashed
            elif line.startswith("vtd_reg_write_gcmd"):
                if crashed:
                    break
            elif line.startswith("vtd_reg_write ") and not crashed:
                found = _WRITE.search(line)
                if not found:
                    continue
                register, size, value = (int(word, 16) for word in found.groups())
                if register == _RTADDR:
                    table_pointer = value if size == 8 else (table_pointer & ~0xffffffff) | value
                elif register == _RTADDR + 4:
                    table_pointer = (table_pointer & 0xffffffff) | value << 32
                elif register == _IRTA:
                    remap_pointer = value if size == 8 else (remap_pointer & ~0xffffffff) | value
                elif register == _IRTA + 4:
                    remap_pointer = (remap_pointer & 0xffffffff) | value << 32
                elif register == _IQA:
                    trace.iqa = value if size == 8 else (trace.iqa & ~0xffffffff) | value
                elif register == _IQA + 4:
                    trace.iqa = (trace.iqa & 0xffffffff) | value << 32
                elif register == _GCMD:
                    trace.gcmd = value & GCMD_ENABLES
                    # A pointer counts from the command that latches it.
                    if value & _SRTP:
                        trace.rtaddr = table_pointer
                    if value & _SIRTP:
                        trace.irta = remap_pointer
    return trace
