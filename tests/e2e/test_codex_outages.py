"""Codex with the retries that it makes by default, at an upstream that is down: its user is soon told."""

import re
from pathlib import Path

from e2e.codex import LATEST, Codex, CodexRun, releases
from e2e.gateway import StartGateway
from e2e.relay import Relay
from upstream import Script, ScriptedUpstream, error

MOST_REQUESTS = 10
"""What an upstream that is down gets of one prompt, until Codex has told its user."""


def told_that_it_is_down(run: CodexRun) -> str:
    """What Codex says at the end of a turn at an upstream that is down. Early releases show all of the JSON."""
    assert run.exit_code == 1, f"{run}"
    message = str(run.events[-1]["error"]["message"])
    where = r"openai-compatible \(http://127\.0\.0\.1:\d+[/v1]*\)"
    assert re.search(rf"{where} has failed \d+ times in a row since \d\d:", message), message
    return message


@releases()
def test_overload_that_stays(codex: Codex, script: Script) -> None:
    codex.retry_by_default()
    script.always(error(503, "no GPU is left"))
    assert "no GPU is left" in told_that_it_is_down(codex.exec("go", script.model))
    asked = len(script.requests)
    assert asked <= MOST_REQUESTS
    assert "no GPU is left" in told_that_it_is_down(codex.exec("go on", script.model))
    assert len(script.requests) <= asked + 1, "one probe at most"


def test_a_server_that_breaks_on_everything(codex: Codex, script: Script) -> None:
    codex.retry_by_default()
    script.always(error(500, "a bug in the model's server"))
    assert "a bug in the model's server" in told_that_it_is_down(codex.exec("go", script.model))
    assert len(script.requests) <= MOST_REQUESTS


def test_upstream_that_stays_down(start_gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with Relay(upstream.port, listening=False) as relay:
        codex = Codex(LATEST, start_gateway(url=relay.url).url, tmp_path / "codex")
        codex.retry_by_default()
        run = codex.exec("go", "some-model")
    assert "Cannot connect" in told_that_it_is_down(run)
