"""The picture of a session: a lane per thread, a bar per turn, the phases of each.

Across, places are per cent of the width; down, they are pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.inspection.pages.axis import Axis
from responses_gateway.inspection.pages.formats import duration
from responses_gateway.inspection.pages.phases import end_of, phases_of, runs_tools
from responses_gateway.inspection.pages.threads import Thread
from responses_gateway.inspection.pages.tips import turn_tip

BAR = 18
ROW = 26
"""From one bar to the bar below it."""

_MOST_ROWS = 8
"""Of one lane: more turns at one time than that are drawn over each other."""


class Part(NamedTuple):
    """One phase."""

    kind: str
    x: float
    width: float


class Bar(NamedTuple):
    """One turn."""

    turn: Turn
    x: float
    width: float
    y: int
    parts: list[Part]
    tip: str


class Tools(NamedTuple):
    """What the client did between two turns."""

    x: float
    width: float
    y: int
    milliseconds: int
    tip: str


class Link(NamedTuple):
    """From the turn that made a thread down to its first turn."""

    x: float
    top: int
    bottom: int


@dataclass(frozen=True, slots=True)
class Lane:
    """One thread."""

    thread: Thread
    y: int
    height: int
    bars: list[Bar]
    tools: list[Tools]
    link: Link | None


def lanes_of(threads: Sequence[Thread], axis: Axis, now: float) -> list[Lane]:
    """The lanes from above, in the order of `threads`."""
    lanes: list[Lane] = []
    places: dict[str, int] = {}
    y = 0
    for thread in threads:
        rows = _rows(thread.turns, now)
        bars = [
            _bar(turn, y + row * ROW + (ROW - BAR) // 2, axis, now)
            for turn, row in zip(thread.turns, rows, strict=True)
        ]
        places |= {bar.turn.id: bar.y for bar in bars}
        link = None
        if thread.origin is not None and thread.origin.id in places:
            link = Link(bars[0].x, places[thread.origin.id] + BAR, bars[0].y)
        height = ROW * (max(rows) + 1)
        lanes.append(Lane(thread, y, height, bars, _tools(bars, axis, now), link))
        y += height
    return lanes


def _rows(turns: Sequence[Turn], now: float) -> list[int]:
    """The row of each turn in its lane: turns of one thread may run beside each other."""
    ends: list[float] = []
    rows = []
    for turn in turns:
        end = turn.opened + end_of(turn, now) / 1000
        row = next((at for at, taken in enumerate(ends) if taken <= turn.opened), len(ends))
        if row == _MOST_ROWS:
            row -= 1
        ends[row : row + 1] = [end]
        rows.append(row)
    return rows


def _bar(turn: Turn, y: int, axis: Axis, now: float) -> Bar:
    phases = phases_of(turn, now)
    x, end = axis.at(turn.opened), axis.at(turn.opened + end_of(turn, now) / 1000)
    parts = []
    for phase in phases:
        left, right = (axis.at(turn.opened + at / 1000) for at in (phase.start, phase.end))
        parts.append(Part(phase.kind, left, right - left))
    return Bar(turn, x, end - x, y, parts, turn_tip(turn, phases))


def _tools(bars: Sequence[Bar], axis: Axis, now: float) -> list[Tools]:
    tools = []
    for bar, following in pairwise(bars):
        end = bar.turn.opened + end_of(bar.turn, now) / 1000
        took = following.turn.opened - end
        if took > 0 and bar.y == following.y and runs_tools(bar.turn, following.turn):
            x = axis.at(end)
            tip = f"The client's own tools\n{duration(took)}"
            tools.append(Tools(x, axis.at(following.turn.opened) - x, bar.y, round(took * 1000), tip))
    return tools
