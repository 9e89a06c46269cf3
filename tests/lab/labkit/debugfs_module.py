# SPDX-License-Identifier: GPL-2.0-or-later
"""The IOMMU's debugfs files for a stock kernel: the distribution's own debugfs.c, built as a module.

Debian leaves CONFIG_INTEL_IOMMU_DEBUGFS off. Rebuilding a whole kernel with it takes most of an hour here; one file of
its source against its headers takes seconds, and the kernel that crashes is the distribution's.
"""

import shutil

from . import cache, suites
from .cache import LabError

SOURCE = cache.LAB_SOURCE / "guest/debugfs_module.c"
_DRIVER = "drivers/iommu/intel"


def _fetch(suite, package, version, folder):
    """Downloads one package; returns the archive."""
    suite.apt("apt-get", "download", "-q", f"{package}={version}" if version else package, cwd=folder)
    (archive,) = folder.glob(f"{package}_*.deb")
    return archive


def _build(kernel, work, target):
    suite = suites.Suite(kernel.suite)
    headers = f"linux-headers-{kernel.release}"
    names = [headers, *(name for name in suite.depends(headers)
                        if name.startswith(("linux-headers-", "linux-kbuild-")))]
    for name in names:
        cache.run(["dpkg", "-x", _fetch(suite, name, None, work), work])
    sources = work / "usr/src"
    makefile = sources / headers / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src", str(sources)))

    package = next((word for word in suite.depends("linux-source") if word.startswith("linux-source-")), None)
    if package is None:
        raise LabError(f"{kernel.suite}: linux-source names no source package")
    # Of the kernel's own version, or its structures need not be the same.
    cache.run(["dpkg", "-x", _fetch(suite, package, suite.version(headers), work), work])
    (packed,) = sources.glob("linux-source-*.tar.xz")
    top = packed.name.removesuffix(".tar.xz")
    cache.run(["tar", "-xf", packed, "-C", work, "--wildcards", f"{top}/{_DRIVER}/*.[ch]"])

    module = work / top / _DRIVER
    shutil.copy(SOURCE, module / "lab_debugfs.c")
    for name in ("Makefile", "Kbuild"):
        (module / name).write_text("obj-m := lab_debugfs.o\n")
    cache.run(["make", "-s", "-C", sources / headers, f"M={module}", "modules"])
    cache.run(["strip", "--strip-debug", module / "lab_debugfs.ko"])
    shutil.copy(module / "lab_debugfs.ko", target)


def module(kernel):
    """The module for a kernel, built once."""
    target = cache.root() / "image" / f"lab_debugfs-{kernel.folder.name}-{cache.digest(SOURCE)}.ko"

    def make(temporary):
        work = temporary.with_name(temporary.name + ".build")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            _build(kernel, work, temporary)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    return cache.made_once(target, make)
