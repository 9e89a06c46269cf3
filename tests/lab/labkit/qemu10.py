# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU 10 from a debootstrapped trixie: first-stage tables and PASID (x-flts, x-pasid-mode)."""

import os

from . import cache, suites


def folder():
    """The trixie tree, made once (needs root and debootstrap)."""

    def build(temporary):
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        cache.run([*sudo, "debootstrap", "--variant=minbase", "--include=qemu-system-x86,ipxe-qemu", "trixie",
                   temporary, suites.archive_uri()], timeout=1800)

    return cache.made_once(cache.root() / "qemu10", build)


def launcher():
    """The command that runs QEMU with the tree's own loader, libraries and firmware.

    No chroot and no mounts: nothing can be left behind, and running it needs no privileges.
    """
    tree = folder()
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    return ["env", f"QEMU_MODULE_DIR={libraries / 'qemu'}",
            str(tree / "usr/lib64/ld-linux-x86-64.so.2"), "--library-path",
            f"{libraries}:{libraries / 'pulseaudio'}", str(tree / "usr/bin/qemu-system-x86_64"),
            "-L", str(tree / "usr/share/qemu"), "-L", str(tree / "usr/share/seabios"),
            "-L", str(tree / "usr/lib/ipxe/qemu")]
