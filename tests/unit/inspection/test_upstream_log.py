"""The log of upstream requests, and its analysis."""

import json
import stat
import xml.etree.ElementTree as ElementTree

import pytest

from responses_gateway.command_line.main import main
from responses_gateway.inspection.upstream_log.analysis import analyze, read, report
from responses_gateway.inspection.upstream_log.log import KEPT, UpstreamLog
from responses_gateway.inspection.upstream_log.plot import svg
from unit.inspection.turns import ANSWER, SECRET, URL, Gateway


@pytest.fixture
def path(tmp_path):
    return tmp_path / "upstream.jsonl"


def run_turns(path, *inputs, session="thread", **options):
    """Turns of one session, logged to `path`."""
    gateway = Gateway()
    log = UpstreamLog(path, **options)
    for content in inputs:
        body = {"prompt_cache_key": session, "input": [{"role": "user", "content": text} for text in content]}
        gateway.turn(body, ANSWER, on_round=log.write)


def test_one_line_per_request(path):
    run_turns(path, ["one"], ["one", "two"])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["turn"] for line in lines] == [1, 2]
    assert lines[0]["session"] == "thread"
    assert lines[0]["url"] == f"{URL}/chat/completions"
    assert (lines[0]["input_tokens"], lines[0]["cached_tokens"]) == (41_000, 40_000)
    assert lines[0]["size"] < lines[1]["size"]
    assert "body" not in lines[0]
    assert SECRET not in path.read_text()


def test_only_the_owner_can_read_it(path):
    path.touch(0o644)
    run_turns(path, ["one"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_bodies_on_demand_and_without_secrets(path):
    run_turns(path, [f"key {SECRET}"], bodies=True)
    (line,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert line["body"]["messages"][0]["content"] == "key [redacted]"


def test_rotation_keeps_a_bounded_number_of_files(path):
    inputs = [["text " * 100] for _ in range(40)]
    run_turns(path, *inputs, bodies=True, rotate_at=4000)
    files = sorted(one.name for one in path.parent.iterdir())
    assert files == ["upstream.jsonl", *(f"upstream.jsonl.{number}" for number in range(1, KEPT + 1))]
    assert all(one.stat().st_size <= 4000 for one in path.parent.iterdir())
    turns = [json.loads(line)["turn"] for line in read(path)]
    assert turns == list(range(turns[0], 41))


def test_the_analysis_finds_what_breaks_prefixes(path):
    stable = ["a" * 500]
    run_turns(path, stable, [*stable, "b"], ["changed " + stable[0], "b", "c"], [*stable, "b"])
    found = analyze(read(path))
    (session,) = found.sessions
    assert (session.session, session.requests, len(session.steps)) == ("thread", 4, 3)
    assert session.steps[0].prefix.changed == ""
    assert session.steps[0].prefix.share > 0.9
    assert session.steps[1].prefix.changed == "messages[0].content"
    assert "messages[0].content" in session.steps[1].changed
    assert session.steps[1].cached_share == pytest.approx(40 / 41)
    (unstable,) = found.unstable
    assert (unstable.path, unstable.count) == ("messages[*].content", 2)
    assert unstable.bytes_lost > 1000
    assert any("messages[*].content" in line for line in report(found))


def test_sessions_are_not_compared_with_each_other(path):
    run_turns(path, ["a"], session="one")
    run_turns(path, ["b"], session="two")
    found = analyze(read(path))
    assert [session.steps for session in found.sessions] == [[], []]
    assert not found.unstable


def test_lines_that_are_no_entries_are_counted(path):
    run_turns(path, ["a"])
    path.write_bytes(path.read_bytes() + b'{"half\n[]\n\n')
    found = analyze(read(path))
    assert (found.requests, found.unreadable) == (1, 2)


def test_the_command_prints_text_and_json_and_draws(path, tmp_path, capsys):
    run_turns(path, ["a"], ["a", "b"], ["c"])
    assert main(["analyze-log", str(path)]) == 0
    text = capsys.readouterr().out
    assert "3 upstream requests in 1 sessions" in text
    assert "messages[*].content" in text
    picture = tmp_path / "plot.svg"
    assert main(["analyze-log", str(path), "--json", "--plot", str(picture)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["sessions"][0]["steps"][1]["prefix"]["changed"] == "messages[0].content"
    assert data["unstable_paths"][0]["count"] == 1
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_a_plot_without_sessions_says_so():
    assert "no session has two requests" in svg(analyze([]))


def test_a_missing_file_is_named(path, capsys):
    assert main(["analyze-log", str(path)]) == 1
    assert str(path) in capsys.readouterr().err
