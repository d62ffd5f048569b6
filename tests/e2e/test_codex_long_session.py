"""A long session of Codex: the prompt that upstreams cache only grows, whatever happens to the gateway meanwhile."""

import signal
from pathlib import Path

import pytest

from e2e.codex import LATEST, Codex
from e2e.gateway import StartGateway
from responses_gateway.inspection.upstream_log.analysis import Step, analyze, read
from upstream import Gate, Responder, Script, reply, stream, text
from upstream.request import Request

STORES = pytest.mark.parametrize("store", ["sqlite", "memory"])
LIMITS = "model_context_window = 100000\nmodel_auto_compact_token_limit = 30000"


def working(codex: Codex, numbers: range) -> list[Responder]:
    """Rounds of a model that thinks and runs a command each time."""
    return [
        reply(reasoning=f"Step {number}.", calls=[codex.shell(f"echo {number}", f"call_{number}")])
        for number in numbers
    ]


def steps(log: Path) -> list[Step]:
    """What the gateway tells of one session: each request, compared with the one before it."""
    [session] = analyze(read(log)).sessions
    return session.steps


def thoughts(request: Request) -> list[str]:
    return [message["reasoning_content"] for message in request.messages if "reasoning_content" in message]


@STORES
def test_sixty_rounds_with_a_compaction_and_a_restart(
    start_gateway: StartGateway, script: Script, tmp_path: Path, store: str
) -> None:
    log = tmp_path / "upstream.jsonl"
    kept = {"gateway_store": store, "gateway_store_path": str(tmp_path / "store"), "gateway_upstream_log": str(log)}
    gateway = start_gateway(kept)
    codex = Codex(LATEST, gateway.url, tmp_path / "codex")
    codex.configure(LIMITS)

    script.answer(*working(codex, range(20)), reply(text="A third is done."))
    first = codex.exec("begin", script.model).succeeded()
    gateway.stop()

    codex.move_to(start_gateway(kept).url)
    script.answer(*working(codex, range(20, 39)), reply(calls=[codex.shell("echo 39", "call_39")], prompt=50_000))
    script.answer(reply(text="SUMMARY: forty steps.", prompt=50_000), *working(codex, range(40, 60)))
    script.answer(reply(text="All is done."))
    second = codex.exec("go on", script.model, resume=first.thread_id, timeout=120).succeeded()

    assert second.messages[-1] == "All is done."
    assert len(first.items("command_execution") + second.items("command_execution")) == 60
    before, compaction, after = script.requests[:41], script.requests[41], script.requests[42:]
    assert thoughts(before[-1]) == [f"Step {number}." for number in range(39)]
    assert compaction.body["tool_choice"] == "none"
    assert "SUMMARY: forty steps." in str(after[0].messages)
    assert len(after) == 21
    compared = steps(log)
    assert len(compared) == 62
    around_compaction = slice(40, 42)
    assert [step.prefix.changed for step in compared[around_compaction]] == ["tool_choice"] * 2
    assert compaction.messages[: len(before[-1].messages)] == before[-1].messages
    del compared[around_compaction]
    assert {(step.prefix.changed, step.prefix.previous_size - step.prefix.common) for step in compared} == {
        ("", len("}]}"))
    }


def test_compaction_right_after_a_restart(start_gateway: StartGateway, script: Script, tmp_path: Path) -> None:
    """The gateway has never seen the tools that the history calls."""
    gateway = start_gateway({"gateway_store": "none"})
    codex = Codex(LATEST, gateway.url, tmp_path / "codex")
    codex.configure(LIMITS)
    script.answer(*working(codex, range(2)), reply(text="Half is done.", prompt=50_000))
    first = codex.exec("begin", script.model).succeeded()
    gateway.stop()
    codex.move_to(start_gateway({"gateway_store": "none"}).url)
    script.answer(reply(text="SUMMARY: two steps."), reply(text="All is done."))
    assert codex.exec("go on", script.model, resume=first.thread_id).succeeded().messages[-1] == "All is done."
    compaction, after = script.requests[3:]
    assert (list(compaction.tools), compaction.body["tool_choice"]) == (["exec_command"], "none")
    assert "SUMMARY: two steps." in str(after.messages)
    assert after.body["tools"] == script.requests[0].body["tools"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])
def test_restart_within_a_stream(
    start_gateway: StartGateway, script: Script, tmp_path: Path, number: signal.Signals, websocket: bool
) -> None:
    """Codex connects again, to the same address, until the gateway is back, and repeats the round."""
    gateway = start_gateway()
    codex = Codex(LATEST, gateway.url, tmp_path / "codex")
    codex.retry_by_default()
    if websocket:
        codex.configure_provider("supports_websockets = true")
    gate = Gate()
    script.answer(*working(codex, range(1)), stream(text("Half an"), gate), *working(codex, range(1, 2)))
    script.answer(reply(text="All is done."))
    with codex.start_exec("go", script.model) as running:
        gate.wait_reached()
        gateway.send_signal(number)
        gateway.wait_exit(20)
        start_gateway(arguments=("--listen-port", str(gateway.port)))
        assert running.wait_exit(60) == 0, running.log
    assert '"text":"All is done."' in running.log
    assert "Half an" not in running.log
    _, broken, repeated, last = script.requests
    assert repeated.messages == broken.messages
    assert thoughts(last) == ["Step 0.", "Step 1."]
