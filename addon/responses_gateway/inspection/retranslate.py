"""Runs saved turns through today's code, and compares what goes out on both sides with what was recorded."""

import difflib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from responses_gateway.inspection.recording import stream_capture
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn, frames, parsed
from responses_gateway.inspection.rerun import NotComparable, Rerunner
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.translate.reasoning import EnvelopeCodec
from responses_gateway.turn.runtime import Runtime
from responses_gateway.upstream.learned_repairs import LearnedRepairs

_ID = re.compile(r"\b([a-z]{2,8}_)[0-9a-f]{24,64}\b")
_VOLATILE = ("created_at", "completed_at")
_CONTEXT = 2


@dataclass(frozen=True)
class Comparison:
    """The difference between a recorded turn and its rerun; both diffs are empty when nothing changed."""

    request: list[str] = field(default_factory=list)
    """Unified diffs of the chat requests."""

    answer: list[str] = field(default_factory=list)
    """Unified diff of the client's events."""

    note: str = ""
    """What could not be compared, and why."""


async def compare(record: RecordedTurn, rerunner: Rerunner) -> Comparison:
    """Serve a turn again. Turns are to come in their order."""
    if any(one["chunks"]["gap"] for one in record.rounds) or not record.events or record.events["gap"]:
        return Comparison(note="not compared: it is too long to be kept whole, or nothing was recorded")
    try:
        rerun = await rerunner.run(record)
    except NotComparable as reason:
        return Comparison(note=f"not compared: {reason}")
    except GatewayError as error:
        return Comparison(diff("", error.message), note="today's code refuses the request")
    then = [_lines(parsed(one["body"])) for one in record.rounds]
    now = [_lines(body) for body in rerun.requests]
    requests: list[str] = []
    for number, (before, after) in enumerate(zip_longest(then, now, fillvalue=""), 1):
        changes = diff(before, after)
        if changes and max(len(then), len(now)) > 1:
            requests.append(f"round {number} of {len(then)} then, {len(now)} now")
        requests += changes
    return Comparison(requests, diff(_events(record.events, rerun.envelopes), _events(rerun.events, rerun.envelopes)))


def _events(data: stream_capture.CapturedStream, seals: Sequence[EnvelopeCodec]) -> str:
    """The events as text, one per line, without what is different in every run; keep-alives are left out."""
    lines: list[str] = []
    for frame in frames(data):
        event = frame.value
        if isinstance(event, dict):
            if event.get("type") == "response.in_progress" and lines and "response.created" not in lines[-1]:
                continue
            event = {name: value for name, value in event.items() if name != "sequence_number"}
        lines.append(json.dumps(_steady(event, seals), ensure_ascii=False))
    return _numbered_ids("\n".join(lines))


def _steady(value: Any, codecs: Sequence[EnvelopeCodec]) -> Any:
    if isinstance(value, dict):
        return {name: _steady_field(name, child, codecs) for name, child in value.items()}
    if isinstance(value, list):
        return [_steady(child, codecs) for child in value]
    return value


def _steady_field(name: str, value: Any, codecs: Sequence[EnvelopeCodec]) -> Any:
    if name in _VOLATILE:
        return 0
    if name == "encrypted_content" and isinstance(value, str):
        # An envelope is different each time; what is in it is not.
        return next((content for codec in codecs if (content := codec.open(value)) is not None), value)
    return _steady(value, codecs)


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


async def report(
    records: Sequence[RecordedTurn], runtime: Runtime, learned: LearnedRepairs, wanted: Collection[int] | None = None
) -> list[str]:
    """Lines for people: what is different in each turn, and a summary.

    `records` are in the order of their turns. `wanted` are the indexes of those to report, None for all; the others
    are their history.
    """
    rerunner = Rerunner(runtime, learned)
    lines: list[str] = []
    reported = changed = skipped = 0
    for index, record in enumerate(records):
        comparison = await compare(record, rerunner)
        if wanted is not None and index not in wanted:
            continue
        reported += 1
        changed += bool(comparison.request or comparison.answer)
        skipped += comparison.note.startswith("not compared")
        lines += _told(comparison, f"turn {record.facts['number'] or index + 1} ({record.facts['model']})")
    await rerunner.close()
    verdict = f"{changed} different" if changed else "no difference"
    left_out = f", {skipped} not compared" if skipped else ""
    return [*lines, f"{reported} turns retranslated: {verdict}{left_out}"]


def _told(comparison: Comparison, name: str) -> list[str]:
    lines = [f"{name}: {comparison.note}"] if comparison.note else []
    if comparison.request:
        lines += [f"{name}: the chat request is different", *comparison.request]
    if comparison.answer:
        lines += [f"{name}: the answer is different", *comparison.answer]
    return lines
