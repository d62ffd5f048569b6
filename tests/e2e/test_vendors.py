"""Vendors as strict servers behind one gateway, each with its profile chosen by the configuration file."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from e2e.gateway import GatewayProcess
from upstream import Answer, Request, Responder, ScriptedUpstream, completion
from vendors.conversation import HEADERS, STEPS, completed_output, history, in_wire_names, requests
from vendors.table import VENDORS
from vendors.vendor import Vendor

PROFILES = ("deepseek", "moonshot", "mistral", "gemini", "minimax", "groq", "ollama")
CHOSEN = [next(vendor for vendor in VENDORS if vendor.profile == profile) for profile in PROFILES]


@pytest.fixture(scope="module")
def configured(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway whose file has all of the vendors, each with an address and a key of its own."""
    home = tmp_path_factory.mktemp("vendors")
    providers = {
        f"my-{name}": {"profile": name, "base_url": f"{upstream.url}/{name}/v1", "api_key": f"sk-{name}"}
        for name in PROFILES
    }
    config = home / "config.yaml"
    config.write_text(json.dumps({"providers": providers}))
    config.chmod(0o600)
    with GatewayProcess(upstream.url, home, {"gateway_config": str(config)}) as gateway:
        yield gateway
        assert not gateway.faults(), f"the gateway's log has an exception:\n{gateway.log}"


def strictly(vendor: Vendor) -> Responder:
    """Answers the steps of the conversation in order, and refuses what the vendor refuses."""
    numbers = iter(range(len(STEPS)))

    def respond(request: Request) -> Answer:
        if complaints := vendor.complaints(request.body):
            status, body = vendor.error("; ".join(complaints))
            return completion(body, status)  # type: ignore[arg-type]
        number = next(numbers)
        says = in_wire_names(STEPS[number].says, request.body)
        if request.body.get("stream"):
            return Answer([vendor.speech.stream(says, number)], headers={"content-type": "text/event-stream"})
        return Answer(
            [vendor.speech.completion(says, number)], headers={"content-type": "application/json"}, framing="length"
        )

    return respond


def respond(gateway: GatewayProcess, request: dict[str, Any]) -> list[dict[str, Any]]:
    """The output items of one response."""
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    try:
        headers = {"content-type": "application/json", "authorization": "Bearer sk-client", **HEADERS}
        connection.request("POST", "/v1/responses", json.dumps(request), headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    assert response.status == 200, body.decode()
    return completed_output(body) if request["stream"] else json.loads(body)["output"]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("vendor", CHOSEN, ids=lambda vendor: vendor.profile)
def test_three_turns(configured: GatewayProcess, upstream: ScriptedUpstream, vendor: Vendor, stream: bool) -> None:
    script = upstream.script(vendor.models[0])
    script.always(strictly(vendor))
    for request, step, items in requests(f"my-{vendor.profile}/{vendor.models[0]}", stream=stream):
        output = respond(configured, request)
        assert len([item for item in output if item["type"].endswith("_call")]) == len(step.says.calls)
        items += history(output, step)
    upstream.forget(script.model)
    script.verify()
    assert len(script.requests) == len(STEPS), "a request was repeated"
    assert {request.path for request in script.requests} == {f"/{vendor.profile}/v1/chat/completions"}
    assert {request.headers["authorization"] for request in script.requests} == {f"Bearer sk-{vendor.profile}"}
