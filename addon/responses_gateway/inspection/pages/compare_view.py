"""What differs between two turns, or two sessions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

from markupsafe import Markup

from responses_gateway.inspection.archive.outcome import outcome_of
from responses_gateway.inspection.archive.rows import Session, Turn, WholeTurn
from responses_gateway.inspection.pages.code import difference
from responses_gateway.inspection.pages.formats import UNKNOWN, count, duration, money, share
from responses_gateway.inspection.pages.items import Entry, outline_of
from responses_gateway.inspection.pages.phases import end_of
from responses_gateway.inspection.pages.wires import brief, fields_of
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import content_of
from responses_gateway.inspection.request_items import essence, input_items
from responses_gateway.inspection.text import pretty
from responses_gateway.inspection.views.transcript import item_block
from responses_gateway.protocol.json import JsonObject

LISTED = 100
"""Items of each side that are listed."""

_APART = ("input", "instructions", "tools")


class Figure(NamedTuple):
    """One figure of both, for people."""

    name: str
    old: str
    new: str

    @property
    def differs(self) -> bool:
        return self.old != self.new


class ToolChange(NamedTuple):
    name: str
    state: str
    """`added`, `gone` or `changed`."""

    difference: Markup | None


@dataclass(frozen=True)
class Comparison:
    """Two turns, and what differs."""

    old: Turn
    new: Turn
    figures: list[Figure]
    parameters: list[Figure]
    instructions: Markup | None
    tools: list[ToolChange]
    common: int
    """Items from the beginning that both have."""

    only_old: list[Entry]
    only_new: list[Entry]
    old_count: int
    """Items behind those that both have."""

    new_count: int
    answer: Markup | None


def comparison_of(old: WholeTurn, new: WholeTurn, now: float) -> Comparison:
    """What became of a turn in another one."""
    before, after = _request(old.record), _request(new.record)
    old_items, new_items = input_items(old.record), input_items(new.record)
    common = _common(old_items, new_items)
    return Comparison(
        old=old.turn,
        new=new.turn,
        figures=_figures(_TURN, old.turn, new.turn, now),
        parameters=list(_parameters(before, after)),
        instructions=difference(str(before.get("instructions") or ""), str(after.get("instructions") or "")),
        tools=_tools(before.get("tools"), after.get("tools")),
        common=common,
        only_old=_outlines(old_items, common),
        only_new=_outlines(new_items, common),
        old_count=len(old_items) - common,
        new_count=len(new_items) - common,
        answer=difference(_answer(old), _answer(new), context=6),
    )


def _request(record: RecordedTurn) -> JsonObject:
    return record.request_json if isinstance(record.request_json, dict) else {}


def _common(old: Sequence[Any], new: Sequence[Any]) -> int:
    pairs = zip(old, new, strict=False)
    differ = (at for at, (one, other) in enumerate(pairs) if one != other and essence(one) != essence(other))
    return next(differ, min(len(old), len(new)))


def _outlines(items: Sequence[Any], start: int) -> list[Entry]:
    return [outline_of(item, at) for at, item in enumerate(items[start : start + LISTED], start)]


def _parameters(before: JsonObject, after: JsonObject) -> Iterable[Figure]:
    old, new = dict(fields_of(before)), dict(fields_of(after))
    for name in dict.fromkeys([*old, *new]):
        if name not in _APART and old.get(name) != new.get(name):
            yield Figure(name, *(brief(one[name]) if name in one else UNKNOWN for one in (old, new)))


def _tools(before: Any, after: Any) -> list[ToolChange]:
    old, new = _by_name(before), _by_name(after)
    changes = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            changes.append(ToolChange(name, "gone", None))
        elif name not in old:
            changes.append(ToolChange(name, "added", None))
        elif old[name] != new[name]:
            changes.append(ToolChange(name, "changed", difference(pretty(old[name]), pretty(new[name]))))
    return changes


def _by_name(tools: Any) -> dict[str, Any]:
    named = {}
    for tool in tools if isinstance(tools, list) else ():
        inner = tool.get("function") if isinstance(tool, dict) else None
        inner = inner if isinstance(inner, dict) else tool
        name = inner.get("name") or inner.get("type") if isinstance(inner, dict) else None
        named[str(name)] = tool
    return named


def _answer(whole: WholeTurn) -> str:
    """The answer as a transcript, without what is different each time."""
    record = whole.record
    items = outcome_of(record, content_of(record.events)).items if record.events is not None else []
    lines: list[str] = []
    for item in items:
        lines += item_block(_without_ids(item))
    return "\n".join(lines)


def _without_ids(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return {name: value for name, value in item.items() if name not in ("id", "call_id", "encrypted_content")}


# Figures --------------------------------------------------------------------------------------------------------------


_TURN: tuple[tuple[str, Callable[[Any, float], str]], ...] = (
    ("Model", lambda turn, _: turn.model),
    ("Upstream's model", lambda turn, _: turn.upstream_model),
    ("Status", lambda turn, _: turn.status),
    ("Took", lambda turn, now: duration(end_of(turn, now) / 1000)),
    ("First token", lambda turn, _: duration(turn.first_token / 1000)),
    ("Tokens in", lambda turn, _: count(turn.input_tokens)),
    ("Cached", lambda turn, _: share(turn.cached_tokens, turn.input_tokens)),
    ("Tokens out", lambda turn, _: count(turn.output_tokens)),
    ("Reasoning", lambda turn, _: count(turn.reasoning_tokens)),
    ("Calls", lambda turn, _: count(turn.calls)),
    ("Cost", lambda turn, _: money(turn.cost)),
    ("Client", lambda turn, _: f"{turn.client} {turn.version}".strip()),
)
_SESSION: tuple[tuple[str, Callable[[Any, float], str]], ...] = (
    ("Models", lambda one, _: ", ".join(one.models)),
    ("Took", lambda one, now: duration((now if one.running else one.ended) - one.began)),
    ("Turns", lambda one, _: count(one.turns)),
    ("Threads", lambda one, _: count(one.threads)),
    ("Calls", lambda one, _: count(one.calls)),
    ("Failed", lambda one, _: count(one.failed)),
    ("Repaired", lambda one, _: count(one.healed)),
    ("Tokens in", lambda one, _: count(one.input_tokens)),
    ("Cached", lambda one, _: share(one.cached_tokens, one.input_tokens)),
    ("Tokens out", lambda one, _: count(one.output_tokens)),
    ("Cost", lambda one, _: money(one.cost)),
    ("Client", lambda one, _: f"{one.client} {one.version}".strip()),
)


def _figures(
    names: Sequence[tuple[str, Callable[[Any, float], str]]], old: Turn | Session, new: Turn | Session, now: float
) -> list[Figure]:
    return [Figure(name, figure(old, now), figure(new, now)) for name, figure in names]


class Pair(NamedTuple):
    """Turns of two sessions at the same place."""

    old: Turn | None
    new: Turn | None


class SessionComparison(NamedTuple):
    """Two sessions, turn by turn of their own threads."""

    old: Session
    new: Session
    figures: list[Figure]
    pairs: list[Pair]


def sessions_compared(
    old: Session, new: Session, old_turns: Sequence[Turn], new_turns: Sequence[Turn], now: float
) -> SessionComparison:
    """What became of a session in another one; turns are in order."""
    mine, theirs = ([turn for turn in turns if not turn.parent][:LISTED] for turns in (old_turns, new_turns))
    pairs = [Pair(*pair) for pair in zip_longest(mine, theirs)]
    return SessionComparison(old, new, _figures(_SESSION, old, new, now), pairs)
