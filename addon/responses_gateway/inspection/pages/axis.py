"""The time axis of a session: hours in which nothing happens take little room."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_SHORTEST_BREAK = 10.0
"""Seconds of idleness that are shown as they are, at least."""

_BREAK_SHARE = 0.04
"""Of the busy time: what an idle time takes at most."""

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
"""Seconds between two ticks."""

TICKS = 8
"""Ticks on the width of a window, at most."""


class Tick(NamedTuple):
    x: float
    when: float


class Break(NamedTuple):
    """An idle time that is not shown in full. Places are per cent."""

    x: float
    width: float
    seconds: float


class _Stretch(NamedTuple):
    """Seconds since the epoch, and where they are: seconds of the axis."""

    start: float
    end: float
    at: float
    length: float


class Axis:
    """Where a time is, in per cent of the width."""

    def __init__(self, busy: Iterable[tuple[float, float]]) -> None:
        """`busy` are beginnings and ends of what is shown, in seconds since the epoch; at least one."""
        merged = _merged(busy)
        limit = max(_SHORTEST_BREAK, _BREAK_SHARE * sum(end - start for start, end in merged))
        self._stretches: list[_Stretch] = []
        at = 0.0
        for (start, end), following in zip(merged, [*merged[1:], None], strict=True):
            self._stretches.append(_Stretch(start, end, at, end - start))
            at += end - start
            if following is not None:
                idle = following[0] - end
                self._stretches.append(_Stretch(end, following[0], at, min(idle, limit)))
                at += min(idle, limit)
        self._length = max(at, 0.001)
        self._starts = [stretch.start for stretch in self._stretches]

    def at(self, when: float) -> float:
        """Per cent of the width."""
        stretch = self._stretches[max(0, bisect_right(self._starts, when) - 1)]
        took = stretch.end - stretch.start
        share = min(1.0, max(0.0, (when - stretch.start) / took)) if took > 0 else 0.0
        return 100 * (stretch.at + share * stretch.length) / self._length

    @property
    def breaks(self) -> list[Break]:
        return [
            Break(100 * one.at / self._length, 100 * one.length / self._length, one.end - one.start)
            for one in self._stretches
            if one.end - one.start > one.length + 0.001
        ]

    def ticks(self, count: int = TICKS) -> list[Tick]:
        """Round times of the clock, at most about `count` of them."""
        step = next((step for step in _STEPS if self._length / step <= count), self._length // count)
        least = 60 / count
        ticks: list[Tick] = []
        for stretch in self._stretches:
            if stretch.end - stretch.start > stretch.length + 0.001:
                continue
            when = -(-stretch.start // step) * step
            while when < stretch.end:
                x = self.at(when)
                if not ticks or x - ticks[-1].x >= least:
                    ticks.append(Tick(x, when))
                when += step
        return [tick for tick in ticks if tick.x <= 100 - least / 2]


def _merged(busy: Iterable[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """The same times as stretches that do not overlap, in order."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(busy):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
