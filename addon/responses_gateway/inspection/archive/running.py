"""Keeps turns that run in the archive, so that no more than their last second is lost with the process."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from mitmproxy import http

from responses_gateway.inspection.archive.document import Document, News, StreamNews
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import CapturedStream
from responses_gateway.inspection.recording.turn_recorder import TurnRecorder

INTERVAL = 1.0
"""Seconds between two writes of what came."""


@dataclass
class _Run:
    """What was written of a turn that runs."""

    recorder: TurnRecorder
    turn: str = ""
    """Its id in the archive; empty until its beginning is on the way there."""

    head: tuple[int, int] = (0, 0)
    """Number of its requests to upstreams, and the status of the last answer, as they were written."""

    written: dict[str, tuple[int, int]] = field(default_factory=dict)
    """For each stream, by name: how many pieces were written, and how many blocks are in them."""


class RunningTurns:
    """The turns that run in this process, by their flows.

    `keep` takes the beginning of a turn, as it is at a moment, and returns None when it was not taken; `add` takes what
    came of its streams, and returns whether it did. Neither may wait.
    """

    def __init__(self, keep: Callable[[http.HTTPFlow], Document | None], add: Callable[[News], bool]) -> None:
        self._keep = keep
        self._add = add
        self._runs: WeakKeyDictionary[http.HTTPFlow, _Run] = WeakKeyDictionary()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, flow: http.HTTPFlow, recorder: TurnRecorder) -> None:
        """A turn begins. Nothing of it is written yet."""
        self._runs[flow] = _Run(recorder)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._again)

    def begun(self, flow: http.HTTPFlow) -> None:
        """There is something to show of a turn: it is written now, unless its beginning was."""
        run = self._runs.get(flow)
        if run is not None and not run.turn:
            self._write_head(flow, run)

    def end(self, flow: http.HTTPFlow) -> None:
        """A turn is over: whoever says so writes it."""
        self._runs.pop(flow, None)

    def write(self) -> None:
        """Write what is new of all turns."""
        found: list[tuple[_Run, StreamNews, int]] = []
        for flow, run in list(self._runs.items()):
            run.recorder.note()
            self._write_head(flow, run)
            found += ((run, news, blocks) for news, blocks in _news(flow, run))
        if found and self._add(News([news for _, news, _ in found])):
            for run, news, blocks in found:
                run.written[news.name] = news.number + 1, blocks

    def _again(self) -> None:
        self._timer = None
        self.write()
        if self._runs:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._again)

    def _write_head(self, flow: http.HTTPFlow, run: _Run) -> None:
        """All but the streams, when another request is on its way or an answer has begun."""
        record = RecordedTurn.of(flow.metadata)
        rounds = record.rounds if record is not None else []
        head = len(rounds), int(rounds[-1]["status"]) if rounds else 0
        if (not run.turn or head != run.head) and (document := self._keep(flow)) is not None:
            run.turn, run.head = document.id, head


def _news(flow: http.HTTPFlow, run: _Run) -> Iterator[tuple[StreamNews, int]]:
    """What came of each stream of a turn, and how many blocks will be written then."""
    record = RecordedTurn.of(flow.metadata)
    if record is None or not run.turn:
        return
    streams = {f"chunks/{one['number']}": one["chunks"] for one in record.rounds[: run.head[0]]}
    if record.events is not None:
        streams["events"] = record.events
    for name, stream in streams.items():
        pieces, blocks = run.written.get(name, (0, 0))
        # Behind a gap, blocks are taken away again while a turn runs.
        end = stream["gap_at"] if stream["gap_at"] >= 0 else len(stream["blocks"])
        if blocks < end:
            yield StreamNews(run.turn, name, pieces, _between(stream, blocks, end)), end


def _between(stream: CapturedStream, start: int, end: int) -> CapturedStream:
    return {"blocks": stream["blocks"][start:end], "marks": stream["marks"][start:end], "gap_at": -1, "gap": 0}
