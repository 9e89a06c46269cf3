# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels of other Debian suites, without touching the machine's own package sources.

A private state and cache directory and a private source list, given to apt on its command line, so
that the machine's own apt configuration (proxies, policies) still holds. The archive's address is the
one the machine uses itself.
"""

import re
from pathlib import Path

from . import cache
from .cache import LabError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "7.x": "sid"}


def suite_of(name):
    """The suite for "6.1", "bookworm", "7.2" (any 7.x is sid)."""
    if name in SUITES.values():
        return name
    if name in SUITES:
        return SUITES[name]
    if re.fullmatch(r"7\..*|7", name):
        return "sid"
    raise LabError(f"no suite has kernel {name}: known are {', '.join(SUITES)}")


def archive_uri():
    """The Debian archive this machine is set up for."""
    candidates = []
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        candidates += re.findall(r"^\s*URIs:\s*(\S+)", text, re.M)
        candidates += re.findall(r"^\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)", text, re.M)
    for uri in candidates:
        if re.search(r"/debian/?$", uri):
            return uri.rstrip("/")
    raise LabError("no Debian archive found in this machine's package sources")


class Suite:
    """apt for one suite."""

    def __init__(self, name):
        self.name = name
        self.folder = cache.root() / "apt" / name
        self.sources = self.folder / "sources.list"
        for part in ("state/lists/partial", "cache/archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self.sources.write_text(f"deb [signed-by={KEYRING}] {archive_uri()} {name} main\n")

    def apt(self, tool, *words, **options):
        settings = {
            "Dir::Etc::sourcelist": self.sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": self.folder / "state",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self.folder / "cache",
            "APT::Sandbox::User": "root",
            "APT::Architecture": "amd64",
        }
        command = [tool]
        for key, value in settings.items():
            command += ["-o", f"{key}={value}"]
        return cache.run(command + list(words), **options)

    def update(self):
        self.apt("apt-get", "update", "-q")

    def depends(self, package):
        text = self.apt("apt-cache", "show", "--no-all-versions", package)
        found = re.search(r"^Depends: (.*)$", text, re.M)
        return [word.split()[0] for word in found.group(1).split(",")] if found else []

    def version(self, package):
        text = self.apt("apt-cache", "show", "--no-all-versions", package)
        found = re.search(r"^Version: (.*)$", text, re.M)
        if found is None:
            raise LabError(f"{self.name}: no package {package}")
        return found.group(1)

    def kernel_packages(self):
        """Names of the packages that make up the suite's newest kernel."""
        image = next((word for word in self.depends("linux-image-amd64")
                      if re.fullmatch(r"linux-image-\d.*-amd64|linux-image-\d.*amd64", word)), None)
        if image is None:
            raise LabError(f"{self.name}: linux-image-amd64 names no image package")
        parts = [word for word in self.depends(image)
                 if word.startswith(("linux-binary-", "linux-modules-"))]
        return [image, *parts]

    def kernel(self, refresh=False):
        """The unpacked kernel of this suite, downloaded once; `refresh` looks for a newer one."""
        pointer = cache.root() / "kernel" / f"{self.name}.current"
        with cache.lock(pointer):
            return self._kernel(pointer, refresh)

    def _kernel(self, pointer, refresh):
        if pointer.exists() and not refresh:
            kernel = Kernel(self.name, cache.root() / "kernel" / pointer.read_text().strip())
            if kernel.complete():
                return kernel
        self.update()
        packages = self.kernel_packages()
        folder = cache.root() / "kernel" / f"{self.name}-{packages[0].removeprefix('linux-image-')}"

        def unpack(temporary):
            downloads = self.folder / "downloads"
            downloads.mkdir(exist_ok=True)
            temporary.mkdir()
            for package in packages:
                for old in downloads.glob(f"{package}_*.deb"):
                    old.unlink()
                self.apt("apt-get", "download", "-q", package, cwd=downloads)
                (archive,) = downloads.glob(f"{package}_*.deb")
                cache.run(["dpkg", "-x", archive, temporary])
                archive.unlink()
            if not (temporary / "lib").exists():
                (temporary / "lib").symlink_to("usr/lib")
            release = next((temporary / "lib/modules").iterdir()).name
            cache.run(["depmod", "-b", temporary, release])

        cache.made_once(folder, unpack)
        pointer.write_text(folder.name + "\n")
        return Kernel(self.name, folder)


class Kernel:
    """One unpacked kernel: vmlinuz and modules."""

    def __init__(self, suite, folder):
        self.suite = suite
        self.folder = Path(folder)

    def complete(self):
        return (self.folder / "lib/modules").is_dir()

    @property
    def release(self):
        return next((self.folder / "lib/modules").iterdir()).name

    @property
    def vmlinuz(self):
        for path in (self.folder / "boot" / f"vmlinuz-{self.release}",
                     self.folder / "lib/modules" / self.release / "vmlinuz"):
            if path.exists():
                return path
        raise LabError(f"no vmlinuz in {self.folder}")

    def module_files(self, names):
        """Files of the named modules and what they need, in loading order; built-in ones are skipped."""
        ordered = []
        for name in names:
            try:
                text = cache.run(["modprobe", "--show-depends", "-d", self.folder, "-S", self.release, name])
            except LabError:
                continue  # Not built in this kernel; the guest's checks notice what matters.
            for line in text.splitlines():
                words = line.split()
                if len(words) >= 2 and words[0] == "insmod" and words[1] not in ordered:
                    ordered.append(words[1])
        return [Path(word) for word in ordered]
