"""Turns that Codex's user cancels: the upstream stops at once, and the session goes on afterwards."""

import signal

import pytest

from e2e.codex import Codex
from e2e.codex_conversation import conversation
from upstream import Answer, Ending, Gate, Responder, Script, reply, stream, text

TRANSPORTS = pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])


def never_ending(where: str, gate: Gate) -> Responder:
    """An answer that stops there until the client leaves."""
    return Answer([gate], 0) if where == "before the answer" else stream(text("Half an"), gate)


WHERE = pytest.mark.parametrize("where", ["before the answer", "in the answer"])


def choose_transport(codex: Codex, *, websocket: bool) -> None:
    if websocket:
        codex.configure_provider("supports_websockets = true")


@TRANSPORTS
@WHERE
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_codex_is_ended(codex: Codex, script: Script, where: str, websocket: bool, number: signal.Signals) -> None:
    choose_transport(codex, websocket=websocket)
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


@TRANSPORTS
@WHERE
def test_turn_is_interrupted(codex: Codex, script: Script, where: str, websocket: bool) -> None:
    """As with Esc in the TUI: Codex itself goes on running."""
    choose_transport(codex, websocket=websocket)
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
