# SPDX-License-Identifier: GPL-2.0-or-later
"""The initramfs images of both kernels, cached by what they are made from."""

import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

from . import cache
from .cache import LabError

FIRST_MODULES = ["qemu_fw_cfg", "virtio_pci", "virtio_blk", "virtio_net", "nvme", "e1000e", "ahci", "sd_mod",
                 "virtio-gpu", "vfio-pci", "vfio_iommu_type1", "xhci_pci", "usbhid", "virtio_scsi",
                 "vmxnet3", "megaraid_sas"]
HELPERS = ["vfio-hold", "nvme-hold"]
CAPTURE_MODULES = ["virtio_pci", "virtio_blk"]
NFS_MODULES = ["virtio_pci", "virtio_blk", "ext4", "nfsd", "nfsv3", "nfsv4"]
NFS_HELPERS = ["rpcbind-stub", "nfs3-mount"]
APPLETS = ["sh", "mount", "cat", "echo", "ls", "grep", "sleep", "dd", "ip", "insmod", "mkdir", "sync",
           "poweroff", "readlink", "stty", "uname", "tr", "tail", "hexdump", "dmesg", "gzip", "base64"]
NFS_APPLETS = ["awk", "cmp", "cp", "cut", "head", "ln", "mv", "rm", "stat", "timeout", "truncate", "wc"]


def library_paths(program):
    """The shared objects a program is loaded with."""
    text = cache.run(["ldd", program])
    found = re.findall(r"(/\S+)\s+\(0x", text)
    return [Path(path) for path in found]


def _program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise LabError(f"{name} is not installed (tests/lab/install)")
    return Path(path)


def lay_out_program(tree, path):
    """A program of this machine's with its libraries, as bin/NAME of a tree."""
    (tree / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(path, tree / "bin" / path.name)
    for library in library_paths(path):
        target = tree / library.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def _lay_out(tree, kernel, modules, list_name, init, programs, applets=()):
    for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "proc", "sys", "dev", "modules", "kexec"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(_program("busybox"), tree / "bin/busybox")
    for applet in [*APPLETS, *applets]:
        (tree / "bin" / applet).symlink_to("busybox")
    shutil.copy(cache.LAB_SOURCE / "guest" / init, tree / "init")
    (tree / "init").chmod(0o755)
    names = []
    for module in kernel.module_files(modules):
        data = module.read_bytes()
        name = module.name
        if name.endswith(".xz"):
            data, name = lzma.decompress(data), name[:-3]
        (tree / "modules" / name).write_bytes(data)
        names.append(name)
    (tree / "modules" / list_name).write_text("".join(name + "\n" for name in names))
    for program in programs:
        lay_out_program(tree, _program(program))


def _pack(tree, image):
    names = b"".join(os.fsencode(path.relative_to(tree)) + b"\n" for path in sorted(tree.rglob("*")))
    packed = subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=tree, input=names,
                            stdout=subprocess.PIPE, check=True, timeout=300).stdout
    with open(image, "wb") as out:
        # Kernels from 5.9 on unpack zstd.
        subprocess.run(["zstd", "-q", "-9", "-T1"], input=packed, stdout=out, check=True, timeout=300)


def helper(name):
    """A program of the guest's, built from guest/NAME.c."""
    source = cache.LAB_SOURCE / f"guest/{name.replace('-', '_')}.c"

    def build(temporary):
        cache.run(["gcc", "-O2", "-Wall", "-Wextra", "-static", "-o", temporary, source])

    return cache.made_once(cache.root() / "image" / f"{name}-{cache.digest(source)}", build)


def capture_image(kernel):
    key = cache.digest(kernel.folder.name, cache.LAB_SOURCE / "guest/init-capture", Path(__file__))

    def build(temporary):
        tree = temporary.with_name(temporary.name + ".tree")
        try:
            _lay_out(tree, kernel, CAPTURE_MODULES, "capture", "init-capture", ["makedumpfile"])
            _pack(tree, temporary)
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    return cache.made_once(cache.root() / "image" / f"capture-{kernel.suite}-{key}", build)


def first_image(kernel, more=()):
    """The first kernel's image; `more` names module files of the lab's own."""
    capture = capture_image(kernel)
    helpers = {name: helper(name) for name in HELPERS}
    key = cache.digest(kernel.folder.name, cache.LAB_SOURCE / "guest/init-first", Path(__file__),
                       capture.name, *(path.name for path in helpers.values()), *(path.name for path in more))

    def build(temporary):
        tree = temporary.with_name(temporary.name + ".tree")
        try:
            _lay_out(tree, kernel, FIRST_MODULES, "first", "init-first", ["kexec"])
            with open(tree / "modules/first", "a", encoding="ascii") as names:
                for path in more:
                    shutil.copy(path, tree / "modules")
                    names.write(path.name + "\n")
            for name, path in helpers.items():
                shutil.copy(path, tree / "bin" / name)
            shutil.copy(capture, tree / "kexec/initrd")
            shutil.copy(kernel.vmlinuz, tree / "kexec/vmlinuz")
            _pack(tree, temporary)
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    return cache.made_once(cache.root() / "image" / f"first-{kernel.suite}-{key}", build)


def nfs_image(kernel):
    """The image that serves a disk to itself over NFS; the tool is not in it."""
    helpers = {name: helper(name) for name in NFS_HELPERS}
    key = cache.digest(kernel.folder.name, cache.LAB_SOURCE / "guest/init-nfs", Path(__file__),
                       *(path.name for path in helpers.values()))

    def build(temporary):
        tree = temporary.with_name(temporary.name + ".tree")
        try:
            _lay_out(tree, kernel, NFS_MODULES, "nfs", "init-nfs", [], NFS_APPLETS)
            for name, path in helpers.items():
                shutil.copy(path, tree / "bin" / name)
            _pack(tree, temporary)
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    return cache.made_once(cache.root() / "image" / f"nfs-{kernel.suite}-{key}", build)
