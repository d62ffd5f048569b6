"""Runs saved turns through today's code, and compares both outputs with what was recorded."""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from responses_gateway.errors import GatewayError
from responses_gateway.exchange import Exchange, Runtime
from responses_gateway.inspection import tape
from responses_gateway.inspection.observer import Observer
from responses_gateway.inspection.record import Record, frames, parsed
from responses_gateway.ledger import Ledger
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.routing import Router
from responses_gateway.sessions import Sessions
from responses_gateway.state.recorder import Recorder

_ID = re.compile(r"\b([a-z]{2,8}_)[0-9a-f]{24,64}\b")
_VOLATILE = ("created_at", "completed_at")
_CONTEXT = 2


@dataclass(frozen=True)
class Comparison:
    """One turn, then and now; both diffs are empty when nothing changed."""

    request: list[str]
    """Unified diff of the chat request."""

    answer: list[str]
    """Unified diff of the client's events."""

    note: str = ""
    """What could not be compared, and why."""


class Retranslator:
    """Translates turns again, in their order, so that each session's memory grows as it did then."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = replace(runtime, sessions=Sessions())

    def compare(self, record: Record) -> Comparison:
        if record.request is None or not record.rounds:
            return Comparison([], [], "nothing was recorded, or nothing went to the upstream")
        headers = dict(record.facts["headers"])
        runtime = self._for_upstream_of(record)
        notes = Observer(clock=runtime.clock, keep=True)
        try:
            request = parse_request(record.request)
            exchange = Exchange.open(request, headers, runtime, Recorder(runtime.state, "", Ledger(), stores=False))
        except GatewayError as error:
            return Comparison(diff("", error.message), [], "today's code refuses the request")
        exchange.observe(notes)
        asked = diff(_lines(parsed(record.rounds[0]["body"])), _lines(exchange.chat_body))
        answered = [one for one in record.rounds if one["status"] == 200]
        if len(answered) != 1:
            return Comparison(asked, [], f"its answer came in {len(answered)} rounds, which are not compared")
        if answered[0]["chunks"]["gap"] or not record.events or record.events["gap"]:
            return Comparison(asked, [], "its answer was too long to be kept whole")
        now = _answer(exchange, answered[0], notes)
        return Comparison(asked, diff(_events(record.events), _events(now)), "")

    def _for_upstream_of(self, record: Record) -> Runtime:
        """Today's settings; where they name no upstream, the recorded one, with its profile."""
        settings = self._runtime.settings
        if settings.upstream or settings.provider:
            return self._runtime
        base = record.rounds[0]["url"].removesuffix("/chat/completions")
        url = urlsplit(base)
        router = Router(settings.model_copy(update={"upstream": base}), f"{url.scheme}://{url.netloc}")
        return replace(self._runtime, router=router)


def _answer(exchange: Exchange, upstream_round: JsonObject, notes: Observer) -> tape.TapeData:
    headers = dict(upstream_round["answer_headers"])
    pieces = [piece.data for piece in tape.pieces(upstream_round["chunks"])]
    if exchange.streams:
        exchange.begin(headers)
        for piece in pieces:
            exchange.feed(piece)
        if upstream_round["error"]:
            exchange.fail(GatewayError(upstream_round["error"]))
        else:
            exchange.close()
    else:
        try:
            notes.answered(dumps(exchange.answer(200, headers, b"".join(pieces))))
        except GatewayError as error:
            notes.answered(dumps(error.body()))
    notes.note()
    return notes.events.data


def _events(data: tape.TapeData) -> str:
    """The events as text, one per line, without what is different in every run; keep-alives are left out."""
    lines: list[str] = []
    for frame in frames(data):
        event = frame.value
        if isinstance(event, dict):
            if event.get("type") == "response.in_progress" and lines and "response.created" not in lines[-1]:
                continue
            event = {name: value for name, value in event.items() if name != "sequence_number"}
        lines.append(json.dumps(_steady(event), ensure_ascii=False))
    return _numbered_ids("\n".join(lines))


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: 0 if name in _VOLATILE else _steady(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_steady(child) for child in value]
    return value


def _numbered_ids(text: str) -> str:
    """Ids that the gateway makes, numbered by their first occurrence."""
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"{match[1]}{len(numbers) + 1}")

    return _ID.sub(number, text)


def _lines(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)


def diff(then: str, now: str) -> list[str]:
    """Unified diff, empty when both are equal."""
    if then == now:
        return []
    return list(difflib.unified_diff(then.splitlines(), now.splitlines(), "then", "now", n=_CONTEXT, lineterm=""))


def report(records: Sequence[Record], runtime: Runtime) -> Iterator[str]:
    """Lines for people: what is different in each turn, and a summary."""
    retranslator = Retranslator(runtime)
    changed = 0
    for number, record in enumerate(records, 1):
        comparison = retranslator.compare(record)
        different = bool(comparison.request or comparison.answer)
        changed += different
        name = f"turn {record.facts['number'] or number} ({record.facts['model']})"
        if comparison.note:
            yield f"{name}: {comparison.note}"
        if comparison.request:
            yield f"{name}: the chat request is different"
            yield from comparison.request
        if comparison.answer:
            yield f"{name}: the answer is different"
            yield from comparison.answer
    verdict = "no difference" if not changed else f"{changed} different"
    yield f"{len(records)} turns retranslated: {verdict}"
