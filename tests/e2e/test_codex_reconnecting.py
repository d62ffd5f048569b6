"""Codex with the retries that it makes by default: what it makes of an upstream that breaks, and that nothing is done
twice or told twice."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2e.codex import LATEST, Codex, releases
from e2e.gateway import StartGateway
from e2e.relay import Relay
from upstream import (
    CUT,
    RESET,
    Call,
    Responder,
    Script,
    ScriptedUpstream,
    call,
    error,
    reasoning,
    reply,
    stream,
    text,
)

FINE = reply(text="Done.")


@pytest.fixture
def patient(codex: Codex) -> Codex:
    codex.retry_by_default()
    return codex


def appending(word: str, id: str) -> Call:
    return call("exec_command", {"cmd": f"echo {word} >> done.txt"}, id)


def done_by(codex: Codex) -> list[str]:
    """What the commands of `appending` wrote."""
    file = codex.work / "done.txt"
    return file.read_text().split() if file.exists() else []


UNSEEN: dict[str, Responder] = {
    "nothing": stream(CUT),
    "reset": stream(RESET),
    "half a message": stream(text("Half an"), CUT),
    "reset in a message": stream(text("Half an"), RESET),
    "half a thought": stream(reasoning("Half a thou"), CUT),
    "half a call": stream(appending("half", "call_1").chunks(0)[:-1], CUT),
    "no end": stream(text("Half an")),
    "rate limit": stream(text("Half an"), {"error": {"message": "Please try again in 20ms.", "code": 429}}),
    "500": error(500, "it broke"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_broke_leaves_no_trace(patient: Codex, script: Script, name: str) -> None:
    script.answer(UNSEEN[name], reply(reasoning="A whole one.", calls=[appending("once", "call_2")]), FINE)
    run = patient.exec("go", script.model)
    assert run.exit_code == 0, f"{run}"
    assert run.messages == ["Done."]
    first, second, third = script.requests
    assert second.raw == first.raw
    assert done_by(patient) == ["once"]
    assert third.messages[: len(first.messages)] == first.messages
    assistant, result = third.messages[len(first.messages) :]
    assert (assistant["reasoning_content"], result["tool_call_id"]) == ("A whole one.", "call_2")


@pytest.mark.parametrize("behind", [[CUT], [text("And"), CUT], [appending("b", "call_b").chunks(1)[:-1], CUT]])
def test_a_whole_call_is_run_once(patient: Codex, script: Script, behind: list[object]) -> None:
    """Codex runs a call as soon as it is done, and then tells the model so."""
    script.answer(stream(text("I will."), appending("a", "call_a").chunks(0), behind), FINE)  # type: ignore[arg-type]
    run = patient.exec("go", script.model)
    assert run.exit_code == 0, f"{run}"
    assert run.messages == ["I will.", "Done."]
    assert done_by(patient) == ["a"]
    first, second = script.requests
    assistant, result = second.messages[len(first.messages) :]
    assert (assistant["content"], [one["id"] for one in assistant["tool_calls"]]) == ("I will.", ["call_a"])
    assert result["tool_call_id"] == "call_a"


@releases()
def test_rate_limit(patient: Codex, script: Script) -> None:
    """Releases between 0.80 and 0.160 give up at once when a request is refused with status 429."""
    script.answer(*[error(429, "Too fast. Please try again in 20ms.")] * 3, FINE)
    run = patient.exec("go", script.model)
    assert run.exit_code == 0, f"{run}"
    assert run.messages == ["Done."]
    assert len(script.requests) == 4


def test_rate_limit_that_stays(patient: Codex, script: Script) -> None:
    script.always(error(429, "Too fast. Please try again in 20ms."))
    run = patient.exec("go", script.model)
    assert run.exit_code == 1
    assert "Too fast" in str(run.events[-1])
    assert len(script.requests) == 6 * 3, "each of Codex's attempts is three of the gateway's"


@releases()
def test_context_overflow(patient: Codex, script: Script) -> None:
    script.answer(error(400, "This model's maximum context length is 8192 tokens, you requested 9000."))
    run = patient.exec("a long story", script.model)
    assert run.exit_code == 1
    assert "ran out of room in the model's context window" in run.stdout


def test_overload_for_a_while(patient: Codex, script: Script) -> None:
    script.answer(*[error(503, "later")] * 4, FINE)
    run = patient.exec("go", script.model)
    assert run.exit_code == 0, f"{run}"
    assert run.messages == ["Done."]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_permanent_refusal(patient: Codex, script: Script, status: int) -> None:
    """Told once, in the upstream's words and not as JSON."""
    script.answer(error(status, "this will not do"))
    run = patient.exec("go", script.model)
    assert run.exit_code == 1
    message = run.events[-1]["error"]["message"]
    assert message.startswith("openai-compatible ")
    assert "this will not do" in message


def test_upstream_that_starts_late(
    start_gateway: StartGateway, upstream: ScriptedUpstream, script: Script, tmp_path: Path
) -> None:
    """Connections are refused at first."""
    with Relay(upstream.port, listening=False) as relay, ThreadPoolExecutor(1) as pool:
        gateway = start_gateway(url=relay.url)
        codex = Codex(LATEST, gateway.url, tmp_path / "codex")
        codex.retry_by_default()
        script.answer(FINE)
        running = pool.submit(codex.exec, "go", script.model)
        gateway.wait_log("asked again after: Cannot connect|Cannot connect")
        relay.listen()
        run = running.result()
    assert run.exit_code == 0, f"{run}"
    assert run.messages == ["Done."]
