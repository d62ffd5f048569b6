"""The archive under mitmweb: what it keeps, what it survives, and what leaves mitmweb's list because of it."""

import json
import random
import resource
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2e.codex import LATEST, Codex
from e2e.command import run
from e2e.environment import API_KEY, UPSTREAM_KEY
from e2e.gateway import StartGateway
from e2e.mitmweb import MitmwebProcess
from e2e.socket_client import open_socket
from e2e.test_codex_agents import PROMPT, SPAWN, family, wait_for_agent
from e2e.test_inspection import ask, every_view
from responses_gateway.inspection.archive.file import ArchiveError
from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.inspection.pages import routes
from responses_gateway.inspection.recording.stream_capture import body_of
from responses_gateway.inspection.views.answer import answer_of
from upstream import Gate, Script, ScriptedUpstream, call, done, finish, reasoning, reply, stream, text

PLACE = ".local/state/responses-gateway/archive.sqlite3"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def start(upstream: ScriptedUpstream, home: Path) -> Callable[..., MitmwebProcess]:
    """Makes a mitmweb in `home`; the caller enters it."""

    def make(*arguments: str, **options: str) -> MitmwebProcess:
        key = {"gateway_api_key_env": "TEST_UPSTREAM_KEY"}
        environment = {"TEST_UPSTREAM_KEY": UPSTREAM_KEY, "GATEWAY_TAP": "/dev/null"}
        return MitmwebProcess(upstream.url, home, key | options, arguments, environment)

    return make


def turns(home: Path, count: int, timeout: float = 60) -> list[Turn]:
    """That many turns that are over, oldest first, as soon as they are in the archive."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            with closing(Archive(home / PLACE)) as archive:
                found = [turn for turn in archive.find(limit=-1, newest_first=False) if turn.ended >= 0]
        except ArchiveError:
            found = []
        if len(found) >= count or time.monotonic() > deadline:
            assert len(found) == count
            return found
        time.sleep(0.05)


def wait(condition: Callable[[], Any], timeout: float = 60) -> Any:
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.05)
    return value


def conversation(model: str, count: int, size: int = 10) -> Iterator[dict[str, Any]]:
    """Requests of one session, each with all that came before."""
    items: list[dict[str, Any]] = []
    for number in range(count):
        items.append({"type": "message", "role": "user", "content": f"number {number} " + "x" * size})
        yield {"model": model, "input": items, "prompt_cache_key": "my-session"}
        items.append({"type": "message", "role": "assistant", "content": f"answer {number}"})


def test_a_turn_is_kept_whole_and_without_keys(
    start: Callable[..., MitmwebProcess], home: Path, script: Script
) -> None:
    script.answer(reply(reasoning="hm", text=f"your key is {API_KEY}", calls=[call("shell", {"cmd": "ls"})]))
    tool = {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {"cmd": {}}}}
    with start() as web:
        ask(web, {"model": script.model, "input": "say albatross", "tools": [tool]})
        flow = web.wait_flow(lambda flow: flow["comment"].endswith("completed"))
        [turn] = turns(home, 1)
        assert (turn.flow, turn.status, turn.title, turn.calls) == (flow["id"], "completed", "say albatross", 1)
        with closing(Archive(home / PLACE)) as archive:
            whole = archive.turn(turn.id)
            assert whole is not None
            assert json.loads(whole.record.request or b"")["input"] == "say albatross"
            assert whole.record.rounds[0]["status"] == 200
            assert [hit.turn.id for hit in archive.search("albatross")] == [turn.id]
            kept = repr((whole.record, whole.shell, archive.search("key")))
        assert API_KEY not in kept
        assert UPSTREAM_KEY not in kept
        assert (home / PLACE).stat().st_mode & 0o777 == 0o600


def test_nothing_is_kept_when_it_is_off(start: Callable[..., MitmwebProcess], home: Path, script: Script) -> None:
    script.always(reply(text="ok"))
    with start(gateway_archive="off") as web:
        ask(web, {"model": script.model, "input": "hi"})
        web.wait_flow(lambda flow: flow["comment"].endswith("completed"))
        with pytest.raises(RuntimeError, match="gateway_archive"):
            web.command("gateway.archive.load", "x")
    assert not (home / PLACE).exists()


def test_kill_9_loses_nothing_that_is_a_second_old(
    start: Callable[..., MitmwebProcess], home: Path, script: Script
) -> None:
    gates = Gate(), Gate()
    begun = stream(reasoning("Hm", "."), gates[0], text("be", "gun"), gates[1])
    script.answer(*[reply(text=f"answer {number}") for number in range(30)], begun)
    with start() as web:
        for body in conversation(script.model, 30, 20_000):
            ask(web, body)
        turns(home, 30)
        connection, *_ = ask(web, {"model": script.model, "input": "and this one runs"}, read=False)
        gates[0].wait_reached()
        wait(lambda: "Hm" in _begun(home))
        gates[0].open()
        gates[1].wait_reached()
        # No end of the turn writes it: what runs is written every second.
        wait(lambda: "gun" in _begun(home))
        web.send_signal(signal.SIGKILL)
        web.wait_exit(10)
        connection.close()
    gates[1].open()
    with closing(sqlite3.connect(home / PLACE)) as connection_:
        assert connection_.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = turns(home, 30)
    with closing(Archive(home / PLACE)) as archive:
        assert all(archive.turn(turn.id) for turn in found)
        cut = archive.turn(archive.find(limit=1)[0].id)
        assert cut is not None
        assert cut.turn.title == "and this one runs"
        assert b"gun" in body_of(cut.record.rounds[0]["chunks"])
        assert answer_of(cut.record).items[1]["content"][0]["text"] == "begun"
    with start() as web:
        script.always(reply(text="again"))
        ask(web, {"model": script.model, "input": "after it"})
        wait(lambda: not _running(home))
        with closing(Archive(home / PLACE)) as archive:
            ended = next(turn for turn in archive.find() if turn.title == "and this one runs")
            assert ended.status == "cut"
            assert [span.kind for span in ended.spans] == ["reasoning", "message"]
            assert [hit.turn.id for hit in archive.search("begun")] == [ended.id]
        turns(home, 32)
        page = web.web("GET", routes.turn_url(ended.session, ended.id)).decode()
        assert "The gateway ended before the turn did." in page
        assert "begun" in page
        assert "<button disabled>Open in mitmweb" in page


def test_kill_9_without_anybody_who_looks(start_gateway: StartGateway, script: Script, tmp_path: Path) -> None:
    path = tmp_path / PLACE
    gate = Gate()
    script.answer(stream(text("be", "gun"), gate))
    gateway = start_gateway({"gateway_archive": str(path)})
    connection, *_ = ask(gateway, {"model": script.model, "input": "this one runs"}, read=False)
    gate.wait_reached()
    wait(path.exists)
    wait(lambda: "gun" in _begun(tmp_path))
    gateway.send_signal(signal.SIGKILL)
    gateway.wait_exit(10)
    connection.close()
    gate.open()
    assert "gun" in _begun(tmp_path)


def _running(home: Path) -> list[Turn]:
    with closing(Archive(home / PLACE)) as archive:
        return [turn for turn in archive.find() if turn.status == "in_progress"]


def _begun(home: Path) -> str:
    """What the client was sent of the turn that runs, by the archive."""
    with closing(Archive(home / PLACE)) as archive:
        wholes = [archive.turn(turn.id) for turn in archive.find() if turn.status == "in_progress"]
    return "".join(body_of(whole.record.events).decode() for whole in wholes if whole is not None)


def test_a_locked_file_holds_up_no_stream(start: Callable[..., MitmwebProcess], home: Path, script: Script) -> None:
    script.always(reply(text="ok"))
    with start() as web:
        wait((home / PLACE).exists)
        ask(web, {"model": script.model, "input": "before"})
        turns(home, 1)
        with closing(sqlite3.connect(home / PLACE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            for number in range(5):
                _, status, answer = ask(web, {"model": script.model, "input": f"locked {number}"})
                assert status == 200
                assert b"response.completed" in answer
            assert len(turns(home, 1)) == 1
            other.execute("ROLLBACK")
            assert time.monotonic() - began < 20
        assert [turn.title for turn in turns(home, 6)][1:] == [f"locked {number}" for number in range(5)]
        assert "lost" not in "\n".join(web.command("gateway.stats"))


def test_a_full_disk_costs_turns_of_the_archive_only(
    start: Callable[..., MitmwebProcess], home: Path, script: Script
) -> None:
    script.always(reply(text="ok"))
    noise = random.Random(1).randbytes(450_000).hex()
    with start() as web:
        ask(web, {"model": script.model, "input": "before"})
        turns(home, 1)
        resource.prlimit(web.pid, resource.RLIMIT_FSIZE, (150_000, 150_000))
        for number in range(3):
            _, status, answer = ask(
                web, {"model": script.model, "input": f"{number} {noise[number * 300_000 :][:300_000]}"}
            )
            assert status == 200
            assert b"response.completed" in answer
        web.wait_log("Turns are not kept in the archive")
        wait(lambda: "3 lost" in "\n".join(web.command("gateway.stats")))
    with closing(sqlite3.connect(home / PLACE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_flows_leave_the_list_and_come_back(start: Callable[..., MitmwebProcess], home: Path, script: Script) -> None:
    script.always(reply(text="ok"))
    gate = Gate()
    script.answer(stream(text("a"), gate, finish(), done()))
    with start(gateway_flows_kept="5") as web:
        connection, *_ = ask(web, {"model": script.model, "input": "runs"}, read=False)
        gate.wait_reached()
        ask(web, {"model": script.model, "input": "marked"})
        marked = web.wait_flow(lambda flow: flow["comment"].endswith("completed"))
        web.command("flow.mark", "~u /v1/responses & ~bq marked", ":star:")
        for body in conversation(script.model, 12):
            ask(web, body)
        found = turns(home, 13)
        shown = wait(lambda: len(flows := web.flows()) <= 5 and flows)
        ids = [flow["id"] for flow in shown]
        assert marked["id"] in ids
        wait(lambda: any("in progress" in flow["comment"] for flow in web.flows()))
        gone = found[1]
        assert gone.flow not in ids
        web.command("gateway.archive.load", gone.id)
        back = wait(lambda: [flow for flow in web.flows() if flow["id"] == gone.flow])[0]
        assert back["comment"].endswith("completed")
        views = every_view(web, back)
        assert "number 0" in views
        assert "ok" in web.view(gone.flow, "response", "Answer")
        gate.open()
        connection.close()


def test_memory_stays_as_it_is(start: Callable[..., MitmwebProcess], home: Path, script: Script) -> None:
    script.always(reply(text="ok " * 20))
    size = 76_000

    def serve(first: int, last: int) -> int:
        for number in range(first, last):
            ask(web, {"model": script.model, "input": f"{number} " + f"{number:07} " * (size // 8)})
        turns(home, last, 60)
        wait(lambda: len(web.flows()) <= 20)
        return _resident(web.pid)

    with start(gateway_flows_kept="20") as web:
        before = serve(0, 100)
        after = serve(100, 250)
    assert after - before < 150 * size


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_saved_flows_give_the_same(
    start: Callable[..., MitmwebProcess], home: Path, script: Script, tmp_path: Path
) -> None:
    script.always(reply(text="ok", reasoning="so"))
    capture = tmp_path / "session.flows"
    with start(save_stream_file=str(capture)) as web:
        for body in conversation(script.model, 3):
            ask(web, body)
        live = turns(home, 3)
    (home / PLACE).unlink()
    with start("-r", str(capture)) as web:
        assert [turn.id for turn in turns(home, 3)] == [turn.id for turn in live]
        assert [turn.title for turn in turns(home, 3)] == [turn.title for turn in live]
        assert [turn.spans for turn in turns(home, 3)] == [turn.spans for turn in live]


def test_the_command_reads_while_the_gateway_runs_and_after_it(
    start: Callable[..., MitmwebProcess], home: Path, script: Script, tmp_path: Path
) -> None:
    script.answer(reply(text="\x1b]0;owned\x07 red \x9b31m"), reply(text="fine", reasoning="hm"))
    flows = tmp_path / "back.flows"
    with start() as web:
        for body in conversation(script.model, 2):
            ask(web, body)
        found = turns(home, 2)
        listed = run(home, "sessions")
        assert listed.returncode == 0, listed.stderr
        assert "my-session" in listed.stdout
        shown = run(home, "sessions", "show", found[0].id[:10])
        assert "\\x1b]0;owned\\x07 red \\u009b31m" in shown.stdout
        searched = run(home, "sessions", "search", "owned", "--json")
        assert json.loads(searched.stdout)[0]["turn"]["id"] == found[0].id
        for answer in (listed, shown, searched, run(home, "sessions", "show", "my-session")):
            assert not set("\x1b\x07\x9b") & set(answer.stdout)
    exported = run(home, "sessions", "export", "my-session")
    assert [turn["outcome"]["status"] for turn in json.loads(exported.stdout)["turns"]] == ["completed", "completed"]
    assert run(home, "sessions", "export", "my-session", "--format", "flows", "-o", str(flows)).returncode == 0
    assert run(home, "sessions", "delete", "my-session", stdin="n\n").returncode == 1
    assert run(home, "sessions", "delete", "my-session", "--yes").stdout == "2 turns of 1 sessions deleted.\n"
    assert b"owned" not in b"".join(path.read_bytes() for path in (home / PLACE).parent.iterdir())
    assert "my-session" not in run(home, "sessions").stdout
    with start("-r", str(flows)) as web:
        assert [turn.id for turn in turns(home, 2)] == [turn.id for turn in found]
        assert "fine" in web.view(found[1].flow, "response", "Answer")


def test_codex_and_its_sub_agent_are_threads_of_one_session(
    start_gateway: StartGateway, script: Script, tmp_path: Path
) -> None:
    path = tmp_path / "archive.sqlite3"
    gateway = start_gateway({"gateway_archive": str(path)})
    codex = Codex(LATEST, gateway.url, tmp_path / "codex")
    script.always(family(codex, [SPAWN, wait_for_agent, reply(text="Three.")]))
    codex.exec(PROMPT, script.model).succeeded()
    gateway.stop()
    with closing(Archive(path)) as archive:
        [session] = archive.sessions()
        found = archive.turns(session.id)
    assert (session.client, session.threads, session.title) == ("codex_exec", 2, PROMPT)
    parents = {turn.thread for turn in found if not turn.parent}
    [child] = {(turn.parent, turn.agent, turn.version) for turn in found if turn.parent}
    assert parents == {child[0]}
    assert child[1:] == ("collab_spawn", LATEST.version)


def test_turns_over_a_websocket_are_kept_with_their_client(
    start_gateway: StartGateway, script: Script, tmp_path: Path
) -> None:
    path = tmp_path / "archive.sqlite3"
    gateway = start_gateway({"gateway_archive": str(path)})
    script.answer(reply(text="one"), reply(text="two"))
    with open_socket(gateway.url, user_agent_header="codex-tui/0.169.0", headers={"session-id": "s"}) as socket:
        first = socket.turn(model=script.model, input="hello")
        socket.turn(model=script.model, input="more", previous_response_id=first[-1]["response"]["id"])
    gateway.stop()
    with closing(Archive(path)) as archive:
        found = archive.turns("s")
    assert [(turn.title, turn.client, turn.version) for turn in found] == [
        ("hello", "codex-tui", "0.169.0"),
        ("more", "codex-tui", "0.169.0"),
    ]
