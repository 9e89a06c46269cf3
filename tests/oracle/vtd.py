# SPDX-License-Identifier: GPL-2.0-or-later
"""What an Intel VT-d unit lets its devices reach, from physical memory alone.

Legacy and scalable mode; second stage, first stage, nested, pass-through.
Nothing here knows about Linux.

Decisions that the rows depend on:
- A pass-through row starts at IOVA 0 and is 2^width long, width being the
  smaller of MGAW and the widest address width of SAGAW.
- Second-stage input ends at 2^min(MGAW, width of the table); entries above are
  dead. First-stage input is canonical: the upper half is sign-extended.
- The interrupt window 0xFEExxxxx is not cut out of a range that covers it.
- PASID is the index of the PASID entry. Without PASIDE in the context entry
  only the RID_PASID entry is live.
- A supervisor-only first-stage page is reachable when SRE, or RID_PRIV for the
  requests without PASID, says so; then R/W binds a write only when WPE is set.
- Execute-disable says nothing about reads and writes.
"""

import dataclasses

from dumpfile import Unknown

ADDRESS = 0x000FFFFFFFFFF000
ABOVE_52 = 0xFFF << 52
MAX_TABLES = 1 << 20   # 2 TiB mapped by 4 KiB pages; a loop of tables ends here
MAX_RANGES = 1 << 24


@dataclasses.dataclass
class Unit:
    name: str
    segment: int
    cap: int
    ecap: int
    gcmd: int
    rtaddr: int
    reg_base: int = 0
    extra: dict = dataclasses.field(default_factory=dict)

    def cap_bits(self, high, low):
        return self.cap >> low & (1 << high - low + 1) - 1

    def ecap_bit(self, bit):
        return self.ecap >> bit & 1

    @property
    def mgaw(self):
        return self.cap_bits(21, 16) + 1

    def supports_width(self, aw):
        return 1 <= aw <= 3 and bool(self.cap_bits(12, 8) >> aw & 1)

    @property
    def width(self):
        widest = max((aw for aw in (1, 2, 3) if self.supports_width(aw)), default=1)
        return min(self.mgaw, 30 + 9 * widest)


@dataclasses.dataclass(frozen=True)
class Leaf:
    iova: int
    size: int
    pa: int
    perm: int          # 1 read, 2 write
    entry: int         # physical address of the entry
    raw: int
    tables: tuple      # physical address of every table on the way, top first


@dataclasses.dataclass(frozen=True)
class Domain:
    """One translation that one PASID of one device goes through."""
    unit: Unit
    bus: int
    devfn: int
    pasid: object      # number, or None in legacy mode
    did: int
    stage: str
    second: int = 0
    second_levels: int = 0
    first: int = 0
    first_levels: int = 0
    supervisor: bool = False
    write_protect: bool = True

    @property
    def bdf(self):
        return f"{self.unit.segment:04x}:{self.bus:02x}:{self.devfn >> 3:02x}.{self.devfn & 7}"

    @property
    def tables_key(self):
        return (self.unit.name, self.stage, self.second, self.second_levels, self.first,
                self.first_levels, self.supervisor, self.write_protect)


class Walker:
    """Walks units; `unknown` and `rejected` collect what stopped a subtree."""

    def __init__(self, memory):
        self.memory = memory
        self.unknown = {}    # address -> text
        self.rejected = {}   # address -> text
        self._done = {}

    def lost(self, err, what):
        self.unknown.setdefault(err.address, f"{what}: {err}")

    def reject(self, address, raw, what):
        self.rejected.setdefault(address, f"{what}: entry at 0x{address:x} is 0x{raw:x}")

    def words(self, address, count, what):
        """Table content, or None when it is unknown (which is recorded)."""
        try:
            return self.memory.qwords(address, count)
        except Unknown as err:
            self.lost(err, what)
            return None

    # Devices -------------------------------------------------------------

    def domains(self, unit):
        """Every live translation of a unit, in device and PASID order."""
        mode = unit.rtaddr >> 10 & 3
        root_at = unit.rtaddr & ADDRESS
        if not unit.gcmd >> 31 & 1:
            self.rejected.setdefault(unit.reg_base, f"{unit.name}: translation is not enabled")
            return
        if mode > 1 or (mode == 1 and not unit.ecap_bit(43)):
            self.rejected.setdefault(unit.reg_base, f"{unit.name}: translation table mode {mode}")
            return
        root = self.words(root_at, 512, f"{unit.name} root table")
        if root is None:
            return
        for bus in range(256):
            low, high = root[2 * bus:2 * bus + 2]
            place = f"{unit.name} bus {bus:02x}"
            if mode == 0:
                if not low & 1:
                    continue
                if low & (0xFFE | ABOVE_52) or high:
                    self.reject(root_at + 16 * bus, low, f"{place}: reserved bits in root entry")
                    continue
                yield from self._legacy_bus(unit, bus, low & ADDRESS, place)
                continue
            for half, word in enumerate((low, high)):
                if not word & 1:
                    continue
                if word & (0xFFE | ABOVE_52):
                    self.reject(root_at + 16 * bus + 8 * half, word,
                                f"{place}: reserved bits in root entry")
                    continue
                yield from self._scalable_half(unit, bus, half, word & ADDRESS, place)

    def _legacy_bus(self, unit, bus, table, place):
        context = self.words(table, 512, f"{place} context table")
        if context is None:
            return
        did_bits = 4 + 2 * unit.cap_bits(2, 0)
        for devfn in range(256):
            low, high = context[2 * devfn:2 * devfn + 2]
            if not low & 1:
                continue
            at = table + 16 * devfn
            kind, aw, did = low >> 2 & 3, high & 7, high >> 8 & 0xFFFF
            if low & (0xFF0 | ABOVE_52) or high & 0xFFFFFFFFFF000080 or did >> did_bits:
                self.reject(at, low, f"{place}: reserved bits in context entry {devfn:02x}")
            elif kind == 3 or (kind == 2 and not unit.ecap_bit(6)) or (
                    kind == 1 and not unit.ecap_bit(2)) or not unit.supports_width(aw):
                self.reject(at, low, f"{place}: type {kind} width {aw} in context entry {devfn:02x}")
            elif kind == 2:
                yield Domain(unit, bus, devfn, None, did, "passthrough")
            else:
                yield Domain(unit, bus, devfn, None, did, "second", low & ADDRESS, aw + 2)

    def _scalable_half(self, unit, bus, half, table, place):
        context = self.words(table, 512, f"{place} context table")
        if context is None:
            return
        for index in range(128):
            entry = context[4 * index:4 * index + 4]
            if not entry[0] & 1:
                continue
            devfn = half << 7 | index
            if entry[0] & (0x1E0 | ABOVE_52) or entry[1] >> 21 or entry[2] or entry[3]:
                self.reject(table + 32 * index, entry[0],
                            f"{place}: reserved bits in context entry {devfn:02x}")
                continue
            yield from self._device(unit, bus, devfn, entry)

    def _device(self, unit, bus, devfn, context):
        place = f"{unit.name} {bus:02x}:{devfn >> 3:02x}.{devfn & 7}"
        directory = context[0] & ADDRESS
        slots = 1 << (context[0] >> 9 & 7) + 7
        rid_pasid = context[1] & 0xFFFFF if unit.ecap_bit(49) else 0
        rid_privileged = bool(context[1] >> 20 & 1)
        only = None if context[0] >> 3 & 1 else rid_pasid
        wanted = range(slots) if only is None else range(only >> 6, (only >> 6) + 1)
        if rid_pasid >= slots * 64:
            self.reject(directory, context[1], f"{place}: RID_PASID beyond the PASID directory")
            if only is not None:
                return
        for slot in wanted:
            words = self.words(directory + 8 * slot, 1, f"{place} PASID directory")
            if words is None or not words[0] & 1:
                continue
            if words[0] & (0xFFE & ~2 | ABOVE_52):
                self.reject(directory + 8 * slot, words[0],
                            f"{place}: reserved bits in PASID directory")
                continue
            table = words[0] & ADDRESS
            entries = self.words(table, 512, f"{place} PASID table")
            if entries is None:
                continue
            for index in range(64):
                pasid = slot << 6 | index
                if only is not None and pasid != only:
                    continue
                privileged = rid_privileged and pasid == rid_pasid
                found = self._pasid(unit, bus, devfn, pasid, entries[8 * index:8 * index + 8],
                                    table + 64 * index, place, privileged)
                if found is not None:
                    yield found

    def _pasid(self, unit, bus, devfn, pasid, entry, at, place, privileged):
        if not entry[0] & 1:
            return None
        what = f"{place} PASID {pasid}"
        if entry[0] & (0xC00 | ABOVE_52) or entry[1] & 0x7F0000 or (
                entry[2] & (0xF00 | ABOVE_52)) or any(entry[3:]):
            self.reject(at, entry[0], f"{what}: reserved bits in PASID entry")
            return None
        kind, aw, did = entry[0] >> 6 & 7, entry[0] >> 2 & 7, entry[1] & 0xFFFF
        gate = {1: 47, 2: 46, 3: 26, 4: 6}.get(kind)
        five = entry[2] >> 2 & 3
        if gate is None or not unit.ecap_bit(gate) or (
                kind in (2, 3) and not unit.supports_width(aw)) or (
                kind in (1, 3) and (five > 1 or five == 1 and not unit.cap_bits(60, 60))):
            self.reject(at, entry[0], f"{what}: type {kind} width {aw} mode {five}")
            return None
        second = dict(second=entry[0] & ADDRESS, second_levels=aw + 2)
        first = dict(first=entry[2] & ADDRESS, first_levels=4 + five,
                     supervisor=bool(entry[2] & 1) or privileged,
                     write_protect=bool(entry[2] >> 4 & 1))
        stage, tables = {1: ("first", first), 2: ("second", second),
                         3: ("nested", {**first, **second}), 4: ("passthrough", {})}[kind]
        return Domain(unit, bus, devfn, pasid, did, stage, **tables)

    # Tables --------------------------------------------------------------

    def ranges(self, domain):
        """List of (iova, size, pa or None, perm), maximal and ascending."""
        if domain.stage == "passthrough":
            return [(0, 1 << domain.unit.width, None, 3)]
        key = domain.tables_key
        if key not in self._done:
            self._done[key] = list(merge(self.leaves(domain)))
        return self._done[key]

    def leaves(self, domain):
        if domain.stage == "second":
            return self._second(domain)
        return self._first(domain)

    def _second(self, domain):
        unit = domain.unit
        limit = 1 << min(unit.mgaw, 3 + 9 * (domain.second_levels + 1))
        budget = [MAX_TABLES]
        yield from self._second_table(domain, domain.second, domain.second_levels, 0, 3, limit,
                                      (), budget)

    def _second_table(self, domain, table, level, base, perm, limit, path, budget):
        entries = self._table(domain, table, level, "second", path, budget, table)
        if entries is None:
            return
        shift = 3 + 9 * level
        path += (table,)
        for index, raw in enumerate(entries):
            if not raw & 3:
                continue
            iova = base + (index << shift)
            if iova >= limit:
                break
            leaf = self._second_entry(domain.unit, raw, level, domain.pasid is not None)
            if leaf is None:
                self.reject(table + 8 * index, raw, f"{domain.unit.name} {domain.bdf} "
                            f"second stage level {level}: reserved bits")
                continue
            allowed = perm & raw
            if not allowed & 3:
                continue
            if leaf:
                size = min(1 << shift, limit - iova)
                yield Leaf(iova, size, raw & ADDRESS, allowed & 3, table + 8 * index, raw, path)
            else:
                yield from self._second_table(domain, raw & ADDRESS, level - 1, iova, allowed & 3,
                                              limit, path, budget)

    @staticmethod
    def _second_entry(unit, raw, level, scalable):
        """True leaf, False table, None reserved bits.

        Snoop (bit 11) without snoop control is reserved in legacy mode. In scalable mode Linux 5.10 sets it
        all the same, and emulated hardware translates through it.
        """
        big = bool(raw & 0x80) and level > 1
        if big and (level > 3 or not unit.cap_bits(37, 34) >> level - 2 & 1):
            return None
        leaf = big or level == 1
        reserved = 0 if leaf and unit.ecap_bit(2) else 1 << 62
        if not leaf or not (scalable or unit.ecap_bit(7)):
            reserved |= 0x800
        if big:
            reserved |= (1 << 3 + 9 * level) - 0x1000
        return None if raw & reserved else leaf

    def _table(self, domain, table, level, stage, path, budget, name):
        budget[0] -= 1
        what = f"{domain.unit.name} {domain.bdf} {stage} stage table of level {level}"
        if budget[0] < 0:
            self.lost(Unknown(domain.second or domain.first, "more tables than the budget"), what)
            return None
        if table in path:
            self.rejected.setdefault(table, f"{what}: 0x{name:x} is its own ancestor")
        return self.words(table, 512, what)

    def second_lookup(self, domain, address):
        """(pa, bytes left in the page, perm) of one address, or None; may raise Unknown."""
        unit, level = domain.unit, domain.second_levels
        if address >> min(unit.mgaw, 3 + 9 * (level + 1)):
            return None
        table, perm = domain.second, 3
        while True:
            shift = 3 + 9 * level
            raw, = self.memory.qwords(table + (address >> shift & 511) * 8, 1)
            perm &= raw
            leaf = self._second_entry(unit, raw, level, True) if raw & 3 else None
            if leaf is None or not perm:
                return None
            inside = address & (1 << shift) - 1
            if leaf:
                return (raw & ADDRESS) + inside, (1 << shift) - inside, perm
            table, level = raw & ADDRESS, level - 1

    def _first(self, domain):
        yield from self._first_table(domain, domain.first, domain.first_levels, 0, 2, True, (),
                                     [MAX_TABLES])

    def _first_table(self, domain, name, level, base, write, user, path, budget):
        table = name
        if domain.stage == "nested":
            try:
                found = self.second_lookup(domain, name)
            except Unknown as err:
                self.lost(err, f"{domain.unit.name} {domain.bdf} table 0x{name:x} of the guest")
                return
            if found is None or not found[2] & 1:
                self.rejected.setdefault(name, f"{domain.unit.name} {domain.bdf}: guest table "
                                         f"0x{name:x} is outside the second stage")
                return
            table = found[0]
        entries = self._table(domain, table, level, "first", path, budget, name)
        if entries is None:
            return
        shift = 3 + 9 * level
        path += (table,)
        for index, raw in enumerate(entries):
            if not raw & 1:
                continue
            iova = base + (index << shift)
            if level == domain.first_levels and index >= 256:
                iova |= -1 << shift + 9 & 0xFFFFFFFFFFFFFFFF
            leaf = self._first_entry(domain.unit, raw, level)
            if leaf is None:
                self.reject(table + 8 * index, raw, f"{domain.unit.name} {domain.bdf} "
                            f"first stage level {level}: reserved bits")
                continue
            may_write, may_user = write & raw, user and bool(raw & 4)
            if not may_user and not domain.supervisor:
                continue
            if not leaf:
                yield from self._first_table(domain, raw & ADDRESS, level - 1, iova, may_write,
                                             may_user, path, budget)
                continue
            perm = 1 | may_write
            if domain.supervisor and not domain.write_protect:
                perm = 3
            target = raw & ADDRESS & -(1 << shift)
            yield from self._bounded(domain, Leaf(iova, 1 << shift, target, perm,
                                                  table + 8 * index, raw, path))

    @staticmethod
    def _first_entry(unit, raw, level):
        big = bool(raw & 0x80) and level > 1
        if big and (level > 3 or (level == 3 and not unit.cap_bits(56, 56))):
            return None
        reserved = (1 << 3 + 9 * level) - 0x2000 if big else 0
        return None if raw & reserved else big or level == 1

    def _bounded(self, domain, leaf):
        """The leaf itself, or what the second stage of a nested domain leaves of it."""
        if domain.stage != "nested":
            yield leaf
            return
        done = 0
        while done < leaf.size:
            step = 4096
            try:
                found = self.second_lookup(domain, leaf.pa + done)
            except Unknown as err:
                found = None
                self.lost(err, f"{domain.unit.name} {domain.bdf} second stage of a nested page")
            if found is not None:
                step = min(found[1], leaf.size - done)
                if leaf.perm & found[2]:
                    yield dataclasses.replace(leaf, iova=leaf.iova + done, size=step, pa=found[0],
                                              perm=leaf.perm & found[2])
            done += step


def merge(leaves):
    """Joins neighbours in IOVA and in physical address with equal permissions."""
    current = None
    count = 0
    for leaf in leaves:
        if current and current[3] == leaf.perm and current[0] + current[1] == leaf.iova and (
                current[2] + current[1] == leaf.pa):
            current[1] += leaf.size
            continue
        if current:
            yield tuple(current)
        count += 1
        if count > MAX_RANGES:
            raise Unknown(leaf.entry, "more ranges than the budget")
        current = [leaf.iova, leaf.size, leaf.pa, leaf.perm]
    if current:
        yield tuple(current)
