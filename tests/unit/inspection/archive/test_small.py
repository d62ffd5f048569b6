"""Bytes come back as they were, whatever they were packed against."""

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.inspection.archive.captured_streams import (
    StreamParts,
    bundle_stream,
    join_stream,
    split_stream,
    unbundle_stream,
)
from responses_gateway.inspection.archive.delta import SMALL, Packed, pack, unpack
from responses_gateway.inspection.recording.stream_capture import HEAD, TAIL, StreamCapture, pieces


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_packing_is_undone(head: bytes, change: bytes, tail: bytes, other: bytes) -> None:
    base, body = head + other + tail, head + change + tail
    assert unpack(pack(body, base), base) == body
    assert unpack(pack(body)) == body


@pytest.mark.parametrize("size", [SMALL - 1, SMALL, SMALL + 1, 5 * SMALL])
def test_large_changes_are_packed_against_all_of_the_base(size: int) -> None:
    base = b"".join(b"%d " % (number * number) for number in range(200_000))
    body = base[:100] + base[600_000 : 600_000 + size] + base[-100:]
    packed = pack(body, base)
    assert unpack(packed, base) == body
    assert len(packed.data) < size / 20 or size <= SMALL


def test_what_only_grows_is_not_compared_byte_by_byte() -> None:
    base = b"x" * 1_000_000
    packed = pack(base + b"tail", base)
    assert packed.head == len(base)
    assert len(packed.data) < 100


@pytest.mark.parametrize(
    "packed", [Packed(0, 0, b"no zstd"), Packed(10, 0, zstandard.compress(b"x")), Packed(0, 0, b"")]
)
def test_what_was_not_packed_so_is_refused(packed: Packed) -> None:
    with pytest.raises(ValueError, match="not packed so"):
        unpack(packed, b"short")


@given(st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=50)), max_size=40))
def test_tapes_come_back(passed: list[tuple[int, bytes]]) -> None:
    capture = StreamCapture()
    now = 0.0
    for step, data in passed:
        now += step / 1000
        capture.add(now, data)
        if step % 3 == 0:
            capture.flush()
    capture.flush(is_end=True)
    again = join_stream(split_stream(capture.data))
    assert list(pieces(again)) == list(pieces(capture.data))
    assert again["marks"] == capture.data["marks"]


def test_a_tape_with_a_gap_comes_back() -> None:
    capture = StreamCapture()
    line = b"data: %s\n\n" % (b"x" * 100_000)
    for number in range((HEAD + 3 * TAIL) // len(line)):
        capture.add(number / 10, line)
    capture.flush(is_end=True)
    assert capture.data["gap"] > 0
    assert list(pieces(join_stream(split_stream(capture.data)))) == list(pieces(capture.data))


def test_bundles_come_back() -> None:
    tape = StreamCapture()
    for block in (b"one\n", b"two\n"):
        tape.add(1.0, block)
        tape.flush()
    bundle = bundle_stream(tape.data)
    assert unbundle_stream(bundle) == tape.data
    for damaged in (bundle[:-1], bundle + b"x", bundle[:7], b"", b"\xff" * 4, b"\1\0\0\0\0\0\0\0"):
        with pytest.raises(ValueError, match="not a bundle"):
            unbundle_stream(damaged)


@pytest.mark.parametrize("marks", [b"", b"{}", b'{"blocks":[1],"gap_at":-1,"gap":0}\nxx', b'{"blocks":["a"]}\n'])
def test_what_is_no_tape_is_refused(marks: bytes) -> None:
    with pytest.raises(ValueError, match=r"tape|Expecting"):
        join_stream(StreamParts(b"abc", marks))
