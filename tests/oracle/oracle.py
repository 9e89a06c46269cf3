#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Independent reader of VT-d state in a vmcore, to hold dmaudit's answers against.

    oracle.py mappings VMCORE            NDJSON, one row per device and range
    oracle.py units VMCORE               NDJSON, registers of each unit
    oracle.py crashkernel VMCORE         NDJSON, memory reserved for the crash kernel
    oracle.py symbols VMCORE [NAME...]   addresses (all of them without a name)
    oracle.py struct VMCORE TYPE...      members with bit offset and bit size
    oracle.py read VMCORE ADDRESS [SIZE] hexdump of physical memory

Exit status: 0 complete, 2 cannot run, 3 something was unknown (named on
standard error).
"""

import json
import signal
import sys

import btf
import linux_dmar
import vtd
from dumpfile import BadDump, Unknown, open_dump
from kernel import Kernel

PERMISSIONS = {1: "R-", 2: "-W", 3: "RW"}


def rows(kernel, walker):
    """Mapping rows of all units, as dictionaries in output order."""
    found, remarks = linux_dmar.units(kernel)
    for err, text in remarks:
        if err is None:
            walker.rejected[text] = text
        else:
            walker.lost(err, text)
    for unit in found:
        for domain in walker.domains(unit):
            for iova, size, pa, perm in walker.ranges(domain):
                row = {"unit": unit.name, "bdf": domain.bdf, "pasid": domain.pasid,
                       "did": domain.did, "stage": domain.stage, "iova": f"0x{iova:x}",
                       "len": f"0x{size:x}"}
                if pa is not None:
                    row["pa"] = f"0x{pa:x}"
                row["perm"] = PERMISSIONS[perm]
                yield row


def mappings(memory):
    walker = vtd.Walker(memory)
    for row in rows(Kernel(memory), walker):
        print(json.dumps(row))
    for text in walker.rejected.values():
        print(f"oracle: {text}", file=sys.stderr)
    for text in walker.unknown.values():
        print(f"oracle: unknown: {text}", file=sys.stderr)
    return 3 if walker.unknown else 0


def units(memory):
    found, remarks = linux_dmar.units(Kernel(memory))
    status = 0
    for err, text in remarks:
        print(f"oracle: {text}" + (f": unknown: {err}" if err else ""), file=sys.stderr)
        status = 3 if err else status
    for unit in found:
        row = {"unit": unit.name, "segment": unit.segment}
        values = {"reg_base": unit.reg_base, "cap": unit.cap, "ecap": unit.ecap,
                  "gcmd": unit.gcmd, "rtaddr": unit.rtaddr, "root": unit.rtaddr & vtd.ADDRESS}
        values.update(unit.extra)
        row.update({key: f"0x{value:x}" for key, value in values.items()})
        row["mode"] = "scalable" if unit.rtaddr & 0x400 else "legacy"
        print(json.dumps(row))
    return status


def crashkernel(memory):
    for name, start, end in linux_dmar.crash_ranges(Kernel(memory)):
        print(json.dumps({"name": name, "start": f"0x{start:x}", "end": f"0x{end:x}"}))
    return 0


def symbols(memory, names):
    table = Kernel(memory).symbols
    status = 0
    for name in names or table:
        if name in table:
            print(f"{name} 0x{table[name]:x}")
        else:
            print(f"oracle: symbol {name} is missing", file=sys.stderr)
            status = 3
    return status


def structures(memory, names):
    types = Kernel(memory).types
    for name in names:
        print(f"{name}: {types.size(name)} bytes")
        _members(types, types.named(name), 0, "  ")
    return 0


def _members(types, number, base, indent):
    for name, inner, where, size in types.members(number):
        print(f"{indent}{base + where:6} {size:6}  {name or '-'}  {types.describe(inner)}")
        if not name:
            _members(types, inner, base + where, indent + "  ")


def hexdump(memory, address, size):
    data = memory.read(address, size)
    for at in range(0, size, 16):
        print(f"{address + at:012x}  {data[at:at + 16].hex(' ')}")
    return 0


def main(arguments):
    if len(arguments) < 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    command, path, *rest = arguments
    try:
        memory = open_dump(path)
        if command in ("mappings", "units", "crashkernel") and not rest:
            return {"mappings": mappings, "units": units, "crashkernel": crashkernel}[command](
                memory)
        if command == "symbols":
            return symbols(memory, rest)
        if command == "struct" and rest:
            return structures(memory, rest)
        if command == "read" and 1 <= len(rest) <= 2:
            return hexdump(memory, int(rest[0], 0), int(rest[1], 0) if rest[1:] else 256)
        print(__doc__.strip(), file=sys.stderr)
        return 2
    except Unknown as err:
        print(f"oracle: unknown: {err}", file=sys.stderr)
        return 3
    except (BadDump, btf.BadTypes, OSError, KeyError) as err:
        print(f"oracle: {path}: {err}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
