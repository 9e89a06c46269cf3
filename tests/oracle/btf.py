# SPDX-License-Identifier: GPL-2.0-or-later
"""BTF as it lies in kernel memory: named types, members, sizes."""

import struct

INT, POINTER, ARRAY, STRUCT, UNION, ENUM, FORWARD, TYPEDEF = 1, 2, 3, 4, 5, 6, 7, 8
VOLATILE, CONST, RESTRICT, FUNCTION, PROTOTYPE, VARIABLE, SECTION = 9, 10, 11, 12, 13, 14, 15
FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = 16, 17, 18, 19

# Bytes after the 12-byte record: fixed part, and per element.
TRAILER = {
    INT: (4, 0), POINTER: (0, 0), ARRAY: (12, 0), STRUCT: (0, 12), UNION: (0, 12),
    ENUM: (0, 8), FORWARD: (0, 0), TYPEDEF: (0, 0), VOLATILE: (0, 0), CONST: (0, 0),
    RESTRICT: (0, 0), FUNCTION: (0, 0), PROTOTYPE: (0, 8), VARIABLE: (4, 0),
    SECTION: (0, 12), FLOAT: (0, 0), DECL_TAG: (4, 0), TYPE_TAG: (0, 0), ENUM64: (0, 12),
}
SEE_THROUGH = {TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG}


class BadTypes(Exception):
    """The bytes are not usable BTF."""


class Types:
    def __init__(self, blob):
        if len(blob) < 24:
            raise BadTypes("BTF of less than a header")
        magic, version, _, header = struct.unpack_from("<HBBI", blob)
        if magic != 0xEB9F or version != 1 or header < 24:
            raise BadTypes(f"BTF magic 0x{magic:x} version {version} header {header}")
        type_at, type_size, text_at, text_size = struct.unpack_from("<IIII", blob, 8)
        if header + max(type_at + type_size, text_at + text_size) > len(blob):
            raise BadTypes("BTF sections beyond its end")
        self._blob = blob
        self._text = header + text_at
        self._text_end = self._text + text_size
        self._at = [0]
        self._named = {}
        self._index(header + type_at, header + type_at + type_size)

    def _index(self, pos, end):
        while pos < end:
            name, info, _ = struct.unpack_from("<III", self._blob, pos)
            kind, count = info >> 24 & 31, info & 0xFFFF
            if kind not in TRAILER:
                raise BadTypes(f"BTF kind {kind} of type {len(self._at)}")
            if kind in (STRUCT, UNION) and name:
                self._named.setdefault(self._string(name), len(self._at))
            self._at.append(pos)
            fixed, each = TRAILER[kind]
            pos += 12 + fixed + each * count

    def _string(self, offset):
        begin = self._text + offset
        if begin >= self._text_end:
            raise BadTypes("BTF name beyond the string section")
        return self._blob[begin:self._blob.index(b"\0", begin)].decode("ascii", "replace")

    def _record(self, number):
        if not 0 < number < len(self._at):
            raise BadTypes(f"BTF type {number} does not exist")
        pos = self._at[number]
        name, info, value = struct.unpack_from("<III", self._blob, pos)
        return name, info >> 24 & 31, info >> 31, info & 0xFFFF, value, pos + 12

    def _bare(self, number):
        for _ in range(64):
            if number == 0 or self._record(number)[1] not in SEE_THROUGH:
                return number
            number = self._record(number)[4]
        raise BadTypes("BTF modifiers without an end")

    def bits(self, number):
        """Size of a type in bits (0 for void and functions)."""
        factor = 1
        for _ in range(64):
            number = self._bare(number)
            if number == 0:
                return 0
            _, kind, _, _, value, after = self._record(number)
            if kind == POINTER:
                return 64 * factor
            if kind in (INT, STRUCT, UNION, ENUM, ENUM64, FLOAT):
                return value * 8 * factor
            if kind != ARRAY:
                return 0
            element, _, count = struct.unpack_from("<III", self._blob, after)
            factor *= count
            number = element
        raise BadTypes("BTF arrays without an end")

    def describe(self, number):
        stars = suffix = ""
        for _ in range(64):
            if number == 0:
                return f"void{stars}{suffix}"
            name, kind, _, _, value, after = self._record(number)
            if kind == POINTER:
                stars, number = stars + " *", value
            elif kind == ARRAY:
                number, _, count = struct.unpack_from("<III", self._blob, after)
                suffix += f"[{count}]"
            elif kind in (VOLATILE, CONST, RESTRICT, TYPE_TAG):
                number = value
            else:
                word = {STRUCT: "struct ", UNION: "union ", ENUM: "enum ",
                        ENUM64: "enum "}.get(kind, "")
                label = self._string(name) if name else "(anonymous)"
                if kind == PROTOTYPE:
                    label = "function"
                return f"{word}{label}{stars}{suffix}"
        return "?"

    def members(self, number):
        """Yields (name, type number, bit offset, bit size)."""
        _, kind, flag, count, _, after = self._record(self._bare(number))
        if kind not in (STRUCT, UNION):
            return
        for index in range(count):
            name, inner, where = struct.unpack_from("<III", self._blob, after + 12 * index)
            size = 0
            if flag:
                size, where = where >> 24, where & 0xFFFFFF
            yield self._string(name) if name else "", inner, where, size or self.bits(inner)

    def named(self, name):
        """Type number of a struct or union; KeyError when it does not exist."""
        if name not in self._named:
            raise KeyError(f"type {name} is missing")
        return self._named[name]

    def size(self, name):
        return self.bits(self.named(name)) // 8

    def locate(self, type_name, path):
        """(bit offset, bit size) of a dotted member path; KeyError when missing."""
        number, base, size = self.named(type_name), 0, 0
        for word in path.split("."):
            found = self._find(number, word, 0)
            if found is None:
                raise KeyError(f"member {type_name}.{path} is missing")
            number, where, size = found
            base += where
        return base, size

    def _find(self, number, word, depth):
        if depth > 16:
            raise BadTypes("BTF members nested without an end")
        for name, inner, where, size in self.members(number):
            if name == word:
                return inner, where, size
            if not name:
                found = self._find(inner, word, depth + 1)
                if found is not None:
                    return found[0], where + found[1], found[2]
        return None
