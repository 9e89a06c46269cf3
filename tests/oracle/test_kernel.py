# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel address translation, bit-fields, the crash kernel's memory and the root search."""

import unittest

import linux_dmar
import search
import vtd
from dumpfile import Unknown
from kernel import Kernel
from test_oracle import CONTEXT, DIRECTORY, PASIDS, ROOT, Tables, cap, legacy, scalable, unit

TOP = 0x100000


class SearchableTables(Tables):
    def pages(self):
        return sorted(self.content)


def kernel(memory, levels=4, encryption=0):
    made = object.__new__(Kernel)
    made.memory, made.top, made.levels, made.encryption = memory, TOP, levels, encryption
    made._pages, made.symbols = {}, {}
    return made


class FakeTypes:
    MEMBERS = {("resource", "start"): (0, 64), ("resource", "end"): (64, 64),
               ("range", "start"): (0, 64), ("range", "end"): (64, 64), ("bits", "two"): (13, 2)}

    def locate(self, name, path):
        return self.MEMBERS[name, path]

    def size(self, name):
        return 16


class TranslateTest(unittest.TestCase):
    def setUp(self):
        self.memory = Tables()

    def map(self, virtual, levels, leaf, last=1):
        table = TOP
        for level in range(levels, last, -1):
            self.memory.put(table + (virtual >> 3 + 9 * level & 511) * 8, table + 0x1001)
            table += 0x1000
        self.memory.put(table + (virtual >> 3 + 9 * last & 511) * 8, leaf)

    def test_page_sizes(self):
        virtual = 0xFFFFFFFF81234000
        for levels in (4, 5):
            for last, leaf, want in ((1, 0x7000 | 1, 0x7123), (1, 0x7000 | 0x81, 0x7123),
                                     (2, 0x600000 | 0x1081, 0x634123),
                                     (3, 0x40000000 | 0x81, 0x41234123)):
                with self.subTest(levels=levels, last=last, leaf=leaf):
                    self.memory = Tables()
                    self.map(virtual, levels, leaf, last)
                    self.assertEqual(kernel(self.memory, levels).translate(virtual + 0x123), want)

    def test_bit_7_of_the_upper_levels_makes_no_page(self):
        self.map(0x1000, 5, 0x7001)
        self.memory.put(TOP, 0x101081)
        self.memory.put(TOP + 0x1000, 0x102081)
        self.assertEqual(kernel(self.memory, 5).translate(0x1000), 0x7000)

    def test_upper_bits_are_no_address(self):
        self.map(0x1000, 4, 1 << 63 | 1 << 58 | 1 << 47 | 0x7001)
        self.assertEqual(kernel(self.memory, encryption=1 << 47).translate(0x1000), 0x7000)

    def test_no_translation(self):
        self.map(0x1000, 4, 0x7001)
        for virtual in (0x2000, 1 << 47, 0xFFFF7FFFFFFFF000):
            with self.subTest(virtual=virtual), self.assertRaises(Unknown):
                kernel(self.memory).translate(virtual)

    def test_reads_cross_pages_and_bit_fields(self):
        self.map(0x1000, 4, 0x9001)
        self.map(0x2000, 4, 0x5001)
        self.memory.put(0x9FF8, 0xAA00000000000000)
        self.memory.put(0x5000, 0x40BB)
        made = kernel(self.memory)
        made.types = FakeTypes()
        self.assertEqual(made.read(0x1FFF, 2), b"\xaa\xbb")
        self.assertEqual(made.field(0x2000, "bits", "two"), 2)


class CrashRangesTest(unittest.TestCase):
    def ranges(self, **words):
        made = kernel(Tables())
        made.types = FakeTypes()
        made.translate = lambda virtual: virtual
        for number, (name, values) in enumerate(words.items(), 1):
            made.symbols[name] = number * 0x1000
            made.memory.put(number * 0x1000, *values)
        return linux_dmar.crash_ranges(made)

    def test_ranges(self):
        self.assertEqual(
            self.ranges(crashk_res=(0x1000, 0x1FFF), crashk_low_res=(0, 0), crashk_cma_cnt=(2,),
                        crashk_cma_ranges=(0x5000, 0x5FFF, 0x9000, 0x9FFF, 0xB000, 0xBFFF)),
            [("crashk_res", 0x1000, 0x1FFF), ("crashk_cma_ranges[0]", 0x5000, 0x5FFF),
             ("crashk_cma_ranges[1]", 0x9000, 0x9FFF)])

    def test_no_reservation(self):
        self.assertEqual(self.ranges(crashk_res=(0, 0)), [])

    def test_absurd_count(self):
        with self.assertRaises(Unknown):
            self.ranges(crashk_cma_cnt=(65,))


class SearchTest(unittest.TestCase):
    SECOND = (0x10000 | 2 << 6 | 1 << 2 | 1, 9)

    def test_legacy_root(self):
        memory = SearchableTables()
        legacy(memory)
        memory.put(0x7000, 0x123456789)     # no table
        memory.put(0x8000, 0x7001)          # leads to a page that is no context table
        self.assertEqual(search.find_root(memory, unit(), set()), ROOT)

    def test_scalable_root_is_not_its_pasid_directory(self):
        memory = SearchableTables()
        scalable(memory, self.SECOND)
        self.assertEqual(search.find_root(memory, unit(mode=1), set()), ROOT)
        self.assertEqual(memory.content.keys(), {ROOT, CONTEXT, DIRECTORY, PASIDS})

    def test_most_devices_win_and_a_tie_is_unknown(self):
        memory = SearchableTables()
        legacy(memory)
        memory.put(0x7000, CONTEXT | 1)
        with self.assertRaises(Unknown):
            search.find_root(memory, unit(), set())
        self.assertEqual(search.find_root(memory, unit(), {ROOT}), 0x7000)
        legacy(memory, bus=1)
        self.assertEqual(search.find_root(memory, unit(), set()), ROOT)

    def test_nothing_found(self):
        memory = SearchableTables()
        memory.put(0x7000, 0x8001)
        with self.assertRaises(Unknown):
            search.find_root(memory, unit(), set())


class UnitTest(unittest.TestCase):
    def test_width(self):
        for mgaw, sagaw, want in ((39, 0b00010, 39), (48, 0b00010, 39), (39, 0b00100, 39),
                                  (57, 0b01100, 57), (52, 0b01000, 52)):
            self.assertEqual(unit(cap=cap(mgaw=mgaw, sagaw=sagaw)).width, want)
        self.assertIsInstance(unit(), vtd.Unit)


if __name__ == "__main__":
    unittest.main()
