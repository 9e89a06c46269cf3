# SPDX-License-Identifier: GPL-2.0-or-later
"""A small QMP client."""

import json
import socket
import time

from .cache import LabError


class Qmp:
    """One connection to QEMU's machine protocol."""

    def __init__(self, path, timeout=60):
        deadline = time.monotonic() + timeout
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(str(path))
                break
            except OSError as error:
                self._socket.close()
                if time.monotonic() > deadline:
                    raise LabError(f"QMP: {error}") from error
                time.sleep(0.1)
        self._socket.settimeout(timeout)
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self.command("qmp_capabilities")

    def command(self, name, timeout=300, **arguments):
        self._socket.settimeout(timeout)
        request = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while True:
                line = self._lines.readline()
                if not line:
                    raise LabError(f"QMP: {name}: QEMU closed the connection")
                answer = json.loads(line)
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise LabError(f"QMP: {name}: {answer['error'].get('desc')}")
        except OSError as error:
            raise LabError(f"QMP: {name}: {error}") from error

    def close(self):
        self._lines.close()
        self._socket.close()
