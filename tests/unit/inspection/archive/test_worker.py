"""The thread that writes: what it waits for, what it loses, and that it says so."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from responses_gateway.inspection.archive import limits, worker
from responses_gateway.inspection.archive.document import Document
from responses_gateway.inspection.archive.limits import Limits
from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.archive.worker import Archivist
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from unit.inspection.archive.turns import Talk
from unit.inspection.turns import Gateway

LIMITS = Limits(1 << 30, 1e12)
PATIENCE = 60
"""Seconds for what takes none on an idle machine: only a fault takes longer."""


class Told:
    """Counts what was kept; waits for it."""

    def __init__(self) -> None:
        self.flows: list[str] = []
        self._news = threading.Condition()

    def __call__(self, document: Document) -> None:
        with self._news:
            self.flows.append(document.flow)
            self._news.notify_all()

    def wait(self, count: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.flows) >= count, PATIENCE), self.flows


@pytest.fixture
def talk() -> Talk:
    return Talk(Gateway(), session_id="s")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.sqlite3"


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def archivist(path: Path, told: Told) -> Iterator[Archivist]:
    made = Archivist(path, LIMITS, told)
    yield made
    made.close()


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_handled(archivist: Archivist, count: int) -> bool:
    return archivist.counts.lost + archivist.counts.kept >= count


def titles(path: Path) -> list[str]:
    with closing(Archive(path)) as archive:
        return [turn.title for turn in archive.find(newest_first=False)]


def test_what_waits_at_the_end_is_written(path: Path, talk: Talk) -> None:
    made = Archivist(path, LIMITS)
    for number in range(20):
        made.put(talk.turn(f"word{number}"))
    made.close()
    assert (made.counts.kept, made.counts.lost, len(titles(path))) == (20, 0, 20)


def test_what_comes_too_fast_is_counted_and_said_once(
    path: Path, told: Told, talk: Talk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "WAITING", 3)
    made = Archivist(path, LIMITS, told)
    made.put(talk.turn("first"))
    told.wait(1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(6):
            made.put(talk.turn(f"word{number}"))
        other.execute("ROLLBACK")
    told.wait(4)
    made.close()
    assert (made.counts.kept, made.counts.lost) == (4, 3)
    assert caplog.text.count("Turns are not kept") == 1
    assert titles(path) == ["first", "word0", "word1", "word2"]


def test_a_turn_in_progress_is_what_goes_without_first(path: Path, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "WAITING", 1e-9)
    made = Archivist(path, LIMITS)
    running = talk.turn("runs")
    running.record.facts["ended"] = -1
    made.put(running)
    made.close()
    assert made.counts.lost == 0


def test_a_turn_that_cannot_be_read_costs_no_other(archivist: Archivist, path: Path, told: Told, talk: Talk) -> None:
    broken = talk.turn("broken")
    facts = {"opened": 1.0, "ended": 1, "headers": "hostile", "session": None}
    archivist.put(Document("f", RecordedTurn(facts, b"[]", [], None), b""))
    archivist.put(replace(broken, record=replace(broken.record, rounds=[{"number": 1, "body": "text", "chunks": {}}])))
    archivist.put(talk.turn("good"))
    told.wait(1)
    assert archivist.counts.lost == 2
    assert titles(path) == ["good"]


def test_a_full_disk_makes_the_oldest_go(path: Path, told: Told, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = worker.opened_to_write

    def small(name: Path) -> sqlite3.Connection:
        connection = opened(name)
        connection.execute("PRAGMA max_page_count = 200")
        return connection

    monkeypatch.setattr(worker, "opened_to_write", small)
    made = Archivist(path, LIMITS, told)
    for number in range(60):
        one = Talk(talk.gateway, session_id=f"s{number}")
        made.put(one.turn(f"word{number} {os.urandom(20_000).hex()}"))
    made.close()
    assert made.counts.lost == 0
    assert titles(path)[-1].startswith("word59")
    assert 0 < len(titles(path)) < 60


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    made = Archivist(tmp_path / "file" / "a.sqlite3", LIMITS)
    made.put(talk.turn("word"))
    made.close()
    assert made.counts.lost == 1
    assert "cannot be used" in caplog.text


def test_a_file_that_was_taken_away_is_made_anew(archivist: Archivist, path: Path, told: Told, talk: Talk) -> None:
    archivist.put(talk.turn("first"))
    told.wait(1)
    for one in path.parent.iterdir():
        one.unlink()
    archivist.put(talk.turn("second"))
    told.wait(2)
    assert titles(path) == ["second"]


def test_the_log_does_not_grow_while_somebody_reads_without_end(
    archivist: Archivist, path: Path, told: Told, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_LONG_LOG", 100_000)
    monkeypatch.setattr(worker, "LONGEST_LOG", 400_000)
    archivist.put(talk.turn("first"))
    told.wait(1)
    log = Path(f"{path}-wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM turns").fetchall()
        for number in range(2, 60):
            talk.items.clear()
            archivist.put(talk.turn(os.urandom(20_000).hex()))
            wait(partial(has_handled, archivist, number))
        assert archivist.counts.lost
        assert log.stat().st_size < 800_000
        assert "without end" in archivist.counts.reason
    talk.items.clear()
    archivist.put(talk.turn("last"))
    # Whoever looked into the file meanwhile would be a reader, too.
    wait(partial(has_handled, archivist, 60))
    assert titles(path)[-1] == "last"
    assert log.stat().st_size < 400_000


def test_turns_of_a_process_that_died_do_not_run_for_ever(path: Path, talk: Talk) -> None:
    running = talk.turn("runs")
    running.record.facts["ended"] = -1
    running.record.facts["status"] = "in_progress"
    made = Archivist(path, LIMITS)
    made.put(running)
    made.close()
    made = Archivist(path, LIMITS)
    made.put(talk.turn("next"))
    made.close()
    with closing(Archive(path)) as archive:
        assert [turn.status for turn in archive.find(newest_first=False)] == ["cut", "completed"]
