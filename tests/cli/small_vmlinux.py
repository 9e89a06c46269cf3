# SPDX-License-Identifier: GPL-2.0-or-later
"""A small vmlinux for the kernel in a dump: an ELF file with the symbols and structures dmaudit asks for.

Symbols come from the dump's kallsyms, layouts from its BTF, both by way of the oracle; the DWARF is
written in assembler, so that every offset is the dump's own.
"""

import os
import re
import subprocess
from unittest import mock

from support import ROOT  # and the oracle's folder in the path
import btf
import kallsyms
from dumpfile import Unknown, open_dump
from kernel import Kernel

TAGS = {"unit": 0x11, "struct": 0x13, "union": 0x17, "member": 0x0d, "base": 0x24, "pointer": 0x0f,
        "array": 0x01, "subrange": 0x21, "enum": 0x04}
NAME, SIZE, TYPE, PLACE, BIT_PLACE, BIT_SIZE = 0x03, 0x0b, 0x49, 0x38, 0x6b, 0x0d
ENCODING, DECLARATION, COUNT = 0x3e, 0x3c, 0x37
STRING, UDATA, REF4, FLAG = 0x08, 0x0f, 0x13, 0x19
ANCHORS = ("_stext", "init_uts_ns", "init_top_pgt", "linux_banner")


def wanted(name):
    """The names in an array of src/kernel."""
    found = set()
    for path in (ROOT / "src" / "kernel").rglob("*.[ch]*"):
        text = path.read_text(encoding="utf-8")
        for body in re.findall(rf"\b{name}\b(?:\[\])? = {{+(.*?)}}+;", text, re.S):
            found.update(re.findall(r'"(\w+)"', body))
    assert found, name
    return found


class Dwarf:
    """DWARF 4 for BTF types, as assembler text."""

    def __init__(self, types):
        self.types = types
        self.abbreviations = {}
        self.lines = []
        self.known = {}
        self.declared = {}

    def entry(self, tag, attributes, children=False):
        """One entry; attributes are (attribute, form, value). Its label."""
        shape = (TAGS[tag], children, tuple((a, f) for a, f, _ in attributes))
        code = self.abbreviations.setdefault(shape, len(self.abbreviations) + 1)
        label = f".Le{len(self.lines)}"
        self.lines.append(f"{label}: .uleb128 {code}")
        for _, form, value in attributes:
            if form == STRING:
                self.lines.append(f'.asciz "{value}"')
            elif form == UDATA:
                self.lines.append(f".uleb128 {value}")
            elif form == REF4:
                self.lines.append(f".long {value} - .Lunit")
        return label

    def end(self):
        self.lines.append(".uleb128 0")

    def declaration(self, name):
        if name not in self.declared:
            self.declared[name] = self.entry("struct", [(NAME, STRING, name), (DECLARATION, FLAG, 1)])
        return self.declared[name]

    def type(self, number):
        number = self.types._bare(number)  # pylint: disable=protected-access
        if number not in self.known:
            self.known[number] = self.write(number)
        return self.known[number]

    def write(self, number):
        record = self.types._record  # pylint: disable=protected-access
        name, kind, _, _, value, after = record(number)
        size = (SIZE, UDATA, self.types.bits(number) // 8)
        label = [(NAME, STRING, self.types._string(name))] if name else []  # pylint: disable=protected-access
        if kind in (btf.INT, btf.FLOAT):
            encoding = 4 if kind == btf.FLOAT else 7
            return self.entry("base", label + [size, (ENCODING, UDATA, encoding)])
        if kind in (btf.ENUM, btf.ENUM64):
            return self.entry("enum", label + [size])
        if kind == btf.POINTER:
            target = self.types._bare(value)  # pylint: disable=protected-access
            if target and record(target)[1] in (btf.STRUCT, btf.UNION, btf.FORWARD) and record(target)[0]:
                to = self.declaration(self.types._string(record(target)[0]))  # pylint: disable=protected-access
                return self.entry("pointer", [(TYPE, REF4, to)])
            return self.entry("pointer", [])
        if kind == btf.ARRAY:
            blob = self.types._blob  # pylint: disable=protected-access
            element = int.from_bytes(blob[after:after + 4], "little")
            count = int.from_bytes(blob[after + 8:after + 12], "little")
            of = self.type(element)
            at = self.entry("array", [(TYPE, REF4, of)], children=True)
            self.entry("subrange", [(COUNT, UDATA, count)])
            self.end()
            return at
        assert kind in (btf.STRUCT, btf.UNION), kind
        members = list(self.types.members(number))
        inner = [self.type(member[1]) for member in members]
        at = self.entry("struct" if kind == btf.STRUCT else "union", label + [size], children=True)
        for (member, of, place, bits), to in zip(members, inner):
            attributes = ([(NAME, STRING, member)] if member else []) + [(TYPE, REF4, to)]
            if bits != self.types.bits(of):
                attributes += [(BIT_PLACE, UDATA, place), (BIT_SIZE, UDATA, bits)]
            else:
                attributes += [(PLACE, UDATA, place // 8)]
            self.entry("member", attributes)
        self.end()
        return at

    def text(self):
        out = ['.section .debug_abbrev,"",@progbits', ".Labbrev:"]
        for (tag, children, attributes), code in self.abbreviations.items():
            out += [f".uleb128 {code}, {tag}", f".byte {int(children)}"]
            out += [f".uleb128 {attribute}, {form}" for attribute, form in attributes]
            out += [".uleb128 0, 0"]
        out += [".uleb128 0", '.section .debug_info,"",@progbits', ".Lunit:",
                ".long .Lend - .Lbegin", ".Lbegin: .short 4", ".long .Labbrev", ".byte 8"]
        return out + self.lines + [".uleb128 0", ".Lend:"]


def symbols(kernel, names):
    """Addresses of names. A distilled dump holds those dmaudit looked up, and no other."""
    at = {key[7:-1]: int(value, 16) for key, value in kernel.info.items()
          if key.startswith("SYMBOL(kallsyms_")}
    count = kernel.number(at["kallsyms_num_syms"], 4)
    stream = kallsyms.read_available(kernel, at["kallsyms_names"], count * 40)
    all_names = kallsyms.decode_names(stream, count, kallsyms.read_tokens(kernel, at), True)
    index = {}
    for place, name in enumerate(all_names):
        if name in names:
            index.setdefault(name, place)
    base = None
    if "kallsyms_relative_base" in at:
        base = kernel.number(at["kallsyms_relative_base"], 8)

    def address(place):
        where = at["kallsyms_offsets"] + 4 * place
        offset = int.from_bytes(kernel.read(where, 4), "little", signed=True)
        if base is None:
            return where + offset
        return offset if offset >= 0 else base - 1 - offset

    found = {}
    for name, place in index.items():
        try:
            found[name] = address(place)
        except Unknown:
            pass
    return found


def build(dump, path, build_id=None):
    """Writes the vmlinux of the kernel in `dump`."""
    names = wanted("kSymbols") | wanted("kBtfBounds") | set(ANCHORS)
    with mock.patch.object(kallsyms, "load", lambda kernel: symbols(kernel, names)):
        view = Kernel(open_dump(str(dump)))
    offset = int(view.info.get("KERNELOFFSET", "0"), 16)
    lines = []
    for name, address in sorted(view.symbols.items()):
        lines += [f".globl {name}", f"{name} = {address - offset:#x}"]
    dwarf = Dwarf(view.types)
    dwarf.entry("unit", [], children=True)
    for name in sorted(wanted("kStructures")):
        try:
            dwarf.type(view.types.named(name))
        except KeyError:
            pass
    lines += dwarf.text()
    build_id = build_id or view.info["BUILD-ID"]
    source = path.with_suffix(".s")
    source.write_text("\n".join(lines) + "\n", encoding="ascii")
    subprocess.run([os.environ.get("CXX", "g++"), "-nostdlib", "-static", "-no-pie", "-Wl,-e,0",
                    f"-Wl,--build-id=0x{build_id}", "-o", path, source], check=True)
    return path
