"""Bytes come back as they were, whatever they were packed against."""

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.inspection.archive.delta import SMALL, Packed, pack, unpack
from responses_gateway.inspection.archive.tapes import TapeParts, joined, taken_apart
from responses_gateway.inspection.recording.timed_bytes import HEAD, TAIL, Tape, pieces


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
    tape = Tape()
    now = 0.0
    for step, data in passed:
        now += step / 1000
        tape.add(now, data)
        if step % 3 == 0:
            tape.flush()
    tape.flush(is_end=True)
    again = joined(taken_apart(tape.data))
    assert list(pieces(again)) == list(pieces(tape.data))
    assert again["marks"] == tape.data["marks"]


def test_a_tape_with_a_gap_comes_back() -> None:
    tape = Tape()
    line = b"data: %s\n\n" % (b"x" * 100_000)
    for number in range((HEAD + 3 * TAIL) // len(line)):
        tape.add(number / 10, line)
    tape.flush(is_end=True)
    assert tape.data["gap"] > 0
    assert list(pieces(joined(taken_apart(tape.data)))) == list(pieces(tape.data))


@pytest.mark.parametrize("marks", [b"", b"{}", b'{"blocks":[1],"gap_at":-1,"gap":0}\nxx', b'{"blocks":["a"]}\n'])
def test_what_is_no_tape_is_refused(marks: bytes) -> None:
    with pytest.raises(ValueError, match=r"tape|Expecting"):
        joined(TapeParts(b"abc", marks))
