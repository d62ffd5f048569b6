"""Turns as files: test fixtures, curl commands, transcripts."""

import shlex
from collections.abc import Sequence
from typing import Any

from responses_gateway.inspection.recording import stream_capture
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn, parsed
from responses_gateway.inspection.request_items import essence, input_items, new_items
from responses_gateway.inspection.views.answer import answer_of
from responses_gateway.protocol.json import JsonObject, dumps_text
from responses_gateway.version import __version__

_OWN_HEADERS = frozenset(
    {"host", "content-length", "connection", "accept-encoding", "content-encoding", "transfer-encoding"}
)
"""Headers that curl makes itself, or that would not fit the body as it is printed."""


def fixture(records: Sequence[RecordedTurn]) -> str:
    """Both sides of the turns as one JSON document.

    `turns`: list of `{request, headers, rounds: [{url, request, status, headers, chunks}], events, outcome}`, where
    chunks and events are lists of [milliseconds, text], piece by piece as they passed.
    """
    turns = [
        {
            "request": _json_or_text(record.request or b""),
            "headers": record.facts["headers"],
            "rounds": [_round(one) for one in record.rounds],
            "events": _pieces(record.events),
            "outcome": {name: record.facts[name] for name in ("status", "error", "usage", "ledger")},
        }
        for record in records
    ]
    return dumps_text({"responses_gateway": __version__, "turns": turns}) + "\n"


def _round(one: JsonObject) -> JsonObject:
    return {
        "url": one["url"],
        "request": _json_or_text(one["body"]),
        "status": one["status"],
        "headers": one["answer_headers"],
        "chunks": _pieces(one["chunks"]),
    }


def _pieces(data: stream_capture.CapturedStream | None) -> list[list[Any]]:
    pieces = stream_capture.pieces(data) if data else ()
    return [[piece.at, piece.data.decode("utf-8", "backslashreplace")] for piece in pieces]


def _json_or_text(body: bytes) -> Any:
    value = parsed(body)
    return body.decode("utf-8", "backslashreplace") if value is None else value


def client_curl(records: Sequence[RecordedTurn]) -> str:
    """What the client sent, as curl commands for the gateway."""
    commands = []
    for record in records:
        headers = [(name, value) for name, value in record.facts["headers"] if name.lower() not in _OWN_HEADERS]
        url = f'"${{GATEWAY_URL:-http://127.0.0.1:4141}}"{shlex.quote(record.facts["path"])}'
        commands.append(_curl(url, "GATEWAY_KEY", headers, record.request or b""))
    return "\n".join(commands)


def upstream_curl(records: Sequence[RecordedTurn]) -> str:
    """What the upstream was asked, as curl commands; the key comes from the variable UPSTREAM_KEY."""
    commands = []
    for record in records:
        for one in record.rounds:
            headers = [(name, value) for name, value in one["headers"] if name.lower() not in _OWN_HEADERS]
            commands.append(_curl(shlex.quote(one["url"]), "UPSTREAM_KEY", headers, one["body"]))
    return "\n".join(commands)


def _curl(url: str, key: str, headers: Sequence[tuple[str, str]], body: bytes) -> str:
    """`url` is quoted for the shell. The body is a here-document: one argument of a command may have no more than
    128 KiB."""
    options = [f"  -H {shlex.quote(f'{name}: {value}')} \\" for name, value in headers]
    text = body.decode("utf-8", "replace")
    end = "BODY"
    while end in text:
        end += "_"
    return "\n".join(
        [
            f"curl -N {url} \\",
            f'  -H "Authorization: Bearer ${key}" \\',
            *options,
            f"  --data-binary @- <<'{end}'",
            text,
            end,
            "",
        ]
    )


def transcript(records: Sequence[RecordedTurn]) -> str:
    """One JSON line per item of the conversation, in order; what a request repeats of earlier turns comes once."""
    lines: list[str] = []
    known: dict[str, list[str]] = {}
    for record in records:
        facts = record.facts
        told = [*input_items(record), *(item for _, item in sorted(answer_of(record).items.items()))]
        essences = [essence(item) for item in told]
        where = {"session": facts["session"], "turn": facts["number"], "model": facts["model"]}
        for at in new_items(essences, known.get(facts["session"], [])):
            lines.append(dumps_text({**where, "item": told[at]}))
        known[facts["session"]] = essences
    return "".join(line + "\n" for line in lines)


FORMATS = {
    "fixture": fixture,
    "curl-client": client_curl,
    "curl-upstream": upstream_curl,
    "transcript": transcript,
}
"""The formats of `gateway.export`."""
