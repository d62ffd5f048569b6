"""What goes into the archive comes out again, and can be found."""

from pathlib import Path

import pytest

from responses_gateway.inspection.archive.document import Document
from responses_gateway.inspection.archive.rows import Filter
from unit.inspection.archive.turns import Kept, Talk, message, same
from unit.inspection.turns import ANSWER, Gateway, call, chunk

CODEX = {"user_agent": "codex_exec/0.169.0 (Debian)", "session_id": "s1", "thread_id": "t1"}


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "state" / "archive.sqlite3")


def test_turns_come_back_whole(kept: Kept) -> None:
    talk = Talk(Gateway(), **CODEX)
    documents = [talk.turn(f"question {number}") for number in range(70)]
    kept.put(*documents)
    archive = kept.archive()
    for document in documents:
        whole = archive.turn(document.id)
        assert whole is not None
        assert same(whole.record, document.record)
        assert whole.shell == document.shell
    assert kept.path.stat().st_mode & 0o777 == 0o600


def test_a_turn_that_repeats_the_history_takes_little(kept: Kept) -> None:
    talk = Talk(Gateway(), **CODEX)
    talk.items = [message("user", f"{number} {number**7} {hash(str(number))}") for number in range(1000)]
    kept.put(*(talk.turn(f"next {number}") for number in range(10)))
    turns = kept.archive().turns("s1")
    assert all(turn.size > 100_000 for turn in turns)
    assert all(turn.stored < 0.01 * turn.size for turn in turns[1:])


def test_sessions_sum_up_their_turns(kept: Kept) -> None:
    gateway = Gateway()
    main, agent = Talk(gateway, **CODEX), Talk(gateway, **{**CODEX, "thread_id": "t2"})
    agent.headers |= {"x-codex-parent-thread-id": "t1", "x-openai-subagent": "collab_spawn"}
    kept.put(main.turn("fix the bug"), agent.turn("look around"), main.turn("thanks"))
    [session] = kept.archive().sessions()
    assert (session.title, session.client, session.version) == ("fix the bug", "codex_exec", "0.169.0")
    assert (session.turns, session.threads, session.failed, session.models) == (3, 2, 0, ["m"])
    assert (session.input_tokens, session.cached_tokens, session.output_tokens) == (123_000, 120_000, 1536)
    turns = kept.archive().turns("s1")
    assert [(turn.thread, turn.parent, turn.agent) for turn in turns] == [
        ("t1", "", ""),
        ("t2", "t1", "collab_spawn"),
        ("t1", "", ""),
    ]
    assert [span.kind for span in turns[0].spans] == ["reasoning", "message"]
    assert all(0 <= span.start <= span.end <= turns[0].ended for span in turns[0].spans)


def test_only_what_is_new_in_a_turn_is_told_apart_and_found(kept: Kept) -> None:
    talk = Talk(Gateway(), **CODEX)
    documents = [talk.turn("Please search for albatrosses"), talk.turn("and now for pelicans")]
    kept.put(*documents)
    archive = kept.archive()
    second = archive.turn(documents[1].id)
    assert second is not None
    assert second.new == [2]
    [hit] = archive.search("albatross")
    assert hit.turn.id == documents[0].id
    assert (hit.before, hit.words) == ("Please search for ", "albatross")
    assert [hit.turn.id for hit in archive.search('"hello there"')] == [documents[1].id, documents[0].id]
    assert archive.search("walrus") == []


def test_calls_and_scripts_without_spaces_are_found(kept: Kept) -> None:
    talk = Talk(Gateway(), **CODEX)
    tools = [{"type": "function", "name": "shell", "parameters": {"type": "object"}}]
    chunks = [*call("shell", '{"cmd": "grep -n', ' zebra"}'), chunk(finish="tool_calls")]
    kept.put(talk.turn("何か日本語を書く", chunks, tools=tools))
    archive = kept.archive()
    assert [hit.turn.calls for hit in archive.search("zebra")] == [1]
    assert len(archive.search("日本")) == 1
    assert [span.name for span in archive.turns("s1")[0].spans] == ["shell"]


@pytest.mark.parametrize("query", ['"', "' OR 1=1 --", "NEAR(", "a AND", "*", "-x", "col:umn", "\x00", "((("])
def test_no_query_breaks_the_search(kept: Kept, query: str) -> None:
    kept.put(Talk(Gateway(), **CODEX).turn("hello"))
    assert kept.archive().search(query) == []
    assert kept.archive().find(Filter(query="x" + query)) == []


def test_filters(kept: Kept) -> None:
    gateway = Gateway()
    broken = [chunk(content="so"), b'data: {"error": {"message": "no"}}\n\n']
    one, other = Talk(gateway, **CODEX), Talk(gateway, session_id="s2", user_agent="OpenAI/Python 3.5.0")
    kept.put(one.turn("first"), other.turn("second", broken), other.turn("third", model="big"))
    archive = kept.archive()
    noon = archive.turns("s2")[0].opened

    def titles(**which: object) -> list[str]:
        return [turn.title for turn in archive.find(Filter(**which), newest_first=False)]  # type: ignore[arg-type]

    assert titles() == ["first", "second", "third"]
    assert titles(model="big") == ["third"]
    assert titles(client="OpenAI/Python") == ["second", "third"]
    assert titles(since=noon) == ["second", "third"]
    assert titles(until=noon) == ["first"]
    assert titles(failed=True) == ["second"]
    assert titles(query="fir") == ["first"]
    assert [session.id for session in archive.sessions(Filter(failed=True))] == ["s2"]
    assert archive.values().clients == ["OpenAI/Python", "codex_exec"]
    assert [(total.model, total.turns, total.failed) for total in archive.totals(Filter(session="s2"))] == [
        ("big", 1, 0),
        ("m", 1, 1),
    ]


def test_a_client_without_ids_has_sessions_all_the_same(kept: Kept) -> None:
    gateway = Gateway()
    one, other = Talk(gateway), Talk(gateway)
    kept.put(one.turn("hello"), one.turn("go on"))
    other.count = 10
    kept.put(other.turn("hello"), other.turn("elsewhere"))
    assert sorted(session.turns for session in kept.archive().sessions()) == [2, 2]


def test_a_turn_that_runs_is_there_and_completed_later(kept: Kept) -> None:
    gateway = Gateway()
    talk = Talk(gateway, **CODEX)
    kept.put(talk.turn("before"))
    talk.items.append(message("user", "running"))
    running = gateway.record({"input": talk.items}, ANSWER[:2], headers=talk.headers, close=False)
    kept.put(Document("f", running, b""))
    [turn] = kept.archive().find(Filter(session="s1"), limit=1)
    assert (turn.status, turn.ended, turn.title) == ("in_progress", -1, "running")
    whole = kept.archive().turn(turn.id)
    assert whole is not None
    assert whole.record.request == running.request
    assert whole.record.rounds[0]["body"] == running.rounds[0]["body"]
    running.facts.update(ended=500, status="completed")
    kept.put(Document("f", running, b"shell"), talk.turn("after"))
    whole = kept.archive().turn(turn.id)
    assert whole is not None
    assert same(whole.record, running)
    assert [turn.status for turn in kept.archive().turns("s1")] == ["completed"] * 3


def test_writing_a_turn_again_changes_nothing(kept: Kept) -> None:
    document = Talk(Gateway(), **CODEX).turn("once")
    kept.put(document, document)
    assert kept.archive().size().turns == 1


def test_another_process_goes_on_with_a_thread(kept: Kept) -> None:
    talk = Talk(Gateway(), **CODEX)
    kept.put(talk.turn("first"))
    document = talk.turn("second")
    Kept(kept.path).put(document)
    whole = kept.archive().turn(document.id)
    assert whole is not None
    assert (whole.new, same(whole.record, document.record)) == ([1, 2], True)


def test_what_is_no_text_is_kept_as_well_as_it_can_be(kept: Kept) -> None:
    document = Talk(Gateway(), **CODEX).turn("hello")
    document.record.facts["status"] = "said \ud800"
    kept.put(document)
    [turn] = kept.archive().turns("s1")
    assert turn.status == "said ?"
