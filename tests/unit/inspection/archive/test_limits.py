"""The archive stays within its bounds, and what stays can be read."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from responses_gateway.inspection.archive.delete import delete_sessions
from responses_gateway.inspection.archive.file import ArchiveError, opened_to_read, opened_to_write
from responses_gateway.inspection.archive.limits import Limits, enforce, used
from responses_gateway.inspection.archive.writer import Writer
from unit.inspection.archive.turns import Kept, Talk
from unit.inspection.turns import Gateway

AGES = 1e12
PLENTY = 1 << 40


def noise(number: int) -> str:
    return f"word{number} " + os.urandom(20_000).hex()


def readable(kept: Kept) -> int:
    """How many turns there are, after each was read."""
    with closing(kept.archive()) as archive:
        turns = archive.find(limit=-1)
        assert all(archive.turn(turn.id) for turn in turns)
        for turn in turns:
            assert turn.id in [hit.turn.id for hit in archive.search(f'"{turn.title.split()[0]}"')]
        assert kept.connection.execute("SELECT count(*) FROM said").fetchone() == (len(turns),)
        return len(turns)


def test_the_oldest_segments_go_when_it_is_too_large(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a.sqlite3")
    talk = Talk(Gateway(), session_id="s", thread_id="t")
    sizes = []
    for number in range(80):
        talk.items.clear()
        kept.put(talk.turn(noise(number)))
        enforce(kept.connection, Limits(1_000_000, AGES), 0.0)
        sizes.append(used(kept.connection))
    assert max(sizes) < 2_000_000
    left = readable(kept)
    assert 0 < left < 80
    with closing(kept.archive()) as archive:
        assert archive.find(limit=1)[0].title.startswith("word79 ")
        assert archive.search("word0") == []
    assert kept.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a.sqlite3")
    now = 1000.0
    kept.writer = Writer(kept.connection, lambda: now)
    gateway = Gateway()
    kept.put(Talk(gateway, session_id="old").turn("word1"))
    now = 5000.0
    kept.put(Talk(gateway, session_id="young").turn("word2"))
    assert enforce(kept.connection, Limits(PLENTY, 3000.0), 5000.0) == 1
    assert [session.id for session in kept.archive().sessions()] == ["young"]


def test_a_thread_goes_on_after_its_segment_went(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a.sqlite3")
    talk = Talk(Gateway(), session_id="s", thread_id="t")
    kept.put(talk.turn("word1"))
    enforce(kept.connection, Limits(0, AGES), 0.0)
    kept.put(talk.turn("word2"), talk.turn("word3"))
    assert readable(kept) == 2


def test_a_turn_that_was_overtaken_builds_on_its_own_segment(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a.sqlite3")
    gateway = Gateway()
    talk = Talk(gateway, session_id="s", thread_id="t")
    kept.put(*(talk.turn(f"word{number}") for number in range(31)))
    slow = talk.turn("word31")
    begun = slow.record.facts | {"ended": -1, "status": "in_progress"}
    kept.put(type(slow)(slow.flow, type(slow.record)(begun, slow.record.request, slow.record.rounds, None), b""))
    kept.put(talk.turn("word32"), slow)
    assert kept.connection.execute("SELECT count(*) FROM segments").fetchone() == (2,)
    crossing = (
        "SELECT count(*) FROM blobs JOIN turns ON turns.row = blobs.turn JOIN blobs AS below ON below.id = blobs.base"
        " JOIN turns AS lower ON lower.row = below.turn WHERE turns.segment <> lower.segment"
    )
    assert kept.connection.execute(crossing).fetchone() == (0,)
    assert readable(kept) == 33


def test_sessions_are_deleted_for_good(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "a.sqlite3")
    gateway = Gateway()
    kept.put(Talk(gateway, session_id="secret").turn("abracadabra"), Talk(gateway, session_id="other").turn("word1"))
    assert delete_sessions(kept.path, ["secret"]) == 1
    assert readable(kept) == 1
    kept.connection.close()
    assert b"abracadabra" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_corrupt_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.sqlite3"
    path.write_bytes(b"this is no database " * 1000)
    kept = Kept(path)
    kept.put(Talk(Gateway()).turn("word1"))
    assert readable(kept) == 1
    assert [one.name for one in tmp_path.glob("*.corrupt-*")]
    assert "is corrupt" in caplog.text


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ArchiveError, match="later version"):
        opened_to_write(path)
    with pytest.raises(ArchiveError, match="schema 99"):
        opened_to_read(path)


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="does not exist"):
        opened_to_read(tmp_path / "a.sqlite3")
    assert not list(tmp_path.iterdir())
