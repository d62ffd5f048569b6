"""Turns that Codex's user cancels: the upstream stops at once, and the session goes on afterwards."""

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from e2e.codex import Codex
from e2e.process import LoggedProcess
from upstream import Answer, Ending, Gate, Responder, Script, reply, stream, text

TRANSPORTS = pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])


def never_ending(where: str, gate: Gate) -> Responder:
    """An answer that stops there until the client leaves."""
    return Answer([gate], 0) if where == "before the answer" else stream(text("Half an"), gate)


WHERE = pytest.mark.parametrize("where", ["before the answer", "in the answer"])


def over(codex: Codex, *, websocket: bool) -> Codex:
    if websocket:
        codex.configure_provider("supports_websockets = true")
    return codex


@TRANSPORTS
@WHERE
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_codex_is_ended(codex: Codex, script: Script, where: str, websocket: bool, number: signal.Signals) -> None:
    over(codex, websocket=websocket)
    gate = Gate()
    script.answer(never_ending(where, gate), reply(text="Later."))
    with codex.start_exec("go", script.model) as running:
        gate.wait_reached()
        thread_id = running.wait_log(r'"thread_id":"([^"]+)"')[1]
        running.signal_all(number)
        assert script.requests[0].wait_ending(5) is Ending.CLIENT_LEFT
        running.wait_exit(10)
        assert "Falling back" not in running.log
    run = codex.exec("go on", script.model, resume=thread_id).succeeded()
    assert run.messages == ["Later."]
    first, second = script.requests
    assert second.messages[: len(first.messages)] == first.messages
    assert second.roles()[len(first.messages) :].count("assistant") == 0


class Conversation:
    """One thread of a Codex app-server."""

    def __init__(self, server: LoggedProcess) -> None:
        self._server = server
        self._asked = 0
        info = {"name": "codex-test", "title": None, "version": "1"}
        self._ask("initialize", clientInfo=info, capabilities=None)
        server.send_line(json.dumps({"method": "initialized"}))
        self._thread = self._ask("thread/start")["thread"]["id"]

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._asked += 1
        self._server.send_line(json.dumps({"id": self._asked, "method": method, "params": params}))
        answer = json.loads(self._server.wait_log(rf'^\{{"id":{self._asked},.*')[0])
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def start(self, prompt: str) -> str:
        """Begin a turn; returns its id."""
        started = self._ask("turn/start", threadId=self._thread, input=[{"type": "text", "text": prompt}])
        turn_id: str = started["turn"]["id"]
        return turn_id

    def interrupt(self, turn_id: str) -> None:
        self._ask("turn/interrupt", threadId=self._thread, turnId=turn_id)

    def wait_end(self, turn_id: str) -> str:
        """The status with which that turn ended."""
        pattern = rf'^\{{"method":"turn/completed".*"id":"{re.escape(turn_id)}".*'
        completed = json.loads(self._server.wait_log(pattern)[0])
        status: str = completed["params"]["turn"]["status"]
        return status


@contextmanager
def conversation(codex: Codex, model: str) -> Iterator[Conversation]:
    with codex.app_server(model) as server:
        yield Conversation(server)


@TRANSPORTS
@WHERE
def test_turn_is_interrupted(codex: Codex, script: Script, where: str, websocket: bool) -> None:
    """As with Esc in the TUI: Codex itself goes on running."""
    over(codex, websocket=websocket)
    gate = Gate()
    script.answer(reply(text="Ready."), never_ending(where, gate), reply(text="Later."))
    with conversation(codex, script.model) as talk:
        assert talk.wait_end(talk.start("are you ready?")) == "completed"
        turn = talk.start("go")
        gate.wait_reached()
        talk.interrupt(turn)
        assert script.requests[1].wait_ending(5) is Ending.CLIENT_LEFT
        assert talk.wait_end(turn) == "interrupted"
        assert talk.wait_end(talk.start("go on")) == "completed"
    interrupted, later = script.requests[1:]
    assert later.messages[: len(interrupted.messages)] == interrupted.messages
    assert later.text("user") == "go on"
