# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps that lie on an NFS server: a guest serves them to itself and changes them while the tool under test reads.

The truth is the tool's own answer to the file on the server's disk before the change: what it says over NFS is the same, or
is called unknown. A page that the local file does not have, or has with other bytes, is untrue.
"""

import random
import re
import shutil
import struct

from . import cache, initramfs, live, suites
from .cache import LabError
from .checks import Check
from .guest import Guest

PROTOCOLS = ("3", "4.2")
PAGE = 4096
PAGES = 4096
GUEST_SECONDS = 600  # far more than it takes: the tool may hang
# In the guest's own time: a soft mount gives up a request after a second and a half.
GONE_SECONDS = 60
KILLED = 128 + 9
FIXTURE = cache.LAB_SOURCE.parent / "fixtures/debian12-6.1-legacy.kdump"
CUT = ("cut.pages", "cut.convert", "cut.amid")
STALE = ("stale.removed", "stale.replaced")

_LINE = re.compile(r"^LAB nfs (\S+) (\S+) ?(.*?): ?(.*)$", re.MULTILINE)


class Told:
    """One line of the guest's about one case."""

    def __init__(self, words, errors):
        self._words = dict(word.split("=", 1) for word in words.split() if "=" in word)
        self.errors = errors.rstrip("\r~").replace("~", " / ")

    def number(self, name):
        """-1 where the guest said none."""
        try:
            return int(self._words.get(name, ""))
        except ValueError:
            return -1

    def word(self, name):
        return self._words.get(name, "")

    def __str__(self):
        return " ".join(f"{name}={value}" for name, value in self._words.items())


def told(info):
    """{(protocol, case): Told} of all that the guest wrote."""
    return {(protocol, case): Told(words, errors) for protocol, case, words, errors in _LINE.findall(info)}


def _same(protocol, said):
    wrong, sizes = [], []
    for what in ("report", "mappings", "pages", "convert"):
        case = said.get((protocol, f"same.{what}"))
        if case is None:
            wrong.append(f"{what}: nothing came out")
        elif (case.word("equal") != "yes" or case.number("status") != case.number("local") or case.number("bytes") <= 0
              or case.number("status") not in (0, 1)):
            wrong.append(f"{what}: {case} {case.errors[:160]}")
        else:
            sizes.append(f"{what} {case.number('bytes')} bytes")
    return Check(f"nfs.same {protocol}", not wrong, "; ".join(wrong) or f"equal: {', '.join(sizes)}")


def _case(protocol, name, said, good):
    case = said.get((protocol, name))
    if case is None:
        return Check(f"nfs.{name} {protocol}", False, "nothing came out")
    return Check(f"nfs.{name} {protocol}", good(case), f"{case} {case.errors[:200]}")


def _cut(case):
    return (case.number("status") == 3 and "[input.shrunk]" in case.errors and case.number("untrue") == 0
            and case.number("unknown") > 0)


def _stale(case):
    """The server may keep an open file for its client, NFSv4's do: then all of it is there, unchanged."""
    whole = case.number("status") == 0 and case.number("known") == PAGES
    lost = case.number("status") in (2, 3) and bool(case.errors)
    return (whole or lost) and case.number("untrue") == 0


def _gone(case):
    return (case.number("status") == 3 and "[input.read-failed]" in case.errors and case.number("untrue") == 0
            and case.number("unknown") > 0 and 0 <= case.number("seconds") < GONE_SECONDS)


def _gone_before(case):
    """Where the kernel lets no program open the file, head(1) did not end either."""
    ended = case.number("status") == 2 and bool(case.errors) and 0 <= case.number("seconds") < GONE_SECONDS
    return ended or case.number("status") == case.number("other") == KILLED


def checks(info):
    """What the guest's words come to; a case of which there is none has failed."""
    said = told(info)
    found = []
    for protocol in PROTOCOLS:
        mounted = said.get((protocol, "mounted"))
        found.append(Check(f"nfs.mounted {protocol}", mounted is not None and mounted.word("vers") == protocol,
                           mounted.errors[:160] if mounted else "not mounted"))
        found.append(_same(protocol, said))
        found += [_case(protocol, name, said, _cut) for name in CUT]
        found += [_case(protocol, name, said, _stale) for name in STALE]
        found.append(_case(protocol, "gone.pages", said, _gone))
        found.append(_case(protocol, "gone.report", said, _gone_before))
    planted = said.get(("-", "planted"))
    found.append(Check("checks can fail", planted is not None and planted.number("untrue") == 1
                       and planted.number("known") == 6 and planted.number("pages") == PAGES,
                       f"a made-up row after five of the dump's: {planted or 'nothing came out'}"))
    return found


def write_dump(path):
    """An ELF dump of one segment, every page of it other noise: zeros, and repeated pages, are none of it."""
    size = PAGES * PAGE
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, PAGE, 0xffff888001000000, 0x1000000, size, size, 0)
    path.write_bytes((header + segment).ljust(PAGE, b"\0") + random.Random(1).randbytes(size))


class NfsRun:
    """One boot, in a folder of its own."""

    def __init__(self, suite, tool, refresh=False):
        self.kernel = suites.Suite(suite).kernel(refresh)
        self.tool = tool
        self._claim, self.folder = cache.claim_run(f"nfs-{suite}", "the NFS guest")

    def _disk(self):
        tree = self.folder / "disk"
        tree.mkdir()
        write_dump(tree / "dump.elf")
        shutil.copy(FIXTURE, tree / "kernel.kdump")
        disk = self.folder / "disk.raw"
        with open(disk, "wb") as out:
            out.truncate(8 * PAGES * PAGE)
        # Not in every user's path.
        cache.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", tree, disk])
        shutil.rmtree(tree)
        return disk

    def _image(self):
        joined = self.folder / "initrd"
        joined.write_bytes(live.archive(self.folder, self.tool, nested=False)
                           + initramfs.nfs_image(self.kernel).read_bytes())
        return joined

    def check(self):
        """Boots, waits for the guest's end and judges; what a guest that hangs said before counts."""
        words = ["-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "qemu64", "-smp", "2", "-m", "1G",
                 "-drive", f"if=none,id=disk,file={self._disk()},format=raw,cache=unsafe",
                 "-device", "virtio-blk-pci,drive=disk", "-kernel", self.kernel.vmlinuz, "-initrd", self._image(),
                 "-append", "console=ttyS0 panic=30 no_timer_check quiet"]
        hung = []
        with Guest(self.folder, words) as guest:
            try:
                guest.wait_end(GUEST_SECONDS)
            except LabError as error:
                hung.append(Check("nfs.end", False, " ".join(str(error).split())))
        return checks(guest.info()) + hung

    def clean(self, keep):
        """Leaves the logs, with `keep` the disk and the image, too."""
        for name in () if keep else ("disk.raw", "initrd"):
            (self.folder / name).unlink(missing_ok=True)
