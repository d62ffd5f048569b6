"""Compresses all that is recorded with zstd, on any thread: the library's contexts serve one thread at a time."""

import threading

import zstandard

FASTEST = 1
"""The level at which packing streams of events costs less than touching the memory that they take unpacked."""

WINDOW = 27
"""Bits of the largest window: bytes of dictionary and content that a packed value can span."""


LARGEST = 256 << 20
"""Bytes of the largest value that is ever packed."""


class _Contexts(threading.local):
    """Made once in each thread, because making them costs more than a small value does."""

    def __init__(self) -> None:
        self.packer = zstandard.ZstdCompressor(level=FASTEST)
        self.unpacker = zstandard.ZstdDecompressor()


_own = _Contexts()


def packed(data: bytes, level: int = FASTEST, known: bytes = b"") -> bytes:
    """`data` as a frame of zstd, for a reader who has `known`: raw bytes that `data` may repeat."""
    if level == FASTEST and not known:
        frame = _own.packer.compress(data)
    else:
        window = min(WINDOW, max(20, (len(known) + len(data)).bit_length()))
        parameters = zstandard.ZstdCompressionParameters.from_level(level, window_log=window)
        frame = zstandard.ZstdCompressor(compression_params=parameters, dict_data=_raw(known)).compress(data)
    # Copied, because what the packer returns holds on to memory for the worst case.
    return bytes(memoryview(frame))


def unpacked(frame: bytes, known: bytes = b"") -> bytes:
    """Undo `packed`. Raises ValueError for what it did not make, or made for another `known`."""
    if unpacked_size(frame) > LARGEST:
        raise ValueError("not packed so: it is too large")
    try:
        if not known:
            return _own.unpacker.decompress(frame)
        unpacker = zstandard.ZstdDecompressor(dict_data=_raw(known), max_window_size=1 << WINDOW)
        return unpacker.decompress(frame)
    except zstandard.ZstdError as error:
        raise ValueError(f"not packed so: {error}") from None


def unpacked_size(frame: bytes) -> int:
    """Bytes of what was packed. Raises ValueError."""
    try:
        size = zstandard.frame_content_size(frame)
    except zstandard.ZstdError as error:
        raise ValueError(f"not packed so: {error}") from None
    if size < 0:
        raise ValueError("not packed so: the size is missing")
    return size


def _raw(known: bytes) -> zstandard.ZstdCompressionDict | None:
    return zstandard.ZstdCompressionDict(known, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if known else None
