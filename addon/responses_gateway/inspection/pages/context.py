"""The picture of a thread's context: what each turn sent, from the cache or not, and what it cost so far.

Places are per cent of the picture, from its upper left corner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.inspection.pages.axis import Axis
from responses_gateway.inspection.pages.phases import end_of
from responses_gateway.inspection.pages.tips import break_tip, compaction_tip, context_tip

_NARROWEST = 0.3
"""Per cent of the width."""

_HIGHEST = 92.0
"""Per cent of the height that the largest context takes: marks have their place above it."""


class Layer(NamedTuple):
    """Tokens of one kind."""

    kind: str
    y: float
    height: float


class Column(NamedTuple):
    """One turn."""

    turn: Turn
    x: float
    width: float
    layers: list[Layer]
    tip: str


class Mark(NamedTuple):
    """A turn that did something to the context: `compaction`, or `broken` for a prefix that broke."""

    turn: Turn
    kind: str
    x: float
    tip: str


@dataclass(frozen=True, slots=True)
class Context:
    """The picture."""

    columns: list[Column]
    marks: list[Mark]
    top: int
    """Tokens that the highest column stands for."""

    costs: str
    """A path in a square of 1000: dollars so far; empty when no price is known."""

    cost: float | None


def context_of(turns: Sequence[Turn], every: Sequence[Turn], axis: Axis, now: float) -> Context:
    """`turns` are a thread's, `every` the session's, both in order."""
    top = max((turn.input_tokens + turn.output_tokens for turn in turns), default=0)
    marks = []
    for turn in turns:
        if turn.kind == "compaction":
            marks.append(Mark(turn, "compaction", axis.at(turn.opened), compaction_tip(turn)))
        elif turn.prefix_changed:
            marks.append(Mark(turn, "broken", axis.at(turn.opened), break_tip(turn)))
    following = [turn.opened for turn in turns[1:]] + [float("inf")]
    columns = [
        _column(turn, min(until, turn.opened + end_of(turn, now) / 1000), top, axis)
        for turn, until in zip(turns, following, strict=True)
        if turn.input_tokens or turn.output_tokens
    ]
    known = [(turn, turn.cost) for turn in every if turn.cost is not None]
    total = sum(cost for _, cost in known) if known else None
    return Context(columns, marks, top, _costs(known, total, axis, now), total)


def _column(turn: Turn, until: float, top: int, axis: Axis) -> Column:
    x = axis.at(turn.opened)
    width = max(_NARROWEST, axis.at(until) - x)
    parts = (
        ("cached", turn.cached_tokens),
        ("new", turn.input_tokens - turn.cached_tokens),
        ("output", turn.output_tokens),
    )
    layers, y = [], 100.0
    for kind, tokens in parts:
        height = _HIGHEST * max(0, tokens) / top
        y -= height
        if height:
            layers.append(Layer(kind, y, height))
    return Column(turn, x, width, layers, context_tip(turn))


def _costs(known: Sequence[tuple[Turn, float]], total: float | None, axis: Axis, now: float) -> str:
    """Steps at the ends of the turns."""
    if not total:
        return ""
    ended = sorted((turn.opened + end_of(turn, now) / 1000, cost) for turn, cost in known)
    path = [f"M{10 * axis.at(known[0][0].opened):.1f} 1000"]
    for (when, _), spent in zip(ended, accumulate(cost for _, cost in ended), strict=True):
        path.append(f"H{10 * axis.at(when):.1f}V{1000 - 10 * _HIGHEST * spent / total:.1f}")
    return "".join([*path, "H1000"])
