"""Both streams of a turn on one time axis: what came from the upstream, and what the client was sent for it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from responses_gateway.inspection.recording.recorded_turn import RecordedTurn, frames
from responses_gateway.inspection.recording.stream_capture import CapturedStream, pieces
from responses_gateway.inspection.views.timeline import timed_chunks, timed_events

BINS = 120
"""Columns of the picture."""

LINES = 600
"""Lines of the table."""

LANE = 44
"""Pixels of one lane."""


class Column(NamedTuple):
    """What passed within one step of the axis. `x` and `width` are per cent, `y` and `height` pixels."""

    x: float
    width: float
    y: float
    height: float
    tip: str


class Lane(NamedTuple):
    """One wire."""

    name: str
    kind: str
    y: int
    columns: list[Column]


class Line(NamedTuple):
    """One line of the table: what passed, on one side."""

    at: int
    """Milliseconds since the turn was opened."""

    upstream: str
    client: str


class Streams(NamedTuple):
    """Both streams."""

    lanes: list[Lane]
    height: int
    ticks: list[tuple[float, str]]
    """Where, in per cent, and what time."""

    lines: list[Line]
    left_out: int
    """Lines that are not shown."""


def streams_of(record: RecordedTurn, end: int) -> Streams:
    """`end`: milliseconds that the axis reaches to, at least."""
    tapes = [(f"upstream, round {one['number']}", "new", one["chunks"]) for one in record.rounds]
    if len(tapes) == 1:
        tapes = [("upstream", "new", tapes[0][2])]
    if record.events is not None:
        tapes.append(("to the client", "output", record.events))
    passed = [(name, kind, _passed(tape)) for name, kind, tape in tapes]
    end = max([end, 1, *(at for _, _, times in passed for at, _ in times)])
    lanes = [
        Lane(name, kind, LANE * row, _columns(times, end, LANE * row)) for row, (name, kind, times) in enumerate(passed)
    ]
    lines = _table(record)
    step = _step(end)
    ticks = [(100 * at / end, f"{at / 1000:g} s") for at in range(0, end, step)]
    return Streams(lanes, LANE * len(lanes), ticks, lines[:LINES], max(0, len(lines) - LINES))


def _passed(tape: CapturedStream) -> list[tuple[int, int]]:
    """Time and size of each piece."""
    return [(piece.at, len(piece.data)) for piece in pieces(tape)]


def _columns(times: Sequence[tuple[int, int]], end: int, top: int) -> list[Column]:
    sums = [0] * BINS
    counts = [0] * BINS
    for at, size in times:
        place = min(BINS - 1, at * BINS // end)
        sums[place] += size
        counts[place] += 1
    most = max(sums, default=0) or 1
    width = 100 / BINS
    columns = []
    for place, (size, count) in enumerate(zip(sums, counts, strict=True)):
        if count:
            height = max(2.0, (LANE - 10) * (size / most) ** 0.5)
            first, last = place * end / BINS / 1000, (place + 1) * end / BINS / 1000
            tip = f"{first:.2f} to {last:.2f} s\n{count:,} piece{'s' if count > 1 else ''}, {size:,} bytes"
            columns.append(Column(place * width, width, top + LANE - 4 - height, height, tip))
    return columns


def _step(end: int) -> int:
    """Milliseconds between two ticks: at most eight of them."""
    for step in (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000):
        if end / step <= 8:
            return step
    return 3_600_000


def _table(record: RecordedTurn) -> list[Line]:
    """Both streams line by line in the order of time."""
    upstream: list[tuple[int, str]] = []
    for one in record.rounds:
        status = f"HTTP {one['status']}" if one["status"] else "no answer"
        upstream += [(one["began"], f"→ request of round {one['number']}")]
        upstream += [(one["answered"], f"← {status}")] if one["answered"] >= 0 else []
        upstream += timed_chunks(frames(one["chunks"]))
        upstream += [(one["ended"], f"■ {one['error']}")] if one["error"] else []
    client: Iterable[tuple[int, str]] = timed_events(frames(record.events))
    lines = [Line(at, text, "") for at, text in upstream] + [Line(at, "", text) for at, text in client]
    return sorted(lines, key=lambda line: line.at)
