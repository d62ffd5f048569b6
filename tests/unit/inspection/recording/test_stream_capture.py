"""What is kept of a long stream: the beginning, the end, and the knowledge of what is missing."""

from responses_gateway.inspection.recording import stream_capture


def test_everything_is_kept_up_to_the_limit():
    kept = stream_capture.StreamCapture()
    for number in range(100):
        kept.add(number / 1000, b"x%d" % number)
    kept.flush(is_end=True)
    found = [(piece.at, piece.data) for piece in stream_capture.pieces(kept.data)]
    assert found == [(n, b"x%d" % n) for n in range(100)]
    assert kept.content() == b"".join(b"x%d" % number for number in range(100))


def test_the_latest_bytes_say_what_came_before_them():
    kept = stream_capture.StreamCapture()
    for number in range(100):
        kept.add(number, b"%03d\n" % number)
        kept.flush()
        kept.flush()
    assert kept.latest() == b": 396 bytes came before this\n\n099\n"


def test_a_long_stream_keeps_its_beginning_and_its_end_and_says_what_is_missing():
    kept = stream_capture.StreamCapture()
    piece = b"y" * 65536
    count = (stream_capture.HEAD + 10 * stream_capture.TAIL) // len(piece)
    for number in range(count):
        kept.add(number / 1000, b"%08d" % number + piece)
    kept.flush(is_end=True)
    shown = list(stream_capture.pieces(kept.data))
    present = sum(len(one.data) for one in shown)
    missing = sum(one.missing for one in shown)
    assert present + missing == kept.size
    assert stream_capture.HEAD < present < stream_capture.HEAD + 3 * stream_capture.TAIL
    assert shown[0].data.startswith(b"00000000")
    assert shown[-1].data.startswith(b"%08d" % (count - 1))
    assert len([one for one in shown if one.missing]) == 1
    assert b": %d bytes are not kept here" % missing in kept.content()


def test_a_secret_across_pieces_is_found_whenever_somebody_looks():
    kept = stream_capture.StreamCapture(clean=lambda data: data.replace(b"secret", b"*"))
    for piece in (b"a line\n", b"my se", b"cr", b"et is", b" kept\n"):
        kept.add(0.0, piece)
        kept.flush()
        assert b"my" not in kept.latest() or b"*" in kept.latest()
    assert kept.content() == b"a line\nmy * is kept\n"


def test_what_has_no_lines_does_not_wait_forever():
    kept = stream_capture.StreamCapture()
    for _ in range(3 * stream_capture.BLOCK // 1024):
        kept.add(0.0, b"x" * 1024)
    assert kept.size >= 2 * stream_capture.BLOCK
