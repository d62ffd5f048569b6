"""Telling the reads of a chunked body that are nothing but whole chunks."""

import itertools

import pytest
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.proxy.chunked_transfer import WholeChunkDecoder, encode_chunk


def test_whole_chunks_are_read() -> None:
    assert WholeChunkDecoder().decode(b"3\r\nabc\r\n1\r\nd\r\n") == b"abcd"


@pytest.mark.parametrize(
    "data",
    [
        b"3\r\nab", b"3\r\nabc", b"3\r\nabc\r", b"3\r", b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"3;x=y\r\nabc\r\n",
        b"0x3\r\nabc\r\n", b"+3\r\nabc\r\n", b" 3\r\nabc\r\n", b"3\nabc\n", b"3\r\nabcde", b"abc", b"3\r\nabc\r\nx",
    ],
)  # fmt: skip
def test_all_else_is_left_to_the_other_reader(data: bytes) -> None:
    assert WholeChunkDecoder().decode(data) is None


@given(st.lists(st.binary(min_size=1, max_size=40)), st.lists(st.integers(0, 200)))
def test_two_readers_get_the_body_between_them(pieces: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(map(encode_chunk, pieces)) + b"0\r\n\r\n"
    edges = sorted({0, len(wire), *(cut % len(wire) for cut in cuts)})
    decoder, reader, buffer, body = WholeChunkDecoder(), ChunkedReader(), ReceiveBuffer(), b""
    for begin, end in itertools.pairwise(edges):
        read = wire[begin:end]
        payload = decoder.decode(read)
        if payload is not None:
            body += payload
            continue
        decoder.skip(read)
        buffer += read
        while event := reader(buffer):
            if not hasattr(event, "data"):
                break
            body += event.data
    assert body == b"".join(pieces)


def test_what_the_other_reader_began_is_its_own() -> None:
    decoder = WholeChunkDecoder()
    decoder.skip(b"5\r\nab")
    assert decoder.decode(b"3\r\nxyz\r\n") is None
    decoder.skip(b"cde\r\n")
    assert decoder.decode(b"3\r\nxyz\r\n") == b"xyz"


def test_a_head_in_two_reads_is_followed() -> None:
    decoder = WholeChunkDecoder()
    decoder.skip(b"1")
    decoder.skip(b"0\r\n" + b"x" * 16 + b"\r\n")
    assert decoder.decode(b"1\r\na\r\n") == b"a"
