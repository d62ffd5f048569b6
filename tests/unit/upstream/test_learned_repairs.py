"""What was learnt about upstreams is kept in a file that only the user can read."""

# ruff: noqa: E501 (a row of a table is one line)

import json
import stat
from pathlib import Path

import pytest

from responses_gateway.upstream.learned_repairs import MAX_AGE, MAX_ENTRIES, MAX_REPAIRS, LearnedRepairs, default_path

HOST = "https://acme.test/v1"
ME = "owner"


def learned(path: Path | None, now: float = 1000.0) -> LearnedRepairs:
    return LearnedRepairs(path, lambda: now)


def test_it_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state" / "learnt.json"
    first = learned(path)
    first.add(ME, HOST, "m", "drop:seed")
    first.add(ME, HOST, "m", "drop:user")
    first.add(ME, HOST, "m", "drop:seed")
    again = learned(path)
    assert again.repairs(ME, HOST, "m") == ["drop:seed", "drop:user"]
    assert again.repairs(ME, HOST, "other") == []
    assert again.repairs(ME, "https://other.test/v1", "m") == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["learnt.json"]


def test_two_processes_keep_each_others_lessons(tmp_path: Path) -> None:
    path = tmp_path / "learnt.json"
    one, other = learned(path), learned(path)
    one.add(ME, HOST, "a", "drop:seed")
    other.add(ME, HOST, "b", "drop:user")
    assert learned(path).repairs(ME, HOST, "a") == ["drop:seed"]
    assert learned(path).repairs(ME, HOST, "b") == ["drop:user"]


def test_it_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "learnt.json"
    memory = learned(path)
    for number in range(MAX_ENTRIES + 5):
        memory.add(ME, HOST, f"m{number}", "drop:seed")
    for number in range(MAX_REPAIRS + 5):
        memory.add(ME, HOST, "last", f"drop:x{number}")
    assert memory.repairs(ME, HOST, "m0") == []
    assert len(memory.repairs(ME, HOST, "last")) == MAX_REPAIRS
    assert len(json.loads(path.read_bytes())["learnt"]) == MAX_ENTRIES


def test_it_is_forgotten_after_a_while(tmp_path: Path) -> None:
    path = tmp_path / "learnt.json"
    learned(path).add(ME, HOST, "m", "drop:seed")
    assert learned(path, 1000.0 + MAX_AGE - 1).repairs(ME, HOST, "m") == ["drop:seed"]
    assert learned(path, 1000.0 + MAX_AGE + 1).repairs(ME, HOST, "m") == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"learnt": 5}', '{"learnt": [5]}', '{"learnt": [{"upstream": 1}]}', "\xff", '{"learnt": [{"upstream":"a","model":"b","at":"x","repairs":[]}]}'],
)  # fmt: skip
def test_a_broken_file_is_no_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "learnt.json"
    path.write_text(content, encoding="latin-1")
    memory = learned(path)
    assert memory.repairs(ME, HOST, "m") == []
    memory.add(ME, HOST, "m", "drop:seed")
    assert learned(path).repairs(ME, HOST, "m") == ["drop:seed"]


def test_repairs_that_nobody_knows_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "learnt.json"
    entry = {"owner": ME, "upstream": HOST, "model": "m", "at": 999.0, "repairs": ["drop:seed", "explode:x", 5]}
    path.write_text(json.dumps({"learnt": [entry]}))
    assert learned(path).repairs(ME, HOST, "m") == ["drop:seed"]


def test_a_directory_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = learned(tmp_path / "file" / "learnt.json")
    memory.add(ME, HOST, "m", "drop:seed")
    assert memory.repairs(ME, HOST, "m") == ["drop:seed"]


def test_where_it_is(tmp_path: Path) -> None:
    assert default_path({"HOME": "/home/u"}) == Path("/home/u/.local/state/responses-gateway/learnt.json")
    assert default_path({"HOME": "/home/u", "XDG_STATE_HOME": "/s"}) == Path("/s/responses-gateway/learnt.json")
