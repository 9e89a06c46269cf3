# SPDX-License-Identifier: GPL-2.0-or-later
"""The dumped kernel's virtual memory, symbols and typed reads."""

import btf
import kallsyms
from dumpfile import BadDump, PAGE, Unknown

TEXT_BASE = 0xFFFFFFFF80000000
ADDRESS_BITS = 0x000FFFFFFFFFF000


class Kernel:
    """Symbols, types and virtual memory of the kernel in one dump."""

    def __init__(self, memory):
        self.memory = memory
        info = memory.vmcoreinfo
        self.info = info
        top = info.get("SYMBOL(init_top_pgt)") or info.get("SYMBOL(swapper_pg_dir)")
        if not info or top is None or "NUMBER(phys_base)" not in info:
            raise BadDump("VMCOREINFO is missing or lacks swapper_pg_dir or phys_base")
        self.phys_base = int(info["NUMBER(phys_base)"])
        self.levels = 5 if int(info.get("NUMBER(pgtable_l5_enabled)", "0")) else 4
        self.top = int(top, 16) - TEXT_BASE + self.phys_base
        self.encryption = int(info.get("NUMBER(sme_mask)", "0"))
        self._pages = {}
        self.symbols = kallsyms.load(self)
        self.types = self._load_types()

    def _load_types(self):
        for first, last in (("__start_BTF", "__stop_BTF"),
                            ("_binary__btf_vmlinux_bin_start", "_binary__btf_vmlinux_bin_end")):
            if first in self.symbols and last in self.symbols:
                begin, end = self.symbols[first], self.symbols[last]
                return btf.Types(self.read(begin, end - begin))
        raise BadDump("no BTF symbols in the kernel")

    def translate(self, virtual):
        """Physical address of a mapped kernel virtual address."""
        page = virtual & -PAGE
        found = self._pages.get(page)
        if found is None:
            found = self._walk(page)
            if len(self._pages) > 65536:
                self._pages.clear()
            self._pages[page] = found
        return found + virtual - page

    def _walk(self, virtual):
        width = 12 + 9 * self.levels
        sign = virtual >> width - 1
        if sign not in (0, (1 << 65 - width) - 1):
            raise Unknown(virtual, "kernel virtual address is not canonical")
        table = self.top
        for level in range(self.levels, 0, -1):
            shift = 3 + 9 * level
            entry, = self.memory.qwords(table + (virtual >> shift & 511) * 8, 1)
            if not entry & 1:
                raise Unknown(virtual, "kernel virtual address is not mapped")
            target = entry & ADDRESS_BITS & ~self.encryption
            if level == 1 or (level <= 3 and entry & 0x80):
                size = 1 << shift
                return (target & -size) + (virtual & size - 1)
            table = target
        raise AssertionError("unreachable")

    def read(self, virtual, size):
        out = bytearray()
        while size:
            step = min(size, PAGE - virtual % PAGE)
            out += self.memory.read(self.translate(virtual), step)
            virtual += step
            size -= step
        return bytes(out)

    def number(self, virtual, size):
        return int.from_bytes(self.read(virtual, size), "little")

    def text(self, virtual, limit):
        raw = self.read(virtual, limit).split(b"\0")[0]
        return raw.decode("ascii", "backslashreplace")

    def symbol(self, name):
        if name not in self.symbols:
            raise BadDump(f"symbol {name} is missing")
        return self.symbols[name]

    def field(self, base, type_name, path):
        """Value of an integer or pointer member, bit-fields included."""
        bit, bits = self.types.locate(type_name, path)
        start, end = bit // 8, (bit + bits + 7) // 8
        raw = self.number(base + start, end - start)
        return raw >> bit % 8 & (1 << bits) - 1

    def has_field(self, type_name, path):
        try:
            self.types.locate(type_name, path)
        except KeyError:
            return False
        return True

    def address_of(self, base, type_name, path):
        return base + self.types.locate(type_name, path)[0] // 8
