# SPDX-License-Identifier: GPL-2.0-or-later
"""The walk on tables built by hand, and the row comparison."""

import json
import struct
import unittest

import compare
import vtd
from dumpfile import PAGE, PhysicalMemory, Unknown

# CAP: 64 domains per ND=6, SAGAW 39 and 48 and 57, 2M and 1G second stage,
# 1G first stage, 5-level first stage.
def cap(mgaw=57, sagaw=0b01110, superpages=3, first_1g=1, five=1):
    return 6 | sagaw << 8 | (mgaw - 1) << 16 | superpages << 34 | first_1g << 56 | five << 60


# ECAP: DT, PT, SC, NEST, SMTS, SSTS, FSTS, RPS.
ECAP = 1 << 2 | 1 << 6 | 1 << 7 | 1 << 26 | 1 << 43 | 1 << 46 | 1 << 47 | 1 << 49
ROOT, CONTEXT, DIRECTORY, PASIDS = 0x1000, 0x2000, 0x3000, 0x4000


class Tables(PhysicalMemory):
    """Physical memory of the pages that were written to."""

    def __init__(self):
        self.content = {}

    def put(self, address, *words):
        for word in words:
            page = self.content.setdefault(address & -PAGE, bytearray(PAGE))
            struct.pack_into("<Q", page, address % PAGE, word)
            address += 8

    def part(self, address, size):
        if address & -PAGE not in self.content:
            raise Unknown(address & -PAGE, "excluded")
        return bytes(self.content[address & -PAGE][address % PAGE:address % PAGE + size])

    def path(self, tables, iova, leaf, flags=3):
        """Entries from tables[0] down to a leaf value in tables[-1]; level 1 is the last."""
        for number, table in enumerate(tables):
            level = len(tables) - number
            value = leaf if level == 1 else tables[number + 1] | flags
            self.put(table + (iova >> 3 + 9 * level & 511) * 8, value)


def unit(mode=0, **changes):
    values = dict(name="dmar0", segment=0, cap=cap(), ecap=ECAP, gcmd=1 << 31,
                  rtaddr=ROOT | mode << 10)
    values.update(changes)
    return vtd.Unit(**values)


def legacy(memory, table=0x10000, aw=1, kind=0, did=7, bus=0, devfn=8):
    memory.put(ROOT + 16 * bus, CONTEXT | 1)
    memory.put(CONTEXT + 16 * devfn, table | kind << 2 | 1, did << 8 | aw)


def scalable(memory, entry, pasid=0, flags=0, rid_pasid=0, devfn=8):
    memory.put(ROOT, CONTEXT | 1)
    memory.put(CONTEXT + 32 * devfn, DIRECTORY | flags | 1, rid_pasid)
    memory.put(DIRECTORY + 8 * (pasid >> 6), PASIDS | 1)
    memory.put(PASIDS + 64 * (pasid & 63), *entry)


def walk(memory, some_unit):
    """(rows, unknown addresses, rejected addresses)."""
    walker = vtd.Walker(memory)
    rows = [(domain.bdf, domain.pasid, domain.did, domain.stage, *found)
            for domain in walker.domains(some_unit) for found in walker.ranges(domain)]
    return rows, sorted(walker.unknown), sorted(walker.rejected)


class LegacyTest(unittest.TestCase):
    def setUp(self):
        self.memory = Tables()
        legacy(self.memory)
        self.memory.put(CONTEXT + 16 * 250, 0)
        self.tables = [0x10000, 0x11000, 0x12000]

    def check(self, ranges, unknown=(), rejected=(), **changes):
        rows, lost, refused = walk(self.memory, unit(**changes))
        self.assertEqual([row[4:] for row in rows], ranges)
        self.assertEqual((lost, refused), (list(unknown), list(rejected)))
        return rows

    def test_neighbours_join_only_when_everything_continues(self):
        put = self.memory.path
        put(self.tables, 0x200000, 0x50003)
        put(self.tables, 0x201000, 0x51003)   # joins
        put(self.tables, 0x202000, 0x53003)   # physical jump
        put(self.tables, 0x203000, 0x54001)   # other permission
        put(self.tables, 0x205000, 0x56001)   # hole before it
        rows = self.check([(0x200000, 0x2000, 0x50000, 3), (0x202000, 0x1000, 0x53000, 3),
                           (0x203000, 0x1000, 0x54000, 1), (0x205000, 0x1000, 0x56000, 1)])
        self.assertEqual(rows[0][:4], ("0000:00:01.0", None, 7, "second"))

    def test_permissions_are_anded_over_the_levels(self):
        for above, leaf, want in ((1, 3, 1), (2, 3, 2), (3, 2, 2), (1, 2, None)):
            with self.subTest(above=above, leaf=leaf):
                self.memory.path(self.tables, 0x1000, 0x50000 | leaf, above)
                self.check([(0x1000, 0x1000, 0x50000, want)] if want else [])

    def test_an_excluded_table_is_unknown_and_the_rest_is_walked(self):
        self.memory.path(self.tables, 0x1000, 0x50003)
        self.memory.put(0x11000 + 8, 0x99000 | 3)
        self.check([(0x1000, 0x1000, 0x50000, 3)], unknown=[0x99000])

    def test_an_excluded_context_table_is_unknown(self):
        del self.memory.content[CONTEXT]
        self.check([], unknown=[CONTEXT])

    def test_an_excluded_root_is_unknown(self):
        del self.memory.content[ROOT]
        self.check([], unknown=[ROOT])

    def test_snoop_without_snoop_control_is_rejected(self):
        self.memory.path(self.tables, 0x1000, 0x50803)
        self.check([], rejected=[0x12008], ecap=ECAP & ~(1 << 7))
        self.check([(0x1000, 0x1000, 0x50000, 3)], ecap=ECAP | 1 << 7)

    def test_superpages(self):
        self.memory.put(0x10000 + 8, 0x80000000 | 0x83)
        self.memory.put(0x10000 + 16, 0x11003)
        self.memory.put(0x11000 + 8, 0x600000 | 0x83)
        self.check([(0x40000000, 0x40000000, 0x80000000, 3), (0x80200000, 0x200000, 0x600000, 3)])

    def test_superpages_need_the_capability(self):
        self.memory.put(0x10000 + 8, 0x80000000 | 0x83)
        self.check([], rejected=[0x10008], cap=cap(superpages=1))

    def test_superpage_with_low_address_bits_is_rejected(self):
        self.memory.put(0x10000 + 8, 0x80001000 | 0x83)
        self.check([], rejected=[0x10008])

    def test_bit_7_of_a_last_level_entry_is_ignored(self):
        self.memory.path(self.tables, 0x1000, 0x50083)
        self.check([(0x1000, 0x1000, 0x50000, 3)])

    def test_input_ends_at_mgaw(self):
        for mgaw, want in ((38, []), (39, [1 << 38]), (40, [1 << 38])):
            with self.subTest(mgaw=mgaw):
                self.memory.path(self.tables, 1 << 38, 0x50003)
                self.check([(iova, 0x1000, 0x50000, 3) for iova in want], cap=cap(mgaw=mgaw))

    def test_widths(self):
        for aw, levels in ((1, 3), (2, 4), (3, 5)):
            with self.subTest(aw=aw):
                self.memory = Tables()
                legacy(self.memory, aw=aw)
                tables = [0x10000 + 0x1000 * n for n in range(levels)]
                top = 1 << 3 + 9 * levels
                self.memory.path(tables, top, 0x50003)
                self.check([(top, 0x1000, 0x50000, 3)])

    def test_width_outside_sagaw_is_rejected(self):
        self.check([], rejected=[CONTEXT + 128], cap=cap(sagaw=0b00100))

    def test_pass_through_is_one_row(self):
        legacy(self.memory, table=0, aw=2, kind=2)
        rows = self.check([(0, 1 << 48, None, 3)], cap=cap(mgaw=48, sagaw=0b00110))
        self.assertEqual(rows[0][3], "passthrough")

    def test_pass_through_needs_the_capability(self):
        legacy(self.memory, kind=2)
        self.check([], rejected=[CONTEXT + 128], ecap=ECAP & ~(1 << 6))

    def test_translation_off(self):
        self.memory.path(self.tables, 0x1000, 0x50003)
        self.check([], rejected=[0], gcmd=0)

    def test_a_table_that_contains_itself_ends(self):
        self.memory.put(0x10000, 0x10003)
        rows, lost, refused = walk(self.memory, unit())
        self.assertEqual([row[4:] for row in rows], [(0, 0x1000, 0x10000, 3)])
        self.assertEqual((lost, refused), ([], [0x10000]))

    def test_reserved_root_bits(self):
        self.memory.put(ROOT, CONTEXT | 3)
        self.check([], rejected=[ROOT])


class ScalableTest(unittest.TestCase):
    SECOND = (0x10000 | 2 << 6 | 1 << 2 | 1, 9)
    FIRST = (1 << 6 | 1, 1, 0x20000)
    FIRST_TABLES = [0x20000, 0x21000, 0x22000, 0x23000]

    def setUp(self):
        self.memory = Tables()

    def check(self, rows, unknown=(), rejected=(), **changes):
        self.assertEqual(walk(self.memory, unit(mode=1, **changes)),
                         (rows, list(unknown), list(rejected)))

    def test_upper_half_of_a_bus(self):
        self.memory.put(ROOT + 8, CONTEXT | 1)
        self.memory.put(CONTEXT + 32 * 0x78, DIRECTORY | 1)
        self.memory.put(DIRECTORY, PASIDS | 1)
        self.memory.put(PASIDS, *self.SECOND)
        self.memory.path([0x10000, 0x11000, 0x12000], 0x1000, 0x50002)
        self.check([("0000:00:1f.0", 0, 9, "second", 0x1000, 0x1000, 0x50000, 2)])

    def test_snoop_without_snoop_control_translates(self):
        scalable(self.memory, self.SECOND)
        self.memory.path([0x10000, 0x11000, 0x12000], 0x1000, 0x50803)
        self.check([("0000:00:01.0", 0, 9, "second", 0x1000, 0x1000, 0x50000, 3)], ecap=ECAP & ~(1 << 7))

    def test_snoop_in_an_entry_that_names_a_table_is_rejected(self):
        scalable(self.memory, self.SECOND)
        self.memory.path([0x10000, 0x11000, 0x12000], 0x1000, 0x50003, 0x803)
        self.check([], rejected=[0x10000])

    def test_other_pasids_need_paside(self):
        self.memory.path([0x10000, 0x11000, 0x12000], 0x1000, 0x50003)
        row = ("0000:00:01.0", 70, 9, "second", 0x1000, 0x1000, 0x50000, 3)
        scalable(self.memory, self.SECOND, pasid=70)
        self.check([])
        scalable(self.memory, self.SECOND, pasid=70, flags=8)
        self.check([row])
        scalable(self.memory, self.SECOND, pasid=70, rid_pasid=70)
        self.check([row])
        self.check([], ecap=ECAP & ~(1 << 49))

    def test_first_stage_permissions(self):
        for above, leaf, extra, want in ((7, 7, 0, 3), (5, 7, 0, 1), (7, 5, 0, 1), (3, 7, 0, None),
                                         (7, 3, 0, None), (7, 3, 1, 3), (7, 1, 1, 3),
                                         (7, 1, 0x11, 1), (7, 1 | 1 << 63, 0x10, None)):
            with self.subTest(above=above, leaf=leaf, extra=extra):
                self.memory = Tables()
                scalable(self.memory, (*self.FIRST[:2], 0x20000 | extra))
                self.memory.path(self.FIRST_TABLES, 0x1000, 0x50000 | leaf, above)
                self.check([("0000:00:01.0", 0, 1, "first", 0x1000, 0x1000, 0x50000, want)]
                           if want else [])

    def test_first_stage_upper_half_is_sign_extended(self):
        for levels, mode in ((4, 0), (5, 1 << 2)):
            with self.subTest(levels=levels):
                self.memory = Tables()
                scalable(self.memory, (*self.FIRST[:2], 0x20000 | mode))
                tables = [0x20000 + 0x1000 * n for n in range(levels)]
                top = 1 << 11 + 9 * levels
                self.memory.path(tables, top, 0x50007, 7)
                self.check([("0000:00:01.0", 0, 1, "first", (1 << 64) - top, 0x1000, 0x50000, 3)])

    def test_first_stage_superpage_ignores_pat(self):
        scalable(self.memory, self.FIRST)
        self.memory.put(0x20000, 0x21007)
        self.memory.put(0x21000, 0x22007)
        self.memory.put(0x22000 + 8, 0x600000 | 0x1087)
        self.check([("0000:00:01.0", 0, 1, "first", 0x200000, 0x200000, 0x600000, 3)])

    def nested(self):
        entry = (0x10000 | 3 << 6 | 1 << 2 | 1, 4, 0x100000)
        scalable(self.memory, entry)
        names = [0x100000, 0x101000, 0x102000, 0x103000]
        for name, place in zip(names, self.FIRST_TABLES):
            self.memory.path([0x10000, 0x11000, 0x12000], name, place | 3)
        for place, following, index in zip(self.FIRST_TABLES, names[1:], (0, 0, 0)):
            self.memory.put(place + 8 * index, following | 7)
        self.memory.put(0x23000 + 8, 0x180000 | 7)

    def test_nested_ands_both_stages(self):
        self.nested()
        self.memory.path([0x10000, 0x11000, 0x12000], 0x180000, 0x50001)
        self.check([("0000:00:01.0", 0, 4, "nested", 0x1000, 0x1000, 0x50000, 1)])

    def test_nested_page_without_second_stage_is_not_reachable(self):
        self.nested()
        self.check([])

    def test_nested_guest_table_that_is_excluded_is_unknown(self):
        self.nested()
        del self.memory.content[0x23000]
        self.check([], unknown=[0x23000])

    def test_pass_through(self):
        scalable(self.memory, (4 << 6 | 1, 1))
        self.check([("0000:00:01.0", 0, 1, "passthrough", 0, 1 << 57, None, 3)])

    def test_entry_type_needs_the_capability(self):
        for kind, bit in ((1, 47), (2, 46), (3, 26), (4, 6)):
            with self.subTest(kind=kind):
                self.memory = Tables()
                scalable(self.memory, (kind << 6 | 1 << 2 | 1, 1))
                self.check([], rejected=[PASIDS], ecap=ECAP & ~(1 << bit))

    def test_excluded_pasid_table_is_unknown(self):
        scalable(self.memory, self.SECOND)
        del self.memory.content[PASIDS]
        self.check([], unknown=[PASIDS])


class CompareTest(unittest.TestCase):
    ROW = dict(unit="dmar0", bdf="0000:00:01.0", pasid=None, did=3, stage="second",
               iova="0x1000", len="0x1000", pa="0x2000", perm="RW")

    def row(self, **changes):
        return json.dumps([[key, changes.get(key, value)] for key, value in self.ROW.items()])

    def test_equal(self):
        self.assertEqual(compare.differences([self.row()], [self.row()]), [])

    def test_one_value_differs(self):
        found = compare.differences([self.row()], [self.row(perm="R-")])
        self.assertEqual([line[0] for line in found], ["-", "+"])

    def test_null_and_zero_pasid_differ(self):
        self.assertTrue(compare.differences([self.row()], [self.row(pasid=0)]))

    def test_order_counts(self):
        rows = [self.row(), self.row(iova="0x5000")]
        self.assertEqual(len(compare.differences(rows, rows[::-1])), 1)

    def test_a_row_twice_is_not_a_row_once(self):
        self.assertEqual(len(compare.differences([self.row()] * 2, [self.row()])), 1)

    def test_empty_is_never_equal(self):
        self.assertTrue(compare.differences([], []))
        self.assertTrue(compare.differences([self.row()], []))


if __name__ == "__main__":
    unittest.main()
