"""What a turn's time went into, and what ran between turns."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.protocol.json import JsonObject

NAMES = {
    "gateway": "gateway",
    "connect": "connecting, until the answer's head",
    "waiting": "waiting for tokens",
    "reasoning": "reasoning",
    "text": "text",
    "calls": "calls",
    "tools": "the client's own tools",
}
"""What each phase is called, in the order of a turn."""

_ITEMS = {"reasoning": "reasoning", "message": "text"}
"""The phases of items by their type; all others are calls."""


class Phase(NamedTuple):
    """A part of a turn, in milliseconds since it was opened."""

    kind: str
    start: int
    end: int


def up_to_date(turn: Turn, running: Mapping[str, JsonObject]) -> Turn:
    """A turn with what is known of it at this moment, when it runs here: `running` has its facts by its flow's id."""
    facts = running.get(turn.flow)
    if turn.status != "in_progress" or facts is None or facts["opened"] != turn.opened:
        return turn
    names = ("first_byte", "first_token", "first_text", "calls", "status", "error")
    return replace(turn, **{name: facts[name] for name in names})


def end_of(turn: Turn, now: float) -> int:
    """Milliseconds from the beginning of a turn to its end, or to `now` (seconds since the epoch) while it runs."""
    if turn.ended >= 0:
        return turn.ended
    return max(0, round((now - turn.opened) * 1000)) if turn.status == "in_progress" else _last_sign(turn)


def _last_sign(turn: Turn) -> int:
    """When something was last seen of a turn whose end nobody saw."""
    return max(0, turn.sent, turn.answered, turn.first_byte, turn.first_token, turn.first_text)


def phases_of(turn: Turn, now: float) -> list[Phase]:
    """The phases of a turn, one after the other without gaps; those that took no time are left out."""
    end = end_of(turn, now)
    sent = _within(turn.sent, end)
    head = min((at for at in (turn.answered, turn.first_byte, turn.first_token) if at >= 0), default=end)
    phases = [Phase("gateway", 0, sent), Phase("connect", sent, max(sent, _within(head, end)))]
    for kind, start, stop in _items(turn, end):
        before = phases[-1].end
        start, stop = max(before, _within(start, end)), max(before, _within(stop, end))
        phases += [Phase("waiting", before, start), Phase(kind, start, max(start, stop))]
    phases.append(Phase("waiting", phases[-1].end, end))
    return [phase for phase in phases if phase.end > phase.start]


def _items(turn: Turn, end: int) -> Iterable[tuple[str, int, int]]:
    """Phase, beginning and end of what was answered."""
    if turn.spans:
        starts = [span.start for span in turn.spans[1:]] + [end]
        for span, following in zip(turn.spans, starts, strict=True):
            yield _ITEMS.get(span.kind, "calls"), span.start, span.end if span.end >= 0 else following
    elif turn.first_token >= 0:
        # Items are told apart when the turn is over.
        yield "reasoning", turn.first_token, turn.first_text if turn.first_text >= 0 else end
        if turn.first_text >= 0:
            yield "text", turn.first_text, end


def _within(at: int, end: int) -> int:
    return end if at < 0 else min(at, end)


def runs_tools(turn: Turn, following: Turn) -> bool:
    """Whether the client's tools ran between two turns of a thread: one called, and nobody said anything since."""
    return turn.calls > 0 and not following.title
