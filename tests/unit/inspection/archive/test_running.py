"""Turns that run: what of them is in the archive at each moment, and what becomes of it when their process dies."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from responses_gateway.inspection.archive import running
from responses_gateway.inspection.archive.abandoned import WHY, end_abandoned
from responses_gateway.inspection.archive.document import Document, News
from responses_gateway.inspection.archive.flows import document_of
from responses_gateway.inspection.archive.rows import WholeTurn
from responses_gateway.inspection.archive.running import RunningTurns
from responses_gateway.inspection.archive.writer import Writer
from responses_gateway.inspection.recording import stream_capture
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import body_of
from responses_gateway.inspection.recording.turn_recorder import TurnRecorder
from responses_gateway.protocol.json import dumps
from unit.inspection.archive.turns import Kept, message
from unit.inspection.turns import URL, Clock

HEADERS = {"session-id": "s", "thread-id": "s", "user-agent": "codex_exec/0.169.0"}


class Running:
    """One turn that runs, and the archive."""

    def __init__(self, path: Path) -> None:
        self.kept = Kept(path)
        self.clock = Clock()
        self.flow = tflow.tflow()
        self.turns = RunningTurns(self._keep, self._add)
        self.is_full = False
        self.added = 0
        """Bytes of all that was added."""

        self.comes = asyncio.Event()

        self.recorder = TurnRecorder(self.flow.metadata, clock=self.clock, keep=True)
        body = dumps({"model": "m", "stream": True, "input": [message("user", "Count the albatrosses")]})
        self.recorder.requested("POST", "/v1/responses", HEADERS, body)
        self.turns.begin(self.flow, self.recorder)
        self.ask("first")

    def ask(self, body: str) -> None:
        self.recorder.round_began(URL, {}, body.encode())
        self.recorder.round_answered(200, {})

    def passes(self, kind: str, **values: Any) -> None:
        """An event, and the chunk that it was made from."""
        self.clock.now += 0.1
        event = {"type": kind, **values}
        self.recorder.received(b"data: %s\n\n" % dumps(values))
        self.recorder.sent(b"event: %s\ndata: %s\n\n" % (kind.encode(), dumps(event)), [event])

    def says(self, word: str) -> None:
        self.passes("response.output_text.delta", output_index=0, delta=word)

    @property
    def record(self) -> RecordedTurn:
        found = RecordedTurn.of(self.flow.metadata)
        assert found is not None
        return found

    @property
    def whole(self) -> WholeTurn:
        """What is in the archive."""
        archive = self.kept.archive()
        [turn] = archive.find()
        found = archive.turn(turn.id)
        assert found is not None
        return found

    def die(self) -> WholeTurn:
        """What another process makes of it."""
        connection = Kept(self.kept.path).connection
        end_abandoned(connection, Writer(connection))
        return self.whole

    def _keep(self, flow: http.HTTPFlow) -> Document | None:
        document = document_of(flow)
        if document is None or self.is_full:
            return None
        self.kept.put(document)
        return document

    def _add(self, news: News) -> bool:
        if not self.is_full:
            self.kept.writer.add(news)
            self.added += news.size
            self.comes.set()
        return not self.is_full


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Running], None]], None]:
    """Runs a test on an event loop, because turns do."""

    def start(test: Callable[[Running], None]) -> None:
        async def inside() -> None:
            test(Running(tmp_path / "a.sqlite3"))

        asyncio.run(inside())

    return start


type Run = Callable[[Callable[[Running], None]], None]


def events(record: RecordedTurn) -> bytes:
    return body_of(record.events)


def opened(turn: Running) -> None:
    item = {"type": "message", "role": "assistant", "content": []}
    turn.passes("response.output_item.added", output_index=0, item=item)


def test_what_came_is_written_as_it_comes_and_once(run: Run) -> None:
    def test(turn: Running) -> None:
        turn.turns.write()
        assert turn.whole.record.rounds[0]["body"] == b"first"
        opened(turn)
        for number in range(20):
            turn.says(f"word {number} ")
            turn.turns.write()
            assert events(turn.whole.record) == events(turn.record)
            assert body_of(turn.whole.record.rounds[0]["chunks"]) == body_of(turn.record.rounds[0]["chunks"])
        size = turn.added
        turn.turns.write()
        assert turn.added == size
        streams = (turn.record.events, turn.record.rounds[0]["chunks"])
        assert size == sum(len(part) for stream in streams if stream for part in (*stream["blocks"], *stream["marks"]))

    run(test)


def test_another_request_of_a_turn_is_there(run: Run) -> None:
    def test(turn: Running) -> None:
        turn.passes("response.created", response={"id": "resp_1", "status": "in_progress"})
        turn.turns.write()
        turn.ask("second")
        turn.passes("response.completed", response={"id": "resp_1", "status": "completed"})
        turn.turns.write()
        first, second = turn.whole.record.rounds
        assert (first["body"], second["body"]) == (b"first", b"second")
        assert b"completed" not in body_of(first["chunks"])
        assert b"completed" in body_of(second["chunks"])

    run(test)


def test_a_turn_whose_process_died_is_cut_and_found(run: Run) -> None:
    def test(turn: Running) -> None:
        opened(turn)
        turn.says("There are ")
        turn.turns.write()
        turn.says("forty pelicans")
        turn.turns.write()
        kept = events(turn.record)
        turn.says("; nobody wrote that down")
        whole = turn.die()
        cut = whole.turn
        assert (cut.status, cut.error, cut.title) == ("cut", WHY, "Count the albatrosses")
        assert (cut.first_byte, cut.first_token, cut.first_text, cut.ended) == (100, 200, 200, 300)
        assert [(span.kind, span.end) for span in cut.spans] == [("message", -1)]
        assert events(whole.record) == kept
        assert whole.new == [0]
        archive = turn.kept.archive()
        assert [hit.turn.id for hit in archive.search("pelicans")] == [cut.id]
        assert not archive.search("nobody")
        names = {name for (name,) in turn.kept.connection.execute("SELECT name FROM blobs")}
        assert not [name for name in names if name.startswith("early")]

    run(test)


def test_calls_that_were_made_are_counted(run: Run) -> None:
    def test(turn: Running) -> None:
        turn.passes("response.output_item.done", output_index=0, item={"type": "function_call", "name": "shell"})
        turn.turns.write()
        assert turn.die().turn.calls == 1

    run(test)


def test_a_turn_that_is_over_is_whole(run: Run) -> None:
    def test(turn: Running) -> None:
        opened(turn)
        turn.says("There are forty")
        turn.turns.write()
        turn.says(" pelicans")
        turn.recorder.ended()
        turn.turns.end(turn.flow)
        document = document_of(turn.flow)
        assert document is not None
        turn.kept.put(document)
        turn.turns.write()
        assert turn.whole.turn.status == "completed"
        assert events(turn.whole.record) == events(turn.record)
        names = {name for (name,) in turn.kept.connection.execute("SELECT name FROM blobs")}
        assert not [name for name in names if name.startswith("early")]
        # Nobody cuts what is over.
        assert turn.die().turn.status == "completed"

    run(test)


def test_what_is_not_taken_is_offered_again(run: Run) -> None:
    def test(turn: Running) -> None:
        turn.turns.write()
        turn.is_full = True
        opened(turn)
        turn.turns.write()
        turn.is_full = False
        turn.says("later")
        turn.turns.write()
        assert events(turn.whole.record) == events(turn.record)

    run(test)


def test_of_a_long_stream_the_beginning_is_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_capture, "HEAD", 1000)
    monkeypatch.setattr(stream_capture, "TAIL", 1000)

    def test(turn: Running) -> None:
        for number in range(40):
            turn.says(f"{number:0200}")
            turn.turns.write()
        beginning = events(turn.whole.record)
        assert 500 < len(beginning) <= 1000
        assert events(turn.record).startswith(beginning)

    run(test)


def test_a_turn_that_cannot_be_read_is_over_all_the_same(run: Run) -> None:
    def test(turn: Running) -> None:
        turn.turns.write()
        turn.kept.connection.execute("DELETE FROM blobs WHERE name = 'early'")
        connection = Kept(turn.kept.path).connection
        end_abandoned(connection, Writer(connection))
        [found] = turn.kept.archive().find()
        assert (found.status, found.error) == ("cut", WHY)

    run(test)


def test_turns_are_written_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "INTERVAL", 0.01)

    async def inside() -> None:
        turn = Running(tmp_path / "a.sqlite3")
        for word in ("first", "second"):
            turn.says(word)
            turn.comes.clear()
            await turn.comes.wait()
        assert b"second" in events(turn.whole.record)
        turn.turns.end(turn.flow)

    work: Coroutine[Any, Any, None] = inside()
    asyncio.run(asyncio.wait_for(work, 60))


def test_news_of_turns_that_are_not_there_change_nothing(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a.sqlite3")

    async def inside() -> News:
        other = Running(tmp_path / "b.sqlite3")
        found: list[News] = []
        turns = RunningTurns(document_of, lambda news: not found.append(news))
        turns.begin(other.flow, other.recorder)
        other.says("word")
        turns.write()
        return found[0]

    kept.writer.add(asyncio.run(inside()))
    with sqlite3.connect(kept.path) as connection:
        assert connection.execute("SELECT count(*) FROM blobs").fetchone() == (0,)
