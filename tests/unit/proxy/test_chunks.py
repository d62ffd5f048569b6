"""Telling the reads of a chunked body that are nothing but whole chunks."""

import itertools

import pytest
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.proxy.chunks import Chunks, chunk


def test_whole_chunks_are_read() -> None:
    assert Chunks().payload(b"3\r\nabc\r\n1\r\nd\r\n") == b"abcd"


@pytest.mark.parametrize(
    "data",
    [
        b"3\r\nab", b"3\r\nabc", b"3\r\nabc\r", b"3\r", b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"3;x=y\r\nabc\r\n",
        b"0x3\r\nabc\r\n", b"+3\r\nabc\r\n", b" 3\r\nabc\r\n", b"3\nabc\n", b"3\r\nabcde", b"abc", b"3\r\nabc\r\nx",
    ],
)  # fmt: skip
def test_all_else_is_left_to_the_other_reader(data: bytes) -> None:
    assert Chunks().payload(data) is None


@given(st.lists(st.binary(min_size=1, max_size=40)), st.lists(st.integers(0, 200)))
def test_two_readers_get_the_body_between_them(pieces: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(map(chunk, pieces)) + b"0\r\n\r\n"
    edges = sorted({0, len(wire), *(cut % len(wire) for cut in cuts)})
    chunks, reader, buffer, body = Chunks(), ChunkedReader(), ReceiveBuffer(), b""
    for begin, end in itertools.pairwise(edges):
        read = wire[begin:end]
        payload = chunks.payload(read)
        if payload is not None:
            body += payload
            continue
        chunks.skip(read)
        buffer += read
        while event := reader(buffer):
            if not hasattr(event, "data"):
                break
            body += event.data
    assert body == b"".join(pieces)


def test_what_the_other_reader_began_is_its_own() -> None:
    chunks = Chunks()
    chunks.skip(b"5\r\nab")
    assert chunks.payload(b"3\r\nxyz\r\n") is None
    chunks.skip(b"cde\r\n")
    assert chunks.payload(b"3\r\nxyz\r\n") == b"xyz"


def test_a_head_in_two_reads_is_followed() -> None:
    chunks = Chunks()
    chunks.skip(b"1")
    chunks.skip(b"0\r\n" + b"x" * 16 + b"\r\n")
    assert chunks.payload(b"1\r\na\r\n") == b"a"
