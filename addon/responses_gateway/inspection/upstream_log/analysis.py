"""Reads the log of upstream requests and finds what costs prompt cache: how consecutive requests differ."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from responses_gateway.inspection.recording.prefix import Outline, Part, PrefixReport, compare, fingerprint
from responses_gateway.inspection.text import percent, shortened
from responses_gateway.inspection.upstream_log.log import KEPT, rotated
from responses_gateway.protocol.json import JsonObject, loads

CHANGED_PATHS = 20
"""Changed paths that are listed for one comparison."""

TOP_PATHS = 10
"""Unstable paths that are shown to people; JSON has all."""

_BARS = "▁▂▃▄▅▆▇█"
_CHART_WIDTH = 72
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Step:
    """One request, compared with the one before it in its session."""

    time: float
    turn: int
    prefix: PrefixReport
    changed: list[str]
    """Paths of values that both have and that differ, the first ones."""

    cached_share: float | None
    """The part of the input tokens that came from the upstream's cache; None when the upstream did not tell."""

    def data(self) -> JsonObject:
        return {**asdict(self), "share": self.prefix.share}


@dataclass
class SessionReport:
    """The requests of one session to one model of one upstream."""

    session: str
    model: str
    url: str
    requests: int = 0
    steps: list[Step] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """Bytes that were sent before, of all bytes after the first request; None with one request only."""
        size = sum(step.prefix.size for step in self.steps)
        return sum(step.prefix.common for step in self.steps) / size if size else None

    def data(self) -> JsonObject:
        return {
            "session": self.session,
            "model": self.model,
            "url": self.url,
            "requests": self.requests,
            "share": self.share,
            "steps": [step.data() for step in self.steps],
        }


@dataclass
class UnstablePath:
    """A place where requests of a session stopped agreeing; indexes are replaced by `*`."""

    path: str
    example: str
    count: int = 0
    bytes_lost: int = 0
    """Bytes behind it that the upstream had seen before, and had to read again."""


@dataclass(frozen=True)
class Analysis:
    requests: int
    sessions: list[SessionReport]
    unstable: list[UnstablePath]
    unreadable: int
    """Lines that are no entries."""

    def data(self) -> JsonObject:
        return {
            "requests": self.requests,
            "unreadable": self.unreadable,
            "sessions": [session.data() for session in self.sessions],
            "unstable_paths": [asdict(path) for path in self.unstable],
        }


def read(path: Path) -> Iterator[bytes]:
    """The lines of a log with its rotated files, oldest first. Raises OSError."""
    for number in range(KEPT, -1, -1):
        part = rotated(path, number)
        if number == 0 or part.exists():
            with part.open("rb") as file:
                yield from file


def analyze(lines: Iterable[bytes]) -> Analysis:
    """Compare consecutive requests of each session."""
    sessions: dict[tuple[str, str, str], SessionReport] = {}
    latest: dict[tuple[str, str, str], Outline] = {}
    requests = unreadable = 0
    for line in lines:
        entry = _entry(line)
        if entry is None:
            unreadable += bool(line.strip())
            continue
        requests += 1
        key = (entry["session"], entry["upstream_model"], entry["url"])
        report = sessions.setdefault(key, SessionReport(*key))
        report.requests += 1
        now = Outline([Part(*part) for part in entry["parts"]], entry["size"])
        if entry["session"] and key in latest:
            report.steps.append(_step(entry, latest[key], now))
        latest[key] = now
    found = list(sessions.values())
    return Analysis(requests, found, _unstable(found), unreadable)


def _entry(line: bytes) -> JsonObject | None:
    try:
        entry = loads(line)
    except (ValueError, RecursionError):
        return None
    wanted = ("session", "upstream_model", "url", "parts", "size", "time", "turn")
    return entry if isinstance(entry, dict) and all(name in entry for name in wanted) else None


def _step(entry: JsonObject, before: Outline, now: Outline) -> Step:
    digests = {part.path: part.digest for part in before.parts}
    changed = [part.path for part in now.parts if digests.get(part.path, part.digest) != part.digest]
    asked = entry.get("input_tokens", 0)
    return Step(
        time=entry["time"],
        turn=entry["turn"],
        prefix=compare(fingerprint(before), now),
        changed=changed[:CHANGED_PATHS],
        cached_share=entry.get("cached_tokens", 0) / asked if asked else None,
    )


def _unstable(sessions: Iterable[SessionReport]) -> list[UnstablePath]:
    paths: dict[str, UnstablePath] = {}
    for session in sessions:
        for step in session.steps:
            if step.prefix.changed:
                name = _INDEX.sub("[*]", step.prefix.changed)
                path = paths.setdefault(name, UnstablePath(name, step.prefix.changed))
                path.count += 1
                path.bytes_lost += step.prefix.previous_size - step.prefix.common
    return sorted(paths.values(), key=lambda path: path.bytes_lost, reverse=True)


def report(analysis: Analysis) -> Iterator[str]:
    """Lines for a terminal: a bar chart for each session, and the most unstable paths."""
    yield f"{analysis.requests} upstream requests in {len(analysis.sessions)} sessions"
    if analysis.unreadable:
        yield f"{analysis.unreadable} lines are no entries of the log and were skipped"
    by_model: dict[str, list[SessionReport]] = defaultdict(list)
    for session in analysis.sessions:
        by_model[session.model].append(session)
    for model, sessions in by_model.items():
        yield ""
        yield f"{model}: share of each request that the one before it had already (▁ nothing … █ all of it)"
        for session in sessions:
            share = "only one request" if session.share is None else f"{percent(session.share)} on average"
            yield f"  {shortened(session.session or '(no session)', 40)}  {session.requests} requests, {share}"
            if session.steps:
                yield f"    {chart(session.steps)}"
    yield ""
    if not analysis.unstable:
        yield "No request changed what an earlier one had sent."
        return
    yield "Where prefixes break, by bytes that had to be read again:"
    for path in analysis.unstable[:TOP_PATHS]:
        yield f"  {path.bytes_lost:>12,}  ×{path.count:<5} {path.path}  (such as {path.example})"


def chart(steps: Sequence[Step]) -> str:
    """The shares as bars, the latest at the right end."""
    shown = steps[-_CHART_WIDTH:]
    bars = "".join(_BARS[min(len(_BARS) - 1, int(step.prefix.share * len(_BARS)))] for step in shown)
    return bars if len(shown) == len(steps) else f"… {bars}"
