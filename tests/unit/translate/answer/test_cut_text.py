"""Text that a limit ended: whoever reads it is told."""

from typing import Any

import pytest

from unit.machine import RUN, call, delta, output, run, spoken

CODEX: dict[str, Any] = {"for_codex": True, "incomplete_completes": True}


@pytest.mark.parametrize(("reason", "words"), [("length", "output tokens"), ("content_filter", "content filter")])
def test_codex_gets_a_last_line(reason: str, words: str) -> None:
    events = run([delta(content="As far as"), delta(reason)], **CODEX)
    [(kind, text)] = [spoken(item) for item in output(events)]
    assert kind == "message"
    assert text.startswith("As far as\n\n[The answer ends here: ")
    assert words in text
    assert events[-1]["type"] == "response.completed"


def test_thoughts_that_a_limit_ended_get_one_too() -> None:
    items = [spoken(item) for item in output(run([delta(reasoning_content="Hm"), delta("length")], **CODEX))]
    assert [kind for kind, *_ in items] == ["reasoning", "message"]
    assert items[1][1].startswith("[The answer ends here")


@pytest.mark.parametrize("options", [{}, {"for_codex": True}, {"incomplete_completes": True}])
def test_a_client_that_shows_it_gets_none(options: dict[str, Any]) -> None:
    events = run([delta(content="As far as"), delta("length")], **options)
    assert [spoken(item) for item in output(events)] == [("message", "As far as")]


def test_behind_a_whole_call_there_is_none() -> None:
    chunks = [delta(content="Look."), call(0, "run", '{"cmd": "ls"}', "c"), delta("length")]
    kinds = [spoken(item)[:2] for item in output(run(chunks, RUN, **CODEX))]
    assert kinds == [("message", "Look."), ("call", "run")]
