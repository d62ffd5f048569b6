"""What each wire carried: both requests field by field with the reasons for what differs, and the rounds' heads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from responses_gateway.inspection.recording.recorded_turn import RecordedTurn, parsed
from responses_gateway.inspection.recording.stream_capture import body_of
from responses_gateway.inspection.text import compact, counted, pretty, shortened, size
from responses_gateway.protocol.json import JsonObject, dumps

_VALUE_LIMIT = 240
"""Characters of one value in the comparison."""

_BODY_LIMIT = 200_000
"""Characters of one whole request."""

_STRING_LIMIT = 4_000

_TRANSLATED: Mapping[str, tuple[str, ...]] = {
    "instructions": ("messages",),
    "input": ("messages",),
    "previous_response_id": ("messages",),
    "conversation": ("messages",),
    "max_output_tokens": ("max_completion_tokens", "max_tokens"),
    "text.format": ("response_format",),
    "text.verbosity": ("verbosity",),
    "reasoning.effort": ("reasoning_effort", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs"),
    "top_logprobs": ("top_logprobs", "logprobs"),
    "stream": ("stream", "stream_options"),
}
"""Fields of a Responses request, and those of a chat request that say the same."""

_ORDER = ("dropped", "changed", "added", "moved", "own", "same")
_NESTED = ("text", "reasoning")


class Change(NamedTuple):
    """An entry of the ledger."""

    action: str
    field: str
    why: str
    times: int


@dataclass
class Row:
    """One field of the client's request, and what the upstream got for it."""

    client: str
    said: str
    upstream: str
    sent: str
    state: str
    """`same`, `moved`, `changed`, `dropped`, `own` (the gateway serves it itself) or `added`."""

    changes: list[Change] = field(default_factory=list)


class Round(NamedTuple):
    """One request to an upstream. Times are milliseconds since the turn was opened; -1: never."""

    number: int
    url: str
    status: int
    began: int
    answered: int
    ended: int
    error: str
    sent: str
    received: str
    headers: list[list[str]]
    answer_headers: list[list[str]]
    failure: str
    retry_after: str


def changes_of(record: RecordedTurn) -> list[Change]:
    """The ledger of a turn."""
    return [Change(*entry) for entry in record.facts["ledger"]]


def rows_of(record: RecordedTurn) -> list[Row]:
    """Both requests, field by field: what differs comes first."""
    client = record.request_json if isinstance(record.request_json, dict) else {}
    chat = parsed(record.rounds[0]["body"]) if record.rounds else None
    chat = chat if isinstance(chat, dict) else {}
    untranslated = "messages" not in chat
    if untranslated:
        chat = dict(fields_of(chat))
    changes = changes_of(record)
    told: set[str] = set()
    rows = []
    for name, value in fields_of(client):
        names = (name,) if untranslated else _TRANSLATED.get(name, (name,))
        targets = [one for one in names if one in chat]
        about = [change for change in changes if _is_about(change.field, name)]
        told.update(change.field for change in about)
        sent = {one: chat[one] for one in targets}
        rows.append(Row(name, brief(value), ", ".join(targets), _sent(sent), _state(name, value, sent, about), about))
    known = {one for row in rows for one in row.upstream.split(", ")}
    for name, value in chat.items():
        if name not in known:
            about = [change for change in changes if _is_about(change.field, name) and change.field not in told]
            told.update(change.field for change in about)
            rows.append(Row("", "", name, brief(value), "added", about))
    if rest := [change for change in changes if change.field not in told]:
        rows.append(Row(", ".join(dict.fromkeys(change.field for change in rest)), "", "", "", "changed", rest))
    return sorted(rows, key=lambda row: (not row.changes, _ORDER.index(row.state)))


def fields_of(request: JsonObject) -> Iterator[tuple[str, Any]]:
    """The fields of a Responses request that say something, by their paths."""
    for name, value in request.items():
        if name in _NESTED and isinstance(value, dict):
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())
        elif value is not None:
            yield name, value


def _is_about(path: str, name: str) -> bool:
    return path == name or path.startswith((f"{name}.", f"{name}["))


def _state(name: str, value: Any, sent: Mapping[str, Any], about: Sequence[Change]) -> str:
    if not sent:
        return "dropped" if about else "own"
    if any(change.action != "learnt" for change in about):
        return "changed"
    return "same" if name in sent and sent[name] == value else "moved"


def _sent(values: Mapping[str, Any]) -> str:
    return brief(next(iter(values.values()))) if len(values) == 1 else ", ".join(brief(one) for one in values.values())


def brief(value: Any) -> str:
    """A value on one line; long lists as their length."""
    if isinstance(value, list) and value and not all(isinstance(one, str) for one in value):
        return f"{counted(len(value), 'entry').replace('entrys', 'entries')}, {size(len(dumps(value)))}"
    return shortened(value if isinstance(value, str) else compact(value), _VALUE_LIMIT)


def rounds_of(record: RecordedTurn) -> list[Round]:
    """The requests to upstreams, in order."""
    return [_round(number, one) for number, one in enumerate(record.rounds, 1)]


def _round(number: int, one: JsonObject) -> Round:
    failure = one.get("failure") or []
    told = {name.lower(): value for name, value in one["answer_headers"]}
    return Round(
        number,
        one["url"],
        one["status"],
        one["began"],
        one["answered"],
        one["ended"],
        one["error"],
        size(len(one["body"])),
        size(len(body_of(one["chunks"]))),
        one["headers"],
        one["answer_headers"],
        str(failure[0]) if failure else "",
        told.get("retry-after", ""),
    )


def client_body(record: RecordedTurn) -> str:
    """The client's request, for people."""
    return body_text(record.request or b"")


def body_text(body: bytes) -> str:
    """A request's body, for people; long texts are shortened, and say so."""
    value = parsed(body)
    text = body.decode("utf-8", "backslashreplace") if value is None else pretty(value, _STRING_LIMIT)
    return shortened(text, _BODY_LIMIT)
