"""The content views: pure functions from a turn's record to text. `contentviews.py` hangs them into mitmproxy."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from responses_gateway.inspection.recording.recorded_turn import RecordedTurn, frames, parsed
from responses_gateway.inspection.recording.stream_capture import body_of
from responses_gateway.inspection.recording.summary import speed
from responses_gateway.inspection.text import (
    counted,
    indented,
    limited,
    percent,
    pretty,
    seconds,
    shortened,
    size,
    wrapped,
)
from responses_gateway.inspection.views import timeline, transcript
from responses_gateway.inspection.views.answer import answer_of
from responses_gateway.protocol.json import JsonObject

_FINISH_REASON = re.compile(rb'"finish_reason": ?"(\w+)"')
_NOT_KEPT = "Its bytes were not kept: nothing could show them when the turn ran."


def conversation(record: RecordedTurn) -> str:
    """The client's request as a transcript."""
    if record.request is None:
        return _NOT_KEPT
    return limited(list(transcript.conversation(record.request_json)))


def responses_request(record: RecordedTurn) -> str:
    """The client's request, as received."""
    if record.request is None:
        return _NOT_KEPT
    return limited(
        [_head(record.facts["method"], record.facts["path"], record.facts["headers"]), _body(record.request)]
    )


def chat_request(record: RecordedTurn) -> str:
    """The upstream requests, as sent; after the first, with what is different from the one before."""
    return _by_round(record, lambda one: [_head("POST", one["url"], one["headers"]), _body(one["body"])])


def changes(record: RecordedTurn) -> str:
    """What the translation changed, and what of the prompt is new."""
    facts = record.facts
    lines = [f"Request   {size(facts['request_size'])} from the client, {size(facts['chat_size'])} to the upstream"]
    if facts.get("detected"):
        lines.append(f"Server    {facts['detected']}, by what it says of itself")
    lines += [*_prefix(facts), "", *_ledger(facts)]
    if len(record.rounds) > 1:
        lines += ["", f"Rounds    {len(record.rounds)} upstream requests"]
        for number, one in enumerate(record.rounds, 1):
            told = f"  {number}. status {one['status'] or '–'}, {size(len(one['body']))}{_because(one)}"
            lines.append(wrapped(told, 5))
    return limited(lines)


def _prefix(facts: JsonObject) -> Iterator[str]:
    report = facts["prefix"]
    if not report:
        yield "Prefix    nothing to compare with: the first request of its session"
        return
    share = report["common"] / report["size"] if report["size"] else 0
    before = report["common"] / report["previous_size"] if report["previous_size"] else 0
    yield f"Prefix    {report['common']:,} of {report['size']:,} bytes ({percent(share)}) were sent before"
    yield f"          they are {percent(before)} of the previous request's {report['previous_size']:,} bytes"
    if report["changed"]:
        yield f"          first difference: {report['changed']}"
    else:
        yield f"          nothing before was changed; new from {report['added'] or '(nothing is new)'}"
    usage = facts["usage"]
    if usage:
        cached = usage.get("input_tokens_details", {}).get("cached_tokens", 0)
        asked = usage.get("input_tokens", 0)
        told = percent(cached / asked) if asked else "–"
        yield f"Cache     {cached:,} of {asked:,} input tokens ({told}) came from the upstream's cache"


def _ledger(facts: JsonObject) -> Iterator[str]:
    if not facts["ledger"]:
        yield "Ledger    nothing was dropped, renamed, capped or repaired"
        return
    yield f"Ledger    {counted(len(facts['ledger']), 'kind')} of changes"
    for action, field, why, count in facts["ledger"]:
        times = f" ×{count}" if count > 1 else ""
        yield wrapped(f"  {action:<8}  {field}{times}: {why}", 12)


def answer(record: RecordedTurn) -> str:
    """What the model answered, and what it took."""
    told = answer_of(record)
    lines = [*_outcome(record.facts), ""]
    if record.events is None:
        lines.append(_NOT_KEPT)
    if told.refusal is not None:
        lines += ["The client was sent:", *indented(pretty(told.refusal))]
    for index in sorted(told.items):
        block = transcript.item_block(told.items[index])
        if index in told.open:
            block[0] += " …"
        lines += block
    lines += _usage(record.facts["usage"])
    lines += ["", *_timings(record)]
    return limited(lines)


def _outcome(facts: JsonObject) -> Iterator[str]:
    detected = facts.get("detected", "")
    server = f" ({detected})" if detected not in ("", facts["provider"]) else ""
    yield f"{facts['model'] or '?'} → {facts['upstream_model'] or '?'} at {facts['provider'] or '?'}{server}"
    error = f": {facts['error']}" if facts["error"] else ""
    yield wrapped(f"{facts['status']}{error}", 4)


def _usage(usage: JsonObject) -> Iterator[str]:
    if not usage:
        yield "Tokens    not told"
        return
    into = usage.get("input_tokens_details") or {}
    out = usage.get("output_tokens_details") or {}
    yield (
        f"Tokens    {usage.get('input_tokens', 0):,} in ({into.get('cached_tokens', 0):,} cached), "
        f"{usage.get('output_tokens', 0):,} out ({out.get('reasoning_tokens', 0):,} reasoning)"
    )


def _timings(record: RecordedTurn) -> Iterator[str]:
    facts = record.facts
    if facts["cost"] >= 0:
        yield f"Cost      ${facts['cost']:.4f}"
    for number, one in enumerate(record.rounds, 1):
        queue = one["answered"] - one["began"] if one["answered"] >= 0 else -1
        finish = ", ".join(_finish_reasons(one)) or "–"
        yield wrapped(
            f"Round {number}   status {one['status'] or '–'}, queue {seconds(queue)}, "
            f"{size(len(body_of(one['chunks'])))} received, finish_reason {finish}{_because(one)}"
        )
    yield (
        f"Times     first byte {seconds(facts['first_byte'])}, first token {seconds(facts['first_token'])}, "
        f"first text {seconds(facts['first_text'])}, total {seconds(facts['ended'])}"
    )
    rate = speed(facts)
    yield f"Speed     {_speed(rate) if rate else '–'}"


def _speed(rate: float) -> str:
    return f"{rate:.1f} tokens/s" if rate < 100 else f"{rate:,.0f} tokens/s"


def _finish_reasons(one: JsonObject) -> list[str]:
    found = _FINISH_REASON.findall(body_of(one["chunks"]))
    return list(dict.fromkeys(reason.decode() for reason in found))


def responses_events(record: RecordedTurn) -> str:
    """The client's events, as sent."""
    if record.events is None:
        return _NOT_KEPT
    return limited(list(timeline.response_events(frames(record.events))) or ["Nothing was sent yet."])


def upstream_chunks(record: RecordedTurn) -> str:
    """The upstream's chunks, as received, round by round."""
    return _by_round(record, _chunks)


def _chunks(one: JsonObject) -> list[str]:
    status = f"HTTP {one['status']}" if one["status"] else "No answer"
    headers = [f"{name}: {value}" for name, value in one["answer_headers"]]
    return [wrapped(status + _because(one), 4), *headers, "", *timeline.chat_chunks(frames(one["chunks"]))]


def _by_round(record: RecordedTurn, lines_of: Callable[[JsonObject], list[str]]) -> str:
    if not record.rounds:
        return "Nothing was sent to the upstream." if record.request is not None else _NOT_KEPT
    lines: list[str] = []
    for number, one in enumerate(record.rounds, 1):
        lines += [*_round_title(record, number), *lines_of(one), ""]
    return limited(lines)


def _round_title(record: RecordedTurn, number: int) -> list[str]:
    if len(record.rounds) == 1:
        return []
    return [f"══ round {number} of {len(record.rounds)} ".ljust(80, "═"), ""]


def _because(one: JsonObject) -> str:
    return f" ({one['error']})" if one["error"] else ""


def _head(method: str, target: str, headers: list[list[str]]) -> str:
    lines = [f"{method} {target}", *(f"{name}: {shortened(value, 500)}" for name, value in headers), ""]
    return "\n".join(lines)


def _body(body: bytes) -> str:
    value: Any = parsed(body)
    return body.decode("utf-8", "backslashreplace") if value is None else pretty(value)
