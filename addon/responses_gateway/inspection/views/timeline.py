"""Event streams for people: one line per event, runs of deltas folded into one, with time offsets."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from responses_gateway.inspection.recording.recorded_turn import Frame
from responses_gateway.inspection.text import compact, offset, shortened, size

LINE_LIMIT = 600
"""Characters of one event's JSON."""

RUN_LIMIT = 2000
"""Characters of the joined text of one run."""


@dataclass
class _Run:
    """Deltas of one kind, directly after each other."""

    kind: str
    first: int
    last: int
    count: int = 0
    size: int = 0
    texts: list[str] = field(default_factory=list)

    def add(self, frame: Frame, text: str) -> None:
        self.last = frame.at
        self.count += 1
        self.size += frame.size
        self.texts.append(text)

    def line(self) -> "Line":
        until = f" … {offset(self.last)}" if self.count > 1 else ""
        times = f" ×{self.count}" if self.count > 1 else ""
        text = compact(shortened("".join(self.texts), RUN_LIMIT))
        return Line(self.first, f"{until}  {self.kind}{times} ({size(self.size)})  {text}")


class Line(NamedTuple):
    """What passed at a time."""

    at: int
    """Milliseconds since the turn was opened."""

    text: str
    """What comes behind the time."""

    def __str__(self) -> str:
        return f"{offset(self.at)}{self.text}"


def response_events(frames: Iterable[Frame]) -> Iterator[str]:
    """Lines for the events that the client was sent."""
    return map(str, timed_events(frames))


def chat_chunks(frames: Iterable[Frame]) -> Iterator[str]:
    """Lines for the chunks that the upstream sent."""
    return map(str, timed_chunks(frames))


def timed_events(frames: Iterable[Frame]) -> Iterator[Line]:
    """The same with their times, as are `timed_chunks`."""
    return _lines(frames, _event_delta, _event)


def timed_chunks(frames: Iterable[Frame]) -> Iterator[Line]:
    return _lines(frames, _chunk_delta, _chunk)


def _lines(frames: Iterable[Frame], delta_of: Any, describe: Any) -> Iterator[Line]:
    run: _Run | None = None
    for frame in frames:
        delta = delta_of(frame.value)
        if run is not None and (delta is None or delta[0] != run.kind):
            yield run.line()
            run = None
        if frame.missing:
            yield Line(frame.at, f"  … {size(frame.missing)} were not kept …")
        elif delta is None:
            yield Line(frame.at, f"  {describe(frame.value)}")
        else:
            run = run or _Run(delta[0], frame.at, frame.at)
            run.add(frame, delta[1])
    if run is not None:
        yield run.line()


def _event_delta(event: Any) -> tuple[str, str] | None:
    """Kind and text of a delta event."""
    if not isinstance(event, dict) or not isinstance(event.get("delta"), str):
        return None
    return f"{event.get('type')} [{event.get('output_index')}]", event["delta"]


def _event(event: Any) -> str:
    if not isinstance(event, dict):
        return str(event)[:LINE_LIMIT]
    kind = str(event.get("type", "JSON"))
    rest = {key: value for key, value in event.items() if key not in ("type", "sequence_number")}
    if isinstance(rest.get("response"), dict):
        rest["response"] = _essentials(rest["response"])
    return f"{kind}  {shortened(compact(rest), LINE_LIMIT)}" if rest else kind


def _essentials(response: dict[str, Any]) -> dict[str, Any]:
    """A Response object without the echo of the request."""
    names = ("id", "status", "model", "error", "incomplete_details", "usage")
    shown = {name: response[name] for name in names if response.get(name) is not None}
    if isinstance(output := response.get("output"), list) and output:
        shown["output"] = [item.get("type") if isinstance(item, dict) else item for item in output]
    return shown


def _chunk_delta(chunk: Any) -> tuple[str, str] | None:
    """Kind and text of a chunk that holds nothing but one string of one choice, or of a delta event."""
    if _is_event(chunk):
        return _event_delta(chunk)
    if not isinstance(chunk, dict) or chunk.get("usage") or chunk.get("error"):
        return None
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    choice = choices[0]
    delta = choice.get("delta")
    if choice.get("finish_reason") or not isinstance(delta, dict):
        return None
    said = {name: value for name, value in delta.items() if value not in (None, "", []) and name != "role"}
    prefix = f"choices[{choice.get('index', 0)}].delta."
    if len(said) != 1:
        return None
    name, value = next(iter(said.items()))
    if isinstance(value, str):
        return prefix + name, value
    return _call_delta(prefix, value) if name == "tool_calls" else None


def _call_delta(prefix: str, calls: Any) -> tuple[str, str] | None:
    if not isinstance(calls, list) or len(calls) != 1 or not isinstance(calls[0], dict):
        return None
    call = calls[0]
    function = call.get("function")
    if not isinstance(function, dict) or call.get("id") or function.get("name"):
        return None
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        return None
    return f"{prefix}tool_calls[{call.get('index', 0)}].function.arguments", arguments


def _is_event(chunk: Any) -> bool:
    """Whether the upstream speaks the Responses API: chunks of chat/completions have no type."""
    return isinstance(chunk, dict) and isinstance(chunk.get("type"), str)


def _chunk(chunk: Any) -> str:
    if _is_event(chunk):
        return _event(chunk)
    return shortened(chunk if isinstance(chunk, str) else compact(chunk), LINE_LIMIT)
