"""A server on a port that no profile is for: the gateway asks it what it is, and no turn waits for that."""

import json
from collections.abc import Iterator

import pytest

from e2e.gateway import GatewayProcess, StartGateway
from e2e.test_access import ask
from upstream import ScriptedUpstream, reply

LOADED = 16384


@pytest.fixture
def ollama() -> Iterator[ScriptedUpstream]:
    """It says what Ollama says."""
    with ScriptedUpstream() as server:
        server.models = [{"id": "m", "object": "model", "created": 1, "owned_by": "library"}]
        server.pages = {
            "/api/version": {"version": "0.13.5"},
            "/api/ps": {"models": [{"name": "m", "model": "m", "context_length": LOADED}]},
        }
        yield server


def entry(gateway: GatewayProcess, slug: str) -> dict[str, object]:
    """What Codex is told of a model; comes when the upstream has answered."""
    entries = json.loads(ask(gateway, "GET", "/v1/models").body)["models"]
    [found] = [entry for entry in entries if entry["slug"] == slug]
    assert isinstance(found, dict)
    return found


def turn(gateway: GatewayProcess, **more: object) -> None:
    answered = ask(gateway, "POST", "/v1/responses", {"model": "m", "input": "hi", **more})
    assert answered.status == 200, answered


def test_the_first_turn_is_served_and_the_next_one_by_what_the_server_is(
    start_gateway: StartGateway, ollama: ScriptedUpstream
) -> None:
    gateway = start_gateway(url=ollama.url)
    script = ollama.script("m")
    script.always(reply(text="ok"))
    turn(gateway)
    assert entry(gateway, "m")["context_window"] == LOADED
    turn(gateway, reasoning={"effort": "xhigh"})
    assert script.requests[-1].body["reasoning_effort"] == "max"
    asked = len(ollama.probes)
    turn(gateway)
    turn(gateway)
    assert len(ollama.probes) == asked
    assert len(ollama.listings) == 1


def test_the_upstreams_key_goes_to_the_upstream_alone(start_gateway: StartGateway, ollama: ScriptedUpstream) -> None:
    with ScriptedUpstream() as elsewhere:
        options = {"gateway_upstream": f"{ollama.url}/v1", "gateway_api_key_env": "OLLAMA_KEY"}
        gateway = start_gateway(options, environment={"OLLAMA_KEY": "sk-of-ollama"}, url=elsewhere.url)
        entry(gateway, "m")
        requests = [*ollama.listings, *ollama.probes]
        assert {request.headers["authorization"] for request in requests} == {"Bearer sk-of-ollama"}
        assert not elsewhere.probes


def test_a_configured_profile_is_not_questioned(start_gateway: StartGateway, ollama: ScriptedUpstream) -> None:
    gateway = start_gateway({"gateway_upstream": f"{ollama.url}/v1", "gateway_provider": "vllm"}, url=ollama.url)
    ollama.script("m").always(reply(text="ok"))
    turn(gateway)
    entry(gateway, "m")
    assert not ollama.probes
