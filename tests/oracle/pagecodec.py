# SPDX-License-Identifier: GPL-2.0-or-later
"""Decoders for the page compressors of the kdump-compressed format.

Every decoder returns exactly `want` bytes or raises CodecError.  lzo1x and
snappy are written out here from their format descriptions; zlib comes from the
standard library; zstd is taken from whatever the machine has.
"""

import ctypes
import ctypes.util
import subprocess
import zlib


class CodecError(Exception):
    """The compressed bytes do not decode to a page."""


def inflate(data, want):
    decoder = zlib.decompressobj()
    try:
        out = decoder.decompress(data, want + 1)
    except zlib.error as err:
        raise CodecError(f"zlib: {err}") from None
    return _exact(out, want, "zlib")


def lzo1x(data, want):
    """Raw lzo1x stream, as makedumpfile -l writes it."""
    out = bytearray()
    pos = 0
    try:
        state = 0
        if data[0] > 17:
            run = data[0] - 17
            pos = 1 + run
            out += _literals(data, 1, run)
            state = run if run < 4 else 4
        while True:
            op = data[pos]
            pos += 1
            if op < 16 and state == 0:
                if op == 0:
                    op, pos = _long_run(data, pos, 15)
                out += _literals(data, pos, op + 3)
                pos += op + 3
                state = 4
                if len(out) > want:
                    raise CodecError("lzo: more than a page")
                continue
            if op < 16:
                near = state != 4
                distance = (1 if near else 2049) + (op >> 2) + (data[pos] << 2)
                length = 2 if near else 3
                state = op & 3
                pos += 1
            elif op >= 64:
                distance = 1 + ((op >> 2) & 7) + (data[pos] << 3)
                length = (op >> 5) + 1
                state = op & 3
                pos += 1
            else:
                mask, base = (31, 1) if op >= 32 else (7, 16384)
                length = op & mask
                if length == 0:
                    length, pos = _long_run(data, pos, mask)
                length += 2
                word = data[pos] | data[pos + 1] << 8
                pos += 2
                state = word & 3
                distance = word >> 2
                if op < 32:
                    distance += (op & 8) << 11
                    if distance == 0:
                        break
                distance += base
            _copy_back(out, distance, length, want)
            out += _literals(data, pos, state)
            pos += state
    except IndexError:
        raise CodecError("lzo: stream ends early") from None
    return _exact(bytes(out), want, "lzo")


def snappy(data, want):
    """Raw snappy block."""
    out = bytearray()
    try:
        declared = shift = pos = 0
        while True:
            byte = data[pos]
            pos += 1
            declared |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if declared != want:
            raise CodecError(f"snappy: declares {declared} bytes")
        while pos < len(data):
            tag = data[pos]
            pos += 1
            kind, rest = tag & 3, tag >> 2
            if kind == 0:
                if rest >= 60:
                    width = rest - 59
                    rest = int.from_bytes(_literals(data, pos, width), "little")
                    pos += width
                out += _literals(data, pos, rest + 1)
                pos += rest + 1
                continue
            if kind == 1:
                length = (rest & 7) + 4
                distance = (rest >> 3) << 8 | data[pos]
                pos += 1
            else:
                width = 2 if kind == 2 else 4
                length = rest + 1
                distance = int.from_bytes(_literals(data, pos, width), "little")
                pos += width
            _copy_back(out, distance, length, want)
    except IndexError:
        raise CodecError("snappy: stream ends early") from None
    return _exact(bytes(out), want, "snappy")


def zstd(data, want):
    library = _zstd_library()
    if library is not None:
        out = ctypes.create_string_buffer(want)
        size = library.ZSTD_decompress(out, want, bytes(data), len(data))
        if library.ZSTD_isError(size):
            raise CodecError("zstd: stream does not decode")
        return _exact(out.raw[:size], want, "zstd")
    try:
        run = subprocess.run(["zstd", "-dcq"], input=bytes(data), check=False,
                             capture_output=True)
    except FileNotFoundError:
        raise CodecError("zstd: neither libzstd nor the zstd command") from None
    if run.returncode:
        raise CodecError("zstd: stream does not decode")
    return _exact(run.stdout, want, "zstd")


def _zstd_library(cache=[]):
    if not cache:
        name = ctypes.util.find_library("zstd")
        library = ctypes.CDLL(name) if name else None
        if library is not None:
            library.ZSTD_decompress.restype = ctypes.c_size_t
            library.ZSTD_decompress.argtypes = [
                ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
            library.ZSTD_isError.restype = ctypes.c_uint
            library.ZSTD_isError.argtypes = [ctypes.c_size_t]
        cache.append(library)
    return cache[0]


def _exact(out, want, codec):
    if len(out) != want:
        raise CodecError(f"{codec}: {len(out)} bytes where {want} belong")
    return out


def _literals(data, pos, count):
    piece = data[pos:pos + count]
    if len(piece) != count:
        raise IndexError
    return piece


def _long_run(data, pos, base):
    length = base
    while data[pos] == 0:
        length += 255
        pos += 1
    return length + data[pos], pos + 1


def _copy_back(out, distance, length, want):
    if not 0 < distance <= len(out):
        raise CodecError("match points before the page")
    if len(out) + length > want:
        raise CodecError("more than a page")
    if distance >= length:
        start = len(out) - distance
        out += out[start:start + length]
        return
    for _ in range(length):
        out.append(out[-distance])
