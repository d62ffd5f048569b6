"""Content encodings: what a body stands for, never more of it than wanted, and one way for everything compressed."""

import ast
import gzip
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
import zstandard

import responses_gateway
from responses_gateway.inspection.recording import stream_capture
from responses_gateway.protocol import encoding
from responses_gateway.protocol.body import MAX_DOCUMENT, BodyReader
from responses_gateway.state.packing import events_in, pack, unpack

TEXT = bytes(random.Random(1).choices(b"abcdefgh \n", k=100_000))
HALF = len(TEXT) // 2
PACKAGE = Path(responses_gateway.__file__).parent
MIB = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def in_two(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(TEXT[:HALF]) + pack(TEXT[HALF:])


BODIES = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "gzip of two members": ("gzip", in_two(gzip.compress)),
    "gzip with padding": ("x-gzip", gzip.compress(TEXT) + bytes(512)),
    "deflate": ("deflate", zlib.compress(TEXT)),
    "deflate without its frame": ("deflate", raw_deflate(TEXT)),
    "br": ("br", brotli.compress(TEXT)),
    "zstd": ("zstd", zstandard.compress(TEXT)),
    "zstd of two frames": ("zstd", in_two(zstandard.compress)),
}


@pytest.mark.parametrize(("name", "body"), BODIES.values(), ids=BODIES)
def test_a_body_is_decoded_whole_and_in_pieces(name: str, body: bytes) -> None:
    assert encoding.decode(body, name, len(TEXT)) == TEXT
    for step in (1, 7, 1000):
        decoder = encoding.decoder(name)
        assert decoder is not None
        pieces = [body[at : at + step] for at in range(0, len(body), step)]
        assert b"".join(decoder.decode(piece, len(TEXT)) for piece in pieces) == TEXT


@pytest.mark.parametrize(("name", "body"), BODIES.values(), ids=BODIES)
def test_more_than_the_limit_is_refused_with_as_much_as_may_be(name: str, body: bytes) -> None:
    with pytest.raises(encoding.TooLarge) as error:
        encoding.decode(body, name, len(TEXT) - 1)
    assert error.value.start == TEXT[:-1]


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_what_is_no_such_body_is_an_error(name: str) -> None:
    with pytest.raises(encoding.ERRORS):
        encoding.decode(b"\x07 this was never compressed", name, MIB)


BOMBS = """
import sys, zlib, brotli, zstandard
from responses_gateway.protocol import encoding
from responses_gateway.protocol.body import BodyReader

def peak():
    [line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10

def packed(packer, finish):
    piece = bytes(1 << 20)
    return b"".join([*(packer(piece) for _ in range(256)), finish()])

name, way = sys.argv[1:]
match name:
    case "gzip" | "deflate":
        made = zlib.compressobj(1, wbits=31 if name == "gzip" else 15)
        bomb = packed(made.compress, made.flush)
    case "br":
        made = brotli.Compressor(quality=5)
        bomb = packed(made.process, made.finish)
    case "zstd":
        made = zstandard.ZstdCompressor().compressobj()
        bomb = packed(made.compress, made.flush)
before = peak()
try:
    match way:
        case "whole":
            encoding.decode(bomb, name, 8 << 20)
        case "streamed":
            reader = BodyReader(name)
            for at in range(0, len(bomb), 65536):
                reader.feed(bomb[at : at + 65536])
except encoding.TooLarge:
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_takes_memory_near_the_limit(name: str, way: str) -> None:
    done = subprocess.run([sys.executable, "-c", BOMBS, name, way], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 5 * encoding.MAX_PIECE


def test_a_bomb_in_a_recorded_turn_is_not_unfolded() -> None:
    packer = zstandard.ZstdCompressor().compressobj()
    bomb = b"".join([*(packer.compress(bytes(MIB)) for _ in range(96)), packer.flush()])
    marks = bytes(4) + (96 * MIB).to_bytes(4, "little")
    data = {"blocks": [zstandard.compress(b"before"), bomb], "marks": [bytes(4) + b"\6\0\0\0", marks]}
    data |= {"gap_at": -1, "gap": 0}
    assert len(stream_capture.body_of(data)) < 200
    assert stream_capture.body_of(data).startswith(b"before")
    assert b"is not shown" in [*stream_capture.pieces(data)][-1].data


def test_what_a_store_holds_is_what_was_packed_or_an_error() -> None:
    assert unpack(pack({"a": [1, TEXT.decode()]})) == {"a": [1, TEXT.decode()]}
    for broken in (b"", b"no", pack({"a": TEXT.decode()})[:-9]):
        with pytest.raises(ValueError, match="not a packed value"):
            unpack(broken)
    assert events_in(b"") == []


def test_a_document_in_place_of_a_stream_is_not_collected_without_end() -> None:
    reader = BodyReader("")
    piece = bytes(MIB)
    reader.feed(b"  {" + piece[3:])
    for _ in range(MAX_DOCUMENT // MIB - 1):
        reader.feed(piece)
    with pytest.raises(encoding.TooLarge):
        reader.feed(piece)


@pytest.mark.parametrize("blank", [b" ", b"\n", b" \r\n\t"])
def test_blanks_before_an_answer_cost_nothing(blank: bytes) -> None:
    reader = BodyReader("")
    for _ in range(3):
        assert reader.feed(blank * 1000) == []
    assert reader.feed(blank + b"data: x\n\n") == [b"x"]
    whole = BodyReader("")
    whole.feed(blank * 100_000)
    whole.feed(b'{"a": 1}')
    assert (whole.kind, whole.body()) == ("json", b'{"a": 1}')


LIBRARIES = {"zlib", "gzip", "bz2", "lzma", "zipfile", "tarfile", "brotli", "zstandard", "compression", "backports"}
GATES = ["protocol/encoding.py", "inspection/recording/zstd.py"]
"""What clients and upstreams send, and what the gateway itself has packed."""

HARMLESS = {"compressobj", "crc32"}


def ways_round(source: str) -> list[str]:
    """What in the source of a module unpacks something without asking the gate."""
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.split(".")[0] in LIBRARIES
    }
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in LIBRARIES:
                found.append(module)
            case ast.ImportFrom(module="mitmproxy.net", names=names) if any(name.name == "encoding" for name in names):
                found.append("mitmproxy.net.encoding")
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in imported and attr not in HARMLESS:
                if not attr.lower().startswith(("compress", "zstdcompress", "max_wbits")):
                    found.append(f"{name}.{attr}")
            # What mitmproxy's messages unpack by themselves.
            case ast.Attribute(attr="get_content" | "get_text" as attr):
                found.append(attr)
            case ast.Attribute(
                attr="text" | "content" as attr,
                ctx=ast.Load(),
                value=ast.Attribute(attr="request" | "response", value=ast.Name(id="flow")),
            ):
                found.append(attr)
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import zlib\nzlib.decompress(x)",
        "import zstandard\nzstandard.ZstdDecompressor()",
        "from gzip import decompress",
        "flow.response.get_content(strict=False)",
        "flow.request.text",
    ],
)
def test_a_way_round_the_gate_is_found(source: str) -> None:
    assert ways_round(source)


def test_nothing_is_unpacked_but_through_the_gate() -> None:
    sources = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    for gate in GATES:
        assert ways_round(sources.pop(gate))
    assert {name: found for name, source in sources.items() if (found := ways_round(source))} == {}
