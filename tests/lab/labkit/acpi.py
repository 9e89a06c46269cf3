# SPDX-License-Identifier: GPL-2.0-or-later
"""The DMAR override: the guest's own DMAR table with an RMRR added, as an early cpio."""

import struct
import subprocess

from .cache import LabError

_HEADER = 36
_OEM_REVISION = 24
_RMRR = 1


def with_rmrr(table, base, end, bus, device, function, segment=0):
    """A copy of a DMAR table that also reserves [base, end] for one PCI device on a root bus."""
    if table[:4] != b"DMAR" or struct.unpack_from("<I", table, 4)[0] != len(table) or sum(table) & 0xff:
        raise LabError("the guest's DMAR table is damaged")
    # Device scope: type 1 (PCI endpoint), length 8, enumeration id 0, start bus, one path element.
    scope = struct.pack("<BBHBB", 1, 8, 0, 0, bus) + struct.pack("<BB", device, function)
    rmrr = struct.pack("<HHHHQQ", _RMRR, 24 + len(scope), 0, segment, base, end) + scope
    body = bytearray(table)
    # Remapping structures come in the order DRHD, RMRR, ATSR...: insert after the last DRHD.
    place = _HEADER + 12
    while place < len(body):
        kind, length = struct.unpack_from("<HH", body, place)
        if kind != 0:
            break
        if length < 4:
            raise LabError("the guest's DMAR table has a structure of length 0")
        place += length
    body[place:place] = rmrr
    struct.pack_into("<I", body, 4, len(body))
    revision = struct.unpack_from("<I", body, _OEM_REVISION)[0]
    struct.pack_into("<I", body, _OEM_REVISION, revision + 1)
    body[9] = 0
    body[9] = -sum(body) & 0xff
    return bytes(body)


def early_cpio(folder, table):
    """An uncompressed cpio whose DMAR table the kernel takes in place of the firmware's."""
    place = folder / "early/kernel/firmware/acpi"
    place.mkdir(parents=True, exist_ok=True)
    (place / "dmar.aml").write_bytes(table)
    names = b"kernel\nkernel/firmware\nkernel/firmware/acpi\nkernel/firmware/acpi/dmar.aml\n"
    return subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=folder / "early",
                          input=names, stdout=subprocess.PIPE, check=True, timeout=60).stdout
