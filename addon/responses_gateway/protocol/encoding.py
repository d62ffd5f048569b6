"""The one place where anything is decompressed: no more comes out than the caller can hold.

A few hundred bytes can stand for gigabytes, so every way out of a compressed form has a limit on its output.
"""

import zlib
from typing import Protocol

import brotli
import zstandard

MAX_PIECE = 8 << 20
"""Bytes that one piece of a streamed body may unfold to: several times what a real stream of events does."""

_BROTLI_OUTPUT = 64 << 10
"""Bytes that are taken out of the library at once."""

_ZSTD_WINDOW = 8 << 20
"""The largest window of the content-encoding zstd (RFC 9659)."""

_ZSTD_GROWTH = 32 << 10
"""Bytes that one byte of zstd can stand for: a block of four repeats one byte up to 128 KiB (RFC 8878, 3.1.1.2)."""


class TooLarge(ValueError):
    """A body is larger than it may be; `start` is as much of it as may be."""

    def __init__(self, limit: int, start: bytes) -> None:
        super().__init__(f"larger than {limit} bytes")
        self.start = start[:limit]


ERRORS = (TooLarge, zlib.error, brotli.error, zstandard.ZstdError)
"""What decoders raise."""


class Decoder(Protocol):
    """Takes the pieces of an encoded body."""

    def decode(self, data: bytes, limit: int) -> bytes:
        """What `data` adds to the body. Raises TooLarge above `limit` bytes, another of ERRORS for a broken body."""


class _Gzip:
    """Also several members, one behind the other (RFC 1952, 2.2); what follows them and is none is padding."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._between = b""

    def decode(self, data: bytes, limit: int) -> bytes:
        decoded = bytearray()
        while data:
            if self._inner.eof:
                data = (self._between + data).lstrip(b"\0")
                if len(data) < 2:
                    self._between = data
                    break
                self._between = b""
                self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)
            decoded += self._inner.decompress(data, limit + 1 - len(decoded))
            if len(decoded) > limit:
                raise TooLarge(limit, bytes(decoded))
            data = self._inner.unused_data
        return bytes(decoded)


class _Deflate:
    """With the frame that the standard asks for (RFC 9110, 8.4.1.2), and without it, as some servers send it."""

    def __init__(self) -> None:
        self._start = b""
        self._inner: zlib._Decompress | None = None

    def decode(self, data: bytes, limit: int) -> bytes:
        if self._inner is None:
            self._start += data
            if len(self._start) < 2:
                return b""
            data = self._start
            is_framed = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0
            self._inner = zlib.decompressobj(zlib.MAX_WBITS if is_framed else -zlib.MAX_WBITS)
        decoded = self._inner.decompress(data, limit + 1)
        if len(decoded) > limit:
            raise TooLarge(limit, decoded)
        return decoded


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    def decode(self, data: bytes, limit: int) -> bytes:
        piece = self._inner.process(data, output_buffer_limit=_BROTLI_OUTPUT)
        decoded = bytearray(piece)
        # When the input is used up, there may still be output.
        while len(decoded) <= limit and (len(piece) >= _BROTLI_OUTPUT or not self._inner.can_accept_more_data()):
            piece = self._inner.process(b"", output_buffer_limit=_BROTLI_OUTPUT)
            decoded += piece
        if len(decoded) > limit:
            raise TooLarge(limit, bytes(decoded))
        return bytes(decoded)


class _Zstandard:
    """Also several frames, one behind the other (RFC 8878, 3.1)."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._inner = self._decompressor.decompressobj()

    def decode(self, data: bytes, limit: int) -> bytes:
        # The library takes no limit on its output, but the format has one on what a byte of input can stand for.
        decoded = bytearray()
        at = 0
        while at < len(data):
            if self._inner.eof:
                self._inner = self._decompressor.decompressobj()
            end = at + max(1, (limit - len(decoded)) // _ZSTD_GROWTH)
            decoded += self._inner.decompress(data[at:end])
            at = min(end, len(data)) - len(self._inner.unused_data)
            if len(decoded) > limit:
                raise TooLarge(limit, bytes(decoded))
        return bytes(decoded)


def decoder(encoding: str) -> Decoder | None:
    """The decoder for a content-encoding; None for identity. Raises ValueError for an unknown one."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return _Gzip()
        case "deflate":
            return _Deflate()
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstandard()
        case other:
            raise ValueError(f"unknown content-encoding {other}")


def decode(body: bytes, encoding: str, limit: int) -> bytes:
    """A whole body without its content-encoding. Raises TooLarge above `limit` bytes, ValueError, or one of ERRORS."""
    undo = decoder(encoding)
    return body if undo is None else undo.decode(body, limit)


def inflate(packed: bytes, limit: int) -> bytes:
    """What `zlib.compress` was given. Raises TooLarge above `limit` bytes, and zlib.error for anything else."""
    inner = zlib.decompressobj()
    data = inner.decompress(packed, limit + 1)
    if len(data) > limit:
        raise TooLarge(limit, data)
    if not inner.eof:
        raise zlib.error("the end is missing")
    return data
