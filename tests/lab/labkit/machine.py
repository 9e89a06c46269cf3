# SPDX-License-Identifier: GPL-2.0-or-later
"""What a cell of the matrix means: QEMU arguments and kernel command line."""

import hashlib
from dataclasses import dataclass

MIB = 1 << 20
# Places the RMRR inside the reservation of the same case.
RMRR_CRASHKERNEL = 0x10000000
RMRR_BASE = 0x12000000
RMRR_SIZE = MIB
RMRR_SLOT = 4  # the NVMe disk
# An NVMe controller whose user-space driver keeps thousands of pages mapped, in every mode that translates.
HELD = "0000:00:0a.0"


# Of the packages that tests/lab/install installs.
FIRMWARE = ("/usr/share/qemu", "/usr/share/seabios", "/usr/lib/ipxe/qemu")


@dataclass(frozen=True)
class Mode:
    """How the IOMMU is emulated and how Linux is told to use it."""

    name: str
    unit: str = ""  # more properties of -device intel-iommu
    options: str = "intel_iommu=on"
    qemu: str = "system"  # or "trixie": QEMU 10 in a chroot
    scalable: bool = False
    first_stage: bool = False
    unit_present: bool = True
    about: str = ""

    @property
    def translates(self):
        """Whether the unit translates for anyone."""
        return self.unit_present and self.name != "off"

    @property
    def strict(self):
        # Up to 5.12 the Intel driver has a flush queue of its own, which only intel_iommu=strict turns off.
        return "iommu.strict=1" in self.options

    @property
    def holds(self):
        """Whether user space can hold a device here.

        Not in scalable mode with iommu=pt: QEMU 7.2 and 10.0 go on passing a device's requests through when the
        kernel changes its PASID entry alone. The controller's requests time out, and no translation is traced.
        """
        return self.translates and self.name != "scalable-pt"

    @property
    def passthrough(self):
        """Whether the kernel's own domains are hardware pass-through."""
        return self.name.endswith("-pt")


MODES = {mode.name: mode for mode in (
    Mode("legacy", about="legacy mode, 39 bits, lazy invalidation",
         options="intel_iommu=on,sm_off"),
    Mode("legacy-strict", about="legacy mode, 39 bits, strict invalidation",
         options="intel_iommu=on,sm_off,strict iommu.strict=1"),
    Mode("legacy-48", unit=",aw-bits=48", about="legacy mode, 48 bits, 4 levels",
         options="intel_iommu=on,sm_off,strict iommu.strict=1"),
    Mode("legacy-pt", about="legacy mode, pass-through by default (iommu=pt)",
         options="intel_iommu=on,sm_off iommu=pt"),
    Mode("legacy-identity", unit=",pt=off", about="legacy mode, iommu=pt on hardware without pass-through",
         options="intel_iommu=on,sm_off iommu=pt"),
    Mode("scalable", unit=",aw-bits=48,x-scalable-mode=on", scalable=True,
         about="scalable mode, second stage, lazy", options="intel_iommu=on,sm_on"),
    Mode("scalable-strict", unit=",aw-bits=48,x-scalable-mode=on", scalable=True,
         about="scalable mode, second stage, strict", options="intel_iommu=on,sm_on,strict iommu.strict=1"),
    Mode("scalable-pt", unit=",aw-bits=48,x-scalable-mode=on", scalable=True,
         about="scalable mode, iommu=pt", options="intel_iommu=on,sm_on iommu=pt"),
    Mode("first-stage", unit=",aw-bits=48,x-scalable-mode=on,x-flts=on,x-pasid-mode=on", scalable=True,
         first_stage=True, qemu="trixie", about="scalable mode, first stage and PASID (QEMU 10)",
         options="intel_iommu=on,sm_on,strict iommu.strict=1"),
    Mode("off", options="intel_iommu=off", about="IOMMU there, translation off"),
    Mode("none", options="intel_iommu=on", unit_present=False, about="no IOMMU in the machine"),
)}

SIZES = {
    "768M": {"memory": "768M", "crashkernel": "crashkernel=256M", "cpu": "qemu64"},
    "6G": {"memory": "6G", "crashkernel": "crashkernel=256M,high crashkernel=128M,low",
           "cpu": "qemu64"},
    "la57": {"memory": "768M", "crashkernel": "crashkernel=256M", "cpu": "max,la57=on"},
    # QEMU 10: before it, TCG has no x2APIC.
    "x2apic": {"memory": "768M", "crashkernel": "crashkernel=256M", "cpu": "qemu64,+x2apic"},
}

CASES = {
    "quiet": "devices idle at the crash",
    "dma": "throttled direct reads in flight at the crash",
    "cma": "a CMA reservation under live direct I/O (kernels from 6.17 on)",
    "rmrr": "the DMAR table carries an RMRR over the crash kernel",
    "vfio": "a device given to VFIO with mappings of its own",
    "many": "three more bridges and twelve more devices",
}

ROADS = {
    "proc-vmcore": "kexec, the capture kernel copies /proc/vmcore and runs makedumpfile",
    "qmp": "QMP dump-guest-memory of the stopped guest before any crash",
    "hung": "QMP dump of a capture kernel that hangs before it copied anything",
    "inherit": "QMP dump before the crash, held against what the capture kernel then does",
}


@dataclass(frozen=True)
class Cell:
    """One run of the lab."""

    kernel: str
    mode: str
    case: str = "quiet"
    size: str = "768M"
    road: str = "proc-vmcore"
    debugfs: bool = False  # with the kernel's own dump of its tables
    capture: str | None = None  # the capture kernel's options instead of intel_iommu=on
    more: str = ""  # more options of the first kernel
    unit: str = ""  # more properties of the unit, the last of a kind counts

    @property
    def _words(self):
        return (self.kernel, self.mode, self.case, self.size, self.road, *(["debugfs"] if self.debugfs else []),
                *([f"capture({self.capture})"] if self.capture is not None else []),
                *([f"first({self.more})"] if self.more else []), *([f"unit({self.unit})"] if self.unit else []))

    def __str__(self):
        return " ".join(self._words)

    @property
    def slug(self):
        plain = "-".join(self._words[:5 + self.debugfs]).replace("/", "_")
        if len(self._words) == 5 + self.debugfs:
            return plain
        # Options in full would be too long for the name of a socket.
        return f"{plain}-{hashlib.sha256(str(self).encode()).hexdigest()[:8]}"


def why_not(cell):
    """Why a cell cannot exist; None when it can."""
    mode = MODES[cell.mode]
    if cell.kernel == "bullseye" and mode.first_stage:
        return ("5.10 takes the first stage for DMA only with caching mode and a unit without legacy features; "
                "it stays with second-stage tables")
    if cell.case == "cma" and cell.kernel != "sid":
        return "crashkernel=,cma exists from 6.17 on"
    if cell.case == "rmrr" and not mode.unit_present:
        return "no IOMMU, no DMAR table"
    if cell.case == "rmrr" and cell.size != "768M":
        return "the RMRR's place is worked out for the 768M guest"
    if cell.case == "vfio" and (not mode.unit_present or cell.mode == "off"):
        return "VFIO needs a translating IOMMU"
    if cell.case == "cma" and cell.size != "768M":
        return "the CMA case needs a small guest, where CMA pages are taken for user memory"
    if cell.debugfs and cell.kernel != "bookworm":
        return "the module with the debugfs files is written for 6.1"
    return None


def machine_arguments(cell, folder, kernel, image, dmar_table=None, throttle=None):
    """QEMU's arguments for a cell; creates nothing."""
    mode = MODES[cell.mode]
    size = SIZES[cell.size]
    words = ["-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", size["cpu"], "-smp", "2",
             "-m", size["memory"], "-device", "vmcoreinfo"]
    if mode.unit_present:
        words += ["-device", f"intel-iommu,intremap=on{mode.unit}{cell.unit}"]
    busy = cell.case in ("dma", "cma")
    slow = ",throttling.bps-total=3000000" if busy else ""

    def drive(name, path, slowed=""):
        return ["-drive", f"if=none,id={name},file={path},format=raw,cache=unsafe{slowed}"]

    behind = ",iommu_platform=on,disable-legacy=on"
    words += drive("nvme", folder / "data0.raw", slow)
    words += ["-device", f"nvme,drive=nvme,serial=lab-data0,addr={RMRR_SLOT}"]
    words += drive("data1", folder / "data1.raw", slow)
    words += ["-device", f"virtio-blk-pci,drive=data1,serial=lab-data1,addr=5{behind}"]
    words += ["-netdev", "hubport,id=hub0,hubid=0", "-device", f"virtio-net-pci,netdev=hub0,addr=6{behind}"]
    words += ["-device", "pcie-root-port,id=port0,chassis=1,addr=7",
              "-netdev", "hubport,id=hub1,hubid=0", "-device", "e1000e,netdev=hub1,bus=port0"]
    words += drive("ahci", folder / "data2.raw") + ["-device", "ide-hd,drive=ahci,bus=ide.0"]
    # A frame buffer is memory that a device maps for good: thousands of translations that stay.
    words += ["-device", f"virtio-gpu-pci,xres=1920,yres=1080,addr=8{behind}"]
    words += ["-device", "edu,addr=9"]
    words += ["-drive", "if=none,id=held,driver=null-co,size=16M,read-zeroes=on",
              "-device", "nvme,drive=held,serial=lab-held,addr=0xa"]
    if cell.case == "many":
        for index in range(3):
            words += ["-device", f"pcie-root-port,id=more{index},chassis={10 + index},addr={0x10 + index:x}",
                      "-device", f"pcie-pci-bridge,id=bridge{index},bus=more{index}"]
            words += ["-netdev", f"hubport,id=m{index}a,hubid=0",
                      "-device", f"e1000,netdev=m{index}a,bus=bridge{index},addr=1",
                      "-netdev", f"hubport,id=m{index}b,hubid=0",
                      "-device", f"vmxnet3,netdev=m{index}b,bus=bridge{index},addr=2",
                      "-device", f"qemu-xhci,bus=bridge{index},addr=3",
                      "-device", f"megasas,bus=bridge{index},addr=4"]
    # Output disks go around the IOMMU: a capture kernel can always write to them.
    for name, slot in (("elf", 0x1c), ("flat", 0x1d)):
        words += drive(f"out-{name}", folder / f"out-{name}.raw")
        words += ["-device", f"virtio-blk-pci,drive=out-{name},serial=lab-out-{name},addr={slot:x},"
                             "disable-legacy=on"]
    crashkernel = size["crashkernel"]
    if cell.case == "cma":
        crashkernel = "crashkernel=128M crashkernel=300M,cma"
    elif cell.case == "rmrr":
        # A fixed place, which a randomly placed kernel could occupy.
        crashkernel = f"nokaslr crashkernel=256M@{RMRR_CRASHKERNEL:#x}"
    options = [f"console=ttyS0 panic=30 no_timer_check {mode.options} {cell.more} {crashkernel}", f"lab.case={cell.case}",
               "lab.disks=5", "lab.pause"]
    if mode.holds:
        options.append(f"lab.hold={HELD}")
    if cell.capture is not None:
        options.append(f"lab.capture-line={'/'.join(cell.capture.split())}")
    if cell.road in ("hung", "proc-vmcore", "inherit"):
        options.append("lab.capture-options=lab.capture-pause")
    if cell.road == "qmp":
        options.append("lab.nokexec")
    words += ["-kernel", kernel.vmlinuz, "-initrd", image, "-append", " ".join(options)]
    return words


def launcher_of(qemu):
    """The command that runs a QEMU that is not installed: with the firmware that is."""
    return [str(qemu), *(word for folder in FIRMWARE for word in ("-L", folder))]


def memory_bytes(cell):
    text = SIZES[cell.size]["memory"]
    return int(text[:-1]) << {"M": 20, "G": 30}[text[-1]]
