"""Turns one turn of the archive, or one that runs, into what its page shows."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from markupsafe import Markup

from responses_gateway.inspection.archive.outcome import outcome_of
from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.archive.rows import Turn, WholeTurn
from responses_gateway.inspection.pages.code import difference
from responses_gateway.inspection.pages.items import Entry, entries_of, outline_of
from responses_gateway.inspection.pages.markdown import markdown
from responses_gateway.inspection.pages.phases import NAMES, Phase, end_of, phases_of
from responses_gateway.inspection.pages.wires import Change, Round, changes_of, rounds_of
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn, parsed
from responses_gateway.inspection.recording.stream_capture import content_of
from responses_gateway.inspection.recording.summary import speed
from responses_gateway.inspection.request_items import input_items
from responses_gateway.inspection.text import pretty, shortened
from responses_gateway.inspection.views.answer import answer_of
from responses_gateway.protocol.json import JsonObject

OUTLINED = 400
"""Items from before that are listed, one line each."""

MORE = 40
"""Items from before that are shown with one click."""

_INSTRUCTIONS = 40_000
"""Characters of the instructions that are shown."""

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


class Tool(NamedTuple):
    """A tool that the client offers."""

    name: str
    kind: str
    about: str
    parameters: str
    changes: list[Change]


class Break(NamedTuple):
    """Where the prefix broke, and because of what."""

    path: str
    kept: int
    size: int
    before: Turn | None
    difference: Markup | None
    """What became of the value there; None when the turn before is not kept, or the value cannot be told."""


@dataclass(frozen=True)
class Conversation:
    """What was said: before, in this turn, and as its answer."""

    instructions: Markup | None
    instructions_size: int
    tools: list[Tool]
    earlier: list[Entry]
    """What was there before, one line each; only the latest of it."""

    earlier_count: int
    shown_from: int
    """Index of the first item that is shown whole."""

    new: list[Entry]
    answer: list[Entry]
    refusal: str
    """The body of the answer when it is none."""


@dataclass(frozen=True)
class TurnView:
    """What the page of one turn shows, whichever part is chosen."""

    turn: Turn
    record: RecordedTurn
    before: Turn | None
    after: Turn | None
    took: float
    """Seconds."""

    phases: list[tuple[Phase, str, float, float]]
    """With their names, and where they are, in per cent: beginning and width."""

    spent: list[tuple[str, str, float]]
    """Phase, its name, and the seconds that were spent in it; only where some were."""

    speed: float | None
    changes: list[Change]
    rounds: list[Round]
    broken: Break | None
    is_over: bool
    has_flow: bool
    """Whether there is a flow that mitmweb can show: there is none of a turn whose process died."""


def turn_view(archive: Archive, whole: WholeTurn, now: float, *, only_news: bool = False) -> TurnView:
    """`whole` is up to date. `only_news`: without what cannot change while a turn runs. Raises ArchiveError."""
    turn, record = whole.turn, whole.record
    before = archive.turn_before(turn)
    end = max(1, end_of(turn, now))
    phases = [
        (one, NAMES[one.kind], 100 * one.start / end, 100 * (one.end - one.start) / end) for one in phases_of(turn, now)
    ]
    return TurnView(
        turn=turn,
        record=record,
        before=before,
        after=archive.turn_after(turn),
        took=end / 1000,
        phases=phases,
        spent=[
            (kind, name, spent / 1000)
            for kind, name in NAMES.items()
            if (spent := sum(one.end - one.start for one, *_ in phases if one.kind == kind))
        ],
        speed=speed(record.facts),
        changes=changes_of(record),
        rounds=rounds_of(record),
        broken=None if only_news else _break_of(archive, turn, record, before),
        is_over=turn.status != "in_progress",
        has_flow=bool(whole.shell),
    )


def with_record(whole: WholeTurn, record: RecordedTurn) -> WholeTurn:
    """A turn that runs with what is known of it at this moment."""
    facts, rounds = record.facts, record.rounds
    usage = facts["usage"]
    turn = replace(
        whole.turn,
        **{
            name: facts[name]
            for name in ("first_byte", "first_token", "first_text", "calls", "status", "error", "ended")
        },
        **{name: facts[name] for name in ("model", "upstream_model", "provider")},
        sent=rounds[0]["began"] if rounds else -1,
        answered=rounds[-1]["answered"] if rounds else -1,
        url=rounds[-1]["url"] if rounds else "",
        rounds=len(rounds),
        input_tokens=usage.get("input_tokens", 0),
        output_tokens=usage.get("output_tokens", 0),
        prefix_changed=str(facts["prefix"].get("changed") or ""),
        prefix_common=facts["prefix"].get("common", 0),
        prefix_size=facts["prefix"].get("size", 0),
    )
    return replace(whole, turn=turn, record=record)


# What was said --------------------------------------------------------------------------------------------------------


def conversation_of(whole: WholeTurn, shown_from: int | None = None, *, only_news: bool = False) -> Conversation:
    """What was said. `shown_from`: index of the first item that is shown whole though it was there before.
    `only_news`: without what cannot change while a turn runs.
    """
    changes = changes_of(whole.record)
    answer, refusal = answer_entries(whole)
    answer = _with_changes(answer, changes, "output")
    if only_news:
        return Conversation(None, 0, [], [], 0, 0, [], answer, refusal)
    record = whole.record
    request = record.request_json if isinstance(record.request_json, dict) else {}
    items = input_items(record)
    new = {at for at in whole.new if at < len(items)}
    first = min(new, default=len(items))
    start = first if shown_from is None else max(0, min(shown_from, first))
    shown = entries_of([(at, items[at]) for at in range(start, len(items))], new)
    for entry in shown:
        entry.is_new = entry.index in new
        if entry.kind == "result":
            _name_result(entry, items)
    instructions = request.get("instructions")
    text = instructions if isinstance(instructions, str) else ""
    return Conversation(
        instructions=markdown(shortened(text, _INSTRUCTIONS)) if text else None,
        instructions_size=len(text),
        tools=_tools_of(request.get("tools"), changes),
        earlier=[outline_of(items[at], at) for at in range(max(0, start - OUTLINED), start)],
        earlier_count=start,
        shown_from=start,
        new=_with_changes(shown, changes, "input"),
        answer=answer,
        refusal=refusal,
    )


def _name_result(entry: Entry, items: Sequence[Any]) -> None:
    """A result whose call was there before is called by what was called."""
    call_id = items[entry.index].get("call_id")
    for at in range(entry.index - 1, -1, -1):
        item = items[at]
        if isinstance(item, dict) and call_id and item.get("call_id") == call_id:
            call = outline_of(item, at)
            entry.title, entry.gist = f"Result of {call.title}", call.line
            return


def answer_entries(whole: WholeTurn) -> tuple[list[Entry], str]:
    """Entries of the answer, and what the client got in its place."""
    record = whole.record
    if record.events is None:
        return [], ""
    if whole.turn.status == "in_progress":
        answer = answer_of(record)
        entries = entries_of([(-1, item) for _, item in sorted(answer.items.items())])
        for index, entry in zip(sorted(answer.items), entries, strict=False):
            entry.is_open = index in answer.open
        return entries, ""
    body = content_of(record.events)
    entries = entries_of([(-1, item) for item in outcome_of(record, body).items])
    refusal = answer_of(record).refusal if not entries else None
    return entries, pretty(refusal) if refusal is not None else ""


def _with_changes(entries: list[Entry], changes: Sequence[Change], side: str) -> list[Entry]:
    """Entries of the ledger beside the first item of each kind that they are about."""
    left = list(changes)
    for entry in entries:
        place = f"{side}.{entry.type}"
        entry.changes = [one for one in left if one.field == place or one.field.startswith(f"{place}.")]
        left = [one for one in left if one not in entry.changes]
    return entries


def _tools_of(tools: Any, changes: Sequence[Change]) -> list[Tool]:
    return [_tool(tool, changes) for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []


def _tool(tool: JsonObject, changes: Sequence[Change]) -> Tool:
    inner = tool["function"] if isinstance(tool.get("function"), dict) else tool
    name = str(inner.get("name") or tool.get("server_label") or tool.get("type") or "?")
    parameters = inner.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    nested = tool.get("tools")
    names = list(properties) if isinstance(properties, dict) else _names(nested) if isinstance(nested, list) else []
    about = [one for one in changes if one.field == f"tools.{name}" or one.field.startswith(f"tools.{name}.")]
    description = shortened(" ".join(str(inner.get("description") or "").split()), 300)
    return Tool(name, str(tool.get("type", "function")), description, ", ".join(map(str, names)), about)


def _names(tools: Iterable[Any]) -> list[str]:
    return [str(tool.get("name") or tool.get("type")) for tool in tools if isinstance(tool, dict)]


# The prefix -----------------------------------------------------------------------------------------------------------


def _break_of(archive: Archive, turn: Turn, record: RecordedTurn, before: Turn | None) -> Break | None:
    if not turn.prefix_changed:
        return None
    path, kept, size = turn.prefix_changed, turn.prefix_common, turn.prefix_size
    previous = archive.turn(before.id) if before is not None else None
    if previous is None or not previous.record.rounds or not record.rounds:
        return Break(path, kept, size, before, None)
    old, new = (_value_at(parsed(one.rounds[0]["body"]), path) for one in (previous.record, record))
    return Break(path, kept, size, before, difference(_text(old), _text(new)))


def _value_at(value: Any, path: str) -> Any:
    """The value that a path such as `messages[3].content` leads to; None when there is none."""
    for index, key in _STEP.findall(path):
        if index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        elif key and isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else pretty(value)
