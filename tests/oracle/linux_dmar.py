# SPDX-License-Identifier: GPL-2.0-or-later
"""DMAR units and the crash kernel's memory, from a Linux kernel's own structures."""

import search
from dumpfile import BadDump, Unknown
from vtd import Unit

MAX_UNITS = 4096


def units(kernel):
    """(units in seq_id order, list of remarks).

    A remark is (Unknown or None, text).
    """
    head = kernel.symbol("dmar_drhd_units")
    scalable = "intel_iommu_sm" in kernel.symbols and bool(
        kernel.number(kernel.symbols["intel_iommu_sm"], 4))
    if "intel_iommu_ecs" in kernel.symbols and kernel.number(kernel.symbols["intel_iommu_ecs"], 4):
        raise BadDump("extended context tables (ECS) are not read")
    found, lost, remarks = [], [], []
    node = kernel.number(head, 8)
    for _ in range(MAX_UNITS):
        if node == head:
            for drhd, base in lost:
                found.append(_searched(kernel, drhd, base, scalable, remarks,
                                       {unit.rtaddr & -4096 for _, unit in found}))
            return [unit for _, unit in sorted(found, key=lambda pair: pair[0])], remarks
        drhd = node - kernel.types.locate("dmar_drhd_unit", "list")[0] // 8
        base = kernel.field(drhd, "dmar_drhd_unit", "reg_base_addr")
        iommu = kernel.field(drhd, "dmar_drhd_unit", "iommu")
        if kernel.field(drhd, "dmar_drhd_unit", "ignored"):
            remarks.append((None, f"unit at 0x{base:x} is ignored by the kernel"))
        elif not iommu:
            remarks.append((None, f"unit at 0x{base:x} has no intel_iommu"))
        else:
            try:
                found.append(_unit(kernel, drhd, iommu, base, scalable))
            except Unknown as err:
                remarks.append((err, f"unit at 0x{base:x}: struct intel_iommu"))
                lost.append((drhd, base))
        node = kernel.number(node, 8)
    raise Unknown(head, "dmar_drhd_units does not come back to its head")


def _searched(kernel, drhd, base, scalable, remarks, taken):
    """A unit from the boot log and from a search for its root table."""
    known = search.registers(kernel, base)
    if known is None:
        raise Unknown(base, "registers of the unit are neither in memory nor in the log")
    name, cap, ecap = known
    enabled = kernel.number(kernel.symbol("intel_iommu_enabled"), 4)
    unit = Unit(name=name, segment=kernel.field(drhd, "dmar_drhd_unit", "segment"), cap=cap,
                ecap=ecap, gcmd=1 << 31 if enabled else 0, reg_base=base,
                rtaddr=0x400 if scalable and ecap >> 43 & 1 else 0, extra={"drhd": drhd})
    unit.rtaddr |= search.find_root(kernel.memory, unit, taken)
    remarks.append((None, f"{name}: CAP and ECAP are from the log, the root table 0x"
                    f"{unit.rtaddr & -4096:x} from a search, TE from intel_iommu_enabled"))
    return int(name[4:]), unit


def _unit(kernel, drhd, iommu, base, scalable):
    def value(path):
        return kernel.field(iommu, "intel_iommu", path)

    ecap = value("ecap")
    root_va = value("root_entry")
    root = kernel.translate(root_va) if root_va else 0
    mode = scalable and ecap >> 43 & 1
    extra = {"iommu": iommu, "drhd": drhd, "root_va": root_va}
    queue = value("qi")
    if queue:
        ring = kernel.translate(kernel.field(queue, "q_inval", "desc"))
        extra["iqa"] = ring | (0x801 if ecap >> 43 & 1 else 0)
    if kernel.has_field("intel_iommu", "ir_table") and value("ir_table"):
        entries = kernel.translate(kernel.field(value("ir_table"), "ir_table", "base"))
        eim = kernel.number(kernel.symbols["eim_mode"], 4) if "eim_mode" in kernel.symbols else 0
        extra["irta"] = entries | (0x800 if eim else 0) | 0xF
    if kernel.has_field("intel_iommu", "prq") and value("prq"):
        extra["pqa"] = kernel.translate(value("prq")) | 4
    segment = value("segment") if kernel.has_field("intel_iommu", "segment") else (
        kernel.field(drhd, "dmar_drhd_unit", "segment"))
    name_at = kernel.address_of(iommu, "intel_iommu", "name")
    name_size = kernel.types.locate("intel_iommu", "name")[1] // 8
    unit = Unit(name=kernel.text(name_at, name_size), segment=segment, cap=value("cap"),
                ecap=ecap, gcmd=value("gcmd"), rtaddr=root | (0x400 if mode else 0),
                reg_base=base, extra=extra)
    return value("seq_id"), unit


def crash_ranges(kernel):
    """List of (name, start, end inclusive); unset ones are left out."""
    out = []
    for name in ("crashk_res", "crashk_low_res"):
        if name in kernel.symbols:
            start = kernel.field(kernel.symbols[name], "resource", "start")
            end = kernel.field(kernel.symbols[name], "resource", "end")
            if end:
                out.append((name, start, end))
    if "crashk_cma_cnt" in kernel.symbols:
        count = kernel.number(kernel.symbols["crashk_cma_cnt"], 4)
        if count > 64:
            raise Unknown(kernel.symbols["crashk_cma_cnt"], f"{count} CMA ranges")
        for index in range(count):
            at = kernel.symbol("crashk_cma_ranges") + index * kernel.types.size("range")
            out.append((f"crashk_cma_ranges[{index}]", kernel.field(at, "range", "start"),
                        kernel.field(at, "range", "end")))
    return out
