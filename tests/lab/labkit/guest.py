# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU machine: its command line, its life and its end."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from .cache import LabError
from .qmp import Qmp

TRACES = ["vtd_reg_write", "vtd_reg_dmar_root", "vtd_reg_ir_root", "vtd_reg_write_gcmd",
          "vtd_dmar_enable", "vtd_ir_enable", "vtd_inv_qi_setup", "vtd_iotlb_page_update",
          "vtd_iotlb_cc_update", "vtd_inv_desc",
          "vtd_dmar_fault"]


class Guest:
    """Runs QEMU in a process group of its own; close() leaves nothing behind."""

    def __init__(self, folder, machine, launcher=None):
        """`machine` is the argument list after the program; `launcher` wraps it (chroot)."""
        self.folder = Path(folder)
        self.qmp = None
        qmp_path = self.folder / "qmp.sock"
        info_path = self.folder / "info.sock"
        self._info = None
        self._reader = None
        command = [*(launcher or ["qemu-system-x86_64"]), *map(str, machine),
                   "-nodefaults", "-no-user-config", "-display", "none",
                   "-qmp", f"unix:{qmp_path},server=on,wait=off",
                   "-serial", f"file:{self.folder / 'console.log'}",
                   "-chardev", f"socket,id=info,path={info_path},server=on,wait=off",
                   "-serial", "chardev:info",
                   "-D", str(self.folder / "trace.log")]
        for trace in TRACES:
            command += ["-trace", trace]
        (self.folder / "qemu.cmd").write_text(" ".join(command) + "\n")
        self._error = open(self.folder / "qemu.err", "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._error,
                                        stderr=self._error, start_new_session=True)
        try:
            self._wait_for(qmp_path.exists, 120, "QEMU's QMP socket")
            self.qmp = Qmp(qmp_path, timeout=120)
            self._info = socket.socket(socket.AF_UNIX)
            self._info.connect(str(info_path))
            # QEMU's own log of a socket repeats bytes when the socket is full, so the log is written here.
            self._reader = threading.Thread(target=self._copy_info, daemon=True)
            self._reader.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _copy_info(self):
        with open(self.folder / "info.log", "wb", buffering=0) as log:
            try:
                while data := self._info.recv(65536):
                    log.write(data)
            except OSError:
                pass

    def info(self):
        """What the guest wrote on its second serial port so far."""
        path = self.folder / "info.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def console(self):
        path = self.folder / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def trace_size(self):
        path = self.folder / "trace.log"
        return path.stat().st_size if path.exists() else 0

    def say(self, word):
        """Answers the guest's init."""
        self._info.sendall(word.encode() + b"\n")

    def _wait_for(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                if condition():
                    return
                error = (self.folder / "qemu.err").read_text(errors="replace")[-300:]
                raise LabError(f"QEMU ended with {self.process.returncode} while waiting for {what}: {error}")
            if time.monotonic() > deadline:
                raise LabError(f"no {what} within {seconds} s: {self.console()[-300:]!r}")
            time.sleep(0.2)

    def wait_word(self, word, seconds):
        """Waits for a line of the guest's init."""
        mark = f"LAB {word}"
        self._wait_for(lambda: mark in self.info(), seconds, f"'{mark}'")

    def wait_end(self, seconds):
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise LabError(f"the guest did not end within {seconds} s: {self.console()[-300:]!r}")
            time.sleep(0.2)

    def close(self):
        """Ends the whole process group."""
        if self.qmp is not None:
            self.qmp.close()
            self.qmp = None
        if self.process.poll() is None:
            for signal_number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 10)):
                try:
                    os.killpg(self.process.pid, signal_number)
                except ProcessLookupError:
                    break
                try:
                    self.process.wait(seconds)
                    break
                except subprocess.TimeoutExpired:
                    continue
        if self._reader is not None:
            self._reader.join(5)
            self._reader = None
        if self._info is not None:
            self._info.close()
            self._info = None
        self._error.close()
