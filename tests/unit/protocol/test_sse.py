"""Server-sent events: any chunking of any bytes gives the same payloads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.protocol.sse import SseDecoder, encode


def decode(*pieces: bytes) -> list[bytes]:
    decoder = SseDecoder()
    payloads = [payload for piece in pieces for payload in decoder.feed(piece)]
    return payloads + decoder.finish()


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b": comment\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a", [b"a"]),
        (b"data: a\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"\n\n\n", []),
        (b"data:\n\n", []),
    ],
)
def test_forms_of_a_stream(stream: bytes, payloads: list[bytes]) -> None:
    assert decode(stream) == payloads


@given(
    st.lists(st.sampled_from([b"data: ", b"data:", b"x", "é😀".encode(), b"\r", b"\n", b"\r\n", b"\n\n", b": c"])),
    st.data(),
)
def test_the_chunking_changes_nothing(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(*pieces) == decode(stream)


def test_an_encoded_event_can_be_decoded() -> None:
    assert decode(encode({"type": "x", "text": "é\n\ud800"})) == ['{"type":"x","text":"é\\n\ufffd"}'.encode()]
