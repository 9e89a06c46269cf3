# SPDX-License-Identifier: GPL-2.0-or-later
"""A file system with one file, `dump`, whose reads can fail or come up short: FUSE without a library.

    with FuseFile(folder, data) as file:      # OSError where it is not permitted
        file.fail(first, end)                 # reads of these bytes: EIO
        file.end_at(place)                    # reads give nothing from here on; the size stays
        file.lose(place)                      # who reads from here on finds the server gone, for all and for good
"""

import ctypes
import errno
import os
import stat
import struct
import subprocess
import threading

# linux/fuse.h
LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, DESTROY = 1, 2, 3, 14, 15, 18, 25, 26, 38
BATCH_FORGET = 42
ROOT, FILE = 1, 2


class FuseFile:
    def __init__(self, folder, data):
        self.folder, self.data = os.fspath(folder), data
        self.path = os.path.join(self.folder, "dump")
        self.bad = (0, 0)
        self.end = len(data)
        self.lost_at, self.failed = None, None  # failed: how many requests since it is gone
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        library = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        if library.mount(b"dmaudit-test", os.fsencode(self.folder), b"fuse", 0, options.encode()) != 0:
            error = ctypes.get_errno()
            os.close(self.device)
            raise OSError(error, f"mount: {os.strerror(error)}")
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.folder], check=False)
        self.thread.join(timeout=10)
        os.close(self.device)

    def fail(self, first, end):
        self.bad = (first, end)

    def end_at(self, place):
        self.end = place

    def lose(self, place):
        self.lost_at, self.failed = place, None

    def attributes(self, node):
        mode, size = (stat.S_IFDIR | 0o755, 0) if node == ROOT else (stat.S_IFREG | 0o644, len(self.data))
        return struct.pack("<6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, os.getuid(), os.getgid(), 0,
                           4096, 0)

    def read(self, offset, size):
        first, end = self.bad
        if offset < end and first < offset + size:
            return -errno.EIO, b""
        return 0, self.data[offset:min(offset + size, max(self.end, offset))]

    def answer(self, opcode, node, body):
        """(error, content) or None for what has no answer."""
        if opcode == INIT:
            return 0, struct.pack("<4I2H2I", 7, 31, 65536, 0, 0, 0, 65536, 1).ljust(64, b"\0")
        if opcode == LOOKUP:
            if body.rstrip(b"\0") != b"dump":
                return -errno.ENOENT, b""
            return 0, struct.pack("<4Q2I", FILE, 0, 0, 0, 0, 0) + self.attributes(FILE)
        if opcode == READ and self.lost_at is not None and self.failed is None:
            offset, size = struct.unpack_from("<8xQI", body)
            if offset + size > self.lost_at:
                self.failed = 0
        if opcode in (GETATTR, READ) and self.failed is not None:
            self.failed += 1
            return -errno.EIO, b""
        if opcode == GETATTR:
            return 0, struct.pack("<Q2I", 0, 0, 0) + self.attributes(node)
        if opcode == OPEN:
            return 0, struct.pack("<Q2I", 0, 0, 0)  # opening forgets what was cached
        if opcode == READ:
            offset, size = struct.unpack_from("<8xQI", body)
            return self.read(offset, size)
        if opcode in (RELEASE, FLUSH, DESTROY):
            return 0, b""
        if opcode in (FORGET, BATCH_FORGET):
            return None
        return -errno.ENOSYS, b""

    def serve(self):
        while True:
            try:
                request = os.read(self.device, 1 << 20)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return  # not mounted any more
            _, opcode, unique, node = struct.unpack_from("<2I2Q", request)
            reply = self.answer(opcode, node, request[40:])
            if reply is None:
                continue
            error, content = reply
            try:
                os.write(self.device, struct.pack("<IiQ", 16 + len(content), error, unique) + content)
            except OSError:
                continue  # who asked is gone
