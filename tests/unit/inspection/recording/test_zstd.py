"""Packing and unpacking while other threads do the same: the archive reads tapes while streams write theirs."""

from concurrent.futures import ThreadPoolExecutor

from responses_gateway.inspection.recording.stream_capture import StreamCapture, body_of

LINES = [b"data: %d %s\n\n" % (number, b"word " * (number % 50)) for number in range(3000)]


def recorded(offset: int) -> bytes:
    capture = StreamCapture()
    for at, line in enumerate(LINES):
        capture.add(at / 1000, line)
        if at % (40 + offset) == 0:
            capture.flush()
    capture.flush(is_end=True)
    return body_of(capture.data)


def test_threads_do_not_disturb_each_other() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(recorded, range(40))) == {b"".join(LINES)}
