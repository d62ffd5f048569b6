"""What a saved flow file holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from mitmproxy.io import FlowReader


def contents(path: Path) -> bytes:
    """All bytes of a capture, with what is packed in them unpacked too."""
    with path.open("rb") as file:
        packed = [frame for flow in FlowReader(file).stream() for frame in _frames(flow.metadata)]
    return b"\n".join([path.read_bytes(), *map(zstandard.ZstdDecompressor().decompress, packed)])


def _frames(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        yield from value.get("blocks", [])
        for child in value.values():
            yield from _frames(child)
    elif isinstance(value, list):
        for child in value:
            yield from _frames(child)
